// Questions to whoever looks: fields, dialogs, and how a refusal is shown beside what was asked.

import { el, prose } from "./dom.js";
import { sentence } from "./text.js";
import { Problem } from "./api.js";

let numbers = 0;

/** A failure: what went wrong, what it came from, what to do. */
export function notice(problem, { key, tone = "bad" } = {}) {
  const { message, cause, next } = problem;
  return el("div", { class: `notice ${tone}`, key, "data-code": problem.code },
    el("p", { class: "what" }, prose(sentence(message))),
    cause ? el("p", {}, "Cause: ", prose(sentence(cause))) : null,
    next ? el("p", {}, "What to do: ", prose(sentence(next))) : null);
}

/** What may be thrown, as something that can be shown. */
export function asProblem(error) {
  if (error instanceof Problem) return error;
  return { code: "page", message: "the page failed", cause: String(error?.message ?? error), next: "load it again" };
}

/** A field with its label. `input` is given its id, and the hint is read out with it. */
export function field(label, input, hint) {
  numbers += 1;
  input.id ||= `field-${numbers}`;
  const described = hint ? `${input.id}-hint` : null;
  if (described) input.setAttribute("aria-describedby", described);
  return el("div", { class: "field" },
    el("label", { for: input.id }, label), input,
    hint ? el("p", { class: "hint", id: described }, prose(hint)) : null);
}

export function text(name, props = {}) {
  return el("input", { name, type: "text", autocomplete: "off", spellcheck: "false", ...props });
}

export function number(name, props = {}) {
  return el("input", { name, type: "number", inputmode: "numeric", min: 1, step: 1, ...props });
}

/** A choice among `options`, each a value or a pair of value and text. */
export function select(name, options, { value, ...props } = {}) {
  const pairs = options.map((option) => (Array.isArray(option) ? option : [option, option]));
  const node = el("select", { name, ...props },
    pairs.map(([option, shown]) => el("option", { value: option, selected: option === value }, shown)));
  node.given = node.value;
  return node;
}

export function checkbox(name, label, props = {}) {
  numbers += 1;
  const id = `field-${numbers}`;
  return el("div", { class: "check" },
    el("input", { name, type: "checkbox", id, ...props }), el("label", { for: id }, label));
}

/** The values of a form by name. An empty text is absent. */
export function values(form) {
  const read = {};
  for (const input of form.elements) {
    if (!input.name || input.disabled || (input.type === "radio" && !input.checked)) continue;
    if (input.type === "checkbox") read[input.name] = input.checked;
    else if (input.type === "number") read[input.name] = input.value === "" ? undefined : Number(input.value);
    else read[input.name] = input.value.trim() === "" ? undefined : input.value.trim();
  }
  return read;
}

/** A form that says what is wrong, once, where it is. `submit` gets the values, and returns what comes after. */
export function form({ fields, action, danger, submit, cancel, extra }) {
  const trouble = el("div", { role: "alert" });
  const go = el("button", { type: "submit", class: danger ? "danger" : "primary" }, action);
  const node = el("form", { novalidate: true }, fields, trouble,
    el("div", { class: "buttons" }, go, cancel ? el("button", { type: "button", class: "quiet", on: { click: cancel } }, "Cancel") : null, extra));
  node.onsubmit = async (event) => {
    event.preventDefault();
    if (go.getAttribute("aria-disabled") === "true") return;
    trouble.replaceChildren();
    for (const input of node.elements) input.removeAttribute("aria-invalid");
    const wrong = [...node.elements].find((input) => input.willValidate && !input.checkValidity());
    if (wrong) {
      const label = wrong.labels?.[0]?.textContent ?? wrong.name;
      const what = wrong.validity.patternMismatch && wrong.title ? `give ${wrong.title}` : wrong.validationMessage;
      trouble.replaceChildren(notice({ message: `${label}: ${what}` }));
      wrong.setAttribute("aria-invalid", "true");
      wrong.focus();
      return;
    }
    go.setAttribute("aria-disabled", "true");
    try {
      await submit(values(node), node);
    } catch (error) {
      trouble.replaceChildren(notice(asProblem(error)));
      trouble.scrollIntoView({ block: "nearest" });
    } finally {
      go.removeAttribute("aria-disabled");
    }
  };
  return node;
}

/** Opens a dialog and returns how to close it. It is closed by Escape, too, and gives the focus back. */
export function dialog(title, build, { closed } = {}) {
  numbers += 1;
  const id = `dialog-${numbers}`;
  const before = document.activeElement;
  const node = el("dialog", { "aria-labelledby": id });
  const close = () => node.close();
  node.append(el("h2", { id }, title), ...[build(close)].flat());
  node.addEventListener("close", () => {
    node.remove();
    if (before?.isConnected) before.focus();
    closed?.();
  });
  document.body.append(node);
  node.showModal();
  node.querySelector("input:not([type=hidden]), select, button")?.focus();
  return close;
}

/** Closes every dialog. */
export function closeDialogs() {
  for (const node of document.querySelectorAll("dialog")) node.close();
}

/** Asks in a dialog; `submit` gets the values, and the dialog closes when it is done. */
export function askFor(title, { lead, fields = [], action, danger, submit }) {
  return dialog(title, (close) => [
    lead ? [lead].flat().map((line) => el("p", {}, line)) : [],
    form({
      fields, action, danger, cancel: close,
      submit: async (read, node) => {
        await submit(read, node);
        close();
      },
    }),
  ].flat());
}

/** Shows a secret that nobody sees again. */
export function showOnce(title, lead, secret, after = []) {
  const said = el("span", { role: "status", class: "hint" });
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(secret);
      said.textContent = "Copied.";
    } catch {
      const range = document.createRange();
      range.selectNodeContents(shown);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      said.textContent = "Marked; copy it with the keyboard.";
    }
  };
  const shown = el("pre", { class: "secret", tabindex: "0" }, secret);
  return dialog(title, (close) => [
    el("p", {}, lead), shown,
    el("div", { class: "buttons" },
      el("button", { type: "button", class: "primary", on: { click: copy } }, "Copy"),
      el("button", { type: "button", class: "quiet", on: { click: close } }, "Close"), said),
    ...after.map((line) => el("p", { class: "hint" }, line)),
  ]);
}

let region;

/** Says something in a corner for a while, and to those who listen instead of looking. */
export function say(content, tone = "") {
  region ??= document.getElementById("messages");
  const node = el("div", { class: `message ${tone}` }, el("div", {}, content),
    el("button", { type: "button", class: "plain", "aria-label": "Close this message", on: { click: () => node.remove() } }, "×"));
  region.append(node);
  // Good news makes room for newer news.
  const good = [...region.children].filter((other) => !other.classList.contains("bad"));
  for (const older of good.slice(0, -2)) older.remove();
  while (region.children.length > 4) region.firstChild.remove();
  if (tone !== "bad") setTimeout(() => node.remove(), 6000);
}

/** Does something at once; a refusal is shown in the corner. */
export async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    say(notice(asProblem(error)), "bad");
    return undefined;
  }
}
