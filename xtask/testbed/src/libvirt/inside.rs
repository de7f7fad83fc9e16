//! A test that runs inside the room: the test program is started there again, for this one test.

use super::{KILL, Libvirtd, START, pid, pid_file, script, virsh_words};
use crate::{Bind, Invocation, LinuxOptions, Mount, Output, Testbed};
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Set inside the room, so that the test runs its body there instead of opening another room.
const ENV_INSIDE: &str = "CAIRN_TESTBED_INSIDE";

/// Written inside when the body has come to its end.
const DONE: &str = "/run/testbed-done";

/// What a test finds in the room.
#[derive(Debug)]
pub struct Inside {
    /// Whether libvirtd is there already.
    pub start: Start,
    /// File systems, folders of this machine and devices; none unless given, so also no /dev/net/tun.
    pub mounts: Vec<Mount>,
    /// Files that are written before anything starts.
    pub files: Vec<File>,
    /// Disks of the Linux guest, by their paths in the room.
    pub linux_disks: Vec<(PathBuf, LinuxOptions)>,
    /// Programs of this machine, in the room under the same paths, not to be written.
    pub executables: Vec<PathBuf>,
    /// How long the test may take; ten minutes unless given.
    pub limit: Duration,
}

impl Default for Inside {
    fn default() -> Self {
        Self {
            start: Start::Libvirtd,
            mounts: Vec::new(),
            files: Vec::new(),
            linux_disks: Vec::new(),
            executables: Vec::new(),
            limit: Duration::from_secs(600),
        }
    }
}

/// What runs in the room when the test begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// virtlogd and libvirtd.
    #[default]
    Libvirtd,
    /// Nothing; [`start_libvirtd`] starts them.
    Nothing,
}

/// A file of the room.
#[derive(Clone, Debug)]
pub struct File {
    /// Where, absolute.
    pub path: PathBuf,
    /// As chmod takes it, 0o644.
    pub mode: u32,
    /// What is in it.
    pub content: Vec<u8>,
}

/// Runs `test` in a room with libvirt, as the superuser, with `virsh` and `qemu-img` in PATH and nothing but a loopback
/// device in the network. `name` is that of the test function which calls this.
///
/// ```no_run
/// use xtask_testbed::libvirt::{Inside, inside, virsh};
/// #[test]
/// fn there_is_nothing_yet() {
///     inside("there_is_nothing_yet", &Inside::default(), || {
///         assert_eq!(virsh(["list", "--all", "--name"]).unwrap(), "");
///     });
/// }
/// ```
///
/// The calling test makes the clone and the room, with the folder of the test program in it under the same path, and
/// starts the program there again for this one test; that one runs `test`. Its environment holds PATH, HOME and
/// LC_ALL alone. What it says is passed on when it has ended. What the test function does before this call, it does in
/// both places.
///
/// # Panics
/// When the test fails inside, takes too long, or the room cannot be made.
pub fn inside(name: &str, options: &Inside, test: impl FnOnce()) {
    if std::env::var_os(ENV_INSIDE).is_some() {
        test();
        std::fs::write(DONE, "").unwrap_or_else(|error| panic!("cannot write `{DONE}`: {error}"));
        return;
    }
    if let Err(error) = outside(name, options) {
        panic!("`{name}` in its room: {error:#}");
    }
}

fn outside(name: &str, options: &Inside) -> Result<()> {
    let program = std::env::current_exe().context("cannot tell which program this is")?;
    let name = full_name(&program, name)?;
    let say = |line: &str| eprintln!("{line}");
    let testbed = Testbed::from_env()?;
    let virt = testbed.virt(&say)?;
    let clone = super::clone(&virt)?;
    for file in &options.files {
        clone.write(&file.path, file.mode, &file.content)?;
    }
    for (path, options) in &options.linux_disks {
        clone.write(path, 0o600, testbed.linux_guest(&say)?.disk(options)?)?;
    }
    let mut mounts = options.mounts.clone();
    let folder = program.parent().context("this program is in no folder")?;
    let shared = std::iter::once(folder).chain(options.executables.iter().map(PathBuf::as_path));
    mounts.extend(shared.map(|path| Mount::from(Bind::read_only(path, path))));
    let libvirtd;
    let bare;
    let room = match options.start {
        Start::Libvirtd => {
            libvirtd = Libvirtd::start(&clone, &mounts)?;
            libvirtd.room()
        }
        Start::Nothing => {
            bare = clone.room(&mounts)?;
            &bare
        }
    };
    let mut run = Invocation::new(&program).args(["--exact", &name, "--nocapture"]).limit(options.limit);
    run = run.env(ENV_INSIDE, "yes");
    if let Some(value) = std::env::var_os("RUST_BACKTRACE") {
        run = run.env("RUST_BACKTRACE", value);
    }
    let output = room.run(run)?;
    pass_on(&output);
    if !output.success() {
        bail!("it failed ({}); what it said stands above", output.status);
    }
    // A test program that finds no test of this name is content, too.
    clone.read(DONE).with_context(|| format!("no test `{name}` ran there to its end"))?;
    Ok(())
}

/// By the macros, so that it is shown with the calling test's own output, or with its failure.
fn pass_on(output: &Output) {
    print!("{}", String::from_utf8_lossy(&output.stdout));
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
}

/// The test's name with its modules, by which the test program knows it.
fn full_name(program: &Path, name: &str) -> Result<String> {
    // A test has a thread with its name, but not with `--test-threads=1`.
    if let Some(thread) = std::thread::current().name().filter(|thread| is_named(thread, name)) {
        return Ok(thread.to_owned());
    }
    let output = Command::new(program).args(["--list", "--format", "terse"]).output();
    let output = output.with_context(|| format!("cannot run `{}`", program.display()))?;
    let listed = String::from_utf8_lossy(&output.stdout);
    let tests = listed.lines().filter_map(|line| line.strip_suffix(": test"));
    match tests.filter(|test| is_named(test, name)).collect::<Vec<_>>()[..] {
        [one] => Ok(one.to_owned()),
        [] => bail!("`{}` has no test `{name}`; give the name of the function", program.display()),
        _ => bail!("`{}` has several tests `{name}`; give one its own name", program.display()),
    }
}

fn is_named(test: &str, name: &str) -> bool {
    test.strip_suffix(name).is_some_and(|modules| modules.is_empty() || modules.ends_with("::"))
}

/// What `virsh --quiet` says, without white space around it; an error when it fails. Inside a room.
pub fn virsh(words: impl IntoIterator<Item = impl Into<OsString>>) -> Result<String> {
    Ok(virsh_words(words).run_here()?.checked()?.stdout_text().trim().to_owned())
}

/// Starts libvirtd, and virtlogd if that does not run; waits until libvirtd answers. Inside a room.
pub fn start_libvirtd() -> Result<()> {
    script(START).run_here()?.checked().map(drop).context("libvirtd does not start")
}

/// Kills libvirtd with SIGKILL, and waits until it is gone. What it started runs on. Inside a room.
pub fn kill_libvirtd() -> Result<()> {
    script(KILL).run_here()?.checked().map(drop).context("libvirtd cannot be killed")
}

/// The number of a running domain's QEMU. Inside a room.
pub fn qemu_pid(domain: &str) -> Result<u32> {
    let file = pid_file(domain);
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read `{file}`"))?;
    pid(domain, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_found_by_the_name_of_its_function() {
        let program = std::env::current_exe().expect("this test");
        let own = "libvirt::inside::tests::a_test_is_found_by_the_name_of_its_function";
        let name = |name: &'static str| {
            // In a thread that does not have the test's name.
            let program = program.clone();
            std::thread::spawn(move || full_name(&program, name)).join().expect("no panic")
        };
        assert_eq!(name("a_test_is_found_by_the_name_of_its_function").expect("found"), own);
        assert_eq!(full_name(&program, "a_test_is_found_by_the_name_of_its_function").expect("found"), own);
        let error = name("is_found_by_the_name_of_its_function").expect_err("a part").to_string();
        assert!(error.contains("has no test `is_found"), "{error}");
    }
}
