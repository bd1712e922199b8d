/** What the model saw of a picture, pixel by pixel, and which ink mattered to its answer. */

import { element } from "./dom.js";

const SIDE = 28;
const COOL = [70, 120, 200];
const WARM = [255, 150, 40];

export class Seen {
  constructor() {
    this.saw = canvas("No picture yet");
    this.mattered = canvas("No picture yet");
    this.words = element("p", { class: "muted" });
    this.node = element(
      "div",
      { class: "seen" },
      figure(this.saw, "What the model saw"),
      figure(this.mattered, "Ink that mattered, the warmer the more"),
      this.words,
    );
    this.clear();
  }

  /** `explanation`: as the service answers it; drawn when its pictures are decoded, unless a newer came. */
  async show({ image, saliency, polarity }) {
    this.latest = image;
    const [ink, weight] = await Promise.all([image, saliency].map(pixelsOf));
    if (this.latest !== image) return;
    paint(this.saw, ink, (level) => [level, level, level]);
    paint(this.mattered, ink, (level, at) => mixed(level / 255, weight[at] / 255));
    this.saw.setAttribute("aria-label", "The picture as the model saw it, 28 by 28 pixels");
    this.mattered.setAttribute("aria-label", "The same picture, coloured by how much each part mattered");
    this.words.textContent = `Read as ${polarity === "dark-on-light" ? "dark ink on light" : "light ink on dark"}`;
  }

  clear() {
    this.latest = null;
    for (const one of [this.saw, this.mattered]) {
      paint(one, new Uint8ClampedArray(SIDE * SIDE), () => [0, 0, 0]);
      one.setAttribute("aria-label", "No picture yet");
    }
    this.words.textContent = "";
  }
}

function canvas(label) {
  return element("canvas", { width: SIDE, height: SIDE, role: "img", "aria-label": label });
}

function figure(picture, caption) {
  return element("figure", {}, picture, element("figcaption", {}, caption));
}

/** Of a data URL; decoded here, for the page may ask for nothing but its own paths. */
async function pixelsOf(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  const context = new OffscreenCanvas(SIDE, SIDE).getContext("2d");
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, SIDE, SIDE).data.filter((_, at) => at % 4 === 0);
}

function paint(target, levels, colour) {
  const context = target.getContext("2d");
  const image = context.createImageData(SIDE, SIDE);
  levels.forEach((level, at) => image.data.set([...colour(level, at), 255], 4 * at));
  context.putImageData(image, 0, 0);
}

function mixed(ink, weight) {
  return COOL.map((cool, at) => ink * (cool + weight * (WARM[at] - cool)));
}
