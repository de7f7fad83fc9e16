//! Every failure as JSON with its status: one table from codes to statuses, one conversion per kind of error.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use server_api::error::{ErrorCode, ErrorReply};

use crate::agents::AgentError;
use crate::cloud::CloudError;
use crate::dashboard::DashboardError;
use crate::login::LoginError;

/// A failure on its way to the caller.
#[derive(Debug)]
pub struct Problem {
    reply: ErrorReply,
    retry_after_seconds: Option<u64>,
}

impl Problem {
    /// A failure with a sentence for people.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let reply = ErrorReply { code, message: message.into(), cause: None, next: None };
        Self { reply, retry_after_seconds: None }
    }

    /// With what it came from.
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.reply.cause = Some(cause.into());
        self
    }

    /// With what to do.
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.reply.next = Some(next.into());
        self
    }
}

/// The answer to a path that is nothing.
pub fn not_found(uri: &Uri) -> Problem {
    Problem::new(ErrorCode::NotFound, format!("there is nothing at `{}`", uri.path()))
}

/// The answer to a method that a path does not take.
pub async fn method_not_allowed(uri: Uri) -> Problem {
    Problem::new(ErrorCode::MethodNotAllowed, format!("`{}` does not take this method", uri.path()))
}

fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::BadRequest => StatusCode::BAD_REQUEST,
        ErrorCode::BadCredentials | ErrorCode::NoSession => StatusCode::UNAUTHORIZED,
        ErrorCode::BadToken => StatusCode::FORBIDDEN,
        ErrorCode::NotFound | ErrorCode::NoAgent => StatusCode::NOT_FOUND,
        ErrorCode::NameTaken
        | ErrorCode::Busy
        | ErrorCode::InUse
        | ErrorCode::Conflict
        | ErrorCode::Cancelled
        | ErrorCode::GuestSilent => StatusCode::CONFLICT,
        ErrorCode::Invalid
        | ErrorCode::KeyReused
        | ErrorCode::ChecksumMismatch
        | ErrorCode::Unsupported
        | ErrorCode::DirectIo => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorCode::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
        ErrorCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorCode::TooManyAttempts => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::AgentUnreachable | ErrorCode::HostFailed => StatusCode::BAD_GATEWAY,
        ErrorCode::DashboardMissing | ErrorCode::Timeout => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = status(self.reply.code);
        let mut response = (status, Json(self.reply)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(ErrorCode::BadRequest, "cannot read the request").cause(rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(ErrorCode::BadRequest, "cannot read the request").cause(rejection.body_text())
    }
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        let message = error.to_string();
        match error {
            LoginError::Wrong => Self::new(ErrorCode::BadCredentials, message),
            LoginError::TooMany { wait } => {
                let seconds = wait.as_secs() + 1;
                let problem = Self::new(ErrorCode::TooManyAttempts, message)
                    .next(format!("try again in {seconds} seconds"));
                Self { retry_after_seconds: Some(seconds), ..problem }
            }
            LoginError::Broken(_) => {
                tracing::error!("{message}");
                Self::new(ErrorCode::Internal, "cannot check the password").next("look into the server's log")
            }
        }
    }
}

impl From<ErrorReply> for Problem {
    fn from(reply: ErrorReply) -> Self {
        Self { reply, retry_after_seconds: None }
    }
}

impl From<CloudError> for Problem {
    fn from(error: CloudError) -> Self {
        if let CloudError::Store(_) | CloudError::Broken(_) = error {
            tracing::error!("{error}");
        }
        error.reply().into()
    }
}

impl From<AgentError> for Problem {
    fn from(error: AgentError) -> Self {
        error.reply("this host").into()
    }
}

impl From<DashboardError> for Problem {
    fn from(error: DashboardError) -> Self {
        let message = error.to_string();
        match error {
            DashboardError::NotInstalled(_) => Self::new(ErrorCode::DashboardMissing, message).next(
                "install it there, or set `dashboard` in server.toml to where it is and restart the server",
            ),
            DashboardError::NoPage(_) => Self::new(ErrorCode::NotFound, message),
            DashboardError::Unreadable { .. } => Self::new(ErrorCode::Internal, message)
                .next("see that the server can read the dashboard's files"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_what_happened_and_what_to_do() {
        let problem = Problem::from(AgentError::None);
        assert_eq!(
            serde_json::to_string(&problem.reply).unwrap(),
            r#"{"code":"no_agent","message":"this host has no agent","next":"run `cairn-server bootstrap --role all` and start the agent"}"#
        );
    }
}
