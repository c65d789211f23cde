// @ts-check
/** The panels beside the picture: console, network, watchers, links, and how to attach a program. */

import { ask } from "./api.js";
import { attempt, find, make, show, tell, write } from "./dom.js";
import { timeOfDay } from "./format.js";

const PERIOD_MS = 2_000;

/**
 * Fill a panel again and again while it is open.
 * @param {string} id
 * @param {() => Promise<void>} fill
 */
export function keepFilled(id, fill) {
  const panel = find(id, HTMLDetailsElement);
  const refill = () => {
    if (panel.open && !panel.hidden && !document.hidden) fill().catch(() => {});
  };
  panel.addEventListener("toggle", refill);
  setInterval(refill, PERIOD_MS);
}

/** @param {string} path the session's */
export async function fillConsole(path) {
  /** @type {{at: number, type: string, text: string}[]} */
  const lines = await ask("GET", `${path}/console`);
  find("console", HTMLElement).replaceChildren(
    ...lines
      .reverse()
      .map((line) =>
        make(
          "li",
          { class: line.type === "error" ? "bad" : "" },
          `${time(line.at)} ${line.type}: ${line.text}`,
        ),
      ),
  );
}

/** @param {string} path the session's */
export async function fillNetwork(path) {
  /** @type {{at: number, method: string, url: string, status: number | null, error: string | null, ms?: number}[]} */
  const lines = await ask("GET", `${path}/network`);
  find("network", HTMLElement).replaceChildren(
    ...lines.reverse().map((line) => {
      const outcome = line.error || line.status || "…";
      const isBad = line.error || (line.status && line.status >= 400);
      return make(
        "li",
        { class: isBad ? "bad" : "" },
        `${time(line.at)} ${outcome} ${line.method} ${line.url}`,
      );
    }),
  );
}

/** @param {number} seconds since 1970 */
function time(seconds) {
  return timeOfDay(new Date(seconds * 1000).toISOString());
}

/** @param {import("./words.js").Session} session */
export function fillWatchers(session) {
  const now = session.watchers.map((one) => `${one.name} (${one.mode}) watches`);
  const before = [...session.watched].reverse().map((one) => `${one.name} (${one.mode}) has left`);
  find("watchers", HTMLElement).replaceChildren(...[...now, ...before].map((line) => make("li", {}, line)));
}

/** @param {string} path the session's */
export async function fillLinks(path) {
  const { links } = await ask("GET", `${path}/links`);
  find("links", HTMLElement).replaceChildren(
    ...links.map((/** @type {any} */ link) => {
      const revoke = make(
        "button",
        { type: "button", "aria-label": `Revoke the link of ${link.name}` },
        "Revoke",
      );
      revoke.addEventListener("click", () =>
        attempt(async () => {
          await ask("DELETE", `${path}/links/${encodeURIComponent(link.id)}`);
          await fillLinks(path);
        }, revoke),
      );
      return make(
        "li",
        { class: "row" },
        `${link.name}: ${link.mode}, until ${timeOfDay(link.expires_at)}`,
        revoke,
      );
    }),
  );
}

/** @param {string} path the session's */
export function listenForLinks(path) {
  find("link-form", HTMLFormElement).addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(
      async () => {
        const made = await ask("POST", `${path}/links`, {
          name: find("link-name", HTMLInputElement).value,
          mode: find("link-mode", HTMLSelectElement).value,
          ttl_s: Number(find("link-ttl", HTMLSelectElement).value),
        });
        const address = find("link-address", HTMLInputElement);
        address.value = made.address;
        show(find("made-link", HTMLElement), true);
        address.select();
        await fillLinks(path);
      },
      find("make-link", HTMLButtonElement),
    );
  });
}

/** @param {string} path the session's */
export async function fillSnippet(path) {
  const { address } = await ask("GET", `${path}/playwright`);
  const { has_token } = await ask("GET", "/overview");
  const headers = has_token ? `, headers={"Authorization": "Bearer " + os.environ["GREENROOM_TOKEN"]}` : "";
  write(
    find("snippet", HTMLElement),
    [
      ...(has_token ? ["import os", ""] : []),
      "from playwright.sync_api import sync_playwright",
      "",
      "with sync_playwright() as playwright:",
      `    browser = playwright.firefox.connect("${address}"${headers})`,
      "    page = browser.contexts[0].pages[0]",
      "    print(page.title())",
    ].join("\n"),
  );
}

export function listenForCopy() {
  copyOn("copy", () => find("snippet", HTMLElement).textContent || "");
  copyOn("copy-link", () => find("link-address", HTMLInputElement).value);
}

/**
 * @param {string} id the button's
 * @param {() => string} text
 */
function copyOn(id, text) {
  const button = find(id, HTMLButtonElement);
  button.addEventListener("click", () =>
    attempt(async () => {
      await navigator.clipboard.writeText(text());
      tell("Copied.");
    }, button),
  );
}
