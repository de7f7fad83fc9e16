//! Cache modes: set for storages, virtual machines and volumes, tried before they are, and explained.

use std::fmt::Write;

use clap::builder::BoolishValueParser;
use server_api::cache::{
    Attempted, CacheChanged, CacheDryRun, CacheExplanation, CacheImpact, CacheImpactDisk, CacheLayer,
    CacheLevel, CacheLevelSet, CacheOutcome, CacheSet, CacheSettings,
};
use server_api::vm::{CacheChoice, CacheMode};

use crate::ask::part;
use crate::cli::{CacheCommand, Common, Output};
use crate::client::Client;
use crate::exit::Failure;
use crate::show::{self, Column};

const HISTORY: &[Column<CacheChanged>] = &[
    ("WHO", |change| change.who.clone()),
    ("FROM", |change| spell(change.from)),
    ("TO", |change| spell(change.to)),
    ("AT", |change| show::moment(change.at_ms)),
];

const IMPACT: &[Column<CacheImpactDisk>] = &[
    ("VM", |disk| disk.vm_name.clone().unwrap_or_default()),
    ("VOLUME", |disk| disk.volume_name.clone()),
    ("OUTCOME", |disk| disk.outcome.to_string()),
    ("FROM", |disk| disk.from.map(|mode| mode.to_string()).unwrap_or_default()),
    ("TO", |disk| disk.to.map(|mode| mode.to_string()).unwrap_or_default()),
    ("WHY", |disk| disk.reason.clone()),
];

fn spell(mode: Option<CacheChoice>) -> String {
    mode.map_or_else(|| "-".to_owned(), |mode| mode.to_string())
}

/// The cache mode that something is made with.
#[derive(Debug, clap::Args)]
pub struct FirstMode {
    /// Its cache mode: auto, none, writeback, writethrough, directsync or unsafe. By default what is set less specifically counts.
    #[arg(long = "cache", env = "CAIRN_CACHE_MODE", value_name = "MODE")]
    mode: Option<CacheChoice>,
    /// Accept that with `unsafe` a crash of the host loses what is on the disks.
    #[arg(long, env = "CAIRN_ACCEPT_LOSS", value_parser = BoolishValueParser::new())]
    accept_loss: bool,
}

impl FirstMode {
    /// As it is sent.
    pub fn set(&self) -> Option<CacheSet> {
        self.mode.map(|mode| CacheSet { mode, accepts_loss: self.accept_loss })
    }
}

/// What is set for a storage, a virtual machine or a volume; `plural` is its place in the API.
pub fn run(common: &Common, level: CacheLevel, plural: &str, command: CacheCommand) -> Result<(), Failure> {
    let client = Client::new(common)?;
    let at = |name: &str| Ok::<_, Failure>(format!("/api/v1/{plural}/{}/cache", part(name)?));
    let read = |name: &str| match level {
        // Of a volume all is explained, its own mode among it.
        CacheLevel::Volume => client.get::<CacheExplanation>(&at(name)?).map(|told| own(level, told)),
        CacheLevel::Vm | CacheLevel::Storage | CacheLevel::Global => client.get(&at(name)?),
    };
    let mut outlook = None;
    let settings: CacheSettings = match command {
        CacheCommand::Show { name } => read(&name)?,
        CacheCommand::History { name } => {
            let settings = read(&name)?;
            return show::list(common, &settings.changes, &settings.changes, HISTORY);
        }
        CacheCommand::Set { name, mode, accept_loss, dry_run } => {
            let set = CacheSet { mode, accepts_loss: accept_loss };
            if dry_run {
                return try_out(&client, common, level, Some(name), Some(set));
            }
            let settings = client.put(&at(&name)?, &set)?;
            outlook = foresee(&client, level, Some(name), Some(set));
            settings
        }
        CacheCommand::Clear { name, dry_run } => {
            if dry_run {
                return try_out(&client, common, level, Some(name), None);
            }
            // Afterwards nobody can tell any more what it was about.
            outlook = foresee(&client, level, Some(name.clone()), None);
            client.delete(&at(&name)?)?
        }
    };
    match common.output {
        Output::Json => show::record(common, &settings),
        Output::Table => {
            let set = settings.set.map_or_else(|| "nothing is set".to_owned(), label);
            show::line(&format!("{} `{}`: {set}", settings.level, settings.name))?;
            outlook.iter().for_each(tell);
            Ok(())
        }
    }
}

/// What comes of a mode that is set or cleared, as far as the server says so: it is set, whatever becomes of this question.
pub fn foresee(
    client: &Client,
    level: CacheLevel,
    name: Option<String>,
    set: Option<CacheSet>,
) -> Option<CacheImpact> {
    client.post("/api/v1/cache/dry-run", &CacheDryRun { level, name, set }).ok()
}

/// Says what comes of a mode that was set or cleared for machines that there are, and what puts it into force where they run; on
/// standard error, since the answer is another one.
pub fn tell(impact: &CacheImpact) {
    if impact.counts.is_empty() {
        return;
    }
    eprintln!("{}", impact.summary);
    match live(impact).as_slice() {
        [] => {}
        [vm] => eprintln!("`{vm}` can change live: `cairn vm apply-cache {vm}`"),
        vms => eprintln!(
            "{} can change live, each by `cairn vm apply-cache NAME`: see `cairn vm list`",
            vms.len()
        ),
    }
}

/// The virtual machines that can be changed while they run.
fn live(impact: &CacheImpact) -> Vec<&str> {
    let mut vms: Vec<&str> = impact.disks.iter().filter_map(|disk| disk.vm_name.as_deref()).collect();
    vms.sort_unstable();
    vms.dedup();
    vms.retain(|vm| {
        let disks = impact.disks.iter().filter(|disk| disk.vm_name.as_deref() == Some(*vm));
        goes_live(disks.map(|disk| disk.outcome))
    });
    vms
}

/// Whether a virtual machine of whose disks these come can be changed while it runs.
fn goes_live(mut outcomes: impl Iterator<Item = CacheOutcome> + Clone) -> bool {
    let fits = |outcome| matches!(outcome, CacheOutcome::Live | CacheOutcome::Unchanged);
    outcomes.clone().all(fits) && outcomes.any(|outcome| outcome == CacheOutcome::Live)
}

fn own(level: CacheLevel, told: CacheExplanation) -> CacheSettings {
    let set = told.levels.iter().find(|one| one.level == level).and_then(|one| one.set);
    CacheSettings { level, id: told.volume, name: told.volume_name, set, changes: told.changes }
}

/// What would come of setting a mode, or of clearing it.
pub fn try_out(
    client: &Client,
    common: &Common,
    level: CacheLevel,
    name: Option<String>,
    set: Option<CacheSet>,
) -> Result<(), Failure> {
    let request = CacheDryRun { level, name, set };
    let impact: CacheImpact = client.post("/api/v1/cache/dry-run", &request)?;
    show::list(common, &impact, &impact.disks, IMPACT)?;
    if common.output == Output::Json {
        return Ok(());
    }
    for vm in live(&impact) {
        show::line(&format!("once it is set, `{vm}` can change live: `cairn vm apply-cache {vm}`"))?;
    }
    show::line(&format!("{}; nothing was changed", impact.summary))
}

/// In which mode a volume is opened, and why; with what would come of another mode at a level.
pub fn explain(
    common: &Common,
    volume: &str,
    wanted: Option<CacheChoice>,
    at: CacheLevel,
) -> Result<(), Failure> {
    let client = Client::new(common)?;
    let told: CacheExplanation = client.get(&format!("/api/v1/volumes/{}/cache", part(volume)?))?;
    if let Some(mode) = wanted {
        let name = match at {
            CacheLevel::Global => None,
            CacheLevel::Volume | CacheLevel::Vm | CacheLevel::Storage => {
                let place = told.levels.iter().find(|one| one.level == at);
                Some(place.map(|one| one.name.clone()).ok_or_else(|| {
                    Failure::Usage(format!("volume `{volume}` has no {at}; name another level by --at"))
                })?)
            }
        };
        let set = CacheSet { mode, accepts_loss: true };
        return try_out(&client, common, at, name, Some(set));
    }
    match common.output {
        Output::Json => show::record(common, &told),
        Output::Table => show::line(&text(&told).trim_end()),
    }
}

/// A mode, and what it costs where it costs something.
fn label(set: CacheSet) -> String {
    match set.mode {
        CacheChoice::Unsafe => "unsafe (a crash of the host loses what is on the disks)".to_owned(),
        mode => mode.to_string(),
    }
}

fn text(told: &CacheExplanation) -> String {
    let mut text = String::new();
    // Nothing refuses what is written to a text.
    let mut say = |head: &str, line: String| {
        let _ = writeln!(text, "{head:<11}{line}");
    };
    let of = match (&told.vm_name, told.vm_state) {
        (Some(vm), Some(state)) => format!(", a disk of `{vm}`, which is {state}"),
        (Some(vm), None) => format!(", a disk of `{vm}`"),
        (None, _) => ", a disk of nobody".to_owned(),
    };
    say("volume", format!("`{}`{of}", told.volume_name));
    let place = match told.set_at {
        CacheLevel::Global => "everything",
        CacheLevel::Storage => "the storage",
        CacheLevel::Vm => "the virtual machine",
        CacheLevel::Volume => "the volume",
    };
    say("requested", format!("{}, set for {place}", label(told.requested)));
    for CacheLevelSet { level, name, set, counts } in &told.levels {
        let set = spell(set.map(|set| set.mode));
        say("", format!("{level} `{name}`: {set}{}", if *counts { ", which counts" } else { "" }));
    }
    if let Some(effective) = &told.effective {
        say("in force", format!("{}: {}", effective.mode, effective.reason));
        if effective.mode == CacheMode::Unsafe {
            say("", "a crash of the host loses what is on this disk".to_owned());
        }
        effective.warnings.iter().for_each(|warning| say("beware", warning.clone()));
        effective.evidence.iter().for_each(|found| say("found then", layer(found)));
    }
    let now = &told.now;
    match (&told.vm_name, told.pending) {
        (Some(vm), Some(CacheOutcome::Live)) => {
            say("pending", format!("it can change live: `cairn vm apply-cache {vm}`"));
        }
        (Some(vm), Some(CacheOutcome::Restart)) => {
            say("pending", format!("it needs a restart: `cairn vm reboot {vm}`"));
        }
        _ => {}
    }
    match (now.mode, now.refused) {
        (Some(mode), _) => say("now", format!("{mode}: {}", now.reason)),
        (None, true) => say("now", format!("refused: {}", now.reason)),
        (None, false) => say("now", format!("not known: {}", now.reason)),
    }
    now.warnings.iter().for_each(|warning| say("beware", warning.clone()));
    now.evidence.iter().for_each(|found| say("found now", layer(found)));
    if let Some(bytes) = told.sector_bytes {
        say("sectors", format!("{bytes} bytes, as its guest knows it"));
    }
    text
}

/// What was found at one file.
fn layer(found: &CacheLayer) -> String {
    let statx = found.statx.map_or_else(
        || "statx silent".to_owned(),
        |told| format!("statx: memory {}, offset {}", told.memory_bytes, told.offset_bytes),
    );
    let block = found.block_bytes.map(|bytes| format!(", blocks of {bytes} bytes")).unwrap_or_default();
    format!(
        "`{}`: {}{block}{} ({} on {} at `{}`; {statx}; open {}; by {}: 512 bytes {}, 4096 bytes {})",
        found.path,
        found.answer,
        if found.weakest { ", which decides" } else { "" },
        found.file_system,
        found.device,
        found.mount,
        attempted(&found.open),
        found.by,
        attempted(&found.sector),
        attempted(&found.page),
    )
}

/// How an attempt went.
pub fn attempted(tried: &Attempted) -> String {
    match (tried.worked, tried.errno, &tried.message) {
        (Some(true), ..) => "works".to_owned(),
        (Some(false), Some(errno), Some(message)) => format!("{message} (errno {errno})"),
        (Some(false), ..) => "fails".to_owned(),
        (None, ..) => "not tried".to_owned(),
    }
}
