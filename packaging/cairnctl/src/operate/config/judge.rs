//! What a service says of a configuration file: the one that lies here, or one that is to lie here. It is asked below a root of its
//! own, in which nothing but that file lies, so that it says what it would say after the change.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::exit::{Code, Exit};
use crate::host;
use crate::layout::Layout;
use crate::transaction::Program;

/// What it says.
#[derive(Debug, Deserialize)]
pub struct Judged {
    /// Why it would not take the file.
    pub configuration: Option<String>,
    /// Every setting with the value that is used; `None` from a program of before it could.
    #[serde(default)]
    pub settings: Option<Map<String, Value>>,
}

/// The name that a service and its file have on the command line.
pub fn name(program: Program) -> &'static str {
    match program {
        Program::Server => "server",
        Program::Agent => "agent",
    }
}

/// The file of a service.
pub fn file(layout: &Layout, program: Program) -> PathBuf {
    layout.configuration().join(format!("{}.toml", name(program)))
}

/// Asks the installed service about a text.
///
/// # Errors
/// Exit code 3 if it is of a version that cannot say.
pub fn judge(layout: &Layout, program: Program, text: &str) -> Result<Judged> {
    // Its name is one that the next run would sweep.
    let stage = host::Passing::make(host::beside(&layout.state().join("config")))?;
    let own = Layout::new(stage.path());
    let place = file(&own, program);
    host::make_folders(&own.configuration())?;
    host::write_whole(&place, text.as_bytes(), 0o600)?;
    let binary = layout.current().join("bin").join(program.name());
    let mut command = Command::new(&binary);
    command.arg("--root").arg(own.root()).args(["inspect", "--json"]).stdin(Stdio::null());
    let output = command.output().with_context(|| format!("cannot run `{}`", binary.display()))?;
    if output.status.code() == Some(1) && output.stdout.is_empty() {
        let sentence = format!(
            "this version of {} cannot judge a configuration; edit `{}` by hand, or upgrade first",
            program.name(),
            file(layout, program).display()
        );
        return Err(Exit::error(Code::Unsupported, sentence));
    }
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        anyhow::bail!("`{} inspect` failed: {}", program.name(), said.trim());
    }
    let mut judged: Judged = serde_json::from_slice(&output.stdout).with_context(|| {
        format!("`{} inspect` answered something else than its contract says", program.name())
    })?;
    // As it will be, not as it was for the question.
    let (asked, meant) = (place.display().to_string(), file(layout, program).display().to_string());
    judged.configuration = judged.configuration.map(|why| why.replace(&asked, &meant));
    Ok(judged)
}
