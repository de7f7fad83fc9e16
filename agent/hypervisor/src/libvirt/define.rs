//! Defining and undefining.

use agent_libvirt::{Connection, DefineFlags, ErrorCode, UndefineFlags};
use uuid::Uuid;

use super::refusal::{self, Opened};
use super::{Libvirt, look};
use crate::cache::{self, Decisions, Device, Question};
use crate::check::check;
use crate::domain::{self, Surroundings};
use crate::error::Error;
use crate::interface::Attempt;
use crate::spec::{CdromDrive, DomainSpec, Firmware};
use crate::state::Domain;

impl Libvirt {
    pub(super) async fn define_domain(&self, spec: &DomainSpec, attempt: Attempt) -> Result<Domain, Error> {
        check(spec)?;
        let connection = self.connection().await?;
        if let Some(active) = self.refuse_taken(&connection, spec, attempt).await? {
            return self.looked_at(&active).await;
        }
        let surroundings = self.surroundings(&connection, spec).await?;
        let xml = domain::xml(spec, &surroundings)?;
        let defined = connection.domain_define_xml(&xml, DefineFlags::VALIDATE).await;
        let handle = defined.map_err(|error| refused(&error, spec))?;
        self.looked_at(&handle).await
    }

    /// Refuses an identity or a name that is somebody else's. Returns the domain if it is there and active.
    async fn refuse_taken(
        &self,
        connection: &Connection,
        spec: &DomainSpec,
        attempt: Attempt,
    ) -> Result<Option<agent_libvirt::Domain>, Error> {
        match self.ours(connection, spec.uuid).await {
            Ok(handle) => match attempt {
                Attempt::First => return Err(Error::DomainExists { uuid: spec.uuid, name: handle.name }),
                Attempt::Again if handle.name != spec.name => {
                    return Err(Error::DomainExists { uuid: spec.uuid, name: handle.name });
                }
                // What an earlier attempt defined someone may have started since.
                Attempt::Again if self.state(connection, &handle).await?.is_active() => {
                    return Ok(Some(handle));
                }
                Attempt::Again => {}
            },
            Err(Error::NoDomain { .. }) => {}
            Err(error) => return Err(error),
        }
        match connection.domain_lookup_by_name(&spec.name).await {
            Ok(handle) if handle.uuid != spec.uuid => Err(Error::NameTaken { name: spec.name.clone() }),
            Ok(_) => Ok(None),
            Err(error) if look::is_gone(&error) => Ok(None),
            Err(error) => Err(refusal::plain(&error, spec.uuid, format!("find `{}`", spec.name))),
        }
    }

    async fn surroundings(&self, connection: &Connection, spec: &DomainSpec) -> Result<Surroundings, Error> {
        let accel = self.kvm().await.decide(spec.accel)?;
        let uefi = spec.firmware == Firmware::Uefi && self.has_uefi(connection, spec.machine).await;
        let folder = &self.options.console_folder;
        tokio::fs::create_dir_all(folder).await.map_err(|error| Error::Failed {
            what: format!("make the folder `{}`", folder.display()),
            cause: error.to_string(),
            remedy: "make room, or mend its permissions".to_owned(),
        })?;
        let mut cache = Decisions::default();
        for disk in &spec.disks {
            cache.disks.push(cache::settle(&self.prober, Question::of_disk(disk)).await?);
        }
        for CdromDrive { media, cache: choice } in &spec.cdroms {
            let question = Question::new(*choice, Device::Drive(media.as_deref()));
            cache.drives.push(cache::settle(&self.prober, question).await?);
        }
        Ok(Surroundings { accel, console_log: self.console_file(spec.uuid), uefi, cache })
    }

    pub(super) async fn undefine_domain(&self, uuid: Uuid, attempt: Attempt) -> Result<(), Error> {
        let connection = self.connection().await?;
        let handle = match (self.ours(&connection, uuid).await, attempt) {
            (Err(Error::NoDomain { .. }), Attempt::Again) => {
                self.remove_console(uuid).await;
                return Ok(());
            }
            (found, _) => found?,
        };
        let state = self.state(&connection, &handle).await?;
        if state.is_active() {
            return Err(Error::NotNow { name: handle.name, verb: "undefine", state });
        }
        let flags = UndefineFlags::MANAGED_SAVE | UndefineFlags::SNAPSHOTS_METADATA | UndefineFlags::NVRAM;
        let undefined = connection.domain_undefine(&handle, flags).await;
        undefined.map_err(|error| refusal::plain(&error, uuid, format!("undefine `{}`", handle.name)))?;
        self.remove_console(uuid).await;
        let _looking = self.registry.look().await;
        self.registry.forget(uuid);
        Ok(())
    }

    /// What a domain makes QEMU open.
    pub(super) fn opened_files(&self, uuid: Uuid) -> Vec<Opened> {
        let Some(seen) = self.registry.seen(uuid) else { return Vec::new() };
        let disks = seen.described.disks.iter();
        let disks = disks.map(|at| Opened { source: at.disk.source.clone(), cache: at.decided.mode });
        let media = seen.described.drives.iter();
        let media = media.filter_map(|at| Some(Opened { source: at.media.clone()?, cache: at.mode() }));
        disks.chain(media).collect()
    }
}

fn refused(error: &agent_libvirt::Error, spec: &DomainSpec) -> Error {
    match error.remote() {
        // Someone else was faster.
        Some(remote)
            if [ErrorCode::OperationFailed, ErrorCode::DomExist].contains(&remote.code)
                && remote.message.contains("already exists") =>
        {
            Error::NameTaken { name: spec.name.clone() }
        }
        _ => refusal::plain(error, spec.uuid, format!("define `{}`", spec.name)),
    }
}
