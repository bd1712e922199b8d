/** Probabilities as bars: a list, so that it can be read out as well. */

import { element, percent } from "./dom.js";

export class Bars {
  #rows = [];

  /** `label`: of the list. Rows that are not there yet have their place all the same. */
  constructor(label, labels) {
    const worded = labels.some((one) => one.length > 1); // names that change leave the bars where they are
    this.node = element("ol", { class: worded ? "bars worded" : "bars", "aria-label": label });
    this.#build(labels);
  }

  /** `shares`: [{label, share}], as many as there are rows. */
  show(shares) {
    const largest = Math.max(...shares.map(({ share }) => share));
    shares.forEach(({ label, share }, at) => {
      const row = this.#rows[at];
      row.name.textContent = label;
      row.name.title = label;
      row.value.textContent = percent(share);
      row.bar.style.setProperty("--share", share);
      row.node.classList.toggle("largest", share === largest);
    });
  }

  /** With the names that were there first. */
  clear() {
    for (const row of this.#rows) {
      row.name.textContent = row.label;
      row.name.removeAttribute("title");
      row.value.textContent = "–";
      row.bar.style.setProperty("--share", 0);
      row.node.classList.remove("largest");
    }
  }

  #build(labels) {
    for (const label of labels) {
      const name = element("span", { class: "name" }, label);
      const bar = element("span", { class: "bar", "aria-hidden": "true" });
      const value = element("span", { class: "value" });
      const node = element("li", {}, name, bar, value);
      this.#rows.push({ label, node, name, bar, value });
      this.node.append(node);
    }
    this.clear();
  }
}
