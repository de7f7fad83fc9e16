//! Whose turn it is: operations on one thing come one after another, operations on different things do not wait for one
//! another. Cutting the power of a machine waits for nobody.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError, Weak};

use agent_protocol::{host, vm, volume};
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

/// A request that knows what it is about.
pub trait About {
    /// All that no other operation may work on at the same time. An image under a volume is not among them: it does not
    /// change.
    fn subjects(&self) -> BTreeSet<Subject>;
}

/// Who works on what.
#[derive(Debug, Default)]
pub struct Turns {
    taken: Mutex<HashMap<Subject, Weak<tokio::sync::Mutex<()>>>>,
}

impl Turns {
    /// Waits until nobody works on any of `subjects`. Nobody will until what is returned is dropped.
    pub async fn take(&self, subjects: BTreeSet<Subject>) -> Vec<OwnedMutexGuard<()>> {
        let mut turn = Vec::with_capacity(subjects.len());
        // Everybody takes them in the same order, so that no two wait for each other.
        for subject in subjects {
            let place = self.place(subject);
            turn.push(place.lock_owned().await);
        }
        turn
    }

    fn place(&self, subject: Subject) -> std::sync::Arc<tokio::sync::Mutex<()>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.retain(|_, place| place.strong_count() > 0);
        if let Some(place) = taken.get(&subject).and_then(Weak::upgrade) {
            return place;
        }
        let place = std::sync::Arc::default();
        taken.insert(subject, std::sync::Arc::downgrade(&place));
        place
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
    ($($request:ty: |$it:ident| $subjects:expr;)+) => {
        $(impl About for $request {
            fn subjects(&self) -> BTreeSet<Subject> {
                let $it = self;
                $subjects
            }
        })+
    };
}

about! {
    // The folder of certificates has a lock of its own.
    host::RenewRequest: |_it| BTreeSet::new();
    vm::VmRequest: |it| vm(it.vm);
    vm::StartRequest: |it| vm(it.vm);
    vm::ChangeCacheRequest: |it| vm(it.vm);
    vm::ButtonRequest: |it| vm(it.vm);
    vm::RebootRequest: |it| vm(it.vm);
    vm::InsertRequest: |it| vm(it.vm);
    vm::EjectRequest: |it| vm(it.vm);
    vm::DetachRequest: |it| vm(it.vm);
    vm::AttachRequest: |it| [Subject::Vm(it.vm), file(&it.disk.path)].into();
    vm::DefineRequest: |it| {
        it.vm.disks.iter().map(|disk| file(&disk.path)).chain([Subject::Vm(it.vm.uuid)]).collect()
    };
    volume::CreateRequest: |it| [file(&it.path)].into();
    volume::ResizeRequest: |it| [file(&it.path)].into();
    volume::PathRequest: |it| [file(&it.path)].into();
    volume::ImportRequest: |it| [file(&it.path)].into();
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Subject = Subject::Vm(Uuid::from_u128(1));
    const TWO: Subject = Subject::Vm(Uuid::from_u128(2));

    #[tokio::test]
    async fn one_thing_is_worked_on_by_one_and_two_by_two() {
        let turns = Turns::default();
        let first = turns.take([ONE].into()).await;
        let _second = turns.take([TWO].into()).await;
        let third = turns.take([ONE].into());
        tokio::pin!(third);
        assert!(futures_now(third.as_mut()).is_none());
        drop(first);
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

    #[tokio::test]
    async fn what_is_free_again_is_forgotten() {
        let turns = Turns::default();
        drop(turns.take([ONE, TWO].into()).await);
        drop(turns.take([TWO].into()).await);
        assert_eq!(turns.taken.lock().unwrap().len(), 1);
    }

    #[test]
    fn one_file_has_one_spelling() {
        assert_eq!(file("/a//b/"), file("/a/b"));
    }
}
