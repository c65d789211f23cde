// @ts-check
/** Takes control of a session, keeps it while the page is open, and hands it back. */

import { ask } from "./api.js";

/** An abandoned page loses control after this. */
const TTL_S = 120;
const RENEW_MS = 40_000;
const STALE_MS = 1_000;

/** Whether the user has control of a session. */
export class Control {
  /**
   * @param {string} path the session's
   * @param {(lease: string | null) => void} onChange hears of each new lease, null at its end
   */
  constructor(path, onChange) {
    this.path = path;
    this.onChange = onChange;
    this.key = `lease of ${path}`;
    /** @type {string | null} */
    this.lease = sessionStorage.getItem(this.key);
    this.taken = 0;
    setInterval(() => this.renew(), RENEW_MS);
  }

  get isHeld() {
    return this.lease !== null;
  }

  /** The headers with which the user acts. */
  get headers() {
    return /** @type {Record<string, string>} */ (this.lease ? { "X-Control-Lease": this.lease } : {});
  }

  async take() {
    const answer = await ask("POST", `${this.path}/control`, { holder: "human", ttl_s: TTL_S }, this.headers);
    this.taken = Date.now();
    this.keep(answer.lease);
  }

  async giveBack() {
    const headers = this.headers;
    this.keep(null);
    await ask("POST", `${this.path}/control`, { holder: "programs" }, headers);
  }

  async renew() {
    if (!this.isHeld) return;
    try {
      await this.take();
    } catch {
      this.keep(null);
    }
  }

  /**
   * Learn from the session who has control.
   * @param {{by: string} | null} control
   */
  hear(control) {
    const isOld = Date.now() - this.taken < STALE_MS; // events come a moment later than answers
    if (!control && this.isHeld && !isOld) this.keep(null);
  }

  /** @param {string | null} lease */
  keep(lease) {
    if (lease) sessionStorage.setItem(this.key, lease);
    else sessionStorage.removeItem(this.key);
    const isNews = lease !== this.lease;
    this.lease = lease;
    if (isNews) this.onChange(lease);
  }
}
