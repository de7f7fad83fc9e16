// Storages: folders of hosts in which images and volumes lie.

import { ask } from "../api.js";
import { button, el, link, table } from "../dom.js";
import { askFor, field, notice, select, text } from "../forms.js";
import { failure, list, put } from "../live.js";
import { bytes, moment } from "../text.js";

export const title = "Storages";
export const kinds = ["storage", "host"];

export function view() {
  const rows = (list("storage") ?? []).map((storage) => ({
    key: storage.id,
    cells: [
      link(`#/storage/${storage.id}`, storage.name),
      storage.host_name,
      el("code", {}, storage.path),
      storage.file_system,
      space(storage),
      el("span", { class: "muted" }, moment(storage.seen_at_ms)),
      el("div", { class: "buttons" },
        button("Look again", async () => put("storage", await ask("GET", `/api/v1/storages/${storage.id}`))),
        button("Remove", () => remove(storage))),
    ],
  }));
  return [
    el("div", { class: "heading" }, el("h1", { tabindex: "-1" }, title), button("Add a storage", add, { style: "primary" })),
    el("p", { class: "lead" }, "A storage is a folder of a host. Images and volumes lie in it."),
    failure("storage") ? notice(failure("storage"), { key: "failure" }) : null,
    table("Storages", ["Name", "Host", "Folder", "File system", "Space", "Looked at", "Actions"], rows, "There is no storage yet. Add one."),
  ];
}

function space({ available_bytes, capacity_bytes }) {
  if (!capacity_bytes) return "no limit";
  const used = capacity_bytes - available_bytes;
  return el("span", {},
    el("meter", { min: 0, max: capacity_bytes, high: capacity_bytes * 0.85, optimum: 0, value: used, "aria-label": "used" }),
    el("small", {}, `${bytes(available_bytes)} of ${bytes(capacity_bytes)} free`));
}

function add() {
  const hosts = list("host") ?? [];
  askFor("Add a storage", {
    fields: [
      field("Name", text("name", { required: true })),
      field("Host", select("host", hosts.map((host) => [host.id, host.name]), { required: true })),
      field("Folder", text("path", { required: true, placeholder: "/srv/cairn" }), "An absolute path on that host. The folder is made if only it is missing."),
    ],
    action: "Add",
    submit: async (read) => put("storage", await ask("POST", "/api/v1/storages", read)),
  });
}

function remove(storage) {
  askFor(`Remove ${storage.name}`, {
    lead: ["The server forgets the storage. No image and no volume may lie in it.", `The folder ${storage.path} and its files stay on the host.`],
    action: "Remove", danger: true,
    submit: () => ask("DELETE", `/api/v1/storages/${storage.id}`),
  });
}
