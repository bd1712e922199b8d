/** The rows that a manifest brings to check a model by: examples that it is known to answer. */

/** [N, …] float32 or uint8: N flat typed arrays, one a row. */
export function rowsOf({ check }) {
  const { dtype, shape, data } = check.inputs;
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const values = dtype === "float32" ? floats(bytes) : bytes;
  const size = shape.slice(1).reduce((product, side) => product * side, 1);
  return Array.from({ length: shape[0] }, (_, at) => values.subarray(at * size, (at + 1) * size));
}

/** One of them as a file, which comes again after all others; `input`: of pictures. */
export async function exampleOf({ check, input }, number) {
  const rows = rowsOf({ check });
  const picture = await pictureOf(rows[number % rows.length], input);
  return new File([picture], "example.png", { type: "image/png" });
}

/** A row of pixels [channels, height, width] as a PNG. */
function pictureOf(pixels, { channels, height, width }) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const plane = height * width;
  for (let at = 0; at < plane; at += 1) {
    for (let channel = 0; channel < 3; channel += 1) {
      image.data[4 * at + channel] = pixels[channels === 1 ? at : channel * plane + at];
    }
    image.data[4 * at + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  return canvas.convertToBlob({ type: "image/png" });
}

/** They are little-endian, whatever this machine is. */
function floats(bytes) {
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length / 4 }, (_, at) => view.getFloat32(4 * at, true));
}
