//! What the log says of peers that do not get in. Each address is told of once in a while, and only so many of them, so that
//! nobody can fill the log; how many more there were is said with the next one.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::places::group;
use crate::tls::refused;

/// How long one line about an address and a cause is enough.
const WINDOW: Duration = Duration::from_secs(60);

/// Lines within that time.
const LINES: usize = 32;

/// What was said, and what was not.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    since: Option<Instant>,
    said: HashSet<(IpAddr, &'static str)>,
    unsaid: u64,
}

impl Refusals {
    /// Tells that `peer` was refused because of `error`. Whoever only looks whether the port is open is no news.
    pub fn note(&self, peer: SocketAddr, error: &io::Error) {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return;
        }
        let (cause, remedy) = refused::of_peer(error);
        let Some(unsaid) = self.admit(peer.ip(), cause, Instant::now()) else { return };
        let details = if refused::is_told_in_full(error) { String::new() } else { format!(" ({error})") };
        let more = match unsaid {
            0 => String::new(),
            more => format!(" ({more} more were refused since that are not listed)"),
        };
        tracing::warn!("refused {peer}: {cause}{details}; {remedy}{more}");
    }

    /// Whether this is to be said at `now`, with how many before were not.
    fn admit(&self, address: IpAddr, cause: &'static str, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.since.is_none_or(|since| now.saturating_duration_since(since) >= WINDOW) {
            state.since = Some(now);
            state.said.clear();
        }
        if state.said.len() >= LINES || !state.said.insert((group(address), cause)) {
            state.unsaid += 1;
            return None;
        }
        Some(std::mem::take(&mut state.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_and_cause_is_said_once_in_a_while_and_never_many() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        let here = |last: u32| IpAddr::from((0xc000_0200 + last).to_be_bytes());
        assert_eq!(refusals.admit(here(1), "a", now), Some(0));
        assert_eq!(refusals.admit(here(1), "a", now), None);
        assert_eq!(refusals.admit(here(1), "b", now), Some(1));
        let said = (0..1000).filter(|last| refusals.admit(here(*last), "c", now).is_some()).count();
        assert_eq!(said, LINES - 2);
        let later = now + WINDOW;
        assert_eq!(refusals.admit(here(1), "a", later), Some(1000 - said as u64));
        assert_eq!(refusals.admit(here(1), "a", later), None);
    }
}
