//! What the page in a browser shows. The browser runs on the machine, which has no other network; so does this test
//! program, started there once more for the look.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use xtask_testbed::browser::Tab;
use xtask_testbed::{Bind, Invocation, MachineOptions};

use crate::host::{Host, expect};
use crate::user::PASSWORD;

/// Says to this program, on the machine, what to look at; as JSON.
const LOOK: &str = "CAIRN_STORY_LOOK";

/// Pictures of what was seen are left here, on this machine.
const PICTURES: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/story");

/// The page, as the machine itself reaches it.
const DASHBOARD: &str = "https://localhost:8443/";

/// The machine sees this program and the folder for pictures, under the same paths.
pub fn options() -> MachineOptions {
    std::fs::create_dir_all(PICTURES).unwrap();
    let program = std::env::current_exe().unwrap();
    let folder = program.parent().unwrap();
    let binds = vec![Bind::read_only(folder, folder), Bind::read_write(PICTURES, PICTURES)];
    MachineOptions { binds, ..MachineOptions::default() }
}

/// Logs in, goes to a page, and sees that all this stands there.
#[track_caller]
pub fn tells(host: &Host, place: &str, title: &str, picture: &str, texts: &[&str]) {
    let look = json!({"place": place, "title": title, "picture": picture, "texts": texts});
    let look = Invocation::new(std::env::current_exe().unwrap())
        .args(["--exact", "story::a_disk_that_did_not_start_starts", "--nocapture"])
        .env(LOOK, look.to_string())
        .env("HOME", "/root")
        .limit(Duration::from_secs(180));
    expect(&host.0.run(look).unwrap(), 0, "1 passed");
    assert!(Path::new(PICTURES).join(format!("story-{picture}.png")).is_file());
}

pub fn is_asked_for() -> bool {
    std::env::var_os(LOOK).is_some()
}

/// On the machine: what [`tells`] asked for.
pub fn look() {
    let look: serde_json::Value = serde_json::from_str(&std::env::var(LOOK).unwrap()).unwrap();
    let text = |name: &str| look[name].as_str().unwrap().to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let tab = Tab::open(DASHBOARD, Path::new(PICTURES), "story").await;
        tab.fill("#login", "Password", PASSWORD).await;
        tab.click("#login", "Log in").await;
        tab.see("#page h1", "Overview").await;
        tab.run(&format!("location.hash = '{}'", text("place"))).await;
        tab.see("#page h1", &text("title")).await;
        for part in look["texts"].as_array().unwrap() {
            tab.see("#page", part.as_str().unwrap()).await;
        }
        // Into the picture.
        tab.run(
            "document.querySelector('#page .reason, #page select')?.scrollIntoView({ block: 'center' });",
        )
        .await;
        tab.picture(&text("picture")).await;
        tab.no_complaints().await;
        tab.close().await;
    });
}
