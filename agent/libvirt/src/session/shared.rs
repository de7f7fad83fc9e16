//! What the two tasks and all callers of a connection share, and how calls, streams and the end pass through it.

use super::inbox::Inbox;
use super::state::{Call, OpenStream, State};
use crate::error::{End, Error};
use crate::events::DomainEvent;
use crate::wire::frame::{EMPTY_BYTES, Frame, Header, MAX_BYTES, MessageStatus, MessageType};
use crate::wire::keepalive::Keepalive;
use crate::wire::{Direction, FrameObserver, Procedure, SeenFrame};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot, watch};

/// The bounds of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) calls_in_flight: usize,
    pub(crate) events: usize,
    pub(crate) stream_bytes: usize,
    pub(crate) keepalive: Option<Keepalive>,
}

/// See the module.
pub(crate) struct Shared {
    state: Mutex<State>,
    queue: mpsc::Sender<Frame>,
    urgent: mpsc::Sender<Frame>,
    in_flight: Arc<Semaphore>,
    end: watch::Sender<Option<End>>,
    pub(crate) events: broadcast::Sender<Arc<DomainEvent>>,
    pub(crate) limits: Limits,
    observer: Option<Arc<dyn FrameObserver>>,
}

impl Shared {
    pub(crate) fn new(
        queue: mpsc::Sender<Frame>,
        urgent: mpsc::Sender<Frame>,
        limits: Limits,
        observer: Option<Arc<dyn FrameObserver>>,
    ) -> Self {
        Self {
            state: Mutex::default(),
            queue,
            urgent,
            in_flight: Arc::new(Semaphore::new(limits.calls_in_flight.max(1))),
            end: watch::Sender::new(None),
            events: broadcast::Sender::new(limits.events.max(1)),
            limits,
            observer,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held, and if it did, the maps would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a call and waits for its reply. Given up before it is queued, it is never sent; after that, it is sent
    /// whole, and its reply dropped. With an inbox, a stream is open from then on.
    pub(crate) async fn call(
        &self,
        procedure: Procedure,
        body: Vec<u8>,
        stream: Option<&Arc<Inbox>>,
    ) -> Result<(u32, Vec<u8>), Error> {
        if body.len() + EMPTY_BYTES > MAX_BYTES + 4 {
            let why = crate::xdr::EncodeError::StringTooLong { len: body.len() };
            return Err(Error::Arguments { procedure, why });
        }
        let turn = tokio::select! {
            Ok(turn) = Arc::clone(&self.in_flight).acquire_owned() => turn,
            end = self.ended() => return Err(end.into()),
        };
        let slot = tokio::select! {
            Ok(slot) = self.queue.reserve() => slot,
            end = self.ended() => return Err(end.into()),
        };
        let (caller, reply) = oneshot::channel();
        let serial = {
            let mut state = self.state();
            if let Some(end) = &state.ended {
                return Err(end.clone().into());
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
        // The other end goes only together with the whole state, which ends by an error for everyone.
        let body = reply.await.unwrap_or(Err(Error::Ended(End::Closed)))?;
        Ok((serial, body))
    }

    /// Sends data of a stream, or its end, in turn with the calls.
    pub(crate) async fn send(&self, frame: Frame) -> Result<(), Error> {
        tokio::select! {
            Ok(()) = self.queue.send(frame) => Ok(()),
            end = self.ended() => Err(end.into()),
        }
    }

    /// Sends before everything else, without waiting. False when too much waits already.
    pub(crate) fn send_urgent(&self, frame: Frame) -> bool {
        self.urgent.try_send(frame).is_ok()
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

    /// Gives a stream up. It is forgotten when libvirt has confirmed that.
    pub(crate) fn abort_stream(&self, header: Header, inbox: &Inbox) {
        inbox.end(Err(Error::StreamOver));
        let header = Header { kind: MessageType::Stream, status: MessageStatus::Error, ..header };
        // Where it cannot be queued, libvirt does not read, and the connection is about to be found dead.
        self.send_urgent(Frame { header, body: Vec::new() });
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

    /// From now on, the connection may end.
    pub(crate) fn leave(&self) {
        self.state().leaving = true;
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

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("end", &self.end_now()).finish_non_exhaustive()
    }
}
