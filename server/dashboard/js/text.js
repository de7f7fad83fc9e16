// What people read: numbers, times and words. A word that is not known here is shown as it is.

export const unknown = "unknown";

export function bytes(count) {
  if (count == null) return unknown;
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  let number = count;
  while (number >= 1024 && unit < units.length - 1) {
    number /= 1024;
    unit += 1;
  }
  const digits = Number.isInteger(number) || number >= 100 ? 0 : 1;
  return `${number.toFixed(digits)} ${units[unit]}`;
}

export function duration(seconds) {
  if (seconds == null) return unknown;
  const parts = [
    [Math.floor(seconds / 86400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
  ].filter(([count]) => count > 0);
  if (parts.length === 0) return `${Math.floor(seconds)} s`;
  return parts.slice(0, 2).map(([count, unit]) => `${count} ${unit}`).join(" ");
}

/** A moment, as the clock of whoever looks shows it. */
export function moment(ms) {
  if (ms == null) return unknown;
  const two = (number) => String(number).padStart(2, "0");
  const at = new Date(ms);
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** A sentence as it stands on a page. */
export function sentence(text) {
  const all = String(text ?? "").trim();
  if (!all) return "";
  const first = /^[a-z]/.test(all) ? all.charAt(0).toUpperCase() + all.slice(1) : all;
  return /[.!?:]$/.test(first) ? first : `${first}.`;
}

/** A word of the API. */
export function word(text) {
  return text == null ? unknown : String(text).replaceAll("_", " ");
}

/** The name of a field: `agent_uptime_seconds` becomes `Agent uptime`. */
export function fieldName(name) {
  const plain = word(name).replace(/ (seconds|bytes|ms)$/, "");
  return plain.charAt(0).toUpperCase() + plain.slice(1);
}

/** The value of a field that nobody here knows, by its unit. */
export function fieldValue(name, value) {
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number") {
    if (name.endsWith("_bytes")) return bytes(value);
    if (name.endsWith("_seconds")) return duration(value);
    if (name.endsWith("_ms")) return moment(value);
  }
  return String(value);
}

const ACTIONS = {
  image_import: "Import image",
  image_delete: "Delete image",
  volume_create: "Create volume",
  volume_resize: "Resize volume",
  volume_delete: "Delete volume",
  vm_create: "Create",
  vm_start: "Start",
  vm_shutdown: "Shut down",
  vm_force_off: "Force off",
  vm_reboot: "Reboot",
  vm_apply_cache: "Apply cache modes",
  vm_reset: "Reset",
  vm_pause: "Pause",
  vm_resume: "Resume",
  vm_delete: "Delete",
  vm_attach_volume: "Attach volume",
  vm_detach_volume: "Detach volume",
  vm_insert_media: "Insert CD-ROM",
  vm_eject_media: "Eject CD-ROM",
};

/** What a task does. */
export function action(name) {
  return ACTIONS[name] ?? fieldName(name);
}

const STATES = { shutoff: "off", shutdown: "shutting down", pmsuspended: "asleep" };

const TONES = {
  running: "good", connected: "good", ready: "good", succeeded: "good", done: "good",
  creating: "busy", deleting: "busy", undoing: "busy", shutdown: "busy",
  broken: "bad", crashed: "bad", missing: "bad", disconnected: "bad", failed: "bad", stuck: "bad",
  paused: "warn", pmsuspended: "warn", unknown: "warn", cancelled: "warn",
};

export const stateWord = (state) => STATES[state] ?? word(state);
export const tone = (state) => TONES[state] ?? "";

const NOTES = {
  q35: "PCI Express", i440fx: "PCI", bios: "SeaBIOS", uefi: "without secure boot",
  auto: "KVM where it is usable, else TCG", kvm: "the processor itself", tcg: "software emulation",
  sata: "AHCI",
};

/** A choice with what is known about it. */
export function choice(name) {
  return NOTES[name] ? `${name} (${NOTES[name]})` : word(name);
}
