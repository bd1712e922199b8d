/** The panel of a classifier of pictures. */

import { predict } from "./api.js";
import { Asker } from "./asker.js";
import { Bars } from "./bars.js";
import { exampleOf } from "./check.js";
import { button, element, keepingFocus, percent } from "./dom.js";
import { Files, Preview, typeOf } from "./files.js";
import { Report } from "./report.js";

const TOP = 5;

export class PicturePanel {
  #file = null;
  #examples = 0;
  #turn = 0; // one more with each picture, and where there is none

  constructor(model) {
    this.model = model;
    this.asker = new Asker({
      answered: (one) => this.#show(one),
      failed: (fault) => this.#fail(fault),
      waiting: (on) => this.said.setAttribute("aria-busy", on),
    });
    this.preview = new Preview();
    const places = Math.min(TOP, model.manifest.output.labels.length);
    this.bars = new Bars("The likeliest labels", Array.from({ length: places }, () => "· · ·"));
    this.headline = element("p", { class: "headline words", "aria-live": "polite", "aria-atomic": "true" });
    this.report = new Report(model, () => this.#ask());
    this.node = this.#laidOut();
    this.#blank("Nothing to look at yet");
  }

  stop() {
    this.#turn += 1;
    this.asker.stop();
    this.report.stop();
    this.files.stop();
    this.preview.clear();
  }

  #laidOut() {
    const area = element("div", { class: "sheet-area drop" }, element("p", {}, "Drop a picture here"), this.preview.node);
    this.files = new Files({
      area,
      onfile: (file) => this.#take(file, file.name || "The pasted picture"),
      example: () => this.#example(),
    });
    this.clear = button("Clear", () => keepingFocus(this.files.buttons[0], () => this.#clear()));
    const { height, width } = this.model.manifest.input;
    const given = element(
      "section",
      { class: "given", "aria-label": "Give a picture" },
      area,
      element("div", { class: "buttons" }, this.clear, ...this.files.buttons),
      ...this.files.inputs,
      this.files.note,
      element("p", { class: "muted" }, `Drop, paste or choose a picture. The model sees it at ${width}×${height} pixels.`),
    );
    this.said = element(
      "section",
      { class: "said", tabindex: -1, "aria-label": "Answer" },
      this.headline,
      this.report.words,
      this.bars.node,
    );
    return element("div", { class: "panel" }, given, this.said, this.report.node);
  }

  #take(file, description) {
    this.#turn += 1;
    this.#reset("Looking…");
    this.#file = file;
    this.preview.show(file, description);
    this.clear.disabled = false;
    this.#ask();
  }

  async #example() {
    const turn = ++this.#turn;
    const file = await exampleOf(this.model.manifest, this.#examples++);
    if (turn !== this.#turn) return; // another is there by now
    this.#take(file, "An example of the model's own");
  }

  #clear() {
    this.#turn += 1;
    this.#file = null;
    this.files.note.textContent = "";
    this.preview.clear();
    this.#reset("Nothing to look at yet");
  }

  #ask() {
    if (!this.#file) return;
    const body = this.#file;
    const sent = { name: this.model.name, type: typeOf(body), body, file: body.name || "picture.png" };
    this.asker.want((signal) => predict(sent, signal));
  }

  #show({ answer, ...exchange }) {
    const { label, confidence, top, out_of_distribution: odd } = answer;
    this.headline.classList.toggle("odd", odd === true);
    this.headline.replaceChildren(
      element("strong", {}, label),
      element(
        "span",
        {},
        odd ? `Like nothing that it was trained on; the nearest is ${label}.` : `${percent(confidence)} sure`,
      ),
    );
    this.bars.show(top.map(({ label: name, probability }) => ({ label: name, share: probability })));
    this.report.show({ answer, ...exchange });
  }

  #fail(fault) {
    this.#blank("No answer");
    this.clear.disabled = false;
    this.report.fail(fault);
  }

  #reset(words) {
    this.asker.forget();
    this.#blank(words);
    this.report.clear();
  }

  #blank(words) {
    const nothing = element("strong", { "aria-hidden": "true" }, "–");
    this.headline.classList.remove("odd");
    this.headline.replaceChildren(nothing, element("span", {}, words));
    this.bars.clear();
    this.clear.disabled = true;
  }
}
