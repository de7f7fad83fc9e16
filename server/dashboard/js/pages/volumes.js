// Volumes: disks of virtual machines, and those that are a disk of nobody.

import { ask } from "../api.js";
import { firstMode, modeFields } from "../cache.js";
import { badge, button, el, link, table } from "../dom.js";
import { askFor, field, notice, number, select, text } from "../forms.js";
import { failure, list, put } from "../live.js";
import { bytes, stateWord, tone, word } from "../text.js";

export const title = "Volumes";
export const kinds = ["volume", "storage", "image", "task"];

const GIB = 2 ** 30;

export function view() {
  const tasks = list("task") ?? [];
  const rows = (list("volume") ?? []).map((volume) => {
    const busy = tasks.some((task) => task.subject?.id === volume.id && !task.finished_at_ms) ? "A task works on it." : null;
    return {
      key: volume.id,
      cells: [
        el("span", {}, link(`#/volume/${volume.id}`, volume.name), el("small", { class: "path" }, el("code", {}, volume.path))),
        badge(stateWord(volume.phase), tone(volume.phase)),
        el("span", {}, volume.size_bytes == null ? "–" : bytes(volume.size_bytes),
          el("small", {}, word(volume.format), volume.allocated_bytes == null ? "" : `, ${bytes(volume.allocated_bytes)} taken`)),
        volume.storage_name,
        volume.image_name,
        volume.vm ? link(`#/vm/${volume.vm}`, volume.vm_name) : null,
        el("div", { class: "buttons" },
          button("Resize", () => resize(volume), { cannot: busy }),
          button("Delete", () => remove(volume), { cannot: busy ?? (volume.vm ? "It is a disk of a virtual machine; detach it first." : null) })),
      ],
    };
  });
  return [
    el("div", { class: "heading" }, el("h1", { tabindex: "-1" }, title), button("Create a volume", add, { style: "primary" })),
    failure("volume") ? notice(failure("volume"), { key: "failure" }) : null,
    table("Volumes", ["Name", "State", "Size", "Storage", "Lies on", "Disk of", "Actions"], rows, "There is no volume yet."),
  ];
}

async function add() {
  const cache = await modeFields();
  const storages = list("storage") ?? [];
  const images = (list("image") ?? []).filter((image) => image.phase === "ready");
  askFor("Create a volume", {
    lead: storages.length === 0 ? "There is no storage yet; add one first." : null,
    fields: [
      field("Name", text("name", { required: true })),
      field("Storage", select("storage", storages.map((storage) => [storage.id, `${storage.name} on ${storage.host_name}`]), { required: true })),
      field("Lies on", select("image", [["", "nothing; it is blank"], ...images.map((image) => [image.id, image.name])])),
      field("Size in GiB", number("size"), "May be left out where there is an image: then as big as that."),
      ...cache,
    ],
    action: "Create",
    submit: async ({ name, storage, image, size, ...mode }) => {
      const size_bytes = size === undefined ? undefined : size * GIB;
      put("task", await ask("POST", "/api/v1/volumes", { name, storage, image, size_bytes, cache: firstMode(mode) }));
    },
  });
}

function resize(volume) {
  const now = Math.floor((volume.size_bytes ?? 0) / GIB);
  askFor(`Resize ${volume.name}`, {
    lead: `It has ${bytes(volume.size_bytes)}. It can be made bigger, not smaller.`,
    fields: [field("New size in GiB", number("size", { min: now + 1, value: now + 1, required: true }))],
    action: "Resize",
    submit: async ({ size }) => put("task", await ask("POST", `/api/v1/volumes/${volume.id}/resize`, { size_bytes: size * GIB })),
  });
}

function remove(volume) {
  askFor(`Delete ${volume.name}`, {
    lead: ["The volume and its file are removed with all that is in it. This cannot be undone.", volume.image_name ? `The image ${volume.image_name} stays.` : null].filter(Boolean),
    action: "Delete", danger: true,
    submit: async () => put("task", await ask("DELETE", `/api/v1/volumes/${volume.id}`)),
  });
}
