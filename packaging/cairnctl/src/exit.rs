//! The exit codes of stub, helper and control tool. Scripts rely on them: none changes its meaning.

use std::fmt;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// Done, or nothing to do.
    Ok = 0,
    /// The command line is wrong.
    Usage = 1,
    /// The archive or the installation is damaged, or its signature is not one over its bytes.
    Damaged = 2,
    /// The host is not supported, or lacks a tool.
    Unsupported = 3,
    /// No room left.
    NoSpace = 4,
    /// Another run holds the lock.
    Locked = 5,
    /// It failed, and everything was put back.
    RolledBack = 6,
    /// It failed, and somebody has to look.
    Failed = 7,
    /// Refused by policy: another version or role, not signed by whom it has to be, a delta of another file.
    Refused = 8,
    /// Interrupted by a signal or by the operator.
    Interrupted = 9,
}

/// An error that knows its exit code. Wraps the cause, which is printed behind it.
#[derive(Debug)]
pub struct Exit {
    /// The code.
    pub code: Code,
    /// One sentence, ending with the remedy.
    pub message: String,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Exit {}

impl Exit {
    /// An error with this code.
    pub fn error(code: Code, message: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Self { code, message: message.into() })
    }
}

/// The exit code of an error: what it says itself, else what its causes mean.
pub fn code_of(error: &anyhow::Error) -> Code {
    for cause in error.chain() {
        if let Some(exit) = cause.downcast_ref::<Exit>() {
            return exit.code;
        }
        if let Some(archive) = cause.downcast_ref::<packaging_archive::Error>() {
            if archive.is_damage() {
                return Code::Damaged;
            }
            if archive.is_refusal() {
                return Code::Refused;
            }
            if archive.is_no_space() {
                return Code::NoSpace;
            }
        }
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
            if matches!(io.kind(), StorageFull | QuotaExceeded | FileTooLarge) {
                return Code::NoSpace;
            }
        }
    }
    Code::Failed
}
