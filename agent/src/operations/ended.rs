//! Which operations ended when, so that the oldest are found without reading files.

use std::collections::{BTreeSet, HashMap};

use uuid::Uuid;

/// Operations that ended, with the second in which they did.
#[derive(Debug, Default)]
pub struct Ended {
    by_time: BTreeSet<(u64, Uuid)>,
    times: HashMap<Uuid, u64>,
}

impl Ended {
    /// One ended.
    pub fn insert(&mut self, at: u64, operation: Uuid) {
        self.remove(operation);
        self.by_time.insert((at, operation));
        self.times.insert(operation, at);
    }

    /// Several did.
    pub fn extend(&mut self, ended: impl IntoIterator<Item = (u64, Uuid)>) {
        ended.into_iter().for_each(|(at, operation)| self.insert(at, operation));
    }

    /// One has begun again.
    pub fn remove(&mut self, operation: Uuid) {
        if let Some(at) = self.times.remove(&operation) {
            self.by_time.remove(&(at, operation));
        }
    }

    /// Takes out those that ended before `oldest`, and the oldest ones beyond `most`.
    pub fn take_old(&mut self, oldest: u64, most: usize) -> Vec<Uuid> {
        let mut gone = Vec::new();
        while let Some((at, operation)) = self.by_time.first().copied() {
            if at >= oldest && self.by_time.len() <= most {
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
        assert!(ended.take_old(0, 4).is_empty());
        assert_eq!(ended.take_old(11, 4), [a]);
        assert_eq!(ended.take_old(11, 2), [b]);
        // One that begins again is not old any more.
        ended.remove(c);
        ended.insert(50, c);
        assert_eq!(ended.take_old(0, 1), [d]);
        assert_eq!(ended.take_old(60, 1), [c]);
        assert!(ended.take_old(60, 1).is_empty());
    }
}
