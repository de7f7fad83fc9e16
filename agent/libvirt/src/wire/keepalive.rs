//! Signs of life (libvirt's page "libvirt RPC infrastructure", and `keepalive_interval` of its daemons): how we make
//! them, and when we give up on a peer. Sends nothing itself.

use super::frame::{Frame, Header, MessageStatus, MessageType};
use super::procedure::Procedure;
use std::time::Duration;

/// How a silent connection is found dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// How long nothing has to arrive before libvirt is asked whether it lives.
    pub interval: Duration,
    /// How many such questions may stay unanswered.
    pub count: u32,
}

impl Default for Keepalive {
    /// As libvirt's daemons have it: 5 seconds, 5 times.
    fn default() -> Self {
        Self { interval: Duration::from_secs(5), count: 5 }
    }
}

/// A question or an answer.
pub(crate) fn frame(procedure: Procedure) -> Frame {
    Frame { header: Header::new(procedure, MessageType::Message, 0, MessageStatus::Ok), body: Vec::new() }
}

/// What is known of a peer's life.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    heard: bool,
    unanswered: u32,
}

/// What to do when an interval is over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Beat {
    /// Something arrived in it.
    Nothing,
    /// Ask.
    Ping,
    /// It asked often enough.
    Dead,
}

impl Pulse {
    /// Something arrived: whatever it was, the peer lives.
    pub(crate) fn heard(&mut self) {
        *self = Self { heard: true, unanswered: 0 };
    }

    /// An interval is over.
    pub(crate) fn beat(&mut self, count: u32) -> Beat {
        if std::mem::take(&mut self.heard) {
            Beat::Nothing
        } else if self.unanswered >= count {
            Beat::Dead
        } else {
            self.unanswered += 1;
            Beat::Ping
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_peer_is_asked_then_given_up() {
        let mut pulse = Pulse::default();
        assert_eq!([pulse.beat(2), pulse.beat(2), pulse.beat(2)], [Beat::Ping, Beat::Ping, Beat::Dead]);
        let mut pulse = Pulse::default();
        assert_eq!(pulse.beat(1), Beat::Ping);
        pulse.heard();
        assert_eq!([pulse.beat(1), pulse.beat(1), pulse.beat(1)], [Beat::Nothing, Beat::Ping, Beat::Dead]);
    }

    #[test]
    fn a_ping_is_laid_out_as_documented() {
        let golden = b"\0\0\0\x1ckeep\0\0\0\x01\0\0\0\x01\0\0\0\x02\0\0\0\0\0\0\0\0";
        assert_eq!(frame(Procedure::KeepalivePing).to_bytes(), golden);
    }
}
