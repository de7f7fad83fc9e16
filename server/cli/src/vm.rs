//! Virtual machines.

use server_api::cache::CacheLevel;
use server_api::task::Task;
use server_api::vm::{
    AttachRequest, ConsoleReply, DiskRequest, InsertRequest, NicRequest, Vm, VmList, VmMigration,
    VmMigrationDisk, VmRequest,
};

use crate::ask::part;
use crate::cache;
use crate::cli::{Common, CreateArgs, Output, VmCommand};
use crate::client::Client;
use crate::exit::Failure;
use crate::show::{self, Column};
use crate::size::spell;
use crate::wait;

const COLUMNS: &[Column<Vm>] = &[
    ("NAME", |vm| vm.name.clone()),
    ("STATE", |vm| vm.state.to_string()),
    ("HOST", |vm| vm.host_name.clone()),
    ("VCPUS", |vm| vm.vcpus.to_string()),
    ("MEMORY", |vm| spell(vm.memory_bytes)),
    ("CACHE", |vm| {
        let modes = vm.disks.iter().filter_map(|disk| Some(disk.cache.as_ref()?.mode.to_string()));
        modes.collect::<Vec<_>>().join(",")
    }),
    ("TASK", |vm| vm.task.as_ref().map(|task| task.action.to_string()).unwrap_or_default()),
];

pub fn run(common: &Common, command: VmCommand) -> Result<(), Failure> {
    let client = Client::new(common)?;
    let at = |vm: &str, rest: &str| Ok::<_, Failure>(format!("/api/v1/vms/{}{rest}", part(vm)?));
    let press =
        |vm: &str, button: &str| client.post::<Task>(&at(vm, &format!("/{button}"))?, &serde_json::json!({}));
    let task = match command {
        VmCommand::List => {
            let list: VmList = client.get("/api/v1/vms")?;
            return show::list(common, &list, &list.vms, COLUMNS);
        }
        VmCommand::Show { vm } => return show::record(common, &client.get::<Vm>(&at(&vm, "")?)?),
        VmCommand::Migration { vm } => return migration(&client, common, &at(&vm, "/migration")?),
        VmCommand::Cache(command) => return cache::run(common, CacheLevel::Vm, "vms", command),
        VmCommand::Console { vm } => return console(&client, common, &at(&vm, "/console")?),
        VmCommand::Create(args) => client.post("/api/v1/vms", &order(*args))?,
        VmCommand::Start { vm } => press(&vm, "start")?,
        VmCommand::Shutdown { vm } => press(&vm, "shutdown")?,
        VmCommand::ForceOff { vm } => press(&vm, "force-off")?,
        VmCommand::Reboot { vm } => press(&vm, "reboot")?,
        VmCommand::ApplyCache { vm } => press(&vm, "apply-cache")?,
        VmCommand::Reset { vm } => press(&vm, "reset")?,
        VmCommand::Pause { vm } => press(&vm, "pause")?,
        VmCommand::Resume { vm } => press(&vm, "resume")?,
        VmCommand::Delete { vm, volumes } => client.delete(&at(&vm, &format!("?volumes={volumes}"))?)?,
        VmCommand::Attach { vm, volume, bus } => {
            client.post(&at(&vm, "/volumes")?, &AttachRequest { volume, bus })?
        }
        VmCommand::Detach { vm, volume } => {
            client.delete(&at(&vm, &format!("/volumes/{}", part(&volume)?))?)?
        }
        VmCommand::Insert { vm, image, drive } => {
            client.put(&at(&vm, &format!("/cdroms/{drive}"))?, &InsertRequest { image })?
        }
        VmCommand::Eject { vm, drive } => client.delete(&at(&vm, &format!("/cdroms/{drive}"))?)?,
    };
    wait::follow(&client, common, task)
}

fn order(args: CreateArgs) -> VmRequest {
    let disk = |image: Option<String>, size_bytes| DiskRequest {
        image,
        size_bytes,
        storage: args.storage.clone(),
        bus: args.bus,
        cache: None,
    };
    VmRequest {
        cache: args.first.set(),
        root: disk(args.image, args.size),
        data: args.data.into_iter().map(|size| disk(None, Some(size))).collect(),
        nics: args
            .bridge
            .into_iter()
            .map(|bridge| NicRequest { bridge, mac: None, model: args.nic_model })
            .collect(),
        name: args.name,
        memory_bytes: args.memory,
        vcpus: args.vcpus,
        cdrom: args.cdrom,
        machine: args.machine,
        firmware: args.firmware,
        accel: args.accel,
        guest: args.guest,
        boot: Some(args.boot).filter(|boot| !boot.is_empty()),
        start: args.start,
    }
}

/// Says whether a virtual machine may migrate, and what is in the way.
fn migration(client: &Client, common: &Common, path: &str) -> Result<(), Failure> {
    const DISKS: &[Column<VmMigrationDisk>] = &[
        ("DISK", |disk| disk.target.clone()),
        ("MODE", |disk| disk.mode.to_string()),
        ("LIES", |disk| disk.reach.to_string()),
        ("SAFE", |disk| if disk.safe { "yes" } else { "no" }.to_owned()),
        ("WHY", |disk| disk.reason.clone()),
        ("REMEDY", |disk| disk.remedy.clone().unwrap_or_default()),
    ];
    let judged: VmMigration = client.get(path)?;
    show::list(common, &judged, &judged.disks, DISKS)?;
    match common.output {
        Output::Json => Ok(()),
        Output::Table => show::line(&if judged.may { "it may migrate" } else { "it may not migrate" }),
    }
}

/// Prints all that is kept of what a guest wrote.
fn console(client: &Client, common: &Common, path: &str) -> Result<(), Failure> {
    let mut all: Option<ConsoleReply> = None;
    loop {
        let offset = all.as_ref().map_or(0, |all| all.next_offset);
        let next: ConsoleReply = client.get(&format!("{path}?offset={offset}"))?;
        let ended = next.next_offset <= offset || next.next_offset >= next.size_bytes;
        match &mut all {
            None => all = Some(next),
            Some(all) => {
                all.text.push_str(&next.text);
                (all.next_offset, all.size_bytes) = (next.next_offset, next.size_bytes);
            }
        }
        if ended {
            break;
        }
    }
    match (common.output, all) {
        (Output::Table, Some(all)) => show::line(&all.text.trim_end_matches('\n')),
        (_, all) => show::record(common, &all),
    }
}
