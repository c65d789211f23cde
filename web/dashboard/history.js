// @ts-check
/** The page that shows how sessions have ended, over restarts of the daemon, and how long their parts took. */

import { ask } from "./api.js";
import { attempt, find, make, show, write } from "./dom.js";
import { clock, megabytes, plain, short } from "./format.js";
import { loggedIn } from "./login.js";

const LIMIT = 50;
// Of these, the client decides how long they take.
const CHOSEN = ["warm", "live"];
const REASONS = [
  ...["expired", "idle", "deleted", "closed_by_client", "not_logged_in", "login_lost", "creation_timeout"],
  ...["caller_left", "browser_lost", "over_budget", "completed", "discarded", "failed", "shutdown"],
];
/** @type {Record<string, string>} */
const CLASSES = { served: "good", cancelled: "quiet" };

/**
 * @typedef {object} Ended
 * @property {string} id
 * @property {string} ended_at
 * @property {string} outcome
 * @property {string} end_reason
 * @property {string | null} error
 * @property {string} profile
 * @property {number | null} creation_ms
 * @property {Record<string, number>} phase_ms
 * @property {number | null} peak_memory_bytes
 * @property {string[]} left
 * @property {string | null} bundle
 */

/** @typedef {{count: number, p50: number, p90: number, p99: number}} Percentiles */

/**
 * @typedef {object} History
 * @property {string} message
 * @property {Ended[]} sessions
 * @property {string | null} next
 * @property {Record<string, number>} outcomes
 * @property {Percentiles | null} creation_ms
 * @property {Record<string, Percentiles>} phase_ms
 * @property {string | null} problem
 */

/** The query of what is shown, without a cursor. */
let shown = new URLSearchParams();
/** @type {string | null} */
let next = null;

/** Show what the form asks for, from the latest on. */
async function search() {
  const query = new URLSearchParams({ limit: String(LIMIT) });
  shown = query;
  for (const [name, value] of new FormData(find("filter", HTMLFormElement))) {
    const text = String(value).trim();
    if (name === "period" && text)
      query.set("since", new Date(Date.now() - Number(text) * 1000).toISOString());
    else if (text) query.set(name, text);
  }
  const answer = await request(query);
  if (query !== shown) return; // something else has been asked for meanwhile
  find("ended", HTMLElement).replaceChildren();
  add(answer);
  const counts = Object.entries(answer.outcomes).filter(([, count]) => count);
  const parts = counts.map(([outcome, count]) => `${count} ${outcome}`).join(", ");
  write(find("summary", HTMLElement), parts ? `${answer.message}: ${parts}` : answer.message);
  write(find("problem", HTMLElement), answer.problem ? `The latest may be missing: ${answer.problem}` : "");
  show(find("problem", HTMLElement), answer.problem !== null);
  drawFigures(answer);
}

/** Add the next page to what is shown. */
async function showOlder() {
  const before = shown;
  const query = new URLSearchParams(before);
  if (next) query.set("cursor", next);
  const answer = await request(query);
  if (before === shown) add(answer);
}

/**
 * @param {URLSearchParams} query
 * @returns {Promise<History>}
 */
function request(query) {
  return loggedIn(() => ask("GET", `/tiktok/history?${query}`));
}

/** @param {History} answer */
function add(answer) {
  const table = find("ended", HTMLElement);
  table.append(...answer.sessions.map(rowOf));
  if (!table.children.length) {
    table.append(make("tr", {}, make("td", { class: "quiet", colSpan: 8 }, "none")));
  }
  next = answer.next;
  show(find("older", HTMLElement), next !== null);
}

/** @param {Ended} session */
function rowOf(session) {
  const left = session.left.length ? ` – left: ${session.left.join(", ")}` : "";
  const error = session.error ? ` (${session.error})` : "";
  const bundle = session.bundle ? [" ", make("a", { href: session.bundle }, "bundle")] : [];
  const memory = session.peak_memory_bytes;
  const live = session.phase_ms.live;
  return make(
    "tr",
    {},
    make("th", { scope: "row", title: session.id }, short(session.id)),
    make("td", {}, new Date(session.ended_at).toLocaleString()),
    make("td", { class: CLASSES[session.outcome] || "bad" }, session.outcome),
    make("td", { class: left ? "bad" : "" }, `${plain(session.end_reason)}${error}${left}`, ...bundle),
    make("td", {}, session.profile),
    make("td", {}, session.creation_ms === null ? "–" : seconds(session.creation_ms)),
    make("td", {}, live === undefined ? "–" : clock(live / 1000)),
    make("td", {}, memory === null ? "–" : megabytes(memory)),
  );
}

/** @param {History} answer */
function drawFigures(answer) {
  /** @type {[string, Percentiles][]} */
  const rows = Object.entries(answer.phase_ms);
  if (answer.creation_ms) rows.unshift(["creation", answer.creation_ms]);
  const longest = Math.max(
    1,
    ...rows.filter(([name]) => !CHOSEN.includes(name)).map(([, found]) => found.p50),
  );
  const none = make("tr", {}, make("td", { class: "quiet", colSpan: 6 }, "none"));
  find("figures", HTMLElement).replaceChildren(
    ...(rows.length ? [] : [none]),
    ...rows.map(([name, found]) => {
      const label = `${name}: 50 % within ${seconds(found.p50)}`;
      const bar = make("progress", { max: longest, value: found.p50, "aria-label": label });
      return make(
        "tr",
        {},
        make("th", { scope: "row" }, plain(name)),
        ...[String(found.count), ...[found.p50, found.p90, found.p99].map(seconds)].map((text) =>
          make("td", {}, text),
        ),
        make("td", {}, ...(CHOSEN.includes(name) ? [] : [bar])),
      );
    }),
  );
}

/** @param {number} ms */
function seconds(ms) {
  return `${(ms / 1000).toFixed(2)} s`;
}

function begin() {
  const reason = find("reason", HTMLSelectElement);
  reason.append(...REASONS.map((code) => make("option", { value: code }, plain(code))));
  const button = find("show", HTMLButtonElement);
  const form = find("filter", HTMLFormElement);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(search, button);
  });
  form.addEventListener("change", () => attempt(search));
  const older = find("older", HTMLButtonElement);
  older.addEventListener("click", () => attempt(showOlder, older));
  attempt(search);
}

begin();
