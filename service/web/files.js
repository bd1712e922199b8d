/** Pictures as people have them: dropped, pasted, picked, photographed. */

import { button, element } from "./dom.js";

/** As it is stated to the service, which looks at the first bytes: a picture may be called otherwise. */
export function typeOf({ type }) {
  return type.startsWith("image/") ? type : "application/octet-stream";
}

/** Buttons for files, and an area that takes what is dropped or pasted. `onfile`: is called with each File. */
export class Files {
  #everywhere = new AbortController();

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
    this.note = element("p", { class: "muted", role: "status" });
    this.#listen();
  }

  stop() {
    this.#everywhere.abort();
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

  /** Anywhere on the page: a browser would leave it for a file that is dropped beside the area. */
  #listen() {
    const { signal } = this.#everywhere;
    document.addEventListener("dragover", (event) => this.#over(event), { signal });
    document.addEventListener("dragleave", () => this.area.classList.remove("dropping"), { signal });
    document.addEventListener("drop", (event) => this.#drop(event), { signal });
    document.addEventListener("paste", (event) => this.#paste(event), { signal });
  }

  #over(event) {
    event.preventDefault();
    this.area.classList.add("dropping");
  }

  #drop(event) {
    event.preventDefault();
    this.area.classList.remove("dropping");
    const { files } = event.dataTransfer;
    this.#take(files);
    if (!files.length) this.note.textContent = "That is no file: save the picture, and drop it from a folder.";
  }

  #paste(event) {
    if (!event.clipboardData.files.length || event.target.closest?.("input, textarea")) return; // for a field
    event.preventDefault();
    this.#take(event.clipboardData.files);
  }

  #take(files) {
    if (!files.length) return;
    this.note.textContent = files.length > 1 ? `One picture at a time: of these ${files.length} files the first.` : "";
    this.onfile(files[0]);
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

  /** [width, height] in pixels, upright; null where the browser cannot show it. */
  async size() {
    try {
      await this.image.decode();
    } catch {
      return null;
    }
    return [this.image.naturalWidth, this.image.naturalHeight];
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
