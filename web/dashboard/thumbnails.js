// @ts-check
/** Keeps the pictures of those cards fresh that can be seen. One is asked for at a time. */

import { pathOf, send } from "./api.js";

const PAUSE_MS = 400;
const FRESH_MS = 5_000;

/** The thumbnails of all cards. */
export class Thumbnails {
  constructor() {
    /** @type {Map<Element, import("./card.js").Card>} */
    this.cards = new Map();
    /** @type {Map<import("./card.js").Card, number>} when each visible card got its picture */
    this.visible = new Map();
    this.areWanted = true;
    this.observer = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        const card = this.cards.get(entry.target);
        if (card && entry.isIntersecting) this.visible.set(card, this.visible.get(card) ?? 0);
        else if (card) this.visible.delete(card);
      }
    });
  }

  /** @param {import("./card.js").Card} card */
  add(card) {
    this.cards.set(card.element, card);
    this.observer.observe(card.element);
  }

  /** @param {import("./card.js").Card} card */
  remove(card) {
    this.observer.unobserve(card.element);
    this.cards.delete(card.element);
    this.visible.delete(card);
    if (card.picture.src) URL.revokeObjectURL(card.picture.src);
  }

  /** Keep them fresh for ever. */
  async run() {
    for (;;) {
      const due = [...this.visible].filter(
        ([card, at]) => card.session.state === "live" && Date.now() - at > FRESH_MS,
      );
      const oldest = due.sort(([, one], [, other]) => one - other)[0];
      if (oldest && this.areWanted && !document.hidden) await this.refresh(oldest[0]);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  /** @param {import("./card.js").Card} card */
  async refresh(card) {
    this.visible.set(card, Date.now());
    try {
      const answer = await send("GET", `${pathOf(card.session.id)}/live.jpg?fps=5&quality=40`);
      const address = URL.createObjectURL(await answer.blob());
      if (card.picture.src) URL.revokeObjectURL(card.picture.src);
      card.picture.src = address;
      card.picture.hidden = false;
    } catch {
      // The card itself shows what has become of the session.
    }
  }
}
