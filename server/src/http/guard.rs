//! What holds for every answer: it comes in time, it is logged if the server is at fault, and it carries the headers
//! that keep a browser from doing harm with it.

use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use server_api::error::ErrorCode;

use super::problem::Problem;

/// How long an answer may take, the request's body included.
const LIMIT: Duration = Duration::from_secs(30);

/// Scripts, styles and pictures are files of the dashboard, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// No Strict-Transport-Security: it holds for all ports of a host name, so it would break other services on this host,
/// and it takes away the way to a server whose authority the browser does not know yet.
const HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
];

pub async fn guard(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    // As it stands in the table, where it does: what is in its place may be a secret.
    let path = match request.extensions().get::<MatchedPath>() {
        Some(path) => path.as_str().to_owned(),
        None => request.uri().path().to_owned(),
    };
    let mut response = tokio::time::timeout(LIMIT, next.run(request)).await.unwrap_or_else(|_| {
        let message = format!("no answer within {} s", LIMIT.as_secs());
        Problem::new(ErrorCode::Timeout, message).next("try again").into_response()
    });
    let status = response.status();
    if status.is_server_error() {
        tracing::warn!("{method} {path} answered {}", status.as_u16());
    } else {
        tracing::debug!("{method} {path} answered {}", status.as_u16());
    }
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // What is not a file is not to be kept.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
