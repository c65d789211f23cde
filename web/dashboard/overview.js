// @ts-check
/** The page that shows all sessions. */

import { ask, link, send } from "./api.js";
import { Card } from "./card.js";
import { attempt, find, make, show, tell, write } from "./dom.js";
import { note } from "./feed.js";
import { loggedIn, showScope } from "./login.js";
import { refreshProfiles } from "./profiles.js";
import * as tables from "./tables.js";
import { Thumbnails } from "./thumbnails.js";
import { TYPES } from "./words.js";

const MAX_ENDED = 20;
// How many events of before the page was loaded are shown.
const MAX_BEFORE = 100;
// With so many sessions it is worth searching.
const MANY = 7;
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
  await showScope();
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
  refreshProfiles().catch(() => {}); // the next refresh may succeed
}

/** @param {string} lastId of the events that the overview already knows */
function listen(lastId) {
  const known = numberOf(lastId);
  const from = hasFeed ? known : Math.max(0, known - MAX_BEFORE);
  const begin = `${lastId.slice(0, lastId.lastIndexOf("-"))}-${from}`;
  const source = new EventSource(`/events?last_event_id=${encodeURIComponent(begin)}`);
  hasFeed = true;
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
      } else {
        /** @type {import("./words.js").Event} */
        const event = JSON.parse(/** @type {MessageEvent} */ (message).data);
        note(find("feed", HTMLElement), event);
        if (numberOf(event.id) > known) hear(event);
      }
    });
  }
}

let hasFeed = false;

/** @param {string} id an event's */
function numberOf(id) {
  return Number(id.slice(id.lastIndexOf("-") + 1));
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
  draw();
  if (event.type === "session.live" || event.type === "session.ended") refreshSoon();
}

let isRefreshing = false;

/** Refresh once for all that happens meanwhile. */
function refreshSoon() {
  if (isRefreshing) return;
  isRefreshing = true;
  setTimeout(() => {
    isRefreshing = false;
    refresh();
  }, REFRESH_SOON_MS);
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

let isDrawing = false;

/** Draw everything but the cards, once for all that has changed by then. */
function draw() {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(() => {
    isDrawing = false;
    drawFacts();
    tables.drawChecks(daemon.checks || {});
    tables.drawWarm(warm.values(), hosts);
    tables.drawEnded(ended);
    show(find("none", HTMLElement), cards.size === 0);
    search();
  });
}

/** Show the sessions that have what the user looks for. */
function search() {
  const field = find("search", HTMLInputElement);
  show(find("search-field", HTMLElement), cards.size >= MANY || field.value !== "");
  const wanted = field.value.trim().toLowerCase();
  for (const card of cards.values()) show(card.element, card.text.includes(wanted));
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
  find("search", HTMLInputElement).addEventListener("input", search);
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
    await refreshProfiles();
  } catch {
    // The stream of events tells whether the daemon answers.
  }
}

if (link) tell("This link is for one session: open the whole address.", "problem");
begin();
