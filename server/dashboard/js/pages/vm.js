// One virtual machine: what it does, what it is made of, what its guest says.

import { ask, choices } from "../api.js";
import { badge, button, el, facts, link, prose, section, table } from "../dom.js";
import { askFor, attempt, dialog, field, notice, select } from "../forms.js";
import { applyButton, asOfNow, askAnew, changeMode, history, pending, setMode, unsafe } from "../cache.js";
import { failure, find, list, now, put } from "../live.js";
import { action, bytes, choice, fieldName, fieldValue, moment, sentence, stateWord, tone, word } from "../text.js";
import { newestTask, power, press, remove } from "../vm-actions.js";
import { followConsole } from "../console.js";

export const title = "Virtual machine";
export const kinds = ["vm", "task", "volume", "image"];

export const titleOf = (id) => find("vm", id)?.name ?? title;

/** What the guest wrote, and where that is shown: it stays while the page changes around it. */
let shown = null;
let redraw = () => {};

export function follow(draw, id) {
  shown = followConsole(id);
  redraw = draw;
  askAnew();
  draw();
  return () => {
    shown?.stop();
    shown = null;
    redraw = () => {};
  };
}

export function view(id) {
  const found = find("vm", id);
  const vm = found && asOfNow(found, () => redraw());
  if (!vm) {
    return [
      el("h1", { tabindex: "-1" }, title),
      failure("vm") ? notice(failure("vm")) : el("p", {}, "There is no such virtual machine any more. ", link("#/vms", "All virtual machines")),
    ];
  }
  return [
    el("div", { class: "heading", key: "head" },
      el("h1", { tabindex: "-1" }, vm.name),
      el("p", { class: "badges" }, badge(stateWord(vm.state), tone(vm.state)), vm.phase !== "ready" ? badge(stateWord(vm.phase), tone(vm.phase)) : null)),
    vm.reason ? el("p", { class: "warn", key: "reason" }, prose(sentence(vm.reason))) : null,
    el("div", { class: "buttons", key: "power" }, power(vm), button("Delete", () => remove(vm), { cannot: vm.task ? "A task works on it." : null })),
    working(vm),
    el("div", { class: "columns", key: "columns" }, summary(vm), el("div", { class: "stack", key: "side" }, drives(vm), cards(vm)), disks(vm)),
    shown ? shown.node : null,
  ];
}

/** The task that works on it, or the last one if that failed, with the way on. */
function working(vm) {
  const task = newestTask(vm.id);
  if (!task || (vm.task && vm.task.id !== task.id && task.finished_at_ms)) return null;
  const more = link(`#/tasks/${task.id}`, "Details");
  if (!task.finished_at_ms) {
    return el("div", { class: "notice busy", key: "working", role: "status" },
      el("p", { class: "what" }, `${action(task.action)}: ${task.progress_percent ?? 0} %. `, more),
      task.waits_for ? el("p", {}, prose(sentence(`it waits for ${task.waits_for}`))) : null);
  }
  if (!task.error) return null;
  const silent = task.error.code === "guest_silent" && vm.state !== "shutoff";
  return el("div", { class: "stack", key: "failed", "data-silent": silent ? "true" : null },
    silent ? el("p", { class: "warn" }, "The guest did not answer the power button. It still runs.") : null,
    notice({ ...task.error, message: `${action(task.action)} failed: ${task.error.message}` }),
    el("div", { class: "buttons" },
      silent ? button("Press it again", () => press(vm, "shutdown"), { cannot: vm.task ? "A task works on it." : null }) : null,
      silent ? power(vm, ["force-off"]) : null, more));
}

/** Fields that have a place of their own on the page. */
const PLACED = ["id", "name", "host", "host_name", "state", "reason", "phase", "task", "memory_bytes", "vcpus", "machine", "firmware", "accel",
  "effective_accel", "guest", "boot", "disks", "cdroms", "nics", "taints", "created_at_ms"];

function summary(vm) {
  const others = Object.entries(vm).filter(([name, value]) => !PLACED.includes(name) && value != null && typeof value !== "object");
  return section("Summary", facts([
    ["Host", link(`#/hosts/${vm.host}`, vm.host_name)],
    ["Memory", bytes(vm.memory_bytes)],
    ["Processors", vm.vcpus],
    ["Machine", choice(vm.machine)],
    ["Firmware", choice(vm.firmware)],
    ["Accelerator", vm.effective_accel ? choice(vm.effective_accel) : "not known yet", `asked for: ${word(vm.accel)}`],
    ["Tuned for", word(vm.guest)],
    ["Boots from", (vm.boot ?? []).map(word).join(", then ")],
    ["Libvirt finds", (vm.taints ?? []).join(", ")],
    ["Created", moment(vm.created_at_ms)],
    ...others.map(([name, value]) => [fieldName(name), fieldValue(name, value)]),
  ]));
}

/** How a file is opened, exactly as the host says it. */
function cache(cache) {
  if (!cache) return el("span", { class: "muted" }, "not known yet");
  const direct = cache.direct == null ? null : cache.direct ? "O_DIRECT" : "no O_DIRECT";
  return el("div", { class: "cache" },
    el("strong", { class: "mode" }, cache.mode), unsafe(cache.mode), direct ? el("small", {}, direct) : null,
    cache.requested !== cache.mode ? el("small", {}, "asked for: ", el("span", { class: "requested" }, cache.requested)) : null,
    el("p", { class: "reason" }, prose(sentence(cache.reason))));
}

function disks(vm) {
  const volumes = list("volume") ?? [];
  const rows = (vm.disks ?? []).map((disk, at) => {
    const volume = volumes.find(({ id }) => id === disk.volume);
    return {
      key: disk.volume,
      cells: [
        el("code", {}, disk.target ?? "–"),
        el("span", {}, link(`#/volume/${disk.volume}`, disk.volume_name), el("small", {}, el("code", {}, disk.path ?? volume?.path ?? ""))),
        disk.size_bytes == null ? null : bytes(disk.size_bytes),
        word(disk.bus),
        el("div", {}, cache(disk.cache), pending(disk.pending)),
        at === 0 ? el("span", { class: "muted" }, "root disk") : button("Detach", () => detach(vm, disk), { cannot: vm.task ? "A task works on it." : null }),
      ],
    };
  });
  const node = section("Disks", table("Disks", ["Target", "Volume", "Size", "Bus", "Effective cache mode", "Actions"], rows, "It has no disk."),
    el("p", { class: "hint" }, "Cache mode of all its disks: ", setMode(vm.cache)),
    el("div", { class: "buttons" }, button("Attach a volume", () => attach(vm), { cannot: vm.task ? "A task works on it." : null }),
      button("Change the cache mode", () => changeMode("vm", vm)), button("History of the mode", () => past(vm)), applyButton(vm), button("May it migrate?", () => judge(vm))));
  node.classList.add("wide");
  return node;
}

/** Says whether it may migrate, and what is in the way. */
async function past(vm) {
  const settings = await attempt(() => ask("GET", `/api/v1/vms/${vm.id}/cache`));
  if (!settings) return;
  dialog(`Cache mode of ${vm.name}`, (close) => [
    el("p", {}, "Set for all its disks: ", setMode(settings.set)),
    history(settings.changes),
    el("div", { class: "buttons" }, el("button", { type: "button", class: "quiet", on: { click: close } }, "Close")),
  ]);
}

async function judge(vm) {
  const judged = await attempt(() => ask("GET", `/api/v1/vms/${vm.id}/migration`));
  if (!judged) return;
  const rows = judged.disks.map((disk) => ({
    key: disk.target,
    cells: [el("code", {}, disk.target), disk.mode, word(disk.reach), disk.safe ? badge("safe", "good") : badge("in the way", "bad"),
      el("span", {}, prose(sentence(disk.reason)), disk.remedy ? el("small", {}, prose(sentence(disk.remedy))) : null)],
  }));
  dialog(`Migration of ${vm.name}`, (close) => [
    el("p", {}, judged.may ? "It may migrate as it is." : "It may not migrate as it is."),
    table("Disks", ["Disk", "Mode", "Lies", "Verdict", "Why"], rows, "It has no disk."),
    el("div", { class: "buttons" }, el("button", { type: "button", class: "quiet", on: { click: close } }, "Close")),
  ]);
}

async function attach(vm) {
  const buses = await choices("DiskBus");
  const free = (await now("volume")).filter((volume) => !volume.vm && volume.phase === "ready");
  askFor(`Attach a volume to ${vm.name}`, {
    lead: free.length === 0 ? "There is no free volume; create one first." : null,
    fields: [
      field("Volume", select("volume", free.map((volume) => [volume.id, `${volume.name}, ${bytes(volume.size_bytes)} in ${volume.storage_name}`]), { required: true })),
      buses.length > 0 ? field("The guest sees it on", select("bus", buses.map((bus) => [bus, choice(bus)]))) : null,
    ],
    action: "Attach",
    submit: async (read) => put("task", await ask("POST", `/api/v1/vms/${vm.id}/volumes`, read)),
  });
}

function detach(vm, disk) {
  askFor(`Detach ${disk.volume_name}`, {
    lead: "The guest loses the disk; unmount it there first. The volume stays with all that is in it.",
    action: "Detach", danger: true,
    submit: async () => put("task", await ask("DELETE", `/api/v1/vms/${vm.id}/volumes/${disk.volume}`)),
  });
}

function drives(vm) {
  if (!vm.cdroms?.length) return null;
  const busy = vm.task ? "A task works on it." : null;
  return section("CD-ROM", vm.cdroms.map((drive) => el("div", { key: `drive-${drive.drive}`, class: "drive" },
    el("p", {}, `Drive ${drive.drive}: `, drive.image ? el("strong", {}, drive.image_name) : "empty"),
    drive.cache ? cache(drive.cache) : null,
    el("div", { class: "buttons" },
      button("Insert an image", () => insert(vm, drive), { cannot: busy }),
      drive.image ? button("Eject", () => eject(vm, drive), { cannot: busy }) : null))));
}

async function insert(vm, drive) {
  const images = (await now("image")).filter((image) => image.phase === "ready" && image.format !== "qcow2");
  askFor(`Insert an image into drive ${drive.drive}`, {
    lead: images.length === 0 ? "A drive takes raw images, such as ISO files. There is none; import one first." : null,
    fields: [field("Image", select("image", images.map((image) => [image.id, image.name]), { required: true }))],
    action: "Insert",
    submit: async (read) => put("task", await ask("PUT", `/api/v1/vms/${vm.id}/cdroms/${drive.drive}`, read)),
  });
}

function eject(vm, drive) {
  askFor(`Eject ${drive.image_name}`, {
    lead: "The drive is emptied. The image stays.", action: "Eject",
    submit: async () => put("task", await ask("DELETE", `/api/v1/vms/${vm.id}/cdroms/${drive.drive}`)),
  });
}

function cards(vm) {
  const nics = vm.nics ?? [];
  if (nics.length === 0) return section("Network", el("p", { class: "empty" }, "It has no network card."));
  return section("Network", nics.map((nic) => facts([
    ["Bridge", nic.bridge], ["Address", el("code", {}, nic.mac)], ["Model", choice(nic.model)],
  ])));
}
