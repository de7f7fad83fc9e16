//! Which operations ended when, so that the oldest are found without reading files.

use std::collections::{BTreeSet, HashMap};

use uuid::Uuid;

/// Operations that ended, with the second in which they did. Those of one second are in the order in which they were told.
#[derive(Debug, Default)]
pub struct Ended {
    by_time: BTreeSet<(u64, u64, Uuid)>,
    times: HashMap<Uuid, (u64, u64)>,
    told: u64,
}

impl Ended {
    /// When something ends that ends now, by a clock that shows `clock`: a clock that was set back makes nothing older than what
    /// ended before it.
    pub fn now(&self, clock: u64) -> u64 {
        self.by_time.last().map_or(clock, |(newest, ..)| clock.max(*newest))
    }

    /// One ended.
    pub fn insert(&mut self, at: u64, operation: Uuid) {
        self.remove(operation);
        self.told += 1;
        self.by_time.insert((at, self.told, operation));
        self.times.insert(operation, (at, self.told));
    }

    /// Several did.
    pub fn extend(&mut self, ended: impl IntoIterator<Item = (u64, Uuid)>) {
        ended.into_iter().for_each(|(at, operation)| self.insert(at, operation));
    }

    /// One has begun again.
    pub fn remove(&mut self, operation: Uuid) {
        if let Some((at, told)) = self.times.remove(&operation) {
            self.by_time.remove(&(at, told, operation));
        }
    }

    /// Takes out the oldest ones beyond `most`, and beyond `least` those that ended before `oldest`: a clock that jumps makes
    /// old what has just been.
    pub fn take_old(&mut self, oldest: u64, least: usize, most: usize) -> Vec<Uuid> {
        let mut gone = Vec::new();
        while let Some((at, _, operation)) = self.by_time.first().copied() {
            let count = self.by_time.len();
            if count <= least || at >= oldest && count <= most {
                break;
            }
            self.remove(operation);
            gone.push(operation);
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_and_the_surplus_go_the_oldest_first() {
        let [a, b, c, d] = [1, 2, 3, 4].map(Uuid::from_u128);
        let mut ended = Ended::default();
        ended.extend([(40, d), (10, a), (30, c), (20, b)]);
        assert!(ended.take_old(0, 0, 4).is_empty());
        assert_eq!(ended.take_old(11, 0, 4), [a]);
        assert_eq!(ended.take_old(11, 0, 2), [b]);
        // One that begins again is not old any more.
        ended.remove(c);
        ended.insert(50, c);
        assert_eq!(ended.take_old(0, 0, 1), [d]);
        assert!(ended.take_old(60, 1, 1).is_empty());
        assert_eq!(ended.take_old(60, 0, 1), [c]);
        assert!(ended.take_old(60, 0, 1).is_empty());
    }

    #[test]
    fn a_clock_that_jumps_takes_only_what_is_too_much() {
        let [a, b, c, d] = [4, 3, 2, 1].map(Uuid::from_u128);
        let mut ended = Ended::default();
        for (clock, operation) in [(1000, a), (0, b), (0, c)] {
            ended.insert(ended.now(clock), operation);
        }
        // All of one second by now, and the first of them is the oldest still.
        assert_eq!(ended.take_old(0, 0, 2), [a]);
        ended.insert(ended.now(9_000_000), d);
        assert_eq!(ended.take_old(9_000_000, 2, 4), [b]);
        assert!(ended.take_old(9_000_000, 2, 4).is_empty());
    }
}
