//! `GET /api/v1/events`: changes as server-sent events, from the moment of the request on, as long as the
//! session lasts.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use packaging_service::stop::Stop;
use server_api::error::ErrorReply;
use server_api::event::Changed;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::session::Session;
use crate::run::Server;

/// How often it is looked whether a session still holds when nothing changes: as often as the connection is
/// kept alive.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// What changes, as it changes. Events of type `changed` carry JSON; one of type `list` says that what the
/// client knows may be old.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", responses(
    (status = 200, body = Changed, content_type = "text/event-stream"), (status = "default", body = ErrorReply)
))]
pub async fn events(
    State(server): State<Arc<Server>>,
    session: Session,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let stop = server.cloud.stop.clone();
    let changes = server.cloud.store.follow();
    let following = Following { server, session, changes, stop, begun: false };
    let stream =
        stream::unfold(following, async |mut following| Some((Ok(following.next().await?), following)));
    Sse::new(stream).keep_alive(KeepAlive::default())
}

/// Somebody who follows.
struct Following {
    server: Arc<Server>,
    session: Session,
    changes: Receiver<Changed>,
    stop: Stop,
    begun: bool,
}

impl Following {
    /// The next event; none if there will be none: the server stops, or whoever follows is not in any more.
    async fn next(&mut self) -> Option<Event> {
        if !std::mem::replace(&mut self.begun, true) {
            return Some(list());
        }
        loop {
            let event = tokio::select! {
                () = self.stop.ordered() => return None,
                changed = self.changes.recv() => Some(event(changed)?),
                () = tokio::time::sleep(LOOK_EVERY) => None,
            };
            if !self.session.holds(&self.server).await {
                return None;
            }
            if event.is_some() {
                return event;
            }
        }
    }
}

fn event(changed: Result<Changed, RecvError>) -> Option<Event> {
    match changed {
        Ok(change) => Event::default().event("changed").json_data(change).ok(),
        Err(RecvError::Lagged(_)) => Some(list()),
        Err(RecvError::Closed) => None,
    }
}

fn list() -> Event {
    Event::default().event("list").data("{}")
}
