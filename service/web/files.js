/** Pictures as people have them: dropped, pasted, picked, photographed. */

import { button, element } from "./dom.js";

/** Buttons for files, and an area that takes what is dropped or pasted. `onfile`: is called with each File. */
export class Files {
  constructor({ area, onfile, example }) {
    this.onfile = onfile;
    this.area = area;
    const picked = this.#input({});
    const photographed = this.#input({ capture: "environment" });
    this.buttons = [
      button("Choose picture", () => picked.click()),
      button("Photograph", () => photographed.click(), { class: "touch-only" }),
      button("Example", example),
    ];
    this.inputs = [picked, photographed];
    this.#listen();
  }

  stop() {
    document.removeEventListener("paste", this.#paste);
  }

  #input(attributes) {
    const input = element("input", {
      type: "file",
      accept: "image/*,.avif,.tif,.tiff",
      hidden: true,
      "aria-label": "Picture",
      ...attributes,
    });
    input.addEventListener("change", () => {
      this.#take(input.files);
      input.value = ""; // so that the same file can be chosen again
    });
    return input;
  }

  #listen() {
    for (const name of ["dragenter", "dragover"]) {
      this.area.addEventListener(name, (event) => {
        event.preventDefault();
        this.area.classList.add("dropping");
      });
    }
    for (const name of ["dragleave", "drop"]) {
      this.area.addEventListener(name, () => this.area.classList.remove("dropping"));
    }
    this.area.addEventListener("drop", (event) => {
      event.preventDefault();
      this.#take(event.dataTransfer.files);
    });
    document.addEventListener("paste", this.#paste);
  }

  #paste = (event) => {
    if (event.clipboardData.files.length) {
      event.preventDefault();
      this.#take(event.clipboardData.files);
    }
  };

  #take(files) {
    if (files.length) this.onfile(files[0]);
  }
}

/** A picture on the page before it is sent; its name where the browser cannot show it (as TIFF). */
export class Preview {
  #address = null;

  constructor() {
    this.image = element("img", { alt: "", hidden: true });
    this.words = element("p", { hidden: true });
    this.node = element("div", { class: "preview" }, this.image, this.words);
    this.image.addEventListener("load", () => this.image.classList.toggle("tiny", this.image.naturalWidth < 100));
    this.image.addEventListener("error", () => this.#hide(this.image, this.words));
  }

  show(file, description) {
    this.clear();
    this.#address = URL.createObjectURL(file);
    this.words.textContent = `${description}, which this browser cannot show`;
    this.image.alt = description;
    this.image.src = this.#address;
    this.#hide(this.words, this.image);
  }

  clear() {
    if (!this.#address) return;
    URL.revokeObjectURL(this.#address);
    this.#address = null;
    this.image.removeAttribute("src");
    this.image.hidden = this.words.hidden = true;
  }

  #hide(one, other) {
    if (!this.#address) return;
    one.hidden = true;
    other.hidden = false;
  }
}
