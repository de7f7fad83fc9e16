//! Git, through its own program. A source repository is only read: everything that is written goes to a bare mirror of it
//! in the cache folder, the objects of an uncommitted tree included.

mod worktree;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::failure::Failure;

/// Variables with which git tells its hooks and aliases where they are.
const OF_ANOTHER_REPOSITORY: &[&str] = &[
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// A bare mirror in the cache folder.
#[derive(Clone, Debug)]
pub struct Mirror {
    folder: PathBuf,
}

/// A file of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Path from the tree's root.
    pub path: String,
    /// Whether it may be executed.
    pub executable: bool,
}

impl Mirror {
    /// A mirror in `folder`, made if it is not there, and brought up to date with `source`, a path or URL.
    ///
    /// # Errors
    /// If git cannot read the source.
    pub fn update(folder: &Path, source: &str) -> Result<Self> {
        let mirror = Self { folder: folder.to_owned() };
        if !folder.join("HEAD").exists() {
            let made = mirror.init();
            made.with_context(|| format!("cannot create `{}`", folder.display()))?;
        }
        mirror.remove_locks()?;
        // HEAD stands apart from the branches: a checkout may be detached, and its commit on no branch.
        let refs = ["heads", "tags", "remotes"].map(|kind| format!("+refs/{kind}/*:refs/{kind}/*"));
        let mut command = mirror.fetch();
        command.args(["--force", "--prune", "--", source]).args(refs).arg("+HEAD:refs/cairn/HEAD");
        output(&mut command).map_err(|error| {
            Failure::usage(format!(
                "cannot read the repository `{source}`: {error:#}; is it a git repository with a commit?"
            ))
        })?;
        Ok(mirror)
    }

    /// Makes the mirror beside its place first, so that one that is half made is never taken for whole.
    fn init(&self) -> Result<()> {
        let new = Self { folder: self.folder.with_extension("new") };
        for folder in [&self.folder, &new.folder] {
            if folder.exists() {
                std::fs::remove_dir_all(folder)?;
            }
        }
        std::fs::create_dir_all(&new.folder)?;
        new.git(["init", "--quiet", "--bare", "."])?;
        Ok(std::fs::rename(&new.folder, &self.folder)?)
    }

    /// The cache folder is held by one build, so a lock of git in it was left by one that was killed.
    fn remove_locks(&self) -> Result<()> {
        let mut open = vec![self.folder.clone(), self.folder.join("refs")];
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(&folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() && folder != self.folder {
                    open.push(entry.path());
                } else if entry.path().extension() == Some(OsStr::new("lock")) {
                    std::fs::remove_file(entry.path())?;
                }
            }
        }
        Ok(())
    }

    fn fetch(&self) -> Command {
        let mut command = self.command();
        command.args(["-c", "gc.auto=0", "fetch", "--quiet", "--no-tags", "--update-shallow"]);
        command.arg("--no-write-fetch-head");
        command
    }

    /// A mirror that an earlier [`Mirror::update`] made.
    pub fn existing(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Whether an [`Mirror::update`] has come to its end.
    pub fn is_whole(&self) -> bool {
        self.folder.join("HEAD").exists() && self.reference("refs/cairn/HEAD").is_some()
    }

    /// A copy with all refs in `folder`, which is not there yet, without a look at the source.
    ///
    /// # Errors
    /// If git cannot write there.
    pub fn copy_to(&self, folder: &Path) -> Result<()> {
        let mut command = self.command();
        command.args(["clone", "--quiet", "--mirror", "--"]).arg(&self.folder).arg(folder);
        output(&mut command).map(|_| ())
    }

    /// The commit that the ref with this full name points at. A name, and no expression such as `refs/tags/0.9~1`.
    pub fn reference(&self, name: &str) -> Option<String> {
        self.git(["show-ref", "--verify", "--quiet", "--", name]).ok()?;
        self.git(["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{name}^{{commit}}")]).ok()
    }

    /// The commit with these first digits, at least 7 of them.
    ///
    /// # Errors
    /// If there are several.
    pub fn commit(&self, digits: &str) -> Result<Option<String>> {
        if digits.len() < 7 || digits.len() > 40 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let found = self.git(["rev-parse", &format!("--disambiguate={digits}")])?;
        let commits: Vec<&str> = found.lines().filter(|id| self.is_commit(id)).collect();
        match commits[..] {
            [] => Ok(None),
            [commit] => Ok(Some(commit.to_owned())),
            _ => Err(Failure::usage(format!(
                "`{digits}` is the start of {} commits; write more digits",
                commits.len()
            ))),
        }
    }

    fn is_commit(&self, id: &str) -> bool {
        self.git(["cat-file", "-t", id]).is_ok_and(|kind| kind == "commit")
    }

    /// Fetches a commit that no ref of the source reaches. Fails quietly: the caller knows what to say.
    pub fn fetch_commit(&self, source: &str, commit: &str) {
        let mut command = self.fetch();
        command.arg("--upload-pack=git -c uploadpack.allowAnySHA1InWant=true upload-pack");
        command.args(["--", source]).arg(format!("+{commit}:refs/cairn/{commit}"));
        let _ = output(&mut command);
    }

    /// Short names of all tags and branches.
    pub fn names(&self) -> Vec<String> {
        let listed = self.git([
            "for-each-ref",
            "--format=%(refname)",
            "refs/tags",
            "refs/heads",
            "refs/remotes/origin",
        ]);
        let prefixes = ["refs/tags/", "refs/heads/", "refs/remotes/origin/"];
        let short =
            |name: &str| prefixes.iter().find_map(|prefix| name.strip_prefix(prefix)).map(str::to_owned);
        listed.unwrap_or_default().lines().filter_map(short).filter(|name| name != "HEAD").collect()
    }

    /// The content of a file of a commit; `None` if it has no such file.
    ///
    /// # Errors
    /// If git cannot read the commit.
    pub fn show(&self, commit: &str, path: &str) -> Result<Option<String>> {
        if self.git(["cat-file", "-e", &format!("{commit}:{path}")]).is_err() {
            return Ok(None);
        }
        self.git(["show", &format!("{commit}:{path}")]).map(Some)
    }

    /// The files of a commit below `path`, `.` for all.
    ///
    /// # Errors
    /// If there is none, or one of them is a symbolic link or a submodule.
    pub fn files(&self, commit: &str, path: &str) -> Result<Vec<Blob>> {
        let listed = self.git(["ls-tree", "-r", "-z", "--full-tree", commit, "--", path])?;
        let mut files = Vec::new();
        for line in listed.split('\0').filter(|line| !line.is_empty()) {
            let (meta, path) = line.split_once('\t').context("git ls-tree answered something unexpected")?;
            match &meta[..6] {
                "100644" | "100755" => {
                    files.push(Blob { path: path.to_owned(), executable: &meta[..6] == "100755" });
                }
                "120000" => bail!(Failure::usage(format!(
                    "`{path}` is a symbolic link; pack what it points to instead"
                ))),
                _ => {
                    bail!(Failure::usage(format!("`{path}` is a submodule; make it a component of its own")))
                }
            }
        }
        Ok(files)
    }

    /// Seconds since 1970 when the commit was made.
    ///
    /// # Errors
    /// If git cannot read the commit.
    pub fn time(&self, commit: &str) -> Result<u64> {
        Ok(self.git(["show", "--no-patch", "--format=%ct", commit])?.parse()?)
    }

    fn command(&self) -> Command {
        let mut command = git();
        command.arg("--git-dir").arg(&self.folder).current_dir(&self.folder);
        command
    }

    fn git<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<String> {
        output(self.command().args(arguments))
    }
}

/// The top folder of the repository at `path`.
///
/// # Errors
/// If there is none, or `path` lies somewhere inside one: that is another repository than the one that was meant.
pub fn top_of(path: &Path) -> Result<PathBuf> {
    let no_folder = || Failure::usage(format!("there is no folder `{}`", path.display()));
    let path = path.canonicalize().map_err(|_| no_folder())?;
    let top = output(git_in(&path).args(["rev-parse", "--show-toplevel"])).map_err(|error| {
        Failure::usage(format!("`{}` is in no git repository ({error:#}); clone it", path.display()))
    })?;
    if Path::new(&top) != path {
        return Err(Failure::usage(format!(
            "`{}` is no git repository, but a folder of the one at `{top}`; clone it, or name that one",
            path.display()
        )));
    }
    Ok(path)
}

/// Whether history ends early in the repository at `top`.
pub fn is_shallow(top: &Path) -> bool {
    output(git_in(top).args(["rev-parse", "--is-shallow-repository"])).is_ok_and(|answer| answer == "true")
}

/// Git with nothing of the caller's surroundings that would point it at another repository, and without taking locks in
/// repositories that it only reads.
fn git() -> Command {
    let mut command = Command::new("git");
    for name in OF_ANOTHER_REPOSITORY {
        command.env_remove(name);
    }
    // The user's hooks are for the user's own work.
    command.args(["-c", "core.hooksPath=/dev/null"]);
    command
        .env("GIT_OPTIONAL_LOCKS", "0")
        // A commit is what its name says, also where somebody put another in its place.
        .env("GIT_NO_REPLACE_OBJECTS", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    command
}

fn git_in(folder: &Path) -> Command {
    let mut command = git();
    command.current_dir(folder);
    command
}

fn output(command: &mut Command) -> Result<String> {
    let text = String::from_utf8(raw_output(command)?).context("git answered something that is not UTF-8")?;
    Ok(text.strip_suffix('\n').map_or(text.clone(), str::to_owned))
}

fn raw_output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command
        .output()
        .map_err(|error| Failure::unsupported(format!("cannot run `git` ({error}); install it")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim().strip_prefix("fatal: ").unwrap_or(said.trim());
        bail!("git says: {said}");
    }
    Ok(output.stdout)
}
