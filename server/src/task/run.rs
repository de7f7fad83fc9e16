//! Doing a task, from wherever it stands.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use agent_protocol::envelope::FailureCode;
use server_api::error::{ErrorCode, ErrorReply};
use server_api::event::Kind;
use server_api::task::{StepState, TaskState};
use tokio::sync::watch;
use tokio::time::Instant;

use super::perform::{self, StepError};
use super::{apply, undo};
use crate::cloud::Cloud;
use crate::setting::TASK_AGENT_PATIENCE;
use crate::store::task::{self, TaskStep};
use crate::store::{self, Id, StoreError};

/// The first wait before an agent that does not answer is asked again. Each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// The longest.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How long a task rests when the database fails.
const REST: Duration = Duration::from_secs(5);

/// Why a task does not go on.
enum Halt {
    /// Somebody cancelled it.
    Cancelled,
    /// A step cannot be done.
    Step(StepError),
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
                    fail(cloud, id, &error.reply(), foreign).await?;
                }
            }
        }
    }
    backward(cloud, id).await?;
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
        let work = || perform::perform(cloud, &step.step.0, step.operation);
        let patience = TASK_AGENT_PATIENCE.value(&mut *cloud.store.read().await?).await?;
        let deadline = Instant::now() + patience;
        let persisted = persist(cloud, id, deadline, Some(cancelled.clone()), work);
        let answer = if step.step.0.waits_for_a_guest() {
            tokio::select! {
                answer = persisted => answer,
                () = told(cancelled) => Err(Halt::Cancelled),
            }
        } else {
            persisted.await
        };
        match answer {
            Ok(answer) => {
                let mut db = cloud.store.write().await?;
                apply::apply(&mut db, &step.step.0, &answer).await?;
                task::step_stands(&mut db, id, step.position, StepState::Done).await?;
                db.commit().await?;
            }
            Err(Halt::Step(StepError::Store(error))) => return Err(error),
            Err(halt) => return Ok(Some((Some(step.position), halt))),
        }
    }
    Ok(None)
}

/// Puts back what was begun, the last step first. What cannot be put back is noted; the rest goes on.
async fn backward(cloud: &Cloud, id: Id) -> Result<(), StoreError> {
    let mut db = cloud.store.read().await?;
    let patience = TASK_AGENT_PATIENCE.value(&mut db).await?;
    let steps = task::steps(&mut db, id).await?;
    drop(db);
    let deadline = Instant::now() + patience;
    for step in steps.iter().rev() {
        let begun = match step.state.0 {
            StepState::Running | StepState::Done => true,
            StepState::Pending => false,
            StepState::Undone | StepState::Stuck => continue,
        };
        let work = || undo::call(cloud, &step.step.0, step.undo_operation);
        let undone = if begun { persist(cloud, id, deadline, None, work).await } else { Ok(()) };
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
        undo::apply(&mut db, &step.step.0, clean).await?;
        let state = if clean { StepState::Undone } else { StepState::Stuck };
        task::step_stands(&mut db, id, step.position, state).await?;
        db.commit().await?;
    }
    Ok(())
}

/// Does `work` again as long as the agent does not answer, until `deadline`.
async fn persist<T, F: Future<Output = Result<T, StepError>>>(
    cloud: &Cloud,
    id: Id,
    deadline: Instant,
    mut cancelled: Option<watch::Receiver<bool>>,
    work: impl Fn() -> F,
) -> Result<T, Halt> {
    let mut wait = FIRST_WAIT;
    let mut said = String::new();
    loop {
        let error = match work().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let passing = matches!(&error, StepError::Agent { cause, .. } if cause.is_passing());
        if !passing || Instant::now() >= deadline {
            return Err(Halt::Step(error));
        }
        let sentence = error.to_string();
        if sentence != said {
            let mut db = cloud.store.write().await?;
            task::waits_for(&mut db, id, &sentence).await?;
            db.commit().await?;
            said = sentence;
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

/// Ends a task. What is known of its virtual machine is asked anew before: who hears of the end sees what came of it.
async fn finish(cloud: &Cloud, task: &task::Task, state: TaskState) -> Result<(), StoreError> {
    if task.subject_kind.0 == Kind::Vm {
        let vm = store::vm::by_id(&mut *cloud.store.read().await?, task.subject_id).await?;
        if let Some(vm) = vm {
            cloud.links.look_again(vm.host_id).await;
        }
    }
    let mut db = cloud.store.write().await?;
    task::finished(&mut db, task.id, state).await?;
    db.changed(Kind::Task, task.id);
    db.commit().await
}

fn cancelled_reply() -> ErrorReply {
    ErrorReply {
        code: ErrorCode::Cancelled,
        message: "the task was cancelled".to_owned(),
        cause: None,
        next: None,
    }
}
