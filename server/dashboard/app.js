// The dashboard: a login, then what is installed and what this host is. The server's answers are put into the page as
// text, never as markup. The session's token lives as long as the tab.

const TOKEN = "cairn.token";
const USER = "cairn.user";
const at = (id) => document.getElementById(id);

/** A failure as the server tells it, or as the network shows it. */
class Problem extends Error {
  constructor({ code, message, cause, next }) {
    super([message, cause, next].filter(Boolean).join("; "));
    this.code = code;
  }
}

async function ask(method, path, body) {
  const headers = { accept: "application/json" };
  const token = sessionStorage.getItem(TOKEN);
  if (token) headers.authorization = `Bearer ${token}`;
  if (body) headers["content-type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method, headers, body: body && JSON.stringify(body), cache: "no-store" });
  } catch {
    throw new Problem({ code: "network", message: "The server does not answer", next: "try again in a moment" });
  }
  const reply = await response.json().catch(() => ({}));
  if (response.ok) return reply;
  const message = reply.message ?? `The server answered ${response.status}`;
  throw new Problem({ ...reply, message });
}

// What people read.

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
const unknown = "unknown";

function duration(seconds) {
  if (seconds == null) return unknown;
  const parts = [
    [Math.floor(seconds / 86400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
  ].filter(([count]) => count > 0);
  if (parts.length === 0) return `${seconds} s`;
  return parts.slice(0, 2).map(([count, unit]) => `${count} ${unit}`).join(" ");
}

function bytes(count) {
  if (count == null) return unknown;
  const gib = count / 2 ** 30;
  return gib < 1 ? `${Math.round(count / 2 ** 20)} MiB` : `${gib.toFixed(1)} GiB`;
}

/** A component's ref, with its commit under it. */
function component({ ref, commit, dirty }) {
  if (!ref) return ["development build"];
  return [ref, commit && `commit ${commit.slice(0, 12)}${dirty ? ", with uncommitted changes" : ""}`];
}

/** Fills a description list. Each row is a term, its value, and a smaller line under it. */
function fill(list, rows) {
  list.replaceChildren(...rows.flatMap(([term, value, detail]) => {
    const dt = document.createElement("dt");
    const dd = document.createElement("dd");
    dt.textContent = term;
    dd.textContent = value ?? unknown;
    if (detail) {
      const small = document.createElement("small");
      small.textContent = detail;
      dd.append(small);
    }
    return [dt, dd];
  }));
}

// The two views.

function showLogin(message) {
  sessionStorage.removeItem(TOKEN);
  sessionStorage.removeItem(USER);
  at("who").hidden = true;
  at("home").hidden = true;
  at("login").hidden = false;
  document.title = "Log in · Cairn";
  complain(message);
  at("login-password").value = "";
  at(at("login-user").value ? "login-password" : "login-user").focus();
}

function complain(message) {
  const error = at("login-error");
  error.hidden = !message;
  error.textContent = message ? sentence(message) : "";
  at("login-password").setAttribute("aria-invalid", message ? "true" : "false");
}

async function showHome() {
  at("login").hidden = true;
  at("home").hidden = false;
  at("who").hidden = false;
  at("user").textContent = sessionStorage.getItem(USER);
  document.title = "Cairn";
  await Promise.all([showVersions(), showHost()]);
}

async function showVersions() {
  try {
    const about = await ask("GET", "/api/v1/about");
    at("home-lead").textContent = about.product
      ? `${about.product.name} ${about.product.version}`
      : "The server does not run from an installed package.";
    fill(at("versions"), [
      ["Product", about.product ? about.product.version : "not packaged"],
      ["Server", ...component(about.server)],
      ["Dashboard", about.dashboard?.version],
    ]);
  } catch (problem) {
    at("home-lead").textContent = sentence(problem.message);
  }
}

async function showHost() {
  const state = at("host-state");
  state.className = "state";
  state.textContent = "Asking the agent";
  try {
    const host = await ask("GET", "/api/v1/host/local");
    state.classList.add("good");
    state.textContent = `The agent answers and has been up for ${duration(host.agent_uptime_seconds)}`;
    fill(at("host"), [
      ["Name", host.name],
      ["Agent", ...component(host.agent)],
      ["Processors", host.cpu_count, host.cpu_model],
      ["Memory", bytes(host.memory_bytes)],
      ["KVM", host.kvm.usable ? "usable" : "not usable", host.kvm.reason.replaceAll("`", "")],
      ["libvirt", host.libvirt_socket ? "found" : "not found", host.libvirt_socket],
      ["Kernel", host.kernel],
      ["Up for", duration(host.uptime_seconds)],
    ]);
  } catch (problem) {
    if (problem.code === "no_session") return showLogin("The session has ended; log in again");
    state.classList.add("bad");
    state.textContent = sentence(problem.message);
    fill(at("host"), []);
  }
}

// What people do.

at("login-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = at("login-button");
  if (button.getAttribute("aria-disabled") === "true") return;
  const { user, password } = event.target.elements;
  if (!user.value || !password.value) {
    complain("Give a user and a password");
    (user.value ? password : user).focus();
    return;
  }
  button.setAttribute("aria-disabled", "true");
  complain();
  try {
    const reply = await ask("POST", "/api/v1/login", { user: user.value, password: password.value });
    sessionStorage.setItem(TOKEN, reply.token);
    sessionStorage.setItem(USER, reply.user);
    password.value = "";
    await showHome();
    at("home-title").focus();
  } catch (problem) {
    complain(problem.message);
    password.select();
    password.focus();
  } finally {
    button.removeAttribute("aria-disabled");
  }
});

at("logout").addEventListener("click", async () => {
  // Without an answer the session ends by itself; the token is forgotten here in any case.
  await ask("POST", "/api/v1/logout").catch(() => {});
  showLogin();
});

at("refresh").addEventListener("click", showHost);

if (sessionStorage.getItem(TOKEN)) showHome();
else showLogin();
