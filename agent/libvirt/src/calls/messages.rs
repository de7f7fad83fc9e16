//! What libvirt finds doubtful about a domain.

use crate::connection::Connection;
use crate::domain::Domain;
use crate::error::Error;
use crate::wire::Procedure;
use crate::xdr::List;
use bitflags::bitflags;

/// How many messages there are at most (`REMOTE_DOMAIN_MESSAGES_MAX`).
const MESSAGES_MAX: usize = 2048;

bitflags! {
    /// Which messages (`virDomainMessageType`); none means all.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct MessageFlags: u32 {
        /// That it uses what will be gone some day.
        const DEPRECATION = 1;
        /// That something was done to it that libvirt does not vouch for.
        const TAINTING = 2;
    }
}

impl Connection {
    /// What libvirt finds doubtful about a domain, as sentences (`virDomainGetMessages`, since libvirt 7.1).
    pub async fn domain_messages(&self, domain: &Domain, flags: MessageFlags) -> Result<Vec<String>, Error> {
        let List(messages) =
            self.call::<List<_, MESSAGES_MAX>>(Procedure::DomainGetMessages, (domain, flags.bits())).await?;
        Ok(messages)
    }
}
