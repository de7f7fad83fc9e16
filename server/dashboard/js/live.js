// What the server has, kept as it is now: lists that are asked for once, and brought up to date by its events.

import { Problem, ask, open, problemOf } from "./api.js";

/** Kinds of resources: where their list is, and its name in the reply. */
const KINDS = {
  host: ["hosts", "hosts"],
  storage: ["storages", "storages"],
  image: ["images", "images"],
  volume: ["volumes", "volumes"],
  vm: ["vms", "vms"],
  task: ["tasks", "tasks"],
  setting: ["config", "settings"],
  token: ["tokens", "tokens"],
};

/** How long changes are gathered before they are asked for, in milliseconds. */
const GATHER_MS = 60;
/** The most resources of a kind that are asked for one by one. */
const FEW = 6;
/** The server says something every 15 seconds; silence of this length is a lost connection. */
const SILENCE_MS = 40_000;
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 10_000;

const lists = new Map();
const listeners = new Set();
let connection = { state: "connecting" };
let stop = null;
let gathered = new Map();
let timer = null;
/** How many questions were asked. By the path of a list or a resource: the last of them that was answered; by kind: the last about any of it. */
let asked = 0;
let answered = new Map();
let newest = new Map();

/** Calls `listener(kind)` after each change of a list, and with `connection` when that changes. */
export function follow(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function tell(kind) {
  for (const listener of [...listeners]) listener(kind);
}

export const connectionNow = () => connection;

function connected(state) {
  if (connection.state === state) return;
  connection = { state, since: Date.now() };
  tell("connection");
}

/** A list as it is known; absent while it is not. */
export const list = (kind) => lists.get(kind)?.items;
/** Why a list is not known. */
export const failure = (kind) => lists.get(kind)?.problem;
/** One resource of a list. */
export const find = (kind, id) => list(kind)?.find((item) => item.id === id);

/** Waits for lists that are not known yet. Those that are known are asked for again, which also shows that a session ended. */
export async function need(kinds) {
  await Promise.all(kinds.map((kind) => {
    const asked = load(kind);
    return list(kind) ? null : asked;
  }));
}

/** Asks for a list. */
export async function load(kind) {
  const [path, name] = KINDS[kind];
  asked += 1;
  const turn = asked;
  try {
    const reply = await ask("GET", `/api/v1/${path}`);
    // One of it was asked for later and answered sooner: of that, the list may tell what was before.
    if (list(kind) && newest.get(kind) > turn) return load(kind);
    answered.set(path, turn);
    newest.set(kind, turn);
    lists.set(kind, { items: reply[name] ?? [] });
  } catch (problem) {
    lists.set(kind, { ...lists.get(kind), problem });
  }
  tell(kind);
}

/** A list as it is at this moment, for something to be chosen from. */
export async function now(kind) {
  await load(kind);
  return list(kind) ?? [];
}

/** Puts what a reply brought into its list, before its event comes. */
export function put(kind, item) {
  const known = lists.get(kind);
  if (!known?.items || !item?.id) return;
  const at = known.items.findIndex(({ id }) => id === item.id);
  // An answer may come later than what happened since.
  if (kind === "task" && at >= 0 && known.items[at].finished_at_ms && !item.finished_at_ms) return;
  const items = [...known.items];
  if (at >= 0) items[at] = item;
  else if (kind === "task") items.unshift(item);
  else items.push(item);
  if (kind !== "task") items.sort((one, other) => String(one.name).localeCompare(String(other.name)));
  lists.set(kind, { items });
  tell(kind);
}

async function refresh(kind, id) {
  const all = KINDS[kind][0];
  const path = `/api/v1/${all}/${id}`;
  asked += 1;
  const turn = asked;
  let item;
  try {
    item = await ask("GET", path);
  } catch (problem) {
    if (problem.code !== "not_found") return;
  }
  // It was overtaken by what was asked for later.
  if (answered.get(path) > turn || answered.get(all) > turn) return;
  answered.set(path, turn);
  newest.set(kind, Math.max(turn, newest.get(kind) ?? 0));
  if (item) {
    put(kind, item);
    // A task is seen on what it works on, too.
    if (kind === "task") note(item.subject?.kind, item.subject?.id);
    return;
  }
  const known = lists.get(kind);
  if (!known?.items) return;
  lists.set(kind, { items: known.items.filter((item) => item.id !== id) });
  tell(kind);
}

/** Notes that something changed; it is asked for a moment later, together with what else did. */
function note(kind, id) {
  if (!KINDS[kind] || !lists.has(kind)) return;
  if (!gathered.has(kind)) gathered.set(kind, new Set());
  gathered.get(kind).add(id);
  timer ??= setTimeout(() => {
    timer = null;
    const changes = gathered;
    gathered = new Map();
    for (const [kind, ids] of changes) {
      const whole = ids.size > FEW || kind === "setting" || kind === "token";
      if (whole) load(kind);
      else for (const id of ids) refresh(kind, id);
    }
  }, GATHER_MS);
}

/** Follows the server's events until `end`. */
export function begin() {
  end();
  const control = new AbortController();
  stop = control;
  run(control.signal);
}

/** Stops following, and forgets everything. */
export function end() {
  stop?.abort();
  stop = null;
  lists.clear();
  gathered = new Map();
  answered = new Map();
  newest = new Map();
  connection = { state: "connecting" };
}

async function run(signal) {
  let wait = FIRST_RETRY_MS;
  while (!signal.aborted) {
    try {
      await stream(signal, () => { wait = FIRST_RETRY_MS; });
    } catch (problem) {
      if (problem.code === "no_session") return;
    }
    if (signal.aborted) return;
    connected("lost");
    await pause(wait, signal);
    wait = Math.min(wait * 2, LAST_RETRY_MS);
  }
}

/** Waits, but not when the browser says that the network is back. */
function pause(ms, signal) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      window.removeEventListener("online", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    window.addEventListener("online", done);
    signal.addEventListener("abort", done, { once: true });
  });
}

/** Reads one stream of events to its end. `EventSource` cannot be used: it sends no token. */
async function stream(signal, opened) {
  const own = new AbortController();
  const giveUp = () => own.abort();
  signal.addEventListener("abort", giveUp, { once: true });
  let silence = setTimeout(giveUp, SILENCE_MS);
  try {
    const path = "/api/v1/events";
    const response = await open("GET", path, { signal: own.signal });
    if (!response.ok) throw await problemOf(response, path);
    opened();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) throw new Problem({ code: "network", message: "the connection ended" });
      clearTimeout(silence);
      silence = setTimeout(giveUp, SILENCE_MS);
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) received(block);
    }
  } finally {
    clearTimeout(silence);
    signal.removeEventListener("abort", giveUp);
    own.abort();
  }
}

function received(block) {
  const fields = {};
  for (const line of block.split("\n")) {
    const at = line.indexOf(":");
    if (at > 0) fields[line.slice(0, at)] = line.slice(at + 1).trim();
  }
  if (fields.event === "list") {
    connected("live");
    for (const kind of lists.keys()) load(kind);
  } else if (fields.event === "changed") {
    let change;
    try {
      change = JSON.parse(fields.data);
    } catch {
      return;
    }
    note(change.kind, change.id);
  }
}
