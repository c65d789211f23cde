// @ts-check
/** The browser's tabs and its address bar. */

import { ask } from "./api.js";
import { attempt, find, make } from "./dom.js";

/**
 * @typedef {{type: string, message: string}} Dialog
 * @typedef {{id: string, url: string, title: string, selected: boolean, dialog: Dialog | null}} Page
 */

/** Shows the pages of a session, and does what the user asks of them. */
export class Tabs {
  /**
   * @param {string} path the session's
   * @param {import("./control.js").Control} control
   * @param {(dialog: Dialog | null) => void} onDialog hears of the dialog that the selected page shows
   */
  constructor(path, control, onDialog) {
    this.path = path;
    this.control = control;
    this.onDialog = onDialog;
    /** @type {string} */
    this.drawn = "";
    this.address = find("address", HTMLInputElement);
    this.buttons = ["back", "forward", "reload", "go", "new-tab"].map((id) => find(id, HTMLButtonElement));
  }

  listen() {
    for (const kind of ["back", "forward", "reload"]) {
      const button = find(kind, HTMLButtonElement);
      button.addEventListener("click", () => attempt(() => this.act({ kind, wait_until: "commit" }), button));
    }
    const another = find("new-tab", HTMLButtonElement);
    another.addEventListener("click", () => attempt(() => this.act({ kind: "page_new" }), another));
    find("address-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      const url = this.address.value.includes("://") ? this.address.value : `https://${this.address.value}`;
      attempt(() => this.act({ kind: "navigate", url, wait_until: "commit" }), find("go", HTMLButtonElement));
    });
  }

  /** @param {object} action */
  async act(action) {
    await ask("POST", `${this.path}/actions`, action, this.control.headers);
    await this.refresh();
  }

  /** Let the user act, or not. */
  enable() {
    for (const element of [...this.buttons, this.address]) element.disabled = !this.control.isHeld;
    this.drawn = "";
    this.refresh();
  }

  /** Show the pages as they are now. */
  async refresh() {
    /** @type {Page[]} */
    let pages;
    try {
      pages = await ask("GET", `${this.path}/pages`);
    } catch {
      return; // the session is not live, or busy: there will be another time
    }
    const state = JSON.stringify(pages) + this.control.isHeld;
    if (state === this.drawn) return;
    this.drawn = state;
    const selected = pages.find((page) => page.selected);
    if (selected && document.activeElement !== this.address) this.address.value = selected.url;
    this.onDialog(selected?.dialog ?? null);
    find("tabs", HTMLElement).replaceChildren(...pages.map((page) => this.tab(page, pages.length)));
  }

  /**
   * @param {Page} page
   * @param {number} count
   */
  tab(page, count) {
    const name = page.title || page.url || page.id;
    const open = make("button", { type: "button", title: name, disabled: !this.control.isHeld }, name);
    if (page.selected) open.setAttribute("aria-current", "true");
    open.addEventListener("click", () => attempt(() => this.act({ kind: "page_select", page: page.id })));
    const item = make("li", { class: "row" }, open);
    if (this.control.isHeld && count > 1) {
      const close = make("button", { type: "button", "aria-label": `Close ${name}` }, "×");
      close.addEventListener("click", () => attempt(() => this.act({ kind: "page_close", page: page.id })));
      item.append(close);
    }
    return item;
  }
}
