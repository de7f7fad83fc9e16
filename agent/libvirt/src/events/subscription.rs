//! Asking for events. Of each kind libvirt is asked once per connection, however many listen: whoever comes first
//! registers it, whoever leaves last deregisters it.

use super::domain_event::DomainEvent;
use super::kind::EventKind;
use crate::connection::{Connection, Inner};
use crate::domain::Domain;
use crate::error::{End, Error};
use crate::session::Shared;
use crate::wire::Procedure;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use tokio::sync::{Mutex, broadcast};

/// Which kinds are registered on a connection. Held while libvirt is asked, so that two do not ask at once.
#[derive(Debug, Default)]
pub(crate) struct Registrations(Mutex<HashMap<EventKind, Registration>>);

#[derive(Debug)]
struct Registration {
    callback: i32,
    listeners: usize,
}

/// What a subscription yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// An event.
    Event(Arc<DomainEvent>),
    /// Events were lost, since they were not taken in time: look at all domains anew.
    Lagged {
        /// How many at most, of whatever kind.
        missed: u64,
    },
}

/// Events as they come, of the kinds that were asked for. Dropping it deregisters them.
#[derive(Debug)]
pub struct Subscription {
    kinds: Vec<EventKind>,
    events: broadcast::Receiver<Arc<DomainEvent>>,
    shared: Arc<Shared>,
    connection: Weak<Inner>,
}

impl Connection {
    /// Asks for events of all domains. What happens after this returned is delivered, in libvirt's order.
    ///
    /// At most [`Options::events`](crate::Options::events) wait for a subscription that does not take them.
    pub async fn subscribe(&self, kinds: &[EventKind]) -> Result<Subscription, Error> {
        let shared = &self.inner.session.shared;
        let mut subscription = Subscription {
            kinds: Vec::new(),
            events: shared.events.subscribe(),
            shared: Arc::clone(shared),
            connection: Arc::downgrade(&self.inner),
        };
        let (connection, kinds) = (self.clone(), kinds.to_vec());
        // Dropped when libvirt refuses a kind, or when nobody waits for it any more, it gives back those it has.
        uninterrupted(async move {
            for kind in kinds {
                if !subscription.kinds.contains(&kind) {
                    connection.register(kind).await?;
                    subscription.kinds.push(kind);
                }
            }
            Ok(subscription)
        })
        .await
    }

    async fn register(&self, kind: EventKind) -> Result<(), Error> {
        let mut registered = self.inner.registrations.0.lock().await;
        if let Some(registration) = registered.get_mut(&kind) {
            registration.listeners += 1;
            return Ok(());
        }
        let procedure = Procedure::ConnectDomainEventCallbackRegisterAny;
        // No domain stands for all of them.
        let callback = self.call(procedure, (kind.id(), None::<&Domain>)).await?;
        registered.insert(kind, Registration { callback, listeners: 1 });
        Ok(())
    }

    async fn deregister(&self, kind: EventKind) -> Result<(), Error> {
        let mut registered = self.inner.registrations.0.lock().await;
        let Some(registration) = registered.get_mut(&kind) else { return Ok(()) };
        registration.listeners -= 1;
        if registration.listeners > 0 {
            return Ok(());
        }
        let callback = registration.callback;
        registered.remove(&kind);
        self.call(Procedure::ConnectDomainEventCallbackDeregisterAny, callback).await
    }
}

impl Subscription {
    /// The next event, waited for. Fails when the connection has ended and all that came before is delivered.
    /// Cancel safe.
    pub async fn next(&mut self) -> Result<Delivery, Error> {
        loop {
            match received(&mut self.events, self.shared.ended()).await? {
                Ok(event) if self.kinds.contains(&event.kind()) => return Ok(Delivery::Event(event)),
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(missed)) => return Ok(Delivery::Lagged { missed }),
                Err(broadcast::error::RecvError::Closed) => return Err(self.shared.ended().await.into()),
            }
        }
    }

    /// Deregisters its events and waits until libvirt has done so. Dropping it does the same without waiting.
    pub async fn close(mut self) -> Result<(), Error> {
        let kinds = std::mem::take(&mut self.kinds);
        let Some(inner) = self.connection.upgrade() else { return Ok(()) };
        let connection = Connection { inner };
        uninterrupted(async move {
            for kind in kinds {
                connection.deregister(kind).await?;
            }
            Ok(())
        })
        .await
    }
}

/// What comes next, or how it ended once nothing does.
async fn received<T: Clone>(
    events: &mut broadcast::Receiver<T>,
    ended: impl Future<Output = End>,
) -> Result<Result<T, broadcast::error::RecvError>, Error> {
    tokio::select! {
        biased;
        event = events.recv() => Ok(event),
        end = ended => match events.try_recv() {
            // It came between the two looks; all events come before the end.
            Ok(event) => Ok(Ok(event)),
            Err(broadcast::error::TryRecvError::Lagged(missed)) => {
                Ok(Err(broadcast::error::RecvError::Lagged(missed)))
            }
            Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed) => Err(end.into()),
        },
    }
}

/// Does `work` to its end even when nobody waits for it any more: libvirt and we count registrations alike only so.
async fn uninterrupted<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    tokio::spawn(work).await.unwrap_or(Err(Error::Ended(End::Closed)))
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let kinds = std::mem::take(&mut self.kinds);
        let (Some(inner), Ok(runtime)) = (self.connection.upgrade(), tokio::runtime::Handle::try_current())
        else {
            return;
        };
        let connection = Connection { inner };
        runtime.spawn(async move {
            for kind in kinds {
                // Fails only with the connection, which takes the registration with it.
                let _ = connection.deregister(kind).await;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_comes_just_before_the_end_is_delivered() {
        let (sender, mut events) = broadcast::channel(4);
        // After the receiver was found empty, and before the end is seen.
        let ended = async {
            sender.send(7).unwrap();
            End::ByPeer
        };
        assert_eq!(received(&mut events, ended).await.unwrap(), Ok(7));
        assert!(matches!(received(&mut events, async { End::ByPeer }).await, Err(Error::Ended(End::ByPeer))));
    }
}
