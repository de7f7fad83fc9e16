//! Waiting for a task, with a line on standard error for each thing that changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use server_api::task::{StepState, Task, TaskState};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::cli::Common;
use crate::client::Client;
use crate::exit::Failure;
use crate::show;

/// The first pause between two looks, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Shows a task that was begun, or waits for its end if that is asked for.
///
/// # Errors
/// If it does not succeed, or a signal ends the wait.
pub fn follow(client: &Client, common: &Common, mut task: Task) -> Result<(), Failure> {
    if !common.wait {
        return show::task(common, &task);
    }
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        let caught = signal_hook::flag::register(signal, interrupted.clone());
        caught.map_err(|error| Failure::File(format!("cannot wait: {error}; leave out `--wait`")))?;
    }
    let mut said = String::new();
    let mut pause = PAUSES.0;
    while !task.state.is_final() {
        let now = sentence(&task);
        if now != said {
            eprintln!("{:>3}%  {now}", task.progress_percent);
            said = now;
            pause = PAUSES.0;
        }
        std::thread::sleep(pause);
        if interrupted.load(Ordering::Relaxed) {
            return Err(Failure::Interrupted(task.id));
        }
        pause = (pause * 2).min(PAUSES.1);
        task = client.get(&format!("/api/v1/tasks/{}", task.id))?;
    }
    if task.state != TaskState::Succeeded {
        return Err(Failure::Task(Box::new(task)));
    }
    eprintln!("100%  {} of {} `{}` is done", task.action, task.subject.kind, task.subject.name);
    show::task(common, &task)
}

fn sentence(task: &Task) -> String {
    let step = task.steps.iter().find(|step| step.state == StepState::Running);
    let doing = match task.state {
        TaskState::Undoing => "putting back what was done",
        TaskState::Running | TaskState::Succeeded | TaskState::Failed | TaskState::Cancelled => {
            step.map_or("waiting for its turn", |step| &step.title)
        }
    };
    match &task.waits_for {
        Some(what) => format!("{doing}; waiting: {what}"),
        None => doing.to_owned(),
    }
}
