//! How the program ends. The codes are the product's one table, that of the installer and the control tool, with the
//! same meanings.

use std::fmt;
use std::process::ExitCode;

use server_api::error::{ErrorCode, ErrorReply};
use server_api::task::{StepState, Task, TaskState};
use thiserror::Error;
use uuid::Uuid;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Done, or nothing to do.
    Ok = 0,
    /// The command line is wrong, or names what is not there.
    Usage = 1,
    /// A file or checksum is not what it should be.
    Damaged = 2,
    /// The host cannot do that.
    Unsupported = 3,
    /// No room left.
    NoSpace = 4,
    /// A task works on it.
    Locked = 5,
    /// It failed, and everything was put back.
    RolledBack = 6,
    /// It failed, and somebody has to look.
    Failed = 7,
    /// Refused: as things stand, or for whoever asks.
    Refused = 8,
    /// Cancelled, or no longer waited for.
    Interrupted = 9,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// Why the program did not do what was asked.
#[derive(Debug, Error)]
pub enum Failure {
    /// The command line is wrong.
    #[error("{0}")]
    Usage(String),
    /// The server refuses.
    #[error("{}", Sentence(.0))]
    Refused(Box<ErrorReply>),
    /// A task did not succeed.
    #[error("{} {}: {}", .0.action, .0.state, TaskError(.0))]
    Task(Box<Task>),
    /// The user waits no longer.
    #[error(
        "interrupted; the task goes on, wait for it with `cairn task show {0} --wait` or cancel it with `cairn task cancel {0}`"
    )]
    Interrupted(Uuid),
    /// There is no way to the server.
    #[error("{0}")]
    NoServer(String),
    /// A file of the user's cannot be read or written.
    #[error("{0}")]
    File(String),
}

/// What a server says, in one line.
struct Sentence<'a>(&'a ErrorReply);

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if let Some(cause) = &self.0.cause {
            write!(f, " ({cause})")?;
        }
        self.0.next.as_ref().map_or(Ok(()), |next| write!(f, "; {next}"))
    }
}

struct TaskError<'a>(&'a Task);

impl fmt::Display for TaskError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.error {
            Some(error) => Sentence(error).fmt(f),
            None => f.write_str("no reason given"),
        }
    }
}

impl Failure {
    /// The code to end with.
    pub fn code(&self) -> Code {
        match self {
            Self::Usage(_) => Code::Usage,
            Self::Refused(reply) => of_reply(reply.code),
            Self::Task(task) => of_task(task),
            Self::Interrupted(_) => Code::Interrupted,
            Self::NoServer(_) | Self::File(_) => Code::Failed,
        }
    }
}

/// A task that ended otherwise than well: whether it was put back is what a script wants to know.
fn of_task(task: &Task) -> Code {
    if task.steps.iter().any(|step| step.state == StepState::Stuck) {
        return Code::Failed;
    }
    match task.state {
        TaskState::Succeeded => Code::Ok,
        TaskState::Cancelled => Code::Interrupted,
        TaskState::Failed => match task.error.as_ref().map(|error| of_reply(error.code)) {
            Some(code @ (Code::Damaged | Code::Unsupported | Code::NoSpace)) => code,
            Some(_) | None => Code::RolledBack,
        },
        TaskState::Running | TaskState::Undoing => Code::Failed,
    }
}

fn of_reply(code: ErrorCode) -> Code {
    match code {
        ErrorCode::BadRequest | ErrorCode::Invalid | ErrorCode::NotFound | ErrorCode::KeyReused => {
            Code::Usage
        }
        ErrorCode::ChecksumMismatch => Code::Damaged,
        ErrorCode::Unsupported | ErrorCode::DirectIo => Code::Unsupported,
        ErrorCode::LossNotAccepted => Code::Refused,
        ErrorCode::NoSpace => Code::NoSpace,
        ErrorCode::Busy => Code::Locked,
        ErrorCode::BadCredentials
        | ErrorCode::NoSession
        | ErrorCode::BadToken
        | ErrorCode::NameTaken
        | ErrorCode::InUse
        | ErrorCode::Conflict
        | ErrorCode::TooManyAttempts => Code::Refused,
        ErrorCode::Cancelled => Code::Interrupted,
        ErrorCode::MethodNotAllowed
        | ErrorCode::GuestSilent
        | ErrorCode::HostFailed
        | ErrorCode::NoAgent
        | ErrorCode::AgentUnreachable
        | ErrorCode::DashboardMissing
        | ErrorCode::Timeout
        | ErrorCode::Internal => Code::Failed,
    }
}
