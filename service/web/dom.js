/** Elements from names, attributes and children; never from markup, which the page's policy forbids. */

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element. `on…`: listeners; true and false: attributes without a value. */
export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** An SVG element. */
export function drawn(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

export function button(label, onclick, attributes = {}) {
  return element("button", { type: "button", onclick, ...attributes }, label);
}

/** Where `act` hides, disables or removes what has the focus, `next` has it then: not the start of the page. */
export function keepingFocus(next, act) {
  const focused = document.activeElement ?? document.body;
  const lost = () => focused.disabled || focused.hidden || !focused.isConnected;
  const before = lost();
  act();
  if (!before && lost()) next.focus({ preventScroll: true });
}

/** 0.8523 → "85.2 %"; what is not quite 0 or 100 is not said to be. */
export function percent(share) {
  if (share > 0 && share < 0.0005) return "< 0.1 %";
  if (share < 1 && share >= 0.9995) return "> 99.9 %";
  return `${(100 * share).toFixed(1)} %`;
}

/** A number as people write it, with `digits` that count. */
export function short(number, digits = 4) {
  return String(Number(number.toPrecision(digits)));
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}
