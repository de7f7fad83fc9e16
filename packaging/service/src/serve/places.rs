//! Places for connections, of which there is a number. Nobody can hold all of them: when they are taken, who comes gets that of
//! the address that has most. So whoever opens connections without end takes them from himself.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Who counts as one: an IPv6 network of 64 bits belongs to one machine as easily as one IPv4 address.
#[must_use]
pub fn group(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::from((v6.to_bits() >> 64 << 64).to_be_bytes()),
    }
}

/// A number of places.
#[derive(Debug)]
pub struct Places {
    limit: usize,
    state: Mutex<State>,
    /// There may be a place for somebody who waits.
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// By number: the oldest comes first.
    taken: BTreeMap<u64, Taken>,
}

#[derive(Debug)]
struct Taken {
    whose: Option<IpAddr>,
    is_busy: bool,
    lost: Arc<Notify>,
}

/// A place, until it is dropped or goes to somebody else.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    number: u64,
    lost: Arc<Notify>,
}

/// The holder of a place is at work, until this is dropped.
#[derive(Debug)]
pub struct Busy(Arc<Place>);

impl Places {
    /// So many places.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, state: Mutex::default(), freed: Notify::new() })
    }

    /// Takes a place for `whose` address; `None` is this host. If all are taken, whose holders have most loses one: the oldest
    /// that is not at work, or else the oldest, unless `whose` has as many. Waits if there is none to be lost.
    pub async fn take(self: &Arc<Self>, whose: Option<IpAddr>) -> Place {
        let whose = whose.map(group);
        loop {
            let mut freed = pin!(self.freed.notified());
            freed.as_mut().enable();
            if let Some(place) = self.try_take(whose) {
                return place;
            }
            freed.await;
        }
    }

    fn try_take(self: &Arc<Self>, whose: Option<IpAddr>) -> Option<Place> {
        let mut state = self.state();
        if state.taken.len() >= self.limit {
            let victim = state.victim(whose)?;
            if let Some(taken) = state.taken.remove(&victim) {
                taken.lost.notify_one();
            }
        }
        let (number, lost) = (state.next, Arc::new(Notify::new()));
        state.next += 1;
        state.taken.insert(number, Taken { whose, is_busy: false, lost: lost.clone() });
        drop(state);
        Some(Place { places: self.clone(), number, lost })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock can leave it half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The number of the place that goes to somebody who comes from `whose`.
    fn victim(&self, whose: Option<IpAddr>) -> Option<u64> {
        let mut counts = HashMap::from([(whose, 1)]);
        for taken in self.taken.values() {
            *counts.entry(taken.whose).or_insert(0) += 1;
        }
        let most = counts.values().copied().max()?;
        let has_most = |taken: &Taken| counts.get(&taken.whose) == Some(&most);
        let first = |wanted: &dyn Fn(&Taken) -> bool| {
            self.taken.iter().find(|(_, taken)| wanted(taken)).map(|(number, _)| *number)
        };
        first(&|taken| has_most(taken) && !taken.is_busy)
            .or_else(|| first(&has_most).filter(|_| counts.get(&whose).is_some_and(|own| *own < most)))
    }
}

impl Place {
    /// Returns once it went to somebody else.
    pub async fn lost(&self) {
        self.lost.notified().await;
    }

    /// Notes that its holder is at work.
    pub fn work(self: Arc<Self>) -> Busy {
        self.set_busy(true);
        Busy(self)
    }

    fn set_busy(&self, is_busy: bool) {
        if let Some(taken) = self.places.state().taken.get_mut(&self.number) {
            taken.is_busy = is_busy;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.state().taken.remove(&self.number);
        self.places.freed.notify_waiters();
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.set_busy(false);
        self.0.places.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));
    const B: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)));
    const C: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 3)));

    /// Whether it has gone to somebody else.
    fn is_lost(place: &Place) -> bool {
        !place.places.state().taken.contains_key(&place.number)
    }

    fn take(places: &Arc<Places>, whose: Option<IpAddr>) -> Option<Arc<Place>> {
        places.try_take(whose).map(Arc::new)
    }

    #[tokio::test]
    async fn whoever_has_most_gives_way_with_the_oldest() {
        let places = Places::new(3);
        let (good, first, second) = (take(&places, B), take(&places, A).unwrap(), take(&places, A).unwrap());
        let good = good.unwrap();
        let third = take(&places, A).unwrap();
        first.lost().await;
        assert_eq!(
            [is_lost(&good), is_lost(&first), is_lost(&second), is_lost(&third)],
            [false, true, false, false]
        );
        // Somebody who has none yet does not take from somebody with one.
        let other = take(&places, C).unwrap();
        assert_eq!([is_lost(&good), is_lost(&second), is_lost(&third)], [false, true, false]);
        // Where all have one, it is the oldest of all.
        let many = take(&places, "2001:db8::1".parse().ok()).unwrap();
        assert_eq!([is_lost(&good), is_lost(&third), is_lost(&other)], [true, false, false]);
        drop((first, second, good));
        assert_eq!(places.state().taken.len(), 3, "who lost a place frees nobody else's");
        drop((third, other, many));
        assert_eq!(places.state().taken.len(), 0);
    }

    #[tokio::test]
    async fn who_is_at_work_is_left_alone_by_his_equals() {
        let places = Places::new(2);
        let (first, second) = (take(&places, A).unwrap(), take(&places, A).unwrap());
        let (work, more) = (first.clone().work(), second.clone().work());
        assert!(take(&places, A).is_none(), "one's own work is not undone");
        let waiting = tokio::spawn({
            let places = places.clone();
            async move { places.take(A).await }
        });
        drop(work);
        let third = waiting.await.unwrap();
        assert_eq!([is_lost(&first), is_lost(&second), is_lost(&third)], [true, false, false]);
        // Not at work goes first, at work goes for somebody who has fewer.
        let third = Arc::new(third);
        let still = third.clone().work();
        let other = take(&places, B).unwrap();
        assert_eq!([is_lost(&second), is_lost(&third), is_lost(&other)], [true, false, false]);
        let busy = other.clone().work();
        assert!(take(&places, C).is_none(), "nobody has more than another");
        drop((busy, still, more));
    }

    #[test]
    fn an_ipv6_network_counts_as_one() {
        let counted = |address: &str| group(address.parse().unwrap()).to_string();
        assert_eq!(counted("2001:db8::ffff"), counted("2001:db8::1"));
        assert_ne!(counted("2001:db8:0:1::1"), counted("2001:db8::1"));
        assert_eq!(counted("192.0.2.1"), "192.0.2.1");
    }
}
