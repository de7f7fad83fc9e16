//! A person at a terminal: the question, and the password that is shown once.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::Stdio;

use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::passwords::opens;
use crate::site::Site;

/// What came of a run at a terminal: its exit code, and all that was to be read there.
struct Seen {
    code: Option<i32>,
    text: String,
}

/// What a person does when asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// There is no question.
    None,
    /// Types this.
    Typed(&'static str),
    /// Sends a signal.
    Signal(Signal),
}

/// Runs `sh FILE.run --root ROOT --no-start MORE` at a terminal of its own, and answers the question.
fn at_a_terminal(site: &Site, more: &[&str], answer: Answer) -> Seen {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let terminal: OwnedFd =
        open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
    let mut command = site.command(&["--root"]);
    command.arg(site.root()).arg("--no-start").args(more);
    let side = || Stdio::from(terminal.try_clone().unwrap());
    let mut child = command.stdin(side()).stdout(side()).stderr(side()).spawn().unwrap();
    // Ours must be closed for the end to be seen.
    drop((command, terminal));
    let mut master = File::from(master);
    let (mut text, mut answered) = (String::new(), false);
    let mut buffer = [0; 4096];
    // The end of the other side is an error here.
    while let Ok(count @ 1..) = master.read(&mut buffer) {
        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
        if !answered && text.contains("[y/N] ") {
            match answer {
                Answer::Typed(text) => master.write_all(text.as_bytes()).unwrap(),
                Answer::Signal(signal) => kill_process(Pid::from_child(&child), signal).unwrap(),
                Answer::None => panic!("a question: {text}"),
            }
            answered = true;
        }
    }
    assert_eq!(answered, answer != Answer::None, "{text}");
    Seen { code: child.wait().unwrap().code(), text }
}

#[test]
fn anything_but_yes_changes_nothing() {
    let site = Site::new();
    let before = site.untouched();
    for answer in ["n\n", "\n", "perhaps\n", "\u{4}"] {
        let seen = at_a_terminal(&site, &[], Answer::Typed(answer));
        assert_eq!(seen.code, Some(9), "{}", seen.text);
        assert!(
            seen.text.contains("plan for cairn") && seen.text.contains("nothing was changed"),
            "{}",
            seen.text
        );
        assert_eq!(site.untouched(), before);
    }
    assert_eq!(at_a_terminal(&site, &["--yes", "--confirm"], Answer::Typed("n\n")).code, Some(9));
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        assert_eq!(at_a_terminal(&site, &[], Answer::Signal(signal)).code, Some(9));
    }
    assert_eq!(site.untouched(), before);
}

#[test]
fn yes_installs_and_shows_the_password_once() {
    let site = Site::new();
    let seen = at_a_terminal(&site, &[], Answer::Typed("y\n"));
    assert_eq!(seen.code, Some(0), "{}", seen.text);
    let (_, password) = seen.text.split_once("which is shown only once: ").unwrap();
    let password = password.split_whitespace().next().unwrap();
    assert!(password.len() >= 10 && opens(&site, password), "{}", seen.text);
    assert_eq!(seen.text.matches(password).count(), 1);
    assert_eq!(site.files_with(password), [""; 0].map(std::path::PathBuf::from));
    assert!(!site.at("/var/lib/cairn/admin-password").exists());
    assert!(seen.text.contains("\u{1b}[1;33mWARN\u{1b}[0m"), "colours: {}", seen.text);
}

#[test]
fn an_unattended_one_asks_nothing_there_and_shows_no_password() {
    let site = Site::new();
    let seen = at_a_terminal(&site, &["--yes"], Answer::None);
    assert_eq!(seen.code, Some(0), "{}", seen.text);
    let password = std::fs::read_to_string(site.at("/var/lib/cairn/admin-password")).unwrap();
    assert!(!seen.text.contains(password.trim_end()), "{}", seen.text);
}
