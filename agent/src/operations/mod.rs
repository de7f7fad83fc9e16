//! Operations: what the server ordered, remembered, so that asking again costs nothing and does nothing twice.
//!
//! ```text
//!                      record on disk          answer known
//!   (nothing) ------------> Started --------------------------> Finished ---> (pruned)
//!                           |  ^   |                               |
//!          the agent died,  |  |   | the hypervisor is away        | a repeat gets the
//!          or failed itself |  |   v                               | same answer
//!                           +--+  Postponed ---> (pruned)
//!        a repeat: Again ---^        | a repeat: Again
//!                           ^--------+
//! ```
//!
//! - A record is on disk before the work starts. What cannot be recorded is not started.
//! - The work belongs to nobody who waits for it: a caller who hangs up changes nothing, and one who repeats the order
//!   meanwhile waits for the same answer.
//! - An id belongs to one request. The same id with another request is refused.
//! - An order that was recorded by an agent of another version of the protocol, before an upgrade or a way back, cannot be compared by
//!   its arguments, nor its reply be used. A refusal of it stands; anything else is tried again, and its record stays one of
//!   the other version, so that an agent of that one tries again, too.
//! - Finished and postponed operations are kept for [`KEPT_FOR`], the last [`KEPT_ALWAYS`] of them longer, as a clock may jump,
//!   and at most [`KEPT`]. One that is [`Started`] is kept until it is repeated: nobody else knows how far it got. Of those that
//!   nobody repeats, an agent that starts keeps the last [`KEPT_BEGUN`].
//! - Once the agent is told to stop, nothing begins any more. What waits for its turn is sent back, and leaves no record.
//!
//! [`Started`]: record::Progress::Started

mod ended;
pub mod record;
mod store;
#[cfg(test)]
mod tests;
pub mod turn;

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use agent_hypervisor::Attempt;
use agent_protocol::envelope::FailureCode;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use uuid::Uuid;

use crate::refusal::Refusal;
use ended::Ended;
use record::{FORMAT, Outcome, Progress, Record};
use store::Store;
use turn::{About, Interest, Subject, Turn, Turns};

/// How long the answer of an operation is kept.
pub const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How many answers are kept, however old they seem.
pub const KEPT_ALWAYS: usize = 1_000;

/// How many answers are kept at most.
pub const KEPT: usize = 10_000;

/// How many operations that nobody repeats are kept at most.
pub const KEPT_BEGUN: usize = 1_000;

/// How many of them an agent that starts tells one by one.
const TOLD: usize = 10;

/// An operation that was ordered.
#[derive(Debug)]
pub struct Order {
    /// Its id.
    pub operation: Uuid,
    /// Name of the call.
    pub call: &'static str,
    /// SHA-256 of the request's arguments, in hexadecimal.
    pub request_sha256: String,
    /// What it works on.
    pub subjects: BTreeSet<Subject>,
    /// Whether it waits for others that do.
    pub turn: Turn,
}

/// All operations of this agent.
#[derive(Debug)]
pub struct Operations {
    store: Store,
    turns: Turns,
    /// Those under way, and those whose end could not be written.
    running: Mutex<HashMap<Uuid, Running>>,
    ended: Mutex<Ended>,
    /// How many are under way.
    busy: watch::Sender<usize>,
    /// True once the agent is to stop.
    ending: AtomicBool,
}

#[derive(Debug)]
struct Running {
    call: &'static str,
    request_sha256: String,
    answer: watch::Receiver<Option<Outcome>>,
}

impl Operations {
    /// The operations recorded in `folder`.
    #[must_use]
    pub fn new(folder: PathBuf) -> Arc<Self> {
        Arc::new(Self {
            store: Store::new(folder),
            turns: Turns::default(),
            running: Mutex::default(),
            ended: Mutex::default(),
            busy: watch::Sender::new(0),
            ending: AtomicBool::new(false),
        })
    }

    /// Looks at what an earlier agent left, says it, and forgets what is old. Reads files.
    pub fn look_back(&self) {
        let mut found = match self.store.scan() {
            Ok(found) => found,
            Err(error) => return tracing::warn!("cannot list the operations of earlier: {error}"),
        };
        found.unfinished.sort_by_key(|record| Reverse(record.started_at));
        for record in found.unfinished.iter().take(TOLD) {
            tracing::warn!(
                "`{}` was under way when the agent ended (operation {}); it carries on when the server asks again",
                record.name(),
                record.operation
            );
        }
        if let more @ 1.. = found.unfinished.len().saturating_sub(TOLD) {
            tracing::warn!("{more} more were under way when an earlier agent ended");
        }
        found.unfinished.iter().skip(KEPT_BEGUN).for_each(|record| self.store.remove(record.operation));
        for (path, cause) in found.unreadable {
            tracing::warn!("`{}` is no record of an operation: {cause}; move it away", path.display());
        }
        lock(&self.ended).extend(found.ended);
        self.prune();
    }

    /// Carries out an order, or answers as before. `work` is told whether it may have been tried before; it is done twice only if
    /// it was refused.
    pub async fn run<W, F>(self: &Arc<Self>, order: Order, work: W) -> Outcome
    where
        W: Fn(Attempt) -> F + Send + 'static,
        F: Future<Output = Outcome> + Send + 'static,
    {
        let operation = order.operation;
        let mut answer = match self.enter(&order) {
            Err(refusal) => return Outcome::Refused(refusal),
            Ok(Entered::Meanwhile(answer)) => answer,
            Ok(Entered::First(place, answer)) => {
                // A task of its own: it goes on when the caller hangs up.
                tokio::spawn(place.carry_out(order, work));
                answer
            }
        };
        // An error means that the task panicked, which has been logged.
        let answer = answer.wait_for(Option::is_some).await.ok().and_then(|answer| answer.clone());
        answer.unwrap_or_else(|| {
            let message = format!("the agent failed in operation {operation}; see its log and ask again");
            Outcome::Refused(Refusal::new(FailureCode::Internal, message))
        })
    }

    /// From now on nothing begins.
    pub fn end(&self) {
        self.ending.store(true, Ordering::SeqCst);
    }

    /// Returns once nothing is under way.
    pub async fn idle(&self) {
        // Never closed: the sender is ours.
        let _ = self.busy.subscribe().wait_for(|busy| *busy == 0).await;
    }

    /// Either joins those who wait for the operation, or becomes the one who carries it out.
    fn enter(self: &Arc<Self>, order: &Order) -> Result<Entered, Refusal> {
        let mut running = lock(&self.running);
        if let Some(other) = running.get(&order.operation) {
            order.check(other.call, &other.request_sha256)?;
            return Ok(Entered::Meanwhile(other.answer.clone()));
        }
        let (publish, answer) = watch::channel(None);
        running.insert(
            order.operation,
            Running {
                call: order.call,
                request_sha256: order.request_sha256.clone(),
                answer: answer.clone(),
            },
        );
        self.busy.send_modify(|busy| *busy += 1);
        let interest = self.turns.note(order.subjects.clone());
        let place = Place { all: self.clone(), operation: order.operation, interest, publish, keep: false };
        Ok(Entered::First(place, answer))
    }

    /// Forgets what is old, or too much.
    fn prune(&self) {
        let oldest = now().saturating_sub(KEPT_FOR.as_secs());
        // Locked until the files are gone: an operation that begins again must not lose its new record.
        let mut ended = lock(&self.ended);
        let old = ended.take_old(oldest, KEPT_ALWAYS, KEPT);
        old.into_iter().for_each(|operation| self.store.remove(operation));
    }

    /// What is known of an order. One that may begin is not pruned from here on.
    fn recall(&self, order: &Order) -> Result<Known, Refusal> {
        lock(&self.ended).remove(order.operation);
        let record = self.store.load(order.operation)?;
        let ended_at = record.as_ref().and_then(Record::ended_at);
        let known = order.judge(record);
        if !matches!(known, Ok(Known::ToDo(_))) {
            self.is_as_before(order.operation, ended_at);
        }
        known
    }

    /// Notes that an operation begins, if anything does.
    fn begin(&self, started: &Record) -> Result<(), Refusal> {
        if self.ending.load(Ordering::SeqCst) {
            let message = format!(
                "the operation {} was not begun, as the agent stops; it is done when it is sent to the next one",
                started.operation
            );
            return Err(Refusal::new(FailureCode::Unavailable, message));
        }
        self.store.save(started)
    }

    /// Notes that nothing came of a recall.
    fn is_as_before(&self, operation: Uuid, ended_at: Option<u64>) {
        if let Some(at) = ended_at {
            lock(&self.ended).insert(at, operation);
        }
    }
}

/// What is known of an order.
enum Known {
    /// The answer.
    Answer(Outcome),
    /// It is to be done.
    ToDo(ToDo),
}

/// How an order is to be done, and what its record says.
struct ToDo {
    attempt: Attempt,
    /// True if it was recorded by an agent of another version of the protocol.
    is_other: bool,
    call: String,
    request_sha256: String,
    started_at: u64,
    /// When it ended that it is done again, if it did.
    ended_at: Option<u64>,
}

impl Order {
    /// An order to make a call with `arguments`.
    ///
    /// # Errors
    /// If the arguments cannot be written.
    pub fn new<C: About>(operation: Uuid, arguments: &C::Request) -> Result<Self, Refusal> {
        // As this agent writes them, so that a server is free to order keys as it likes.
        let written = serde_json::to_vec(arguments).map_err(|error| {
            Refusal::new(
                FailureCode::Internal,
                format!("cannot write the arguments of `{}`: {error}; report this", C::NAME),
            )
        })?;
        let digest = Sha256::digest(written);
        let request_sha256 = digest.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        Ok(Self { operation, call: C::NAME, request_sha256, subjects: C::subjects(arguments), turn: C::TURN })
    }

    /// What its record means to it.
    fn judge(&self, record: Option<Record>) -> Result<Known, Refusal> {
        let Some(record) = record else {
            return Ok(Known::ToDo(ToDo {
                attempt: Attempt::First,
                is_other: false,
                call: Record::call(self.call),
                request_sha256: self.request_sha256.clone(),
                started_at: now(),
                ended_at: None,
            }));
        };
        let is_other = record.is_of_another_version();
        let sha256 = if is_other { &self.request_sha256 } else { &record.request_sha256 };
        self.check(record.name(), sha256)?;
        let ended_at = record.ended_at();
        Ok(match record.progress {
            Progress::Finished { outcome: refused @ Outcome::Refused(_), .. } => Known::Answer(refused),
            Progress::Finished { outcome, .. } if !is_other => Known::Answer(outcome),
            Progress::Finished { .. } | Progress::Started | Progress::Postponed { .. } => Known::ToDo(ToDo {
                attempt: Attempt::Again,
                is_other,
                call: record.call,
                request_sha256: record.request_sha256,
                started_at: record.started_at,
                ended_at,
            }),
        })
    }

    /// An id belongs to one request.
    fn check(&self, call: &str, request_sha256: &str) -> Result<(), Refusal> {
        if call == self.call && request_sha256 == self.request_sha256 {
            return Ok(());
        }
        let what = if call == self.call { "with other arguments" } else { "another call" };
        let message = format!(
            "the operation {} is `{call}`, and `{}` {what} came with its id; choose a new id for a new order",
            self.operation, self.call
        );
        Err(Refusal::new(FailureCode::OperationReused, message))
    }
}

enum Entered {
    First(Place, watch::Receiver<Option<Outcome>>),
    Meanwhile(watch::Receiver<Option<Outcome>>),
}

/// The place of an operation among those under way; given up when this is dropped, also by a panic.
struct Place {
    all: Arc<Operations>,
    operation: Uuid,
    interest: Interest,
    publish: watch::Sender<Option<Outcome>>,
    /// True if the answer is known here alone.
    keep: bool,
}

impl Place {
    async fn carry_out<W, F>(mut self, order: Order, work: W)
    where
        W: Fn(Attempt) -> F + Send,
        F: Future<Output = Outcome> + Send,
    {
        let answer = self.outcome(order, work).await.unwrap_or_else(Outcome::Refused);
        self.publish.send_replace(Some(answer));
    }

    async fn outcome<W, F>(&mut self, order: Order, work: W) -> Result<Outcome, Refusal>
    where
        W: Fn(Attempt) -> F + Send,
        F: Future<Output = Outcome> + Send,
    {
        let operation = self.operation;
        let turn = order.turn;
        let known = self.aside(move |all| all.recall(&order)).await??;
        let ToDo { attempt, is_other, call, request_sha256, started_at, ended_at } = match known {
            Known::Answer(outcome) => return Ok(outcome),
            Known::ToDo(todo) => todo,
        };
        let record = |progress| Record {
            format: FORMAT,
            operation,
            call: call.clone(),
            request_sha256: request_sha256.clone(),
            started_at,
            progress,
        };
        let started = record(Progress::Started);
        let mut guards = match turn {
            Turn::Waits => self.interest.turn().await,
            Turn::Overtakes => Vec::new(),
        };
        if let Err(refusal) = self.aside(move |all| all.begin(&started)).await? {
            self.all.is_as_before(operation, ended_at);
            return Err(refusal);
        }

        let mut outcome = work(attempt).await;
        if turn == Turn::Overtakes && self.interest.is_shared() && is_conflict(&outcome) {
            guards = self.interest.turn().await;
            outcome = work(attempt).await;
        }
        let at = lock(&self.all.ended).now(now());
        let ended = record(match &outcome {
            Outcome::Refused(refusal)
                if matches!(refusal.code, FailureCode::Unavailable | FailureCode::Interrupted) =>
            {
                Progress::Postponed { at }
            }
            Outcome::Refused(_) | Outcome::Reply(_) if is_other => Progress::Postponed { at },
            Outcome::Refused(_) | Outcome::Reply(_) => Progress::Finished { at, outcome: outcome.clone() },
        });
        let is_final = matches!(ended.progress, Progress::Finished { .. });
        let saved = self.aside(move |all| {
            all.store.save(&ended)?;
            lock(&all.ended).insert(at, operation);
            all.prune();
            Ok(())
        });
        if let Err(refusal) | Ok(Err(refusal)) = saved.await {
            tracing::warn!("operation {operation} ended and its answer is not on disk: {}", refusal.message);
            self.keep = is_final;
        }
        drop(guards);
        Ok(outcome)
    }

    /// Does something that blocks, where it holds nobody up.
    async fn aside<T: Send + 'static>(
        &self,
        what: impl FnOnce(&Operations) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let all = self.all.clone();
        tokio::task::spawn_blocking(move || what(&all)).await.map_err(|error| {
            Refusal::new(
                FailureCode::Internal,
                format!("the agent failed: {error}; see its log and ask again"),
            )
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.keep {
            lock(&self.all.running).remove(&self.operation);
        }
        self.all.busy.send_modify(|busy| *busy -= 1);
    }
}

/// Whether it was refused as things stand.
fn is_conflict(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Refused(refusal) if refusal.code == FailureCode::Conflict)
}

/// What is locked stays consistent between any two statements, so a panic elsewhere spoils nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}
