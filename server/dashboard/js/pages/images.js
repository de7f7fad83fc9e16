// Images: what volumes are made from and CD-ROM drives are filled with.

import { ask } from "../api.js";
import { badge, button, el, table } from "../dom.js";
import { askFor, field, notice, select, text } from "../forms.js";
import { failure, list, put } from "../live.js";
import { bytes, moment, stateWord, tone, word } from "../text.js";

export const title = "Images";
export const kinds = ["image", "storage", "task"];

export function view() {
  const tasks = list("task") ?? [];
  const rows = (list("image") ?? []).map((image) => {
    const task = tasks.find((task) => task.subject?.id === image.id && !task.finished_at_ms);
    return {
      key: image.id,
      cells: [
        image.name,
        el("span", { class: "badges" }, badge(stateWord(image.phase), tone(image.phase)), task ? el("small", {}, `${task.progress_percent} %`) : null),
        image.format ? word(image.format) : null,
        image.size_bytes == null ? null : bytes(image.size_bytes),
        image.storage_name,
        image.sha256 ? el("code", { class: "sum", title: image.sha256 }, image.sha256) : null,
        el("span", {}, el("code", {}, image.source), el("small", {}, moment(image.created_at_ms))),
        button("Delete", () => remove(image), { cannot: task ? "A task works on it." : null }),
      ],
    };
  });
  return [
    el("div", { class: "heading" }, el("h1", { tabindex: "-1" }, title), button("Import an image", add, { style: "primary" })),
    el("p", { class: "lead" }, "An image never changes. Volumes lie on it, or it lies in a CD-ROM drive."),
    failure("image") ? notice(failure("image"), { key: "failure" }) : null,
    table("Images", ["Name", "State", "Format", "Size", "Storage", "SHA-256", "Copied from", "Actions"], rows, "There is no image yet. Import one."),
  ];
}

function add() {
  const storages = list("storage") ?? [];
  askFor("Import an image", {
    lead: storages.length === 0 ? "There is no storage yet; add one first." : null,
    fields: [
      field("Name", text("name", { required: true })),
      field("Storage", select("storage", storages.map((storage) => [storage.id, `${storage.name} on ${storage.host_name}`]), { required: true })),
      field("File", text("source", { required: true, placeholder: "/root/debian.qcow2" }), "An absolute path on the storage's host. The file is copied; raw and qcow2 are recognised."),
      field("SHA-256", text("sha256", { pattern: "[0-9A-Fa-f]{64}", title: "64 hexadecimal digits" }), "Checked if given."),
    ],
    action: "Import",
    submit: async (read) => put("task", await ask("POST", "/api/v1/images", read)),
  });
}

function remove(image) {
  askFor(`Delete ${image.name}`, {
    lead: ["The image and its file are removed. No volume may lie on it.", `The file that it was copied from, ${image.source}, stays.`],
    action: "Delete", danger: true,
    submit: async () => put("task", await ask("DELETE", `/api/v1/images/${image.id}`)),
  });
}
