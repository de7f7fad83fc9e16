//! `GET /api/v1/events`: changes as server-sent events, from the moment of the request on.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use server_api::error::ErrorReply;
use server_api::event::Changed;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::session::Session;
use crate::run::Server;

/// What changes, as it changes. Events of type `changed` carry JSON; one of type `list` says that what the client
/// knows may be old.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", responses(
    (status = 200, body = Changed, content_type = "text/event-stream"), (status = "default", body = ErrorReply)
))]
pub async fn events(
    State(server): State<Arc<Server>>,
    _: Session,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let stop = server.cloud.stop.clone();
    let changes = server.cloud.store.follow();
    let begun = false;
    let stream = stream::unfold((changes, stop, begun), async |(mut changes, mut stop, begun)| {
        let event = if begun {
            tokio::select! {
                () = stop.ordered() => return None,
                event = next(&mut changes) => event?,
            }
        } else {
            list()
        };
        Some((Ok(event), (changes, stop, true)))
    });
    Sse::new(stream).keep_alive(KeepAlive::default())
}

/// The next event; none if there will be none.
async fn next(changes: &mut Receiver<Changed>) -> Option<Event> {
    match changes.recv().await {
        Ok(change) => Event::default().event("changed").json_data(change).ok(),
        Err(RecvError::Lagged(_)) => Some(list()),
        Err(RecvError::Closed) => None,
    }
}

fn list() -> Event {
    Event::default().event("list").data("{}")
}
