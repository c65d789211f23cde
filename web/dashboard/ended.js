// @ts-check
/** How a session has ended, in place of what its browser showed. */

import { find, make, show } from "./dom.js";
import { clock, megabytes, plain, secondsUntil, timeOfDay } from "./format.js";
import { loginOf, names } from "./words.js";

/** @param {import("./words.js").Session} session that has ended */
export function drawEnd(session) {
  show(find("view-panel", HTMLElement), false);
  show(find("console-panel", HTMLElement), false);
  show(find("network-panel", HTMLElement), false);
  const panel = find("end-panel", HTMLElement);
  if (!panel.hidden) return;
  show(panel, true);
  find("receipt", HTMLElement).replaceChildren(
    ...linesOf(session).flatMap(([what, value]) => [make("dt", {}, what), make("dd", {}, value)]),
  );
}

/**
 * @param {import("./words.js").Session} session
 * @returns {[string, string][]}
 */
function linesOf(session) {
  const receipt = session.receipt;
  /** @type {[string, string][]} */
  const lines = [
    ["Reason", plain(session.end_reason || "unknown")],
    ["Login", loginOf(session)],
    ["Profile", session.profile],
    ["Began", timeOfDay(session.created_at)],
  ];
  if (!receipt) return lines;
  const seconds = Object.values(receipt.phase_ms).reduce((sum, ms) => sum + ms, 0) / 1000;
  lines.push(
    ["Lasted", clock(seconds)],
    [
      "Processes",
      `${receipt.processes.politely} ended by themselves, ${receipt.processes.by_force} were killed`,
    ],
    ["Disk freed", megabytes(receipt.bytes_freed)],
    ["Left behind", receipt.left.join(", ") || "nothing"],
  );
  if (receipt.commit) {
    const { generation, problem } = receipt.commit;
    lines.push(["Profile saved", generation ? `as generation ${generation}` : `no: ${problem}`]);
  }
  for (const held of receipt.held) {
    const length = clock(secondsUntil(held.until) - secondsUntil(held.since));
    lines.push(["Controlled by", `${held.by}, from ${timeOfDay(held.since)}, for ${length}`]);
  }
  if (session.watched.length) lines.push(["Watched by", names(session.watched)]);
  return lines;
}
