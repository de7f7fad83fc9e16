//! Tasks, their steps, and what they hold.

use server_api::error::ErrorReply;
use server_api::event::Kind;
use server_api::task::{Action, StepState, TaskState};
use sqlx::Row;

use super::{Connection, Document, Id, Result, Word, Write, now_ms};
use crate::task::step::Step;

/// A task, without its steps.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Task {
    /// Its identity.
    pub id: Id,
    /// What it does.
    pub action: Word<Action>,
    /// What kind of resource it does it to.
    pub subject_kind: Word<Kind>,
    /// Which.
    pub subject_id: Id,
    /// Its name when the task was made.
    pub subject_name: String,
    /// Where it stands.
    pub state: Word<TaskState>,
    /// What it waits for.
    pub waits_for: Option<String>,
    /// Why it failed.
    pub error: Option<Document<ErrorReply>>,
    /// True if somebody asked for it to be cancelled.
    pub cancel_requested: bool,
    /// Who asked for it.
    pub created_by: String,
    /// When.
    pub created_ms: i64,
    /// When it ended.
    pub finished_ms: Option<i64>,
}

/// A step of a task.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct TaskStep {
    /// Which one, from 0.
    pub position: i64,
    /// What it does.
    pub step: Document<Step>,
    /// The operation that it is to the agent.
    pub operation: Id,
    /// The operation that putting it back is to the agent.
    pub undo_operation: Id,
    /// Where it stands.
    pub state: Word<StepState>,
}

/// The newest 500, the newest first.
pub async fn all(db: &mut Connection) -> Result<Vec<Task>> {
    Ok(sqlx::query_as("SELECT * FROM tasks ORDER BY id DESC LIMIT 500").fetch_all(db).await?)
}

/// The one with this id.
pub async fn by_id(db: &mut Connection, id: Id) -> Result<Option<Task>> {
    Ok(sqlx::query_as("SELECT * FROM tasks WHERE id = $1").bind(id).fetch_optional(db).await?)
}

/// Those that have not ended, the oldest first.
pub async fn unfinished(db: &mut Connection) -> Result<Vec<Id>> {
    let statement = "SELECT id FROM tasks WHERE finished_ms IS NULL ORDER BY id";
    let rows = sqlx::query(statement).fetch_all(db).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<std::result::Result<_, _>>()?)
}

/// The steps of a task, in order.
pub async fn steps(db: &mut Connection, task: Id) -> Result<Vec<TaskStep>> {
    let statement = "SELECT position, step, operation, undo_operation, state FROM task_steps
         WHERE task_id = $1 ORDER BY position";
    Ok(sqlx::query_as(statement).bind(task).fetch_all(db).await?)
}

/// The task that works on a resource.
pub async fn holder(db: &mut Connection, resource: Id) -> Result<Option<Task>> {
    let statement =
        "SELECT tasks.* FROM tasks JOIN holds ON holds.task_id = tasks.id WHERE holds.resource_id = $1";
    Ok(sqlx::query_as(statement).bind(resource).fetch_optional(db).await?)
}

/// Adds a task with its steps, which are all still to be done. It holds nothing yet.
pub async fn insert(db: &mut Write, task: &Task, steps: &[Step]) -> Result<()> {
    sqlx::query(
        "INSERT INTO tasks
         (id, action, subject_kind, subject_id, subject_name, state, cancel_requested, created_by, created_ms)
         VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8)",
    )
    .bind(task.id)
    .bind(task.action)
    .bind(task.subject_kind)
    .bind(task.subject_id)
    .bind(&task.subject_name)
    .bind(task.state)
    .bind(&task.created_by)
    .bind(task.created_ms)
    .execute(&mut **db)
    .await?;
    for (position, step) in (0i64..).zip(steps) {
        sqlx::query(
            "INSERT INTO task_steps (task_id, position, step, operation, undo_operation, state)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(task.id)
        .bind(position)
        .bind(Document(step.clone()))
        .bind(Id::new())
        .bind(Id::new())
        .bind(Word(StepState::Pending))
        .execute(&mut **db)
        .await?;
    }
    db.changed(Kind::Task, task.id);
    Ok(())
}

/// Keeps other tasks from a resource until this one ends. Fails, too, if another one holds it.
pub async fn hold(db: &mut Write, task: Id, resource: Id) -> Result<()> {
    let statement = "INSERT INTO holds (resource_id, task_id) VALUES ($1, $2)";
    sqlx::query(statement).bind(resource).bind(task).execute(&mut **db).await?;
    Ok(())
}

/// Notes where a step stands.
pub async fn step_stands(db: &mut Write, task: Id, position: i64, state: StepState) -> Result<()> {
    sqlx::query("UPDATE task_steps SET state = $3 WHERE task_id = $1 AND position = $2")
        .bind(task)
        .bind(position)
        .bind(Word(state))
        .execute(&mut **db)
        .await?;
    sqlx::query("UPDATE tasks SET waits_for = NULL WHERE id = $1").bind(task).execute(&mut **db).await?;
    db.changed(Kind::Task, task);
    Ok(())
}

/// Notes what a task waits for.
pub async fn waits_for(db: &mut Write, task: Id, what: &str) -> Result<()> {
    let statement = "UPDATE tasks SET waits_for = $2 WHERE id = $1";
    sqlx::query(statement).bind(task).bind(what).execute(&mut **db).await?;
    db.changed(Kind::Task, task);
    Ok(())
}

/// Notes that somebody wants a task to be cancelled.
pub async fn cancel(db: &mut Write, task: Id) -> Result<()> {
    let statement = "UPDATE tasks SET cancel_requested = 1 WHERE id = $1";
    sqlx::query(statement).bind(task).execute(&mut **db).await?;
    db.changed(Kind::Task, task);
    Ok(())
}

/// Notes that a task failed and begins to put back what it did.
pub async fn failed(db: &mut Write, task: Id, error: &ErrorReply) -> Result<()> {
    sqlx::query("UPDATE tasks SET state = $2, error = $3, waits_for = NULL WHERE id = $1")
        .bind(task)
        .bind(Word(TaskState::Undoing))
        .bind(Document(error.clone()))
        .execute(&mut **db)
        .await?;
    db.changed(Kind::Task, task);
    Ok(())
}

/// Notes that a task ended. What it held is free.
pub async fn finished(db: &mut Write, task: Id, state: TaskState) -> Result<()> {
    sqlx::query("UPDATE tasks SET state = $2, finished_ms = $3, waits_for = NULL WHERE id = $1")
        .bind(task)
        .bind(Word(state))
        .bind(now_ms())
        .execute(&mut **db)
        .await?;
    let_go(db, task).await?;
    db.changed(Kind::Task, task);
    Ok(())
}

/// Frees what a task held. The resources count as changed: they say which task works on them.
pub async fn let_go(db: &mut Write, task: Id) -> Result<()> {
    if let Some(task) = by_id(db, task).await? {
        db.changed(task.subject_kind.0, task.subject_id);
    }
    sqlx::query("DELETE FROM holds WHERE task_id = $1").bind(task).execute(&mut **db).await?;
    Ok(())
}

/// Forgets tasks that ended before `before_ms`. True if there were any.
pub async fn forget(db: &mut Write, before_ms: i64) -> Result<bool> {
    let statement = "DELETE FROM tasks WHERE finished_ms < $1";
    Ok(sqlx::query(statement).bind(before_ms).execute(&mut **db).await?.rows_affected() > 0)
}
