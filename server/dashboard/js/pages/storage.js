// One storage: what it offers, what it is worth for disks, and the cache mode of its volumes.

import { remembering } from "../answer.js";
import { ask } from "../api.js";
import { badge, button, el, facts, link, prose, section, table } from "../dom.js";
import { changeMode, evidence, history, setMode } from "../cache.js";
import { attempt, notice } from "../forms.js";
import { failure, find, put } from "../live.js";
import { bytes, moment, sentence, word } from "../text.js";

export const title = "Storage";
export const kinds = ["storage"];

export const titleOf = (id) => find("storage", id)?.name ?? title;

const TONES = { good: "good", note: "warn", beware: "bad" };

/** What was changed about its mode. */
const changes = remembering();
export const follow = changes.follow;

export function view(id) {
  const storage = find("storage", id);
  if (!storage) {
    return [
      el("h1", { tabindex: "-1" }, title),
      failure("storage") ? notice(failure("storage")) : el("p", {}, "There is no such storage any more. ", link("#/storages", "All storages")),
    ];
  }
  const told = changes.of(`/api/v1/storages/${id}/cache`, JSON.stringify([id, storage.cache]));
  return [
    el("h1", { tabindex: "-1" }, storage.name),
    section("Summary", facts([
      ["Host", link(`#/hosts/${storage.host}`, storage.host_name)],
      ["Folder", el("code", {}, storage.path)],
      ["File system", storage.file_system],
      ["Space", storage.capacity_bytes ? `${bytes(storage.available_bytes)} of ${bytes(storage.capacity_bytes)} free` : "no limit"],
      ["Looked at", moment(storage.seen_at_ms)],
      ["Cache mode of its volumes", setMode(storage.cache)],
    ]), el("div", { class: "buttons" }, button("Change the mode", () => changeMode("storage", storage)))),
    check(storage),
    section("History of the mode", told.problem ? notice(told.problem) : told.answer ? history(told.answer.changes) : el("p", { class: "muted" }, "Asking the server.")),
  ];
}

function check(storage) {
  const { check, check_failure } = storage;
  const rows = (check?.findings ?? []).map((finding) => ({
    key: finding.subject,
    cells: [
      word(finding.subject),
      badge(word(finding.verdict), TONES[finding.verdict] ?? ""),
      prose(sentence(finding.evidence)),
      finding.advice ? prose(sentence(finding.advice)) : null,
    ],
  }));
  const again = () => attempt(async () => put("storage", await ask("POST", `/api/v1/storages/${storage.id}/check`)));
  return section("What it is worth for disks",
    check_failure ? notice({ message: check_failure }) : null,
    check ? el("p", { class: "muted" }, `Measured ${moment(check.at_ms)}.`) : el("p", {}, "It was not measured yet."),
    check ? table("Findings", ["What", "Verdict", "Seen", "Advice"], rows, "") : null,
    check ? evidence("Direct I/O", [check.direct_io]) : null,
    el("div", { class: "buttons" }, button("Measure it now", again)));
}
