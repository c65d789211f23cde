// @ts-check
/** Asks the daemon, and knows by which right: the cookie of an operator, or the link in the page's address. */

import { explained } from "./format.js";

/** The token of the link that this page was opened with, or null. The fragment never reaches a server's log. */
export const link = new URLSearchParams(location.hash.slice(1)).get("link");

/** The daemon has refused a request. */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {Record<string, any>} details
   * @param {string} message
   */
  constructor(status, details, message) {
    super(explained(details.explanation || details.hint || details.details || message));
    this.status = status;
    /** @type {string} */
    this.code = details.code || "";
    this.details = details;
  }
}

/** The daemon does not answer. */
export class Unreachable extends Error {
  constructor() {
    super("The daemon does not answer.");
  }
}

/**
 * Send a request and return the answer.
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body] sent as JSON
 * @param {Record<string, string>} [headers]
 * @returns {Promise<Response>}
 */
export async function send(method, path, body, headers = {}) {
  const all = { ...headers };
  if (link) all.Authorization = `Bearer ${link}`;
  if (body !== undefined) all["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: all,
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
    });
  } catch {
    throw new Unreachable();
  }
  if (response.ok) return response;
  const answer = await response.json().catch(() => ({}));
  throw new Refused(response.status, answer.error_details || {}, answer.message || response.statusText);
}

/**
 * Send a request and return the JSON of its answer; null if it has none.
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {Record<string, string>} [headers]
 * @returns {Promise<any>}
 */
export async function ask(method, path, body, headers) {
  const response = await send(method, path, body, headers);
  return response.status === 204 ? null : response.json();
}

/**
 * Return the path of a session.
 * @param {string} id
 */
export function pathOf(id) {
  return `/tiktok/session/${encodeURIComponent(id)}`;
}
