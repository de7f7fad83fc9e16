//! A test that runs inside a room: the test program is started there again, for this one test. What the room is like is
//! decided by [`libvirt`](crate::libvirt) and [`browser`](crate::browser).

use crate::{Bind, Invocation, Mount, Output, Room, RootClone};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Set inside the room, so that the test runs its body there instead of opening another room.
const ENV_INSIDE: &str = "CAIRN_TESTBED_INSIDE";

/// Written inside when the body has come to its end.
const DONE: &str = "/run/testbed-done";

/// Runs `test` if we are inside; else `outside`, which is to make the room and start the program there.
///
/// # Panics
/// When the test fails inside, takes too long, or the room cannot be made.
pub(crate) fn enter(name: &str, test: impl FnOnce(), outside: impl FnOnce(&TestProgram) -> Result<()>) {
    if std::env::var_os(ENV_INSIDE).is_some() {
        test();
        std::fs::write(DONE, "").unwrap_or_else(|error| panic!("cannot write `{DONE}`: {error}"));
        return;
    }
    if let Err(error) = TestProgram::this(name).and_then(|program| outside(&program)) {
        panic!("`{name}` in its room: {error:#}");
    }
}

/// This test program, and the one test of it that is to run inside.
#[derive(Debug)]
pub(crate) struct TestProgram {
    path: PathBuf,
    test: String,
}

impl TestProgram {
    fn this(name: &str) -> Result<Self> {
        let path = std::env::current_exe().context("cannot tell which program this is")?;
        let test = full_name(&path, name)?;
        Ok(Self { path, test })
    }

    /// What the room has to have for it: the program's folder and these programs, under the same paths, not to be written.
    pub(crate) fn mounts(&self, executables: &[PathBuf]) -> Result<Vec<Mount>> {
        let folder = self.path.parent().context("this program is in no folder")?;
        let shared = std::iter::once(folder).chain(executables.iter().map(PathBuf::as_path));
        Ok(shared.map(|path| Mount::from(Bind::read_only(path, path))).collect())
    }

    /// Runs the test in the room, which is in this clone. Its environment holds PATH, HOME and LC_ALL alone.
    pub(crate) fn run(&self, room: &Room<'_>, clone: &RootClone, limit: Duration) -> Result<()> {
        let mut run = Invocation::new(&self.path).args(["--exact", &self.test, "--nocapture"]).limit(limit);
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
        clone.read(DONE).with_context(|| format!("no test `{}` ran there to its end", self.test))?;
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_found_by_the_name_of_its_function() {
        let program = std::env::current_exe().expect("this test");
        let own = "inside::tests::a_test_is_found_by_the_name_of_its_function";
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
