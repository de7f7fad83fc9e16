//! The operator's part of README.md is what these commands print: its blocks called `console` are typed on the machine, in the
//! order in which they stand there, and compared with what comes.
//!
//! A line that begins with `# ` is typed, and those below it are what it prints, on both outputs. What varies is matched so: words
//! that hold a digit are alike (versions, commits, addresses, sizes, times, ids), so are the cache modes that `auto` chooses by the
//! file system that this machine has, white space is white space, and a line `...` stands for any lines, or none.

use xtask_testbed::Invocation;

use crate::host::Host;

const README: &str = include_str!("../../../../README.md");

/// Where the operator is when typing.
const FOLDER: &str = "/root";

/// `cairn` and `cairnctl` are found without their folder.
const PATH: &str = "/opt/cairn/current/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A command of the README, and what it says that this prints. Lines have their numbers there.
struct Typed {
    number: usize,
    command: String,
    prints: Vec<(usize, String)>,
}

/// All of them in order.
fn typed(text: &str) -> Vec<Typed> {
    let mut all: Vec<Typed> = Vec::new();
    let mut is_console = false;
    for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line)) {
        match (line.strip_prefix("```"), line.strip_prefix("# ")) {
            (Some(kind), _) => is_console = kind == "console",
            (None, _) if !is_console => {}
            (None, Some(command)) => all.push(Typed { number, command: command.into(), prints: Vec::new() }),
            (None, None) => {
                let last = all.last_mut().unwrap_or_else(|| panic!("README.md:{number}: no command above"));
                last.prints.push((number, line.to_owned()));
            }
        }
    }
    all
}

/// Types all of it.
pub fn is_what_happens(host: &Host) {
    let all = typed(README);
    assert!(all.len() >= 8, "the README shows {} commands", all.len());
    let mut wrong = String::new();
    for one in &all {
        let shell = Invocation::sh(&format!("exec 2>&1\n{}", one.command));
        let output = host.0.run(shell.dir(FOLDER).env("HOME", FOLDER).env("PATH", PATH)).unwrap();
        let printed = output.stdout_text();
        if let Some(difference) = difference(&one.prints, &printed) {
            wrong +=
                &format!("{difference}\nREADME.md:{}: `{}` printed:\n{printed}\n\n", one.number, one.command);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The first line that is not as expected.
fn difference(expected: &[(usize, String)], printed: &str) -> Option<String> {
    let mut lines = printed.lines().map(str::trim_end).peekable();
    let mut expected = expected.iter().peekable();
    while let Some((number, line)) = expected.next() {
        if line == "..." {
            match expected.peek() {
                None => return None,
                Some((_, next)) => while lines.next_if(|printed| !alike(next, printed)).is_some() {},
            }
        } else {
            let found = lines.next();
            if !found.is_some_and(|found| alike(line, found)) {
                return Some(format!("README.md:{number}: `{line}` is not printed, but {found:?}"));
            }
        }
    }
    lines.next().map(|line| format!("there is one line more: `{line}`"))
}

/// Whether two lines differ in nothing but what varies.
fn alike(expected: &str, printed: &str) -> bool {
    let varies = |word: &str| {
        word.contains(|letter: char| letter.is_ascii_digit()) || ["none", "writeback"].contains(&word)
    };
    let (mut expected, mut printed) = (expected.split_whitespace(), printed.split_whitespace());
    loop {
        match (expected.next(), printed.next()) {
            (None, None) => return true,
            (Some(one), Some(other)) if one == other || (varies(one) && varies(other)) => {}
            _ => return false,
        }
    }
}

#[test]
fn what_varies_is_alike_and_nothing_else_is() {
    let text = "text\n```sh\n# no\n```\n```console\n# one\na 12 MB\n...\nend 0.9fix\n# two\n```\n";
    let all = typed(text);
    let found: Vec<_> = all.iter().map(|one| (one.number, one.command.as_str(), one.prints.len())).collect();
    assert_eq!(found, [(6, "one", 3), (10, "two", 0)]);
    let prints = &all[0].prints;
    for good in ["a 7 MB\nend 0.9-dev.1a2b", "a   1.5 MB\nany\nlines\nend 1"] {
        assert_eq!(difference(prints, good), None, "{good}");
    }
    for (bad, line) in [
        ("a 7 GB\nend 1", "README.md:7: "),
        ("a b MB\nend 1", "README.md:7: "),
        ("a 7 MB", "README.md:9: "),
        ("a 7 MB\nend 1\nmore", "`more`"),
        ("", "README.md:7: "),
    ] {
        assert!(difference(prints, bad).unwrap().contains(line), "{bad}");
    }
    assert!(difference(&all[1].prints, "something").is_some());
}
