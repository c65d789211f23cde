// @ts-check
/** The WebSocket of one session: events, pictures, and what is done by hand. */

import { link, pathOf } from "./api.js";

const GONE = 4003;
const FPS = 12;
const QUALITY = 60;

/**
 * @typedef {object} Listener
 * @property {(event: import("./words.js").Event) => void} onEvent
 * @property {(frame: {page: string, width: number, height: number}, jpeg: Blob) => Promise<void>} onFrame
 * @property {(refused: {of: string, code: string, details: string, explanation: string | null}) => void} onRefused
 * @property {() => void} onOpen
 * @property {(why: {code: number, reason: string}, isOver: boolean) => void} onClose
 */

/** A connection that comes back by itself. */
export class Socket {
  /**
   * @param {string} id
   * @param {Listener} listener
   */
  constructor(id, listener) {
    this.address = new URL(`${pathOf(id)}/watch`, location.href);
    this.address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    this.address.hash = "";
    this.listener = listener;
    this.tries = 0;
    /** @type {WebSocket | undefined} */
    this.socket = undefined;
    document.addEventListener("visibilitychange", () => this.wish());
  }

  connect() {
    const socket = new WebSocket(
      this.address,
      link ? ["greenroom", `greenroom.link.${link}`] : ["greenroom"],
    );
    socket.binaryType = "blob";
    this.socket = socket;
    /** @type {any} */
    let announced = null;
    socket.onopen = () => {
      this.tries = 0;
      this.wish();
      this.listener.onOpen();
    };
    socket.onmessage = async (message) => {
      if (message.data instanceof Blob) {
        const frame = announced;
        await this.listener.onFrame(frame, message.data);
        this.say({ type: "ack", seq: frame.seq });
        return;
      }
      const said = JSON.parse(message.data);
      if (said.type === "frame") announced = said;
      else if (said.type === "refused") this.listener.onRefused(said);
      else if (said.type !== "heartbeat") this.listener.onEvent(said);
    };
    socket.onclose = (why) => {
      const isOver = why.code === 1000 || why.code === GONE;
      this.listener.onClose(why, isOver);
      if (!isOver) setTimeout(() => this.connect(), Math.min(5_000, 500 * 2 ** this.tries++));
    };
  }

  /** Ask for pictures, unless nobody sees this page. */
  wish() {
    this.say({ type: "view", fps: document.hidden ? 0 : FPS, quality: QUALITY });
  }

  /** @param {object} message */
  say(message) {
    if (this.socket && this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }
}
