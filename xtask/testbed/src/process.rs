//! Running one process to its end: input fed, output gathered, time bounded. Knows nothing about namespaces.

use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// The environment of every program the testbed starts: nothing but a search path and a neutral locale.
pub(crate) const PLAIN_ENV: [(&str, &str); 2] =
    [("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("LC_ALL", "C.UTF-8")];

/// How long output is still waited for after the process itself ended: something it left running may hold the
/// pipe open for ever.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What a process reads.
#[derive(Debug)]
pub(crate) enum Input {
    Nothing,
    Bytes(Vec<u8>),
    File(File),
}

/// How a process ended, and all it said.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

/// A command with the plain environment and a process group of its own, so that a Ctrl-C at the terminal reaches
/// the test, which then takes things down in order.
pub(crate) fn plain(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().envs(PLAIN_ENV).current_dir("/").process_group(0);
    command
}

/// Runs `command` to its end. Kills it, and fails, when that takes longer than `limit`.
pub(crate) fn finish(mut command: Command, input: Input, limit: Duration) -> Result<Finished> {
    let stdin = match &input {
        Input::Nothing => Stdio::null(),
        Input::Bytes(_) => Stdio::piped(),
        Input::File(file) => Stdio::from(file.try_clone().context("cannot hand a file to a process")?),
    };
    command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().with_context(|| format!("cannot start `{name}`; is it installed?"))?;
    // Our copies of the child's ends go with the command, else the pipes would never close.
    drop(command);
    if let (Input::Bytes(bytes), Some(mut pipe)) = (input, child.stdin.take()) {
        // A process may end without reading all of its input; that is its right.
        std::thread::spawn(move || pipe.write_all(&bytes));
    }
    let stdout = Gathered::from(child.stdout.take());
    let stderr = Gathered::from(child.stderr.take());
    let Some(status) = wait(&mut child, limit)? else {
        // Killed by its number, then reaped.
        child.kill().and_then(|()| child.wait()).with_context(|| format!("cannot kill `{name}`"))?;
        let (out, err) = (stdout.take(), stderr.take());
        bail!(
            "not done after {} s and killed; its output was:\n{}{}",
            limit.as_secs(),
            String::from_utf8_lossy(&out),
            String::from_utf8_lossy(&err)
        );
    };
    Ok(Finished { status, stdout: stdout.take(), stderr: stderr.take() })
}

/// Waits for a child at most `limit` long; `None` when it is still running then.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let mut status = None;
    until(limit, || {
        status = child.try_wait().context("cannot wait for a process")?;
        Ok(status.is_some())
    })?;
    Ok(status)
}

/// Asks `condition` again and again until it holds; false when it did not within `limit`.
pub(crate) fn until(limit: Duration, mut condition: impl FnMut() -> Result<bool>) -> Result<bool> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if condition()? {
            return Ok(true);
        }
        if start.elapsed() >= limit {
            return Ok(false);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// A pipe that is read in the background, so that neither of two pipes can block the other.
struct Gathered {
    bytes: Arc<Mutex<Vec<u8>>>,
    done: mpsc::Receiver<()>,
}

impl Gathered {
    fn from(pipe: Option<impl Read + Send + 'static>) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let (sender, done) = mpsc::channel();
        if let Some(mut pipe) = pipe {
            let bytes = Arc::clone(&bytes);
            std::thread::spawn(move || {
                let mut buffer = [0; 16 * 1024];
                while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                    lock(&bytes).extend_from_slice(&buffer[..count]);
                }
                // Nobody may be waiting any more.
                let _ = sender.send(());
            });
        }
        Self { bytes, done }
    }

    fn take(&self) -> Vec<u8> {
        // Either the pipe closed, or we go without what might still come.
        let _ = self.done.recv_timeout(LAST_WORDS);
        std::mem::take(&mut *lock(&self.bytes))
    }
}

fn lock(bytes: &Mutex<Vec<u8>>) -> std::sync::MutexGuard<'_, Vec<u8>> {
    bytes.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, input: Input, limit: Duration) -> Result<Finished> {
        let mut command = plain("sh");
        command.args(["-c", script]);
        finish(command, input, limit)
    }

    #[test]
    fn input_is_fed_and_both_outputs_are_gathered() {
        let long = vec![b'x'; 1 << 20];
        let done = sh("cat; echo oops >&2; exit 3", Input::Bytes(long.clone()), Duration::from_secs(60));
        let done = done.expect("run");
        assert_eq!(done.status.code(), Some(3));
        assert_eq!(done.stdout, long);
        assert_eq!(done.stderr, b"oops\n");
    }

    #[test]
    fn what_takes_too_long_is_killed_and_the_error_has_its_output() {
        let error = sh("echo begun; exec sleep 1000", Input::Nothing, Duration::from_millis(300));
        let error = error.expect_err("too long").to_string();
        assert!(error.contains("killed") && error.contains("begun"), "{error}");
    }

    #[test]
    fn a_process_left_behind_does_not_hold_us_up() {
        let start = Instant::now();
        let done = sh("sleep 10 & echo done", Input::Nothing, Duration::from_secs(60)).expect("run");
        assert_eq!(done.stdout, b"done\n");
        assert!(start.elapsed() < Duration::from_secs(8));
    }

    #[test]
    fn the_environment_is_plain() {
        let done = sh("env", Input::Nothing, Duration::from_secs(60)).expect("run");
        let text = String::from_utf8(done.stdout).expect("utf-8");
        assert!(!text.contains("CARGO"), "{text}");
    }
}
