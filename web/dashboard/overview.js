// @ts-check
/** The page that shows all sessions. */

import { ask, link, send } from "./api.js";
import { Card } from "./card.js";
import { attempt, find, make, show, tell, write } from "./dom.js";
import { plain, short, timeOfDay } from "./format.js";
import { loggedIn } from "./login.js";
import { Thumbnails } from "./thumbnails.js";
import { sentence, TYPES } from "./words.js";

const MAX_ENDED = 20;
/** @type {Record<string, string>} */
const CLASSES = { ok: "good", unknown: "quiet" };
const MAX_LINES = 200;
const REFRESH_MS = 10_000;
const REFRESH_SOON_MS = 300;

/** @type {Map<string, Card>} */
const cards = new Map();
/** @type {Map<string, import("./words.js").Session>} */
const warm = new Map();
/** @type {Map<string, number>} */
const hosts = new Map();
/** @type {import("./words.js").Session[]} */
let ended = [];
/** @type {any} */
let daemon = {};
const thumbnails = new Thumbnails();

/** Take all that there is from the daemon, and listen to what changes. */
async function connect() {
  const overview = await loggedIn(() => ask("GET", "/overview"));
  daemon = overview;
  for (const [id, card] of [...cards]) {
    if (!overview.sessions.some((/** @type {any} */ session) => session.id === id)) remove(id, card);
  }
  overview.sessions.forEach(put);
  warm.clear();
  for (const session of overview.warm) warm.set(session.id, session);
  hosts.clear();
  for (const host of overview.hosts) hosts.set(host.id, host.sessions);
  ended = overview.ended.slice(0, MAX_ENDED);
  show(find("logout", HTMLElement), overview.has_token);
  draw();
  listen(overview.last_event_id);
}

/** @param {string} lastId */
function listen(lastId) {
  const source = new EventSource(`/events?last_event_id=${encodeURIComponent(lastId)}`);
  let wasLost = false;
  source.onopen = () => {
    show(find("connection", HTMLElement), false);
    if (wasLost) tell("The daemon answers again.");
    wasLost = false;
  };
  source.onerror = () => {
    wasLost = true;
    write(find("connection", HTMLElement), "The daemon does not answer. Trying again …");
    show(find("connection", HTMLElement), true);
    if (source.readyState === EventSource.CLOSED) {
      source.close();
      setTimeout(reconnect, 1000);
    }
  };
  for (const type of TYPES) {
    source.addEventListener(type, (message) => {
      if (type === "gap" || type === "dropped") {
        source.close();
        reconnect();
      } else hear(JSON.parse(/** @type {MessageEvent} */ (message).data));
    });
  }
}

/** Begin anew, once the daemon answers. */
async function reconnect() {
  try {
    await connect();
  } catch {
    setTimeout(reconnect, 1000);
  }
}

/** @param {import("./words.js").Event} event */
function hear(event) {
  const session = event.session;
  if (event.host) hearOfHost(event);
  else if (session && !session.is_requested) hearOfWarm(session);
  else if (session) {
    warm.delete(session.id);
    if (session.state === "ended") {
      const card = cards.get(session.id);
      if (card) remove(session.id, card);
      ended = [session, ...ended.filter((other) => other.id !== session.id)].slice(0, MAX_ENDED);
    } else put(session);
  }
  note(event);
  draw();
  if (event.type === "session.live" || event.type === "session.ended") setTimeout(refresh, REFRESH_SOON_MS);
}

/** @param {import("./words.js").Event} event */
function hearOfHost(event) {
  if (!event.host) return;
  if (event.type === "host.ended") hosts.delete(event.host.id);
  else hosts.set(event.host.id, event.host.sessions);
}

/** @param {import("./words.js").Session} session */
function hearOfWarm(session) {
  if (session.state === "ended") warm.delete(session.id);
  else warm.set(session.id, session);
}

/** @param {import("./words.js").Session} session */
function put(session) {
  const card = cards.get(session.id);
  if (card) card.update(session);
  else {
    const made = new Card(session);
    cards.set(session.id, made);
    find("sessions", HTMLElement).append(made.element);
    thumbnails.add(made);
  }
}

/**
 * @param {string} id
 * @param {Card} card
 */
function remove(id, card) {
  cards.delete(id);
  thumbnails.remove(card);
  card.element.remove();
}

/** @param {import("./words.js").Event} event */
function note(event) {
  const feed = find("feed", HTMLElement);
  feed.prepend(make("li", {}, make("time", {}, timeOfDay(event.at)), sentence(event)));
  while (feed.childElementCount > MAX_LINES) feed.lastElementChild?.remove();
}

let isDrawing = false;

/** Draw everything but the cards, once for all that has changed by then. */
function draw() {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(() => {
    isDrawing = false;
    drawFacts();
    drawChecks();
    drawWarm();
    drawEnded();
    show(find("none", HTMLElement), cards.size === 0);
  });
}

function drawFacts() {
  const states = [...cards.values()].map((card) => card.session.state);
  const queued = states.filter((state) => state === "queued").length;
  const creating = states.filter((state) => !["live", "ending", "queued"].includes(state)).length;
  const facts = [
    [`${cards.size} of ${daemon.max_sessions}`, "sessions"],
    [`${creating}`, "being created"],
    [`${queued}`, "queued"],
    [`${[...warm.values()].filter((session) => session.state === "warm").length}`, "warm"],
    [daemon.engine, ""],
    [daemon.sandbox, "sandbox"],
  ];
  find("facts", HTMLElement).replaceChildren(
    ...facts.map(([value, what]) => make("li", {}, make("b", {}, value), ` ${what}`)),
  );
}

function drawChecks() {
  const rows = Object.entries(daemon.checks || {}).map(([subject, check]) =>
    make(
      "tr",
      {},
      make("td", {}, plain(subject)),
      make("td", { class: CLASSES[check.health] || "bad" }, check.problem || check.health),
    ),
  );
  find("checks", HTMLElement).replaceChildren(...rows);
}

function drawWarm() {
  /** @type {[string, string][]} */
  const rows = [
    ...[...warm.values()].map((session) => both(`Session ${short(session.id)}`, session.state)),
    ...[...hosts].map(([id, count]) => both(`Host ${id}`, count === 1 ? "1 session" : `${count} sessions`)),
  ];
  find("warm", HTMLElement).replaceChildren(
    ...rows.map(([what, state]) => make("tr", {}, make("td", {}, what), make("td", {}, state))),
  );
}

/**
 * @param {string} what
 * @param {string} state
 * @returns {[string, string]}
 */
function both(what, state) {
  return [what, state];
}

function drawEnded() {
  find("ended", HTMLElement).replaceChildren(
    ...ended.map((session) => {
      const left = session.receipt?.left.length ? ` – left: ${session.receipt.left.join(", ")}` : "";
      return make(
        "tr",
        {},
        make("td", {}, make("a", { href: `/tiktok/session/${session.id}/live` }, short(session.id))),
        make(
          "td",
          { class: left ? "bad" : "" },
          `${plain(session.end_reason || "")}${left} `,
          ...bundleOf(session),
        ),
        make("td", {}, timeOfDay(session.created_at)),
      );
    }),
  );
}

/** @param {import("./words.js").Session} session */
function bundleOf(session) {
  return session.has_bundle ? [make("a", { href: `/tiktok/session/${session.id}/bundle` }, "bundle")] : [];
}

async function create() {
  tell("Creating a session: this takes some seconds.");
  await loggedIn(() => ask("POST", "/tiktok/session", {}));
  tell("The session is live.");
}

function begin() {
  const button = find("create", HTMLButtonElement);
  button.addEventListener("click", () => attempt(create, button));
  find("logout", HTMLElement).addEventListener("click", () =>
    attempt(async () => {
      await send("POST", "/logout");
      location.reload();
    }),
  );
  const wanted = find("thumbnails", HTMLInputElement);
  wanted.checked = localStorage.getItem("thumbnails") !== "no";
  thumbnails.areWanted = wanted.checked;
  wanted.addEventListener("change", () => {
    thumbnails.areWanted = wanted.checked;
    localStorage.setItem("thumbnails", wanted.checked ? "yes" : "no");
  });
  setInterval(() => {
    for (const card of cards.values()) card.tick();
  }, 1000);
  setInterval(refresh, REFRESH_MS);
  thumbnails.run();
  reconnect();
}

/** What is sampled, such as memory and the sessions of hosts, is no event. */
async function refresh() {
  if (document.hidden) return;
  try {
    const overview = await ask("GET", "/overview");
    daemon = overview;
    overview.sessions.forEach(put);
    hosts.clear();
    for (const host of overview.hosts) hosts.set(host.id, host.sessions);
    draw();
  } catch {
    // The stream of events tells whether the daemon answers.
  }
}

if (link) tell("This link is for one session: open the whole address.", "problem");
begin();
