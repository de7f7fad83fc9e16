//! Following agents. For each host one loop asks its agent what changes, and waits for the answer: the agent
//! answers when something has. What it says is written down; so is that it does not answer, since when, and
//! why.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use agent_protocol::call::{HostFacts, VmWatch};
use agent_protocol::host::{Facts, FactsRequest};
use agent_protocol::vm::{Cursor, WatchReply, WatchRequest};
use server_api::host::LinkState;
use server_api::volume::Phase;
use tokio::sync::watch::Sender;
use tokio::task::AbortHandle;
use uuid::Uuid;

use super::{Agent, AgentError, renewal};
use crate::cloud::Cloud;
use crate::store::host::Host;
use crate::store::{self, Id, StoreError};

/// How long an agent has for what it knows by heart.
const QUESTION: Duration = Duration::from_secs(10);

/// How long an agent waits for a change before it answers that there was none, in milliseconds.
const WAIT_MS: u64 = 20_000;

/// How long that answer may take.
const WATCH: Duration = Duration::from_secs(40);

/// How long what an agent says of its host is taken to hold.
const FACTS_LAST: Duration = Duration::from_secs(5 * 60);

/// The first wait before an agent that does not answer is asked again. Each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The longest.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// How long somebody waits for a host to be looked at anew.
const LOOK: Duration = Duration::from_secs(5);

/// The hosts that are followed.
#[derive(Debug, Default)]
pub struct Links {
    followed: Mutex<HashMap<Id, Followed>>,
}

/// A host that is followed.
#[derive(Debug)]
struct Followed {
    abort: AbortHandle,
    looks: Arc<Looks>,
}

/// Whole looks at a host, counted.
#[derive(Debug, Default)]
struct Looks {
    wanted: Sender<u64>,
    /// The last one that was wanted before a look began whose answer is written down.
    seen: Sender<u64>,
}

/// Why a conversation ended.
enum End {
    /// The agent does not answer, or not as it should.
    Agent(AgentError),
    /// The database fails.
    Store(StoreError),
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<AgentError> for End {
    fn from(error: AgentError) -> Self {
        Self::Agent(error)
    }
}

impl Links {
    /// Follows a host from now on. One that is followed stays so.
    pub fn follow(&self, cloud: &Arc<Cloud>, host: Id) {
        let cloud = cloud.clone();
        self.lock().entry(host).or_insert_with(|| {
            let looks = Arc::new(Looks::default());
            let wanted = looks.clone();
            let follow = async move {
                let mut stop = cloud.stop.clone();
                tokio::select! {
                    () = stop.ordered() => {}
                    () = follow(&cloud, host, &wanted) => {}
                }
            };
            Followed { abort: tokio::spawn(follow).abort_handle(), looks }
        });
    }

    /// Has a host tell anew all that there is, and waits until that is written down; not for long, and not
    /// for one that is not followed.
    pub async fn look_again(&self, host: Id) {
        let Some(looks) = self.lock().get(&host).map(|followed| followed.looks.clone()) else { return };
        let mut seen = looks.seen.subscribe();
        let mut number = 0;
        looks.wanted.send_modify(|wanted| {
            *wanted += 1;
            number = *wanted;
        });
        // A host that does not answer is shown as such: nobody has to wait for that.
        let _ = tokio::time::timeout(LOOK, seen.wait_for(|seen| *seen >= number)).await;
    }

    /// Follows a host no more.
    pub fn leave(&self, host: Id) {
        if let Some(followed) = self.lock().remove(&host) {
            followed.abort.abort();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Id, Followed>> {
        // No code that holds the lock can leave the map half changed.
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Talks to the agent of a host as long as there is that host.
async fn follow(cloud: &Cloud, id: Id, looks: &Looks) {
    let mut wait = FIRST_WAIT;
    loop {
        let mut answered = false;
        match converse(cloud, id, looks, &mut answered).await {
            Ok(()) => return,
            Err(End::Agent(error)) => {
                if let Err(error) = note_silence(cloud, id, &error).await {
                    tracing::warn!("cannot note that a host does not answer: {error}");
                }
            }
            Err(End::Store(error)) => tracing::warn!("cannot follow a host: {error}"),
        }
        if answered {
            wait = FIRST_WAIT;
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Asks the agent what it is, then what changes, until it does not answer. Ends well if the host was removed.
async fn converse(cloud: &Cloud, id: Id, looks: &Looks, answered: &mut bool) -> Result<(), End> {
    let Some(host) = store::host::by_id(&mut *cloud.store.read().await?, id).await? else { return Ok(()) };
    let agent = cloud.agents.of(&host)?;
    let mut facts = agent.call::<HostFacts>(Uuid::new_v4(), FactsRequest {}, QUESTION).await?;
    let mut asked = Instant::now();
    let mut wanted = looks.wanted.subscribe();
    let mut look = *wanted.borrow_and_update();
    // The first answer tells all that there is: only then is what is known of the host true.
    let mut reply = watch(&agent, None).await?;
    let mut db = cloud.store.write().await?;
    store::host::connected(&mut db, id, &facts).await?;
    write_down(&mut db, &host, &reply).await?;
    db.commit().await?;
    looks.seen.send_replace(look);
    *answered = true;
    tracing::info!("host `{}` answers", host.name);
    look_at_storages(cloud, id).await?;
    look_at_certificate(cloud, &host, &agent).await;
    loop {
        let changes = watch(&agent, Some(reply.cursor));
        reply = tokio::select! {
            reply = changes => reply?,
            Ok(()) = wanted.changed() => {
                look = *wanted.borrow_and_update();
                watch(&agent, None).await?
            }
        };
        if reply.complete || !reply.vms.is_empty() || !reply.gone.is_empty() {
            let mut db = cloud.store.write().await?;
            write_down(&mut db, &host, &reply).await?;
            db.commit().await?;
        }
        looks.seen.send_replace(look);
        // Whoever tells everything anew may have a new hypervisor, too.
        if reply.complete || asked.elapsed() >= FACTS_LAST {
            let now = agent.call::<HostFacts>(Uuid::new_v4(), FactsRequest {}, QUESTION).await?;
            if !same(&facts, &now) || asked.elapsed() >= FACTS_LAST {
                let mut db = cloud.store.write().await?;
                store::host::connected(&mut db, id, &now).await?;
                db.commit().await?;
                (facts, asked) = (now, Instant::now());
                look_at_certificate(cloud, &host, &agent).await;
            }
        }
    }
}

/// True if nothing but time went by.
fn same(one: &Facts, other: &Facts) -> bool {
    let mut later = one.clone();
    later.uptime_seconds = other.uptime_seconds;
    later.agent.uptime_seconds = other.agent.uptime_seconds;
    later == *other
}

async fn watch(agent: &Agent, after: Option<Cursor>) -> Result<WatchReply, AgentError> {
    let request = WatchRequest { after, wait_ms: WAIT_MS };
    agent.call::<VmWatch>(Uuid::new_v4(), request, WATCH).await
}

/// Notes what an agent says of the virtual machines that this server knows; those of somebody else are none
/// of its business.
async fn write_down(db: &mut store::Write, host: &Host, reply: &WatchReply) -> Result<(), StoreError> {
    for vm in store::vm::of_host(db, host.id).await? {
        let now = reply.vms.iter().find(|state| state.uuid == vm.id.0);
        let is_gone = reply.gone.contains(&vm.id.0) || reply.complete;
        match now {
            Some(state) if vm.observed().as_ref() != Some(state) => {
                store::vm::observed(db, vm.id, Some(state)).await?;
            }
            Some(_) => {}
            None if is_gone && vm.phase.0 == Phase::Ready && vm.observed().is_some() => {
                tracing::warn!("virtual machine `{}` is not on `{}` any more", vm.name, host.name);
                store::vm::observed(db, vm.id, None).await?;
            }
            None => {}
        }
    }
    Ok(())
}

/// An agent whose certificate is not renewed is as good as before, for now.
async fn look_at_certificate(cloud: &Cloud, host: &Host, agent: &Agent) {
    if let Err(error) = renewal::look(cloud, host, agent, SystemTime::now()).await {
        tracing::warn!("cannot renew the certificate of host `{}`: {error}", host.name);
    }
}

async fn look_at_storages(cloud: &Cloud, host: Id) -> Result<(), StoreError> {
    let storages = store::storage::of_host(&mut *cloud.store.read().await?, host).await?;
    for storage in storages {
        if let Err(error) = cloud.look_at(&storage).await {
            tracing::warn!("cannot look at storage `{}`: {error}", storage.name);
        }
    }
    Ok(())
}

/// Notes that the agent does not answer, and why; each reason once.
async fn note_silence(cloud: &Cloud, id: Id, error: &AgentError) -> Result<(), StoreError> {
    let reason = error.to_string();
    let mut db = cloud.store.write().await?;
    let Some(host) = store::host::by_id(&mut db, id).await? else { return Ok(()) };
    if host.link.0 == LinkState::Disconnected && host.link_reason.as_ref() == Some(&reason) {
        return Ok(());
    }
    tracing::warn!("host `{}` does not answer: {reason}", host.name);
    store::host::disconnected(&mut db, id, &reason).await?;
    db.commit().await
}
