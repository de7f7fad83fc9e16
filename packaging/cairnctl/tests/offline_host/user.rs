//! Whoever works with the cloud on the machine, by `cairn`.

use std::path::Path;

use serde_json::Value;
use xtask_testbed::{Invocation, Machine, MachineOptions, Output, Root};

use crate::host::{FILE, Host, expect};

/// The account that an installation makes.
pub const USER: &str = "admin";
pub const PASSWORD: &str = "correct horse battery";

const CAIRN: &str = "/opt/cairn/current/bin/cairn";

/// O_DIRECT among the flags in /proc/PID/fdinfo, on x86_64.
const O_DIRECT: u32 = 0o40000;

impl Host {
    /// Boots a machine with this root, onto which one file was copied.
    pub fn boot_in(root: &Root, file: &Path, options: MachineOptions) -> Self {
        let machine = Machine::boot(root, options).unwrap();
        machine.copy_in(file, FILE, 0o644).unwrap();
        Self(machine)
    }

    /// Installs what lies there, with [`PASSWORD`].
    pub fn install(&self) {
        self.0.write("/root/password", 0o600, PASSWORD).unwrap();
        expect(&self.cairn(["--yes", "--admin-password-file", "/root/password"]), 0, "");
        self.assert_healthy();
        assert!(self.logs_in());
    }

    /// `cairn WORDS`.
    pub fn cairn_cli<const N: usize>(&self, words: [&str; N]) -> Output {
        self.0.run(Invocation::new(CAIRN).args(words).env("HOME", "/root")).unwrap()
    }

    /// `cairn WORDS`, which has to succeed; what it says on its standard output.
    #[track_caller]
    pub fn user<const N: usize>(&self, words: [&str; N]) -> String {
        let output = self.cairn_cli(words);
        let said = output.stdout_text();
        expect(&output, 0, "");
        said
    }

    /// The same for programs.
    #[track_caller]
    pub fn json<const N: usize>(&self, words: [&str; N]) -> Value {
        let command = Invocation::new(CAIRN).args(["--output", "json"]).args(words).env("HOME", "/root");
        let output = self.0.run(command).unwrap();
        expect(&output, 0, "");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Whether QEMU has a file of a virtual machine open with O_DIRECT, by the flags of its descriptors.
    #[track_caller]
    pub fn has_open_direct(&self, vm: &str, path: &str) -> bool {
        let script = "cd /proc/$(cat /run/libvirt/qemu/$1.pid)/fd && for fd in *; do [ \"$(readlink $fd)\" != \"$2\" ] || \
                      sed -n 's/^flags:[[:space:]]*//p' ../fdinfo/$fd; done";
        let flags = self.says(["sh", "-c", script, "sh", vm, path]);
        let direct = flags.lines().map(|line| u32::from_str_radix(line, 8).unwrap() & O_DIRECT != 0);
        let direct: Vec<bool> = direct.collect();
        assert!(!direct.is_empty(), "QEMU does not have `{path}` open");
        assert!(direct.iter().all(|one| *one == direct[0]), "{flags}");
        direct[0]
    }

    /// Whether the server lets the administrator in.
    pub fn logs_in(&self) -> bool {
        let login = Invocation::new(CAIRN).env("HOME", "/root");
        let login = login.args(["login", "https://localhost:8443", "--user", USER, "--password-stdin"]);
        self.0.run_with_stdin(login, format!("{PASSWORD}\n")).unwrap().success()
    }
}
