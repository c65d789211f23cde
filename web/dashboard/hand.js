// @ts-check
/** Turns what the user does on the picture into what is done in the page. */

const BUTTONS = /** @type {const} */ (["left", "middle", "right"]);
const KEYS = new Set([
  ...["Enter", "Tab", "Backspace", "Delete", "Escape", "Home", "End", "PageUp", "PageDown", "Insert"],
  ...["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"],
  ...Array.from({ length: 12 }, (_, number) => `F${number + 1}`),
]);
const LINE_PX = 40;
const IS_MAC = /Mac/.test(navigator.platform);

/** The hand on a canvas. `isOn` says whether the user has control; `say` sends what they do. */
export class Hand {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {() => boolean} isOn
   * @param {(message: object) => void} say
   */
  constructor(canvas, isOn, say) {
    this.canvas = canvas;
    this.say = say;
    /** @type {MouseEvent | null} */
    this.moved = null;
    /** @type {Touch | null} */
    this.touch = null;
    this.isOn = isOn;
  }

  listen() {
    const { canvas } = this;
    this.on("mousedown", (event) => {
      canvas.focus();
      this.press("down", event);
    });
    this.on("mouseup", (event) => this.press("up", event));
    this.on("mousemove", (event) => this.move(event));
    this.on("wheel", (event) => this.turn(event));
    this.on("contextmenu", () => {});
    this.on(
      "keydown",
      (event) => this.key(event),
      (event) => this.isForPage(event),
    );
    this.on(
      "touchstart",
      (event) => (this.touch = event.touches[0] ?? null),
      () => false,
    );
    this.on("touchmove", (event) => this.scroll(event));
    document.addEventListener("paste", (event) => {
      const text = event.clipboardData?.getData("text/plain");
      if (text && this.isOn() && document.activeElement === canvas) {
        event.preventDefault();
        this.say({ type: "paste", text });
      }
    });
  }

  /**
   * @template {keyof HTMLElementEventMap} K
   * @param {K} type
   * @param {(event: HTMLElementEventMap[K]) => void} act
   * @param {(event: HTMLElementEventMap[K]) => boolean} [isTaken] whether the browser itself is to ignore it
   */
  on(type, act, isTaken = () => true) {
    this.canvas.addEventListener(
      type,
      (event) => {
        if (!this.isOn()) return;
        if (isTaken(event)) event.preventDefault();
        act(event);
      },
      { passive: false },
    );
  }

  /**
   * @param {{clientX: number, clientY: number}} event
   * @returns {{x: number, y: number}} in the page's own pixels
   */
  place(event) {
    const box = this.canvas.getBoundingClientRect();
    const style = getComputedStyle(this.canvas);
    const border = parseFloat(style.borderLeftWidth);
    const x = ((event.clientX - box.left - border) * this.canvas.width) / (box.width - 2 * border);
    const y = ((event.clientY - box.top - border) * this.canvas.height) / (box.height - 2 * border);
    return { x: Math.round(x), y: Math.round(y) };
  }

  /**
   * @param {"down" | "up"} action
   * @param {MouseEvent} event
   */
  press(action, event) {
    const button = BUTTONS[event.button];
    const clicks = Math.min(3, Math.max(1, event.detail));
    if (button) this.say({ type: "mouse", action, button, clicks, ...this.place(event) });
  }

  /** @param {MouseEvent} event */
  move(event) {
    const isWaiting = this.moved !== null;
    this.moved = event;
    if (isWaiting) return;
    requestAnimationFrame(() => {
      if (this.moved) this.say({ type: "mouse", action: "move", ...this.place(this.moved) });
      this.moved = null;
    });
  }

  /** @param {WheelEvent} event */
  turn(event) {
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? 1 : LINE_PX;
    this.say({ type: "wheel", dx: event.deltaX * unit, dy: event.deltaY * unit, ...this.place(event) });
  }

  /** @param {TouchEvent} event */
  scroll(event) {
    const now = event.touches[0];
    if (!now || !this.touch) return;
    const [dx, dy] = [this.touch.clientX - now.clientX, this.touch.clientY - now.clientY];
    this.touch = now;
    this.say({ type: "wheel", dx: 2 * dx, dy: 2 * dy, ...this.place(now) });
  }

  /** @param {KeyboardEvent} event */
  isForPage(event) {
    const isPaste = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "v";
    return !isPaste && !isLeaving(event);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (isLeaving(event)) this.canvas.blur();
    if (!this.isForPage(event) || event.isComposing) return;
    const modifiers = [];
    if (event.ctrlKey) modifiers.push("Control");
    if (event.altKey) modifiers.push("Alt");
    if (event.metaKey) modifiers.push("Meta");
    const isCharacter = event.key.length === 1;
    if (isCharacter && (!modifiers.length || isThirdLevel(event)))
      this.say({ type: "text", text: event.key });
    else if (isCharacter || KEYS.has(event.key)) {
      if (event.shiftKey) modifiers.push("Shift");
      this.say({ type: "key", key: event.key, modifiers });
    }
  }
}

/**
 * Say whether the keyboard's layout makes another character of a key: with AltGr, which Windows takes for
 * Ctrl+Alt, or with Option on a Mac.
 * @param {KeyboardEvent} event
 */
function isThirdLevel(event) {
  if (event.getModifierState("AltGraph")) return true;
  return IS_MAC && event.altKey && !event.ctrlKey && !event.metaKey;
}

/** @param {KeyboardEvent} event */
function isLeaving(event) {
  return event.ctrlKey && event.altKey && !event.getModifierState("AltGraph");
}
