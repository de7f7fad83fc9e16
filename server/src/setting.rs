//! Settings that take effect while the server runs: what there is, and how their values are read. A setting is a typed
//! constant; whoever reads one names the constant, never a text.

use std::time::Duration;

use server_api::config::SettingType;
use server_api::vm::CacheChoice;
use thiserror::Error;

use crate::store::{Connection, StoreError, setting};

/// How QEMU opens the files of disks and CD-ROMs.
pub const VM_CACHE_MODE: Key<CacheChoice> = Key {
    definition: &Definition {
        category: "kvm",
        key: "vm.cacheMode",
        formerly: &["vm.CacheMode"],
        values: Values::Choice(CacheChoice::WORDS),
        old_values: &[("0", "none"), ("1", "writethrough"), ("2", "writeback")],
        default: "auto",
        description: "how disks and CD-ROMs are opened: `auto` goes past the host's page cache (`none`) for disks whose file \
                      system can do that, and through it (`writeback`) for all others",
        takes_effect: "when a virtual machine is started or rebooted; at once for a volume that is attached",
    },
    read: |text| text.parse().ok(),
};

/// How long a guest has to react to its power button.
pub const VM_SHUTDOWN_PATIENCE: Key<Duration> = Key {
    definition: &Definition {
        category: "vm",
        key: "vm.shutdownPatience",
        formerly: &[],
        values: Values::Duration { least: Duration::from_secs(1), most: Duration::from_secs(60 * 60) },
        old_values: &[],
        default: "90s",
        description: "how long a guest has to turn itself off once its power button was pressed",
        takes_effect: "with the next shutdown or reboot",
    },
    read: duration,
};

/// How long a task waits for an agent that does not answer.
pub const TASK_AGENT_PATIENCE: Key<Duration> = Key {
    definition: &Definition {
        category: "task",
        key: "task.agentPatience",
        formerly: &[],
        values: Values::Duration { least: Duration::from_secs(1), most: Duration::from_secs(24 * 60 * 60) },
        old_values: &[],
        default: "5m",
        description: "how long a task waits for an agent that does not answer before it fails",
        takes_effect: "with the next step of every task",
    },
    read: duration,
};

/// How long tasks are remembered.
pub const TASK_RETENTION: Key<Duration> = Key {
    definition: &Definition {
        category: "task",
        key: "task.retention",
        formerly: &[],
        values: Values::Duration {
            least: Duration::from_secs(60),
            most: Duration::from_secs(3650 * 24 * 60 * 60),
        },
        old_values: &[],
        default: "30d",
        description: "how long tasks that ended are remembered",
        takes_effect: "within an hour",
    },
    read: duration,
};

/// All, by key. A new one is a constant above and a line here.
pub const ALL: &[&Definition] = &[
    TASK_AGENT_PATIENCE.definition,
    TASK_RETENTION.definition,
    VM_CACHE_MODE.definition,
    VM_SHUTDOWN_PATIENCE.definition,
];

/// How alike two keys are, from 0 to 1, for one to be taken for a misspelling of the other.
const NEAR: f64 = 0.6;

/// A key that no setting has.
#[derive(Debug, Error)]
#[error("there is no setting `{key}`")]
pub struct Unknown {
    /// What was asked for.
    pub key: String,
    /// The key that is most like it, if one is near.
    pub nearest: Option<&'static str>,
}

/// The setting that `key` means. Whoever is given a key by somebody asks here and nowhere else.
///
/// # Errors
/// If there is none, with the one that may be meant.
pub fn find(key: &str) -> Result<&'static Definition, Unknown> {
    if let Some(found) =
        ALL.iter().find(|definition| definition.key == key || definition.formerly.contains(&key))
    {
        return Ok(found);
    }
    let like = |definition: &&Definition| {
        strsim::normalized_damerau_levenshtein(&key.to_lowercase(), &definition.key.to_lowercase())
    };
    let nearest = ALL.iter().copied().max_by(|one, other| like(one).total_cmp(&like(other)));
    let nearest = nearest.filter(|found| like(found) > NEAR).map(|found| found.key);
    Err(Unknown { key: key.to_owned(), nearest })
}

/// A setting whose values are of one type.
#[derive(Debug, Clone, Copy)]
pub struct Key<T> {
    /// What people see of it.
    pub definition: &'static Definition,
    read: fn(&str) -> Option<T>,
}

/// What people see of a setting.
#[derive(Debug)]
pub struct Definition {
    /// What people find it under. Its key need not begin with that.
    pub category: &'static str,
    /// Its whole name.
    pub key: &'static str,
    /// Names that it had before: understood wherever a key comes in, and never shown.
    pub formerly: &'static [&'static str],
    /// The values that it takes.
    pub values: Values,
    /// How values were spelt before, and what they are now: understood wherever a value comes in, and never shown.
    pub old_values: &'static [(&'static str, &'static str)],
    /// The value that holds unless somebody sets another.
    pub default: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// When a change takes effect.
    pub takes_effect: &'static str,
}

/// The values that a setting takes.
#[derive(Debug)]
pub enum Values {
    /// A number with a unit.
    Duration {
        /// The shortest.
        least: Duration,
        /// The longest.
        most: Duration,
    },
    /// A whole number.
    Integer {
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
    /// One of some words.
    Choice(&'static [&'static str]),
}

impl<T: Default> Key<T> {
    /// The value that holds now.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn value(&self, db: &mut Connection) -> Result<T, StoreError> {
        let stored = setting::value(db, self.definition.key).await?;
        // What an older server allowed may not be allowed now: then the default holds.
        let read = stored.and_then(|text| (self.read)(self.definition.understand(&text).ok()?));
        // Every default can be read: a test does.
        Ok(read.or_else(|| (self.read)(self.definition.default)).unwrap_or_default())
    }
}

impl Definition {
    /// The value that holds, given what is stored.
    #[must_use]
    pub fn effective(&self, stored: Option<&str>) -> String {
        let value = stored.and_then(|text| self.understand(text).ok());
        value.unwrap_or(self.default).to_owned()
    }

    /// The value that `text` means, as it is spelt now.
    ///
    /// # Errors
    /// If the setting does not take it: with what it takes, in words.
    pub fn understand<'a>(&self, text: &'a str) -> Result<&'a str, String> {
        let old = self.old_values.iter().find(|(old, _)| *old == text);
        let text = old.map_or(text, |(_, now)| now);
        let fits = match &self.values {
            Values::Duration { least, most } => {
                duration(text).is_some_and(|value| (*least..=*most).contains(&value))
            }
            Values::Integer { least, most } => {
                text.parse().is_ok_and(|value| (*least..=*most).contains(&value))
            }
            Values::Choice(words) => words.contains(&text),
        };
        if fits { Ok(text) } else { Err(self.values.to_string()) }
    }
}

impl Values {
    /// What the values are.
    #[must_use]
    pub fn value_type(&self) -> SettingType {
        match self {
            Self::Duration { .. } => SettingType::Duration,
            Self::Integer { .. } => SettingType::Integer,
            Self::Choice(_) => SettingType::Choice,
        }
    }
}

impl Values {
    /// The words, if it is a choice.
    #[must_use]
    pub fn choices(&self) -> Vec<String> {
        match self {
            Self::Choice(words) => words.iter().map(|word| (*word).to_owned()).collect(),
            Self::Duration { .. } | Self::Integer { .. } => Vec::new(),
        }
    }
}

/// In words.
impl std::fmt::Display for Values {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Duration { least, most } => {
                write!(f, "{} to {}, as a number and one of `s`, `m`, `h`, `d`", spell(*least), spell(*most))
            }
            Self::Integer { least, most } => write!(f, "{least} to {most}"),
            Self::Choice(words) => write!(f, "`{}`", words.join("`, `")),
        }
    }
}

const UNITS: [(char, u64); 4] = [('d', 24 * 60 * 60), ('h', 60 * 60), ('m', 60), ('s', 1)];

/// Reads `90s`, `5m`, `12h`, `7d`.
fn duration(text: &str) -> Option<Duration> {
    let (_, seconds) = UNITS.into_iter().find(|(unit, _)| text.ends_with(*unit))?;
    let number = &text[..text.len() - 1];
    let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = number.parse().ok().filter(|_| plain)?;
    Some(Duration::from_secs(number.checked_mul(seconds)?))
}

/// As [`duration`] reads it, in the biggest unit that fits.
fn spell(value: Duration) -> String {
    let seconds = value.as_secs();
    let unit = UNITS.into_iter().find(|(_, unit)| seconds.is_multiple_of(*unit));
    unit.map_or(format!("{seconds}s"), |(name, unit)| format!("{}{name}", seconds / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_value_and_every_key_is_there_once() {
        let mut keys: Vec<_> = ALL.iter().map(|definition| definition.key).collect();
        assert!(keys.is_sorted());
        keys.dedup();
        assert_eq!(keys.len(), ALL.len());
        for definition in ALL {
            assert_eq!(definition.understand(definition.default), Ok(definition.default));
            for (old, now) in definition.old_values {
                assert_eq!(definition.understand(old), Ok(*now));
            }
            for old in definition.formerly {
                assert_eq!(find(old).unwrap().key, definition.key);
            }
        }
        for key in [VM_SHUTDOWN_PATIENCE, TASK_AGENT_PATIENCE, TASK_RETENTION] {
            assert!((key.read)(key.definition.default).is_some());
        }
        for word in CacheChoice::WORDS {
            assert_eq!((VM_CACHE_MODE.read)(word).unwrap().to_string(), *word);
        }
    }

    #[test]
    fn a_misspelt_key_is_told_with_the_nearest() {
        for definition in ALL {
            assert_eq!(find(definition.key).unwrap().key, definition.key);
        }
        for wrong in ["vm.shutdwnPatience", "vm.shutdownpatience", "shutdownPatience", "VM.SHUTDOWN_PATIENCE"]
        {
            let unknown = find(wrong).unwrap_err();
            assert_eq!((unknown.key.as_str(), unknown.nearest), (wrong, Some("vm.shutdownPatience")));
        }
        for wrong in ["", "vm", "vm.nothing", "colour of the sky"] {
            assert_eq!(find(wrong).unwrap_err().nearest, None, "{wrong}");
        }
    }

    #[test]
    fn old_spellings_mean_what_they_meant() {
        let definition = find("vm.CacheMode").unwrap();
        assert_eq!(definition.key, "vm.cacheMode");
        assert_eq!(definition.effective(Some("2")), "writeback");
        for wrong in ["", "3", "02", "Writeback", "default"] {
            let allowed = "`auto`, `none`, `writeback`, `writethrough`, `directsync`, `unsafe`";
            assert_eq!(definition.understand(wrong).unwrap_err(), allowed, "{wrong}");
        }
        assert_eq!(find("vm.cachemode").unwrap_err().nearest, Some("vm.cacheMode"));
    }

    #[test]
    fn durations_have_a_unit_and_bounds() {
        assert_eq!(duration("90s"), Some(Duration::from_secs(90)));
        assert_eq!(duration("2h"), Some(Duration::from_secs(7200)));
        for wrong in ["", "90", "s", "-1s", "+1s", "1.5h", "1w", "99999999999999999999d"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
        let definition = VM_SHUTDOWN_PATIENCE.definition;
        assert!(definition.understand("1h").is_ok());
        let error = definition.understand("61m").unwrap_err();
        assert_eq!(error, "1s to 1h, as a number and one of `s`, `m`, `h`, `d`");
        assert_eq!(definition.effective(Some("61m")), "90s");
    }
}
