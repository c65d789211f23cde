// @ts-check
/** One session in the list. */

import { ask, pathOf } from "./api.js";
import { attempt, confirmed, make, tell, write } from "./dom.js";
import { clock, megabytes, plain, secondsUntil, short } from "./format.js";
import { loginOf, names, profileOf } from "./words.js";

/** How much longer a session may live after a press of the button. */
export const EXTEND_S = 300;

/** A card shows a session, and is updated as the session changes. */
export class Card {
  /** @param {import("./words.js").Session} session */
  constructor(session) {
    this.session = session;
    this.picture = make("img", { alt: "", hidden: true });
    this.state = make("span");
    this.login = make("span");
    this.left = make("progress", { max: 1, value: 1, "aria-label": "Time left" });
    this.time = make("span", { class: "quiet" });
    this.facts = make("p", { class: "quiet facts-line" });
    this.longer = make(
      "button",
      { type: "button", click: () => attempt(() => extend(this.session.id), this.longer) },
      "5 minutes more",
    );
    this.end = make(
      "button",
      { type: "button", class: "end", click: () => attempt(() => end(this.session.id), this.end) },
      "End",
    );
    const address = `${pathOf(session.id)}/live`;
    const name = short(session.id);
    this.longer.setAttribute("aria-label", `5 minutes more for session ${name}`);
    this.end.setAttribute("aria-label", `End session ${name}`);
    this.element = make(
      "li",
      { class: "panel card", "data-session": session.id },
      make("a", { class: "thumbnail", href: address, "aria-label": `Watch session ${name}` }, this.picture),
      make("div", { class: "row" }, make("a", { href: address }, `Session ${name}`), this.state, this.login),
      make("div", {}, this.left, this.time),
      this.facts,
      make("div", { class: "row", "data-needs": "control" }, this.longer, this.end),
    );
    this.update(session);
  }

  /** @param {import("./words.js").Session} session */
  update(session) {
    this.session = session;
    const isLive = session.state === "live";
    write(this.state, session.end_reason ? `${session.state}: ${plain(session.end_reason)}` : session.state);
    this.state.className = isLive ? "good" : "quiet";
    write(this.login, loginOf(session));
    this.login.className =
      session.login_state === "LOGGED_IN" ? "good" : session.login_state ? "bad" : "quiet";
    const facts = [
      session.usage ? megabytes(session.usage.memory_bytes) : "memory not sampled yet",
      `controlled by ${session.control ? session.control.by : "programs"}`,
      `watched by ${names(session.watchers)}`,
    ];
    if (profileOf(session)) facts.unshift(profileOf(session));
    if (session.clients) facts.push(`${session.clients} attached`);
    write(this.facts, facts.join(" · "));
    this.longer.disabled = !isLive;
    this.end.disabled = session.state === "ending";
    this.tick();
  }

  /** What can be searched for: the id, the state, the login, who has control and who watches. */
  get text() {
    const parts = [this.session.id, this.state.textContent, this.login.textContent, this.facts.textContent];
    return parts.join(" ").toLowerCase();
  }

  /** Show the time that is left now. */
  tick() {
    const left = secondsUntil(this.session.expires_at);
    const isKnown = this.session.expires_at !== null;
    this.left.hidden = !isKnown;
    this.left.value = lifeLeft(this.session);
    write(this.time, isKnown ? `${clock(left)} left` : "");
  }
}

/**
 * Return which part of its life a session still has, from 1 to 0.
 * @param {import("./words.js").Session} session
 */
export function lifeLeft(session) {
  const left = secondsUntil(session.expires_at);
  const whole = left - secondsUntil(session.created_at);
  return session.expires_at && whole > 0 ? Math.max(0, Math.min(1, left / whole)) : 0;
}

/** @param {string} id */
export async function extend(id) {
  await ask("PATCH", pathOf(id), { extend_s: EXTEND_S });
  tell("The session may live 5 minutes longer, or as long as the daemon allows.");
}

/** @param {string} id */
export async function end(id) {
  if (await confirmed(`End session ${short(id)}? What it has open is lost.`, "End the session")) {
    await ask("DELETE", pathOf(id));
    tell("The session has ended.");
  }
}
