//! Sitting at a domain: its serial line and its keyboard.

use crate::connection::Connection;
use crate::domain::Domain;
use crate::error::Error;
use crate::numbered::numbered;
use crate::stream::Stream;
use crate::wire::Procedure;
use crate::xdr::Slice;
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
        /// Set 1 of the AT keyboard: the same numbers.
        AtSet1 = 2,
        /// Set 2 of the AT keyboard.
        AtSet2 = 3,
        /// Set 3 of the AT keyboard.
        AtSet3 = 4,
        /// Those of macOS.
        Osx = 5,
        /// Those of the PC's keyboard driver of X.
        XtKbd = 6,
        /// Those of the USB specification.
        Usb = 7,
        /// Those of Windows.
        Win32 = 8,
        /// Those of QEMU.
        Qnum = 9,
    }
}

impl Connection {
    /// Opens a domain's serial line or console (`virDomainOpenConsole`): the first one, or the one with that alias,
    /// `serial1`. What the guest wrote before is not there any more, but for what fits in a pipe. Of one that takes
    /// nothing, [`Stream::write`] tells.
    pub async fn domain_open_console(
        &self,
        domain: &Domain,
        device: Option<&str>,
        flags: ConsoleFlags,
    ) -> Result<Stream, Error> {
        self.open_stream(Procedure::DomainOpenConsole, (domain, device, flags.bits())).await
    }

    /// Presses these keys together, 16 at most, and lets go of them after `hold`, which is told in whole milliseconds
    /// (`virDomainSendKey`).
    pub async fn domain_send_key(
        &self,
        domain: &Domain,
        codes: Keycodes,
        hold: Duration,
        keys: &[u32],
    ) -> Result<(), Error> {
        let hold_ms = u32::try_from(hold.as_millis()).unwrap_or(u32::MAX);
        let arguments = (domain, i32::from(codes), hold_ms, Slice::<_, KEYS_MAX>(keys), 0u32);
        self.call(Procedure::DomainSendKey, arguments).await
    }
}
