//! What a request that changes something has in common with all others: who asks, a body of JSON, and a key that
//! makes it repeatable.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use server_api::IDEMPOTENCY_KEY;
use server_api::error::ErrorCode;
use server_api::task::Task;
use utoipa::ToSchema;

use super::audit::Noted;
use super::problem::Problem;
use super::session::Session;
use crate::cloud::Order;
use crate::run::Server;
use crate::secret;
use crate::store::request::RequestKey;

/// The longest key.
const LONGEST_KEY: usize = 128;

/// A request that changes something.
#[derive(Debug)]
pub struct Command<T> {
    /// Who asks, and whether it may be asked again.
    pub order: Order,
    /// What is asked. An absent body is an empty one.
    pub body: T,
}

/// A body with nothing in it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

/// The answer to what a task does.
pub type Accepted = (StatusCode, Json<Task>);

/// The answer to what a task does.
pub fn accepted(task: Task) -> Accepted {
    (StatusCode::ACCEPTED, Json(task))
}

impl<T: DeserializeOwned> FromRequest<Arc<Server>> for Command<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, server: &Arc<Server>) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let Session { who, .. } = Session::from_request_parts(&mut parts, server).await?;
        let key = key(&parts.headers)?;
        let noted = parts.extensions.get::<Noted>().cloned();
        let is_json = is_json(&parts.headers);
        let called = format!("{} {}\n", parts.method, parts.uri);
        let body = Bytes::from_request(Request::from_parts(parts, body), server).await;
        let body = body.map_err(|rejection| unreadable(rejection.body_text()))?;
        if !body.is_empty() && !is_json {
            return Err(unreadable("a body needs `Content-Type: application/json`".to_owned()));
        }
        let text: &[u8] = if body.is_empty() { b"{}" } else { &body };
        let Json(parsed) = Json::from_bytes(text)?;
        if let Some(noted) = noted {
            noted.subject(&about(text));
        }
        let fingerprint = secret::digest([called.as_bytes(), text].concat());
        let key = key.map(|key| RequestKey { who: who.clone(), key, fingerprint });
        Ok(Self { order: Order { who, key }, body: parsed })
    }
}

/// What a body names that a path does not: the name of what is made, the settings that are set, the host that joins again.
#[derive(Deserialize)]
struct Names {
    name: Option<String>,
    values: Option<BTreeMap<String, IgnoredAny>>,
    host: Option<String>,
}

/// What a body is about; nothing if it names nothing.
fn about(body: &[u8]) -> String {
    let Ok(names) = serde_json::from_slice::<Names>(body) else { return String::new() };
    let keys = || Some(names.values?.into_keys().collect::<Vec<_>>().join(" "));
    names.name.or_else(keys).or(names.host).unwrap_or_default()
}

fn unreadable(cause: String) -> Problem {
    Problem::new(ErrorCode::BadRequest, "cannot read the request").cause(cause)
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.is_some_and(|value| {
        value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
    })
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| !key.is_empty() && key.len() <= LONGEST_KEY);
    match key.filter(|key| key.bytes().all(|byte| byte.is_ascii_graphic())) {
        Some(key) => Ok(Some(key.to_owned())),
        None => {
            Err(unreadable(format!("`{IDEMPOTENCY_KEY}` is 1 to {LONGEST_KEY} characters without spaces")))
        }
    }
}
