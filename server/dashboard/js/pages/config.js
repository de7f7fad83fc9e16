// Global Config: settings that take effect while the server runs. This page knows none of them by name: it shows what the
// server describes, so that it also serves a server that is newer than it.

import { ask } from "../api.js";
import { badge, button, el, prose, table } from "../dom.js";
import { asProblem, notice, number, say, select, text } from "../forms.js";
import { failure, list, load } from "../live.js";
import { moment, sentence, word } from "../text.js";

export const title = "Global Config";
export const kinds = ["setting"];

/** What was changed about a setting, by key, where somebody has opened it. */
const histories = new Map();
/** Why a change was refused, by key. */
const refusals = new Map();
let redraw = () => {};

export function follow(draw) {
  redraw = draw;
  histories.clear();
  refusals.clear();
  return () => { redraw = () => {}; };
}

export function view() {
  const settings = list("setting") ?? [];
  const categories = [...new Set(settings.map((setting) => setting.category))];
  for (const setting of settings) keepHistory(setting);
  return [
    el("h1", { tabindex: "-1" }, title),
    el("p", { class: "lead" }, "Changes need no restart. Each is kept with who made it and when."),
    failure("setting") ? notice(failure("setting"), { key: "failure" }) : null,
    categories.map((category) => el("section", { class: "card", key: category, "aria-label": category },
      el("h2", {}, category),
      settings.filter((setting) => setting.category === category).map(card))),
  ];
}

/** The input for the values of a setting. What has choices is a choice, whatever else it is called. */
export function input(setting) {
  const props = { id: `setting-${setting.key}`, "data-type": setting.type, required: true };
  const choices = setting.choices ?? [];
  if (choices.length > 0) return select("value", choices, { ...props, value: setting.value });
  if (setting.type === "integer") return number("value", { ...props, min: null, value: setting.value });
  return text("value", { ...props, value: setting.value });
}

/** A setting with all that the server says of it. */
export function card(setting) {
  const { key } = setting;
  const field = input(setting);
  const hint = `${field.id}-hint`;
  field.setAttribute("aria-describedby", hint);
  const node = el("form", { novalidate: true, class: "setting", key, "data-setting": key },
    el("div", { class: "heading" },
      el("label", { for: field.id }, el("code", {}, key)),
      setting.is_default ? badge("default") : badge("changed", "warn")),
    el("p", {}, prose(sentence(setting.description))),
    el("div", { class: "row" }, field,
      el("button", { type: "submit", class: "primary" }, "Save"),
      button("Reset", () => change(setting, null), { cannot: setting.is_default ? "It has its default." : null, "aria-label": `Reset ${key}` })),
    el("p", { class: "hint", id: hint },
      "Takes ", el("span", { class: "allowed" }, prose(setting.allowed)), `. The type is ${word(setting.type)}. The value is `,
      el("code", { class: "now" }, setting.value), "; the default is ", el("code", { class: "default" }, setting.default),
      ". A change takes effect ", prose(setting.takes_effect), "."),
    refusals.has(key) ? el("div", { role: "alert" }, notice(refusals.get(key).problem), accept(setting)) : null,
    el("details", { on: { toggle: (event) => opened(setting, event.target.open) } },
      el("summary", {}, "History"), history(key)));
  node.onsubmit = (event) => {
    event.preventDefault();
    change(setting, event.target.elements.value.value.trim());
  };
  return node;
}

/** The way on where a value costs something that somebody has to accept. */
function accept(setting) {
  const { problem, value } = refusals.get(setting.key);
  if (problem.code !== "loss_not_accepted") return null;
  return el("div", { class: "buttons" }, button(`Accept the loss and set ${value}`, () => change(setting, value, true)));
}

async function change({ key }, value, accepts_loss = false) {
  refusals.delete(key);
  try {
    const path = `/api/v1/config/${encodeURIComponent(key)}`;
    if (value === null) await ask("DELETE", path);
    else await ask("PUT", path, accepts_loss ? { value, accepts_loss } : { value });
    say(value === null ? `${key} has its default again.` : `${key} is ${value}.`);
    await load("setting");
  } catch (error) {
    refusals.set(key, { problem: asProblem(error), value });
    redraw();
  }
}

function opened({ key, value }, open) {
  if (!open) histories.delete(key);
  else if (!histories.has(key)) askForHistory(key, value);
}

/** Brings an opened history up to date when the value is another one. */
function keepHistory({ key, value }) {
  if (histories.has(key) && histories.get(key).value !== value) askForHistory(key, value);
}

async function askForHistory(key, value) {
  histories.set(key, { ...histories.get(key), value });
  let found;
  try {
    const { changes } = await ask("GET", `/api/v1/config/${encodeURIComponent(key)}/history`);
    found = { value, changes: changes ?? [] };
  } catch (error) {
    found = { value, problem: asProblem(error) };
  }
  if (histories.get(key)?.value !== value) return;
  histories.set(key, found);
  redraw();
}

function history(key) {
  const known = histories.get(key);
  if (!known) return null;
  if (known.problem) return notice(known.problem);
  if (!known.changes) return el("p", { class: "muted" }, "Asking the server.");
  const rows = known.changes.map((change, at) => ({
    key: `${change.at_ms}-${at}`,
    cells: [moment(change.at_ms), change.who, el("code", {}, change.from), el("code", {}, change.to)],
  }));
  return table(`History of ${key}`, ["When", "Who", "From", "To"], rows, "It was never changed.");
}
