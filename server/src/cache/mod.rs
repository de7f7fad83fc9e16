//! How QEMU is to open the file of a disk. What is asked for is settled here and nowhere else, when a task is planned that
//! makes a disk or turns a virtual machine on, and stands in its steps from then on, so that a repeat is the same order.
//! What people are told of it is said here, too.

mod advice;
pub mod impact;
mod resolve;

use serde::{Deserialize, Serialize};
use server_api::cache::{CacheLevel, CacheSet};
use server_api::vm::CacheChoice;

pub use advice::{Place, advice, again};
pub use resolve::{Asked, Levels};

use crate::setting::VM_CACHE_MODE;
use crate::store::{self, Connection, Id, StoreError};

/// What a step asks of disks and drives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Modes {
    /// Of each disk what counts for it.
    Each(Requests),
    /// Of all the same: so did steps of the versions before, which knew the setting alone.
    All(CacheChoice),
}

/// What is asked of the disks and drives of a virtual machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requests {
    /// Of each volume.
    pub disks: Vec<(Id, Asked)>,
    /// Of CD-ROM drives.
    pub drives: Asked,
}

impl Modes {
    /// What a step asks for that does not say: release 0.9 stored it, and asked for nothing else.
    #[must_use]
    pub fn unsaid() -> Self {
        Self::All(CacheChoice::None)
    }

    /// What is asked of the disk on a volume.
    #[must_use]
    pub fn of(&self, volume: Id) -> Asked {
        match self {
            Self::Each(Requests { disks, drives }) => {
                disks.iter().find(|(id, _)| *id == volume).map_or(*drives, |(_, asked)| *asked)
            }
            Self::All(mode) => Asked::by_setting(*mode),
        }
    }

    /// What is asked of CD-ROM drives.
    #[must_use]
    pub fn drives(&self) -> Asked {
        match self {
            Self::Each(Requests { drives, .. }) => *drives,
            Self::All(mode) => Asked::by_setting(*mode),
        }
    }

    /// The volumes that are named.
    pub fn volumes(&self) -> impl Iterator<Item = Id> {
        let disks = match self {
            Self::Each(Requests { disks, .. }) => disks.as_slice(),
            Self::All(_) => &[],
        };
        disks.iter().map(|(id, _)| *id)
    }
}

/// What the setting says.
///
/// # Errors
/// If the database fails.
pub async fn global(db: &mut Connection) -> Result<CacheSet, StoreError> {
    let mode = VM_CACHE_MODE.value(db).await?;
    let accepts_loss = store::setting::accepts_loss(db, VM_CACHE_MODE.definition.key).await?;
    Ok(CacheSet { mode, accepts_loss })
}

/// What is set for a disk on a volume: that of `vm`, or of nobody.
///
/// # Errors
/// If the database fails.
pub async fn levels(
    db: &mut Connection,
    volume: Id,
    storage: Id,
    vm: Option<Id>,
) -> Result<Levels, StoreError> {
    Ok(Levels {
        volume: store::cache::set(db, volume).await?,
        vm: match vm {
            Some(vm) => store::cache::set(db, vm).await?,
            None => None,
        },
        storage: store::cache::set(db, storage).await?,
        global: global(db).await?,
    })
}

/// What is asked of the CD-ROM drives of a virtual machine. An image lies in no storage of theirs.
///
/// # Errors
/// If the database fails.
pub async fn of_drives(db: &mut Connection, vm: Id) -> Result<Asked, StoreError> {
    let vm = store::cache::set(db, vm).await?;
    Ok(Levels { volume: None, vm, storage: None, global: global(db).await? }.resolve())
}

/// What a task that is planned now asks of a virtual machine with these volumes.
///
/// # Errors
/// If the database fails.
pub async fn requested<'a>(
    db: &mut Connection,
    vm: Id,
    volumes: impl IntoIterator<Item = &'a store::volume::Volume>,
) -> Result<Modes, StoreError> {
    let mut disks = Vec::new();
    for volume in volumes {
        let levels = levels(db, volume.id, volume.storage_id, Some(vm)).await?;
        disks.push((volume.id, levels.resolve()));
    }
    Ok(Modes::Each(Requests { disks, drives: of_drives(db, vm).await? }))
}

/// How the mode of a file came about: where what was asked for comes from, and what the host says of it. `now` is what is set
/// now.
#[must_use]
pub fn reason(requested: CacheChoice, now: Asked, host: &str) -> String {
    let Asked { mode, level, .. } = now;
    let set = match level {
        CacheLevel::Global => format!("`vm.cacheMode` is `{mode}`"),
        CacheLevel::Storage => format!("the storage is set to `{mode}`"),
        CacheLevel::Vm => format!("the virtual machine is set to `{mode}`"),
        CacheLevel::Volume => format!("the volume is set to `{mode}`"),
    };
    if requested == mode {
        format!("{set}; {host}")
    } else {
        format!("{set} now, which holds from the next start; {host}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_begins_with_where_the_mode_comes_from() {
        let (auto, writeback) = (CacheChoice::Auto, CacheChoice::Writeback);
        let set = Asked::by_setting;
        assert_eq!(reason(auto, set(auto), "set to `none`"), "`vm.cacheMode` is `auto`; set to `none`");
        assert_eq!(
            reason(auto, set(writeback), "set to `none`"),
            "`vm.cacheMode` is `writeback` now, which holds from the next start; set to `none`"
        );
        let storage = Asked { level: CacheLevel::Storage, ..set(writeback) };
        assert_eq!(reason(writeback, storage, "so it is"), "the storage is set to `writeback`; so it is");
    }

    #[test]
    fn what_a_step_asks_for_is_read_as_older_versions_stored_it() {
        let id = Id(uuid::Uuid::from_u128(7));
        let asked = Asked { mode: CacheChoice::Unsafe, level: CacheLevel::Volume, accepts_loss: true };
        let drives = Asked::by_setting(CacheChoice::Auto);
        let modes = Modes::Each(Requests { disks: vec![(id, asked)], drives });
        let stored = serde_json::to_string(&modes).unwrap();
        assert_eq!(serde_json::from_str::<Modes>(&stored).unwrap(), modes);
        assert_eq!((modes.of(id), modes.of(Id::new()), modes.drives()), (asked, drives, drives));
        let old: Modes = serde_json::from_str(r#""directsync""#).unwrap();
        assert_eq!(old.of(id), Asked::by_setting(CacheChoice::Directsync));
    }
}
