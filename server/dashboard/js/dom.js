// Elements. Data comes into the page here, always as text and never as markup.
//
// A page is made anew whenever something changes; `morph` then brings what is shown to that state, and leaves alone what
// stays the same: focus, what somebody types, what was opened, how far something was scrolled.

/** Makes an element. In `props`, `on` holds what happens, `key` tells it from others beside it, and an absent value is left out. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value == null || value === false) continue;
    if (name === "on") for (const [event, action] of Object.entries(value)) node[`on${event}`] = action;
    else if (name === "key") node.dataset.key = value;
    else if (name === "island") node.dataset.island = value;
    else if (name === "value") { node.value = value; node.given = String(value); }
    else if (name === "checked") { node.checked = value; node.setAttribute("checked", ""); }
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child != null && child !== false && child !== ""));
  return node;
}

/** Text in which what stands between backticks is code. */
export function prose(text) {
  return String(text ?? "").split("`").map((part, at) => (at % 2 ? el("code", {}, part) : part));
}

const HANDLERS = ["onclick", "onsubmit", "onchange", "oninput", "ontoggle", "onkeydown"];

/** Brings the children of `parent` to the state of `wanted`. */
export function morph(parent, wanted) {
  const known = new Map();
  for (const node of parent.childNodes) if (node.dataset?.key) known.set(node.dataset.key, node);
  let at = parent.firstChild;
  for (let fresh of wanted) {
    if (!(fresh instanceof Node)) fresh = document.createTextNode(fresh);
    const key = fresh.dataset?.key;
    let old = key ? known.get(key) : at;
    if (!key && old?.dataset?.key) old = null;
    if (old && alike(old, fresh)) {
      if (old !== at) parent.insertBefore(old, at);
      else at = at.nextSibling;
      change(old, fresh);
    } else {
      parent.insertBefore(fresh, at);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

function alike(old, fresh) {
  return old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName && old.type === fresh.type
    && old.dataset?.key === fresh.dataset?.key;
}

function change(old, fresh) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  if (old.dataset.island && old.dataset.island === fresh.dataset.island) return;
  for (const { name } of [...old.attributes]) {
    const opened = name === "open" && old.nodeName === "DETAILS";
    if (!opened && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const name of HANDLERS) old[name] = fresh[name];
  const given = fresh.given;
  morph(old, [...fresh.childNodes]);
  // What somebody has begun to type stays.
  if (given !== undefined && given !== old.given) {
    if (old.value === old.given) old.value = given;
    old.given = given;
  }
}

/** A button. `cannot` says why it does nothing now. */
export function button(text, action, { style = "quiet", cannot, key, ...rest } = {}) {
  return el("button", {
    type: "button",
    class: style,
    key: key ?? text,
    "aria-disabled": cannot ? "true" : null,
    title: cannot,
    ...rest,
    on: { click: (event) => (cannot ? undefined : action(event)) },
  }, text);
}

/** A link within the dashboard. */
export function link(hash, text, props = {}) {
  return el("a", { href: hash, ...props }, text);
}

/** Pairs of a term and what it is; a pair without a value is left out. */
export function facts(pairs) {
  const shown = pairs.filter((pair) => pair && pair[1] != null && pair[1] !== "");
  return el("dl", {}, shown.map(([term, value, detail]) => [
    el("dt", {}, term),
    el("dd", {}, value, detail ? el("small", {}, detail) : null),
  ]));
}

/** A table that becomes a list of cards where the page is narrow. `columns` are titles, `rows` have a key and cells. */
export function table(caption, columns, rows, empty) {
  if (rows.length === 0) return el("p", { class: "empty" }, empty);
  const head = el("thead", {}, el("tr", {}, columns.map((title) => el("th", { scope: "col" }, title))));
  const body = rows.map(({ key, cells }) => el("tr", { key }, cells.map((cell, at) => {
    const label = columns[at];
    return el(at === 0 ? "th" : "td", { "data-label": label, scope: at === 0 ? "row" : null }, cell ?? "–");
  })));
  return el("div", { class: "scroll" },
    el("table", {}, el("caption", { class: "unseen" }, caption), head, el("tbody", {}, body)));
}

/** A part of a page with a title. */
export function section(title, ...content) {
  return el("section", { class: "card", key: title, "aria-label": title }, el("h2", {}, title), ...content);
}

/** A dot and a word. `tone` is good, bad, busy or nothing. */
export function badge(word, tone = "") {
  return el("span", { class: `badge ${tone}`, "data-state": word }, word);
}
