/** The panel of a model of handwritten digits. */

import { predict } from "./api.js";
import { Asker } from "./asker.js";
import { Bars } from "./bars.js";
import { exampleOf } from "./check.js";
import { button, element, keepingFocus, percent } from "./dom.js";
import { Files, Preview, typeOf } from "./files.js";
import { Digits, written } from "./number.js";
import { Pad } from "./pad.js";
import { Report } from "./report.js";
import { Seen } from "./seen.js";

const SEVERAL = "several_digits";
const READING = "Reading…";

/** By the reason that the service gives. */
const WHY = {
  [SEVERAL]: "These look like several digits",
  mostly_outside: "Most of this seems to lie outside of the picture",
  no_digit: "This does not look like a digit",
};

export class DigitPanel {
  #file = null; // instead of a drawing
  #drawing = false;
  #examples = 0;
  #turn = 0; // one more with each picture, and where there is none

  constructor(model) {
    this.model = model;
    this.asker = new Asker({
      answered: (one) => this.#show(one),
      failed: (fault, missing) => this.#fail(fault, missing),
      waiting: (on) => this.said.setAttribute("aria-busy", on),
    });
    this.pad = new Pad({ changed: (drawing) => this.#drawn(drawing) });
    this.preview = new Preview();
    this.bars = new Bars("Probability of each digit", [..."0123456789"]);
    this.digits = new Digits();
    this.seen = new Seen();
    this.headline = element("p", { class: "headline", "aria-live": "polite", "aria-atomic": "true" });
    this.report = new Report(model, () => this.#ask());
    this.node = this.#laidOut();
    this.#reset();
  }

  stop() {
    this.#turn += 1;
    this.asker.stop();
    this.report.stop();
    this.files.stop();
    this.preview.clear();
  }

  #laidOut() {
    const sheet = element("div", { class: "sheet-area" }, this.pad.node, this.preview.node, this.digits.boxes);
    this.files = new Files({
      area: sheet,
      onfile: (file) => this.#take(file, file.name || "The pasted picture"),
      example: () => this.#example(),
    });
    this.undo = button("Undo", () => keepingFocus(this.pad.node, () => this.#undo()));
    this.clear = button("Clear", () => keepingFocus(this.pad.node, () => this.#clear()));
    const given = element(
      "section",
      { class: "given", "aria-label": "Draw or give a picture" },
      sheet,
      element("div", { class: "buttons" }, this.undo, this.clear, ...this.files.buttons),
      ...this.files.inputs,
      this.files.note,
      element(
        "p",
        { class: "muted", id: "pad-keys" },
        "Draw a digit or a number, or drop, paste or choose a picture. With keys: arrows move the pen, Space puts it " +
          "down and lifts it, Ctrl+Z undoes, Delete clears.",
      ),
    );
    this.said = element(
      "section",
      { class: "said", tabindex: -1, "aria-label": "Answer" },
      this.headline,
      this.report.words,
      this.digits.list,
      this.bars.node,
      this.seen.node,
    );
    return element("div", { class: "panel" }, given, this.said, this.report.node);
  }

  #drawn(drawing) {
    this.#turn += 1;
    if (this.#file) this.#reset();
    this.#drawing = drawing;
    this.#file = null;
    this.preview.clear();
    this.#one();
    if (this.pad.empty) this.#reset();
    else this.#ask();
    this.#enable();
  }

  #take(file, description) {
    this.#turn += 1;
    if (!this.pad.empty) this.pad.clear();
    this.#reset(READING);
    this.#file = file;
    this.#drawing = false;
    this.preview.show(file, description);
    this.#ask();
    this.#enable();
  }

  async #example() {
    const turn = ++this.#turn;
    const file = await exampleOf(this.model.manifest, this.#examples++);
    if (turn !== this.#turn) return; // another is there by now
    this.#take(file, "An example of the model's own");
  }

  #undo() {
    if (this.#file) this.#clear();
    else this.pad.undo();
  }

  #clear() {
    this.files.note.textContent = "";
    this.pad.clear();
  }

  #enable() {
    const nothing = this.pad.empty && !this.#file;
    this.undo.disabled = this.clear.disabled = nothing;
  }

  #ask() {
    if (this.pad.empty && !this.#file) return;
    this.asker.want(async (signal) => {
      const settled = !this.#drawing;
      const body = this.#file ?? (await this.pad.picture());
      const sent = { name: this.model.name, type: typeOf(body), body, file: this.#file?.name || "digit.png" };
      return { ...(await predict(sent, signal)), settled };
    });
  }

  /** Only of what is finished: it takes as much of the model as 145 pictures. */
  #askWhy(sent) {
    this.asker.wantAlso((signal) => predict({ ...sent, query: "?explain=true" }, signal), "What the model saw");
  }

  /** A number is answered with its digits, a row of the queue for each way to cut it. */
  #askEach(sent) {
    this.asker.wantAlso((signal) => predict({ ...sent, query: "?each=true" }, signal), "The number, digit by digit,");
  }

  #show({ answer, settled, ...exchange }) {
    const { digit, confidence, probabilities, out_of_distribution: odd, reason, explanation } = answer;
    if (explanation) {
      this.report.say("");
      this.seen.show(explanation);
      return;
    }
    if (answer.predictions) {
      this.#showEach({ answer, ...exchange });
      return;
    }
    this.#one();
    this.headline.setAttribute("aria-live", settled ? "polite" : "off");
    this.headline.classList.toggle("odd", odd === true);
    this.headline.replaceChildren(
      element("strong", {}, String(digit)),
      element(
        "span",
        {},
        odd ? `${WHY[reason] ?? WHY.no_digit}; the nearest is ${digit}.` : `${percent(confidence)} sure`,
      ),
    );
    this.bars.show(probabilities.map((share, at) => ({ label: String(at), share })));
    this.report.show({ answer, ...exchange });
    if (!settled) return;
    if (reason === SEVERAL) {
      this.seen.clear(); // no explanation of this one comes
      this.#askEach(exchange.sent);
    } else {
      this.#askWhy(exchange.sent);
    }
  }

  #showEach({ answer, ...exchange }) {
    if (this.#drawing) return; // of what was there before
    const { predictions } = answer;
    const count = predictions.length === 1 ? "1 digit" : `${predictions.length} digits`;
    const least = percent(Math.min(...predictions.map(({ confidence }) => confidence)));
    this.headline.setAttribute("aria-live", "polite");
    this.headline.classList.remove("odd");
    this.headline.classList.add("number");
    this.headline.replaceChildren(
      element("strong", {}, written(predictions)),
      element("span", {}, `${count}, each at least ${least} sure`),
    );
    this.bars.node.hidden = this.seen.node.hidden = true;
    this.digits.show(predictions, this.#file ? this.preview.size() : this.pad.size);
    this.report.show({ answer, ...exchange });
  }

  /** No number is shown, but what is shown of one digit. */
  #one() {
    this.headline.classList.remove("number");
    this.digits.clear();
    this.bars.node.hidden = this.seen.node.hidden = false;
  }

  #fail(fault, missing) {
    if (this.#drawing && fault.status === 422) return; // a first dot is no digit yet
    if (missing) {
      this.seen.clear();
      this.report.say(`${missing} did not come: ${fault.message}`, fault.passing);
      return;
    }
    this.#blank("No answer");
    this.report.fail(fault);
  }

  #reset(words = "Nothing to read yet") {
    this.asker.forget();
    this.#blank(words);
    this.report.clear();
    this.#enable();
  }

  #blank(words) {
    this.#one();
    this.headline.classList.remove("odd");
    const nothing = element("strong", { "aria-hidden": "true" }, "–");
    this.headline.replaceChildren(nothing, element("span", {}, words));
    this.bars.clear();
    this.seen.clear();
  }
}
