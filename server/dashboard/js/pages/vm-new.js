// A new virtual machine, in one form.

import { ask, choices } from "../api.js";
import { firstMode, modeFields } from "../cache.js";
import { button, el, link } from "../dom.js";
import { checkbox, field, form, number, select, text } from "../forms.js";
import { list, put } from "../live.js";
import { bytes, choice } from "../text.js";

export const title = "Create a virtual machine";
export const kinds = ["host", "storage", "image", "vm"];

const GIB = 2 ** 30;
const MIB = 2 ** 20;

/** Words under "More", by the name of the field, with the name that the API's description has for them. */
const MORE = [
  ["machine", "Machine", "Machine"],
  ["firmware", "Firmware", "Firmware"],
  ["accel", "Accelerator", "AccelChoice"],
  ["guest", "Tuned for", "Guest"],
  ["bus", "Disks are seen on", "DiskBus"],
];

export async function enter() {
  const more = (await Promise.all(MORE.map(async ([name, label, schema]) => [name, label, await choices(schema)])))
    .filter(([, , words]) => words.length > 0);
  const models = await choices("NicModel");
  const cache = await modeFields();
  const hosts = list("host") ?? [];
  const storages = list("storage") ?? [];
  const images = (list("image") ?? []).filter((image) => image.phase === "ready");
  const hostOf = (storage) => storages.find(({ id }) => id === storage)?.host;

  const host = select("host", hosts.map(({ id, name }) => [id, name]), { required: true, value: hosts[0]?.id });
  const from = select("from", []);
  const storage = select("storage", []);
  const cdrom = select("cdrom", []);
  const size = number("size", { value: 10 });
  const sizeHint = "Empty: as big as the image.";
  const data = el("div", { class: "stack" });
  const nics = el("div", { class: "stack" });

  /** Offers what lies on the host that is chosen. */
  const offer = () => {
    const here = images.filter((image) => hostOf(image.storage) === host.value);
    const shown = (image) => [image.id, `${image.name}, ${bytes(image.size_bytes)}`];
    options(from, [["", "a blank disk"], ...here.map(shown)]);
    options(storage, storages.filter((storage) => storage.host === host.value).map(({ id, name, available_bytes }) => [id, `${name}, ${bytes(available_bytes)} free`]));
    options(cdrom, [["", "empty"], ...here.filter((image) => image.format !== "qcow2").map(shown)]);
    from.dispatchEvent(new Event("change"));
  };
  from.onchange = () => {
    if (from.value) size.value = "";
    else size.value ||= 10;
    size.required = !from.value;
  };
  host.onchange = offer;
  offer();

  const addData = () => data.append(row("Data volume", [
    field(`Size in GiB`, number("data-size", { value: 10, required: true })),
  ]));
  const bridges = [...new Set((list("vm") ?? []).flatMap((vm) => vm.nics ?? []).map((nic) => nic.bridge))];
  const addNic = () => nics.append(row("Network card", [
    field("Bridge", text("nic-bridge", { required: true, list: "bridges", placeholder: "br0" }), "An existing bridge of the host."),
    models.length > 0 ? field("Model", select("nic-model", models.map((model) => [model, choice(model)]))) : null,
  ]));

  const submit = async (read, node) => {
    const all = (name) => [...node.querySelectorAll(`[name="${name}"]`)];
    const models = all("nic-model");
    const disk = (part) => ({ ...part, bus: read.bus });
    const body = {
      name: read.name,
      memory_bytes: read.memory * (read.unit === "GiB" ? GIB : MIB),
      vcpus: read.vcpus,
      root: disk({ image: read.from, storage: read.storage, size_bytes: read.size === undefined ? undefined : read.size * GIB }),
      data: all("data-size").map((input) => disk({ size_bytes: Number(input.value) * GIB })),
      nics: all("nic-bridge").map((input, at) => ({ bridge: input.value.trim(), model: models[at]?.value })),
      cdrom: read.cdrom,
      start: read.start,
      cache: firstMode(read),
    };
    for (const [name] of more) if (name !== "bus") body[name] = read[name];
    const task = await ask("POST", "/api/v1/vms", body);
    put("task", task);
    location.hash = task.subject?.id ? `#/vm/${task.subject.id}` : "#/vms";
  };

  const fields = [
    el("div", { class: "grid" },
      field("Name", text("name", { required: true, maxlength: 64, pattern: "[A-Za-z0-9][A-Za-z0-9._\\-]*", title: "letters, digits, `.`, `_` and `-`" })),
      field("Host", host)),
    el("div", { class: "grid" },
      field("Memory", el("input", { name: "memory", type: "number", min: 1, step: 1, value: 2, required: true })),
      field("Unit", select("unit", ["GiB", "MiB"], { value: "GiB" })),
      field("Processors", number("vcpus", { value: 2, max: 255, required: true }))),
    el("fieldset", {}, el("legend", {}, "Root disk"),
      el("div", { class: "grid" }, field("Made from", from), field("Size in GiB", size, sizeHint), field("Storage", storage))),
    el("fieldset", {}, el("legend", {}, "Data volumes"), data, button("Add a data volume", addData)),
    el("fieldset", {}, el("legend", {}, "Network"), el("datalist", { id: "bridges" }, bridges.map((bridge) => el("option", { value: bridge }))),
      nics, button("Add a network card", addNic)),
    el("details", { class: "more" }, el("summary", {}, "More"),
      el("div", { class: "grid" },
        more.map(([name, label, words]) => field(label, select(name, words.map((word) => [word, choice(word)])))),
        field("CD-ROM drive", cdrom, "Raw images, such as ISO files. It is booted from first."), cache.slice(0, 1)),
      cache.slice(1)),
    checkbox("start", "Start it at once", { checked: true }),
  ];
  return [
    el("h1", { tabindex: "-1" }, title),
    storages.length === 0 ? el("p", { class: "warn" }, "There is no storage yet. ", link("#/storages", "Add one first"), ".") : null,
    el("div", { class: "card" }, form({ fields, action: "Create", submit, cancel: () => { location.hash = "#/vms"; } })),
  ];
}

/** Replaces the options of a choice; what was chosen stays if it is still there. */
function options(input, pairs) {
  const { value } = input;
  input.replaceChildren(...pairs.map(([option, shown]) => el("option", { value: option }, shown)));
  if (pairs.some(([option]) => option === value)) input.value = value;
}

/** Fields that can be taken out again. */
function row(name, fields) {
  const node = el("div", { class: "grid removable", role: "group", "aria-label": name }, fields,
    button("Remove", () => node.remove(), { "aria-label": `Remove this ${name.toLowerCase()}` }));
  return node;
}
