//! Doing a step about a virtual machine.

use agent_protocol::call::{
    VmAttachDisk, VmChangeCache, VmDefine, VmDestroy, VmDetachDisk, VmEjectMedia, VmInsertMedia, VmReboot,
    VmReset, VmResume, VmShutdown, VmStart, VmSuspend, VmUndefine,
};
use agent_protocol::envelope::FailureCode;
use agent_protocol::vm::{
    AttachRequest, ButtonRequest, ChangeCacheRequest, DefineRequest, DetachRequest, EjectRequest,
    InsertRequest, RebootRequest, StartMode, StartRequest, VmRequest,
};
use uuid::Uuid;

use super::define;
use super::perform::{Answer, Reach, StepError, not_there};
use super::step::Step;
use crate::store::{self, Reader};

/// Makes the call of a step about a virtual machine. Gives `db` back before it does: the agent may wait for a guest.
pub async fn perform(
    mut db: Reader,
    step: &Step,
    row: store::vm::Vm,
    reach: &Reach,
) -> Result<Answer, StepError> {
    let uuid = row.id.0;
    let state = match step {
        Step::DefineVm { cache, .. } => {
            let vm = define::vm(&mut db, &row, cache).await?.ok_or(StepError::Gone)?;
            drop(db);
            reach.call::<VmDefine>(DefineRequest { vm }).await
        }
        Step::StartVm { cache, .. } => {
            let cache = define::plan(&mut db, row.id, cache).await?;
            drop(db);
            reach.call::<VmStart>(StartRequest { vm: uuid, mode: StartMode::Running, cache }).await
        }
        Step::RebootVm { patience_ms, cache, .. } => {
            let cache = define::plan(&mut db, row.id, cache).await?;
            drop(db);
            reach.call::<VmReboot>(RebootRequest { vm: uuid, patience_ms: *patience_ms, cache }).await
        }
        Step::ChangeCache { cache, .. } => {
            drop(db);
            let disks = define::change(cache);
            reach.call::<VmChangeCache>(ChangeCacheRequest { vm: uuid, disks }).await
        }
        Step::AttachVolume { volume, bus, cache, .. } => {
            let volume = store::volume::by_id(&mut db, *volume).await?.ok_or(StepError::Gone)?;
            drop(db);
            let disk = define::disk(&volume, *bus, cache.of(volume.id));
            reach.call::<VmAttachDisk>(AttachRequest { vm: uuid, disk }).await
        }
        Step::InsertMedia { drive, image, .. } => {
            let image = store::image::by_id(&mut db, *image).await?.ok_or(StepError::Gone)?;
            drop(db);
            reach.call::<VmInsertMedia>(InsertRequest { vm: uuid, drive: *drive, media: image.path }).await
        }
        Step::ShutdownVm { .. }
        | Step::DestroyVm { .. }
        | Step::ResetVm { .. }
        | Step::SuspendVm { .. }
        | Step::ResumeVm { .. }
        | Step::DetachVolume { .. }
        | Step::EjectMedia { .. }
        | Step::UndefineVm { .. }
        | Step::ImportImage { .. }
        | Step::DeleteImage { .. }
        | Step::CreateVolume { .. }
        | Step::ResizeVolume { .. }
        | Step::DeleteVolume { .. } => {
            drop(db);
            return plain(step, uuid, reach).await;
        }
    };
    Ok(Answer::Vm(Box::new(state?)))
}

/// As [`perform`], for steps that need nothing more from the database.
async fn plain(step: &Step, uuid: Uuid, reach: &Reach) -> Result<Answer, StepError> {
    let vm = VmRequest { vm: uuid };
    let state = match *step {
        Step::ShutdownVm { patience_ms, .. } => {
            reach.call::<VmShutdown>(ButtonRequest { vm: uuid, patience_ms }).await
        }
        Step::DestroyVm { may_be_off, .. } => {
            let destroyed = reach.call::<VmDestroy>(vm).await;
            match destroyed.as_ref().err().and_then(StepError::refusal) {
                Some(FailureCode::Conflict | FailureCode::NotFound) if may_be_off => return Ok(Answer::Done),
                Some(_) | None => destroyed,
            }
        }
        Step::ResetVm { .. } => reach.call::<VmReset>(vm).await,
        Step::SuspendVm { .. } => reach.call::<VmSuspend>(vm).await,
        Step::ResumeVm { .. } => reach.call::<VmResume>(vm).await,
        Step::DetachVolume { volume, .. } => {
            reach.call::<VmDetachDisk>(DetachRequest { vm: uuid, volume: volume.0 }).await
        }
        Step::EjectMedia { drive, may_be_empty, .. } => {
            let ejected = reach.call::<VmEjectMedia>(EjectRequest { vm: uuid, drive }).await;
            match ejected.as_ref().err().and_then(StepError::refusal) {
                Some(FailureCode::Conflict) if may_be_empty => return Ok(Answer::Done),
                Some(_) | None => ejected,
            }
        }
        Step::UndefineVm { .. } => {
            reach.call::<VmUndefine>(vm).await.map(drop).or_else(not_there)?;
            return Ok(Answer::Done);
        }
        // The others are not about a virtual machine, or are done above.
        Step::DefineVm { .. }
        | Step::StartVm { .. }
        | Step::RebootVm { .. }
        | Step::ChangeCache { .. }
        | Step::AttachVolume { .. }
        | Step::InsertMedia { .. }
        | Step::ImportImage { .. }
        | Step::DeleteImage { .. }
        | Step::CreateVolume { .. }
        | Step::ResizeVolume { .. }
        | Step::DeleteVolume { .. } => return Err(StepError::Gone),
    };
    Ok(Answer::Vm(Box::new(state?)))
}
