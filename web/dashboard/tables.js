// @ts-check
/** The tables beside the sessions: checks, warm sessions and hosts, and what has ended. */

import { find, make } from "./dom.js";
import { plain, short, timeOfDay } from "./format.js";

/** @type {Record<string, string>} */
const CLASSES = { ok: "good", unknown: "quiet" };

/** @param {Record<string, {health: string, problem: string | null}>} checks */
export function drawChecks(checks) {
  const rows = Object.entries(checks).map(([subject, check]) =>
    make(
      "tr",
      {},
      make("td", {}, plain(subject)),
      make("td", { class: CLASSES[check.health] || "bad" }, check.problem || check.health),
    ),
  );
  find("checks", HTMLElement).replaceChildren(...rows);
}

/**
 * @param {Iterable<import("./words.js").Session>} warm
 * @param {Map<string, number>} hosts by id, with how many sessions each has
 */
export function drawWarm(warm, hosts) {
  /** @type {[string, string][]} */
  const rows = [
    ...[...warm].map((session) => both(`Session ${short(session.id)}`, session.state)),
    ...[...hosts].map(([id, count]) => both(`Host ${id}`, count === 1 ? "1 session" : `${count} sessions`)),
  ];
  find("warm", HTMLElement).replaceChildren(
    ...rows.map(([what, state]) => make("tr", {}, make("td", {}, what), make("td", {}, state))),
  );
}

/**
 * @param {string} what
 * @param {string} state
 * @returns {[string, string]}
 */
function both(what, state) {
  return [what, state];
}

/** @param {import("./words.js").Session[]} ended */
export function drawEnded(ended) {
  const none = make("tr", {}, make("td", { class: "quiet", colSpan: 3 }, "none yet"));
  find("ended", HTMLElement).replaceChildren(
    ...(ended.length ? [] : [none]),
    ...ended.map((session) => {
      const left = session.receipt?.left.length ? ` – left: ${session.receipt.left.join(", ")}` : "";
      return make(
        "tr",
        {},
        make("td", {}, make("a", { href: `/tiktok/session/${session.id}/live` }, short(session.id))),
        make(
          "td",
          { class: left ? "bad" : "" },
          `${plain(session.end_reason || "")}${left} `,
          ...bundleOf(session),
        ),
        make("td", {}, timeOfDay(session.created_at)),
      );
    }),
  );
}

/** @param {import("./words.js").Session} session */
function bundleOf(session) {
  return session.has_bundle ? [make("a", { href: `/tiktok/session/${session.id}/bundle` }, "bundle")] : [];
}
