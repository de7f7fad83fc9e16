//! Putting a step back: the call to the agent, and what that changes in the database. Only what a step made is put
//! back: what removes goes forward, and pressing a button cannot be taken back.

use agent_protocol::call::{VmDetachDisk, VmUndefine};
use agent_protocol::vm::{DetachRequest, VmRequest};
use server_api::volume::Phase;

use super::perform::{Reach, StepError, delete_file, not_there};
use super::step::Step;
use crate::cloud::Cloud;
use crate::store::{self, Id, StoreError, Write};

/// Makes the call that puts a step back, as `operation`. What is not there any more, or never was, is put back.
pub async fn call(cloud: &Cloud, step: &Step, operation: Id) -> Result<(), StepError> {
    let mut db = cloud.store.read().await?;
    match *step {
        Step::ImportImage { image } => {
            let Some(image) = store::image::by_id(&mut db, image).await? else { return Ok(()) };
            let reach = Reach::to(cloud, &mut db, image.host_id, operation, step.limit()).await?;
            drop(db);
            delete_file(&reach, image.path).await.map(drop)
        }
        Step::CreateVolume { volume } => {
            let Some(volume) = store::volume::by_id(&mut db, volume).await? else { return Ok(()) };
            let reach = Reach::to(cloud, &mut db, volume.host_id, operation, step.limit()).await?;
            drop(db);
            delete_file(&reach, volume.path).await.map(drop)
        }
        Step::DefineVm { vm } => {
            let Some(row) = store::vm::by_id(&mut db, vm).await? else { return Ok(()) };
            let reach = Reach::to(cloud, &mut db, row.host_id, operation, step.limit()).await?;
            drop(db);
            reach.call::<VmUndefine>(VmRequest { vm: vm.0 }).await.map(drop).or_else(not_there)
        }
        Step::AttachVolume { vm, volume, .. } => {
            let Some(row) = store::vm::by_id(&mut db, vm).await? else { return Ok(()) };
            let reach = Reach::to(cloud, &mut db, row.host_id, operation, step.limit()).await?;
            drop(db);
            let request = DetachRequest { vm: vm.0, volume: volume.0 };
            reach.call::<VmDetachDisk>(request).await.map(drop).or_else(not_there)
        }
        Step::DeleteImage { .. }
        | Step::ResizeVolume { .. }
        | Step::DeleteVolume { .. }
        | Step::StartVm { .. }
        | Step::ShutdownVm { .. }
        | Step::DestroyVm { .. }
        | Step::RebootVm { .. }
        | Step::ResetVm { .. }
        | Step::SuspendVm { .. }
        | Step::ResumeVm { .. }
        | Step::UndefineVm { .. }
        | Step::DetachVolume { .. }
        | Step::InsertMedia { .. }
        | Step::EjectMedia { .. } => Ok(()),
    }
}

/// Notes that a step is put back. `clean` is false if the call did not work: then what it made may still be there,
/// and stays in the list as broken.
pub async fn apply(db: &mut Write, step: &Step, clean: bool) -> Result<(), StoreError> {
    match *step {
        Step::ImportImage { image } if clean => store::image::delete(db, image).await,
        Step::ImportImage { image } => store::image::stands(db, image, Phase::Broken).await,
        Step::CreateVolume { volume } if clean => store::volume::delete(db, volume).await,
        Step::CreateVolume { volume } => store::volume::stands(db, volume, Phase::Broken).await,
        Step::DefineVm { vm } if clean => store::vm::delete(db, vm).await,
        Step::DefineVm { vm } => store::vm::stands(db, vm, Phase::Broken).await,
        // Still there, as far as anybody knows; deleting it again does no harm.
        Step::DeleteImage { image } => store::image::stands(db, image, Phase::Ready).await,
        Step::DeleteVolume { volume } => store::volume::stands(db, volume, Phase::Ready).await,
        Step::UndefineVm { vm } => store::vm::stands(db, vm, Phase::Ready).await,
        Step::ResizeVolume { .. }
        | Step::StartVm { .. }
        | Step::ShutdownVm { .. }
        | Step::DestroyVm { .. }
        | Step::RebootVm { .. }
        | Step::ResetVm { .. }
        | Step::SuspendVm { .. }
        | Step::ResumeVm { .. }
        | Step::AttachVolume { .. }
        | Step::DetachVolume { .. }
        | Step::InsertMedia { .. }
        | Step::EjectMedia { .. } => Ok(()),
    }
}
