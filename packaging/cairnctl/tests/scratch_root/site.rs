//! A scratch root, what is run on it, and what is found there.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use packaging_archive::Archive;
use xtask_testbed::Listing;

use crate::support::run_file;

/// A folder with room for a root and for files beside it.
pub struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    /// A site with a root that is empty.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("root")).unwrap();
        Self { folder }
    }

    /// A site on which `install` was done.
    pub fn installed(more: &[&str]) -> Self {
        let site = Self::new();
        site.install(more).expect(0);
        site
    }

    /// A path beside the root.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The root.
    pub fn root(&self) -> PathBuf {
        self.beside("root")
    }

    /// A path below the root, written as on a host.
    pub fn at(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches('/'))
    }

    /// Makes a file beside or below the root, and the folders on the way.
    pub fn write(&self, path: &Path, mode: u32, content: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// `sh FILE.run WORDS`, beside the root, without a terminal.
    pub fn run(&self, words: &[&str]) -> Done {
        self.command(words).done()
    }

    /// The same, not yet run.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = plain("sh");
        command.arg(run_file()).args(words).current_dir(self.folder.path());
        command
    }

    /// An unattended installation below the root.
    pub fn install(&self, more: &[&str]) -> Done {
        self.install_command(more).done()
    }

    /// The same, not yet run.
    pub fn install_command(&self, more: &[&str]) -> Command {
        let mut command = self.command(&["--root"]);
        command.arg(self.root()).args(["--no-start", "--yes"]).args(more);
        command
    }

    /// An unattended removal, by the control tool where there is one, else by the packed file.
    pub fn uninstall(&self, more: &[&str]) -> Done {
        let mut command = self.command(&["uninstall", "--root"]);
        if self.tool().exists() {
            command = plain(self.tool());
            command.args(["uninstall", "--root"]);
        }
        command.arg(self.root()).arg("--yes").args(more).done()
    }

    /// `cairnctl VERB --root ROOT`.
    pub fn ctl(&self, verb: &str) -> Done {
        plain(self.tool()).arg(verb).arg("--root").arg(self.root()).done()
    }

    fn tool(&self) -> PathBuf {
        self.at("/opt/cairn/current/bin/cairnctl")
    }

    /// The folder of the installed version.
    pub fn version_folder(&self) -> PathBuf {
        self.at("/opt/cairn/versions").join(version())
    }

    /// The tree below the root, without times.
    pub fn listing(&self) -> Listing {
        Listing::of(&self.root(), &[]).unwrap()
    }

    /// The same with times and inodes: equal only if nobody wrote.
    pub fn untouched(&self) -> String {
        let mut text = self.listing().to_string();
        for (path, _) in self.listing().entries() {
            let metadata = fs::symlink_metadata(self.at(path.to_str().unwrap())).unwrap();
            let (inode, seconds, nanos) = (metadata.ino(), metadata.mtime(), metadata.mtime_nsec());
            writeln!(text, "{} {inode} {seconds}.{nanos:09}", path.display()).unwrap();
        }
        text
    }

    /// Paths below the root with their permission bits, those of symbolic links left out.
    pub fn modes(&self) -> BTreeMap<String, u32> {
        let listing = self.listing();
        listing.entries().map(|(path, entry)| (path.to_str().unwrap().to_owned(), entry.mode)).collect()
    }

    /// The files below the folder of the site that hold these bytes.
    pub fn files_with(&self, text: &str) -> Vec<PathBuf> {
        let listing = Listing::of(self.folder.path(), &[]).unwrap();
        let paths =
            listing.entries().map(|(path, _)| self.beside(path.to_str().unwrap().trim_start_matches('/')));
        paths.filter(|path| path.is_file() && contains(&fs::read(path).unwrap(), text)).collect()
    }
}

/// Whether the bytes of `text` occur.
pub fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// The version of the packed file.
pub fn version() -> String {
    Archive::open(run_file()).unwrap().manifest().version.clone()
}

/// A command that inherits nothing but where programs are, and reads nothing.
pub fn plain(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    command
}

/// Running a command to its end.
pub trait Run {
    /// What came of it.
    fn done(&mut self) -> Done;
}

impl Run for Command {
    fn done(&mut self) -> Done {
        self.output().unwrap().into()
    }
}

/// How a command ended and what it said.
#[derive(Debug)]
pub struct Done {
    /// The exit code.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Done {
    /// Itself if it ended with this code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "standard output:\n{}\nstandard error:\n{}", self.out, self.err);
        self
    }

    /// Itself if a line of either output holds these words.
    #[track_caller]
    pub fn says(self, words: &str) -> Self {
        let said = self.out.contains(words) || self.err.contains(words);
        assert!(said, "`{words}` is not said:\n{}\nstandard error:\n{}", self.out, self.err);
        self
    }
}
