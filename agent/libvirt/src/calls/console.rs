//! Sitting at a domain: its serial line and its keyboard.

use crate::connection::Connection;
use crate::domain::Domain;
use crate::error::Error;
use crate::numbered::numbered;
use crate::stream::Stream;
use crate::wire::Procedure;
use crate::xdr::{Encode, Encoder};
use bitflags::bitflags;
use std::time::Duration;

/// How many keys are pressed at once at most (`REMOTE_DOMAIN_SEND_KEY_MAX`).
const KEYS_MAX: usize = 16;

bitflags! {
    /// How a console is opened (`virDomainConsoleFlags`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct ConsoleFlags: u32 {
        /// Whoever has it open loses it.
        const FORCE = 1;
        /// Only if nobody else can have it open at the same time.
        const SAFE = 2;
    }
}

numbered! {
    /// Whose numbers of keys they are (`virKeycodeSet`).
    Keycodes {
        /// Those of Linux (input-event-codes.h): 30 is A, 28 is Enter.
        Linux = 0,
        /// Those of the first PC's keyboard.
        Xt = 1,
        /// Those of the USB specification.
        Usb = 8,
        /// Those of QEMU.
        Qnum = 10,
    }
}

impl Connection {
    /// Opens a domain's serial line or console (`virDomainOpenConsole`): the first one, or the one with that alias,
    /// `serial1`. What the guest wrote before is not there any more, but for what fits in a pipe.
    pub async fn domain_open_console(
        &self,
        domain: &Domain,
        device: Option<&str>,
        flags: ConsoleFlags,
    ) -> Result<Stream, Error> {
        self.open_stream(Procedure::DomainOpenConsole, (domain, device, flags.bits())).await
    }

    /// Presses these keys together, and lets go of them after `hold` (`virDomainSendKey`).
    pub async fn domain_send_key(
        &self,
        domain: &Domain,
        codes: Keycodes,
        hold: Duration,
        keys: &[u32],
    ) -> Result<(), Error> {
        let hold_ms = u32::try_from(hold.as_millis()).unwrap_or(u32::MAX);
        let arguments = (domain, i32::from(codes), hold_ms, Keys(keys), 0u32);
        self.call(Procedure::DomainSendKey, arguments).await
    }
}

struct Keys<'a>(&'a [u32]);

impl Encode for Keys<'_> {
    fn encode(&self, to: &mut Encoder) {
        to.list(self.0, KEYS_MAX);
    }
}
