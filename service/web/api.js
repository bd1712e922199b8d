/** The service over HTTP: its models, its predictions, its errors (RFC 9457), and the key for it. */

const KEY = "abacus-key";
const NO_HEADER = /[^\u0001-\u00ff]/; // a browser sends no header with such a character
const UNSENDABLE = "This key cannot be sent: it has a character that no key has, as a curly quotation mark.";
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
  constructor(status, words, { problem = null, retryAfter = null, unsent = false } = {}) {
    super(words);
    this.status = status;
    this.problem = problem;
    this.retryAfter = retryAfter;
    this.unsent = unsent; // whether the service was not asked at all
    this.sent = null;
  }

  /** Whether the same may have an answer at another time. */
  get passing() {
    return this.status < 400 || this.status >= 500 || [408, 429].includes(this.status);
  }
}

/** The address of a path of the service, wherever a proxy shows it. */
export function address(path) {
  return new URL(path, document.baseURI).href;
}

/** What `GET /models` says of each. Raises Fault. */
export async function models() {
  const response = await fetched("models", { cache: "no-store" });
  return (await documentOf(response)).models;
}

/**
 * One prediction. `sent`: {name, query, type, body}, and of a picture the name of its `file`; it comes back with the
 * answer, and with the Fault that is raised.
 */
export async function predict(sent, signal) {
  const started = performance.now();
  const { name, query = "", type, body } = sent;
  try {
    const headers = { "Content-Type": type };
    const response = await fetched(`predict/${name}${query}`, { method: "POST", body, headers, signal });
    const answer = await documentOf(response);
    const total = performance.now() - started;
    return { answer, total, stages: stages(response.headers.get("Server-Timing")), sent };
  } catch (fault) {
    fault.sent = sent;
    throw fault;
  }
}

async function fetched(path, { headers = {}, ...options }) {
  if (NO_HEADER.test(key())) throw new Fault(401, UNSENDABLE, { unsent: true });
  const credentials = key() ? { Authorization: `Bearer ${key()}` } : {};
  let response;
  try {
    response = await fetch(address(path), { ...options, headers: { ...headers, ...credentials } });
  } catch (error) {
    throw await faultWithoutAnswer(error, options.body);
  }
  if (!response.ok) throw await faultOf(response);
  return response;
}

/** Of an answer. Raises Fault. */
async function documentOf(response) {
  try {
    return await response.json();
  } catch (error) {
    if (error instanceof SyntaxError) {
      throw new Fault(response.status, "What answers here is not this service, but perhaps a page to sign in.");
    }
    throw await faultWithoutAnswer(error);
  }
}

/** A browser fails alike where it cannot read the file that it should send. */
async function faultWithoutAnswer(error, body) {
  if (!(error instanceof TypeError)) return error;
  if (body instanceof File && !(await isReadable(body))) {
    return new Fault(0, `${body.name || "The file"} cannot be read: it is a folder, or was moved or changed meanwhile.`);
  }
  return new Fault(0, "The service does not answer. It may have stopped, or the network is away.");
}

async function isReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

async function faultOf(response) {
  const retryAfter = Number(response.headers.get("Retry-After")) || null;
  const media = response.headers.get("Content-Type") ?? "";
  if (!media.startsWith("application/problem+json")) {
    const words = `${response.status} ${response.statusText}`.trim();
    return new Fault(response.status, `The service, or what is before it, answered ${words}.`, { retryAfter });
  }
  const problem = await documentOf(response);
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
