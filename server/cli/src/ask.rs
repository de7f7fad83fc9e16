//! What is asked of the server, one function per kind of resource. Virtual machines and settings have files of their
//! own.

use server_api::audit::{AuditEntry, AuditList};
use server_api::cache::CacheLevel;
use server_api::host::{Host, HostList, HostRemoval, JoinTokenReply, JoinTokenRequest};
use server_api::image::{Image, ImageList, ImageRequest};
use server_api::storage::{Storage, StorageFinding, StorageList, StorageRequest};
use server_api::task::{Task, TaskList};
use server_api::token::{Token, TokenList, TokenReply, TokenRequest};
use server_api::volume::{ResizeRequest, Volume, VolumeList, VolumeRequest};

use crate::cache;
use crate::cli::{
    Common, HostCommand, ImageCommand, Output, StorageCommand, TaskCommand, TokenCommand, VolumeCommand,
};
use crate::client::{Client, Nothing};
use crate::exit::Failure;
use crate::show::{self, Column};
use crate::size::spell;
use crate::wait;

/// Part of a path: a name or an id, and nothing that means something in a path.
pub fn part(text: &str) -> Result<&str, Failure> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let dots = text.bytes().all(|byte| byte == b'.');
    if !dots && text.bytes().all(plain) {
        return Ok(text);
    }
    Err(Failure::Usage(format!("`{text}` is neither a name nor an id")))
}

pub fn host(common: &Common, command: HostCommand) -> Result<(), Failure> {
    const COLUMNS: &[Column<Host>] = &[
        ("NAME", |host| host.name.clone()),
        ("LINK", |host| host.link.state.to_string()),
        ("ADDRESS", |host| host.address.clone()),
        ("REASON", |host| host.link.reason.clone().unwrap_or_default()),
    ];
    let client = Client::new(common)?;
    match command {
        HostCommand::List => {
            let list: HostList = client.get("/api/v1/hosts")?;
            show::list(common, &list, &list.hosts, COLUMNS)
        }
        HostCommand::Show { host } => {
            show::record(common, &client.get::<Host>(&format!("/api/v1/hosts/{}", part(&host)?))?)
        }
        HostCommand::Token { expires, reach, r#for } => {
            let request = JoinTokenRequest { expires_in_seconds: expires, server: reach, host: r#for };
            let reply: JoinTokenReply = client.post_once("/api/v1/hosts/tokens", &request)?;
            show::record(common, &reply)
        }
        HostCommand::Add { expires, reach, r#for } => {
            let request = JoinTokenRequest { expires_in_seconds: expires, server: reach, host: r#for };
            add(common, &client.post_once("/api/v1/hosts/tokens", &request)?)
        }
        HostCommand::Delete { host, forget } => {
            let removal = HostRemoval { forget };
            client.delete_with::<Nothing>(&format!("/api/v1/hosts/{}", part(&host)?), &removal)?;
            show::done(common, &format!("host `{host}` is removed"))
        }
    }
}

/// The command on standard output, and what there is to say of it on standard error, so that the one can be copied.
fn add(common: &Common, reply: &JoinTokenReply) -> Result<(), Failure> {
    if common.output == Output::Json {
        return show::record(common, reply);
    }
    let until = show::moment(reply.expires_at_ms);
    match &reply.command {
        Some(command) => {
            eprintln!("Type this on the new host, as root. It is good once, until {until}:");
            show::line(command)?;
            eprintln!(
                "Where that cannot fetch the file, carry it there and type, with its name for FILE.run:"
            );
            eprintln!("{}", reply.command_with_file);
            Ok(())
        }
        None => {
            eprintln!("{}", reply.no_command.as_deref().unwrap_or_default());
            eprintln!(
                "Then type this there, as root, with its name for FILE.run. It is good once, until {until}:"
            );
            show::line(&reply.command_with_file)
        }
    }
}

pub fn storage(common: &Common, command: StorageCommand) -> Result<(), Failure> {
    const COLUMNS: &[Column<Storage>] = &[
        ("NAME", |storage| storage.name.clone()),
        ("HOST", |storage| storage.host_name.clone()),
        ("PATH", |storage| storage.path.clone()),
        ("FILE SYSTEM", |storage| storage.file_system.clone()),
        ("SIZE", |storage| spell(storage.capacity_bytes)),
        ("FREE", |storage| spell(storage.available_bytes)),
    ];
    let client = Client::new(common)?;
    match command {
        StorageCommand::List => {
            let list: StorageList = client.get("/api/v1/storages")?;
            show::list(common, &list, &list.storages, COLUMNS)
        }
        StorageCommand::Show { storage } => {
            show::record(common, &client.get::<Storage>(&format!("/api/v1/storages/{}", part(&storage)?))?)
        }
        StorageCommand::Create { name, path, host } => {
            let storage: Storage = client.post("/api/v1/storages", &StorageRequest { name, host, path })?;
            show::record(common, &storage)
        }
        StorageCommand::Check { storage } => {
            let path = format!("/api/v1/storages/{}/check", part(&storage)?);
            check(common, &client.post::<Storage>(&path, &serde_json::json!({}))?)
        }
        StorageCommand::Cache(command) => cache::run(common, CacheLevel::Storage, "storages", command),
        StorageCommand::Delete { storage } => {
            client.delete::<Nothing>(&format!("/api/v1/storages/{}", part(&storage)?))?;
            show::done(common, &format!("storage `{storage}` is removed; its folder stays"))
        }
    }
}

/// Says what a storage was found to be worth.
fn check(common: &Common, storage: &Storage) -> Result<(), Failure> {
    const COLUMNS: &[Column<StorageFinding>] = &[
        ("SUBJECT", |found| found.subject.to_string()),
        ("VERDICT", |found| found.verdict.to_string()),
        ("EVIDENCE", |found| found.evidence.clone()),
        ("ADVICE", |found| found.advice.clone().unwrap_or_default()),
    ];
    let findings = storage.check.as_ref().map(|check| check.findings.as_slice()).unwrap_or_default();
    show::list(common, &storage.check, findings, COLUMNS)
}

pub fn image(common: &Common, command: ImageCommand) -> Result<(), Failure> {
    const COLUMNS: &[Column<Image>] = &[
        ("NAME", |image| image.name.clone()),
        ("STORAGE", |image| image.storage_name.clone()),
        ("FORMAT", |image| image.format.map(|format| format.to_string()).unwrap_or_default()),
        ("SIZE", |image| image.size_bytes.map(spell).unwrap_or_default()),
        ("PHASE", |image| image.phase.to_string()),
    ];
    let client = Client::new(common)?;
    let task: Task = match command {
        ImageCommand::List => {
            let list: ImageList = client.get("/api/v1/images")?;
            return show::list(common, &list, &list.images, COLUMNS);
        }
        ImageCommand::Show { image } => {
            let image: Image = client.get(&format!("/api/v1/images/{}", part(&image)?))?;
            return show::record(common, &image);
        }
        ImageCommand::Import { name, source, storage, sha256 } => {
            client.post("/api/v1/images", &ImageRequest { name, storage, source, sha256 })?
        }
        ImageCommand::Delete { image } => client.delete(&format!("/api/v1/images/{}", part(&image)?))?,
    };
    wait::follow(&client, common, task)
}

pub fn volume(common: &Common, command: VolumeCommand) -> Result<(), Failure> {
    const COLUMNS: &[Column<Volume>] = &[
        ("NAME", |volume| volume.name.clone()),
        ("STORAGE", |volume| volume.storage_name.clone()),
        ("SIZE", |volume| volume.size_bytes.map(spell).unwrap_or_default()),
        ("IMAGE", |volume| volume.image_name.clone().unwrap_or_default()),
        ("VM", |volume| volume.vm_name.clone().unwrap_or_default()),
        ("PHASE", |volume| volume.phase.to_string()),
    ];
    let client = Client::new(common)?;
    let task: Task = match command {
        VolumeCommand::List => {
            let list: VolumeList = client.get("/api/v1/volumes")?;
            return show::list(common, &list, &list.volumes, COLUMNS);
        }
        VolumeCommand::Show { volume } => {
            let volume: Volume = client.get(&format!("/api/v1/volumes/{}", part(&volume)?))?;
            return show::record(common, &volume);
        }
        VolumeCommand::Explain { volume, wanted, at } => {
            return cache::explain(common, &volume, wanted, at);
        }
        VolumeCommand::Cache(command) => return cache::run(common, CacheLevel::Volume, "volumes", command),
        VolumeCommand::Create { name, size, image, storage, first } => {
            let cache = first.set();
            client
                .post("/api/v1/volumes", &VolumeRequest { name, storage, image, size_bytes: size, cache })?
        }
        VolumeCommand::Resize { volume, size } => {
            let path = format!("/api/v1/volumes/{}/resize", part(&volume)?);
            client.post(&path, &ResizeRequest { size_bytes: size })?
        }
        VolumeCommand::Delete { volume } => client.delete(&format!("/api/v1/volumes/{}", part(&volume)?))?,
    };
    wait::follow(&client, common, task)
}

pub fn task(common: &Common, command: TaskCommand) -> Result<(), Failure> {
    const COLUMNS: &[Column<Task>] = &[
        ("ID", |task| task.id.to_string()),
        ("ACTION", |task| task.action.to_string()),
        ("SUBJECT", |task| task.subject.name.clone()),
        ("STATE", |task| task.state.to_string()),
        ("DONE", |task| format!("{}%", task.progress_percent)),
        ("WHY", |task| task.error.as_ref().map(|error| error.message.clone()).unwrap_or_default()),
    ];
    let client = Client::new(common)?;
    match command {
        TaskCommand::List => {
            let list: TaskList = client.get("/api/v1/tasks")?;
            show::list(common, &list, &list.tasks, COLUMNS)
        }
        TaskCommand::Show { task } => {
            let task: Task = client.get(&format!("/api/v1/tasks/{}", part(&task)?))?;
            if common.wait { wait::follow(&client, common, task) } else { show::record(common, &task) }
        }
        TaskCommand::Cancel { task } => {
            let path = format!("/api/v1/tasks/{}/cancel", part(&task)?);
            let task: Task = client.post(&path, &serde_json::json!({}))?;
            show::task(common, &task)
        }
    }
}

pub fn token(common: &Common, command: TokenCommand) -> Result<(), Failure> {
    const COLUMNS: &[Column<Token>] =
        &[("NAME", |token| token.name.clone()), ("MADE BY", |token| token.created_by.clone())];
    let client = Client::new(common)?;
    match command {
        TokenCommand::List => {
            let list: TokenList = client.get("/api/v1/tokens")?;
            show::list(common, &list, &list.tokens, COLUMNS)
        }
        TokenCommand::Create { name, expires } => {
            let request = TokenRequest { name, expires_in_seconds: expires };
            show::record(common, &client.post_once::<TokenReply>("/api/v1/tokens", &request)?)
        }
        TokenCommand::Delete { token } => {
            client.delete::<Nothing>(&format!("/api/v1/tokens/{}", part(&token)?))?;
            show::done(common, &format!("token `{token}` is revoked"))
        }
    }
}

pub fn audit(common: &Common, limit: u32, before: Option<&str>) -> Result<(), Failure> {
    const COLUMNS: &[Column<AuditEntry>] = &[
        ("AT", |entry| show::moment(entry.at_ms)),
        ("WHO", |entry| entry.who.clone()),
        ("FROM", |entry| entry.address.clone().unwrap_or_default()),
        ("ACTION", |entry| entry.action.clone()),
        ("SUBJECT", |entry| entry.subject.clone()),
        ("OUTCOME", |entry| entry.outcome.clone()),
    ];
    let before = before.map(part).transpose()?.map(|id| format!("&before={id}")).unwrap_or_default();
    let list: AuditList = Client::new(common)?.get(&format!("/api/v1/audit?limit={limit}{before}"))?;
    show::list(common, &list, &list.entries, COLUMNS)
}
