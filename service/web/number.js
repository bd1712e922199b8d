/** A number that was read digit by digit: boxes over the picture, and how sure the model is of each. */

import { drawn, element, percent } from "./dom.js";

export class Digits {
  #latest = null;

  constructor() {
    this.boxes = drawn("svg", { class: "boxes", "aria-hidden": "true" });
    this.list = element("ol", { class: "digits", "aria-label": "Each digit, and how sure the model is of it" });
    this.clear();
  }

  /** `predictions`: in reading order; `size`: resolves to that of the picture, or to null where it is not shown. */
  async show(predictions, size) {
    this.list.replaceChildren(...predictions.map(item));
    this.list.hidden = false;
    this.#latest = predictions;
    const extent = await size;
    if (!extent || this.#latest !== predictions) return;
    this.boxes.setAttribute("viewBox", `0 0 ${extent.join(" ")}`);
    this.boxes.replaceChildren(...predictions.flatMap(({ box }) => ["around", "box"].map((way) => outline(box, way))));
  }

  clear() {
    this.#latest = null;
    this.list.hidden = true;
    this.list.replaceChildren();
    this.boxes.replaceChildren();
  }
}

/** The digits as they are written, a line of text for each line of them. */
export function written(predictions) {
  const lines = [];
  for (const { digit, line } of predictions) lines[line] = (lines[line] ?? "") + digit;
  return lines.join("\n");
}

function item({ digit, confidence, out_of_distribution: odd }) {
  const said = odd ? "perhaps no digit" : percent(confidence);
  return element("li", odd ? { class: "odd" } : {}, element("strong", {}, String(digit)), " ", element("span", {}, said));
}

function outline([left, top, right, bottom], way) {
  return drawn("rect", { class: way, x: left, y: top, width: right - left, height: bottom - top });
}
