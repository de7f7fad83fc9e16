//! `logs`: journalctl, about the units of this installation.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Result;

use super::Installed;
use super::args::LogsArgs;
use crate::exit::{Code, Exit};
use crate::transaction::Program;

/// Runs the verb: this process becomes journalctl.
///
/// # Errors
/// If there is none, or no service of this host is meant.
pub fn command(args: &LogsArgs) -> Result<Code> {
    let installed = Installed::find(&args.at.root)?;
    let programs = installed.programs(args.which)?;
    installed.needs_services()?;
    let units: Vec<String> = programs.into_iter().map(Program::unit).collect();
    let error = Command::new("journalctl").args(words(args, &units)).exec();
    Err(Exit::error(
        Code::Unsupported,
        format!("cannot run `journalctl`: {error}; install systemd's journal"),
    ))
}

/// What journalctl is told.
fn words(args: &LogsArgs, units: &[String]) -> Vec<String> {
    let mut words = vec!["--no-pager".to_owned(), "--quiet".to_owned()];
    words.extend(units.iter().map(|unit| format!("--unit={unit}")));
    if args.at.json {
        words.push("--output=json".to_owned());
    }
    words.extend(args.since.iter().map(|since| format!("--since={since}")));
    let lines = args.lines.or(args.since.is_none().then_some(100));
    words.extend(lines.map(|lines| format!("--lines={lines}")));
    if args.follow {
        words.push("--follow".to_owned());
    }
    words
}

#[cfg(test)]
mod tests {
    use crate::args::{Cli, Verb};
    use crate::operate::OperateVerb;

    #[test]
    fn journalctl_is_told_what_was_asked() {
        let told = |line: &str| {
            let words = line.split(' ').map(str::to_owned).collect();
            let Verb::Operate(OperateVerb::Logs(args)) = Cli::read(None, words).unwrap().verb else {
                panic!("not the verb `logs`");
            };
            super::words(&args, &["cairn-server.service".to_owned()]).join(" ")
        };
        let always = "--no-pager --quiet --unit=cairn-server.service";
        assert_eq!(told("logs"), format!("{always} --lines=100"));
        assert_eq!(told("logs server --since -2h"), format!("{always} --since=-2h"));
        assert_eq!(
            told("logs --since yesterday --lines 5 --follow --json"),
            format!("{always} --output=json --since=yesterday --lines=5 --follow")
        );
    }
}
