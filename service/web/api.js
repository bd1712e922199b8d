/** The service over HTTP: its models, its predictions, its errors (RFC 9457), and the key for it. */

const KEY = "abacus-key";
let remembered = null; // where a browser lets no page store anything

/** The API key of this tab; "" where there is none. */
export function key() {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return remembered ?? "";
  }
}

export function useKey(value) {
  remembered = value;
  try {
    if (value) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
  } catch {
    // `remembered` has it until the page is closed
  }
}

/** Why there is no answer, in words. `status`: 0 where the service is not reached. */
export class Fault extends Error {
  constructor(status, words, { problem = null, retryAfter = null } = {}) {
    super(words);
    this.status = status;
    this.problem = problem;
    this.retryAfter = retryAfter;
  }
}

/** The address of a path of the service, wherever a proxy shows it. */
export function address(path) {
  return new URL(path, document.baseURI).href;
}

/** What `GET /models` says of each. Raises Fault. */
export async function models() {
  const response = await fetched("models", { cache: "no-store" });
  return (await response.json()).models;
}

/** One prediction. `type`: of the body, null where nobody knows. Raises Fault. */
export async function predict(name, { body, type, query = "" }) {
  const started = performance.now();
  const response = await fetched(`predict/${name}${query}`, {
    method: "POST",
    body,
    headers: { "Content-Type": type || "application/octet-stream" },
  });
  const answer = await response.json();
  const total = performance.now() - started;
  return { answer, total, stages: stages(response.headers.get("Server-Timing")) };
}

async function fetched(path, { headers = {}, ...options }) {
  const credentials = key() ? { Authorization: `Bearer ${key()}` } : {};
  let response;
  try {
    response = await fetch(address(path), { ...options, headers: { ...headers, ...credentials } });
  } catch (error) {
    if (error instanceof TypeError) {
      throw new Fault(0, "The service does not answer. It may have stopped, or the network is away.");
    }
    throw error;
  }
  if (!response.ok) throw await faultOf(response);
  return response;
}

async function faultOf(response) {
  const retryAfter = Number(response.headers.get("Retry-After")) || null;
  const media = response.headers.get("Content-Type") ?? "";
  if (!media.startsWith("application/problem+json")) {
    const words = `${response.status} ${response.statusText}`.trim();
    return new Fault(response.status, `The service, or what is before it, answered ${words}.`, { retryAfter });
  }
  const problem = await response.json();
  return new Fault(response.status, worded(problem), { problem, retryAfter });
}

/** The detail names what was found first; what else is wrong follows. */
function worded({ title, detail, errors = [], more_errors: more = 0 }) {
  const words = detail ?? title;
  const others = errors.filter(({ message }) => !words.toLowerCase().includes(message.toLowerCase()));
  const told = others.map(({ field, message }) => `${field}: ${message}.`);
  const rest = more ? [`And ${more} more.`] : [];
  return [words, ...told, ...rest].join(" ");
}

/** `decode;dur=1.2, queue;dur=0.1` → [{name, ms}]. */
function stages(header) {
  return (header ?? "")
    .split(",")
    .map((entry) => /^\s*([^;\s]+)\s*;.*\bdur=([\d.]+)/.exec(entry))
    .filter(Boolean)
    .map(([, name, ms]) => ({ name, ms: Number(ms) }));
}
