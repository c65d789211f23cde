// @ts-check
/** The list of what happens, the latest first. */

import { make } from "./dom.js";
import { timeOfDay } from "./format.js";
import { sentence } from "./words.js";

const MAX_LINES = 200;

/** @type {Map<HTMLElement, HTMLElement[]>} */
const waiting = new Map();

/**
 * Show an event in a list, with all others that come before the page is drawn again.
 * @param {HTMLElement} list
 * @param {import("./words.js").Event} event
 */
export function note(list, event) {
  const line = make("li", {}, make("time", {}, `${timeOfDay(event.at)} `), sentence(event));
  const lines = waiting.get(list);
  if (lines) {
    lines.unshift(line);
    lines.splice(MAX_LINES);
    return;
  }
  waiting.set(list, [line]);
  requestAnimationFrame(() => {
    list.prepend(...(waiting.get(list) ?? []));
    waiting.delete(list);
    while (list.childElementCount > MAX_LINES) list.lastElementChild?.remove();
  });
}
