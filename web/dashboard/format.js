// @ts-check
/** Numbers, times and codes, as people read them. */

/** @type {Record<string, string>} */
const NETWORK_ERRORS = {
  NS_ERROR_CONNECTION_REFUSED: "nobody answers at this address",
  NS_ERROR_NET_EMPTY_RESPONSE: "the answer was empty",
  NS_ERROR_NET_INTERRUPT: "the connection was interrupted",
  NS_ERROR_NET_RESET: "the connection was reset",
  NS_ERROR_NET_TIMEOUT: "the answer took too long",
  NS_ERROR_OFFLINE: "there is no network",
  NS_ERROR_PROXY_CONNECTION_REFUSED: "the proxy does not answer",
  NS_ERROR_UNKNOWN_HOST: "there is no such host",
  NS_ERROR_UNKNOWN_PROXY_HOST: "there is no such proxy",
};

/** @param {number} bytes */
export function megabytes(bytes) {
  return `${Math.round(bytes / 1_048_576).toLocaleString()} MB`;
}

/**
 * @param {number} seconds
 * @returns {string} such as "4:05" or "1:00:00"
 */
export function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const parts = [Math.floor(whole / 60) % 60, whole % 60].map((part) => String(part).padStart(2, "0"));
  const hours = Math.floor(whole / 3600);
  return hours ? `${hours}:${parts.join(":")}` : parts.join(":").replace(/^0/, "");
}

/** @param {string} time in ISO 8601 */
export function timeOfDay(time) {
  return new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

/** @param {string | null} time in ISO 8601 */
export function secondsUntil(time) {
  return time ? (Date.parse(time) - Date.now()) / 1000 : 0;
}

/** @param {string} name as programs know it, such as LOGGED_IN or over_budget */
export function plain(name) {
  return name.toLowerCase().replaceAll("_", " ");
}

/**
 * Put what Firefox says of a page that it can't load into words.
 * @param {string} text
 */
export function explained(text) {
  const [code] = text.match(/\bNS_ERROR_\w+/) ?? [];
  const words = code && NETWORK_ERRORS[code];
  return words ? `The page could not be loaded: ${words} (${code}).` : text;
}

/** @param {string} id */
export function short(id) {
  return id.slice(0, 8);
}
