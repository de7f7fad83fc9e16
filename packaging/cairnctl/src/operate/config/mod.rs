//! `config`: the files that the services read when they start. A file is changed in place of its text ([`edit`]), judged by the
//! service that will read it ([`judge`]), and then put in place by a transaction: with `--restart` it holds only if the service
//! becomes healthy with it. What takes effect while the server runs is no matter of files: `cairn config`.

mod edit;
mod judge;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use super::Installed;
use super::args::{ConfigChangeArgs, ConfigVerb};
use super::change::{Change, Plan};
use crate::answer::Answer;
use crate::exit::{Code, Exit};
use crate::say::{self, say};
use crate::transaction::{Program, Step, is_running};
use judge::{Judged, judge};
pub use judge::{file, name};

/// Names of settings whose values are nobody's business. The services have none today; a file may hold what it should not.
const SECRETS: [&str; 4] = ["password", "secret", "token", "key"];

/// Runs the verb.
///
/// # Errors
/// With the exit code that belongs to the failure.
pub fn command(verb: &ConfigVerb, quiet: bool) -> Result<Code> {
    match verb {
        ConfigVerb::Show(args) => show(&Installed::find(&args.root)?, args.json),
        ConfigVerb::Get(args) => get(&Installed::find(&args.at.root)?, &args.key, args.at.json),
        ConfigVerb::Check(args) => check(&Installed::find(&args.root)?, args.json, quiet),
        ConfigVerb::Set(args) => change("config set", &args.key, Some(&args.value), &args.change, quiet),
        ConfigVerb::Unset(args) => change("config unset", &args.key, None, &args.change, quiet),
    }
}

/// The text of a service's file; none is an empty one.
fn text_of(path: &Path) -> Result<String> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    }
}

/// What a service says of its file.
fn present(installed: &Installed, program: Program) -> Result<(String, Judged)> {
    let text = text_of(&file(&installed.layout, program))?;
    let judged = judge(&installed.layout, program, &text)?;
    Ok((text, judged))
}

/// Why a service does not take its file; `None` if it does.
///
/// # Errors
/// If it cannot say.
pub fn why_not(installed: &Installed, program: Program) -> Result<Option<String>> {
    Ok(present(installed, program)?.1.configuration)
}

fn show(installed: &Installed, json: bool) -> Result<Code> {
    let mut all = Map::new();
    for program in installed.programs(crate::role::Role::All)? {
        let (text, judged) = present(installed, program)?;
        let file = file(&installed.layout, program);
        let settings: Map<String, Value> = judged
            .settings
            .unwrap_or_default()
            .into_iter()
            .map(|(key, value)| {
                let is_set = edit::unset(&text, &key).is_ok_and(|text| text.is_some());
                (key.clone(), json!({ "value": shown(&key, value), "set": is_set }))
            })
            .collect();
        if !json {
            say!("{}", file.display());
            for (key, setting) in &settings {
                let default = if setting["set"] == true { "" } else { "  (default)" };
                say!("  {}.{key} = {}{default}", name(program), setting["value"]);
            }
            if let Some(why) = &judged.configuration {
                say!("  is not taken: {why}");
            }
        }
        all.insert(
            name(program).to_owned(),
            json!({ "file": file, "settings": settings, "error": judged.configuration }),
        );
    }
    if json {
        say::answer((Value::Object(all).to_string() + "\n").as_bytes())?;
    }
    Ok(Code::Ok)
}

fn shown(key: &str, value: Value) -> Value {
    if SECRETS.iter().any(|secret| key.contains(secret)) { Value::from("(not shown)") } else { value }
}

fn get(installed: &Installed, key: &str, json: bool) -> Result<Code> {
    let (program, key) = split(installed, key)?;
    let (_, judged) = present(installed, program)?;
    if let Some(why) = judged.configuration {
        return Err(Exit::error(Code::Usage, why));
    }
    let settings = judged.settings.unwrap_or_default();
    let Some(value) = settings.get(key).cloned() else {
        let known: Vec<&str> = settings.keys().map(String::as_str).collect();
        let sentence =
            format!("{} has no setting `{key}`; known ones are `{}`", name(program), known.join("`, `"));
        return Err(Exit::error(Code::Usage, sentence));
    };
    let value = shown(key, value);
    if json {
        let answer = json!({ "key": format!("{}.{key}", name(program)), "value": value });
        say::answer((answer.to_string() + "\n").as_bytes())?;
    } else {
        let plain = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        say::answer((plain + "\n").as_bytes())?;
    }
    Ok(Code::Ok)
}

/// Exit code 1 if a file is not taken.
fn check(installed: &Installed, json: bool, quiet: bool) -> Result<Code> {
    let (mut all, mut code) = (Map::new(), Code::Ok);
    for program in installed.programs(crate::role::Role::All)? {
        let (_, judged) = present(installed, program)?;
        match &judged.configuration {
            Some(why) => {
                code = Code::Usage;
                if !json {
                    say::complain(format_args!("{why}"));
                }
            }
            None if !json && !quiet => {
                say!("ok: {} takes {}", program.name(), file(&installed.layout, program).display());
            }
            None => (),
        }
        all.insert(name(program).to_owned(), json!({ "error": judged.configuration }));
    }
    if json {
        say::answer((Value::Object(all).to_string() + "\n").as_bytes())?;
    }
    Ok(code)
}

/// `server.listen` is the key `listen` of the server.
fn split<'a>(installed: &Installed, key: &'a str) -> Result<(Program, &'a str)> {
    let programs = installed.programs(crate::role::Role::All)?;
    let (service, key) = key.split_once('.').unwrap_or(("", key));
    let program = programs.iter().find(|program| name(**program) == service);
    program.map(|program| (*program, key)).ok_or_else(|| {
        let known: Vec<String> =
            programs.iter().map(|program| format!("`{}.{key}`", name(*program))).collect();
        let sentence = format!("a setting is named with its service; write {}", known.join(" or "));
        Exit::error(Code::Usage, sentence)
    })
}

fn change(
    verb: &'static str,
    key: &str,
    value: Option<&str>,
    args: &ConfigChangeArgs,
    quiet: bool,
) -> Result<Code> {
    let mut answer = Answer::of(verb);
    let done = changed(verb, key, value, args, quiet || args.at.json, &mut answer);
    answer.give(args.at.json, done)
}

fn changed(
    verb: &'static str,
    key: &str,
    value: Option<&str>,
    args: &ConfigChangeArgs,
    quiet: bool,
    answer: &mut Answer,
) -> Result<&'static str> {
    let change = Change {
        verb,
        root: &args.at.root,
        recovery: &args.recovery,
        dry_run: args.dry_run,
        question: None,
        quiet,
    };
    let held = match change.begin()? {
        Ok(held) => held,
        Err(state) => return Ok(state),
    };
    let installed = &held.installed;
    let (program, key) = split(installed, key)?;
    if args.restart {
        installed.needs_services()?;
    }
    let to = file(&installed.layout, program);
    let old = text_of(&to)?;
    let unreadable = |error: anyhow::Error| {
        Exit::error(Code::Usage, format!("cannot change `{}`: {error:#}", to.display()))
    };
    let new = match value {
        Some(value) => edit::set(&old, key, value).map_err(unreadable)?,
        None => edit::unset(&old, key).map_err(unreadable)?.unwrap_or_else(|| old.clone()),
    };
    if let Some(why) = judge(&installed.layout, program, &new)?.configuration {
        return Err(Exit::error(Code::Usage, format!("nothing was changed: {why}")));
    }
    let mut plan = Plan::default();
    let runs = installed.has_services() && is_running(&program.unit());
    if new != old {
        plan.steps.push(Step::WriteText { to, text: new, mode: 0o644 });
    }
    if args.restart && runs {
        // Taken back, the service starts again when the old file is there again.
        plan.steps.insert(0, Step::KeepRunning { unit: program.unit() });
        plan.steps.push(Step::Start { unit: program.unit() });
        plan.steps.push(Step::CheckHealth { program });
    } else if runs && !plan.steps.is_empty() {
        plan.notes.push(format!(
            "{} reads this when it starts: `cairnctl restart {}`",
            program.name(),
            name(program)
        ));
    }
    Ok(held.carry_out(plan, answer)?.state)
}
