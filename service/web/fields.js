/** A field for each column of a table: a number with its slider, or a choice among categories. */

import { element, short } from "./dom.js";

const ENDLESS = 1e30; // a bound beyond it says only what a float32 holds
const STEPS = 200;

/** Where a column's values lie, for a slider and an axis; `training`: where the model was fitted. */
export function rangeOf(column) {
  const bound = (value) => (value !== null && Math.abs(value) < ENDLESS ? value : null);
  const [least, most] = [bound(column.minimum), bound(column.maximum)];
  const known = column.training_minimum !== null && column.training_maximum !== null;
  const training = known ? [column.training_minimum, column.training_maximum] : null;
  const span = known ? training[1] - training[0] || Math.abs(training[0]) || 1 : 1;
  const low = least ?? (known ? training[0] - span : null);
  const high = most ?? (known ? training[1] + span : null);
  return { least, most, training, low, high, finite: low !== null && high !== null && low < high };
}

/** `changed` is called when the value is another. */
export function fieldOf(column, at, changed) {
  return column.dtype === "category" ? new Choice(column, at, changed) : new Amount(column, at, changed);
}

class Amount {
  constructor(column, at, changed) {
    this.column = column;
    this.range = rangeOf(column);
    const { low, high, finite } = this.range;
    const step = finite ? niceStep((high - low) / STEPS) : "any";
    this.input = element("input", {
      type: "number",
      id: `field-${at}`,
      step: "any",
      min: this.range.least,
      max: this.range.most,
      required: !column.optional,
      "aria-describedby": `field-${at}-hint`,
      oninput: () => this.#typed(changed),
    });
    this.slider = element("input", {
      type: "range",
      min: low,
      max: high,
      step,
      "aria-label": `${column.name}, slider`,
      oninput: () => this.#slid(changed),
    });
    const entry = element("div", { class: "row" }, this.input, ...(finite ? [this.slider] : []));
    this.node = labelled(column, at, entry, hintOf(column, this.range));
  }

  /** null: missing; NaN: something that is no number. */
  get value() {
    const { value, valueAsNumber, validity } = this.input;
    return value === "" && !validity.badInput ? null : valueAsNumber;
  }

  /** `value`: a float32, as the archive has it. */
  set value(value) {
    const missing = Number.isNaN(value);
    this.input.value = missing ? "" : asFloat32(value);
    if (!missing) this.slider.value = value;
  }

  /** What was slid to or picked on an axis: within the column's bounds, however it is rounded. */
  pick(value) {
    const { least, most } = this.range;
    this.input.value = Math.min(most ?? Infinity, Math.max(least ?? -Infinity, asFloat32(value)));
    this.slider.value = value;
  }

  #typed(changed) {
    if (Number.isFinite(this.value)) this.slider.value = this.value;
    changed();
  }

  #slid(changed) {
    this.pick(this.slider.valueAsNumber);
    changed();
  }
}

class Choice {
  constructor(column, at, changed) {
    this.column = column;
    this.input = element("select", {
      id: `field-${at}`,
      "aria-describedby": `field-${at}-hint`,
      onchange: changed,
    });
    if (column.optional) this.input.append(element("option", { value: "-1" }, "(not known)"));
    // By their places: two categories may differ in blanks alone, which an option does not keep.
    this.input.append(...column.categories.map((name, place) => element("option", { value: place }, name)));
    this.node = labelled(column, at, element("div", { class: "row" }, this.input), hintOf(column));
  }

  get value() {
    return this.column.categories[Number(this.input.value)] ?? null;
  }

  /** `value`: the place among the categories, as the archive has it. */
  set value(value) {
    this.input.value = Number.isNaN(value) ? "-1" : String(value);
  }
}

function labelled(column, at, entry, hint) {
  return element(
    "div",
    { class: "field" },
    element("label", { for: `field-${at}` }, column.name),
    entry,
    element("p", { class: "muted", id: `field-${at}-hint` }, hint),
  );
}

function hintOf({ units, optional, categories }, range) {
  const words = [units];
  if (range) {
    const { least, most, training } = range;
    if (least !== null && most !== null) words.push(`${short(least)} to ${short(most)}`);
    else if (least !== null) words.push(`${short(least)} or more`);
    else if (most !== null) words.push(`${short(most)} or less`);
    if (training) words.push(`trained on ${short(training[0])} to ${short(training[1])}`);
  } else {
    words.push(`one of ${categories.length}`);
  }
  if (optional) words.push("may be left out");
  return words.filter(Boolean).join(" · ");
}

/** As few digits as are read as the same float32, which is what a model is given. */
function asFloat32(value) {
  const texts = [6, 7, 8, 9].map((digits) => short(value, digits));
  return texts.find((text) => Math.fround(text) === Math.fround(value)) ?? String(value);
}

/** The next of 1, 2 and 5 times a power of ten. */
export function niceStep(step) {
  const power = 10 ** Math.floor(Math.log10(step));
  return [1, 2, 5, 10].find((factor) => factor * power >= step * 0.999) * power;
}
