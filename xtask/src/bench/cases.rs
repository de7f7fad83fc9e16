//! What is measured: a list. Each case says what is run and what is to be seen when it has run.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::operation::{Operation, Subject};
use super::payload::Payload;
use super::peers::{self, words};
use super::room::Room;

/// One thing that is run in every round.
#[derive(Debug)]
pub struct Case {
    /// What it does.
    pub operation: Operation,
    /// Who does it.
    pub subject: Subject,
    /// Its command line.
    pub command: Vec<OsString>,
    /// Its search path, where that is not the caller's.
    pub path: Option<PathBuf>,
    /// Whether the cache of compressed members holds the unchanged payload.
    pub warm: bool,
    /// The folders whose growth counts.
    pub grows: Vec<PathBuf>,
    /// The folder that it unpacks to, which counts for no scratch space.
    pub unpacked: Option<PathBuf>,
    /// The file that it makes.
    pub result: Option<PathBuf>,
    /// What shows that it did what it should.
    pub shows: Shows,
}

/// What is to be seen afterwards.
#[derive(Clone, Debug)]
pub enum Shows {
    /// A file, of ours one that opens.
    Result,
    /// The unpacked tree is the one that was packed.
    Tree,
    /// Standard output holds this.
    Text(String),
    /// Standard output is this file.
    Bytes(PathBuf),
}

/// Files that are made before the first round, for others to read.
pub struct Made<'a>(pub &'a Room);

impl Made<'_> {
    /// The packed payload.
    pub fn archive(&self, subject: Subject) -> PathBuf {
        self.0.made().join(format!("{}.run", subject.name().replace(' ', "-")))
    }

    /// The packed payload after the change.
    pub fn changed(&self, subject: Subject) -> PathBuf {
        self.0.made().join(format!("{}-changed.run", subject.name().replace(' ', "-")))
    }

    /// Our large file.
    pub fn large(&self) -> PathBuf {
        self.0.made().join("large.run")
    }

    /// The cache that packing the payload left.
    pub fn cache(&self) -> PathBuf {
        self.0.made().join("cache")
    }
}

/// How our packing is called, for files that `spec` lists.
pub fn pack(spec: &Path, cache: &Path, out: &Path) -> Result<Vec<OsString>> {
    let own = std::env::current_exe()?;
    Ok(words(&[&own, &"bench", &"pack", &"--spec", &spec, &"--cache", &cache, &"--out", &out]))
}

/// All cases, in an order in which those that are compared stand together.
///
/// # Errors
/// If this machine lacks a tool, or does not say where this program is.
pub fn all(room: &Room, payload: &Payload, specs: &Specs) -> Result<Vec<Case>> {
    let with_openssl = peers::search_path(room.file("path-openssl"), true)?;
    let without = peers::search_path(room.file("path"), false)?;
    let mut cases = packing(room, specs)?;
    for peer in Subject::PEERS {
        cases.extend(reading_theirs(room, payload, peer));
    }
    for (subject, path) in
        [(Subject::Cairn, None), (Subject::ShOpenssl, Some(with_openssl)), (Subject::Sh, Some(without))]
    {
        cases.extend(reading_ours(room, payload, subject, path.as_ref()));
    }
    cases.extend(deltas(room)?);
    cases.sort_by_key(|case| (case.operation, case.subject));
    Ok(cases)
}

/// What our packing is told to pack.
#[derive(Debug)]
pub struct Specs {
    /// The payload.
    pub whole: PathBuf,
    /// The payload after the change.
    pub changed: PathBuf,
}

fn packing(room: &Room, specs: &Specs) -> Result<Vec<Case>> {
    let grows = vec![room.tmp(), room.out(), room.cache()];
    let case = |operation, subject, warm, result: PathBuf, command| Case {
        operation,
        subject,
        command,
        path: None,
        warm,
        grows: grows.clone(),
        unpacked: None,
        result: Some(result),
        shows: Shows::Result,
    };
    let ours = room.out().join("cairn.run");
    let mut cases = Vec::new();
    for (operation, warm, spec) in [
        (Operation::Cold, false, &specs.whole),
        (Operation::Changed, true, &specs.changed),
        (Operation::Unchanged, true, &specs.whole),
    ] {
        let command = pack(spec, &room.cache(), &ours)?;
        cases.push(case(operation, Subject::Cairn, warm, ours.clone(), command));
    }
    for peer in Subject::PEERS {
        let out = room.out().join("makeself.run");
        let command = peers::pack(peer, &room.tree(), &out);
        cases.push(case(Operation::Cold, peer, false, out, command));
    }
    Ok(cases)
}

fn reading(
    operation: Operation,
    subject: Subject,
    room: &Room,
    command: Vec<OsString>,
    shows: Shows,
) -> Case {
    let unpacked = room.extracted().join("tree");
    let extracts = operation == Operation::Extract;
    Case {
        operation,
        subject,
        command,
        path: None,
        warm: false,
        // Our script may put its helper beside the folder that it unpacks to.
        grows: vec![room.tmp(), room.work(), room.extracted()],
        unpacked: extracts.then_some(unpacked),
        result: None,
        shows,
    }
}

fn reading_theirs(room: &Room, payload: &Payload, peer: Subject) -> Vec<Case> {
    let archive = Made(room).archive(peer);
    let entry = payload.binary.as_str();
    let bytes = Shows::Bytes(payload.binary.below(&room.tree()));
    let name = Shows::Text(entry.to_owned());
    let tree = room.extracted().join("tree");
    vec![
        reading(Operation::Verify, peer, room, peers::verify(&archive), Shows::Text(String::new())),
        reading(Operation::Extract, peer, room, peers::extract(&archive, &tree), Shows::Tree),
        reading(Operation::List, peer, room, peers::list(&archive), name),
        reading(Operation::OneFile, peer, room, peers::one_file(&archive, entry), bytes),
    ]
}

fn reading_ours(room: &Room, payload: &Payload, subject: Subject, path: Option<&PathBuf>) -> Vec<Case> {
    let archive = Made(room).archive(Subject::Cairn);
    let entry = payload.binary.as_str();
    let name = Shows::Text(entry.to_owned());
    let tree = room.extracted().join("tree");
    // The words show who has checked.
    let says = if path.is_some() { "with sh alone" } else { "every byte as it was packed" };
    let verify = words(&[&"sh", &archive, &"verify"]);
    let extract = words(&[&"sh", &archive, &"extract", &tree]);
    let list = words(&[&"sh", &archive, &"--list"]);
    let mut cases = vec![
        reading(Operation::Verify, subject, room, verify, Shows::Text(says.to_owned())),
        reading(Operation::Extract, subject, room, extract, Shows::Tree),
        reading(Operation::List, subject, room, list, name),
    ];
    if path.is_none() {
        let large = words(&[&"sh", &Made(room).large(), &"--list"]);
        let one = words(&[&"sh", &archive, &"extract", &"--entry", &entry]);
        let bytes = Shows::Bytes(payload.binary.below(&room.tree()));
        cases.push(reading(Operation::ListLarge, subject, room, large, Shows::Text("large-1/".to_owned())));
        cases.push(reading(Operation::OneFile, subject, room, one, bytes));
    }
    cases.iter_mut().for_each(|case| case.path = path.cloned());
    cases
}

fn deltas(room: &Room) -> Result<Vec<Case>> {
    let (made, own) = (Made(room), std::env::current_exe()?);
    let case = |subject, out: PathBuf, command| Case {
        result: Some(out),
        ..reading(Operation::Delta, subject, room, command, Shows::Result)
    };
    let (ours, theirs) = (room.out().join("delta.run"), room.out().join("patch.zst"));
    let (old, new) = (made.archive(Subject::Cairn), made.changed(Subject::Cairn));
    let delta = words(&[&own, &"bench", &"delta", &old, &new, &"--out", &ours]);
    let patch = peers::patch(&made.archive(Subject::Gzip), &made.changed(Subject::Gzip), &theirs);
    Ok(vec![case(Subject::Cairn, ours, delta), case(Subject::Gzip, theirs, patch)])
}
