// Coming in.

import { ask, session } from "../api.js";
import { notice } from "../forms.js";

let entered = () => {};

/** What happens when somebody is in. */
export function whenIn(action) {
  entered = action;
}

const at = (id) => document.getElementById(id);

/** Shows the login, with a message if there is a reason. */
export function showLogin(message) {
  document.title = "Log in · Cairn";
  complain(message ? { message } : null);
  at("login-password").value = "";
  at(at("login-user").value ? "login-password" : "login-user").focus();
}

function complain(problem) {
  at("login-error").replaceChildren(...(problem ? [notice(problem)] : []));
  at("login-password").setAttribute("aria-invalid", problem ? "true" : "false");
}

at("login-form").onsubmit = async (event) => {
  event.preventDefault();
  const button = at("login-button");
  if (button.getAttribute("aria-disabled") === "true") return;
  const { user, password } = event.target.elements;
  if (!user.value || !password.value) {
    complain({ message: "Give a user and a password" });
    (user.value ? password : user).focus();
    return;
  }
  button.setAttribute("aria-disabled", "true");
  complain();
  try {
    session.begin(await ask("POST", "/api/v1/login", { user: user.value, password: password.value }));
    password.value = "";
    entered();
  } catch (problem) {
    complain(problem);
    password.select();
    password.focus();
  } finally {
    button.removeAttribute("aria-disabled");
  }
};
