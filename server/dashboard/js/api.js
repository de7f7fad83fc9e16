// Requests to the server. The session's token lives as long as the tab.

const TOKEN = "cairn.token";
const USER = "cairn.user";

/** A failure as the server tells it, or as the network shows it. */
export class Problem extends Error {
  constructor({ code, message, cause, next }) {
    super(message);
    this.code = code;
    this.cause = cause;
    this.next = next;
  }
}

let ended = () => {};

export const session = {
  token: () => sessionStorage.getItem(TOKEN),
  user: () => sessionStorage.getItem(USER),
  begin({ token, user }) {
    sessionStorage.setItem(TOKEN, token);
    sessionStorage.setItem(USER, user);
  },
  forget() {
    sessionStorage.removeItem(TOKEN);
    sessionStorage.removeItem(USER);
  },
  /** What happens when the server says that the session has ended. */
  whenEnded(action) {
    ended = action;
  },
};

/** Opens a request and returns the response, whatever its status. */
export async function open(method, path, { body, signal, key } = {}) {
  const headers = { accept: "application/json" };
  const token = session.token();
  if (token) headers.authorization = `Bearer ${token}`;
  if (key) headers["idempotency-key"] = key;
  if (body !== undefined) headers["content-type"] = "application/json";
  try {
    const text = body === undefined ? undefined : JSON.stringify(body);
    return await fetch(path, { method, headers, body: text, signal, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({
      code: "network",
      message: "the server does not answer",
      next: "see that it runs and that the network reaches it; this page tries again by itself",
    });
  }
}

/** The problem in a response. A session that ended is told to whoever waits for that. */
export async function problemOf(response, path) {
  const reply = await response.json().catch(() => ({}));
  const problem = new Problem({ ...reply, message: reply.message ?? `the server answered ${response.status}` });
  if (response.status === 401 && path !== "/api/v1/login" && session.token()) ended();
  return problem;
}

/** Asks, and returns the reply. */
export async function ask(method, path, body) {
  // The key makes it safe to send a request again when its answer was lost, as browsers do by themselves.
  const key = method === "POST" && repeatable(path) ? uniqueKey() : undefined;
  const response = await open(method, path, { body, key });
  if (!response.ok) throw await problemOf(response, path);
  return response.status === 204 ? {} : response.json().catch(() => ({}));
}

/** Answers that are secrets cannot be repeated. */
const repeatable = (path) => !/\/(login|logout|tokens)$/.test(path);

function uniqueKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

let words;

/** The words that the server takes for a kind of choice, as its own description of the API lists them. */
export async function choices(schema) {
  words ??= ask("GET", "/api/v1/openapi.json").then((document) => document.components?.schemas ?? {});
  try {
    return (await words)[schema]?.enum ?? [];
  } catch {
    words = undefined;
    return [];
  }
}
