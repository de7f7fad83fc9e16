//! Tasks: stored, shown, cancelled, forgotten.

use std::sync::Arc;
use std::time::Duration;

use server_api::event::Kind;
use server_api::task::{StepState, Subject, Task, TaskList, TaskState, TaskStep};

use super::{Cloud, CloudError, Order, Plan, free};
use crate::setting::TASK_RETENTION;
use crate::store::{self, Connection, Id, Word, Write, now_ms, request};

/// How often tasks that nobody does are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// How often what is old is forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(30 * 60);

/// How long the answer to a request that may be repeated is kept, in milliseconds: a week.
const ANSWERS_LAST_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// How long the audit log goes back, in milliseconds: 400 days, a year and the time to look at it.
const AUDIT_LASTS_MS: i64 = 400 * 24 * 60 * 60 * 1000;

/// And how many entries it has at most: some 30 MB.
const AUDIT_ENTRIES: u32 = 100_000;

impl Cloud {
    /// All tasks that are remembered, the newest first.
    pub async fn tasks(&self) -> Result<TaskList, CloudError> {
        let mut db = self.store.read().await?;
        let mut tasks = Vec::new();
        for task in store::task::all(&mut db).await? {
            tasks.push(show(&mut db, task).await?);
        }
        Ok(TaskList { tasks })
    }

    /// One task.
    pub async fn task(&self, id: &str) -> Result<Task, CloudError> {
        let mut db = self.store.read().await?;
        let task = find(&mut db, id).await?;
        show(&mut db, task).await
    }

    /// Cancels a task: it begins no further step, and puts back those that it did. One whose last
    /// step is done by then has succeeded, and one that has ended stays as it is.
    pub async fn cancel_task(&self, id: &str) -> Result<Task, CloudError> {
        let mut db = self.store.write().await?;
        let task = find(&mut db, id).await?;
        if !task.state.0.is_final() {
            store::task::cancel(&mut db, task.id).await?;
        }
        let id = task.id;
        let task = find(&mut db, &id.to_string()).await?;
        let task = show(&mut db, task).await?;
        db.commit().await?;
        self.tasks.cancel(id);
        Ok(task)
    }
}

/// Stores a task with what it holds.
pub(super) async fn insert(db: &mut Write, order: &Order, plan: Plan) -> Result<Task, CloudError> {
    let task = store::task::Task {
        id: Id::new(),
        action: Word(plan.action),
        subject_kind: Word(plan.kind),
        subject_id: plan.id,
        subject_name: plan.name.clone(),
        state: Word(TaskState::Running),
        waits_for: None,
        error: None,
        cancel_requested: false,
        created_by: order.who.clone(),
        created_ms: now_ms(),
        finished_ms: None,
    };
    store::task::insert(db, &task, &plan.steps).await?;
    for (kind, id, name) in std::iter::once((plan.kind, plan.id, plan.name)).chain(plan.holds) {
        free(db, kind, id, &name).await?;
        store::task::hold(db, task.id, id).await?;
        db.changed(kind, id);
    }
    show(db, task).await
}

async fn find(db: &mut Connection, text: &str) -> Result<store::task::Task, CloudError> {
    let found = match text.parse() {
        Ok(id) => store::task::by_id(db, Id(id)).await?,
        Err(_) => None,
    };
    found.ok_or_else(|| CloudError::NotFound { kind: Kind::Task, name: text.to_owned() })
}

/// A task as the public sees it.
async fn show(db: &mut Connection, task: store::task::Task) -> Result<Task, CloudError> {
    let steps = store::task::steps(db, task.id).await?;
    let done = steps.iter().filter(|step| step.state.0 == StepState::Done).count();
    let progress = if task.state.0 == TaskState::Succeeded { 100 } else { 100 * done / steps.len().max(1) };
    let encode =
        |step: store::task::TaskStep| TaskStep { title: step.step.0.title().to_owned(), state: step.state.0 };
    Ok(Task {
        id: task.id.0,
        action: task.action.0,
        subject: Subject { kind: task.subject_kind.0, id: task.subject_id.0, name: task.subject_name },
        state: task.state.0,
        progress_percent: u8::try_from(progress).unwrap_or(100),
        waits_for: task.waits_for,
        steps: steps.into_iter().map(encode).collect(),
        error: task.error.map(|error| error.0),
        cancel_requested: task.cancel_requested,
        created_by: task.created_by,
        created_at_ms: task.created_ms,
        finished_at_ms: task.finished_ms,
    })
}

/// Goes on, from time to time, with tasks that nobody does, until the server stops: one whose work died is
/// begun again.
pub(super) async fn keep_going(cloud: Arc<Cloud>) {
    let mut stop = cloud.stop.clone();
    loop {
        tokio::select! {
            () = stop.ordered() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        if let Err(error) = cloud.go_on().await {
            tracing::warn!("cannot look for tasks that nobody does: {error}");
        }
    }
}

/// Forgets what is old, from time to time, until the server stops.
pub(super) async fn forget_old(cloud: Arc<Cloud>) {
    let mut stop = cloud.stop.clone();
    loop {
        if let Err(error) = forget(&cloud).await {
            tracing::warn!("cannot forget old tasks: {error}");
        }
        tokio::select! {
            () = stop.ordered() => return,
            () = tokio::time::sleep(FORGET_EVERY) => {}
        }
    }
}

async fn forget(cloud: &Cloud) -> Result<(), store::StoreError> {
    let mut db = cloud.store.write().await?;
    let retention = TASK_RETENTION.value(&mut db).await?;
    let retention_ms = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
    store::task::forget(&mut db, now_ms().saturating_sub(retention_ms)).await?;
    request::forget(&mut db, now_ms() - ANSWERS_LAST_MS).await?;
    store::audit::forget(&mut db, now_ms() - AUDIT_LASTS_MS, AUDIT_ENTRIES).await?;
    db.commit().await
}
