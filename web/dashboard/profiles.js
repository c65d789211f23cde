// @ts-check
/** The profiles: until when their logins can last, and the way to log in to them. */

import { ask } from "./api.js";
import { attempt, find, make, tell } from "./dom.js";
import { loggedIn } from "./login.js";

const SOON_MS = 2 * 24 * 3600 * 1000;

/**
 * @typedef {object} Profile
 * @property {string} name
 * @property {string[]} login
 * @property {string | null} login_expires_at
 * @property {{program: string} | null} holder
 * @property {string | null} problem
 */

/** Ask for the profiles and draw them. */
export async function refreshProfiles() {
  /** @type {{profiles: Profile[]}} */
  const answer = await ask("GET", "/profiles");
  const none = make("tr", {}, make("td", { class: "quiet", colSpan: 3 }, "none yet"));
  const rows = answer.profiles.map(rowOf);
  const table = find("profiles", HTMLElement);
  const now = rows.map((row) => row.textContent).join("\n");
  if (table.dataset.shown === now && rows.length) return; // or a button would lose its focus
  table.dataset.shown = now;
  table.replaceChildren(...(rows.length ? rows : [none]));
}

/** @param {Profile} profile */
function rowOf(profile) {
  const [text, kind] = loginOf(profile);
  const button = make(
    "button",
    { type: "button", "data-needs": "admin", click: () => attempt(() => logIn(profile.name), button) },
    "Log in",
  );
  button.setAttribute("aria-label", `Log in to the profile ${profile.name}`);
  button.disabled = profile.holder !== null;
  const name = make("th", { scope: "row" }, profile.name);
  return make("tr", {}, name, make("td", { class: kind }, text), make("td", {}, button));
}

/**
 * @param {Profile} profile
 * @returns {[string, string]} what to say of its login, and how it is
 */
function loginOf(profile) {
  if (profile.holder) return [`in use by ${profile.holder.program}`, "quiet"];
  if (profile.problem) return [profile.problem, "bad"];
  if (!profile.login_expires_at) return ["not logged in", "bad"];
  const end = new Date(profile.login_expires_at);
  const left = end.getTime() - Date.now();
  if (left < 0) return ["its login has expired", "bad"];
  return [`logged in, until ${end.toLocaleDateString()} at most`, left < SOON_MS ? "bad" : "good"];
}

/**
 * Start a session to log in, and go to its page.
 * @param {string} name
 */
async function logIn(name) {
  tell("Opening a browser to log in with: this takes some seconds.");
  const answer = await loggedIn(() => ask("POST", `/profiles/${name}/login`, {}));
  location.assign(`/tiktok/session/${answer.session.id}/live`);
}
