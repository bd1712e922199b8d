/** The page: which model is chosen, its panel, and the key. */

import { key, useKey } from "./api.js";
import { catalogue } from "./catalogue.js";
import { DigitPanel } from "./digit.js";
import { button, element, keepingFocus } from "./dom.js";
import { PicturePanel } from "./picture.js";
import { TablePanel } from "./table.js";

const PANELS = { digit: DigitPanel, picture: PicturePanel, table: TablePanel };

class Page {
  #models = [];
  #panel = null;

  constructor() {
    this.nav = document.getElementById("models");
    this.place = document.getElementById("panel");
    this.fault = document.getElementById("fault");
    this.details = document.getElementById("key");
    this.field = document.getElementById("key-field");
    this.said = document.getElementById("key-said");
    document.getElementById("key-form").addEventListener("submit", (event) => this.#keyed(event));
    addEventListener("hashchange", () => this.#choose());
    document.querySelector(".skip").addEventListener("click", (event) => {
      event.preventDefault(); // the address names a model
      this.place.focus();
    });
    this.field.value = key();
  }

  async load() {
    try {
      this.#models = await catalogue();
    } catch (fault) {
      this.#fail(fault);
      return;
    }
    keepingFocus(this.place, () => this.fault.replaceChildren());
    this.nav.replaceChildren(...this.#models.map(({ name }) => element("a", { href: `#${name}` }, name)));
    this.#choose();
  }

  #fail(fault) {
    const words = element("p", { class: "notice" }, fault.message, " ");
    const again = button("Try again", () => this.load());
    if (fault.status === 401) {
      this.details.open = true;
      const told = key() ? "This key is not known here." : "This service asks for an API key.";
      if (!fault.unsent) words.textContent = told;
      this.field.focus();
    } else {
      words.append(again);
    }
    keepingFocus(again, () => this.fault.replaceChildren(words));
  }

  #keyed(event) {
    event.preventDefault();
    useKey(this.field.value.trim());
    this.said.textContent = key() ? "This key is used from now on." : "No key is sent.";
    this.load();
  }

  /** The model that the address names; the first there is without one. */
  #choose() {
    const named = location.hash.slice(1); // names need no escapes
    const chosen = named ? this.#models.find(({ name }) => name === named) : this.#models[0];
    this.#mark(chosen);
    document.title = chosen ? `${chosen.name} · Abacus` : "Abacus";
    this.#panel?.stop();
    this.#panel = null;
    this.place.replaceChildren(this.#panelOf(chosen));
  }

  /** The links stay: one of them may have the focus. */
  #mark(chosen) {
    for (const link of this.nav.children) {
      const current = link.textContent === chosen?.name;
      if (current) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
      if (current) this.nav.scrollTop = link.offsetTop - this.nav.offsetTop; // of many, some are seen
    }
  }

  #panelOf(model) {
    if (!this.#models.length) return element("p", { class: "notice" }, "This service has no model yet.");
    if (!model) return element("p", { class: "notice" }, "This service has no such model: choose one above.");
    const Panel = PANELS[model.manifest?.kind];
    if (!Panel) {
      const why = model.refused ?? "it is not loaded";
      return element("p", { class: "notice" }, `${model.name} cannot be asked: ${why}.`);
    }
    this.#panel = new Panel(model);
    return this.#panel.node;
  }
}

new Page().load();
