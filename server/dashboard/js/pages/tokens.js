// API tokens, for programs.

import { ask } from "../api.js";
import { button, el, table } from "../dom.js";
import { askFor, field, notice, select, showOnce, text } from "../forms.js";
import { failure, list, load } from "../live.js";
import { moment } from "../text.js";

export const title = "API tokens";
export const kinds = ["token"];

export function view() {
  const rows = (list("token") ?? []).map((token) => ({
    key: token.id,
    cells: [
      token.name, token.created_by, moment(token.created_at_ms), token.expires_at_ms ? moment(token.expires_at_ms) : "never",
      button("Revoke", () => revoke(token)),
    ],
  }));
  return [
    el("div", { class: "heading" }, el("h1", { tabindex: "-1" }, title), button("Create a token", add, { style: "primary" })),
    el("p", { class: "lead" }, "A program that shows a token may do what you may."),
    failure("token") ? notice(failure("token"), { key: "failure" }) : null,
    table("API tokens", ["Name", "Created by", "Created", "Ends", "Actions"], rows, "There is no token yet."),
  ];
}

function add() {
  askFor("Create a token", {
    fields: [
      field("Name", text("name", { required: true })),
      field("Ends", select("expires", [["2592000", "after 30 days"], ["31536000", "after a year"], ["86400", "after a day"], ["", "never"]])),
    ],
    action: "Create",
    submit: async ({ name, expires }) => {
      const expires_in_seconds = expires === undefined ? undefined : Number(expires);
      const reply = await ask("POST", "/api/v1/tokens", { name, expires_in_seconds });
      await load("token");
      setTimeout(() => showOnce(`Token ${name}`, "Copy it now. It is shown once.", reply.secret,
        ["A request carries it as: Authorization: Bearer TOKEN"]));
    },
  });
}

function revoke(token) {
  askFor(`Revoke ${token.name}`, {
    lead: "Programs that show this token are refused from then on.",
    action: "Revoke", danger: true,
    submit: async () => {
      await ask("DELETE", `/api/v1/tokens/${token.id}`);
      await load("token");
    },
  });
}
