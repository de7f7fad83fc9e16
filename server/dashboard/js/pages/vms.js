// Virtual machines, live.

import { badge, button, el, link, table } from "../dom.js";
import { notice } from "../forms.js";
import { failure, list } from "../live.js";
import { action, bytes, stateWord, tone } from "../text.js";
import { power } from "../vm-actions.js";

export const title = "Virtual machines";
export const kinds = ["vm", "task"];

export function view() {
  const rows = (list("vm") ?? []).map((vm) => ({
    key: vm.id,
    cells: [
      link(`#/vm/${vm.id}`, vm.name),
      state(vm),
      vm.host_name,
      `${vm.vcpus} × CPU, ${bytes(vm.memory_bytes)}`,
      vm.disks?.length === 1 ? "1 disk" : `${vm.disks?.length ?? 0} disks`,
      el("div", { class: "buttons" }, power(vm, ["start", "shutdown"])),
    ],
  }));
  return [
    el("div", { class: "heading" }, el("h1", { tabindex: "-1" }, title),
      button("Create a virtual machine", () => { location.hash = "#/new-vm"; }, { style: "primary" })),
    failure("vm") ? notice(failure("vm"), { key: "failure" }) : null,
    table("Virtual machines", ["Name", "State", "Host", "Size", "Disks", "Actions"], rows, "There is no virtual machine yet. Create one."),
  ];
}

/** The state of a virtual machine and what works on it. */
export function state(vm) {
  const task = vm.task && (list("task") ?? []).find((task) => task.id === vm.task.id);
  return el("span", { class: "badges" },
    badge(stateWord(vm.state), tone(vm.state)),
    vm.phase && vm.phase !== "ready" ? badge(stateWord(vm.phase), tone(vm.phase)) : null,
    vm.task ? link(`#/tasks/${vm.task.id}`, el("span", { class: "badge busy" }, `${action(vm.task.action)}${task ? ` ${task.progress_percent} %` : ""}`)) : null);
}
