//! Running cases.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use super::cases::{CASES, Case};
use super::{Fixture, Room};

/// A case that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(300);

/// Runs the cases whose name holds `filter`, one after the other, and says of each how it went.
///
/// # Panics
/// When any of them failed, after the last one.
pub async fn run(fixture: Arc<dyn Fixture>, filter: &str) {
    let chosen: Vec<&Case> = CASES.iter().filter(|case| case.name.contains(filter)).collect();
    assert!(!chosen.is_empty(), "no case of the contract has `{filter}` in its name");
    let mut failed = Vec::new();
    for case in &chosen {
        match run_case(case, fixture.clone()).await {
            Ok(()) => println!("contract {} ... ok", case.name),
            Err(why) => {
                println!("contract {} ... FAILED\n    {}", case.name, why.replace('\n', "\n    "));
                failed.push(case.name);
            }
        }
    }
    let (bad, all) = (failed.len(), chosen.len());
    assert!(failed.is_empty(), "{bad} of {all} cases of the contract failed: {}", failed.join(", "));
}

/// Runs one case, and clears its domains away.
///
/// # Errors
/// What the case panicked with, or that it hung.
pub async fn run_case(case: &'static Case, fixture: Arc<dyn Fixture>) -> Result<(), String> {
    let body = tokio::spawn({
        let fixture = fixture.clone();
        async move {
            let room = Room::new(fixture, case.name).await;
            (case.body)(&room).await;
        }
    });
    let abort = body.abort_handle();
    let outcome = match tokio::time::timeout(LIMIT, body).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(ended)) => {
            Err(ended.try_into_panic().map_or_else(|ended| ended.to_string(), |panic| words(&*panic)))
        }
        Err(_) => {
            abort.abort();
            Err(format!("it did not end within {} seconds", LIMIT.as_secs()))
        }
    };
    let cleared = tokio::spawn(async move { Room::new(fixture, case.name).await.clear().await });
    let cleared = cleared.await.map_err(|ended| ended.to_string()).and_then(|cleared| cleared);
    outcome.and(cleared.map_err(|why| format!("its domains are not cleared away: {why}")))
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it panicked without words").to_owned()
}
