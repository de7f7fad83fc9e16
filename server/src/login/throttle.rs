//! Slows guessing down: an address may fail a few times, then has to wait, each time twice as long.
//!
//! An attempt counts as a failure when it begins and is forgiven when it succeeds, so that many at once gain nothing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use packaging_service::serve::places::group;

/// Failures that cost nothing.
const FREE: u32 = 5;

/// The first wait.
const FIRST_WAIT: Duration = Duration::from_secs(30);

/// The longest wait. An address that was quiet for so long after a wait starts over.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);

/// Addresses remembered. One more makes room by forgetting the one that was quiet longest.
const LIMIT: usize = 4096;

/// Failures by address.
#[derive(Debug, Default)]
pub struct Throttle {
    seen: Mutex<HashMap<IpAddr, Record>>,
}

#[derive(Debug)]
struct Record {
    failures: u32,
    until: Instant,
}

impl Throttle {
    /// Counts an attempt from `address` at `now`.
    ///
    /// # Errors
    /// With the time to wait, if the address has failed too often. That attempt does not count.
    pub fn admit(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let address = group(address);
        let mut seen = self.lock();
        seen.retain(|_, record| record.until + LONGEST_WAIT > now);
        if seen.len() >= LIMIT && !seen.contains_key(&address) {
            let quietest = seen.iter().min_by_key(|(_, record)| record.until).map(|(key, _)| *key);
            quietest.and_then(|key| seen.remove(&key));
        }
        let record = seen.entry(address).or_insert(Record { failures: 0, until: now });
        if record.until > now {
            return Err(record.until - now);
        }
        record.failures += 1;
        record.until = now + wait(record.failures);
        Ok(())
    }

    /// Forgets the failures of `address`: it has proved who it is.
    pub fn forgive(&self, address: IpAddr) {
        self.lock().remove(&group(address));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Record>> {
        // No code that holds the lock can leave the map half changed.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The wait after so many failures.
fn wait(failures: u32) -> Duration {
    match failures.checked_sub(FREE) {
        None => Duration::ZERO,
        Some(doublings) => FIRST_WAIT.saturating_mul(1 << doublings.min(16)).min(LONGEST_WAIT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn fail(throttle: &Throttle, times: u32, now: Instant) {
        for _ in 0..times {
            throttle.admit(HERE, now).unwrap();
        }
    }

    #[test]
    fn after_a_few_failures_each_wait_is_twice_as_long() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        fail(&throttle, FREE, now);
        assert_eq!(throttle.admit(HERE, now), Err(FIRST_WAIT));
        // Asking while waiting changes nothing.
        assert_eq!(throttle.admit(HERE, now + FIRST_WAIT / 2), Err(FIRST_WAIT / 2));
        let now = now + FIRST_WAIT;
        throttle.admit(HERE, now).unwrap();
        assert_eq!(throttle.admit(HERE, now), Err(2 * FIRST_WAIT));
        throttle.admit("127.0.0.2".parse().unwrap(), now).unwrap();
    }

    #[test]
    fn success_and_silence_start_over() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        fail(&throttle, FREE, now);
        throttle.forgive(HERE);
        fail(&throttle, FREE, now);
        fail(&throttle, FREE, now + FIRST_WAIT + LONGEST_WAIT);
    }

    #[test]
    fn waits_are_bounded_and_so_is_the_memory() {
        assert_eq!(wait(u32::MAX), LONGEST_WAIT);
        let (throttle, now) = (Throttle::default(), Instant::now());
        for number in 0..u32::try_from(LIMIT).unwrap() + 10 {
            throttle.admit(IpAddr::from(number.to_be_bytes()), now).unwrap();
        }
        assert_eq!(throttle.lock().len(), LIMIT);
    }

    #[test]
    fn an_ipv6_network_counts_as_one() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for last in 0..FREE {
            throttle.admit(format!("2001:db8::{last}").parse().unwrap(), now).unwrap();
        }
        assert!(throttle.admit("2001:db8::ffff".parse().unwrap(), now).is_err());
        assert!(throttle.admit("2001:db8:0:1::1".parse().unwrap(), now).is_ok());
    }
}
