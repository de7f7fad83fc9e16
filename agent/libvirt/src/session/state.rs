//! Who waits for which serial on a connection: the part that all tasks and callers touch under one lock, held for
//! moments only.

use super::inbox::Inbox;
use crate::error::{End, Error};
use crate::wire::Procedure;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

#[derive(Default)]
pub(super) struct State {
    pub(super) serial: u32,
    pub(super) calls: HashMap<u32, Call>,
    pub(super) streams: HashMap<u32, OpenStream>,
    pub(super) ended: Option<End>,
    /// We have taken leave: that libvirt closes the connection is no surprise.
    pub(super) leaving: bool,
}

/// A call whose frame is sent or waits to be, so that libvirt will answer it. It stays until then, even when its
/// caller is gone: the answer has to belong to something, and the work is still being done.
pub(super) struct Call {
    pub(super) procedure: Procedure,
    pub(super) caller: oneshot::Sender<Result<Vec<u8>, Error>>,
    pub(super) _turn: OwnedSemaphorePermit,
}

/// A stream that libvirt may still send on.
pub(super) struct OpenStream {
    pub(super) procedure: Procedure,
    pub(super) inbox: Arc<Inbox>,
}

impl State {
    /// A serial that nothing open has. 0 belongs to messages.
    pub(super) fn next_serial(&mut self) -> u32 {
        loop {
            self.serial = self.serial.wrapping_add(1);
            let taken = self.calls.contains_key(&self.serial) || self.streams.contains_key(&self.serial);
            if self.serial != 0 && !taken {
                return self.serial;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::Semaphore;

    #[tokio::test]
    async fn serials_are_neither_0_nor_in_use() {
        let mut state = State { serial: u32::MAX - 1, ..State::default() };
        let turns = Arc::new(Semaphore::new(1));
        let turn = turns.acquire_owned().await.unwrap();
        let call = Call { procedure: Procedure::ConnectOpen, caller: oneshot::channel().0, _turn: turn };
        state.calls.insert(1, call);
        let inbox = Arc::new(Inbox::new(1));
        state.streams.insert(2, OpenStream { procedure: Procedure::DomainOpenConsole, inbox });
        assert_eq!([state.next_serial(), state.next_serial()], [u32::MAX, 3]);
    }
}
