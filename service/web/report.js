/** Of the last request, whatever the model is: what went wrong, where its time went, how to repeat it. */

import { button, element, keepingFocus, short } from "./dom.js";
import { languages, snippet } from "./snippets.js";

const MEANINGS = {
  decode: "reading what was sent",
  queue: "waiting for a batch",
  infer: "the model",
  rest: "HTTP, the network and this browser",
};

export class Report {
  #sent = null;
  #saved = null;

  /** `again`: asks once more. */
  constructor({ name, device }, again) {
    this.name = name;
    this.device = device;
    this.fault = element("p", { class: "fault", role: "alert" });
    this.again = button("Try again", again, { hidden: true });
    this.words = element("div", { class: "words-of" }, this.fault, this.again);
    this.node = element("section", { class: "report", "aria-label": "The last request" });
    this.node.append(this.#times(), this.#json(), this.#code());
    this.clear();
  }

  /** The picture that was saved is let go. */
  stop() {
    URL.revokeObjectURL(this.#saved);
  }

  show({ answer, total, stages, sent }) {
    this.say("");
    const { model, version } = answer;
    this.served.textContent = `${model} version ${version}, on ${this.device}`;
    this.#showTimes(total, stages);
    this.json.textContent = JSON.stringify(answer, shortened, 2);
    this.#showSent(sent);
  }

  /** Instead of an answer. `fault`: a Fault. */
  fail(fault) {
    this.say(fault.message, fault.passing);
    this.served.textContent = "Not answered";
    this.#showTimes(null, []);
    this.json.textContent = fault.problem ? JSON.stringify(fault.problem, null, 2) : "";
    this.#showSent(fault.sent);
  }

  /** Of what went wrong. `passing`: whether it may be otherwise when it is asked again. */
  say(words, passing = false) {
    this.fault.textContent = words;
    keepingFocus(this.words.parentElement, () => {
      this.again.hidden = !passing;
    });
  }

  clear() {
    this.say("");
    this.served.textContent = "Nothing was asked yet";
    this.#showTimes(null, []);
    this.json.textContent = "";
    this.#showSent(null);
  }

  #showSent(sent) {
    this.#sent = sent;
    this.#showCode();
    for (const one of [this.copy, this.save]) one.disabled = !sent;
    if (sent) this.save.hidden = !sent.file;
  }

  #times() {
    this.served = element("p", { class: "muted" });
    this.total = element("span", { class: "total" });
    this.strip = element("div", { class: "strip", "aria-hidden": "true" });
    this.legend = element("dl", { class: "stages" });
    this.parts = Object.entries(MEANINGS).map(([name, meaning]) => {
      const part = element("span", { class: `part ${name}` });
      const time = element("dd", {});
      this.strip.append(part);
      const term = element("dt", { title: meaning }, element("i", { class: name, "aria-hidden": "true" }), name);
      this.legend.append(element("div", {}, term, time));
      return { name, part, time };
    });
    return element(
      "div",
      { class: "card" },
      element("h2", {}, "Time ", this.total),
      this.strip,
      this.legend,
      this.served,
    );
  }

  #code() {
    this.language = element("select", { "aria-label": "Language", onchange: () => this.#showCode() });
    this.language.append(...languages.map((name) => element("option", {}, name)));
    this.copy = button("Copy", () => this.#toClipboard());
    this.save = button("Save the picture", () => this.#toFile(), { hidden: true });
    this.copied = element("span", { role: "status", class: "muted" });
    this.code = element("pre", { tabindex: 0, role: "region", "aria-label": "The request as code" });
    return element(
      "div",
      { class: "card code" },
      element("h2", {}, "Ask it yourself"),
      element("div", { class: "row" }, this.language, this.copy, this.save, this.copied),
      this.code,
    );
  }

  #json() {
    this.json = element("pre", { tabindex: 0, role: "region", "aria-label": "The answer as JSON" });
    return element("div", { class: "card" }, element("h2", {}, "The answer"), this.json);
  }

  #showTimes(total, stages) {
    const spent = Object.fromEntries(stages.map(({ name, ms }) => [name, ms]));
    if (total !== null) {
      const told = Object.values(spent).reduce((sum, ms) => sum + ms, 0);
      spent.rest = Math.max(0, total - told);
    }
    this.total.textContent = total === null ? "–" : `${short(total, 3)} ms`;
    for (const { name, part, time } of this.parts) {
      time.textContent = name in spent ? `${short(spent[name], 2)} ms` : "–";
      part.style.setProperty("--share", name in spent ? spent[name] / total : 0);
    }
  }

  #showCode() {
    this.code.textContent = this.#sent ? snippet(this.language.value, this.#sent) : "";
    this.copied.textContent = "";
  }

  async #toClipboard() {
    try {
      await navigator.clipboard.writeText(this.code.textContent);
      this.copied.textContent = "Copied";
    } catch {
      // Only pages of a secure origin may write; the text is chosen, for the keys that copy.
      getSelection().selectAllChildren(this.code);
      this.copied.textContent = "Selected: copy it with Ctrl+C";
    }
  }

  #toFile() {
    URL.revokeObjectURL(this.#saved);
    this.#saved = URL.createObjectURL(this.#sent.body);
    element("a", { href: this.#saved, download: this.#sent.file }).click();
  }
}

/** What nobody reads is left out of what is shown: the pictures within. */
function shortened(_, value) {
  return typeof value === "string" && value.startsWith("data:") ? `${value.slice(0, 40)}…` : value;
}
