// @ts-check
/** Numbers and times, as people read them. */

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

/** @param {string} id */
export function short(id) {
  return id.slice(0, 8);
}
