// @ts-check
/** Events and sessions in words. */

import { plain, short } from "./format.js";

/**
 * What the daemon tells of a session: see `Session` in the API's description.
 * @typedef {object} Session
 * @property {string} id
 * @property {string} state
 * @property {string} created_at
 * @property {string | null} expires_at
 * @property {string | null} login_state
 * @property {string | null} login_reason
 * @property {string | null} end_reason
 * @property {{memory_bytes: number, processes: number, disk_bytes: number} | null} usage
 * @property {Receipt | null} receipt
 * @property {boolean} is_requested
 * @property {string} profile
 * @property {string} profile_mode
 * @property {string} purpose
 * @property {boolean} has_bundle
 * @property {number} clients
 * @property {{by: string, until: string} | null} control
 * @property {{name: string, mode: string}[]} watchers
 * @property {{name: string, mode: string}[]} watched
 */

/**
 * @typedef {object} Receipt
 * @property {Record<string, number>} phase_ms
 * @property {{politely: number, by_force: number}} processes
 * @property {number} bytes_freed
 * @property {string[]} left
 * @property {{by: string, since: string, until: string}[]} held
 * @property {{generation: number | null, problem: string | null} | null} commit
 */

/**
 * @typedef {object} Event
 * @property {string} id
 * @property {string} at
 * @property {string} type
 * @property {string | null} session_id
 * @property {Session | null} session
 * @property {{kind: string, target: string | null, ms: number, outcome: string} | null} action
 * @property {{id: string, sessions: number} | null} host
 * @property {{code: string, details: string} | null} error
 */

/** All types of events. An EventSource wants to know them by name. */
export const TYPES = [
  ...["cloning", "queued", "launching", "warm", "navigating", "judging", "live", "ending", "ended"],
  ...["extended", "attached", "detached", "login_lost", "login_back", "profile_rotated", "action", "control"],
  ...["watcher_joined", "watcher_left"],
]
  .map((what) => `session.${what}`)
  .concat("host.started", "host.lost", "host.ended", "gap", "dropped");

/** @type {Record<string, (session: Session) => string>} */
const SENTENCES = {
  "session.cloning": () => "is being created: cloning the profile",
  "session.queued": () => "waits for its turn to launch",
  "session.launching": () => "is launching a browser",
  "session.warm": () => "is warm",
  "session.navigating": () => "loads TikTok",
  "session.judging": () => "is checking who is logged in",
  "session.live": () => "is live",
  "session.ending": (session) => `is ending: ${plain(session.end_reason || "")}`,
  "session.ended": (session) => `has ended: ${plain(session.end_reason || "")}`,
  "session.extended": () => "was extended",
  "session.attached": (session) => `has a client attached (${session.clients} now)`,
  "session.detached": (session) => `was left by a client (${session.clients} attached now)`,
  "session.login_lost": () => "has lost its login",
  "session.login_back": () => "is logged in again",
  "session.profile_rotated": () => "had its login renewed, which its profile does not keep",
  "session.control": (session) =>
    session.control ? `is controlled by ${session.control.by}` : "is controlled by programs",
  "session.watcher_joined": (session) => `is watched by ${names(session.watchers)}`,
  "session.watcher_left": (session) =>
    `is no longer watched by ${session.watched.at(-1)?.name ?? "somebody"}`,
};

/** @type {Record<string, string>} */
const HOSTS = { "host.started": "has started", "host.lost": "was lost", "host.ended": "has ended" };

/** @param {{name: string}[]} watchers */
export function names(watchers) {
  return watchers.length ? watchers.map((watcher) => watcher.name).join(", ") : "nobody";
}

/**
 * Say what has happened, in one line.
 * @param {Event} event
 */
export function sentence(event) {
  if (event.host) return `Host ${event.host.id} ${HOSTS[event.type] ?? event.type}`;
  if (event.action) {
    const { kind, target, ms, outcome } = event.action;
    return `${short(event.session_id || "")} ${plain(kind)} ${target || ""} – ${plain(outcome)}, ${ms} ms`;
  }
  if (!event.session) return "Events are missing here";
  const what = SENTENCES[event.type];
  const why = event.error ? ` (${event.error.code}: ${event.error.details})` : "";
  return `${short(event.session.id)} ${what ? what(event.session) : event.type}${why}`;
}

/** @type {Record<string, string>} */
const PURPOSES = {
  login: "to log in",
  browse: "to browse",
  import: "to import a login",
  refresh: "to refresh the login",
};

/** @type {Record<string, string>} */
const TASKS = {
  login:
    "Press “Take over” and log in. The session ends by itself as soon as the page shows a login, which is then saved.",
  browse:
    "Press “Take over” to use the account by hand. What changes is saved at the end, if the page shows a login then.",
};

/**
 * What a person is to do in a session; empty if nothing.
 * @param {Session} session
 */
export function taskOf(session) {
  return (session.state === "live" && TASKS[session.purpose]) || "";
}

/**
 * What sets a session apart from others: its profile, and what it is for.
 * @param {Session} session
 */
export function profileOf(session) {
  const name = session.profile === "default" ? "" : `profile ${session.profile}`;
  const purpose = PURPOSES[session.purpose] || (session.profile_mode === "write" ? "writes its profile" : "");
  return [name, purpose].filter(Boolean).join(", ");
}

/** @param {Session} session */
export function loginOf(session) {
  return session.login_state ? plain(session.login_state) : "login not known yet";
}
