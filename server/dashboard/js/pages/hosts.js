// Hosts: whether their agents answer, what they are, and how another one joins.

import { ask } from "../api.js";
import { badge, button, el, facts, prose, section } from "../dom.js";
import { askFor, notice, select, field, showOnce, text } from "../forms.js";
import { failure, list, load } from "../live.js";
import { bytes, duration, fieldName, fieldValue, moment, sentence, stateWord, tone } from "../text.js";

export const title = "Hosts";
export const kinds = ["host"];

export function view(wanted) {
  const hosts = (list("host") ?? []).filter((host) => !wanted || host.id === wanted);
  return [
    el("div", { class: "heading" }, el("h1", { tabindex: "-1" }, title),
      button("Add a host", join, { style: "primary" })),
    failure("host") ? notice(failure("host"), { key: "failure" }) : null,
    hosts.length === 0 ? el("p", { class: "empty" }, "There is no host yet. Add one.") : null,
    hosts.map(card),
  ];
}

function card(host) {
  const { link: state = {}, facts: known } = host;
  const why = state.reason ? sentence(state.reason) : null;
  return el("section", { class: "card", key: host.id, "aria-label": host.name, "data-name": host.name },
    el("div", { class: "heading" },
      el("h2", {}, host.name, host.local ? el("small", {}, " the server runs here") : null),
      host.local ? null : button("Remove", () => remove(host))),
    el("p", { class: "badges" }, badge(stateWord(state.state), tone(state.state)),
      el("span", { class: "muted" }, `since ${moment(state.since_ms)}`)),
    why ? el("p", { class: state.state === "connected" ? "muted" : "bad" }, prose(why)) : null,
    known ? described(host, known) : el("p", { class: "muted" }, "Its agent has not described it yet."));
}

function described(host, known) {
  const { agent = {}, agent_uptime_seconds, name, kernel, uptime_seconds, cpu_model, cpu_count, memory_bytes, libvirt_socket, ...others } = known;
  const commit = agent.commit && `commit ${agent.commit.slice(0, 12)}${agent.dirty ? ", with uncommitted changes" : ""}`;
  return facts([
    ["Address", host.address],
    ["Processors", cpu_count, cpu_model],
    ["Memory", memory_bytes == null ? null : bytes(memory_bytes)],
    ...more(others),
    ["libvirt", libvirt_socket ?? "not found"],
    ["Kernel", kernel],
    ["Calls itself", name === host.name ? null : name],
    ["Agent", agent.ref ?? "development build", commit],
    ["Agent up for", agent_uptime_seconds == null ? null : duration(agent_uptime_seconds), "when it was asked last"],
    ["Host up for", uptime_seconds == null ? null : duration(uptime_seconds)],
  ]);
}

const TERMS = { uefi: "UEFI", accel: "Accelerator" };

/** What a newer server says of a host: a value, or a value with its reason. */
function more(fields) {
  return Object.entries(fields).filter(([, value]) => value != null).map(([name, value]) => {
    const term = TERMS[name] ?? fieldName(name);
    if (typeof value !== "object") return [term, fieldValue(name, value)];
    const { reason, ...rest } = value;
    const parts = Object.entries(rest).filter(([, part]) => part != null);
    const shown = parts.map(([part, is]) => (parts.length === 1 ? fieldValue(part, is) : `${fieldName(part)}: ${fieldValue(part, is)}`));
    return [term, shown.join(", ") || "none", reason ? prose(reason) : null];
  });
}

function remove(host) {
  askFor(`Remove ${host.name}`, {
    lead: "The server forgets the host, and its certificate is good for nothing any more. Its agent is not told and stays installed.",
    fields: host.link?.state === "connected" ? [] : [
      field("To forget what lies on it, too, type its name", text("forget"),
        "Only for a host that is gone: its storages, images, volumes and virtual machines are forgotten with it."),
    ],
    action: "Remove", danger: true,
    submit: async ({ forget }) => {
      await ask("DELETE", `/api/v1/hosts/${host.id}`, forget ? { forget } : undefined);
      await load("host");
    },
  });
}

function join() {
  askFor("Add a host", {
    lead: "One command installs the agent on another host and lets it join. It is good for one host and once.",
    fields: [
      field("The token is good for", select("expires", [["3600", "1 hour"], ["86400", "1 day"], ["604800", "7 days"]])),
      field("The host reaches this server at", text("server", { value: location.host, required: true }), "Name or address, and port."),
    ],
    action: "Create the token",
    submit: async ({ expires, server }) => {
      const reply = await ask("POST", "/api/v1/hosts/tokens", { expires_in_seconds: Number(expires), server });
      const lead = reply.command
        ? "Run this there as root. It fetches Cairn from this server, installs the agent and joins. It is shown once."
        : "Carry Cairn's packed file there, and run this as root with its name. It is shown once.";
      const notes = [`It is good until ${moment(reply.expires_at_ms)}. The host appears here by itself.`];
      if (reply.no_command) notes.push(sentence(reply.no_command));
      else notes.push("Where it cannot be fetched, carry the packed file there and run: " + reply.command_with_file);
      setTimeout(() => showOnce("Run this on the new host", lead, reply.command ?? reply.command_with_file, notes));
    },
  });
}
