// @ts-check
/** Asks for the daemon's token. It becomes a cookie that scripts can't read. */

import { ask, link, Refused } from "./api.js";
import { find, write } from "./dom.js";

/**
 * Do something; if the daemon wants its token first, ask the user for it and do it again.
 * @template T
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function loggedIn(work) {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof Refused) || error.status !== 401 || link) throw error;
    }
    await login();
  }
}

/** Hide what the daemon would refuse to whoever has logged in, and show their name. */
export async function showScope() {
  if (link) return;
  const { name, scope } = await ask("GET", "/whoami");
  document.body.dataset.scope = scope;
  const logout = document.getElementById("logout");
  if (logout) write(logout, `Log out ${name}`);
}

/** @type {Promise<void> | undefined} */
let asking;

/** Return once the user has given the right token. */
function login() {
  asking ??= askForToken().finally(() => (asking = undefined));
  return asking;
}

function askForToken() {
  const dialog = find("login", HTMLDialogElement);
  const field = find("token", HTMLInputElement);
  const problem = find("login-problem", HTMLElement);
  write(problem, "");
  if (!dialog.open) dialog.showModal();
  return new Promise((/** @type {(value: void) => void} */ resolve) => {
    const form = find("login-form", HTMLFormElement);
    form.onsubmit = async (event) => {
      event.preventDefault();
      try {
        await ask("POST", "/login", { token: field.value });
      } catch (error) {
        write(problem, error instanceof Error ? error.message : String(error));
        return;
      }
      field.value = "";
      dialog.close();
      resolve();
    };
    dialog.oncancel = (event) => event.preventDefault();
  });
}
