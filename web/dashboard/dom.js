// @ts-check
/** Makes and finds elements. What comes from pages and sessions becomes text, never markup. */

/**
 * Make an element.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, any>} [properties] "class", "aria-…" and "data-…" become attributes, functions listeners
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (name === "class" || name === "role" || name === "for" || name.includes("-")) {
      element.setAttribute(name, value);
    } else Object.assign(element, { [name]: value });
  }
  element.append(...children);
  return element;
}

/**
 * Find an element of the page by its id.
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T}
 */
export function find(id, kind) {
  const element = document.getElementById(id);
  if (!(element instanceof kind)) throw new Error(`the page has no ${id}`);
  return element;
}

/**
 * Set an element's text, only if it is another: setting it makes screen readers speak.
 * @param {Node} element
 * @param {string} text
 */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Show or hide an element.
 * @param {HTMLElement} element
 * @param {boolean} isShown
 */
export function show(element, isShown) {
  if (element.hidden === isShown) element.hidden = !isShown;
}

/** @type {number | undefined} */
let fading;

/**
 * Tell the user something, in the page's status line.
 * @param {string} text
 * @param {"info" | "problem"} [kind]
 */
export function tell(text, kind = "info") {
  const line = find("told", HTMLElement);
  line.dataset.kind = kind;
  write(line, text);
  show(line, true);
  clearTimeout(fading);
  fading = setTimeout(() => show(line, false), kind === "problem" ? 12_000 : 4_000);
}

/**
 * Do something that may fail, and tell the user if it does.
 * @param {() => Promise<unknown>} work
 * @param {HTMLButtonElement} [button] can't be pressed meanwhile
 */
export async function attempt(work, button) {
  const hadFocus = button !== undefined && document.activeElement === button;
  if (button) button.disabled = true;
  try {
    await work();
  } catch (error) {
    tell(error instanceof Error ? error.message : String(error), "problem");
  } finally {
    if (button) button.disabled = false;
    if (hadFocus && document.activeElement === document.body) focusNear(button);
  }
}

/**
 * Focus an element, or the page's heading if that is gone: a keyboard's user is not to begin anew.
 * @param {HTMLElement} element
 */
function focusNear(element) {
  element.focus();
  if (document.activeElement === document.body) document.querySelector("h1")?.focus();
}

/**
 * Ask the user to confirm something that can't be undone.
 * @param {string} question
 * @param {string} verb what the button says
 * @returns {Promise<boolean>}
 */
export function confirmed(question, verb) {
  const dialog = find("confirm", HTMLDialogElement);
  write(find("confirm-question", HTMLElement), question);
  write(find("confirm-yes", HTMLButtonElement), verb);
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
