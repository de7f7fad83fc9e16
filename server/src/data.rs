//! `cairn-server inspect` and `cairn-server migrate`: whether this program can work with what lies here, and bringing the
//! database to what it works with. The control tool asks before it puts one version in the place of another; their words
//! are fixed in `packaging/control-contract.md`.

use packaging_service::command;
use packaging_service::config;
use packaging_service::exit::Exit;
use packaging_service::layout::Layout;
use packaging_service::report::CONTRACT;
use serde::Serialize;

use crate::cli::DataArgs;
use crate::config::Config;
use crate::error::Error;
use crate::store::{self, Store};

/// The answer of `inspect --json`.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Inspected {
    /// Version of the contract.
    pub contract: u32,
    /// Why the configuration is not taken; `None` if it is.
    pub configuration: Option<String>,
    /// The newest migration that this program knows.
    pub known: i64,
    /// The newest migration that the database has; `None` without a database.
    pub applied: Option<i64>,
}

/// The answer of `migrate --json`.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Migrated {
    /// Version of the contract.
    pub contract: u32,
    /// The newest migration before; `None` without a database.
    pub from: Option<i64>,
    /// The newest migration now.
    pub to: i64,
}

/// Looks at what lies under `layout`, and changes nothing. A server may be running.
///
/// # Errors
/// If the database cannot be read.
pub fn inspected(layout: &Layout) -> Result<Inspected, Error> {
    let configuration = config::load::<Config>(&layout.server_config()).err().map(|error| error.to_string());
    let applied = runtime()?.block_on(store::applied(&layout.database()))?;
    Ok(Inspected { contract: CONTRACT, configuration, known: store::newest(), applied })
}

/// Brings the database under `layout` to this version. Where there is none, none is made.
///
/// # Errors
/// If another server works with it, if it is newer, or if it cannot be brought there.
pub fn migrated(layout: &Layout) -> Result<Migrated, Error> {
    let (path, to) = (layout.database(), store::newest());
    let from = runtime()?.block_on(async {
        let from = store::applied(&path).await?;
        if from.is_some() {
            Store::open(&path).await?.close().await;
        }
        Ok::<_, Error>(from)
    })?;
    Ok(Migrated { contract: CONTRACT, from, to })
}

/// The command `inspect`.
///
/// # Errors
/// As [`inspected`].
pub fn inspect(layout: &Layout, args: &DataArgs) -> Result<Exit, Error> {
    let found = inspected(layout)?;
    if args.json {
        command::answer_json(&found)?;
        return Ok(Exit::Ok);
    }
    match &found.configuration {
        Some(why) => command::answer(why)?,
        None => command::answer(&"the configuration is taken")?,
    }
    match found.applied {
        Some(applied) => command::answer(&format_args!(
            "the database has migration {applied}, this server knows {}",
            found.known
        ))?,
        None => command::answer(&"there is no database yet")?,
    }
    Ok(Exit::Ok)
}

/// The command `migrate`.
///
/// # Errors
/// As [`migrated`].
pub fn migrate(layout: &Layout, args: &DataArgs) -> Result<Exit, Error> {
    let done = migrated(layout)?;
    if args.json {
        command::answer_json(&done)?;
    } else {
        match done.from {
            Some(from) if from == done.to => {
                command::answer(&format_args!("the database has migration {from}"))?;
            }
            Some(from) => {
                command::answer(&format_args!("the database went from migration {from} to {}", done.to))?;
            }
            None => command::answer(&"there is no database yet")?,
        }
    }
    Ok(Exit::Ok)
}

fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
