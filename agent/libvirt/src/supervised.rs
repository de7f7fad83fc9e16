//! A connection that comes back: libvirt's daemon may be restarted or killed at any time, and the domains run on.

use crate::connect::Options;
use crate::connection::Connection;
use crate::error::{ConnectError, Error, millis};
use crate::events::{Delivery, DomainEvent, EventKind, Subscription};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::task::AbortHandle;

/// How long is waited between attempts: each time twice as long as before, up to a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// After the first one.
    pub first: Duration,
    /// The limit.
    pub longest: Duration,
}

impl Default for Backoff {
    /// From a fifth of a second to ten seconds.
    fn default() -> Self {
        Self { first: Duration::from_millis(200), longest: Duration::from_secs(10) }
    }
}

/// Keeps a connection, makes another whenever it ends, and asks for the same events each time. Dropping it ends both.
///
/// Its connection has two sockets. Through one go events and the calls that libvirt answers of its own knowledge, as which
/// domains there are, their state and their XML; through the other those that QEMU, a guest or storage may hold up for
/// ever. So whatever hangs, it is still seen what the other domains do. Each socket has
/// [`Options::calls_in_flight`](crate::Options::calls_in_flight) of its own.
///
/// ```text
///            opened, events registered            ended
///   Disconnected ---------------------> Connected -----> Disconnected
///     ^      | failed: wait, try again
///     +------+
/// ```
#[derive(Debug)]
pub struct Supervised {
    shared: Arc<Shared>,
    task: AbortHandle,
}

/// What one learns from a [`Supervised`] connection.
#[derive(Clone, Debug)]
pub enum Notice {
    /// There is a connection, and its events are registered. What happened before is not told: list all domains.
    Connected(Connection),
    /// There is none, and why. Calls fail until the next `Connected`.
    Disconnected(Arc<Error>),
    /// Something happened to a domain.
    Event(Arc<DomainEvent>),
    /// Notices were lost, since they were not taken in time: list all domains. Where one of those may have been about the
    /// connection, whether there is one is told next.
    Lagged {
        /// How many at most.
        missed: u64,
    },
}

/// The notices of a [`Supervised`] connection, from the present state on.
#[derive(Debug)]
pub struct Notices {
    first: Option<Notice>,
    notices: broadcast::Receiver<Notice>,
    shared: Weak<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Held while a notice of a change is sent, so that state and notices tell the same story.
    state: Mutex<Result<Connection, Arc<Error>>>,
    notices: broadcast::Sender<Notice>,
}

impl Supervised {
    /// Starts connecting. Needs a tokio runtime, in which it works from then on.
    #[must_use]
    pub fn start(options: Options, kinds: Vec<EventKind>, backoff: Backoff) -> Self {
        let not_yet = Arc::new(Error::Connect(Arc::new(ConnectError::NotYet)));
        let notices = broadcast::Sender::new(options.events.max(1));
        let shared = Arc::new(Shared { state: Mutex::new(Err(not_yet)), notices });
        let task = tokio::spawn(run(Arc::clone(&shared), options, kinds, backoff)).abort_handle();
        Self { shared, task }
    }

    /// The connection, for one call or a few: the next time, ask again. Fails at once while there is none.
    pub fn connection(&self) -> Result<Connection, Error> {
        match &*self.shared.state() {
            // One that has ended is about to be told of.
            Ok(connection) => match connection.end() {
                None => Ok(connection.clone()),
                Some(end) => Err(Error::Disconnected { why: end.into() }),
            },
            Err(why) => Err(Error::Disconnected { why: Arc::clone(why) }),
        }
    }

    /// What happens from now on; first of all, the present state.
    #[must_use]
    pub fn notices(&self) -> Notices {
        let state = self.shared.state();
        let notices = self.shared.notices.subscribe();
        Notices { first: Some(notice(&state)), notices, shared: Arc::downgrade(&self.shared) }
    }

    /// Ends the connection, and makes none any more. Returns when libvirt has answered what it was sent, or
    /// [`Options::answer_timeout`](crate::Options::answer_timeout) later: a process that ends before may take libvirt 9.0 with it.
    pub async fn end(&self) {
        self.end_now();
        let connection = self.shared.state().as_ref().ok().cloned();
        if let Some(connection) = connection {
            connection.read_to_its_end().await;
        }
    }

    fn end_now(&self) {
        // A notice that nobody has taken may still hold it. First, so that the subscription, which goes with the task, has
        // nothing deregistered any more.
        if let Ok(connection) = &*self.shared.state() {
            connection.end_now();
        }
        self.task.abort();
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.end_now();
    }
}

impl Notices {
    /// The next notice, waited for. None when the [`Supervised`] is dropped. Cancel safe.
    pub async fn next(&mut self) -> Option<Notice> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        match self.notices.recv().await {
            Ok(notice) => Some(notice),
            Err(broadcast::error::RecvError::Closed) => None,
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                self.first = self.shared.upgrade().map(|shared| notice(&shared.state()));
                Some(Notice::Lagged { missed })
            }
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, Result<Connection, Arc<Error>>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, to: Result<Connection, Arc<Error>>) {
        let mut state = self.state();
        *state = to;
        // Nobody may be listening.
        let _ = self.notices.send(notice(&state));
    }
}

fn notice(state: &Result<Connection, Arc<Error>>) -> Notice {
    match state {
        Ok(connection) => Notice::Connected(connection.clone()),
        Err(why) => Notice::Disconnected(Arc::clone(why)),
    }
}

async fn run(shared: Arc<Shared>, options: Options, kinds: Vec<EventKind>, backoff: Backoff) {
    let mut wait = backoff.first;
    let mut told = false;
    loop {
        match connect(&options, &kinds).await {
            Ok((connection, subscription)) => {
                shared.change(Ok(connection));
                let why = pass_on(&shared, subscription).await;
                shared.change(Err(Arc::new(why)));
                (wait, told) = (backoff.first, true);
            }
            // A change is told; that it is still so is not.
            Err(why) if told => *shared.state() = Err(Arc::new(why)),
            Err(why) => {
                shared.change(Err(Arc::new(why)));
                told = true;
            }
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(backoff.longest);
    }
}

async fn connect(options: &Options, kinds: &[EventKind]) -> Result<(Connection, Subscription), Error> {
    let connection = Connection::open_apart(options).await?;
    let subscribed = tokio::time::timeout(options.open_timeout, connection.subscribe(kinds)).await;
    let subscribed = subscribed.unwrap_or_else(|_| {
        let (path, waited_ms) = (connection.path().to_owned(), millis(options.open_timeout));
        Err(Error::Connect(Arc::new(ConnectError::Silent { path, waited_ms })))
    });
    if subscribed.is_err() {
        // What is still being asked for holds it, too.
        connection.end_now();
    }
    Ok((connection, subscribed?))
}

/// Passes events on until the connection ends, and tells why it did.
async fn pass_on(shared: &Shared, mut subscription: Subscription) -> Error {
    loop {
        let notice = match subscription.next().await {
            Ok(Delivery::Event(event)) => Notice::Event(event),
            Ok(Delivery::Lagged { missed }) => Notice::Lagged { missed },
            Err(why) => return why,
        };
        // Nobody may be listening.
        let _ = shared.notices.send(notice);
    }
}
