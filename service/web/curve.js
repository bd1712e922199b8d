/** How an answer changes with one column: its curve, where it was fitted, and where it crosses a threshold. */

import { drawn, element, short } from "./dom.js";
import { niceStep } from "./fields.js";

const HEIGHT = 260;
const MARGIN = { left: 44, right: 14, top: 26, bottom: 40 };
const MOST_LINES = 5;

export class Curve {
  #shown = null;
  #across = null;

  /** `labels`: of the lines, which have their place before there is one. */
  constructor({ labels, onpick }) {
    this.onpick = onpick;
    this.svg = drawn("svg", { height: HEIGHT, role: "img" });
    this.words = element("p", { class: "muted" });
    this.legend = element("p", { class: "legend" }, ...keysOf(labels));
    this.node = element("figure", { class: "curve" }, this.svg, this.legend, this.words);
    this.clear();
    this.observer = new ResizeObserver(() => this.#draw());
    this.observer.observe(this.node);
    this.svg.addEventListener("pointerdown", (event) => this.#pick(event));
    this.svg.addEventListener("pointermove", (event) => event.buttons && this.#pick(event));
  }

  stop() {
    this.observer.disconnect();
  }

  /**
   * `xs`: values of the column; `lines`: [{label, ys}]; `threshold`: of the first line, or null; `share`:
   * whether they are probabilities; `training`: [low, high] or null; `at`: the value that is asked.
   */
  show(shown) {
    this.#shown = shown;
    this.#draw();
  }

  /** None is shown, and nothing can be picked on it. */
  clear() {
    this.#shown = null;
    this.#across = null;
    this.svg.replaceChildren();
    this.svg.setAttribute("aria-label", "No curve yet");
    this.words.textContent = "";
  }

  /** Where the mark stands: the value that is asked. */
  mark(at) {
    if (!this.#shown) return;
    this.#shown.at = at;
    this.#draw();
  }

  #draw() {
    const width = Math.floor(this.node.clientWidth);
    if (!this.#shown || width < 60) return;
    const { xs, lines, share, threshold, training, at, column } = this.#shown;
    const shownLines = lines.slice(0, MOST_LINES);
    const values = shownLines.flatMap(({ ys }) => ys);
    const [low, high] = share ? [0, 1] : padded(Math.min(...values), Math.max(...values));
    const x = scale([xs[0], xs.at(-1)], [MARGIN.left, width - MARGIN.right]);
    const y = scale([low, high], [HEIGHT - MARGIN.bottom, MARGIN.top]);
    this.#across = x;
    const crossings = threshold === null ? [] : crossingsOf(xs, lines[0].ys, threshold);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.svg.setAttribute("width", width);
    this.svg.replaceChildren(
      ...(training ? fitted(training, x) : []),
      ...axes(x, y, width, column),
      ...(shownLines.length === 1 ? [drawn("text", { x: 0, y: 13 }, lines[0].label)] : []),
      ...(threshold === null ? [] : level(threshold, y, width)),
      ...shownLines.map(({ ys }, place) => line(xs, ys, x, y, place)),
      ...crossings.map((value) => crossing(value, x, y(threshold), width)),
      ...mark(at, xs, shownLines, x, y),
    );
    this.#say(crossings, shownLines);
  }

  #say(crossings, shownLines) {
    const { column, threshold, training } = this.#shown;
    const units = column.units ? ` ${column.units}` : "";
    const said = crossings.map((value) => `Crosses ${short(threshold)} at ${short(value, 3)}${units}`);
    const where = training ? `Fitted on ${short(training[0])} to ${short(training[1])}, shaded` : "";
    const names = shownLines.map(({ label }) => label).join(", ");
    this.words.textContent = [...said, where].filter(Boolean).join(". ");
    this.svg.setAttribute("aria-label", `${names} by ${column.name}: ${this.words.textContent || "a curve"}`);
  }

  #pick(event) {
    if (!this.#across) return;
    const { xs } = this.#shown;
    const left = event.clientX - this.svg.getBoundingClientRect().left;
    const step = 10 ** Math.floor(Math.log10((xs.at(-1) - xs[0]) / 1000)); // finer than a pixel
    const value = Math.round(this.#across.back(left) / step) * step;
    this.onpick(Math.min(xs.at(-1), Math.max(xs[0], value)));
  }
}

/** What each line is; one alone says so at its axis. */
function keysOf(labels) {
  if (labels.length === 1) return [];
  const shown = labels.slice(0, MOST_LINES);
  const keys = shown.map((label, place) =>
    element("span", {}, element("i", { class: `line-${place}`, "aria-hidden": "true" }), label),
  );
  const rest = labels.length - shown.length;
  return rest ? [...keys, `and ${rest} more`] : keys;
}

/** Where a line passes a level, between the points it is known at. */
export function crossingsOf(xs, ys, level) {
  const found = [];
  for (let at = 1; at < xs.length; at += 1) {
    const [before, after] = [ys[at - 1] - level, ys[at] - level];
    if (before < 0 !== after < 0) {
      found.push(xs[at - 1] + ((xs[at] - xs[at - 1]) * before) / (before - after));
    }
  }
  return found;
}

function scale([from, to], [start, end]) {
  const across = (value) => start + ((value - from) / (to - from)) * (end - start);
  across.back = (place) => from + ((place - start) / (end - start)) * (to - from);
  across.from = from;
  across.to = to;
  return across;
}

function padded(low, high) {
  const room = (high - low || Math.abs(high) || 1) * 0.08;
  return [low - room, high + room];
}

function fitted([low, high], x) {
  const [left, right] = [Math.max(low, x.from), Math.min(high, x.to)].map(x);
  const width = Math.max(2, right - left);
  const height = HEIGHT - MARGIN.top - MARGIN.bottom;
  return [drawn("rect", { class: "fitted", x: left, y: MARGIN.top, width, height })];
}

function axes(x, y, width, column) {
  const bottom = HEIGHT - MARGIN.bottom;
  const parts = [];
  for (const value of ticks(y.from, y.to, 4)) {
    parts.push(drawn("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(value), y2: y(value) }));
    parts.push(drawn("text", { x: MARGIN.left - 8, y: y(value) + 4, "text-anchor": "end" }, short(value)));
  }
  for (const value of ticks(x.from, x.to, width < 420 ? 5 : 10)) {
    parts.push(drawn("line", { class: "tick", x1: x(value), x2: x(value), y1: bottom, y2: bottom + 5 }));
    parts.push(drawn("text", { x: x(value), y: bottom + 18, "text-anchor": "middle" }, short(value)));
  }
  const named = column.units && column.units !== column.name ? `${column.name} (${column.units})` : column.name;
  parts.push(drawn("line", { class: "axis", x1: MARGIN.left, x2: width - MARGIN.right, y1: bottom, y2: bottom }));
  parts.push(drawn("text", { x: width - MARGIN.right, y: HEIGHT - 6, "text-anchor": "end" }, named));
  return parts;
}

function level(threshold, y, width) {
  const at = y(threshold);
  return [drawn("line", { class: "threshold", x1: MARGIN.left, x2: width - MARGIN.right, y1: at, y2: at })];
}

function line(xs, ys, x, y, place) {
  const points = xs.map((value, at) => `${x(value).toFixed(1)},${y(ys[at]).toFixed(1)}`).join(" ");
  return drawn("polyline", { class: `line line-${place}`, points });
}

function crossing(value, x, y, width) {
  const at = x(value);
  const side = at > width - 90 ? "end" : "start";
  const text = drawn("text", { class: "strong", x: at + (side === "end" ? -8 : 8), y: y + 18, "text-anchor": side }, short(value, 3));
  return drawn("g", { class: "crossing" }, drawn("circle", { cx: at, cy: y, r: 5 }), text);
}

function mark(at, xs, lines, x, y) {
  if (at === null || !(at >= xs[0] && at <= xs.at(-1))) return [];
  const dots = lines.map(({ ys }) => drawn("circle", { class: "dot", cx: x(at), cy: y(between(xs, ys, at)), r: 4 }));
  const rule = { class: "mark", x1: x(at), x2: x(at), y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom };
  return [drawn("line", rule), ...dots];
}

function between(xs, ys, at) {
  const after = Math.max(1, xs.findIndex((value) => value >= at));
  const share = (at - xs[after - 1]) / (xs[after] - xs[after - 1]);
  return ys[after - 1] + share * (ys[after] - ys[after - 1]);
}

function ticks(from, to, most) {
  const step = niceStep((to - from) / most);
  const first = Math.ceil(from / step - 1e-9);
  const last = Math.floor(to / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, at) => (first + at) * step);
}
