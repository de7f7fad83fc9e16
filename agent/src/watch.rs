//! The history of what changed, for those who wait for news. It is short: whoever missed too much, or comes from
//! another history, is given everything.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agent_hypervisor::state::{Change, Domain};
use agent_hypervisor::{Domains, Error};
use agent_protocol::vm::{Cursor, WatchReply, WatchRequest};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;
use uuid::Uuid;

use crate::convert::from_domain;

/// How many changes are kept.
const KEPT: usize = 4096;

/// The longest that anybody waits for news.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Changes since the agent started.
#[derive(Debug)]
pub struct History {
    id: Uuid,
    past: Mutex<Past>,
    changes: watch::Sender<u64>,
    over: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Past {
    /// How many changes there were.
    changes: u64,
    /// The last of them, the newest at the end.
    kept: VecDeque<News>,
}

/// One change.
#[derive(Debug, Clone)]
enum News {
    Changed(Box<Domain>),
    Gone(Uuid),
}

impl News {
    const fn about(&self) -> Uuid {
        match self {
            Self::Changed(domain) => domain.uuid,
            Self::Gone(uuid) => *uuid,
        }
    }
}

/// What changed, the newest state of each, in the order in which it came about.
#[derive(Debug, Default)]
struct Changes {
    changed: Vec<Domain>,
    gone: Vec<Uuid>,
}

impl History {
    /// The history from now on. It ends when the hypervisor is gone.
    #[must_use]
    pub fn follow(changes: broadcast::Receiver<Change>) -> Arc<Self> {
        let history = Arc::new(Self {
            id: Uuid::new_v4(),
            past: Mutex::default(),
            changes: watch::Sender::new(0),
            over: watch::Sender::new(false),
        });
        tokio::spawn(write(Arc::downgrade(&history), changes));
        history
    }

    /// Sends everybody home who waits, now and from now on.
    pub fn end(&self) {
        self.over.send_replace(true);
    }

    /// Answers whoever asks for news, once there are some or the wait is over. Whose place in the history is unknown is
    /// given all of `domains` at once.
    ///
    /// # Errors
    /// If all domains are wanted and cannot be listed.
    pub async fn news(&self, domains: &dyn Domains, request: WatchRequest) -> Result<WatchReply, Error> {
        let WatchRequest { after, wait_ms } = request;
        let known = after.filter(|after| after.history == self.id).map(|after| after.changes);
        if let Some(after) = known.filter(|after| self.since(*after).1.is_some()) {
            self.wait_beyond(after, Duration::from_millis(wait_ms)).await;
            if let (changes, Some(Changes { changed, gone })) = self.since(after) {
                let vms = changed.into_iter().map(from_domain).collect();
                return Ok(WatchReply { cursor: self.cursor(changes), complete: false, vms, gone });
            }
        }
        // The place is taken first: what changes while the domains are listed is told again, not lost.
        let cursor = self.cursor(self.past().changes);
        let vms = domains.domains().await?.into_iter().map(from_domain).collect();
        Ok(WatchReply { cursor, complete: true, vms, gone: Vec::new() })
    }

    const fn cursor(&self, changes: u64) -> Cursor {
        Cursor { history: self.id, changes }
    }

    /// Waits until there were more than `changes` changes, or long enough.
    async fn wait_beyond(&self, changes: u64, patience: Duration) {
        let (mut now, mut over) = (self.changes.subscribe(), self.over.subscribe());
        tokio::select! {
            // Neither is ever closed: the senders are ours.
            _ = now.wait_for(|now| *now > changes) => {}
            _ = over.wait_for(|over| *over) => {}
            () = tokio::time::sleep(patience.min(LONGEST_WAIT)) => {}
        }
    }

    /// How many changes there were, and what changed after `after` of them, if that is known.
    fn since(&self, after: u64) -> (u64, Option<Changes>) {
        let past = self.past();
        let missed = past.changes.checked_sub(after).and_then(|missed| usize::try_from(missed).ok());
        let Some(first) = missed.and_then(|missed| past.kept.len().checked_sub(missed)) else {
            return (past.changes, None);
        };
        let news = || past.kept.iter().enumerate().skip(first);
        let newest: HashMap<Uuid, usize> = news().map(|(at, news)| (news.about(), at)).collect();
        let mut changes = Changes::default();
        for (_, news) in news().filter(|(at, news)| newest.get(&news.about()) == Some(at)) {
            match news {
                News::Changed(domain) => changes.changed.push(Domain::clone(domain)),
                News::Gone(uuid) => changes.gone.push(*uuid),
            }
        }
        (past.changes, Some(changes))
    }

    fn note(&self, change: Change) {
        let mut past = self.past();
        match change {
            Change::Changed(domain) => past.kept.push_back(News::Changed(domain)),
            Change::Gone(uuid) => past.kept.push_back(News::Gone(uuid)),
            // Nobody's place leads anywhere from here on.
            Change::Resync => past.kept.clear(),
        }
        if past.kept.len() > KEPT {
            past.kept.pop_front();
        }
        past.changes += 1;
        self.changes.send_replace(past.changes);
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes the history as long as somebody reads it.
async fn write(history: std::sync::Weak<History>, mut changes: broadcast::Receiver<Change>) {
    loop {
        let change = match changes.recv().await {
            Ok(change) => change,
            Err(RecvError::Lagged(_)) => Change::Resync,
            Err(RecvError::Closed) => return,
        };
        let Some(history) = history.upgrade() else { return };
        history.note(change);
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use agent_hypervisor::simulated::Simulated;

    use super::*;

    fn ask(after: Option<Cursor>) -> WatchRequest {
        WatchRequest { after, wait_ms: u64::MAX }
    }

    #[tokio::test]
    async fn who_waits_is_sent_home_at_the_end() {
        let twin = Simulated::new();
        let history = History::follow(Domains::changes(&twin));
        let first = history.news(&twin, ask(None)).await.unwrap();
        assert!(first.complete);
        let waiting = history.news(&twin, ask(Some(first.cursor.clone())));
        tokio::pin!(waiting);
        assert!(matches!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
        history.end();
        let news = waiting.await.unwrap();
        assert_eq!((news.complete, news.cursor), (false, first.cursor));
    }

    #[tokio::test]
    async fn a_history_forgets_what_is_long_ago() {
        let history = History::follow(Domains::changes(&Simulated::new()));
        for _ in 0..=KEPT {
            history.note(Change::Gone(Uuid::nil()));
        }
        assert!(history.since(0).1.is_none());
        assert_eq!(history.since(1).1.unwrap().gone, [Uuid::nil()]);
        assert!(history.since(KEPT as u64 + 1).1.unwrap().gone.is_empty());
        assert!(history.since(KEPT as u64 + 2).1.is_none());
        history.note(Change::Resync);
        assert!(history.since(KEPT as u64 + 1).1.is_none());
        assert!(history.since(KEPT as u64 + 2).1.is_some());
    }
}
