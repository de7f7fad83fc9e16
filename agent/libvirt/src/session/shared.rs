//! What the two tasks and all callers of a connection share, and how calls, streams and the end pass through it.

use super::inbox::Inbox;
use super::state::{Call, OpenStream, State};
use crate::error::{End, Error, millis};
use crate::events::DomainEvent;
use crate::wire::frame::{Frame, Header, MAX_BODY_BYTES, MessageStatus, MessageType};
use crate::wire::keepalive::Keepalive;
use crate::wire::{Direction, FrameObserver, Procedure, SeenFrame};
use crate::xdr::EncodeError;
use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc, oneshot, watch};
use tokio::time::Instant;

/// The bounds of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) calls_in_flight: usize,
    pub(crate) events: usize,
    pub(crate) stream_bytes: usize,
    pub(crate) keepalive: Option<Keepalive>,
    pub(crate) answer_timeout: Duration,
}

/// The ways to the task that writes.
pub(super) struct Outbound {
    pub(super) queue: mpsc::Sender<Frame>,
    pub(super) urgent: mpsc::Sender<Frame>,
    pub(super) aborts: mpsc::UnboundedSender<Frame>,
}

/// See the module.
pub(crate) struct Shared {
    state: Mutex<State>,
    out: Outbound,
    in_flight: Arc<Semaphore>,
    /// libvirt has opened the hypervisor.
    open: AtomicBool,
    /// How many calls were answered: a sign that libvirt gets on with them.
    answered: AtomicU64,
    /// How many calls libvirt was sent and has not answered, whether or not somebody waits for that.
    unanswered: watch::Sender<usize>,
    end: watch::Sender<Option<End>>,
    /// Nothing is read any more.
    read: watch::Sender<bool>,
    pub(crate) events: broadcast::Sender<Arc<DomainEvent>>,
    pub(crate) limits: Limits,
    observer: Option<Arc<dyn FrameObserver>>,
}

impl Shared {
    pub(super) fn new(out: Outbound, limits: Limits, observer: Option<Arc<dyn FrameObserver>>) -> Self {
        Self {
            state: Mutex::default(),
            out,
            in_flight: Arc::new(Semaphore::new(limits.calls_in_flight.max(1))),
            open: AtomicBool::new(false),
            answered: AtomicU64::new(0),
            unanswered: watch::Sender::new(0),
            end: watch::Sender::new(None),
            read: watch::Sender::new(false),
            events: broadcast::Sender::new(limits.events.max(1)),
            limits,
            observer,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held, and if it did, the maps would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Signs of life are wanted from now on.
    pub(crate) fn opened(&self) {
        self.open.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// Sends a call and waits for its reply, for `limit` at most. Given up before it is queued, it is never sent;
    /// after that, it is sent whole, and its reply dropped. With an inbox, a stream is open from then on.
    pub(crate) async fn call(
        &self,
        procedure: Procedure,
        body: Vec<u8>,
        limit: Option<Duration>,
        stream: Option<&Arc<Inbox>>,
    ) -> Result<(u32, Vec<u8>), Error> {
        if body.len() > MAX_BODY_BYTES {
            let why = EncodeError::ArgumentsTooLong { len: body.len(), max: MAX_BODY_BYTES };
            return Err(Error::Arguments { procedure, why });
        }
        let asked = Instant::now();
        let patience = self.limits.answer_timeout;
        let mut wait = pin!(self.turn());
        let (turn, slot) = loop {
            let answered = self.answered.load(Ordering::Relaxed);
            if let Ok(turn) = tokio::time::timeout(patience, &mut wait).await {
                break turn?;
            }
            // Where many are started at once, and libvirt gets on with them, what has no limit waits on.
            if limit.is_some() || answered == self.answered.load(Ordering::Relaxed) {
                let before = self.limits.calls_in_flight.max(1);
                return Err(Error::Busy { procedure, waited_ms: millis(patience), before });
            }
        };
        let (caller, reply) = oneshot::channel();
        let serial = {
            let mut state = self.state();
            if let Some(end) = &state.ended {
                return Err(Error::NotSent { why: end.clone() });
            }
            if state.leaving && procedure != Procedure::ConnectClose {
                return Err(Error::NotSent { why: End::Closed });
            }
            let serial = state.next_serial();
            state.calls.insert(serial, Call { procedure, caller, _turn: turn });
            if let Some(inbox) = stream {
                state.streams.insert(serial, OpenStream { procedure, inbox: Arc::clone(inbox) });
            }
            serial
        };
        let header = Header::new(procedure, MessageType::Call, serial, MessageStatus::Ok);
        slot.send(Frame { header, body });
        let mut opening = Opening { shared: self, header, inbox: stream };
        let reply = match limit {
            None => reply.await,
            Some(limit) => tokio::time::timeout_at(asked + limit, reply)
                .await
                .map_err(|_| Error::NoAnswer { procedure, waited_ms: millis(limit) })?,
        };
        opening.inbox = None;
        // The other end goes only together with the whole state, which ends by an error for everyone.
        Ok((serial, reply.unwrap_or(Err(Error::Ended(End::Closed)))?))
    }

    /// Waits until libvirt may be given one more call.
    async fn turn(&self) -> Result<(OwnedSemaphorePermit, mpsc::Permit<'_, Frame>), Error> {
        let free = async {
            let turn = Arc::clone(&self.in_flight).acquire_owned().await.ok()?;
            Some((turn, self.out.queue.reserve().await.ok()?))
        };
        tokio::select! {
            Some(free) = free => Ok(free),
            why = self.ended() => Err(Error::NotSent { why }),
        }
    }

    /// Sends data of a stream, or its end, in turn with the calls.
    pub(crate) async fn send(&self, frame: Frame) -> Result<(), Error> {
        tokio::select! {
            Ok(()) = self.out.queue.send(frame) => Ok(()),
            end = self.ended() => Err(end.into()),
        }
    }

    /// Sends before everything else, without waiting. False when too much waits already.
    pub(crate) fn send_urgent(&self, frame: Frame) -> bool {
        self.out.urgent.try_send(frame).is_ok()
    }

    /// Gives a reply to its caller.
    pub(crate) fn replied(&self, header: &Header, result: Result<Vec<u8>, Error>) -> Result<(), End> {
        let mut state = self.state();
        let belongs = |call: &Call| header.known() == Some(call.procedure);
        // Where it does not, the caller stays, to learn with all others how the connection ended.
        let found = state.calls.get(&header.serial).is_some_and(belongs);
        let Some(call) = found.then(|| state.calls.remove(&header.serial)).flatten() else {
            let (number, serial) = (header.procedure, header.serial);
            return Err(End::Protocol(format!(
                "a reply to procedure {number} as {serial}, which was not called"
            )));
        };
        if result.is_err() {
            // Where opening a stream fails, there is none.
            state.streams.remove(&header.serial);
        }
        let opened = state.streams.get(&header.serial).map(|stream| Arc::clone(&stream.inbox));
        drop(state);
        self.answered.fetch_add(1, Ordering::Relaxed);
        if let (Err(_), Some(inbox)) = (call.caller.send(result), opened) {
            // Nobody waits for the stream any more.
            self.abort_stream(*header, &inbox);
        }
        Ok(())
    }

    /// The inbox of the stream that a frame belongs to; none where that is over, and the frame too late.
    pub(crate) fn stream(&self, header: &Header) -> Option<Arc<Inbox>> {
        let state = self.state();
        let stream = state.streams.get(&header.serial)?;
        (header.known() == Some(stream.procedure)).then(|| Arc::clone(&stream.inbox))
    }

    /// Gives a stream up, unless it is over. It is forgotten when libvirt has confirmed that.
    pub(crate) fn abort_stream(&self, header: Header, inbox: &Inbox) {
        if inbox.end(Err(Error::StreamOver)) {
            self.send_abort(header);
        }
    }

    /// Tells libvirt that a stream is given up.
    pub(crate) fn send_abort(&self, header: Header) {
        let header = Header { kind: MessageType::Stream, status: MessageStatus::Error, ..header };
        // Fails only once nothing is written any more.
        let _ = self.out.aborts.send(Frame { header, body: Vec::new() });
    }

    /// Whether libvirt has answered the call that opened a stream which it may still send on.
    fn is_answered(&self, serial: u32) -> bool {
        let state = self.state();
        state.streams.contains_key(&serial) && !state.calls.contains_key(&serial)
    }

    /// Forgets a stream on which nothing can come any more.
    pub(crate) fn forget_stream(&self, serial: u32) {
        self.state().streams.remove(&serial);
    }

    /// Ends the connection: everyone who waits gets this cause, unless it ended before.
    pub(crate) fn end(&self, end: End) {
        let mut state = self.state();
        if state.ended.is_some() {
            return;
        }
        let end = if state.leaving { End::Closed } else { end };
        state.ended = Some(end.clone());
        let (calls, streams) = (std::mem::take(&mut state.calls), std::mem::take(&mut state.streams));
        drop(state);
        self.end.send_replace(Some(end.clone()));
        for call in calls.into_values() {
            let _ = call.caller.send(Err(end.clone().into()));
        }
        for stream in streams.into_values() {
            stream.inbox.end(Err(end.clone().into()));
        }
    }

    /// From now on, the connection may end, and nothing is called but its end.
    pub(crate) fn leave(&self) {
        self.state().leaving = true;
    }

    /// Waits until every call is answered that was made before. To be called by who has taken leave.
    pub(crate) async fn all_answered(&self) {
        let turns = self.limits.calls_in_flight.max(1);
        // It is never closed; and permits are counted in 32 bits.
        let _ = self.in_flight.acquire_many(u32::try_from(turns).unwrap_or(u32::MAX)).await;
    }

    /// A call is about to be written.
    pub(super) fn sends_call(&self) {
        self.unanswered.send_modify(|count| *count += 1);
    }

    /// A call is answered, or was not written to its end.
    pub(super) fn call_is_over(&self) {
        self.unanswered.send_modify(|count| *count = count.saturating_sub(1));
    }

    /// Whether libvirt owes an answer.
    pub(super) fn owes(&self) -> bool {
        *self.unanswered.borrow() > 0
    }

    /// Nothing is read any more.
    pub(super) fn stops_reading(&self) {
        self.read.send_replace(true);
    }

    /// Waits until nothing is read any more: after the end of the connection, until libvirt has answered what it was sent.
    pub(crate) async fn read_to_its_end(&self) {
        // The other end is this one's.
        let _ = self.read.subscribe().wait_for(|read| *read).await;
    }

    /// Waits for the end.
    pub(crate) async fn ended(&self) -> End {
        let mut end = self.end.subscribe();
        let ended = end.wait_for(Option::is_some).await;
        ended.ok().and_then(|end| end.clone()).unwrap_or(End::Closed)
    }

    /// How it ended, if it did.
    pub(crate) fn end_now(&self) -> Option<End> {
        self.state().ended.clone()
    }

    /// How many calls and streams are known: 0 when nothing is going on.
    pub(crate) fn open(&self) -> (usize, usize) {
        let state = self.state();
        (state.calls.len(), state.streams.len())
    }

    pub(crate) fn observe(&self, direction: Direction, frame: &Frame) {
        if let Some(observer) = &self.observer {
            observer.frame(SeenFrame::new(direction, &frame.header, frame.body.len()));
        }
    }
}

/// A stream whose opener may give up between the reply and the moment at which he looks at it. Before the reply, it is
/// the reply that finds nobody waiting.
struct Opening<'a> {
    shared: &'a Shared,
    header: Header,
    inbox: Option<&'a Arc<Inbox>>,
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        if let Some(inbox) = self.inbox
            && self.shared.is_answered(self.header.serial)
        {
            self.shared.abort_stream(self.header, inbox);
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("end", &self.end_now()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn changes_wait_for_their_turn_as_long_as_libvirt_gets_on() {
        let ((queue, mut queued), (urgent, _urgents)) = (mpsc::channel(9), mpsc::channel(9));
        let (aborts, _aborted) = mpsc::unbounded_channel();
        let patience = Duration::from_secs(30);
        let limits = Limits {
            calls_in_flight: 1,
            events: 1,
            stream_bytes: 1,
            keepalive: None,
            answer_timeout: patience,
        };
        let shared = Arc::new(Shared::new(Outbound { queue, urgent, aborts }, limits, None));
        let callers: Vec<_> = (0..5)
            .map(|_| {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    shared.call(Procedure::DomainCreateWithFlags, Vec::new(), None, None).await
                })
            })
            .collect();
        // The last of the first four waits for its turn nearly three times as long as one may without an answer.
        for _ in 0..4 {
            let mut header = queued.recv().await.unwrap().header;
            header.kind = MessageType::Reply;
            tokio::time::sleep(patience - Duration::from_secs(1)).await;
            shared.replied(&header, Ok(Vec::new())).unwrap();
        }
        // From here on, it is stuck: with the fifth, which is sent and waited for, and with one that waits for its turn.
        let fifth = queued.recv().await.unwrap();
        let late = shared.call(Procedure::DomainCreateWithFlags, Vec::new(), None, None).await;
        assert!(matches!(late, Err(Error::Busy { waited_ms: 30_000, before: 1, .. })), "{late:?}");
        shared.replied(&Header { kind: MessageType::Reply, ..fifth.header }, Ok(Vec::new())).unwrap();
        for caller in callers {
            caller.await.unwrap().unwrap();
        }
    }
}
