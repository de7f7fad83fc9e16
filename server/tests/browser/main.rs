//! The dashboard in a real browser, against the real server, with an agent whose virtual machines are simulated. All of it runs
//! in a room with nothing but a loopback device; the test holds the strings of the simulated host.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod connection;
mod keyboard;
mod login;
mod looks;
mod machines;
mod resources;
mod settings;
mod tab;
mod world;

use std::path::Path;

use tab::Tab;
use world::World;
use xtask_testbed::browser::{Inside, inside};
use xtask_testbed::{Bind, Mount};

/// The dashboard of this tree.
const DASHBOARD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/dashboard");

/// Pictures of what was seen are left here, on this machine.
const PICTURES: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/browser");

/// Runs `test` in a room, with a browser that is logged in nowhere yet. What the browser complains of is a failure, too.
fn in_a_browser(name: &str, test: impl AsyncFnOnce(&mut World, &Tab)) {
    std::fs::create_dir_all(PICTURES).unwrap();
    let room = Inside {
        mounts: vec![
            Mount::from(Bind::read_only(DASHBOARD, DASHBOARD)),
            Mount::from(Bind::read_write(PICTURES, PICTURES)),
        ],
        executables: vec![Path::new(env!("CARGO_BIN_EXE_cairn-server")).to_owned()],
        ..Inside::default()
    };
    inside(name, &room, || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::start().await;
            let tab = Tab::open(name).await;
            test(&mut world, &tab).await;
            tab.no_complaints().await;
            tab.close().await;
            world.stop().await;
        });
    });
}
