//! Finding out what O_DIRECT is worth under a disk: at its own file and at every image under it.
//!
//! A file system whose server is away keeps everyone waiting who touches it. So the looking is done by a thread that
//! nobody waits for longer than its patience, and on each mount by one at a time: who comes to a mount where another one
//! has been for as long gives up at once. What writing showed is kept for each mount, until it is mounted anew.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::evidence::{By, Evidence, Tried};
use super::left::{Note, Notes};
use super::{Access, Layer};
use super::{own, trial};
use crate::chain;
use crate::error::Error;
use crate::mounts::{Mount, Mounts};
use crate::spec::Format;
use crate::survey::Survey;
use crate::survey::measure::measure;

/// A path with more links in it is a loop, as in the kernel (path_resolution(7)).
const LINKS: usize = 40;

/// Looks, and remembers.
#[derive(Debug, Clone)]
pub(crate) struct Prober {
    patience: Duration,
    notes: Notes,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Where somebody is at the moment, and since when.
    busy: HashMap<PathBuf, Instant>,
    /// What writing showed, by all that the kernel tells of the mount.
    known: HashMap<String, Evidence>,
    /// Folders in which nothing of ours lies.
    cleared: HashSet<PathBuf>,
}

impl Prober {
    /// One that knows nothing yet. `patience` is how long all of a chain has to answer. What one before it left, by these
    /// notes, it removes meanwhile.
    pub(crate) fn new(patience: Duration, notes: Notes) -> Self {
        let prober = Self { patience, notes, shared: Arc::default() };
        for (note, folder) in prober.notes.left() {
            let mut pass = Pass { prober: prober.clone(), since: Instant::now(), at: None };
            // A thread of its own for each: one file system that hangs keeps nobody else.
            let sweep = move || pass.sweep(note, &folder);
            if let Err(error) = std::thread::Builder::new().name("cache-sweep".to_owned()).spawn(sweep) {
                tracing::warn!("what was left of a probe stays until somebody looks there: {error}");
            }
        }
        prober
    }

    /// What O_DIRECT is worth for a file with this in it, and for every image under it; the file comes first. A file that is
    /// not there yet is judged by its folder; an image under it that is missing is left to libvirt.
    ///
    /// # Errors
    /// [`Error::NoVolume`] if there is no such folder, [`Error::NoSpace`], or what else keeps it from being known.
    pub(crate) async fn chain(
        &self,
        file: &Path,
        format: Format,
        access: Access,
    ) -> Result<Vec<Layer>, Error> {
        let owned = file.to_owned();
        self.bounded(file, move |pass| pass.chain(&owned, format, access)).await
    }

    /// Measures a folder that is there.
    ///
    /// # Errors
    /// As [`Self::chain`].
    pub(crate) async fn survey(&self, folder: &Path) -> Result<Survey, Error> {
        let owned = folder.to_owned();
        self.bounded(folder, move |pass| pass.survey(&owned)).await
    }

    /// Does it in a thread that ends whenever it likes.
    async fn bounded<T: Send + 'static>(
        &self,
        file: &Path,
        work: impl FnOnce(&mut Pass) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let mut pass = Pass { prober: self.clone(), since: Instant::now(), at: None };
        let (tell, told) = tokio::sync::oneshot::channel();
        // None of the runtime's own threads: it would wait for them when it ends.
        let started = std::thread::Builder::new().name("cache-probe".to_owned()).spawn(move || {
            // Nobody may be listening any more.
            let _ = tell.send(work(&mut pass));
        });
        started.map_err(|error| unanswered(file, &error))?;
        match tokio::time::timeout(self.patience, told).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => Err(unanswered(file, &io::Error::other("the thread that looked ended early"))),
            Err(_) => Err(silent(file, self.patience)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One thread that looks. It is on one mount at a time, and nobody else is there meanwhile.
struct Pass {
    prober: Prober,
    since: Instant,
    at: Option<PathBuf>,
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Pass {
    fn leave(&mut self) {
        if let Some(at) = self.at.take() {
            self.prober.state().busy.remove(&at);
            self.prober.shared.freed.notify_all();
        }
    }

    /// Goes where `mount` is, once nobody else is there.
    fn enter(&mut self, mount: &Path) -> io::Result<()> {
        if self.at.as_deref() == Some(mount) {
            return Ok(());
        }
        self.leave();
        let prober = self.prober.clone();
        let mut state = prober.state();
        while let Some(since) = state.busy.get(mount) {
            let patience = prober.patience;
            let left =
                patience.saturating_sub(since.elapsed()).min(patience.saturating_sub(self.since.elapsed()));
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let waited = prober.shared.freed.wait_timeout(state, left);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        state.busy.insert(mount.to_owned(), Instant::now());
        self.at = Some(mount.to_owned());
        Ok(())
    }

    /// Removes what lies in a folder that was noted. It stays noted where that cannot be seen.
    fn sweep(&mut self, note: Note, folder: &Path) {
        let at = folder.join("left");
        let place = Mounts::now().and_then(|mounts| Place::find(self, &mounts, &at));
        match place {
            Ok(place) => own::clear(&place.folder),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!("cannot see what a probe left in `{}`: {error}", folder.display());
                note.keep();
            }
        }
    }

    fn chain(&mut self, file: &Path, format: Format, access: Access) -> Result<Vec<Layer>, Error> {
        let mounts = Mounts::now().map_err(|error| unanswered(file, &error))?;
        self.prober.state().known.retain(|told, _| mounts.has(told));
        let mut layers = vec![self.layer(&mounts, file, access)?];
        let (mut top, mut format) = (file.to_owned(), format);
        // The header is read while we are where the file is.
        while format == Format::Qcow2 && layers.len() <= chain::DEPTH {
            let under = chain::backing(&top).map_err(|error| unanswered(&top, &error))?;
            let Some(under) = under else { break };
            match self.layer(&mounts, &under.path, Access::Read) {
                Ok(layer) => layers.push(layer),
                Err(Error::NoVolume { .. }) => break,
                Err(error) => return Err(error),
            }
            (top, format) = (under.path, under.format);
        }
        Ok(layers)
    }

    fn survey(&mut self, folder: &Path) -> Result<Survey, Error> {
        let mounts = Mounts::now().map_err(|error| unanswered(folder, &error))?;
        self.prober.state().known.retain(|told, _| mounts.has(told));
        // What is asked for is told of a file that there may be in it.
        let layer = self.layer(&mounts, &folder.join("disk"), Access::Write)?;
        let real = layer.folder.clone();
        // Each time: this writes files with names wherever it is.
        own::clear(&real);
        let layer = Layer { path: folder.to_owned(), ..layer };
        let survey =
            measure(&real, layer, &self.prober.notes).map_err(|errno| unanswered(folder, &errno.into()))?;
        Ok(Survey { path: folder.to_owned(), ..survey })
    }

    fn layer(&mut self, mounts: &Mounts, path: &Path, access: Access) -> Result<Layer, Error> {
        let patience = self.prober.patience;
        let told = |error: io::Error| match error.kind() {
            io::ErrorKind::TimedOut => silent(path, patience),
            _ => unanswered(path, &error),
        };
        let place = Place::find(self, mounts, path);
        let Place { real, folder, there, mount } = place.map_err(told)?;
        let known = match (access, there) {
            (Access::Write, _) => self.written(&folder, &real, there, &mount),
            (Access::Read, true) => trial::by_reading(&real, &mount),
            (Access::Read, false) => Err(Errno::NOENT),
        };
        let evidence = known.map_err(|errno| unanswered(path, &errno.into()))?;
        match evidence.answer() {
            Some(answer) => Ok(Layer { path: path.to_owned(), folder, evidence, answer }),
            None => Err(unanswered(path, &full_or_odd(&evidence))),
        }
    }

    /// What writing shows there, with what the kernel tells of the file itself.
    fn written(&mut self, folder: &Path, file: &Path, there: bool, mount: &Mount) -> Result<Evidence, Errno> {
        if there && std::fs::metadata(file).is_ok_and(|about| is_block_device(&about)) {
            return trial::by_reading(file, mount);
        }
        let fresh = self.prober.state().cleared.insert(folder.to_owned());
        if fresh {
            own::clear(folder);
        }
        let known = self.prober.state().known.get(&mount.told).cloned();
        let mut evidence = match known {
            Some(known) => known,
            None => match trial::by_writing(folder, mount, &self.prober.notes) {
                // There is no room for a file of ours. The file itself may tell.
                Err(errno) if trial::is_full(errno) && there => trial::by_reading(file, mount)?,
                written => written?,
            },
        };
        if evidence.answer().is_none() && there {
            evidence = trial::by_reading(file, mount)?;
        }
        if evidence.by == By::Writing && evidence.answer().is_some() {
            self.prober.state().known.insert(mount.told.clone(), evidence.clone());
        }
        // One file can be unlike its neighbours: encrypted, compressed, journalled.
        if there && let Some(told) = trial::told_of(file) {
            evidence.statx = Some(told);
        }
        Ok(evidence)
    }
}

fn is_block_device(about: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    about.file_type().is_block_device()
}

/// Where a path leads.
struct Place {
    /// The file without links, whether it is there or not.
    real: PathBuf,
    folder: PathBuf,
    there: bool,
    mount: Mount,
}

impl Place {
    /// Follows links one name at a time, so that a mount is not touched before it is entered.
    fn find(pass: &mut Pass, mounts: &Mounts, path: &Path) -> io::Result<Self> {
        let mut left: Vec<PathBuf> = names(path);
        let (mut real, mut links, mut there) = (PathBuf::from("/"), 0, true);
        while let Some(name) = left.pop() {
            if name == Path::new("..") {
                real.pop();
                continue;
            }
            let next = real.join(&name);
            pass.enter(&mount_of(mounts, &next).point)?;
            match trial::link(&next) {
                Ok(None) => real = next,
                Ok(Some(target)) => {
                    links += 1;
                    if links > LINKS {
                        return Err(Errno::LOOP.into());
                    }
                    if target.is_absolute() {
                        real = PathBuf::from("/");
                    }
                    left.extend(names(&target));
                }
                // The file itself may be missing, a folder above it may not.
                Err(error) if error.kind() == io::ErrorKind::NotFound && left.is_empty() => {
                    real = next;
                    there = false;
                }
                Err(error) => return Err(error),
            }
        }
        let folder = real.parent().unwrap_or(&real).to_owned();
        let mount = mount_of(mounts, if there { &real } else { &folder });
        pass.enter(&mount.point)?;
        Ok(Self { real, folder, there, mount })
    }
}

/// The names that a path is made of, the last one first.
fn names(path: &Path) -> Vec<PathBuf> {
    let names = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(PathBuf::from(name)),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    names.rev().collect()
}

fn mount_of(mounts: &Mounts, path: &Path) -> Mount {
    mounts.of(path).unwrap_or_else(|| Mount {
        point: "/".into(),
        file_system: "unknown".to_owned(),
        device: "0:0".to_owned(),
        told: String::new(),
    })
}

fn asking(file: &Path) -> String {
    format!("find out whether the file system of `{}` takes O_DIRECT", file.display())
}

fn silent(file: &Path, patience: Duration) -> Error {
    Error::Failed {
        what: asking(file),
        cause: format!("no answer within {} seconds", patience.as_secs()),
        remedy: "check the file system; one from the network may have lost its server".to_owned(),
    }
}

fn unanswered(file: &Path, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::NoVolume { path: file.to_owned() },
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::NoSpace { path: file.to_owned(), cause: error.to_string() }
        }
        _ => Error::Failed {
            what: asking(file),
            cause: error.to_string(),
            remedy: "look at its folder and the permissions there, or ask for `writeback`, which need not be known"
                .to_owned(),
        },
    }
}

/// Why evidence says nothing.
fn full_or_odd(evidence: &Evidence) -> io::Error {
    for tried in [evidence.open, evidence.page, evidence.sector] {
        if let Tried::Failed(errno) = tried {
            return errno.into();
        }
    }
    io::Error::other(format!("{} says nothing: {evidence}", evidence.file_system))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::evidence::Answer;
    use crate::error::Kind;

    fn prober() -> Prober {
        Prober::new(Duration::from_secs(60), Notes::new(None))
    }

    fn pass(prober: &Prober) -> Pass {
        Pass { prober: prober.clone(), since: Instant::now(), at: None }
    }

    fn one(prober: &Prober, file: &Path, access: Access) -> Result<Layer, Error> {
        pass(prober).chain(file, Format::Raw, access).map(|mut layers| layers.remove(0))
    }

    #[test]
    fn a_link_is_judged_by_where_it_leads() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (link, file) = (here.path().join("a"), there.path().join("b"));
        std::os::unix::fs::symlink(&file, &link).unwrap();
        std::fs::write(&file, "").unwrap();
        let layer = one(&prober(), &link, Access::Write).unwrap();
        assert_eq!((layer.path, layer.folder), (link.clone(), there.path().canonicalize().unwrap()));
        std::os::unix::fs::symlink("loop", here.path().join("loop")).unwrap();
        let error = one(&prober(), &here.path().join("loop"), Access::Read).unwrap_err();
        assert!(error.to_string().contains("symbolic link"), "{error}");
    }

    #[test]
    fn what_keeps_it_from_looking_is_told_and_nothing_guessed() {
        let prober = self::prober();
        let error = one(&prober, Path::new("/missing/folder/a.raw"), Access::Write).unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound, "{error}");
        let folder = tempfile::tempdir().unwrap();
        let (file, below) = (folder.path().join("file"), folder.path().join("file/a.raw"));
        std::fs::write(&file, "").unwrap();
        let error = one(&prober, &below, Access::Write).unwrap_err();
        assert_eq!(error.kind(), Kind::Failed, "{error}");
        let asked =
            format!("cannot find out whether the file system of `{}` takes O_DIRECT: ", below.display());
        assert!(error.to_string().starts_with(&asked), "{error}");
        let error = one(&prober, &folder.path().join("none"), Access::Read).unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound, "what is only read has to be there: {error}");
    }

    #[test]
    fn what_writing_showed_is_kept_until_the_mount_is_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let (prober, file) = (self::prober(), folder.path().join("a.raw"));
        let first = one(&prober, &file, Access::Write).unwrap();
        let told = prober.state().known.keys().next().unwrap().clone();
        let other = Evidence { open: Tried::Failed(Errno::INVAL), ..first.evidence.clone() };
        prober.state().known.insert(told.clone(), other);
        let kept = one(&prober, &file, Access::Write).unwrap();
        assert_eq!(kept.answer, Answer::Refused(Errno::INVAL), "it was looked at again");
        // Another number, other options: another mount.
        let kept = prober.state().known.remove(&told).unwrap();
        prober.state().known.insert(format!("1{told}"), kept);
        assert_eq!(one(&prober, &file, Access::Write).unwrap(), first);
        assert_eq!(prober.state().known.keys().collect::<Vec<_>>(), [&told]);
    }

    #[test]
    fn one_at_a_time_is_on_a_mount_and_who_hangs_there_hangs_alone() {
        let patience = Duration::from_millis(200);
        let prober = Prober::new(patience, Notes::new(None));
        let (mut hung, mount) = (pass(&prober), Path::new("/srv/away"));
        hung.enter(mount).unwrap();
        let mut late = pass(&prober);
        assert_eq!(late.enter(mount).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(hung.prober.state().busy[mount].elapsed() >= patience);
        // Elsewhere nobody waits.
        let mut later = pass(&prober);
        assert_eq!(later.enter(mount).unwrap_err().kind(), io::ErrorKind::TimedOut);
        later.enter(Path::new("/srv/here")).unwrap();
        later.enter(Path::new("/srv/there")).unwrap();
        assert_eq!(prober.state().busy.len(), 2);
        drop(hung);
        later.enter(mount).unwrap();
        drop(later);
        assert!(prober.state().busy.is_empty());
    }

    #[tokio::test]
    async fn nobody_waits_longer_than_patience() {
        let prober = Prober::new(Duration::from_millis(50), Notes::new(None));
        let (end, ends) = std::sync::mpsc::channel::<()>();
        let (begin, begins) = std::sync::mpsc::channel();
        let file = Path::new("/srv/away/a.raw");
        let hangs = prober.bounded(file, move |pass| {
            pass.enter(Path::new("/srv/away")).unwrap();
            begin.send(()).unwrap();
            let _ = ends.recv();
            Ok(())
        });
        let error = hangs.await.unwrap_err().to_string();
        assert!(error.contains("`/srv/away/a.raw`") && error.contains("no answer within"), "{error}");
        begins.recv().unwrap();
        assert_eq!(prober.state().busy.len(), 1, "the thread is still there");
        drop(end);
    }
}
