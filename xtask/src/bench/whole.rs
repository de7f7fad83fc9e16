//! `all-in-one` as people call it: the release that is the payload, and then the same command again, when nothing has changed.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::measure::Sample;
use super::room::Room;
use crate::progress::Progress;
use crate::version::Version;

/// One run: what all of it took, and how many seconds passed in its parts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Parts {
    /// Finding commits and checking them out.
    pub git_s: f64,
    /// Asking cargo to compile.
    pub cargo_s: f64,
    /// The rest: staging, compressing, assembling, reading back.
    pub own_s: f64,
}

/// Builds the release and returns its file.
///
/// # Errors
/// What `all-in-one` says.
pub fn build(release: Option<&Version>, room: &Room, progress: &Progress) -> Result<PathBuf> {
    progress.begin("building the release that is packed");
    let mut command = Command::new(std::env::current_exe()?);
    command.args(words(release, room)).stdin(Stdio::null()).stdout(Stdio::null());
    if !command.status()?.success() {
        bail!("the release was not built; name a packed file with --run instead");
    }
    progress.end("the release is built");
    let files = std::fs::read_dir(folder(room))?.filter_map(|entry| Some(entry.ok()?.path()));
    let is_run = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "run");
    files.into_iter().find(is_run).context("nothing was packed")
}

/// The same command once more, measured.
///
/// # Errors
/// What it says.
pub fn again(release: Option<&Version>, room: &Room) -> Result<(Sample, Parts)> {
    let report = room.file("report.json");
    let own = std::env::current_exe()?;
    let mut command = Command::new(&own);
    command
        .args(["bench", "measure", "--report"])
        .arg(&report)
        .arg("--")
        .arg(&own)
        .args(words(release, room));
    let start = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let said = BufReader::new(child.stdout.take().context("it says nothing")?);
    let mut lines = Vec::new();
    for line in said.lines() {
        lines.push((start.elapsed().as_secs_f64(), line?));
    }
    if !child.wait()?.success() {
        bail!("`all-in-one` was not measured");
    }
    let sample: Sample = serde_json::from_slice(&std::fs::read(&report)?)?;
    if sample.code != Some(0) {
        bail!("`all-in-one` failed with {:?}", sample.code);
    }
    Ok((sample, parts(&lines)?))
}

/// Where the time went, by when each line of the journal came: it comes when its step has ended.
fn parts(lines: &[(f64, String)]) -> Result<Parts> {
    let (mut parts, mut last) = (Parts::default(), 0.0);
    for (at, line) in lines {
        let event: Value = serde_json::from_str(line).with_context(|| format!("`{line}` is no event"))?;
        let of = match (event["event"].as_str(), event["step"]["step"].as_str()) {
            (Some("plan"), _) | (_, Some("check-out")) => &mut parts.git_s,
            (_, Some("compile")) => &mut parts.cargo_s,
            _ => &mut parts.own_s,
        };
        *of += at - last;
        last = *at;
    }
    Ok(parts)
}

fn words(release: Option<&Version>, room: &Room) -> Vec<String> {
    let mut words: Vec<String> = ["all-in-one", "--format", "json", "--out"].map(str::to_owned).to_vec();
    words.push(folder(room).display().to_string());
    if let Some(release) = release {
        // What comes out is measured and thrown away: it need not run elsewhere.
        words.extend(["--allow-dirty", "--native", "--version", release.as_str()].map(str::to_owned));
    }
    words
}

fn folder(room: &Room) -> PathBuf {
    room.made().join("release")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_before_a_line_belongs_to_its_step() {
        let step = |name: &str| format!(r#"{{"event":"step","state":"done","step":{{"step":"{name}"}}}}"#);
        let lines = [
            (1.0, r#"{"event":"plan"}"#.to_owned()),
            (1.5, step("check-out")),
            (3.5, step("compile")),
            (4.0, step("compress")),
            (4.25, r#"{"event":"result"}"#.to_owned()),
        ];
        assert_eq!(parts(&lines).unwrap(), Parts { git_s: 1.5, cargo_s: 2.0, own_s: 0.75 });
        assert!(parts(&[(0.0, "warning".to_owned())]).is_err());
    }
}
