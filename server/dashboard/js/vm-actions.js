// What can be done to a virtual machine, as buttons. The server judges; here only what makes no sense is left out.

import { ask } from "./api.js";
import { button, el } from "./dom.js";
import { askFor, attempt, checkbox } from "./forms.js";
import { list, put } from "./live.js";

const on = ["running", "paused", "pmsuspended", "shutdown"];
const off = ["shutoff", "crashed"];

/** Buttons with the states in which they make sense. In a state that nobody here knows, all do. */
const BUTTONS = {
  start: { text: "Start", states: off, style: "primary" },
  shutdown: { text: "Shut down", states: ["running"] },
  reboot: { text: "Reboot", states: ["running"] },
  pause: { text: "Pause", states: ["running"] },
  resume: { text: "Resume", states: ["paused", "pmsuspended"], style: "primary" },
  reset: { text: "Reset", states: on, asks: "Its guest is not asked and loses what it has not written to its disks." },
  "force-off": { text: "Force off", states: [...on, "unknown"], asks: "Its power is cut. Its guest is not asked and loses what it has not written to its disks." },
};

const known = [...on, ...off, "unknown", "missing"];

/** Tasks that wait for the guest; only cutting the power ends them. */
const WAITING = ["vm_shutdown", "vm_reboot"];

/** Presses a button of a virtual machine. */
export const press = (vm, name) => attempt(async () => put("task", await ask("POST", `/api/v1/vms/${vm.id}/${name}`)));

/** The buttons of these names that make sense now. */
export function power(vm, names = Object.keys(BUTTONS)) {
  return names.filter((name) => !known.includes(vm.state) || BUTTONS[name].states.includes(vm.state)).map((name) => {
    const { text, style, asks } = BUTTONS[name];
    const busy = vm.task && !(name === "force-off" && WAITING.includes(vm.task.action));
    const act = () => (asks ? sure(vm, name, text, asks) : press(vm, name));
    return button(text, act, { style: style ?? "quiet", cannot: busy ? "A task works on it." : null, "data-press": name });
  });
}

function sure(vm, name, text, lead) {
  askFor(`${text}: ${vm.name}`, {
    lead, action: text, danger: true,
    submit: async () => put("task", await ask("POST", `/api/v1/vms/${vm.id}/${name}`)),
  });
}

/** Asks before it removes a virtual machine, and says what stays. */
export function remove(vm) {
  const names = (vm.disks ?? []).map((disk) => disk.volume_name);
  const stays = el("p", { "aria-live": "polite" });
  const tell = (volumes) => {
    stays.textContent = names.length === 0 ? "It has no volumes."
      : volumes ? `Its volumes are removed with all that is in them: ${names.join(", ")}. This cannot be undone.`
        : `Its volumes stay: ${names.join(", ")}.`;
  };
  tell(false);
  askFor(`Delete ${vm.name}`, {
    lead: "The virtual machine is removed. If it runs, its power is cut. Images stay.",
    fields: [checkbox("volumes", "Delete its volumes, too", { on: { change: (event) => tell(event.target.checked) } }), stays],
    action: "Delete", danger: true,
    submit: async ({ volumes }) => {
      put("task", await ask("DELETE", `/api/v1/vms/${vm.id}?volumes=${volumes}`));
      location.hash = "#/vms";
    },
  });
}

/** The newest task about something. */
export function newestTask(id) {
  return (list("task") ?? []).find((task) => task.subject?.id === id);
}
