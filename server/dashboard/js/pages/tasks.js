// Tasks: what takes long, as it goes on.

import { ask } from "../api.js";
import { badge, button, el, facts, link, prose } from "../dom.js";
import { attempt, notice } from "../forms.js";
import { failure, list, put } from "../live.js";
import { action, duration, moment, sentence, stateWord, tone, word } from "../text.js";

export const title = "Tasks";
export const kinds = ["task"];

/** The most tasks that are shown at once. */
const MOST = 200;

export function view(wanted) {
  const tasks = list("task") ?? [];
  const chosen = wanted ? tasks.filter((task) => task.id === wanted) : tasks.slice(0, MOST);
  return [
    el("h1", { tabindex: "-1" }, title),
    wanted ? el("p", { class: "lead" }, link("#/tasks", "All tasks")) : null,
    failure("task") ? notice(failure("task"), { key: "failure" }) : null,
    chosen.length === 0 ? el("p", { class: "empty" }, wanted ? "There is no such task any more." : "There is no task yet.") : null,
    el("div", { class: "tasks", key: "tasks" }, chosen.map((task) => card(task, Boolean(wanted)))),
    tasks.length > chosen.length && !wanted ? el("p", { class: "muted" }, `The newest ${MOST} of ${tasks.length}.`) : null,
  ];
}

/** A task, in short or with its steps. */
export function card(task, open) {
  const { subject = {}, steps = [] } = task;
  const running = !task.finished_at_ms;
  const took = running ? null : duration((task.finished_at_ms - task.created_at_ms) / 1000);
  const name = `${action(task.action)} ${subject.name ?? ""}`;
  return el("article", { class: "card task", key: task.id, "aria-label": name, "data-action": task.action, "data-state": task.state },
    el("div", { class: "heading" },
      el("h2", {}, action(task.action), " ", subjectLink(subject)),
      badge(stateWord(task.state), running ? "busy" : tone(task.state))),
    running ? el("div", { class: "progress" },
      el("progress", { max: 100, value: task.progress_percent ?? 0, "aria-label": `${name}, done` }), ` ${task.progress_percent ?? 0} %`,
      button("Cancel", () => cancel(task), { cannot: task.cancel_requested ? "Cancelling was asked for." : null })) : null,
    task.waits_for ? el("p", { class: "warn" }, prose(sentence(`waits for ${task.waits_for}`))) : null,
    task.error ? notice(task.error) : null,
    el("details", { open },
      el("summary", {}, "Steps"),
      el("ol", { class: "steps" }, steps.map((step) => el("li", { "data-state": step.state }, sentence(step.title), " ", badge(word(step.state), step.state === "running" ? "busy" : tone(step.state))))),
      facts([
        ["Asked for by", task.created_by], ["At", moment(task.created_at_ms)], ["Took", took],
        ["Task", el("code", {}, task.id)],
      ])));
}

function subjectLink({ kind, id, name }) {
  return kind === "vm" ? link(`#/vm/${id}`, name) : el("span", {}, name ?? "", el("small", {}, ` ${word(kind)}`));
}

export async function cancel(task) {
  await attempt(async () => put("task", await ask("POST", `/api/v1/tasks/${task.id}/cancel`)));
}
