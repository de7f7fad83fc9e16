//! The workflows of CI hold no program of their own: a step is an action of GitHub's, at a major version, or a call of
//! `cargo xtask` that this program takes. So what CI does can be done, and tested, anywhere.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use yaml_serde::{Mapping, Value};

/// The actions that a step may use.
const ACTIONS: [&str; 5] = [
    "actions/attest-build-provenance",
    "actions/cache",
    "actions/checkout",
    "actions/download-artifact",
    "actions/upload-artifact",
];

/// Variables that are no option: what they hold is not for a command line.
const SECRETS: [&str; 2] = ["CAIRN_KEY_PEM", "CAIRN_KEY_PASSPHRASE"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(".github/workflows")
}

/// This program, with nothing of what the caller has set for it.
fn xtask<'a>(words: impl IntoIterator<Item = &'a str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CAIRN_") {
            command.env_remove(name);
        }
    }
    command.args(words).output().unwrap()
}

/// Everything in a workflow that breaks a rule.
fn faults(text: &str) -> Vec<String> {
    let workflow: Value = yaml_serde::from_str(text).unwrap();
    let workflow = workflow.as_mapping().unwrap();
    let mut faults = Vec::new();
    let mut steps = Vec::new();
    let mut environments = vec![workflow];
    for (name, job) in workflow["jobs"].as_mapping().unwrap() {
        let job = job.as_mapping().unwrap();
        environments.push(job);
        match job.get("steps").and_then(Value::as_sequence) {
            Some(of_job) => steps.extend(of_job.iter().map(|step| step.as_mapping().unwrap())),
            None => faults.push(format!("job `{}` has no steps of its own", name.as_str().unwrap())),
        }
    }
    environments.extend(&steps);
    for holder in &environments {
        faults.extend(environment_faults(holder));
    }
    if text.contains("shell:") {
        faults.push("a shell is chosen".to_owned());
    }
    for step in steps {
        match (step.get("uses").and_then(Value::as_str), step.get("run").and_then(Value::as_str)) {
            (Some(action), None) => faults.extend(action_faults(action, step)),
            (None, Some(line)) => faults.extend(line_faults(line)),
            _ => faults.push(format!("a step is neither an action nor a call: {step:?}")),
        }
    }
    faults
}

/// What a variable sets is an option that some command has.
fn environment_faults(holder: &Mapping) -> Vec<String> {
    let names = holder.get("env").and_then(Value::as_mapping).into_iter().flat_map(Mapping::keys);
    let names = names.map(|name| name.as_str().unwrap());
    let help = xtask(["all-in-one", "--help"]);
    let help = String::from_utf8(help.stdout).unwrap();
    let is_known = |name: &str| {
        ['=', ']'].iter().any(|end| help.contains(&format!("[env: {name}{end}")))
            || (SECRETS.contains(&name) && help.contains(name))
    };
    names.filter(|name| !is_known(name)).map(|name| format!("`{name}` sets no option")).collect()
}

fn action_faults(action: &str, step: &Mapping) -> Option<String> {
    let Some((name, version)) = action.split_once('@') else {
        return Some(format!("`{action}` has no version"));
    };
    let major = version.strip_prefix('v').is_some_and(|digits| digits.parse::<u32>().is_ok());
    let depth = step.get("with").and_then(|with| with.get("fetch-depth")).and_then(Value::as_u64);
    if !ACTIONS.contains(&name) {
        Some(format!("`{name}` is not among the actions that are used here"))
    } else if !major {
        Some(format!("`{action}` is not at a major version"))
    } else if name == "actions/checkout" && depth != Some(0) {
        Some(format!("`{action}` cuts the history short, and a release pins old commits"))
    } else {
        None
    }
}

/// A line has to be the same for a shell and for somebody who splits it at spaces.
fn line_faults(line: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || " -_./=,".contains(c);
    let Some(words) = line.strip_prefix("cargo xtask ") else {
        return Some(format!("`{line}` is no call of cargo xtask"));
    };
    if !line.chars().all(plain) {
        return Some(format!("`{line}` holds what a shell would read; use a variable of the step"));
    }
    let parsed = xtask(words.split(' ').chain(["--parse-only"]));
    let said = String::from_utf8_lossy(&parsed.stderr);
    (!parsed.status.success()).then(|| format!("`{line}` is not taken: {said}"))
}

#[test]
fn the_workflows_call_this_program_and_nothing_else() {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let faults = faults(&std::fs::read_to_string(&path).unwrap());
        assert!(faults.is_empty(), "{}:\n{}", path.display(), faults.join("\n"));
        names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
    }
    names.sort();
    assert_eq!(names, ["ci.yml", "release.yml"]);
}

#[test]
fn a_release_is_compared_before_it_is_attested_and_uploaded() {
    let text = std::fs::read_to_string(folder().join("release.yml")).unwrap();
    let workflow: Value = yaml_serde::from_str(&text).unwrap();
    let publish = &workflow["jobs"]["publish"];
    assert_eq!(publish["needs"], "build");
    let does = |step: &Value| {
        let what = step.get("run").or(step.get("uses")).unwrap().as_str().unwrap();
        what.split('@').next().unwrap().to_owned()
    };
    let steps: Vec<String> = publish["steps"].as_sequence().unwrap().iter().map(does).collect();
    assert_eq!(
        steps,
        [
            "actions/checkout",
            "cargo xtask all-in-one --os debian-12 --guest --verify-reproducible",
            "actions/download-artifact",
            "cargo xtask compare target/elsewhere target/dist",
            "actions/attest-build-provenance",
            "actions/upload-artifact",
        ]
    );
    // What it is compared with carries the same.
    assert_eq!(does(&workflow["jobs"]["build"]["steps"][1]), "cargo xtask all-in-one --os debian-12 --guest");
    // Only the build that signs sees the key.
    assert_eq!(text.matches("secrets.").count(), 2);
    assert!(publish["steps"][1]["env"]["CAIRN_KEY_PEM"].is_string());
}

#[test]
fn what_breaks_a_rule_is_found() {
    let step = |step: &str| format!("on: push\njobs:\n  one:\n    runs-on: x\n    steps:\n      - {step}\n");
    assert!(faults(&step("run: cargo xtask all-in-one --version 0.9fix --offline")).is_empty());
    for (bad, fault) in [
        ("run: cargo test", "no call of cargo xtask"),
        ("run: cargo xtask test && rm -rf x", "a shell would read"),
        ("run: \"cargo xtask test\\ncargo xtask dev\"", "a shell would read"),
        ("run: cargo xtask sign ${{ github.ref_name }}", "a shell would read"),
        ("run: cargo xtask tset", "is not taken"),
        ("run: cargo xtask all-in-one --verify-reproducable", "is not taken"),
        ("run: cargo xtask compare target/dist", "is not taken"),
        ("{run: cargo xtask test, shell: bash}", "a shell is chosen"),
        ("{run: cargo xtask test, env: {CAIRN_VERSOIN: x}}", "`CAIRN_VERSOIN` sets no option"),
        ("uses: somebody/action@v1", "not among the actions"),
        ("uses: actions/cache@main", "not at a major version"),
        ("uses: actions/cache", "has no version"),
        ("uses: actions/checkout@v6", "cuts the history short"),
        ("name: nothing", "neither an action nor a call"),
    ] {
        let found = faults(&step(bad));
        assert!(found.iter().any(|found| found.contains(fault)), "{bad}: {found:?}");
    }
    let called = faults("on: push\njobs:\n  one:\n    uses: ./.github/workflows/other.yml\n");
    assert_eq!(called, ["job `one` has no steps of its own"]);
}

#[test]
fn reading_a_command_line_does_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    let output = xtask(["keygen", file.to_str().unwrap(), "--no-passphrase", "--parse-only"]);
    assert!(output.status.success() && output.stdout.is_empty() && !file.exists());
}
