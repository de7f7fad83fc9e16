//! The journal of a transaction: what is to be done, what has been begun and how that is taken back, and whether it holds.
//! Every record is on the disk before what it announces is done, so that whoever comes after a kill or a power cut knows.
//!
//! A record is a line: a checksum, a space, JSON. A line is appended and synced; one that was cut short counts as not
//! written. The first one appears with the file, by rename. The file lies in a folder that is there before and after:
//! the journal of an installation must not be in what it makes, that of a removal not in what it removes.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use rustix::fs::{FallocateFlags, fallocate};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::deed::Deed;
use super::step::Step;
use crate::exit::{Code, Exit};
use crate::host;
use crate::layout::Layout;
use crate::role::Role;

/// The generation of the journal. Steps and deeds of another one may mean something else.
const FORMAT: u32 = 1;

pub(super) const NAME: &str = ".cairn-journal";

/// Room that is taken at once, so that a full disk does not keep a failure from being taken back.
const ROOM: u64 = 256 << 10;

/// What is to be done, and by whom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// See [`FORMAT`].
    pub format: u32,
    /// The verb, as it is typed.
    pub verb: String,
    /// The product's name.
    pub product: String,
    /// The version that is there before, if there is one.
    pub from: Option<String>,
    /// The version that is there afterwards, if there is one.
    pub to: Option<String>,
    /// What tells the file or folder that it is installed from, from others.
    pub digest: Option<String>,
    /// What the host is.
    pub role: Role,
    /// Whether services are started.
    pub start: bool,
    /// Seconds since 1970 when it began.
    pub begun: u64,
    /// The process that began it.
    pub process: u32,
    /// Who ran that, as far as the environment says.
    pub user: String,
    /// What is done, in order. Each can be taken back.
    pub steps: Vec<Step>,
    /// What is done when all that holds. None of it can be taken back.
    pub closing: Vec<Deed>,
}

impl Head {
    /// A transaction of this process, with nothing to do yet.
    pub fn new(verb: &str, product: &str, role: Role) -> Self {
        let user = ["SUDO_USER", "LOGNAME", "USER"].iter().find_map(|name| std::env::var(name).ok());
        Self {
            format: FORMAT,
            verb: verb.to_owned(),
            product: product.to_owned(),
            from: None,
            to: None,
            digest: None,
            role,
            start: false,
            begun: now(),
            process: std::process::id(),
            user: user.unwrap_or_else(|| format!("user {}", rustix::process::getuid().as_raw())),
            steps: Vec::new(),
            closing: Vec::new(),
        }
    }

    /// What it is, in words.
    pub fn what(&self) -> String {
        let Self { verb, product, .. } = self;
        match (&self.from, &self.to) {
            (Some(from), Some(to)) if from != to => format!("the {verb} of {product} from {from} to {to}"),
            (_, Some(version)) | (Some(version), None) => format!("the {verb} of {product} {version}"),
            (None, None) => format!("the {verb} of {product}"),
        }
    }

    /// Who began it and when, in words.
    pub fn whose(&self) -> String {
        format!("begun {} by {} (process {})", ago(self.begun), self.user, self.process)
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// How long ago that was, for people.
pub fn ago(time: u64) -> String {
    let passed = Duration::from_secs(now().saturating_sub(time)).as_secs();
    let (count, unit) = match passed {
        0..120 => (passed, "second"),
        120..7200 => (passed / 60, "minute"),
        7200..172_800 => (passed / 3600, "hour"),
        _ => (passed / 86400, "day"),
    };
    format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" })
}

/// A line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Record {
    /// The first.
    Head(Box<Head>),
    /// A step is about to be done; these deeds, last first, take it back however far it got.
    Doing { step: usize, undo: Vec<Deed> },
    /// It is done.
    Done { step: usize },
    /// Steps from this one on have been taken back, to be done anew.
    Again { step: usize },
    /// All steps are being taken back: there is no going on.
    Undoing,
    /// All steps hold: there is no going back.
    Committed,
}

/// A step that was begun.
#[derive(Clone, Debug, PartialEq)]
pub struct Begun {
    /// Which.
    pub step: usize,
    /// How it is taken back.
    pub undo: Vec<Deed>,
    /// Whether it was finished.
    pub done: bool,
}

/// Where a transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Steps are being done.
    Forward,
    /// Steps are being taken back.
    Back,
    /// All steps hold; what is left over is being cleared away.
    Closing,
}

/// A journal on the disk.
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Bytes of whole records.
    length: u64,
    /// What is to be done.
    pub head: Head,
    /// What was begun, in order.
    pub begun: Vec<Begun>,
    /// Where it stands.
    pub direction: Direction,
}

impl Journal {
    /// Begins one. `going` are folders that will not be there any more.
    ///
    /// # Errors
    /// If it cannot be written: then nothing has been done.
    pub fn begin(layout: &Layout, head: Head, going: &BTreeSet<PathBuf>) -> Result<Self> {
        let folders = places(layout);
        let folder = folders.iter().find(|folder| folder.is_dir() && !going.contains(*folder));
        let path = folder.or(folders.last()).map(|folder| folder.join(NAME)).unwrap_or_default();
        let line = line(&Record::Head(Box::new(head.clone())))?;
        let beside = host::beside(&path);
        let write = || -> io::Result<File> {
            let mut file = OpenOptions::new().append(true).create_new(true).open(&beside)?;
            // Not every file system can.
            let _ = fallocate(&file, FallocateFlags::KEEP_SIZE, 0, ROOM);
            file.write_all(&line)?;
            file.sync_all()?;
            fs::rename(&beside, &path)?;
            host::sync_folder_of(&path)?;
            Ok(file)
        };
        let file = write()
            .with_context(|| format!("cannot write the journal `{}`", path.display()))
            .inspect_err(|_| {
                let _ = fs::remove_file(&beside);
            })?;
        let length = line.len() as u64;
        Ok(Self { path, file, length, head, begun: Vec::new(), direction: Direction::Forward })
    }

    /// The journal of a run that did not come to its end. The caller holds the lock, so that nobody works on it.
    ///
    /// # Errors
    /// Exit code 7 for one that this program cannot read.
    pub fn find(layout: &Layout) -> Result<Option<Self>> {
        for folder in places(layout) {
            let path = folder.join(NAME);
            match fs::read(&path) {
                Ok(bytes) => return Self::read(&path, &bytes),
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("cannot read the journal `{}`", path.display()));
                }
            }
        }
        Ok(None)
    }

    fn read(path: &Path, bytes: &[u8]) -> Result<Option<Self>> {
        let unreadable = |why: &str| {
            let sentence = format!(
                "the journal `{}` of an earlier run {why}; finish with the cairnctl that began it, or move the file away and look at what is installed with cairnctl verify",
                path.display()
            );
            Exit::error(Code::Failed, sentence)
        };
        let (records, length) = parse(bytes).ok_or_else(|| unreadable("is damaged"))?;
        let mut records = records.into_iter();
        let Some(head) = records.next() else {
            // Nothing is done before the first record is there.
            host::remove(path)?;
            return Ok(None);
        };
        let format = head.pointer("/head/format").and_then(serde_json::Value::as_u64);
        if format != Some(u64::from(FORMAT)) {
            return Err(unreadable(&format!("has another format than {FORMAT}")));
        }
        let Ok(Record::Head(head)) = serde_json::from_value(head) else {
            return Err(unreadable("holds what this program does not know"));
        };
        let file = OpenOptions::new().append(true).open(path);
        let file = file.with_context(|| format!("cannot go on with the journal `{}`", path.display()))?;
        file.set_len(length)?;
        let mut journal = Self {
            path: path.to_owned(),
            file,
            length,
            head: *head,
            begun: Vec::new(),
            direction: Direction::Forward,
        };
        for record in records {
            let record = serde_json::from_value(record)
                .map_err(|_| unreadable("holds what this program does not know"))?;
            journal.note(record);
        }
        Ok(Some(journal))
    }

    /// A step is about to be done.
    pub fn doing(&mut self, step: usize, undo: Vec<Deed>) -> Result<()> {
        self.append(Record::Doing { step, undo })
    }

    /// It is done.
    pub fn done(&mut self, step: usize) -> Result<()> {
        self.append(Record::Done { step })
    }

    /// Steps from this one on were taken back, to be done anew.
    pub fn again(&mut self, step: usize) -> Result<()> {
        self.append(Record::Again { step })
    }

    /// From now on steps are taken back.
    pub fn undoing(&mut self) -> Result<()> {
        self.append(Record::Undoing)
    }

    /// From now on all steps hold.
    pub fn commit(&mut self) -> Result<()> {
        self.append(Record::Committed)
    }

    /// The end of the transaction, either way.
    pub fn remove(self) -> Result<()> {
        host::remove(&self.path)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a step was finished.
    pub fn is_done(&self, step: usize) -> bool {
        self.begun.iter().any(|begun| begun.step == step && begun.done)
    }

    fn append(&mut self, record: Record) -> Result<()> {
        let line = line(&record)?;
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        if written.is_err() {
            // What follows must not stand behind half a line.
            let _ = self.file.set_len(self.length);
        }
        written.with_context(|| format!("cannot write the journal `{}`", self.path.display()))?;
        self.length += line.len() as u64;
        self.note(record);
        Ok(())
    }

    fn note(&mut self, record: Record) {
        match record {
            Record::Head(_) => (),
            Record::Doing { step, undo } => self.begun.push(Begun { step, undo, done: false }),
            Record::Done { step } => {
                self.begun.iter_mut().filter(|begun| begun.step == step).for_each(|begun| begun.done = true);
            }
            Record::Again { step } => self.begun.retain(|begun| begun.step < step),
            Record::Undoing => self.direction = Direction::Back,
            Record::Committed => self.direction = Direction::Closing,
        }
    }
}

/// Folders in which a journal may lie, best first.
pub(super) fn places(layout: &Layout) -> [PathBuf; 3] {
    ["var/lib", "var", ""].map(|folder| layout.root().join(folder))
}

/// Folders in which a killed run may have left half a first record.
pub fn sweep(layout: &Layout) -> Result<()> {
    places(layout).iter().try_for_each(|folder| host::sweep(folder))
}

fn line(record: &Record) -> Result<Vec<u8>> {
    let json = serde_json::to_string(record)?;
    Ok(format!("{} {json}\n", checksum(json.as_bytes())).into_bytes())
}

fn checksum(json: &[u8]) -> String {
    packaging_archive::hex(&Sha256::digest(json)[..8])
}

/// The whole records, and their length. A last line that is cut short is not there; damage before that is `None`.
pub(super) fn parse(bytes: &[u8]) -> Option<(Vec<serde_json::Value>, u64)> {
    let (mut records, mut length) = (Vec::new(), 0);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        match record(line) {
            Some(value) => {
                records.push(value);
                length += line.len();
            }
            // Also if the end was allocated and never written.
            None if bytes[length + line.len()..].iter().all(|byte| *byte == 0) => break,
            None => return None,
        }
    }
    Some((records, length as u64))
}

fn record(line: &[u8]) -> Option<serde_json::Value> {
    let line = line.strip_suffix(b"\n")?;
    let (sum, json) = line.split_at_checked(17)?;
    if sum != format!("{} ", checksum(json)).as_bytes() {
        return None;
    }
    serde_json::from_slice(json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root, and a journal in it with records of each kind.
    fn written() -> (tempfile::TempDir, Layout, Vec<Vec<u8>>) {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path());
        let mut head = Head::new("install", "cairn", Role::All);
        head.steps = vec![Step::Reload, Step::Stop { unit: "a.service".into() }];
        let mut journal = Journal::begin(&layout, head, &BTreeSet::new()).unwrap();
        let mut states = vec![fs::read(journal.path()).unwrap()];
        let path = journal.path().to_owned();
        let mut keep = |journal: &Journal| {
            assert_eq!(fs::metadata(journal.path()).unwrap().len(), journal.length);
            states.push(fs::read(&path).unwrap());
        };
        journal.doing(0, vec![Deed::Reload]).unwrap();
        keep(&journal);
        journal.done(0).unwrap();
        keep(&journal);
        journal.doing(1, vec![Deed::Start("a.service".into())]).unwrap();
        keep(&journal);
        journal.again(1).unwrap();
        keep(&journal);
        journal.undoing().unwrap();
        keep(&journal);
        (root, layout, states)
    }

    fn state(layout: &Layout) -> Option<(Vec<Begun>, Direction, u64)> {
        let journal = Journal::find(layout).unwrap()?;
        Some((journal.begun.clone(), journal.direction, journal.length))
    }

    #[test]
    fn cut_at_any_length_it_is_what_it_was_before_the_last_record() {
        let (root, layout, states) = written();
        let path = root.path().join(NAME);
        let expected: Vec<_> = states
            .iter()
            .map(|bytes| {
                fs::write(&path, bytes).unwrap();
                state(&layout)
            })
            .collect();
        assert_eq!(
            expected[1].as_ref().unwrap().0,
            [Begun { step: 0, undo: vec![Deed::Reload], done: false }]
        );
        assert!(expected[2].as_ref().unwrap().0[0].done);
        assert_eq!(expected[5].as_ref().map(|state| (state.0.len(), state.1)), Some((1, Direction::Back)));
        let whole = states.last().unwrap();
        for length in 0..=whole.len() {
            let last = states.iter().rposition(|state| state.len() <= length);
            for zeros in [0, 30] {
                let mut cut = whole[..length].to_vec();
                cut.resize(length + zeros, 0);
                fs::write(&path, cut).unwrap();
                let found = state(&layout);
                assert_eq!(
                    found,
                    last.and_then(|last| expected[last].clone()),
                    "{length} bytes, {zeros} zeros"
                );
                assert_eq!(path.exists(), last.is_some());
            }
        }
    }

    #[test]
    fn a_journal_goes_on_behind_a_line_that_was_cut() {
        let (root, layout, states) = written();
        let path = root.path().join(NAME);
        fs::write(&path, &states[1][..states[1].len() - 3]).unwrap();
        let mut journal = Journal::find(&layout).unwrap().unwrap();
        journal.doing(0, Vec::new()).unwrap();
        assert_eq!(state(&layout).unwrap().0, [Begun { step: 0, undo: Vec::new(), done: false }]);
    }

    #[test]
    fn damage_and_another_format_need_a_hand() {
        let (root, layout, states) = written();
        let path = root.path().join(NAME);
        let mut damaged = states[3].clone();
        damaged[30] ^= 1;
        let other = line(&Record::Head(Box::new(Head { format: 2, ..Head::new("install", "x", Role::All) })));
        for bytes in [damaged, other.unwrap()] {
            fs::write(&path, bytes).unwrap();
            let error = Journal::find(&layout).err().unwrap();
            assert_eq!(crate::exit::code_of(&error), Code::Failed, "{error:#}");
            assert!(path.exists());
        }
    }

    #[test]
    fn it_lies_where_nothing_comes_or_goes() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path());
        let begin = |going: &[&str]| {
            let going = going.iter().map(|path| root.path().join(path)).collect();
            let head = Head::new("uninstall", "cairn", Role::All);
            let journal = Journal::begin(&layout, head, &going).unwrap();
            let place = journal.path().parent().unwrap().to_owned();
            journal.remove().unwrap();
            place.strip_prefix(root.path()).unwrap().to_owned()
        };
        assert_eq!(begin(&[]), Path::new(""));
        fs::create_dir_all(root.path().join("var/lib")).unwrap();
        assert_eq!(begin(&[]), Path::new("var/lib"));
        assert_eq!(begin(&["var/lib"]), Path::new("var"));
        assert_eq!(begin(&["var/lib", "var", ""]), Path::new(""));
    }
}
