//! Whose turn it is: operations on one thing come one after another, operations on different things do not wait for one
//! another. One that overtakes ([`Turn::Overtakes`]) waits for nobody as long as it can be done.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use agent_protocol::call::{
    Call, HostRenew, ImageImport, VmAttachDisk, VmChangeCache, VmDefine, VmDestroy, VmDetachDisk,
    VmEjectMedia, VmInsertMedia, VmReboot, VmReset, VmResume, VmShutdown, VmStart, VmSuspend, VmUndefine,
    VolumeCreate, VolumeDelete, VolumeResize,
};
use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

/// Something that one operation at a time works on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A virtual machine.
    Vm(Uuid),
    /// The file of a volume.
    File(PathBuf),
}

/// Whether an operation waits for those that came before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Until nobody else works on what it is about.
    Waits,
    /// It is tried at once, whoever is at work: whoever cuts the power does not wait for the one who waits for the guest. What
    /// is refused as things stand may be refused because the other one is not done, and what that brings about would stay.
    /// Then it waits for its turn, and is tried once more.
    Overtakes,
}

/// A call that changes something, and knows what it is about.
pub trait About: Call {
    /// Whether it waits.
    const TURN: Turn;

    /// All that no other operation may work on at the same time. An image under a volume is not among them: it does not
    /// change.
    fn subjects(request: &Self::Request) -> BTreeSet<Subject>;
}

/// Who works on what.
#[derive(Debug, Default)]
pub struct Turns {
    taken: Mutex<HashMap<Subject, Weak<tokio::sync::Mutex<()>>>>,
}

/// The interest of one operation in its subjects, from when it came in until this is dropped.
#[derive(Debug)]
pub struct Interest {
    /// Everybody takes them in the same order, so that no two wait for each other.
    places: Vec<Arc<tokio::sync::Mutex<()>>>,
    is_shared: bool,
}

impl Turns {
    /// Notes that somebody will work on `subjects`.
    pub fn note(&self, subjects: BTreeSet<Subject>) -> Interest {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.retain(|_, place| place.strong_count() > 0);
        let mut is_shared = false;
        let mut place = |subject| match taken.get(&subject).and_then(Weak::upgrade) {
            Some(place) => {
                is_shared = true;
                place
            }
            None => {
                let place = Arc::default();
                taken.insert(subject, Arc::downgrade(&place));
                place
            }
        };
        let places = subjects.into_iter().map(&mut place).collect();
        Interest { places, is_shared }
    }
}

impl Interest {
    /// True if somebody was at work on one of the subjects, or waited to be, when this one came.
    pub const fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Waits until nobody works on any of the subjects. Nobody will until what is returned is dropped.
    pub async fn turn(&self) -> Vec<OwnedMutexGuard<()>> {
        let mut turn = Vec::with_capacity(self.places.len());
        for place in &self.places {
            turn.push(place.clone().lock_owned().await);
        }
        turn
    }
}

fn vm(uuid: Uuid) -> BTreeSet<Subject> {
    BTreeSet::from([Subject::Vm(uuid)])
}

/// One file has one spelling, whatever slashes are in its path.
fn file(path: &str) -> Subject {
    Subject::File(PathBuf::from(path).components().collect())
}

macro_rules! about {
    ($($call:ty: $turn:ident, |$it:ident| $subjects:expr;)+) => {
        $(impl About for $call {
            const TURN: Turn = Turn::$turn;

            fn subjects($it: &Self::Request) -> BTreeSet<Subject> {
                $subjects
            }
        })+
    };
}

about! {
    // The folder of certificates has a lock of its own.
    HostRenew: Waits, |_it| BTreeSet::new();
    VmDefine: Waits, |it| {
        it.vm.disks.iter().map(|disk| file(&disk.path)).chain([Subject::Vm(it.vm.uuid)]).collect()
    };
    VmStart: Waits, |it| vm(it.vm);
    VmShutdown: Waits, |it| vm(it.vm);
    VmDestroy: Overtakes, |it| vm(it.vm);
    VmReboot: Waits, |it| vm(it.vm);
    VmReset: Waits, |it| vm(it.vm);
    VmSuspend: Waits, |it| vm(it.vm);
    VmResume: Waits, |it| vm(it.vm);
    VmChangeCache: Waits, |it| vm(it.vm);
    VmUndefine: Waits, |it| vm(it.vm);
    VmAttachDisk: Waits, |it| [Subject::Vm(it.vm), file(&it.disk.path)].into();
    VmDetachDisk: Waits, |it| vm(it.vm);
    VmInsertMedia: Waits, |it| vm(it.vm);
    VmEjectMedia: Waits, |it| vm(it.vm);
    VolumeCreate: Waits, |it| [file(&it.path)].into();
    VolumeResize: Waits, |it| [file(&it.path)].into();
    VolumeDelete: Waits, |it| [file(&it.path)].into();
    ImageImport: Waits, |it| [file(&it.path)].into();
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Subject = Subject::Vm(Uuid::from_u128(1));
    const TWO: Subject = Subject::Vm(Uuid::from_u128(2));

    fn note(turns: &Turns, subject: Subject) -> Interest {
        turns.note([subject].into())
    }

    #[tokio::test]
    async fn one_thing_is_worked_on_by_one_and_two_by_two() {
        let turns = Turns::default();
        let (first, second, third) = (note(&turns, ONE), note(&turns, TWO), note(&turns, ONE));
        assert_eq!([&first, &second, &third].map(Interest::is_shared), [false, false, true]);
        let turn = first.turn().await;
        let _second = second.turn().await;
        let third = third.turn();
        tokio::pin!(third);
        assert!(futures_now(third.as_mut()).is_none());
        drop(turn);
        assert!(futures_now(third).is_some());
    }

    /// What a future gives without waiting.
    fn futures_now<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match future.poll(&mut context) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn what_is_free_again_is_forgotten() {
        let turns = Turns::default();
        drop(turns.note([ONE, TWO].into()));
        assert!(!note(&turns, TWO).is_shared());
        assert_eq!(turns.taken.lock().unwrap().len(), 1);
    }

    #[test]
    fn one_file_has_one_spelling() {
        assert_eq!(file("/a//b/"), file("/a/b"));
    }
}
