// The dashboard's frame: who is in, which page is shown, whether the server is heard, and what it works on.

import { ask, session } from "./js/api.js";
import { el, link, morph, prose } from "./js/dom.js";
import { asProblem, closeDialogs, notice, say } from "./js/forms.js";
import { begin, connectionNow, end, follow, list, load, need } from "./js/live.js";
import { action, sentence } from "./js/text.js";
import { showLogin, whenIn } from "./js/pages/login.js";
import * as overview from "./js/pages/overview.js";
import * as vms from "./js/pages/vms.js";
import * as vm from "./js/pages/vm.js";
import * as newVm from "./js/pages/vm-new.js";
import * as hosts from "./js/pages/hosts.js";
import * as storages from "./js/pages/storages.js";
import * as storage from "./js/pages/storage.js";
import * as images from "./js/pages/images.js";
import * as volumes from "./js/pages/volumes.js";
import * as volume from "./js/pages/volume.js";
import * as tasks from "./js/pages/tasks.js";
import * as config from "./js/pages/config.js";
import * as tokens from "./js/pages/tokens.js";
import * as audit from "./js/pages/audit.js";

/**
 * Pages by the first part of the address's hash. A page has a `title`, the `kinds` of resources that it shows, and `view`, which
 * makes its content from them; or `enter`, which is called once and builds something that stays.
 */
const PAGES = {
  overview, vms, "new-vm": newVm, vm, hosts, storages, storage, images, volumes, volume, tasks, config, tokens, audit,
};

const MENU = [
  ["overview", "Overview"], ["vms", "Virtual machines"], ["volumes", "Volumes"], ["images", "Images"],
  ["storages", "Storages"], ["hosts", "Hosts"], ["tasks", "Tasks"], ["config", "Global Config"], ["tokens", "API tokens"],
  ["audit", "Audit log"],
];

/** What an element of a menu leads to when it is not a page of the menu itself. */
const WITHIN = { vm: "vms", "new-vm": "vms", volume: "volumes", storage: "storages" };

const at = (id) => document.getElementById(id);
let shown = null;
let leave = null;

function route() {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  return { name: name || "overview", rest };
}

function toTitle() {
  at("page").querySelector("h1")?.focus({ preventScroll: true });
}

function draw() {
  if (!shown) return;
  const { page, rest } = shown;
  if (!page.view) return;
  let content;
  try {
    content = [page.view(...rest)].flat(Infinity).filter(Boolean);
  } catch (error) {
    content = [notice(asProblem(error))];
  }
  const within = at("page").contains(document.activeElement);
  morph(at("page"), content);
  // What had the focus may be gone: then one is at the beginning of the page, not of the document.
  if (within && !at("page").contains(document.activeElement)) toTitle();
  document.title = `${page.titleOf?.(...rest) ?? page.title} · Cairn`;
}

/** Shows the page at the address. Whoever follows a link, or comes in, is told where that led. */
async function go(tell = true) {
  if (!session.token()) return;
  const { name, rest } = route();
  const page = PAGES[name];
  leave?.();
  leave = null;
  closeDialogs();
  shown = null;
  const menu = WITHIN[name] ?? name;
  for (const entry of at("menu").querySelectorAll("a")) {
    if (entry.getAttribute("href") === `#/${menu}`) entry.setAttribute("aria-current", "page");
    else entry.removeAttribute("aria-current");
  }
  if (!page) {
    at("page").replaceChildren(el("h1", {}, "Nothing here"), el("p", {}, "There is no page at this address. ", link("#/overview", "Go to the overview")));
    return;
  }
  const here = { page, rest, name };
  shown = here;
  at("page").replaceChildren(el("h1", { tabindex: "-1" }, page.title), el("p", { class: "lead" }, "Loading."));
  await need(page.kinds ?? []);
  if (shown !== here) return;
  if (page.enter) {
    const built = [await page.enter(...rest)].flat(Infinity).filter(Boolean);
    if (shown !== here) return;
    at("page").replaceChildren(...built);
    document.title = `${page.title} · Cairn`;
  } else {
    at("page").replaceChildren();
    draw();
  }
  leave = page.follow?.(draw, ...rest) ?? null;
  if (tell) toTitle();
  scrollTo(0, 0);
}

// The frame around the page.

function drawConnection() {
  const lost = connectionNow().state === "lost";
  at("connection").hidden = !lost;
  at("connection").textContent = lost ? "The connection to the server is lost. What is shown may be old. The page tries again by itself." : "";
}

function drawTasks() {
  const open = (list("task") ?? []).filter((task) => !task.finished_at_ms);
  const entry = at("tasks-now");
  entry.classList.toggle("busy", open.length > 0);
  entry.dataset.count = open.length;
  entry.textContent = open.length === 0 ? "No task is running" : open.length === 1
    ? `${action(open[0].action)} ${open[0].subject?.name ?? ""}: ${open[0].progress_percent ?? 0} %` : `${open.length} tasks are running`;
}

const seenOpen = new Set();

/** Tells of tasks that were seen running here and have ended. */
function announce() {
  for (const task of list("task") ?? []) {
    if (!task.finished_at_ms) seenOpen.add(task.id);
    else if (seenOpen.delete(task.id)) {
      const what = `${action(task.action)} ${task.subject?.name ?? ""}`;
      const more = link(`#/tasks/${task.id}`, "Details");
      if (task.error) say([`${what}: `, prose(sentence(task.error.message)), " ", more], "bad");
      else say([`${what}: ${task.state === "succeeded" ? "done" : task.state}. `, more]);
    }
  }
}

let drawing = null;

follow((kind) => {
  if (kind === "connection") {
    drawConnection();
    return;
  }
  if (kind === "task") {
    drawTasks();
    announce();
  }
  const wanted = shown?.page.kinds ?? [];
  if (!wanted.includes(kind)) return;
  drawing ??= requestAnimationFrame(() => {
    drawing = null;
    draw();
  });
});

// Coming and going.

function enter(tell) {
  at("login").hidden = true;
  at("home").hidden = false;
  at("who").hidden = false;
  at("user").textContent = session.user();
  shown = null;
  begin();
  load("task");
  drawTasks();
  go(tell);
}

function leaveAll(message) {
  end();
  leave?.();
  leave = null;
  shown = null;
  seenOpen.clear();
  closeDialogs();
  session.forget();
  at("page").replaceChildren();
  at("messages").replaceChildren();
  at("connection").hidden = true;
  at("home").hidden = true;
  at("who").hidden = true;
  at("login").hidden = false;
  showLogin(message);
}

whenIn(() => enter(true));

session.whenEnded(() => leaveAll("The session has ended; log in again"));

at("logout").onclick = async () => {
  // Without an answer the session ends by itself; the token is forgotten here in any case.
  await ask("POST", "/api/v1/logout").catch(() => {});
  leaveAll();
};

at("menu").append(...MENU.map(([name, title]) => el("li", {}, link(`#/${name}`, title))));
at("menu-button").onclick = () => {
  const open = at("side").classList.toggle("open");
  at("menu-button").setAttribute("aria-expanded", String(open));
};
at("skip").onclick = (event) => {
  // The address's hash names the page.
  event.preventDefault();
  at("main").focus();
};
addEventListener("hashchange", () => {
  at("side").classList.remove("open");
  at("menu-button").setAttribute("aria-expanded", "false");
  go();
});

if (session.token()) enter(false);
else leaveAll();
