// The audit log: who did what, when, from where, and what came of it.

import { ask } from "../api.js";
import { badge, button, el, table } from "../dom.js";
import { asProblem, notice } from "../forms.js";
import { moment, tone, word } from "../text.js";

export const title = "Audit log";

/** Entries that are asked for at once. */
const PAGE = 100;

let entries = [];
let more = false;
let problem = null;
let redraw = () => {};

async function load(before) {
  try {
    const reply = await ask("GET", `/api/v1/audit?limit=${PAGE}${before ? `&before=${before}` : ""}`);
    const found = reply.entries ?? [];
    entries = before ? [...entries, ...found] : found;
    more = found.length === PAGE;
    problem = null;
  } catch (error) {
    problem = asProblem(error);
  }
  redraw();
}

export function view() {
  const rows = entries.map((entry) => ({
    key: entry.id,
    cells: [
      moment(entry.at_ms), entry.who, entry.address ?? "the server", entry.action, entry.subject || null,
      badge(word(entry.outcome), outcomeTone(entry.outcome)),
    ],
  }));
  return [
    el("div", { class: "heading" }, el("h1", { tabindex: "-1" }, title), button("Look again", () => load())),
    el("p", { class: "lead" }, "Who asked for what, the newest first. What a task came to is an entry of its own."),
    problem ? notice(problem, { key: "failure" }) : null,
    table("Audit log", ["When", "Who", "From", "What", "To what", "Outcome"], rows, "There is no entry yet."),
    more ? button("Show older ones", () => load(entries.at(-1).id)) : null,
  ];
}

function outcomeTone(outcome) {
  if (outcome === "ok") return "good";
  if (outcome === "accepted") return "";
  return tone(outcome) || "bad";
}

/** Asks for the newest entries whenever somebody comes here. */
export function follow(draw) {
  redraw = draw;
  load();
  return () => {
    redraw = () => {};
  };
}
