//! Doing a task, from wherever it stands.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use agent_protocol::envelope::FailureCode;
use server_api::cache::CacheLevel;
use server_api::error::{ErrorCode, ErrorReply};
use server_api::event::Kind;
use server_api::host::LinkState;
use server_api::task::{StepState, TaskState};
use server_api::vm::CacheChoice;
use tokio::sync::watch;
use tokio::time::Instant;

use super::perform::{self, Answer, Asked, StepError};
use super::{apply, undo};
use crate::agents::AgentError;
use crate::cache::{self, Modes, Place};
use crate::cloud::Cloud;
use crate::setting::TASK_AGENT_PATIENCE;
use crate::store::task::{self, TaskStep};
use crate::store::{self, Id, StoreError};

/// The first wait before an agent that does not answer is asked again. Each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// The longest.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How long an agent may take to answer before it is asked again. What it is doing goes on, and the next ask
/// joins that.
const ASK: Duration = Duration::from_secs(60);

/// How long a task rests when the database fails.
const REST: Duration = Duration::from_secs(5);

/// Why a task does not go on.
enum Halt {
    /// Somebody cancelled it.
    Cancelled,
    /// A step cannot be done.
    Step(StepError),
}

/// Asking for one thing, until it is done or patience ends.
struct Persistence {
    /// How long an agent may be silent.
    patience: Duration,
    /// Since when it is.
    silent_since: Option<Instant>,
    /// True unless every ask so far was clearly refused.
    touched: bool,
    /// True if an earlier server may have begun it. Then an agent of another version is one that waits for its upgrade, or
    /// this server for its own, and is as good as silent until then.
    resumed: bool,
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::Step(error.into())
    }
}

/// Does a task to its end, or until the server stops.
pub async fn run(cloud: &Arc<Cloud>, id: Id, mut cancelled: watch::Receiver<bool>) {
    let mut stop = cloud.stop.clone();
    let work = async {
        while let Err(error) = advance(cloud, id, &mut cancelled).await {
            tracing::error!("task {id} rests: {error}");
            tokio::time::sleep(REST).await;
        }
    };
    tokio::select! {
        () = stop.ordered() => {}
        () = work => {}
    }
}

/// Goes on with a task from what is stored. Fails only if the database does.
async fn advance(cloud: &Cloud, id: Id, cancelled: &mut watch::Receiver<bool>) -> Result<(), StoreError> {
    let mut db = cloud.store.read().await?;
    let Some(task) = task::by_id(&mut db, id).await? else { return Ok(()) };
    let steps = task::steps(&mut db, id).await?;
    drop(db);
    if task.state.0.is_final() {
        return Ok(());
    }
    let resumed =
        task.state.0 != TaskState::Running || steps.iter().any(|step| step.state.0 == StepState::Running);
    let mut cancel = task.cancel_requested;
    if task.state.0 == TaskState::Running {
        if cancel {
            fail(cloud, id, &cancelled_reply(), None).await?;
        } else {
            match forward(cloud, id, &steps, cancelled).await? {
                None => return finish(cloud, &task, TaskState::Succeeded).await,
                Some((_, Halt::Cancelled)) => {
                    cancel = true;
                    fail(cloud, id, &cancelled_reply(), None).await?;
                }
                Some((at, Halt::Step(error))) => {
                    // What exists already was made by somebody else: it is not ours to remove.
                    let foreign = at.filter(|_| error.refusal() == Some(FailureCode::Exists));
                    tracing::warn!("task {id} ({}) failed: {error}", task.action.0);
                    let failed = steps.iter().find(|step| Some(step.position) == at);
                    let mut reply = in_step(failed, error.reply());
                    advise(cloud, &task, failed, &mut reply).await?;
                    fail(cloud, id, &reply, foreign).await?;
                }
            }
        }
    }
    backward(cloud, &task, resumed).await?;
    finish(cloud, &task, if cancel { TaskState::Cancelled } else { TaskState::Failed }).await
}

/// Does the steps that are not done. Gives why it stopped, and at which step.
async fn forward(
    cloud: &Cloud,
    id: Id,
    steps: &[TaskStep],
    cancelled: &mut watch::Receiver<bool>,
) -> Result<Option<(Option<i64>, Halt)>, StoreError> {
    for step in steps.iter().filter(|step| step.state.0 != StepState::Done) {
        if *cancelled.borrow() {
            return Ok(Some((None, Halt::Cancelled)));
        }
        stands(cloud, id, step, StepState::Running).await?;
        let work = |limit| perform::perform(cloud, &step.step.0, Asked { operation: step.operation, limit });
        let mut persistence = Persistence::new(cloud).await?;
        // An earlier server may have asked, and nobody knows what came of it.
        persistence.touched = step.state.0 == StepState::Running;
        persistence.resumed = persistence.touched;
        let persisted = persist(cloud, id, &mut persistence, Some(cancelled.clone()), work);
        let answer = if step.step.0.waits_for_a_guest() {
            tokio::select! {
                answer = persisted => answer,
                () = told(cancelled) => Err(Halt::Cancelled),
            }
        } else {
            persisted.await
        };
        match answer {
            Ok(answer) => match note(cloud, id, step, &answer).await {
                // Trying again would not bring back what this refers to.
                Err(error) if error.is_referred_to() => {
                    return Ok(Some((Some(step.position), Halt::Step(StepError::Gone))));
                }
                noted => noted?,
            },
            Err(Halt::Step(StepError::Store(error))) => return Err(error),
            Err(halt) => {
                if !persistence.touched && step.step.0.removes() {
                    stands(cloud, id, step, StepState::Pending).await?;
                }
                return Ok(Some((Some(step.position), halt)));
            }
        }
    }
    Ok(None)
}

/// Notes that a step is done, and what its answer changes.
async fn note(cloud: &Cloud, id: Id, step: &TaskStep, answer: &Answer) -> Result<(), StoreError> {
    let mut db = cloud.store.write().await?;
    apply::apply(&mut db, &step.step.0, answer).await?;
    task::step_stands(&mut db, id, step.position, StepState::Done).await?;
    db.commit().await
}

/// Puts back what was begun, by an earlier server if `resumed`, the last step first. What cannot be put back is noted; the rest
/// goes on.
async fn backward(cloud: &Cloud, task: &task::Task, resumed: bool) -> Result<(), StoreError> {
    let id = task.id;
    let steps = task::steps(&mut *cloud.store.read().await?, id).await?;
    // One for all steps: a host that is gone is not waited for once for each.
    let mut persistence = Persistence::new(cloud).await?;
    persistence.resumed = resumed;
    for step in steps.iter().rev() {
        let begun = match step.state.0 {
            StepState::Running | StepState::Done => true,
            StepState::Pending => false,
            StepState::Undone | StepState::Stuck => continue,
        };
        let work = |limit| {
            let order = Asked { operation: step.undo_operation, limit };
            undo::call(cloud, task.action.0, &step.step.0, order)
        };
        let undone = if begun { persist(cloud, id, &mut persistence, None, work).await } else { Ok(()) };
        let clean = match undone {
            Ok(()) => true,
            Err(Halt::Step(StepError::Store(error))) => return Err(error),
            Err(Halt::Step(error)) => {
                tracing::warn!("task {id} cannot put back `{}`: {error}", step.step.0.title());
                false
            }
            Err(Halt::Cancelled) => false,
        };
        let mut db = cloud.store.write().await?;
        undo::apply(&mut db, &step.step.0, begun, clean).await?;
        let state = if clean { StepState::Undone } else { StepState::Stuck };
        task::step_stands(&mut db, id, step.position, state).await?;
        db.commit().await?;
    }
    Ok(())
}

/// Does `work`, which is told how long it may take, again as long as the agent does not answer and patience
/// lasts.
async fn persist<T, F: Future<Output = Result<T, StepError>>>(
    cloud: &Cloud,
    id: Id,
    persistence: &mut Persistence,
    mut cancelled: Option<watch::Receiver<bool>>,
    work: impl Fn(Duration) -> F,
) -> Result<T, Halt> {
    let mut wait = FIRST_WAIT;
    let mut said = String::new();
    loop {
        let asked = Instant::now();
        let error = match work(ASK.min(persistence.patience)).await {
            Ok(done) => {
                persistence.silent_since = None;
                return Ok(done);
            }
            Err(error) => error,
        };
        persistence.touched |= !error.is_clear();
        match silence(cloud, &error, persistence.resumed).await? {
            Silence::None => return Err(Halt::Step(error)),
            Silence::Busy => (persistence.silent_since, wait) = (None, FIRST_WAIT),
            Silence::Away => {
                let since = *persistence.silent_since.get_or_insert(asked);
                if since.elapsed() >= persistence.patience {
                    return Err(Halt::Step(error));
                }
                let sentence = error.to_string();
                if sentence != said {
                    let mut db = cloud.store.write().await?;
                    task::waits_for(&mut db, id, &sentence).await?;
                    db.commit().await?;
                    said = sentence;
                }
            }
        }
        match &mut cancelled {
            Some(cancelled) => tokio::select! {
                () = told(cancelled) => return Err(Halt::Cancelled),
                () = tokio::time::sleep(wait) => {}
            },
            None => tokio::time::sleep(wait).await,
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

impl Persistence {
    async fn new(cloud: &Cloud) -> Result<Self, StoreError> {
        let patience = TASK_AGENT_PATIENCE.value(&mut *cloud.store.read().await?).await?;
        Ok(Self { patience, silent_since: None, touched: false, resumed: false })
    }
}

/// What an error says of whether its agent answers.
enum Silence {
    /// It answers, and this is its answer.
    None,
    /// It is there and at work: patience does not run.
    Busy,
    /// It does not answer.
    Away,
}

async fn silence(cloud: &Cloud, error: &StepError, resumed: bool) -> Result<Silence, StoreError> {
    let StepError::Agent { id, cause, .. } = error else { return Ok(Silence::None) };
    if resumed && matches!(cause, AgentError::Version { .. }) {
        return Ok(Silence::Away);
    }
    if !cause.is_passing() {
        return Ok(Silence::None);
    }
    if !cause.is_slow() {
        return Ok(Silence::Away);
    }
    let host = store::host::by_id(&mut *cloud.store.read().await?, *id).await?;
    let connected = host.is_some_and(|host| host.link.0 == LinkState::Connected);
    Ok(if connected { Silence::Busy } else { Silence::Away })
}

/// Returns once the task is told that it is cancelled; never if nobody is left to tell it.
async fn told(cancelled: &mut watch::Receiver<bool>) {
    if cancelled.wait_for(|cancelled| *cancelled).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn stands(cloud: &Cloud, id: Id, step: &TaskStep, state: StepState) -> Result<(), StoreError> {
    let mut db = cloud.store.write().await?;
    task::step_stands(&mut db, id, step.position, state).await?;
    db.commit().await
}

/// Notes why the task failed; a step that is `settled` is not put back.
async fn fail(cloud: &Cloud, id: Id, error: &ErrorReply, settled: Option<i64>) -> Result<(), StoreError> {
    let mut db = cloud.store.write().await?;
    task::failed(&mut db, id, error).await?;
    if let Some(position) = settled {
        task::step_stands(&mut db, id, position, StepState::Pending).await?;
    }
    db.commit().await
}

/// Ends a task. What is known of its virtual machine is asked anew before: who hears of the end sees what
/// came of it.
async fn finish(cloud: &Cloud, task: &task::Task, state: TaskState) -> Result<(), StoreError> {
    if task.subject_kind.0 == Kind::Vm {
        let vm = store::vm::by_id(&mut *cloud.store.read().await?, task.subject_id).await?;
        if let Some(vm) = vm {
            cloud.links.look_again(vm.host_id).await;
        }
    }
    let mut db = cloud.store.write().await?;
    task::finished(&mut db, task.id, state).await?;
    let (action, subject) = (format!("task {}", task.action.0), &task.subject_name);
    let entry = store::audit::Entry::new(&task.created_by, &action, subject, &state.to_string());
    store::audit::insert(&mut db, &entry).await?;
    db.changed(Kind::Task, task.id);
    db.commit().await
}

/// Why a task failed, with the step in which it did: afterwards all steps are put back and look alike.
fn in_step(step: Option<&TaskStep>, reply: ErrorReply) -> ErrorReply {
    let Some(step) = step else { return reply };
    let place = format!("in the step `{}`", step.step.0.title());
    let cause = reply.cause.map_or(place.clone(), |cause| format!("{place}, {cause}"));
    ErrorReply { cause: Some(cause), ..reply }
}

/// Adds what to type to what the host advises where it refused a file for want of O_DIRECT: it does not know what there is
/// to set here.
async fn advise(
    cloud: &Cloud,
    task: &task::Task,
    step: Option<&TaskStep>,
    reply: &mut ErrorReply,
) -> Result<(), StoreError> {
    if reply.code != ErrorCode::DirectIo {
        return Ok(());
    }
    let mut db = cloud.store.read().await?;
    let modes = step.and_then(|step| step.step.0.cache());
    let (asked, now) = blamed(&mut db, modes, task.subject_id).await?;
    let advice = cache::advice(asked, &now, &cache::again(task.action.0, &task.subject_name));
    reply.next = Some(match reply.next.take() {
        Some(hosts) => format!("{hosts}; or {advice}"),
        None => advice,
    });
    Ok(())
}

/// What was asked of the disk that was refused, as far as it can be told, and what is set for it now: one of those that were
/// asked for with O_DIRECT in as many words, if there is one, or else the first.
async fn blamed(
    db: &mut store::Connection,
    modes: Option<&Modes>,
    vm: Id,
) -> Result<(CacheChoice, Place), StoreError> {
    let direct = |asked: cache::Asked| matches!(asked.mode, CacheChoice::None | CacheChoice::Directsync);
    let named = || modes.iter().flat_map(|modes| modes.volumes());
    let asked = |volume: &Id| modes.is_some_and(|modes| direct(modes.of(*volume)));
    let Some(id) = named().find(asked).or_else(|| named().next()) else {
        let now = cache::of_drives(db, vm).await?;
        let row = store::vm::by_id(db, vm).await?;
        let name = row.map(|row| row.name).unwrap_or_default();
        return Ok((modes.map_or(now.mode, |modes| modes.drives().mode), Place { asked: now, name }));
    };
    let asked = modes.map_or(CacheChoice::default(), |modes| modes.of(id).mode);
    let Some(volume) = store::volume::by_id(db, id).await? else {
        let now = cache::of_drives(db, vm).await?;
        return Ok((asked, Place { asked: now, name: String::new() }));
    };
    let row = store::vm::by_id(db, vm).await?;
    let now = cache::levels(db, volume.id, volume.storage_id, Some(vm)).await?.resolve();
    let name = match now.level {
        CacheLevel::Volume => volume.name,
        CacheLevel::Vm => row.map(|row| row.name).unwrap_or_default(),
        CacheLevel::Storage => volume.storage_name,
        CacheLevel::Global => String::new(),
    };
    Ok((asked, Place { asked: now, name }))
}

fn cancelled_reply() -> ErrorReply {
    ErrorReply {
        code: ErrorCode::Cancelled,
        message: "the task was cancelled".to_owned(),
        cause: None,
        next: None,
    }
}
