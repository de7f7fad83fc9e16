//! The testbed as a whole: made ready once, then found by every test through one environment variable.

use crate::linux::{self, LinuxGuest};
use crate::recipe::{BUSYBOX, Recipe, Release};
use crate::root::Root;
use crate::{aptconf, clones, needs, recipe};
use anyhow::{Context, Result, bail};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

/// The environment variable that tells tests the cache folder of the prepared testbed.
pub const ENV_CACHE: &str = "CAIRN_TESTBED";

/// The environment variable that tells which root with libvirt tests run in: none or empty for that of Debian 12,
/// or [`LATER_VIRT`].
pub const ENV_VIRT: &str = "CAIRN_TESTBED_VIRT";

/// The root with Debian 13's libvirt and QEMU, as the value of [`ENV_VIRT`].
pub const LATER_VIRT: &str = "debian-13";

/// Cached roots in a folder that tests clone.
#[derive(Debug)]
pub struct Testbed {
    /// `CACHE/testbed`: a folder per root, named by its key, and `clones`.
    dir: PathBuf,
    host: Root,
}

/// Makes the testbed in `cache` ready: this machine gets the few packages that make a root, and the root `host` is
/// built unless it is there. `say` gets a line for each thing that takes long or changes this machine.
///
/// Fails without the superuser, with the command to run. Two runs at a time wait for each other. A run that is
/// interrupted leaves nothing that a later one takes as good.
pub fn prepare(cache: &Path, say: &dyn Fn(&str)) -> Result<Testbed> {
    needs::ensure(say)?;
    let dir = cache.join("testbed");
    fs::create_dir_all(&dir).with_context(|| format!("cannot create `{}`", dir.display()))?;
    let dir = absolute(&dir)?;
    let host = cached_or_built(&dir, Recipe::Host, say)?;
    let testbed = Testbed { dir, host };
    testbed.sweep()?;
    Ok(testbed)
}

impl Testbed {
    /// The testbed that [`prepare`] made ready in the folder named by `CAIRN_TESTBED`.
    pub fn from_env() -> Result<Self> {
        let Some(cache) = std::env::var_os(ENV_CACHE) else {
            bail!(
                "`{ENV_CACHE}` does not name the cache folder of a testbed; run `cargo xtask test`, which prepares \
                 one, or set it to the folder of an earlier run"
            );
        };
        Self::open(Path::new(&cache))
    }

    fn open(cache: &Path) -> Result<Self> {
        let remedy = "run `cargo xtask test`, which prepares it";
        let dir = cache.join("testbed");
        let dir = absolute(&dir).with_context(|| format!("no testbed in `{}`; {remedy}", cache.display()))?;
        let host = Root::cached(&dir, Recipe::Host).with_context(|| {
            format!("the testbed in `{}` has no root `{}`; {remedy}", cache.display(), Recipe::Host.key())
        })?;
        Ok(Self { dir, host })
    }

    /// A bare Debian host, as an operator without a network has it: systemd and dbus, no QEMU, libvirt, curl or
    /// python.
    pub fn host(&self) -> &Root {
        &self.host
    }

    /// A host with QEMU, libvirt, curl and openssl. It is built when it is first asked for, which takes about a minute
    /// and needs this machine's network; `say` gets a line then. Where [`ENV_VIRT`] is [`LATER_VIRT`], it is [`later_virt`](Self::later_virt).
    pub fn virt(&self, say: &dyn Fn(&str)) -> Result<Root> {
        match std::env::var_os(ENV_VIRT) {
            None => cached_or_built(&self.dir, Recipe::Virt, say),
            Some(word) if word.is_empty() => cached_or_built(&self.dir, Recipe::Virt, say),
            Some(word) if word == LATER_VIRT => self.later_virt(say),
            Some(word) => {
                bail!(
                    "`{ENV_VIRT}` is `{}`, which names no root; set it to `{LATER_VIRT}` or unset it",
                    word.display()
                )
            }
        }
    }

    /// The same of Debian 13, with libvirt 11.3 and QEMU 10.0. It is built when it is first asked for, which takes about a
    /// minute and needs this machine's network; `say` gets a line then.
    pub fn later_virt(&self, say: &dyn Fn(&str)) -> Result<Root> {
        cached_or_built(&self.dir, Recipe::LaterVirt, say)
    }

    /// A host with Chromium and chromedriver. It is built when it is first asked for, which takes about a minute and needs
    /// this machine's network; `say` gets a line then.
    pub fn browser(&self, say: &dyn Fn(&str)) -> Result<Root> {
        cached_or_built(&self.dir, Recipe::Browser, say)
    }

    /// A host with a kernel of its own, for [`Vm`](crate::Vm). It is built when it is first asked for, which takes about a minute
    /// and needs this machine's network; `say` gets a line then.
    pub fn kernel(&self, say: &dyn Fn(&str)) -> Result<Root> {
        cached_or_built(&self.dir, Recipe::Kernel, say)
    }

    /// A Debian of this release that has little more than its C library, to run programs in. It is built when it is first asked
    /// for, which takes about a minute and needs this machine's network; `say` gets a line then.
    pub fn debian(&self, release: Release, say: &dyn Fn(&str)) -> Result<Root> {
        cached_or_built(&self.dir, Recipe::Debian(release), say)
    }

    /// A small Linux guest. It is built when it is first asked for, which takes about half a minute and needs
    /// this machine's network; `say` gets a line then.
    pub fn linux_guest(&self, say: &dyn Fn(&str)) -> Result<LinuxGuest> {
        let (key, price) = (linux::key(), linux::PRICE);
        built_once(&self.dir, &key, price, say, &|work| linux::build(&self.host, work)).map(LinuxGuest::at)
    }

    /// A static busybox, as a file of this machine. In every root it is /usr/lib/testbed/busybox.
    pub fn busybox(&self) -> PathBuf {
        self.dir.join(Recipe::Host.key()).join("root").join(BUSYBOX)
    }

    /// Removes what tests that were killed have left. Each new clone does so too.
    pub fn sweep(&self) -> Result<()> {
        clones::sweep(&self.host.clones()).map(drop)
    }
}

fn cached_or_built(dir: &Path, recipe: Recipe, say: &dyn Fn(&str)) -> Result<Root> {
    if let Some(root) = Root::cached(dir, recipe) {
        return Ok(root);
    }
    built_once(dir, &recipe.key(), recipe.price(), say, &|work| Root::build(dir, recipe, work))?;
    Root::cached(dir, recipe).with_context(|| format!("`{}` is not where it was put", recipe.key()))
}

/// The folder `key` in the testbed, which `build` makes in a folder of another name, unless it is there.
fn built_once(
    dir: &Path,
    key: &str,
    price: &str,
    say: &dyn Fn(&str),
    build: &dyn Fn(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let place = dir.join(key);
    if place.is_dir() {
        return Ok(place);
    }
    let _turn = turn(dir, say)?;
    // The one we waited for may have built it.
    if place.is_dir() {
        return Ok(place);
    }
    if aptconf::sources(recipe::SUITE).is_err() {
        say("bringing apt's lists up to date");
        needs::update()?;
    }
    drop(clones::sweep(&dir.join("clones"))?);
    let work = dir.join("building");
    // Whoever built here was interrupted: the lock is ours.
    match fs::remove_dir_all(&work) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        done => done.with_context(|| format!("cannot remove `{}`", work.display()))?,
    }
    fs::create_dir(&work).with_context(|| format!("cannot create `{}`", work.display()))?;
    say(&format!("building `{key}`, from Debian packages: {price}"));
    build(&work).with_context(|| format!("cannot build `{key}`"))?;
    // All of it is on the disk before its name says that it is good.
    File::open(&work)
        .and_then(|folder| Ok(rustix::fs::syncfs(&folder)?))
        .with_context(|| format!("cannot write `{}` to disk", work.display()))?;
    fs::rename(&work, &place).with_context(|| format!("cannot rename `{}`", work.display()))?;
    Ok(place)
}

/// Waits for our turn to build in `dir`, which lasts until the file is dropped.
fn turn(dir: &Path, say: &dyn Fn(&str)) -> Result<File> {
    let path = dir.join("lock");
    let what = || format!("cannot lock `{}`", path.display());
    let file = File::options().create(true).truncate(false).write(true).open(&path).with_context(what)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            say(&format!("waiting for another run that builds a root in `{}`", dir.display()));
            file.lock().with_context(what)?;
        }
        Err(TryLockError::Error(error)) => return Err(error).with_context(what),
    }
    Ok(file)
}

fn absolute(path: &Path) -> Result<PathBuf> {
    path.canonicalize().with_context(|| format!("cannot find `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn an_absent_testbed_is_an_error_with_its_remedy() {
        let dir = tempfile::tempdir().expect("folder");
        let error = format!("{:#}", Testbed::open(dir.path()).expect_err("no testbed"));
        assert!(error.contains("run `cargo xtask test`"), "{error}");
        fs::create_dir(dir.path().join("testbed")).expect("folder");
        // A build that was interrupted is not a root.
        fs::create_dir_all(dir.path().join("testbed/building/root")).expect("folder");
        let error = format!("{:#}", Testbed::open(dir.path()).expect_err("no root"));
        assert!(error.contains(&Recipe::Host.key()) && error.contains("run `cargo xtask test`"), "{error}");
    }

    #[test]
    fn a_second_builder_says_that_it_waits() {
        let dir = tempfile::tempdir().expect("folder");
        let said = RefCell::new(Vec::new());
        let first = turn(dir.path(), &|line| said.borrow_mut().push(line.to_owned())).expect("turn");
        std::thread::scope(|scope| {
            let (sender, receiver) = std::sync::mpsc::channel();
            let path = dir.path();
            scope.spawn(move || turn(path, &|line| sender.send(line.to_owned()).expect("send")).map(drop));
            assert!(receiver.recv().expect("a line").starts_with("waiting for another run"));
            drop(first);
        });
        assert!(said.borrow().is_empty());
    }
}
