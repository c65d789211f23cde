// @ts-check
/** The page that shows one session. */

import { ask, link, pathOf, Refused } from "./api.js";
import { end, extend, lifeLeft } from "./card.js";
import { Control } from "./control.js";
import { attempt, confirmed, find, make, show, tell, write } from "./dom.js";
import { drawEnd } from "./ended.js";
import { note } from "./feed.js";
import { clock, explained, megabytes, plain, secondsUntil, short } from "./format.js";
import { Hand } from "./hand.js";
import { loggedIn, showScope } from "./login.js";
import * as panels from "./panels.js";
import { Socket } from "./socket.js";
import { Tabs } from "./tabs.js";
import { loginOf, profileOf, taskOf } from "./words.js";

const TABS_MS = 3_000;
// How often to ask for a session that is ending.
const ENDING_MS = 1000;
// So soon after a click, the page may show a dialog.
const CLICKED_MS = 400;

const id = decodeURIComponent(location.pathname.split("/")[3] ?? "");
const path = pathOf(id);
const screen = find("screen", HTMLCanvasElement);
const connection = find("connection", HTMLElement);
/** @type {import("./words.js").Session | null} */
let session = null;

const control = new Control(path, (lease) => {
  socket.say({ type: "lease", lease });
  drawControl();
  tabs.enable();
});
const tabs = new Tabs(path, control, drawDialog);
const socket = new Socket(id, {
  onEvent: hear,
  onFrame: draw,
  onRefused: refused,
  onOpen() {
    show(connection, false);
    if (control.lease) socket.say({ type: "lease", lease: control.lease });
    tabs.refresh();
  },
  onClose: closed,
});
const hand = new Hand(
  screen,
  () => control.isHeld,
  (message) => {
    socket.say(message);
    if (/** @type {any} */ (message).action === "up") setTimeout(() => tabs.refresh(), CLICKED_MS);
  },
);

/** @param {import("./words.js").Event} event */
function hear(event) {
  note(find("feed", HTMLElement), event);
  if (event.session) put(event.session);
  if (event.type === "session.action") tabs.refresh();
}

/** @param {import("./words.js").Session} now */
function put(now) {
  session = now;
  control.hear(now.control);
  panels.fillWatchers(now);
  drawFacts();
  drawControl();
}

function drawFacts() {
  if (!session) return;
  const name = short(session.id);
  write(find("title", HTMLElement), `Session ${name}`);
  document.title = `${name} ${session.state} – Greenroom`;
  const isLive = session.state === "live";
  const left = secondsUntil(session.expires_at);
  const facts = [
    session.end_reason ? `${session.state}: ${plain(session.end_reason)}` : session.state,
    loginOf(session),
    profileOf(session),
    session.usage ? megabytes(session.usage.memory_bytes) : "",
    isLive ? `${clock(left)} left` : "",
    session.clients ? `${session.clients} attached` : "",
  ];
  const list = find("facts", HTMLElement);
  const shown = facts.filter(Boolean).map((fact) => make("li", {}, fact));
  if (list.textContent !== shown.map((item) => item.textContent).join("")) list.replaceChildren(...shown);
  write(find("task", HTMLElement), taskOf(session));
  show(find("task", HTMLElement), taskOf(session) !== "");
  show(find("time-left", HTMLElement), isLive);
  find("left", HTMLProgressElement).value = lifeLeft(session);
  for (const name of ["longer", "end"]) show(find(name, HTMLElement), !link && !isOver());
  find("longer", HTMLButtonElement).disabled = !isLive;
  const bundle = find("bundle", HTMLAnchorElement);
  bundle.href = `${path}/bundle`;
  show(bundle, !link && session.has_bundle && session.state === "ended");
  show(find("links-panel", HTMLElement), !link && isLive);
  show(find("attach-panel", HTMLElement), !link && isLive);
  if (session.state === "ended") drawEnd(session);
}

function isOver() {
  return session !== null && ["ending", "ended"].includes(session.state);
}

function drawControl() {
  const by = session?.control?.by;
  const button = find("control", HTMLButtonElement);
  write(
    find("holder", HTMLElement),
    control.isHeld ? "You have control" : by ? `${by} has control` : "Programs have control",
  );
  write(button, control.isHeld ? "Hand back" : "Take over");
  show(button, session?.state === "live" && mayControl);
  screen.dataset.held = control.isHeld ? "you" : "";
  for (const name of ["text", "type", "enter"]) {
    /** @type {any} */ (find(name, HTMLElement)).disabled = !control.isHeld;
  }
  for (const id of ["dialog-answer", "dialog-accept", "dialog-dismiss"]) {
    /** @type {any} */ (find(id, HTMLElement)).disabled = !control.isHeld;
  }
}

/** @param {import("./tabs.js").Dialog | null} dialog */
function drawDialog(dialog) {
  show(find("dialog", HTMLElement), dialog !== null);
  if (!dialog) return;
  write(
    find("dialog-text", HTMLElement),
    `The page ${dialog.type === "alert" ? "says" : "asks"}: “${dialog.message}”`,
  );
  show(find("dialog-field", HTMLElement), dialog.type === "prompt");
  show(find("dialog-dismiss", HTMLElement), dialog.type !== "alert");
}

// What a link allows is checked by the daemon; this only hides what would be refused.
let mayControl = new URLSearchParams(location.hash.slice(1)).get("mode") !== "view";

/**
 * @param {{page: string, width: number, height: number}} frame
 * @param {Blob} jpeg
 */
async function draw(frame, jpeg) {
  const picture = await createImageBitmap(jpeg).catch(() => null);
  if (!picture) return; // the next one may be whole
  if (screen.width !== frame.width) screen.width = frame.width;
  if (screen.height !== frame.height) screen.height = frame.height;
  screen.getContext("2d")?.drawImage(picture, 0, 0, frame.width, frame.height);
  picture.close();
}

/** @param {{of: string, code: string, details: string, explanation: string | null}} why */
function refused(why) {
  if (why.code === "CONTROL_HELD") control.keep(null);
  if (why.code === "NOT_ALLOWED") mayControl = false;
  if (why.code === "DIALOG_OPEN") tabs.refresh();
  else tell(explained(why.explanation || why.details), "problem");
  drawControl();
}

/**
 * @param {{code: number, reason: string}} why
 * @param {boolean} isEnd
 */
function closed(why, isEnd) {
  if (isEnd) {
    control.keep(null);
    write(connection, `You are no longer watching: ${why.reason}.`);
    show(connection, true);
    return;
  }
  load()
    .then((isThere) => {
      if (isThere) write(connection, "Connecting …");
    })
    .catch(() => write(connection, "The daemon does not answer. Trying again …"))
    .finally(() => show(connection, !isOver()));
}

/** Learn what the daemon knows of the session; it knows ended ones for some time. */
async function load() {
  try {
    const answer = await loggedIn(() => ask("GET", path));
    put(answer.session);
    // Nobody can watch it any more, so nobody tells when it has ended.
    if (answer.session.state === "ending") setTimeout(() => load().catch(() => {}), ENDING_MS);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const isUnknown = error.status === 404;
    write(
      connection,
      isUnknown
        ? "The daemon does not know this session: it ended long ago, or the daemon was restarted."
        : error.message,
    );
    show(connection, true);
    return false;
  }
  return !isOver();
}

/** @param {boolean} accept */
async function answerDialog(accept) {
  const field = find("dialog-answer", HTMLInputElement);
  const text = field.value;
  await tabs.act({ kind: "dialog", accept, ...(accept && text ? { text } : {}) });
  field.value = "";
}

/** Take control, also from somebody else if the user confirms that. */
async function takeOver() {
  const by = session?.control?.by;
  if (!by || link) return control.take();
  if (!(await confirmed(`${by} has control of this session. Take it from them?`, "Take control"))) return;
  await control.giveBack();
  await control.take();
}

function listen() {
  const button = find("control", HTMLButtonElement);
  button.addEventListener("click", () =>
    attempt(async () => {
      if (control.isHeld) await control.giveBack();
      else {
        await takeOver();
        screen.focus();
      }
    }, button),
  );
  find("longer", HTMLElement).addEventListener("click", () =>
    attempt(() => extend(id), find("longer", HTMLButtonElement)),
  );
  find("end", HTMLElement).addEventListener("click", () =>
    attempt(() => end(id), find("end", HTMLButtonElement)),
  );
  find("dialog-accept", HTMLElement).addEventListener("click", () => attempt(() => answerDialog(true)));
  find("dialog-dismiss", HTMLElement).addEventListener("click", () => attempt(() => answerDialog(false)));
  find("enter", HTMLElement).addEventListener("click", () => socket.say({ type: "key", key: "Enter" }));
  find("text-form", HTMLFormElement).addEventListener("submit", (event) => {
    event.preventDefault();
    const field = find("text", HTMLInputElement);
    if (field.value) socket.say({ type: "paste", text: field.value });
    field.value = "";
  });
  tabs.listen();
  hand.listen();
  if (!link) {
    panels.keepFilled("console-panel", () => panels.fillConsole(path));
    panels.keepFilled("network-panel", () => panels.fillNetwork(path));
    panels.keepFilled("links-panel", () => panels.fillLinks(path));
    panels.keepFilled("attach-panel", () => panels.fillSnippet(path));
    panels.listenForLinks(path);
    panels.listenForCopy();
  }
  for (const name of ["console-panel", "network-panel", "all"]) show(find(name, HTMLElement), !link);
  setInterval(drawFacts, 1000);
  setInterval(() => {
    if (!document.hidden && !isOver()) tabs.refresh();
  }, TABS_MS);
}

async function begin() {
  listen();
  if (!(await load())) return;
  await showScope();
  socket.connect();
}

begin().catch((error) => tell(String(error), "problem"));
