//! What QEMU's monitor says when a command fails (QEMU's page "QEMU Machine Protocol Specification", "error").

use thiserror::Error;

/// A failed monitor command.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{command}`: {desc}")]
pub struct QmpError {
    /// The command's name.
    pub command: String,
    /// QEMU's class: `GenericError`, `CommandNotFound`, `DeviceNotFound` and few others.
    pub class: String,
    /// QEMU's sentence, for people.
    pub desc: String,
}
