//! Every failure as JSON with its status: one table from codes to statuses, one conversion per kind of error.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use server_api::error::{ErrorCode, ErrorReply};

use super::audit::Outcome;
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
        | ErrorCode::DirectIo
        | ErrorCode::LossNotAccepted => StatusCode::UNPROCESSABLE_ENTITY,
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
        let (status, word) = (status(self.reply.code), self.reply.code.to_string());
        let mut response = (status, Json(self.reply)).into_response();
        response.extensions_mut().insert(Outcome(word));
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
    use server_api::event::Kind;
    use server_api::task::Action;

    use super::*;
    use crate::store::Id;

    /// Programs rely on these: a code keeps its word and its status.
    #[test]
    fn every_code_has_a_status() {
        let expected = [
            (ErrorCode::BadRequest, "bad_request", 400),
            (ErrorCode::BadCredentials, "bad_credentials", 401),
            (ErrorCode::NoSession, "no_session", 401),
            (ErrorCode::BadToken, "bad_token", 403),
            (ErrorCode::NotFound, "not_found", 404),
            (ErrorCode::MethodNotAllowed, "method_not_allowed", 405),
            (ErrorCode::NameTaken, "name_taken", 409),
            (ErrorCode::Busy, "busy", 409),
            (ErrorCode::InUse, "in_use", 409),
            (ErrorCode::Conflict, "conflict", 409),
            (ErrorCode::Invalid, "invalid", 422),
            (ErrorCode::KeyReused, "key_reused", 422),
            (ErrorCode::ChecksumMismatch, "checksum_mismatch", 422),
            (ErrorCode::GuestSilent, "guest_silent", 409),
            (ErrorCode::NoSpace, "no_space", 507),
            (ErrorCode::Unsupported, "unsupported", 422),
            (ErrorCode::DirectIo, "direct_io", 422),
            (ErrorCode::LossNotAccepted, "loss_not_accepted", 422),
            (ErrorCode::HostFailed, "host_failed", 502),
            (ErrorCode::Cancelled, "cancelled", 409),
            (ErrorCode::TooManyAttempts, "too_many_attempts", 429),
            (ErrorCode::NoAgent, "no_agent", 404),
            (ErrorCode::AgentUnreachable, "agent_unreachable", 502),
            (ErrorCode::DashboardMissing, "dashboard_missing", 503),
            (ErrorCode::Timeout, "timeout", 503),
            (ErrorCode::Internal, "internal", 500),
        ];
        for (code, word, number) in expected {
            assert_eq!((code.to_string().as_str(), status(code).as_u16()), (word, number));
        }
    }

    #[test]
    fn refusals_keep_their_words() {
        let (kind, name) = (Kind::Vm, "web".to_owned());
        let task = Id("67e55044-10b1-426f-9247-bb680e5fe0c8".parse().unwrap());
        let said: Vec<String> = [
            CloudError::NotFound { kind, name: name.clone() },
            CloudError::NameTaken { kind, name: name.clone() },
            CloudError::Busy { kind, name: name.clone(), action: Action::VmStart, task },
            CloudError::InUse { kind, name, by: "volume `x` lies on it".to_owned() },
            CloudError::KeyReused,
            CloudError::invalid("0 is no number of processors", "give 1 to 255"),
        ]
        .into_iter()
        .map(|error| serde_json::to_string(&Problem::from(error).reply).unwrap())
        .collect();
        assert_eq!(
            said,
            [
                r#"{"code":"not_found","message":"there is no vm `web`","next":"list what there is: `cairn vm list`"}"#,
                r#"{"code":"name_taken","message":"there is a vm `web` already","next":"choose another name"}"#,
                r#"{"code":"busy","message":"a task works on the vm `web`: vm_start","next":"wait for it or cancel it: `cairn task cancel 67e55044-10b1-426f-9247-bb680e5fe0c8`"}"#,
                r#"{"code":"in_use","message":"the vm `web` is in use: volume `x` lies on it","next":"remove what needs it first"}"#,
                r#"{"code":"key_reused","message":"the idempotency key belongs to another request","next":"choose a new key for a new request"}"#,
                r#"{"code":"invalid","message":"0 is no number of processors","next":"give 1 to 255"}"#,
            ]
        );
    }

    #[test]
    fn a_problem_says_what_happened_and_what_to_do() {
        let problem = Problem::from(AgentError::None);
        assert_eq!(
            serde_json::to_string(&problem.reply).unwrap(),
            r#"{"code":"no_agent","message":"this host has no agent","next":"run `cairn-server bootstrap --role all` and start the agent"}"#
        );
    }
}
