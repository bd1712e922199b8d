/** A sheet to draw on: by mouse, finger or pen, or with the keys. Black ink on white, in the dark as well. */

import { element } from "./dom.js";

const SIDE = 280; // of the picture that is sent; strokes are in its pixels
const SHARPNESS = 2; // pixels of the screen's sheet for one of the picture's
const WIDTH = 20;
const STEP = 7;
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Pad {
  #strokes = [];
  #pointer = null;
  #pen = { x: SIDE / 2, y: SIDE / 2, down: false };

  /** `changed` is called with whether the pen is still down. */
  constructor({ changed }) {
    this.changed = changed;
    const side = SIDE * SHARPNESS;
    this.canvas = element("canvas", { width: side, height: side });
    this.cursor = element("span", { class: "cursor", "aria-hidden": "true" });
    this.node = element(
      "div",
      {
        class: "sheet",
        tabindex: 0,
        role: "application",
        "aria-roledescription": "drawing area",
        "aria-label": "Draw a digit",
        "aria-describedby": "pad-keys",
      },
      this.canvas,
      this.cursor,
    );
    this.#context = this.canvas.getContext("2d");
    this.#listen();
    this.#redraw();
  }

  #context;

  /** [width, height] of the picture, in pixels. */
  get size() {
    return [SIDE, SIDE];
  }

  get empty() {
    return this.#strokes.length === 0;
  }

  undo() {
    this.#putDown();
    this.#strokes.pop();
    this.#redraw();
    this.changed(false);
  }

  clear() {
    this.#putDown();
    this.#strokes = [];
    this.#redraw();
    this.changed(false);
  }

  /** No stroke goes on that is not there any more. */
  #putDown() {
    this.#pen.down = false;
    this.#pointer = null;
  }

  /** What is drawn, as a PNG. */
  picture() {
    const canvas = new OffscreenCanvas(SIDE, SIDE);
    const context = canvas.getContext("2d");
    context.drawImage(this.canvas, 0, 0, SIDE, SIDE);
    return canvas.convertToBlob({ type: "image/png" });
  }

  #listen() {
    this.canvas.addEventListener("pointerdown", (event) => this.#down(event));
    this.canvas.addEventListener("pointermove", (event) => this.#move(event));
    this.canvas.addEventListener("pointerup", (event) => this.#up(event));
    this.canvas.addEventListener("pointercancel", (event) => this.#up(event));
    this.node.addEventListener("keydown", (event) => this.#pressed(event));
  }

  #down(event) {
    if (this.#pointer !== null || event.button !== 0) return;
    this.node.classList.remove("keys");
    this.#pen.down = false; // one stroke at a time
    this.#showPen();
    this.#pointer = event.pointerId;
    this.canvas.setPointerCapture(event.pointerId);
    this.#strokes.push([]);
    this.#extend(this.#pointOf(event));
    this.changed(true);
  }

  #move(event) {
    if (event.pointerId !== this.#pointer) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const one of events.length ? events : [event]) this.#extend(this.#pointOf(one));
    this.changed(true);
  }

  #up(event) {
    if (event.pointerId !== this.#pointer) return;
    this.#pointer = null;
    this.changed(false);
  }

  #pointOf({ clientX, clientY, pressure, pointerType }) {
    const box = this.canvas.getBoundingClientRect();
    const x = ((clientX - box.left) / box.width) * SIDE;
    const y = ((clientY - box.top) / box.height) * SIDE;
    // A mouse always says a half, a finger on most screens 0 or 1; a pen says how hard it is pressed.
    const width = pointerType === "pen" && pressure > 0 ? WIDTH * (0.5 + pressure) : WIDTH;
    return { x, y, width };
  }

  #pressed(event) {
    const move = MOVES[event.key];
    const free = this.#pointer === null; // of another pen, whose stroke is the last
    if (move) free && this.#step(move);
    else if (event.key === " ") free && this.#lift();
    else if (event.key === "z" && (event.ctrlKey || event.metaKey)) this.undo();
    else if (event.key === "Delete" || event.key === "Backspace") this.clear();
    else return;
    event.preventDefault();
    this.node.classList.add("keys");
  }

  #step([right, down]) {
    const inside = (value) => Math.min(SIDE - WIDTH / 2, Math.max(WIDTH / 2, value));
    this.#pen.x = inside(this.#pen.x + STEP * right);
    this.#pen.y = inside(this.#pen.y + STEP * down);
    this.#showPen();
    if (!this.#pen.down) return;
    this.#extend({ ...this.#pen, width: WIDTH });
    this.changed(true);
  }

  #lift() {
    this.#pen.down = !this.#pen.down;
    if (this.#pen.down) {
      this.#strokes.push([]);
      this.#extend({ ...this.#pen, width: WIDTH });
    }
    this.#showPen();
    this.changed(this.#pen.down);
  }

  #showPen() {
    this.cursor.style.left = `${(100 * this.#pen.x) / SIDE}%`;
    this.cursor.style.top = `${(100 * this.#pen.y) / SIDE}%`;
    this.cursor.classList.toggle("down", this.#pen.down);
  }

  #extend({ x, y, width }) {
    const stroke = this.#strokes.at(-1);
    stroke.push({ x, y, width });
    this.#ink(stroke.at(-2) ?? stroke.at(-1), stroke.at(-1));
  }

  #ink(from, to) {
    const context = this.#context;
    context.lineWidth = to.width;
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.lineTo(to.x, to.y);
    context.stroke();
    context.beginPath();
    context.arc(to.x, to.y, to.width / 2, 0, 2 * Math.PI);
    context.fill();
  }

  #redraw() {
    const context = this.#context;
    context.setTransform(SHARPNESS, 0, 0, SHARPNESS, 0, 0);
    context.fillStyle = "#fff";
    context.fillRect(0, 0, SIDE, SIDE);
    context.fillStyle = context.strokeStyle = "#000";
    context.lineCap = "round";
    for (const stroke of this.#strokes) {
      stroke.forEach((point, at) => this.#ink(stroke[Math.max(0, at - 1)], point));
    }
    this.#showPen();
  }
}
