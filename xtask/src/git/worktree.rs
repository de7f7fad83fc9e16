//! Files: how a tree that is not committed becomes a commit of the mirror, and how a commit becomes files again.

use std::io::{Seek as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};

use super::{Mirror, git_in, output, raw_output};

/// An uncommitted tree, as a commit of the mirror.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The commit that holds the tree as it is.
    pub tree_commit: String,
    /// The commit that the tree stands on.
    pub head: String,
    /// Whether the two differ.
    pub dirty: bool,
}

impl Mirror {
    /// Takes the tree at `top` as it is, changed and new files included, ignored ones not, without touching its index.
    ///
    /// # Errors
    /// If git cannot read the tree.
    pub fn snapshot(&self, top: &Path) -> Result<Snapshot> {
        let read = |arguments: &[&str]| output(git_in(top).args(arguments));
        let index = top.join(read(&["rev-parse", "--git-path", "index"])?);
        let head = read(&["rev-parse", "--verify", "HEAD"])?;
        let own_index = tempfile::NamedTempFile::new_in(&self.folder)?.into_temp_path();
        if index.exists() {
            // With what git knows of unchanged files it need not read them all.
            copy_with_time(&index, &own_index)
                .with_context(|| format!("cannot read `{}`", index.display()))?;
        } else {
            std::fs::remove_file(&own_index)?;
        }
        // The source's own objects are no alternates: git would set the times of those that it meets again. All that
        // `HEAD` needs is in the mirror.
        let write = |arguments: &[&str]| {
            let mut command = git_in(top);
            command.args(["-c", "core.fsmonitor=false", "-c", "core.splitIndex=false"]).args(arguments);
            command.env("GIT_INDEX_FILE", &own_index);
            command.env("GIT_OBJECT_DIRECTORY", self.folder.join("objects"));
            command
        };
        // What is staged and not committed is not in the mirror. It is taken from its files, as everything is.
        let staged =
            ["diff-index", "--cached", "--name-only", "--no-renames", "--diff-filter=d", "-z", "HEAD"];
        let staged = raw_output(&mut write(&staged))?;
        for change in [&["--force-remove"][..], &["--add", "--remove"]] {
            if staged.is_empty() {
                break;
            }
            let mut list = tempfile::tempfile_in(&self.folder)?;
            list.write_all(&staged)?;
            list.rewind()?;
            let mut command = write(&["update-index"]);
            output(command.args(change).args(["-z", "--stdin"]).stdin(list))?;
        }
        output(&mut write(&["-c", "advice.addEmbeddedRepo=false", "add", "--all", "."]))?;
        let tree = output(&mut write(&["write-tree"]))?;
        let dirty = tree != read(&["rev-parse", "HEAD^{tree}"])?;
        let tree_commit = if dirty { self.commit_tree(&tree, &head)? } else { head.clone() };
        Ok(Snapshot { tree_commit, head, dirty })
    }

    /// A commit that is the same for the same tree and parent.
    fn commit_tree(&self, tree: &str, parent: &str) -> Result<String> {
        let time = format!("{} +0000", self.time(parent)?);
        let mut command = self.command();
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), "worktree").env(format!("GIT_{role}_EMAIL"), "worktree");
            command.env(format!("GIT_{role}_DATE"), &time);
        }
        let commit = output(command.args(["commit-tree", tree, "-p", parent, "-m", "worktree"]))?;
        self.git(["update-ref", "refs/cairn/worktree", &commit])?;
        Ok(commit)
    }

    /// Makes `folder` hold exactly the files of `commit`. Files that are the same keep their times, so that what was
    /// compiled from them stays good.
    ///
    /// # Errors
    /// If git cannot write there.
    pub fn check_out(&self, commit: &str, folder: &Path) -> Result<()> {
        if self.is_worktree(folder) && reset(commit, folder).is_ok() {
            return Ok(());
        }
        // It is not there yet, its mirror was removed, or a build was killed while it made it.
        if folder.exists() {
            std::fs::remove_dir_all(folder)
                .with_context(|| format!("cannot remove `{}`", folder.display()))?;
        }
        self.git(["worktree", "prune"])?;
        let path = folder.to_str().context("the cache folder's path is not UTF-8")?;
        self.git(["worktree", "add", "--quiet", "--force", "--detach", "--no-checkout", path, commit])?;
        reset(commit, folder)
    }

    /// Whether `folder` is a worktree of this mirror. Asked without git, which would search for a repository above it.
    fn is_worktree(&self, folder: &Path) -> bool {
        let link = std::fs::read_to_string(folder.join(".git")).unwrap_or_default();
        let link = link.strip_prefix("gitdir: ").map(|path| Path::new(path.trim_end()));
        link.is_some_and(|path| path.starts_with(&self.folder) && path.join("HEAD").exists())
    }
}

/// Makes a worktree hold exactly the files of `commit`.
fn reset(commit: &str, folder: &Path) -> Result<()> {
    let git = |arguments: &[&str]| output(git_in(folder).args(["-c", "core.autocrlf=false"]).args(arguments));
    git(&["reset", "--quiet", "--hard", commit])?;
    git(&["clean", "--quiet", "-d", "--force", "--force", "-x"])?;
    Ok(())
}

/// Copies an index. Git tells by its time which files may have changed in the moment after it was written.
fn copy_with_time(from: &Path, to: &Path) -> std::io::Result<()> {
    let modified = std::fs::metadata(from)?.modified()?;
    std::fs::copy(from, to)?;
    std::fs::File::options().write(true).open(to)?.set_modified(modified)
}
