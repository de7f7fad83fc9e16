// What a guest writes to its first serial line, as it writes it.

import { ask } from "./api.js";
import { el } from "./dom.js";
import { asProblem, notice } from "./forms.js";

const EVERY_MS = 1000;
/** The least that is shown of what was written before, in bytes. */
const BEFORE = 64 * 1024;
/** The most that is kept on the page, in characters. */
const KEPT = 256 * 1024;

/** Shows the console of a virtual machine until `stop`. */
export function followConsole(id) {
  const log = el("pre", { class: "console", tabindex: "0", role: "log", "aria-label": "Console log" });
  const trouble = el("div", {});
  const follows = el("input", { type: "checkbox", id: "console-follows", checked: true });
  const node = el("section", { class: "card", key: "console", island: id, "aria-label": "Console log" },
    el("div", { class: "heading" }, el("h2", {}, "Console log"),
      el("div", { class: "check" }, follows, el("label", { for: "console-follows" }, "Follow"))),
    trouble, log);
  const path = `/api/v1/vms/${id}/console`;
  let offset = null;
  let timer = null;
  let stopped = false;

  const bottom = () => {
    if (follows.checked) log.scrollTop = log.scrollHeight;
  };

  const read = async () => {
    if (offset === null) {
      const { size_bytes } = await ask("GET", `${path}?offset=0&limit=1`);
      offset = Math.max(0, size_bytes - BEFORE);
    }
    for (;;) {
      const reply = await ask("GET", `${path}?offset=${offset}`);
      // A log that is shorter than it was is another one: the machine was started anew.
      if (reply.offset < offset) log.textContent = "";
      offset = reply.next_offset;
      if (!reply.text) return;
      // Serial lines end with a carriage return, too.
      log.append(reply.text.replaceAll("\r", ""));
      if (log.textContent.length > KEPT) log.textContent = log.textContent.slice(-KEPT);
      bottom();
    }
  };

  const look = async () => {
    try {
      if (!document.hidden) await read();
      trouble.replaceChildren();
    } catch (error) {
      trouble.replaceChildren(notice(asProblem(error), { tone: "warn" }));
    }
    if (!stopped) timer = setTimeout(look, EVERY_MS);
  };

  follows.onchange = bottom;
  look();
  return {
    node,
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
