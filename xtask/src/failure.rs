//! Errors that know their exit code. The codes are those of the product's own tools, so that one table serves both.

use std::fmt;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// Done.
    Ok = 0,
    /// The command line, a ref or `build.toml` is wrong; nothing was built.
    Usage = 1,
    /// A file is not what it should be.
    Damaged = 2,
    /// This machine lacks a tool.
    Unsupported = 3,
    /// No room left.
    NoSpace = 4,
    /// A step failed.
    Failed = 7,
    /// Not what was demanded: unsigned, or signed by somebody else.
    Refused = 8,
}

/// A sentence that ends with the remedy, and the exit code that belongs to it.
#[derive(Debug)]
pub struct Failure {
    code: Code,
    sentence: String,
}

impl Failure {
    /// Something that the caller has to write differently.
    pub fn usage(sentence: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Self { code: Code::Usage, sentence: sentence.into() })
    }

    /// A file that is not what it should be.
    pub fn damaged(sentence: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Self { code: Code::Damaged, sentence: sentence.into() })
    }

    /// A file that is whole, and not by whom it has to be.
    pub fn refused(sentence: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Self { code: Code::Refused, sentence: sentence.into() })
    }

    /// A tool that has to be installed.
    pub fn unsupported(sentence: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Self { code: Code::Unsupported, sentence: sentence.into() })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for Failure {}

/// The exit code of an error.
pub fn code_of(error: &anyhow::Error) -> Code {
    for cause in error.chain() {
        if let Some(failure) = cause.downcast_ref::<Failure>() {
            return failure.code;
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
        if let Some(io) = cause.downcast_ref::<std::io::Error>()
            && matches!(io.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
        {
            return Code::NoSpace;
        }
    }
    Code::Failed
}
