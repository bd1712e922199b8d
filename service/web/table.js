/** The panel of a model of a table. */

import { predict } from "./api.js";
import { Asker } from "./asker.js";
import { Bars } from "./bars.js";
import { rowsOf } from "./check.js";
import { Curve } from "./curve.js";
import { button, element, percent, short } from "./dom.js";
import { fieldOf, rangeOf } from "./fields.js";
import { Report } from "./report.js";

const JSON_TYPE = "application/json";
const POINTS = 121;
const MOST_BARS = 10;

export class TablePanel {
  #examples = 0;
  #curveOf = null; // what the curve that is shown was computed for

  constructor(model) {
    this.model = model;
    this.columns = model.manifest.input.columns;
    this.output = model.manifest.output;
    this.asker = new Asker({
      answered: (one) => this.#show(one),
      failed: (fault, missing) => this.#fail(fault, missing),
      waiting: (on) => this.said.setAttribute("aria-busy", on),
    });
    this.fields = this.columns.map((column, at) => fieldOf(column, at, () => this.#changed()));
    this.curved = this.columns.findIndex((column) => column.dtype !== "category");
    this.headline = element("p", { class: "headline words", "aria-live": "polite", "aria-atomic": "true" });
    this.note = element("p", { class: "note" });
    this.report = new Report(model, () => this.#changed());
    this.report.words.append(this.note);
    this.node = this.#laidOut();
    this.#example();
  }

  stop() {
    this.asker.stop();
    this.report.stop();
    this.curve?.stop();
  }

  #laidOut() {
    const given = element(
      "section",
      { class: "given", "aria-label": "The row to ask about" },
      element("div", { class: "fields" }, ...this.fields.map(({ node }) => node)),
      element("div", { class: "buttons" }, button("Another example", () => this.#example())),
    );
    const { labels, kind } = this.output;
    if (kind === "classes") {
      const shown = labels.slice(0, MOST_BARS);
      this.bars = new Bars("The likeliest classes", shown);
    }
    const parts = [this.headline, this.report.words, ...(this.bars ? [this.bars.node] : [])];
    parts.push(...this.#curveNodes());
    this.said = element("section", { class: "said", tabindex: -1, "aria-label": "Answer" }, ...parts);
    return element("div", { class: "panel" }, given, this.said, this.report.node);
  }

  #curveNodes() {
    if (this.curved < 0) return [];
    this.curve = new Curve({ labels: this.#lineLabels(), onpick: (value) => this.#picked(value) });
    const numeric = this.columns.map((column, at) => ({ column, at })).filter(({ column }) => column.dtype !== "category");
    if (numeric.length === 1) return [this.curve.node];
    const select = element("select", { id: "curve-column", onchange: () => this.#curveBy(Number(select.value)) });
    select.append(...numeric.map(({ column, at }) => element("option", { value: at }, column.name)));
    const choice = element("div", { class: "row" }, element("label", { for: "curve-column" }, "Curve by"), select);
    return [choice, this.curve.node];
  }

  /** The rows in the middle first: those at the ends are often extremes. */
  #example() {
    const rows = rowsOf(this.model.manifest);
    const row = rows[(Math.floor(rows.length / 2) + this.#examples++) % rows.length];
    this.fields.forEach((field, at) => {
      field.value = row[at];
    });
    this.#changed();
  }

  #curveBy(at) {
    this.curved = at;
    this.#clearCurve();
    this.#changed();
  }

  #clearCurve() {
    this.curve.clear();
    this.#curveOf = null;
  }

  #picked(value) {
    this.fields[this.curved].pick(value);
    this.#changed();
  }

  /** What is no number is sent as text, to be refused as such. */
  #row() {
    const named = this.fields.map(({ column, value }) => [column.name, Number.isNaN(value) ? "" : value]);
    return Object.fromEntries(named.filter(([, value]) => value !== null));
  }

  #changed() {
    this.curve?.mark(this.fields[this.curved].value);
    this.asker.want((signal) => predict(this.#sent(this.model.name, this.#row()), signal));
  }

  #sent(name, values) {
    return { name, type: JSON_TYPE, body: JSON.stringify(values) };
  }

  #show({ answer, ...exchange }) {
    if (answer.predictions) {
      this.report.say("");
      this.#showCurve(exchange.of, answer.predictions);
      return;
    }
    this.headline.replaceChildren(...this.#headlineOf(answer));
    this.headline.classList.remove("odd");
    this.note.textContent = this.#noteOf(answer);
    this.bars?.show(this.#sharesOf(answer));
    this.report.show({ answer, ...exchange });
    this.#wantCurve(answer.version);
  }

  #headlineOf(answer) {
    const { kind, labels, units } = this.output;
    if (kind === "binary") {
      const [label] = labels;
      const verdict = answer[label] ? label : `not ${label}`;
      const words = `probability of ${label}: ${percent(answer.probability)}`;
      return [element("strong", {}, verdict), element("span", {}, words)];
    }
    if (kind === "classes") {
      return [element("strong", {}, answer.label), element("span", {}, `${percent(answer.confidence)} sure`)];
    }
    const told = labels.map((label) => `${label} ${short(answer[label], 5)}${units ? ` ${units}` : ""}`);
    return [element("strong", {}, short(answer[labels[0]], 5)), element("span", {}, told.join(", "))];
  }

  #noteOf({ extrapolating, out_of_distribution: odd }) {
    if (odd) return "Like nothing that the model was trained on.";
    return extrapolating ? "Outside of what the model was fitted to: take it with care." : "";
  }

  #sharesOf({ probabilities }) {
    const shares = Object.entries(probabilities).map(([label, share]) => ({ label, share }));
    return shares.sort((one, other) => other.share - one.share).slice(0, MOST_BARS);
  }

  #fail(fault, missing) {
    if (missing) {
      this.#clearCurve();
      this.report.say(`${missing} did not come: ${fault.message}`, fault.passing);
      return;
    }
    this.headline.replaceChildren(element("strong", { "aria-hidden": "true" }, "–"), element("span", {}, "No answer"));
    this.note.textContent = "";
    this.bars?.clear();
    this.report.fail(fault);
  }

  #lineLabels() {
    const { kind, labels } = this.output;
    return kind === "numbers" ? labels : labels.map((label) => `probability of ${label}`);
  }

  /** Asked for behind the answer, of the `version` that gave it, and only where another is there. */
  #wantCurve(version) {
    if (!this.curve) return;
    const row = this.#row();
    const column = this.columns[this.curved];
    const xs = this.#axis(column, row[column.name]);
    const { [column.name]: _, ...others } = row;
    const of = JSON.stringify([version, column.name, others, xs[0], xs.at(-1)]);
    if (of === this.#curveOf) return;
    const lists = Object.entries(others).map(([name, value]) => [name, xs.map(() => value)]);
    const name = `${this.model.name}/versions/${version}`;
    const sent = this.#sent(name, Object.fromEntries([...lists, [column.name, xs]]));
    this.asker.wantAlso(async (signal) => ({ ...(await predict(sent, signal)), of: { of, xs, column } }), "The curve");
  }

  /** From end to end of the column's range, with the value that is asked; not beyond it, however a sum is rounded. */
  #axis(column, value) {
    const range = rangeOf(column);
    const around = Math.max(1, Math.abs(value ?? 0));
    const low = Math.min(range.low ?? (value ?? 0) - around, value ?? Infinity);
    const high = Math.max(range.high ?? (value ?? 0) + around, value ?? -Infinity);
    return Array.from({ length: POINTS }, (_, at) => Math.min(high, low + ((high - low) * at) / (POINTS - 1)));
  }

  #showCurve({ of, xs, column }, predictions) {
    if (column !== this.columns[this.curved]) return; // another is chosen by now
    this.#curveOf = of;
    const { kind, labels, threshold } = this.output;
    const line = {
      binary: () => predictions.map(({ probability }) => probability),
      classes: (label) => predictions.map(({ probabilities }) => probabilities[label]),
      numbers: (label) => predictions.map((one) => one[label]),
    }[kind];
    this.curve.show({
      column,
      xs,
      lines: this.#lineLabels().map((label, at) => ({ label, ys: line(labels[at]) })),
      share: kind !== "numbers",
      threshold: kind === "binary" ? threshold : null,
      training: rangeOf(column).training,
      at: this.fields[this.curved].value,
    });
  }
}
