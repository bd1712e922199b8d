/** The models that the service has: first asked for while the rest of the page still comes. */

import { models } from "./api.js";

let first = models();
first.catch(() => {}); // told to whoever takes it

/** What is live. Raises Fault. */
export function catalogue() {
  const asked = first ?? models();
  first = null;
  return asked;
}
