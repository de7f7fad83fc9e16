// Cache modes of storages, virtual machines and volumes: shown, set, cleared and tried before, and by what they are known.

import { ask, choices } from "./api.js";
import { badge, button, el, prose, table } from "./dom.js";
import { asProblem, askFor, checkbox, field, notice, select } from "./forms.js";
import { put } from "./live.js";
import { moment, sentence, word } from "./text.js";

const PLURALS = { storage: "storages", vm: "vms", volume: "volumes" };

/** What is set, or that nothing is. */
export function setMode(set, otherwise = "nothing is set") {
  if (!set) return el("span", { class: "muted" }, otherwise);
  return el("span", {}, el("code", {}, set.mode), " ", unsafe(set.mode));
}

/** A label on a mode that may lose what is on a disk. */
export function unsafe(mode) {
  return mode === "unsafe" ? badge("a crash of the host loses the disk", "bad") : null;
}

/** What hosts say it takes until disks are as they are asked to be, by their volumes. */
let outcomes = new Map();

/** From now on hosts are asked anew. */
export function askAnew() {
  outcomes = new Map();
}

/** A virtual machine of whose disks it is known what `auto` comes to now, as far as their host has said so; `redraw` when it has. */
export function asOfNow(vm, redraw) {
  const runs = ["running", "paused"].includes(vm.state);
  const disks = (vm.disks ?? []).map((disk) => {
    if (!runs || disk.pending !== "unchanged" || disk.cache?.requested !== "auto") return disk;
    return { ...disk, pending: outcomeOf(disk, redraw) };
  });
  return { ...vm, disks };
}

function outcomeOf(disk, redraw) {
  const { volume, cache } = disk;
  const known = outcomes.get(volume);
  if (known?.mode === cache.mode) return known.pending ?? disk.pending;
  const asked = { mode: cache.mode };
  outcomes.set(volume, asked);
  ask("GET", `/api/v1/volumes/${volume}/cache`).then(({ pending }) => {
    asked.pending = pending;
    if (outcomes.get(volume) === asked && pending !== disk.pending) redraw();
  }, () => {}); // A host that does not answer says so itself.
  return disk.pending;
}

/** Fields for the cache mode of something that is made. */
export async function modeFields() {
  const modes = await choices("CacheChoice");
  if (modes.length === 0) return [];
  return [
    field("Cache mode", select("cache", [["", "as it is set for its storage or for everything"], ...modes])),
    checkbox("accepts_loss", "With unsafe a crash of the host loses what is on the disks; I accept that"),
  ];
}

/** What they say, as it is sent. */
export function firstMode({ cache, accepts_loss }) {
  return cache ? { mode: cache, accepts_loss } : undefined;
}

/** What it takes until the mode is in force that is set for a disk now, where it takes something. */
export function pending(outcome) {
  if (outcome === "live") return badge("another mode is due, and can be applied live", "warn");
  if (outcome === "restart") return badge("another mode is due, and needs a reboot", "warn");
  return null;
}

/** Asks before it has a virtual machine that runs change its disks to the modes that are set for them. */
export function applyModes(vm) {
  const names = (vm.disks ?? []).filter((disk) => disk.pending === "live").map((disk) => disk.volume_name);
  askFor(`Apply cache modes: ${vm.name}`, {
    lead: `While it runs, these volumes are opened anew in the modes that are set for them: ${names.join(", ")}. QEMU's monitor is used for it: libvirt marks the domain as tainted until it is turned off.`,
    action: "Apply",
    submit: async () => put("task", await ask("POST", `/api/v1/vms/${vm.id}/apply-cache`)),
  });
}

/** The button for that, where it makes sense. */
export function applyButton(vm) {
  const outcomes = (vm?.disks ?? []).map((disk) => disk.pending);
  if (!outcomes.includes("live")) return null;
  const cannot = vm.task ? "A task works on it." : outcomes.includes("restart") ? "The mode of one of its disks needs a reboot." : null;
  return button("Apply cache modes now", () => applyModes(vm), { cannot, "data-press": "apply-cache" });
}

/** How one attempt of the host went. */
function attempted({ worked, errno, message }) {
  if (worked == null) return "not tried";
  return worked ? "works" : `${message} (errno ${errno})`;
}

/** What O_DIRECT was found to be worth at each file. */
export function evidence(title, layers) {
  if (!layers?.length) return null;
  const rows = layers.map((layer) => ({
    key: layer.path,
    cells: [
      el("span", {}, el("code", {}, layer.path), layer.weakest ? el("small", {}, "this one decides") : null),
      el("span", {}, word(layer.answer), layer.block_bytes ? el("small", {}, `blocks of ${layer.block_bytes} bytes`) : null),
      el("span", {}, layer.file_system, el("small", {}, `${layer.device}, ${layer.mount}`)),
      layer.statx ? `memory ${layer.statx.memory_bytes}, offset ${layer.statx.offset_bytes}` : "silent",
      el("span", {}, `open: ${attempted(layer.open)}`, el("small", {}, `${layer.by} 512 bytes: ${attempted(layer.sector)}; 4096 bytes: ${attempted(layer.page)}`)),
    ],
  }));
  return table(title, ["File", "O_DIRECT", "File system", "statx", "Tried"], rows, "");
}

/** What was changed, by whom. */
export function history(changes) {
  const rows = (changes ?? []).map((change, at) => ({
    key: `${change.at_ms}-${at}`,
    cells: [moment(change.at_ms), change.who, change.from ?? "nothing", change.to ?? "nothing"],
  }));
  return table("Changes", ["When", "Who", "From", "To"], rows, "It was never changed.");
}

/** Asks for another mode for a storage, a virtual machine or a volume, and shows what would come of it before. */
export async function changeMode(level, thing, done = () => {}) {
  const modes = await choices("CacheChoice");
  const outcome = el("div", { role: "status" });
  const read = (node) => ({ mode: node.elements.mode.value, accepts_loss: node.elements.accepts_loss.checked });
  const attempt = async (event) => {
    const { mode, accepts_loss } = read(event.target.form);
    const set = mode ? { mode, accepts_loss } : undefined;
    try {
      const impact = await ask("POST", "/api/v1/cache/dry-run", { level, name: thing.id, set });
      const rows = impact.disks.map((disk) => ({
        key: `${disk.vm_name}-${disk.volume_name}`,
        cells: [disk.volume_name, disk.vm_name, word(disk.outcome), `${disk.from ?? "–"} to ${disk.to ?? "–"}`],
      }));
      outcome.replaceChildren(el("p", {}, prose(sentence(impact.summary))),
        table("What would come of it", ["Volume", "Disk of", "Outcome", "Mode"], rows, "It is about no disk."));
    } catch (error) {
      outcome.replaceChildren(notice(asProblem(error)));
    }
  };
  const options = [["", "nothing: what is set less specifically counts"], ...modes];
  askFor(`Cache mode of ${thing.name}`, {
    lead: "The most specific mode counts: that of the volume, the virtual machine, the storage, and then that of Global Config. Virtual machines that run keep theirs until they are rebooted, or until it is applied on their pages.",
    fields: [
      field("Mode", select("mode", options, { value: thing.cache?.mode ?? "" })),
      checkbox("accepts_loss", "With unsafe a crash of the host loses what is on the disks; I accept that"),
      el("div", { class: "buttons" }, button("What would come of it?", attempt)), outcome,
    ],
    action: "Save",
    submit: async ({ mode, accepts_loss }) => {
      const path = `/api/v1/${PLURALS[level]}/${thing.id}/cache`;
      done(mode ? await ask("PUT", path, { mode, accepts_loss }) : await ask("DELETE", path));
    },
  });
}
