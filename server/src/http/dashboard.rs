//! Files of the dashboard, and the answer to every path that is nothing.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use server_api::error::ErrorCode;

use super::problem::{Problem, method_not_allowed, not_found};
use crate::run::Server;

pub async fn page(
    State(server): State<Arc<Server>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if uri.path() == "/api" || uri.path().starts_with("/api/") {
        return Err(not_found(&uri));
    }
    if method != Method::GET && method != Method::HEAD {
        return Err(method_not_allowed(uri).await);
    }
    let dashboard = server.dashboard.clone();
    let page = tokio::task::spawn_blocking(move || dashboard.page(uri.path())).await.map_err(|error| {
        Problem::new(ErrorCode::Internal, "cannot read the page").cause(error.to_string())
    })??;
    // To be asked for each time: an upgrade replaces the files under the same names.
    let kept = [(header::CACHE_CONTROL, "no-cache".to_owned()), (header::ETAG, page.tag.clone())];
    if knows(&headers, &page.tag) {
        return Ok((StatusCode::NOT_MODIFIED, kept).into_response());
    }
    Ok((kept, [(header::CONTENT_TYPE, page.media_type)], Body::from(page.content)).into_response())
}

/// True if the browser has the file with this tag.
fn knows(headers: &HeaderMap, tag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}
