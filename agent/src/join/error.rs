//! Why a host did not join. Each sentence ends with what to do.

use std::io;
use std::path::PathBuf;

use agent_protocol::join::TokenError;
use packaging_service::exit::Exit;
use packaging_service::files::CreateError;
use thiserror::Error;

/// Why a host did not join. `server` is where the token says that the server is.
#[derive(Debug, Error)]
pub enum JoinError {
    /// Nobody gave a token.
    #[error(
        "no token given; name a file with `--token-file FILE`, use `--token-file -`, or set `CAIRN_JOIN_TOKEN`"
    )]
    NoToken,
    /// The file with the token cannot be read.
    #[error("cannot read the token from `{path}`: {cause}; name a file that holds it")]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// The complaint.
        cause: io::Error,
    },
    /// What was given is no token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// It has certificates.
    #[error("this host has joined a server already; use `--replace` to leave that one for another")]
    Joined,
    /// It holds an authority of its own.
    #[error(
        "this host is a server with `{0}` of its own, and its agent belongs to it; join from another host"
    )]
    Server(PathBuf),
    /// No connection.
    #[error(
        "the server at `{server}` cannot be reached: {cause}; see that it runs and that its port can be reached from here"
    )]
    Unreachable {
        /// Where.
        server: String,
        /// The complaint.
        cause: String,
    },
    /// It was asked, and nobody knows what came of it.
    #[error(
        "the server at `{server}` was asked, and its answer did not come: {cause}; join again with the same token, which it takes from this host once more"
    )]
    Lost {
        /// Where.
        server: String,
        /// The complaint.
        cause: String,
    },
    /// Another authority.
    #[error(
        "the server at `{0}` is not the one that made this token; make a token on the server that answers there"
    )]
    AnotherServer(String),
    /// The certificate does not hold for another reason.
    #[error(
        "the server at `{server}` does not prove who it is: {cause}; make a token that names it as its certificate does"
    )]
    Unproven {
        /// Where.
        server: String,
        /// The complaint.
        cause: String,
    },
    /// The token was good once.
    #[error("a host has joined the server at `{0}` with this token before; make a new token there")]
    Used(String),
    /// The token was good for some time.
    #[error("the server at `{0}` takes this token no longer: it has expired; make a new one there")]
    Expired(String),
    /// The token is not one of the server's.
    #[error("the server at `{0}` does not know this token; make one there, and copy all of it")]
    Unknown(String),
    /// The server does not like the request.
    #[error("the server at `{server}` refuses: {message}")]
    Request {
        /// Where.
        server: String,
        /// Its sentence.
        message: String,
    },
    /// The answer is none.
    #[error(
        "the server at `{server}` answers with something else: {cause}; use an agent of the server's version"
    )]
    Strange {
        /// Where.
        server: String,
        /// The complaint.
        cause: String,
    },
    /// The answer must not be used.
    #[error(
        "what the server at `{server}` answers cannot be used: {cause}; nothing was changed, make a new token there"
    )]
    Unusable {
        /// Where.
        server: String,
        /// The complaint.
        cause: String,
    },
    /// No key can be made.
    #[error("cannot make a key: {0}; see that `/dev/urandom` is there")]
    Key(rcgen::Error),
    /// Files cannot be made.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// What an attempt left cannot be removed.
    #[error("cannot remove `{path}`: {cause}; see that its folder is writable, and remove it")]
    Staged {
        /// The file.
        path: PathBuf,
        /// The complaint.
        cause: io::Error,
    },
    /// Files cannot be put in their place.
    #[error(
        "cannot put the certificates into `{folder}`: {cause}; see that it is writable, and start the agent"
    )]
    Place {
        /// The folder.
        folder: PathBuf,
        /// The complaint.
        cause: io::Error,
    },
}

impl JoinError {
    /// True if the server gave an answer after which the same token with the same key gets no other.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Used(_) | Self::Expired(_) | Self::Unknown(_) | Self::Unusable { .. } => true,
            Self::NoToken
            | Self::TokenFile { .. }
            | Self::Token(_)
            | Self::Joined
            | Self::Server(_)
            | Self::Unreachable { .. }
            | Self::Lost { .. }
            | Self::AnotherServer(_)
            | Self::Unproven { .. }
            | Self::Request { .. }
            | Self::Strange { .. }
            | Self::Key(_)
            | Self::Create(_)
            | Self::Staged { .. }
            | Self::Place { .. } => false,
        }
    }

    /// The code that the process ends with.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::NoToken | Self::TokenFile { .. } | Self::Token(_) => Exit::Usage,
            Self::Joined
            | Self::Server(_)
            | Self::AnotherServer(_)
            | Self::Unproven { .. }
            | Self::Used(_)
            | Self::Expired(_)
            | Self::Unknown(_)
            | Self::Request { .. }
            | Self::Unusable { .. } => Exit::Refused,
            Self::Unreachable { .. }
            | Self::Lost { .. }
            | Self::Strange { .. }
            | Self::Key(_)
            | Self::Create(_)
            | Self::Staged { .. }
            | Self::Place { .. } => Exit::Failed,
        }
    }
}
