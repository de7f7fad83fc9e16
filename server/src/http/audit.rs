//! `GET /api/v1/audit`, and what writes it: every request that changes something is noted with who asked, from where, and
//! what came of it, before it is answered. Bodies are not looked at but for the names of what they are about.
//!
//! Whoever is not in and does not try to come in is not noted: anybody could fill the log. Nor is who is told to wait.

use std::sync::{Arc, OnceLock};

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{MatchedPath, Query, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use packaging_service::serve::Peer;
use server_api::audit::{AuditList, AuditQuery};
use server_api::error::{ErrorCode, ErrorReply};

use super::problem::Problem;
use super::session::Session;
use crate::run::Server;
use crate::store::audit::Entry;

/// What each request that changes something is called.
const ACTIONS: &[(&str, &str, &str)] = &[
    ("POST", "/login", "login"),
    ("POST", "/logout", "logout"),
    ("PUT", "/config", "config set"),
    ("PUT", "/config/{key}", "config set"),
    ("DELETE", "/config/{key}", "config reset"),
    ("POST", "/hosts/tokens", "host token"),
    ("POST", "/hosts/join", JOIN),
    ("DELETE", "/hosts/{host}", "host delete"),
    ("POST", "/storages", "storage create"),
    ("DELETE", "/storages/{storage}", "storage delete"),
    ("POST", "/storages/{storage}/check", "storage check"),
    ("PUT", "/storages/{storage}/cache", "storage cache set"),
    ("DELETE", "/storages/{storage}/cache", "storage cache clear"),
    ("PUT", "/vms/{vm}/cache", "vm cache set"),
    ("DELETE", "/vms/{vm}/cache", "vm cache clear"),
    ("PUT", "/volumes/{volume}/cache", "volume cache set"),
    ("DELETE", "/volumes/{volume}/cache", "volume cache clear"),
    ("POST", "/cache/dry-run", "cache dry-run"),
    ("POST", "/images", "image import"),
    ("DELETE", "/images/{image}", "image delete"),
    ("POST", "/volumes", "volume create"),
    ("POST", "/volumes/{volume}/resize", "volume resize"),
    ("DELETE", "/volumes/{volume}", "volume delete"),
    ("POST", "/vms", "vm create"),
    ("DELETE", "/vms/{vm}", "vm delete"),
    ("POST", "/vms/{vm}/start", "vm start"),
    ("POST", "/vms/{vm}/shutdown", "vm shutdown"),
    ("POST", "/vms/{vm}/force-off", "vm force-off"),
    ("POST", "/vms/{vm}/reboot", "vm reboot"),
    ("POST", "/vms/{vm}/apply-cache", "vm apply-cache"),
    ("POST", "/vms/{vm}/reset", "vm reset"),
    ("POST", "/vms/{vm}/pause", "vm pause"),
    ("POST", "/vms/{vm}/resume", "vm resume"),
    ("POST", "/vms/{vm}/volumes", "vm attach"),
    ("DELETE", "/vms/{vm}/volumes/{volume}", "vm detach"),
    ("PUT", "/vms/{vm}/cdroms/{drive}", "vm insert"),
    ("DELETE", "/vms/{vm}/cdroms/{drive}", "vm eject"),
    ("POST", "/tasks/{task}/cancel", "task cancel"),
    ("POST", "/tokens", "token create"),
    ("DELETE", "/tokens/{token}", "token delete"),
];

/// How a host comes in, which everybody may try.
const JOIN: &str = "host join";

/// Where the API begins.
const API: &str = "/api/v1";

/// The longest subject, in characters.
const LONGEST_SUBJECT: usize = 200;

/// What becomes known of a request while it is answered.
#[derive(Debug, Clone, Default)]
pub struct Noted(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    who: OnceLock<String>,
    subject: OnceLock<String>,
}

/// What came of a request, in the extensions of its answer, where its status does not say it.
#[derive(Debug, Clone)]
pub struct Outcome(pub String);

impl Noted {
    /// Notes who asks.
    pub fn who(&self, who: impl Into<String>) {
        // The first who is right.
        let _ = self.0.who.set(who.into());
    }

    /// Notes what it is about, where the path does not say it.
    pub fn subject(&self, subject: &str) {
        let _ = self.0.subject.set(subject.chars().take(LONGEST_SUBJECT).collect());
    }
}

/// The audit log, the newest entries first.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(AuditQuery), responses(
    (status = 200, body = AuditList), (status = "default", body = ErrorReply)
))]
pub async fn list(
    State(server): State<Arc<Server>>,
    _: Session,
    query: Result<Query<AuditQuery>, QueryRejection>,
) -> Result<Json<AuditList>, Problem> {
    let Query(query) = query?;
    Ok(Json(server.cloud.audit(query.before, query.limit).await?))
}

/// Answers a request, and notes it if it changes something. What was begun is done and noted to its end, also when nobody
/// waits for the answer any more.
pub async fn keep(State(server): State<Arc<Server>>, mut request: Request, next: Next) -> Response {
    let template = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let Some((action, subject)): Option<(&'static str, String)> =
        template.and_then(|template| called(request.method(), &template, request.uri().path()))
    else {
        return next.run(request).await;
    };
    let noted = Noted::default();
    request.extensions_mut().insert(noted.clone());
    let peer = request.extensions().get::<Peer>().map(|Peer(peer)| peer.ip().to_string());
    let work = async move {
        let response = next.run(request).await;
        let outcome = outcome(&response);
        let (Some(who), false) = (noted.0.who.get(), outcome == ErrorCode::TooManyAttempts.to_string())
        else {
            return response;
        };
        let subject = if subject.is_empty() { noted.0.subject.get().cloned() } else { Some(subject) };
        let entry =
            Entry { address: peer, ..Entry::new(who, action, &subject.unwrap_or_default(), &outcome) };
        let is_guess = action == JOIN && !response.status().is_success();
        let note = async move {
            // It is done: to say that it is not would be worse than an entry that is missing here and stands in the log.
            if let Err(error) = server.cloud.note(&entry).await {
                tracing::error!("cannot note in the audit log: {error}: {entry:?}");
            }
        };
        // Who guesses waits for nobody who writes, and holds nothing up.
        if is_guess {
            tokio::spawn(note);
        } else {
            note.await;
        }
        response
    };
    tokio::spawn(work).await.unwrap_or_else(|error| {
        tracing::error!("a request was not answered: {error}");
        let problem = Problem::new(ErrorCode::Internal, "the request was not answered");
        problem.next("look into the server's log").into_response()
    })
}

/// What a request is called, and what its path says that it is about.
fn called(method: &Method, template: &str, path: &str) -> Option<(&'static str, String)> {
    let template = template.strip_prefix(API)?;
    let (_, _, action) = ACTIONS.iter().find(|(known, at, _)| method == *known && template == *at)?;
    let parts = template.split('/').zip(path.strip_prefix(API)?.split('/'));
    let named: Vec<&str> =
        parts.filter(|(part, _)| part.starts_with('{')).map(|(_, actual)| actual).collect();
    Some((action, named.join(" ").chars().take(LONGEST_SUBJECT).collect()))
}

fn outcome(response: &Response) -> String {
    if let Some(Outcome(word)) = response.extensions().get() {
        return word.clone();
    }
    match response.status() {
        StatusCode::ACCEPTED => "accepted".to_owned(),
        status if status.is_success() => "ok".to_owned(),
        status => status.as_u16().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A route that changes something and has no name here would not be noted.
    #[test]
    fn everything_that_changes_something_has_a_name() {
        let document = serde_json::to_value(crate::http::api().into_openapi()).unwrap();
        let mut unnamed = Vec::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            for method in operations.as_object().unwrap().keys().filter(|method| *method != "get") {
                let parsed = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
                if called(&parsed, path, path).is_none() {
                    unnamed.push(format!("{method} {path}"));
                }
            }
        }
        assert_eq!(unnamed, [""; 0]);
    }

    #[test]
    fn the_path_says_what_it_is_about() {
        let called = |method: Method, template: &str, path: &str| called(&method, template, path);
        assert_eq!(
            called(Method::DELETE, "/api/v1/vms/{vm}/volumes/{volume}", "/api/v1/vms/web/volumes/data"),
            Some(("vm detach", "web data".to_owned()))
        );
        assert_eq!(called(Method::POST, "/api/v1/vms", "/api/v1/vms"), Some(("vm create", String::new())));
        assert_eq!(called(Method::GET, "/api/v1/vms", "/api/v1/vms"), None);
        assert_eq!(called(Method::PUT, "/api/v1/vms/{vm}", "/api/v1/vms/web"), None);
    }
}
