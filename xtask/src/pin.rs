//! `pin`: a release in the manifest, with ref and commit of every component. The rest of the file stays as people wrote it.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use toml_edit::{DocumentMut, InlineTable, Item, Table, Value};

use crate::answer::answer;
use crate::buildfile::{self, BuildFile};
use crate::cli;
use crate::failure::Failure;
use crate::plan::short;
use crate::progress::{Format, Progress};
use crate::refs::{self, Resolved, Sources, WORKTREE};

/// One component's pin.
struct Pin {
    component: String,
    reference: String,
    commit: String,
}

/// Resolves every component and writes the release.
///
/// # Errors
/// If a tree has uncommitted changes, a ref is not found, or a pin that is there would change. The file is then as it was.
pub fn command(args: &cli::Pin) -> Result<()> {
    let progress = Progress::new(Format::Human, false);
    let release = args.version.as_str();
    if release == WORKTREE {
        let sentence =
            format!("`{WORKTREE}` means the files as they lie there; give the release another name");
        return Err(Failure::usage(sentence));
    }
    let chosen = args.choice.read()?;
    let wanted = args.choice.wanted(None)?;
    let cache = args.choice.open_cache(&format!("pin of {release}"), &progress)?;
    let mut sources = Sources::new(&cache, chosen.source_root.clone(), None);
    let components = refs::resolve(&chosen.file, &wanted, &mut sources)?;
    let mut pins = Vec::new();
    for component in &components {
        pins.push(pin(component, release, &mut sources)?);
    }
    let manifest = chosen.manifest.display();
    if let Some(there) = chosen.file.releases.get(release) {
        let differing = differing(there, &pins);
        if differing.is_empty() && there.len() == pins.len() {
            answer!("`{manifest}` pins {release} so already")?;
            return Ok(());
        }
        if !differing.is_empty() && !args.replace {
            return Err(Failure::usage(format!(
                "`{manifest}` pins {release} already, and differently: {}; to change that, add --replace",
                differing.join(", ")
            )));
        }
    }
    let (text, table) = written(&fs::read_to_string(&chosen.manifest)?, release, &pins)?;
    BuildFile::parse(&text).context("what would be written cannot be read")?;
    replace(&chosen.manifest, &text)?;
    answer!("{table}")?;
    progress.say(&format!("wrote this to `{manifest}`; commit it"));
    Ok(())
}

/// A tag stays what the release goes by. A branch moves on, and a pin whose ref has moved is refused: instead of one stand
/// the commit's first digits.
fn pin(component: &Resolved, release: &str, sources: &mut Sources<'_>) -> Result<Pin> {
    let Resolved { name, source, reference, commit, dirty, .. } = component;
    if *dirty {
        return Err(Failure::usage(format!(
            "component `{name}`: `{source}` has uncommitted changes, which nobody can pin; commit them, or name a \
             commit with --component {name}=REF"
        )));
    }
    let (mirror, _) = sources.mirror(source)?;
    let is_tag = |name: &&str| mirror.reference(&format!("refs/tags/{name}")).as_ref() == Some(commit);
    let reference = [reference, release].into_iter().find(is_tag).unwrap_or(short(commit));
    Ok(Pin { component: name.clone(), reference: reference.to_owned(), commit: commit.clone() })
}

/// What the release pins differently.
fn differing(there: &std::collections::BTreeMap<String, buildfile::Pin>, pins: &[Pin]) -> Vec<String> {
    let wanted =
        |pin: &Pin| buildfile::Pin::Commit { reference: pin.reference.clone(), commit: pin.commit.clone() };
    let said = |pin: &buildfile::Pin| match pin {
        buildfile::Pin::Ref(reference) => reference.clone(),
        buildfile::Pin::Commit { reference, commit } => format!("{reference} at {commit}"),
    };
    let differs = pins.iter().filter_map(|pin| {
        let found = there.get(&pin.component).filter(|found| **found != wanted(pin))?;
        Some(format!("{} to {}, not {}", pin.component, said(found), said(&wanted(pin))))
    });
    differs.collect()
}

/// The manifest's text with the release in it, and the release alone.
fn written(text: &str, release: &str, pins: &[Pin]) -> Result<(String, String)> {
    let mut document: DocumentMut = text.parse()?;
    let mut all = Table::new();
    // Only `[release.NAME]` is written, no `[release]` above it.
    all.set_implicit(true);
    let all = document.entry("release").or_insert(Item::Table(all));
    let not_a_table = || Failure::usage("`release` is written in one line; write it as `[release.NAME]`");
    let all = all.as_table_mut().ok_or_else(not_a_table)?;
    let table = all.entry(release).or_insert(Item::Table(Table::new()));
    let table = table.as_table_mut().ok_or_else(not_a_table)?;
    let mut shown = format!("[release.\"{release}\"]");
    for Pin { component, reference, commit } in pins {
        let mut pin = InlineTable::new();
        pin.insert("ref", reference.into());
        pin.insert("commit", commit.into());
        let _ = write!(shown, "\n{component} = {pin}");
        let mut pin = Value::InlineTable(pin);
        match table.get_mut(component).and_then(Item::as_value_mut) {
            Some(there) => {
                // What stands around the old value, a comment perhaps, stays.
                pin.decor_mut().clone_from(there.decor());
                *there = pin;
            }
            None => drop(table.insert(component, Item::Value(pin))),
        }
    }
    Ok((document.to_string(), shown))
}

/// Writes a file whole or not at all, with the permissions that it has.
fn replace(path: &Path, text: &str) -> Result<()> {
    let replace = || -> std::io::Result<()> {
        let mut new = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new("/")))?;
        new.write_all(text.as_bytes())?;
        new.as_file().set_permissions(fs::metadata(path)?.permissions())?;
        new.persist(path)?;
        Ok(())
    };
    replace().with_context(|| format!("cannot write `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pins(digit: &str) -> Vec<Pin> {
        let pin = |component: &str| Pin {
            component: component.into(),
            reference: "1.0".into(),
            commit: digit.repeat(40),
        };
        vec![pin("agent"), pin("server")]
    }

    #[test]
    fn the_rest_of_the_file_stays_as_it_is() {
        let text = "# Words.\n[archive]\nproduct='p' # odd   spacing\n\n[component.agent]\nbins = [\n  'a', # one\n]\n";
        let one = format!("{{ ref = \"1.0\", commit = \"{}\" }}", "a".repeat(40));
        let (once, shown) = written(text, "1.0", &pins("a")).unwrap();
        assert_eq!(shown, format!("[release.\"1.0\"]\nagent = {one}\nserver = {one}"));
        assert_eq!(once, format!("{text}\n{shown}\n"));
        let more = format!("{once}# the end\n");
        let (twice, second) = written(&more, "2.0", &pins("c")).unwrap();
        assert_eq!(twice, format!("{text}\n{shown}\n\n{second}\n# the end\n"));
    }

    #[test]
    fn a_replaced_pin_keeps_the_comments_around_it() {
        let text =
            "[release.\"1.0\"] # first\n# the agent\nagent = '0.9' # as it was\n[bundle.b]\npath='b'\n";
        let (text, _) = written(text, "1.0", &pins("a")).unwrap();
        let pin = format!("{{ ref = \"1.0\", commit = \"{}\" }}", "a".repeat(40));
        assert_eq!(
            text,
            format!(
                "[release.\"1.0\"] # first\n# the agent\nagent = {pin} # as it was\nserver = {pin}\n[bundle.b]\npath='b'\n"
            )
        );
    }

    #[test]
    fn releases_in_one_line_are_left_alone() {
        assert!(written("release = { a = {} }\n", "1.0", &pins("a")).is_err());
    }
}
