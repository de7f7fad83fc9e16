//! Which of the modes that are set counts for a disk: the most specific one. Pure.

use serde::{Deserialize, Serialize};
use server_api::cache::{CacheLevel, CacheSet};
use server_api::vm::CacheChoice;

/// What is set for a disk, level by level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    /// For its volume.
    pub volume: Option<CacheSet>,
    /// For its virtual machine.
    pub vm: Option<CacheSet>,
    /// For its storage.
    pub storage: Option<CacheSet>,
    /// For everything.
    pub global: CacheSet,
}

/// What is asked of a disk, and where that is set. It stands in the steps of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// The mode.
    pub mode: CacheChoice,
    /// Where it is set.
    pub level: CacheLevel,
    /// Whether whoever set it there accepts what `unsafe` costs.
    pub accepts_loss: bool,
}

impl Levels {
    /// What counts.
    #[must_use]
    pub fn resolve(&self) -> Asked {
        let Self { volume, vm, storage, global } = *self;
        let specific = [(CacheLevel::Volume, volume), (CacheLevel::Vm, vm), (CacheLevel::Storage, storage)];
        let found = specific.into_iter().find_map(|(level, set)| Some((level, set?)));
        let (level, CacheSet { mode, accepts_loss }) = found.unwrap_or((CacheLevel::Global, global));
        Asked { mode, level, accepts_loss }
    }

    /// What is set at a level.
    #[must_use]
    pub fn at(&self, level: CacheLevel) -> Option<CacheSet> {
        match level {
            CacheLevel::Volume => self.volume,
            CacheLevel::Vm => self.vm,
            CacheLevel::Storage => self.storage,
            CacheLevel::Global => Some(self.global),
        }
    }

    /// The same, with something else set at a level. Where nothing is set for everything, `default` is.
    #[must_use]
    pub fn with(self, level: CacheLevel, set: Option<CacheSet>, default: CacheSet) -> Self {
        match level {
            CacheLevel::Volume => Self { volume: set, ..self },
            CacheLevel::Vm => Self { vm: set, ..self },
            CacheLevel::Storage => Self { storage: set, ..self },
            CacheLevel::Global => Self { global: set.unwrap_or(default), ..self },
        }
    }
}

impl Asked {
    /// What was asked for where nothing else is known: the setting, as it was before levels.
    #[must_use]
    pub fn by_setting(mode: CacheChoice) -> Self {
        Self { mode, level: CacheLevel::Global, accepts_loss: true }
    }

    /// As it is set.
    #[must_use]
    pub fn set(self) -> CacheSet {
        CacheSet { mode: self.mode, accepts_loss: self.accepts_loss }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    const LEVELS: [CacheLevel; 4] =
        [CacheLevel::Volume, CacheLevel::Vm, CacheLevel::Storage, CacheLevel::Global];

    fn sets() -> impl Strategy<Value = CacheSet> {
        let mode = select(CacheChoice::WORDS).prop_map(|word| word.parse().unwrap());
        (mode, any::<bool>()).prop_map(|(mode, accepts_loss)| CacheSet { mode, accepts_loss })
    }

    fn levels() -> impl Strategy<Value = Levels> {
        let maybe = || proptest::option::of(sets());
        (maybe(), maybe(), maybe(), sets()).prop_map(|(volume, vm, storage, global)| Levels {
            volume,
            vm,
            storage,
            global,
        })
    }

    proptest! {
        #[test]
        fn the_most_specific_one_counts(levels in levels()) {
            let asked = levels.resolve();
            // It is what is set there, consent included, and nothing is set anywhere before.
            prop_assert_eq!(levels.at(asked.level), Some(asked.set()));
            let before = LEVELS.iter().take_while(|level| **level != asked.level);
            prop_assert!(before.into_iter().all(|level| levels.at(*level).is_none()));
        }

        #[test]
        fn a_change_matters_where_nothing_more_specific_is_set(
            levels in levels(),
            level in select(&LEVELS[..]),
            set in proptest::option::of(sets()),
            default in sets(),
        ) {
            let changed = levels.with(level, set, default);
            let (before, after) = (levels.resolve(), changed.resolve());
            let place = |level| LEVELS.iter().position(|one| *one == level);
            if place(before.level) < place(level) {
                prop_assert_eq!(before, after);
            } else if let Some(set) = set {
                prop_assert_eq!((after.set(), after.level), (set, level));
            } else {
                prop_assert!(level == CacheLevel::Global || place(after.level) > place(level));
            }
            // Only that level is another one.
            for other in LEVELS.into_iter().filter(|other| *other != level) {
                prop_assert_eq!(levels.at(other), changed.at(other));
            }
        }
    }
}
