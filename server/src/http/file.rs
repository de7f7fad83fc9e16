//! `GET /api/v1/hosts/file/{token}/{key}`: the packed file, for a host that is about to join. It shows a key that comes with a
//! token, is good as long as that is, and for this file alone. The file is read as the host takes it, never more than a piece
//! at a time; a host that was interrupted can ask for the rest.

use std::io::SeekFrom;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use packaging_service::serve::Peer;
use server_api::error::ErrorCode;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use uuid::Uuid;

use super::problem::Problem;
use crate::packed::Offer;
use crate::run::Server;

/// Bytes that are read at a time.
const PIECE: usize = 256 << 10;

/// The file, or the rest of it.
pub async fn fetch(
    State(server): State<Arc<Server>>,
    Extension(Peer(peer)): Extension<Peer>,
    Path((token, key)): Path<(Uuid, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let offer = server.cloud.offer(peer.ip(), token, &key).await?;
    let place = server.cloud.packed.place().ok_or_else(|| {
        Problem::new(ErrorCode::TooManyAttempts, "other hosts fetch the file now")
            .next("try again in a minute")
    })?;
    let tag = format!("\"{}\"", offer.sha256);
    let from = start(&headers, &tag, &offer);
    let unreadable = |error: std::io::Error| {
        Problem::new(ErrorCode::Internal, "the packed file cannot be read").cause(error.to_string())
    };
    let mut file = File::open(&offer.path).await.map_err(unreadable)?;
    file.seek(SeekFrom::Start(from)).await.map_err(unreadable)?;
    // What is read belongs to the size that was promised, whatever becomes of the file meanwhile.
    let left = offer.size_bytes - from;
    let pieces = stream::try_unfold((file.take(left), place), async |(mut file, place)| {
        let mut piece = Vec::with_capacity(PIECE);
        let count = (&mut file).take(PIECE as u64).read_to_end(&mut piece).await?;
        Ok::<_, std::io::Error>((count > 0).then(|| (Bytes::from(piece), (file, place))))
    });
    let mut response = Body::from_stream(pieces).into_response();
    let headers = response.headers_mut();
    let number = |number: u64| HeaderValue::from(number);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_LENGTH, number(left));
    if let Ok(tag) = tag.parse() {
        headers.insert(header::ETAG, tag);
    }
    if from > 0 {
        let range = format!("bytes {from}-{}/{}", offer.size_bytes - 1, offer.size_bytes);
        if let Ok(range) = range.parse() {
            headers.insert(header::CONTENT_RANGE, range);
        }
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

/// Where to begin: at the place that is asked for, if the rest of this very file is. Any other range is answered by all of it.
fn start(headers: &HeaderMap, tag: &str, offer: &Offer) -> u64 {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if text(header::IF_RANGE).is_some_and(|known| known != tag) {
        return 0;
    }
    let from = text(header::RANGE)
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok())
        .unwrap_or(0);
    if from < offer.size_bytes { from } else { 0 }
}
