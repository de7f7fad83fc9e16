// What is installed, how it is, and what there is.

import { ask } from "../api.js";
import { badge, el, facts, link, section } from "../dom.js";
import { asProblem, notice } from "../forms.js";
import { list } from "../live.js";
import { bytes, fieldName, stateWord, tone } from "../text.js";

export const title = "Overview";
export const kinds = ["host", "storage", "vm", "task"];

let about = null;
let problem = null;
let health = null;

export function follow(draw) {
  const look = async () => {
    try {
      [about, health] = await Promise.all([ask("GET", "/api/v1/about"), ask("GET", "/api/v1/health")]);
      problem = null;
    } catch (error) {
      problem = asProblem(error);
    }
    draw();
  };
  look();
  const timer = setInterval(look, 30_000);
  return () => clearInterval(timer);
}

export function view() {
  return [
    el("h1", { tabindex: "-1" }, title),
    problem ? notice(problem, { key: "problem" }) : null,
    el("div", { class: "columns", key: "columns" },
      counts("Virtual machines", "vms", list("vm"), (vm) => vm.state),
      counts("Hosts", "hosts", list("host"), (host) => host.link?.state),
      space(),
      versions()),
  ];
}

/** How many there are in each state. */
function counts(name, page, items, state) {
  const states = new Map();
  for (const item of items ?? []) states.set(state(item), (states.get(state(item)) ?? 0) + 1);
  return section(name,
    el("p", { class: "big" }, link(`#/${page}`, String(items?.length ?? "–"))),
    el("p", { class: "badges" }, [...states].sort().map(([word, count]) => badge(`${count} ${stateWord(word)}`, tone(word)))),
    items?.length === 0 && page === "vms" ? el("p", {}, link("#/new-vm", "Create the first one")) : null);
}

function space() {
  const storages = list("storage") ?? [];
  return section("Storages",
    el("p", { class: "big" }, link("#/storages", String(storages.length))),
    storages.map((storage) => el("p", { key: storage.id }, `${storage.name}: ${bytes(storage.available_bytes)} of ${bytes(storage.capacity_bytes)} free`)),
    storages.length === 0 ? el("p", {}, link("#/storages", "Add one"), " before the first virtual machine.") : null);
}

/** A component's ref, with its commit under it. */
function component(name, { ref, commit, dirty, version } = {}) {
  const detail = commit && `commit ${commit.slice(0, 12)}${dirty ? ", with uncommitted changes" : ""}`;
  return [name, version ?? ref ?? "development build", detail];
}

function versions() {
  const { product, server, dashboard, ...others } = about ?? {};
  const agents = (list("host") ?? []).filter((host) => host.facts?.agent)
    .map((host) => component(`Agent on ${host.name}`, host.facts.agent));
  return section("Versions", about ? facts([
    ["Server", badge(health?.status === "ok" ? "answers" : health?.status ?? "unknown", health?.status === "ok" ? "good" : "warn")],
    ["Package", product ? `${product.name} ${product.version}` : "none; the server does not run from an installed package"],
    component("Server version", server ?? {}),
    ["Dashboard", dashboard?.version],
    ...agents,
    ...Object.entries(others).map(([name, value]) => typeof value === "object" && value ? component(fieldName(name), value) : [fieldName(name), String(value)]),
  ]) : el("p", {}, "Asking the server."));
}
