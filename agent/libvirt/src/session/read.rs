//! The task that reads: replies to their callers, data to its stream, events to whoever listens, signs of life back.
//! It never waits for any of them, so that one that does not read cannot hold up the others.

use super::shared::Shared;
use crate::error::{End, Error, millis};
use crate::events::DomainEvent;
use crate::remote_error::RemoteError;
use crate::wire::frame::{Frame, Header, MessageStatus, MessageType};
use crate::wire::keepalive::{self, Beat, Pulse};
use crate::wire::reader::ReadError;
use crate::wire::{Direction, FrameReader, Procedure, Program};
use crate::xdr::Decode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::unix::OwnedReadHalf;
use tokio::time::MissedTickBehavior;

pub(super) async fn run(shared: Arc<Shared>, mut from: FrameReader<OwnedReadHalf>) {
    let _read = Read(&shared);
    let keepalive = shared.limits.keepalive;
    let interval = keepalive.map_or(Duration::from_secs(3600), |keepalive| keepalive.interval);
    let mut ticks = tokio::time::interval(interval.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is at once.
    ticks.tick().await;
    let mut pulse = Pulse::default();
    let end = loop {
        let frame = tokio::select! {
            biased;
            end = shared.ended() => {
                // Before that, it knows nothing of us that it could stumble over.
                if matches!(end, End::Closed) && shared.is_open() {
                    answers_to_nobody(&shared, from).await;
                }
                return;
            }
            frame = from.next() => frame,
            _ = ticks.tick() => {
                // A daemon that starts answers nothing for a while: until it is open, its opener's patience counts.
                let Some(keepalive) = keepalive.filter(|_| shared.is_open()) else { continue };
                match pulse.beat(keepalive.count) {
                    Beat::Nothing => {}
                    // Where it cannot be queued, libvirt does not read: that counts as unanswered too.
                    Beat::Ping => drop(shared.send_urgent(keepalive::frame(Procedure::KeepalivePing))),
                    Beat::Dead => {
                        break End::Dead { silent_ms: millis(keepalive.interval * (keepalive.count + 1)) };
                    }
                }
                continue;
            }
        };
        pulse.heard();
        let handled = match frame {
            Ok(frame) => {
                if frame.header.kind == MessageType::Reply {
                    shared.call_is_over();
                }
                shared.observe(Direction::In, &frame);
                handle(&shared, frame)
            }
            Err(ReadError::End) => Err(End::ByPeer),
            Err(ReadError::EndWithin) => {
                Err(End::Protocol("it closed the connection within a frame".to_owned()))
            }
            Err(ReadError::Io(error)) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                Err(End::ByPeer)
            }
            Err(ReadError::Io(error)) => Err(End::Io(Arc::new(error))),
            Err(ReadError::Frame(error)) => Err(End::Garbage(error)),
        };
        if let Err(end) = handled {
            break end;
        }
    };
    shared.end(end);
}

/// Reads until libvirt has answered what it was sent, but not for ever.
async fn answers_to_nobody(shared: &Shared, mut from: FrameReader<OwnedReadHalf>) {
    let answered = async {
        while shared.owes() {
            match from.next().await {
                Ok(frame) if frame.header.kind == MessageType::Reply => shared.call_is_over(),
                Ok(_) => {}
                Err(_) => return,
            }
        }
    };
    let _ = tokio::time::timeout(shared.limits.answer_timeout, answered).await;
}

/// Tells, when it is dropped, that nothing is read any more.
struct Read<'a>(&'a Shared);

impl Drop for Read<'_> {
    fn drop(&mut self) {
        self.0.stops_reading();
    }
}

fn handle(shared: &Shared, frame: Frame) -> Result<(), End> {
    let Frame { header, body } = frame;
    let program = [Program::Remote, Program::Qemu, Program::Keepalive].into_iter();
    let Some(program) = program.into_iter().find(|program| program.number() == header.program) else {
        return Err(End::Protocol(format!("a frame of program {:#x}, which was not called", header.program)));
    };
    if header.version != program.version() {
        return Err(End::Protocol(format!("a frame of version {} of `{program:?}`", header.version)));
    }
    match (program, header.kind) {
        (Program::Keepalive, MessageType::Message) => {
            if header.known() == Some(Procedure::KeepalivePing) {
                // Where it cannot be queued, libvirt does not read, and would not see it.
                shared.send_urgent(keepalive::frame(Procedure::KeepalivePong));
            }
            Ok(())
        }
        (Program::Remote | Program::Qemu, MessageType::Message) => event(shared, &header, &body),
        (Program::Remote | Program::Qemu, MessageType::Reply) => match header.status {
            MessageStatus::Ok => shared.replied(&header, Ok(body)),
            MessageStatus::Error => shared.replied(&header, Err(remote_error(&body)?)),
            MessageStatus::Continue => Err(End::Protocol("a reply that is to be continued".to_owned())),
        },
        (Program::Remote | Program::Qemu, MessageType::Stream) => stream(shared, &header, &body),
        (
            _,
            MessageType::Call
            | MessageType::Reply
            | MessageType::Stream
            | MessageType::CallWithFds
            | MessageType::ReplyWithFds
            | MessageType::StreamHole,
        ) => Err(End::Protocol(format!("a `{:?}` of `{program:?}`, which a client never gets", header.kind))),
    }
}

fn remote_error(body: &[u8]) -> Result<Error, End> {
    match RemoteError::from_bytes(body) {
        Ok(error) => Ok(Error::Remote(Arc::new(error))),
        Err(error) => Err(End::Protocol(format!("an error that cannot be read: {error}"))),
    }
}

fn event(shared: &Shared, header: &Header, body: &[u8]) -> Result<(), End> {
    // A message that we have no name for was not asked for; libvirt may still have reason to send it.
    let Some(procedure) = header.known() else { return Ok(()) };
    match DomainEvent::from_message(procedure, body) {
        Ok(Some(event)) => {
            // Nobody may be listening.
            let _ = shared.events.send(Arc::new(event));
            Ok(())
        }
        Ok(None) => Ok(()),
        Err(error) => {
            Err(End::Protocol(format!("an event `{}` that cannot be read: {error}", procedure.name())))
        }
    }
}

fn stream(shared: &Shared, header: &Header, body: &[u8]) -> Result<(), End> {
    // A stream that is over on our side may still bring what was on its way.
    let Some(inbox) = shared.stream(header) else { return Ok(()) };
    match header.status {
        MessageStatus::Continue => {
            if !inbox.push(body) {
                shared.send_abort(*header);
            }
        }
        MessageStatus::Ok => {
            shared.forget_stream(header.serial);
            inbox.end(Ok(()));
        }
        MessageStatus::Error => {
            shared.forget_stream(header.serial);
            inbox.end(Err(remote_error(body)?));
        }
    }
    Ok(())
}
