//! `cairn-server inspect`, `cairn-server migrate` and `cairn-server backup`: whether this program can work with what lies here,
//! bringing the database to what it works with, and a copy of it. The control tool asks before it puts one version in the
//! place of another; their words are fixed in `packaging/control-contract.md`.

use std::path::Path;

use packaging_service::command;
use packaging_service::config;
use packaging_service::exit::Exit;
use packaging_service::layout::Layout;
use packaging_service::report::CONTRACT;
use serde::Serialize;

use crate::cli::{BackupArgs, DataArgs};
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
    /// The settings of the configuration, defaults included; `None` if it is not taken.
    pub settings: Option<Config>,
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

/// The answer of `backup --json`.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct BackedUp {
    /// Version of the contract.
    pub contract: u32,
    /// The newest migration of the copy; `None` without a database, and no file is written then.
    pub applied: Option<i64>,
}

/// Looks at what lies under `layout`, and changes nothing. A server may be running.
///
/// # Errors
/// If the database cannot be read.
pub fn inspected(layout: &Layout) -> Result<Inspected, Error> {
    let (settings, configuration) = match config::load::<Config>(&layout.server_config()) {
        Ok(settings) => (Some(settings), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let applied = runtime()?.block_on(store::applied(&layout.database()))?;
    Ok(Inspected { contract: CONTRACT, configuration, settings, known: store::newest(), applied })
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

/// Writes a copy of the database under `layout` to the file `to`. A server may be running.
///
/// # Errors
/// If the database cannot be read, or the file is there or cannot be written.
pub fn backed_up(layout: &Layout, to: &Path) -> Result<BackedUp, Error> {
    let applied = runtime()?.block_on(store::copy(&layout.database(), to))?;
    Ok(BackedUp { contract: CONTRACT, applied })
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

/// The command `backup`.
///
/// # Errors
/// As [`backed_up`].
pub fn backup(layout: &Layout, args: &BackupArgs) -> Result<Exit, Error> {
    let done = backed_up(layout, &args.to)?;
    if args.json {
        command::answer_json(&done)?;
    } else {
        match done.applied {
            Some(applied) => {
                let to = args.to.display();
                command::answer(&format_args!("the database, with migration {applied}, is in {to}"))?;
            }
            None => command::answer(&"there is no database yet")?,
        }
    }
    Ok(Exit::Ok)
}

fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
