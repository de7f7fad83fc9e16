// One volume: what it is, and in which mode it is opened and why.

import { remembering } from "../answer.js";
import { badge, button, el, facts, link, prose, section, table } from "../dom.js";
import { applyButton, changeMode, evidence, history, pending, setMode, unsafe } from "../cache.js";
import { notice } from "../forms.js";
import { failure, find } from "../live.js";
import { bytes, sentence, stateWord, tone, word } from "../text.js";

export const title = "Volume";
export const kinds = ["volume", "vm", "storage", "setting"];

export const titleOf = (id) => find("volume", id)?.name ?? title;

/** What the server says of its mode. */
const explanations = remembering();
export const follow = explanations.follow;

export function view(id) {
  const volume = find("volume", id);
  if (!volume) {
    return [
      el("h1", { tabindex: "-1" }, title),
      failure("volume") ? notice(failure("volume")) : el("p", {}, "There is no such volume any more. ", link("#/volumes", "All volumes")),
    ];
  }
  const vm = volume.vm ? find("vm", volume.vm) : null;
  const stamp = JSON.stringify([volume, vm?.state, vm?.disks, vm?.cache, find("storage", volume.storage)?.cache]);
  const path = `/api/v1/volumes/${id}/cache`;
  const told = explanations.of(path, stamp);
  return [
    el("div", { class: "heading", key: "head" }, el("h1", { tabindex: "-1" }, volume.name),
      el("p", { class: "badges" }, badge(stateWord(volume.phase), tone(volume.phase)))),
    section("Summary", facts([
      ["Size", volume.size_bytes == null ? null : bytes(volume.size_bytes), volume.allocated_bytes == null ? null : `${bytes(volume.allocated_bytes)} taken`],
      ["Storage", link(`#/storage/${volume.storage}`, volume.storage_name)],
      ["Disk of", volume.vm ? link(`#/vm/${volume.vm}`, volume.vm_name) : "nobody"],
      ["Lies on", volume.image_name],
      ["Format", word(volume.format)],
      ["Sectors", volume.sector_bytes ? `${volume.sector_bytes} bytes` : "chosen when a guest gets it"],
      ["File", el("code", {}, volume.path)],
    ])),
    section("Cache mode", mode(told.answer),
      told.problem ? notice(told.problem) : null,
      el("div", { class: "buttons" }, button("Change its mode", () => changeMode("volume", volume, () => explanations.again(path, stamp))), applyButton(withPending(vm, id, told.answer?.pending)))),
    told.answer ? section("History", history(told.answer.changes)) : null,
  ];
}

/** What is explained of this disk is newer than what its virtual machine says of it. */
function withPending(vm, id, pending) {
  if (!vm || !pending) return vm;
  return { ...vm, disks: (vm.disks ?? []).map((disk) => (disk.volume === id ? { ...disk, pending } : disk)) };
}

function mode(explanation) {
  if (!explanation) return el("p", { class: "muted" }, "Asking the server.");
  const { effective, now } = explanation;
  const levels = explanation.levels.map((level) => ({
    key: level.level,
    cells: [word(level.level), level.name, setMode(level.set, "–"), level.counts ? badge("counts", "good") : null],
  }));
  const settled = now.mode ? el("span", {}, el("code", {}, now.mode), " ", unsafe(now.mode))
    : badge(now.refused ? "refused" : "not known", now.refused ? "bad" : "warn");
  return el("div", { class: "stack" },
    table("Where it is set", ["Level", "Name", "Set to", ""], levels, ""),
    facts([
      ["Requested", setMode(explanation.requested), `set for: ${word(explanation.set_at)}`],
      effective ? ["In force", el("span", {}, el("code", {}, effective.mode), " ", unsafe(effective.mode), " ", pending(explanation.pending)), prose(sentence(effective.reason))] : null,
      ["If it were settled now", settled, prose(sentence(now.reason))],
      [effective?.warnings?.length || now.warnings?.length ? "Beware" : "", [...new Set([...(effective?.warnings ?? []), ...(now.warnings ?? [])])].map(sentence).join(" ")],
    ]),
    evidence("What was found when it was settled", effective?.evidence) ?? evidence("What is found now", now.evidence));
}
