//! Virtual machines with their network cards and CD-ROM drives. Their disks are in `volume`.

use agent_protocol::vm::VmState;
use server_api::event::Kind;
use server_api::vm::{AccelChoice, BootDevice, Firmware, Guest, Machine, NicModel};
use server_api::volume::Phase;

use super::{Connection, Document, Id, Result, Word, Write, named};

/// A virtual machine, with the name of its host.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Vm {
    /// Its identity.
    pub id: Id,
    /// Its name.
    pub name: String,
    /// Its host.
    pub host_id: Id,
    /// Name of its host.
    pub host_name: String,
    /// Where it stands.
    pub phase: Word<Phase>,
    /// Its memory in bytes.
    pub memory_bytes: i64,
    /// Its processors.
    pub vcpus: i64,
    /// Its main board.
    pub machine: Word<Machine>,
    /// What it boots with.
    pub firmware: Word<Firmware>,
    /// What is to run its instructions.
    pub accel: Word<AccelChoice>,
    /// What it is tuned for.
    pub guest: Word<Guest>,
    /// Words with a space between them.
    boot: String,
    /// What the agent said of it last, as JSON.
    observed: Option<String>,
    /// When it was asked for.
    pub created_ms: i64,
}

/// A virtual machine that is to be added.
#[derive(Debug, Clone)]
pub struct NewVm {
    /// Its identity.
    pub id: Id,
    /// Its name.
    pub name: String,
    /// Its host.
    pub host_id: Id,
    /// Its memory in bytes.
    pub memory_bytes: u64,
    /// Its processors.
    pub vcpus: u32,
    /// Its main board.
    pub machine: Machine,
    /// What it boots with.
    pub firmware: Firmware,
    /// What is to run its instructions.
    pub accel: AccelChoice,
    /// What it is tuned for.
    pub guest: Guest,
    /// Where it looks for something to boot.
    pub boot: Vec<BootDevice>,
    /// Its network cards.
    pub nics: Vec<Nic>,
    /// What lies in its CD-ROM drive.
    pub cdrom: Option<Id>,
    /// When it was asked for.
    pub created_ms: i64,
}

/// A network card.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Nic {
    /// Its hardware address.
    pub mac: String,
    /// The bridge.
    pub bridge: String,
    /// How the guest sees it.
    pub model: Word<NicModel>,
}

/// A CD-ROM drive.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Cdrom {
    /// Its number, from 0.
    pub drive: i64,
    /// What lies in it.
    pub image_id: Option<Id>,
    /// Name of what lies in it.
    pub image_name: Option<String>,
    /// Its file.
    pub image_path: Option<String>,
}

impl Vm {
    /// What the agent said of it last, unless another version wrote it down.
    #[must_use]
    pub fn observed(&self) -> Option<VmState> {
        serde_json::from_str(self.observed.as_deref()?).ok()
    }

    /// Where it looks for something to boot.
    #[must_use]
    pub fn boot(&self) -> Vec<BootDevice> {
        self.boot.split_whitespace().filter_map(|word| word.parse().ok()).collect()
    }
}

named!(Vm, "vms", "SELECT vms.*, hosts.name AS host_name FROM vms JOIN hosts ON hosts.id = vms.host_id");

/// Those of a host.
pub async fn of_host(db: &mut Connection, host: Id) -> Result<Vec<Vm>> {
    let statement = "SELECT vms.*, hosts.name AS host_name FROM vms JOIN hosts ON hosts.id = vms.host_id
         WHERE host_id = $1 ORDER BY vms.name";
    Ok(sqlx::query_as(statement).bind(host).fetch_all(db).await?)
}

/// Its network cards, in order.
pub async fn nics(db: &mut Connection, vm: Id) -> Result<Vec<Nic>> {
    let statement = "SELECT mac, bridge, model FROM nics WHERE vm_id = $1 ORDER BY position";
    Ok(sqlx::query_as(statement).bind(vm).fetch_all(db).await?)
}

/// Its CD-ROM drives, in order.
pub async fn cdroms(db: &mut Connection, vm: Id) -> Result<Vec<Cdrom>> {
    let statement = "SELECT drive, image_id, images.name AS image_name, images.path AS image_path
         FROM cdroms LEFT JOIN images ON images.id = cdroms.image_id WHERE vm_id = $1 ORDER BY drive";
    Ok(sqlx::query_as(statement).bind(vm).fetch_all(db).await?)
}

/// Adds one with its network cards and one CD-ROM drive. A task has to make it.
pub async fn insert(db: &mut Write, vm: &NewVm) -> Result<()> {
    let boot: Vec<_> = vm.boot.iter().map(ToString::to_string).collect();
    sqlx::query(
        "INSERT INTO vms
         (id, name, host_id, phase, memory_bytes, vcpus, machine, firmware, accel, guest, boot, created_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(vm.id)
    .bind(&vm.name)
    .bind(vm.host_id)
    .bind(Word(Phase::Creating))
    .bind(vm.memory_bytes.cast_signed())
    .bind(i64::from(vm.vcpus))
    .bind(Word(vm.machine))
    .bind(Word(vm.firmware))
    .bind(Word(vm.accel))
    .bind(Word(vm.guest))
    .bind(boot.join(" "))
    .bind(vm.created_ms)
    .execute(&mut **db)
    .await?;
    for (position, nic) in (0i64..).zip(&vm.nics) {
        sqlx::query("INSERT INTO nics (vm_id, position, mac, bridge, model) VALUES ($1, $2, $3, $4, $5)")
            .bind(vm.id)
            .bind(position)
            .bind(&nic.mac)
            .bind(&nic.bridge)
            .bind(nic.model)
            .execute(&mut **db)
            .await?;
    }
    sqlx::query("INSERT INTO cdroms (vm_id, drive, image_id) VALUES ($1, 0, $2)")
        .bind(vm.id)
        .bind(vm.cdrom)
        .execute(&mut **db)
        .await?;
    db.changed(Kind::Vm, vm.id);
    Ok(())
}

/// Notes where it stands.
pub async fn stands(db: &mut Write, id: Id, phase: Phase) -> Result<()> {
    let statement = "UPDATE vms SET phase = $2 WHERE id = $1";
    sqlx::query(statement).bind(id).bind(Word(phase)).execute(&mut **db).await?;
    db.changed(Kind::Vm, id);
    Ok(())
}

/// Notes what the agent says of it; `None` if it has not got it.
pub async fn observed(db: &mut Write, id: Id, state: Option<&VmState>) -> Result<()> {
    let statement = "UPDATE vms SET observed = $2 WHERE id = $1";
    sqlx::query(statement).bind(id).bind(state.cloned().map(Document)).execute(&mut **db).await?;
    db.changed(Kind::Vm, id);
    Ok(())
}

/// Notes what lies in a CD-ROM drive.
pub async fn load(db: &mut Write, id: Id, drive: u8, image: Option<Id>) -> Result<()> {
    sqlx::query("UPDATE cdroms SET image_id = $3 WHERE vm_id = $1 AND drive = $2")
        .bind(id)
        .bind(i64::from(drive))
        .bind(image)
        .execute(&mut **db)
        .await?;
    db.changed(Kind::Vm, id);
    Ok(())
}

/// Removes one with its network cards and CD-ROM drives. Its volumes become disks of nobody.
pub async fn delete(db: &mut Write, id: Id) -> Result<()> {
    super::cache::forget(db, id).await?;
    for statement in [
        "UPDATE volumes SET vm_id = NULL, position = NULL, bus = NULL WHERE vm_id = $1",
        "DELETE FROM nics WHERE vm_id = $1",
        "DELETE FROM cdroms WHERE vm_id = $1",
        "DELETE FROM vms WHERE id = $1",
    ] {
        sqlx::query(statement).bind(id).execute(&mut **db).await?;
    }
    db.changed(Kind::Vm, id);
    Ok(())
}

/// True if a network card has this address.
pub async fn has_mac(db: &mut Connection, mac: &str) -> Result<bool> {
    Ok(sqlx::query("SELECT 1 FROM nics WHERE mac = $1").bind(mac).fetch_optional(db).await?.is_some())
}
