//! What can be asked of the cloud, one file per resource: look it up, judge, and either do it in one
//! transaction or store a task that does it. Nothing here knows HTTP; what goes in and out are the types of
//! the public API.
//!
//! An order that carries a key may be given again: the answer is stored with what it did, and a repeat gets it.

mod audit;
pub mod cache;
mod error;
pub mod host;
pub mod image;
pub mod join;
pub mod names;
pub mod reach;
mod session;
pub mod setting;
pub mod storage;
pub mod task;
pub mod token;
pub mod vm;
mod vm_order;
pub mod volume;

use std::sync::Arc;

use packaging_service::layout::Layout;
use packaging_service::stop::Stop;
use serde::Serialize;
use serde::de::DeserializeOwned;
use server_api::event::Kind;
use server_api::task::Action;

use crate::agents::link::Links;
use crate::agents::{AgentError, Agents};
use crate::config::Config;
use crate::error::Error;
use crate::login::throttle::Throttle;
use crate::packed::Packed;
use crate::store::request::{self, RequestKey};
use crate::store::{self, Connection, Id, Store, StoreError, Write};
use crate::task::Tasks;
use crate::task::step::Step;
pub use error::CloudError;

/// The cloud that this server manages.
#[derive(Debug)]
pub struct Cloud {
    /// What the server remembers.
    pub store: Store,
    /// How agents are reached.
    pub agents: Agents,
    /// The agents that are followed.
    pub links: Links,
    /// The tasks that are being done.
    pub tasks: Tasks,
    /// When to stop.
    pub stop: Stop,
    /// What hosts that join are installed from.
    pub packed: Packed,
    /// Slows down who guesses the tokens of hosts.
    joining: Throttle,
    layout: Layout,
    port: u16,
}

/// Who asks, and whether it may be asked again.
#[derive(Debug, Clone)]
pub struct Order {
    /// Who asks.
    pub who: String,
    /// What makes a repeat one.
    pub key: Option<RequestKey>,
}

/// How an order is begun.
pub(crate) enum Begun<T> {
    /// It is a new one.
    Fresh(Write),
    /// It was answered before.
    Answered(T),
}

/// Work that is to be stored as a task.
pub(crate) struct Plan {
    pub action: Action,
    pub kind: Kind,
    pub id: Id,
    pub name: String,
    pub steps: Vec<Step>,
    /// What it keeps other tasks from, besides what it is about.
    pub holds: Vec<(Kind, Id, String)>,
}

impl Cloud {
    /// Opens the cloud: the database is brought to this version, the host of the server is in it.
    ///
    /// # Errors
    /// If the database or the certificates cannot be used.
    pub async fn open(layout: &Layout, config: &Config, stop: Stop) -> Result<Arc<Self>, Error> {
        let cloud = Self {
            store: Store::open(&layout.database()).await?,
            agents: Agents::new(layout)?,
            links: Links::default(),
            tasks: Tasks::default(),
            stop,
            packed: Packed::new(layout),
            joining: Throttle::default(),
            layout: layout.clone(),
            port: config.listen.port(),
        };
        cloud.take_in_local_host(config.local_agent).await?;
        Ok(Arc::new(cloud))
    }

    /// Where the server's files lie.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Follows all hosts, goes on with tasks that have not ended, and forgets what is old from time to time.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn run(self: &Arc<Self>) -> Result<(), Error> {
        let mut db = self.store.read().await?;
        for host in store::host::all(&mut db).await? {
            self.links.follow(self, host.id);
        }
        drop(db);
        self.go_on().await?;
        tokio::spawn(task::keep_going(self.clone()));
        tokio::spawn(task::forget_old(self.clone()));
        Ok(())
    }

    /// Goes on with all tasks that have not ended and are not being done.
    async fn go_on(self: &Arc<Self>) -> Result<(), StoreError> {
        for task in store::task::unfinished(&mut *self.store.read().await?).await? {
            self.tasks.start(self, task);
        }
        Ok(())
    }

    /// Begins an order, unless it was answered before.
    pub(crate) async fn begin<T: DeserializeOwned>(&self, order: &Order) -> Result<Begun<T>, CloudError> {
        let mut db = self.store.write().await?;
        Ok(match answered(&mut db, order).await? {
            Some(reply) => Begun::Answered(reply),
            None => Begun::Fresh(db),
        })
    }

    /// The answer to an order that was answered before. To be asked before anything that takes long.
    pub(crate) async fn repeated<T: DeserializeOwned>(&self, order: &Order) -> Result<Option<T>, CloudError> {
        match order.key {
            Some(_) => answered(&mut *self.store.read().await?, order).await,
            None => Ok(None),
        }
    }

    /// Stores a task with what it holds, and begins it: both, whether or not somebody waits for that.
    pub(crate) async fn plan(
        self: &Arc<Self>,
        mut db: Write,
        order: &Order,
        plan: Plan,
    ) -> Result<server_api::task::Task, CloudError> {
        let task = task::insert(&mut db, order, plan).await?;
        let (cloud, order) = (self.clone(), order.clone());
        to_its_end(async move {
            finish(db, &order, &task).await?;
            cloud.tasks.start(&cloud, Id(task.id));
            Ok(task)
        })
        .await
    }
}

/// Does `work` to its end, also when whoever asked for it stops waiting: a client hangs up, a time limit
/// passes.
pub(crate) async fn to_its_end<T: Send + 'static, E: From<StoreError> + Send + 'static>(
    work: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Result<T, E> {
    tokio::spawn(work).await.unwrap_or_else(|_| Err(StoreError::Died.into()))
}

async fn answered<T: DeserializeOwned>(db: &mut Connection, order: &Order) -> Result<Option<T>, CloudError> {
    let Some(key) = &order.key else { return Ok(None) };
    let Some((fingerprint, reply)) = request::answered(db, key).await? else { return Ok(None) };
    if fingerprint != key.fingerprint {
        return Err(CloudError::KeyReused);
    }
    let reply = serde_json::from_str(&reply);
    reply.map(Some).map_err(|error| CloudError::Broken(format!("cannot read a stored answer: {error}")))
}

/// Makes an order hold, with the answer that a repeat of it gets.
pub(crate) async fn finish(mut db: Write, order: &Order, reply: &impl Serialize) -> Result<(), CloudError> {
    if let Some(key) = &order.key {
        let reply = serde_json::to_string(reply);
        let reply = reply.map_err(|error| CloudError::Broken(format!("cannot store an answer: {error}")))?;
        request::remember(&mut db, key, &reply).await?;
    }
    Ok(db.commit().await?)
}

/// Refuses if a task works on a resource.
pub(crate) async fn free(db: &mut Connection, kind: Kind, id: Id, name: &str) -> Result<(), CloudError> {
    match store::task::holder(db, id).await? {
        Some(task) => {
            Err(CloudError::Busy { kind, name: name.to_owned(), action: task.action.0, task: task.id })
        }
        None => Ok(()),
    }
}

/// Names the host that an agent belongs to.
pub(crate) fn of_host(name: &str) -> impl FnOnce(AgentError) -> CloudError {
    let host = format!("`{name}`");
    move |cause| CloudError::Agent { host, cause }
}

/// The row that an id or a name means.
macro_rules! find {
    ($(#[$doc:meta])* $name:ident: $module:ident, $row:ident, $kind:ident) => {
        $(#[$doc])*
        pub(crate) async fn $name(
            db: &mut $crate::store::Connection,
            text: &str,
        ) -> Result<$crate::store::$module::$row, $crate::cloud::CloudError> {
            let found = match text.parse() {
                Ok(id) => $crate::store::$module::by_id(db, $crate::store::Id(id)).await?,
                Err(_) => $crate::store::$module::by_name(db, text).await?,
            };
            found.ok_or_else(|| $crate::cloud::CloudError::NotFound {
                kind: server_api::event::Kind::$kind,
                name: text.to_owned(),
            })
        }
    };
}

use find;
