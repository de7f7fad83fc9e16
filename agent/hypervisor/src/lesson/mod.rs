//! What libvirt, QEMU and the kernel say when they refuse, explained: a code, the cause, the words it was told by, and what to
//! do. The words are theirs and old; a sentence that nobody has explained is shown as it is.
//!
//! The rules stand in [`rules`]. `tests/messages.txt` holds sentences that were really said.

mod rules;

use crate::error::Kind;

/// What stands behind a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// The file system does not take O_DIRECT, and the cache mode needs it.
    DirectIo,
    /// O_DIRECT wants larger blocks than QEMU found.
    Alignment,
    /// `io='native'` without O_DIRECT.
    NativeAio,
    /// No `io_uring` on this host.
    NoIoUring,
    /// KVM cannot be used.
    NoKvm,
    /// Somebody may not open or change a file.
    Permission,
    /// An image is in use by another process.
    Locked,
    /// No space left.
    NoSpace,
    /// Nothing can be written there.
    ReadOnly,
    /// The file system's server lost the file, or the disk fails.
    FileSystemFails,
    /// A file is missing.
    MissingFile,
    /// An image under another one has no recorded format, or another one than recorded.
    BackingFormat,
    /// An image is damaged, or in another format.
    BadImage,
    /// No image of the firmware.
    NoFirmware,
    /// The host's QEMU has no such main board.
    BadMachine,
    /// The host's QEMU has no such device or processor.
    BadDevice,
    /// The host has no memory left.
    NoMemory,
    /// No such bridge or network.
    NoNetwork,
    /// The host has no tun device.
    NoTun,
    /// A name or identity is taken.
    Taken,
    /// A description that libvirt does not take.
    BadDescription,
    /// Not in the state that it is in.
    WrongState,
    /// Something else works on the domain.
    Busy,
    /// The guest's agent or the guest does not answer.
    GuestSilent,
    /// QEMU ended, and said nothing.
    QemuEnded,
    /// QEMU is not installed, or cannot be run.
    NoQemu,
    /// libvirtd is away, or does not let us in.
    NoLibvirt,
    /// The host's security module or control groups are in the way.
    Confinement,
    /// libvirt thinks that a migration would damage a disk.
    UnsafeMigration,
    /// It cannot be changed while the domain runs.
    NotLive,
    /// No more room on a bus, or no more ports.
    NoSlot,
}

/// A refusal, explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lesson {
    /// For programs.
    pub code: Code,
    /// What is the matter.
    pub cause: String,
    /// The words that it was told by, as they stand in the message.
    pub evidence: String,
    /// What to do, with something to type where there is.
    pub next: String,
}

/// What a message means. None: nobody has explained it.
#[must_use]
pub fn of(message: &str) -> Option<Lesson> {
    let (rule, evidence) = rules::all().find_map(|rule| Some((rule, rule.evidence(message)?)))?;
    let thing = rule.thing(message);
    let filled = |text: &str| text.replace("{}", thing.as_deref().unwrap_or("it"));
    Some(Lesson {
        code: rule.code,
        cause: filled(rule.cause),
        evidence: evidence.to_owned(),
        next: filled(rule.next),
    })
}

impl Code {
    /// How callers treat it.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::DirectIo => Kind::DirectIo,
            Self::NoSpace => Kind::NoSpace,
            Self::MissingFile => Kind::NotFound,
            Self::Taken => Kind::Exists,
            Self::NativeAio | Self::BadDescription => Kind::Invalid,
            Self::NoKvm
            | Self::NoIoUring
            | Self::NoFirmware
            | Self::BadMachine
            | Self::BadDevice
            | Self::NoQemu
            | Self::NoTun
            | Self::NotLive => Kind::Unsupported,
            Self::Locked | Self::WrongState | Self::Busy | Self::UnsafeMigration => Kind::Conflict,
            Self::GuestSilent => Kind::GuestSilent,
            // That something of libvirt's is away does not mean that nothing was done.
            Self::NoLibvirt
            | Self::Alignment
            | Self::Permission
            | Self::ReadOnly
            | Self::FileSystemFails
            | Self::BackingFormat
            | Self::BadImage
            | Self::NoMemory
            | Self::NoNetwork
            | Self::QemuEnded
            | Self::Confinement
            | Self::NoSlot => Kind::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// `# where it is from`, then `Code: message`, one on each line.
    const MESSAGES: &str = include_str!("../../tests/messages.txt");

    fn messages() -> impl Iterator<Item = (&'static str, &'static str)> {
        let lines = MESSAGES.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(|line| line.split_once(": ").unwrap())
    }

    #[test]
    fn every_message_is_explained() {
        let mut codes = BTreeSet::new();
        for (code, message) in messages() {
            let Some(lesson) = of(message) else { panic!("nobody explains: {message}") };
            assert_eq!(format!("{:?}", lesson.code), code, "{message}");
            assert!(message.contains(&lesson.evidence), "{message}");
            for text in [&lesson.cause, &lesson.next] {
                assert!(!text.is_empty() && !text.contains("{}") && !text.ends_with('.'), "{text}");
                assert!(!text.contains("`it`"), "what is named is not found in: {message}");
            }
            assert!(!lesson.cause.contains("; "), "the remedy begins there: {}", lesson.cause);
            codes.insert(lesson.code);
        }
        assert!(messages().count() >= 40, "{} messages", messages().count());
        let known: BTreeSet<Code> = rules::all().map(|rule| rule.code).collect();
        assert_eq!(codes, known, "a code without a message that was really said");
    }

    #[test]
    fn every_rule_explains_something_and_none_hides_another() {
        for rule in rules::all() {
            let first = |message: &str| {
                let found = rules::all().find(|other| other.evidence(message).is_some());
                found.is_some_and(|found| std::ptr::eq(found, rule))
            };
            assert!(
                messages().any(|(_, message)| first(message)),
                "nothing needs the rule for {:?}",
                rule.words
            );
        }
    }

    #[test]
    fn what_nobody_explained_stays_unexplained() {
        for message in ["", "internal error: something new happened", "O_DIRECT", "error: x", "permission"] {
            assert_eq!(of(message), None, "{message}");
        }
    }

    #[test]
    fn the_thing_is_named() {
        let said = "internal error: process exited while connecting to monitor: 2026-11-22T14:06:25.182316Z \
                    qemu-system-x86_64: -blockdev {\"driver\":\"file\"}: Could not open backing file: Could not open \
                    '/srv/ram/base.raw': filesystem does not support O_DIRECT";
        let lesson = of(said).unwrap();
        assert_eq!(
            lesson.cause,
            "the file system of `/srv/ram/base.raw` does not take O_DIRECT, which the cache mode needs"
        );
        assert_eq!(lesson.evidence, "filesystem does not support O_DIRECT");
    }
}
