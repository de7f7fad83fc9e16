//! Putting a step back: the call to the agent, and what that changes in the database. Only what a step made
//! is put back: what removes goes forward, and pressing a button cannot be taken back. A virtual machine that
//! is made runs only if all of it is made.

use agent_protocol::call::{VmDestroy, VmDetachDisk, VmUndefine};
use agent_protocol::envelope::FailureCode;
use agent_protocol::vm::{DetachRequest, VmRequest};
use server_api::task::Action;
use server_api::volume::Phase;

use super::perform::{Asked, Reach, StepError, delete_file, not_there};
use super::step::Step;
use crate::cloud::Cloud;
use crate::store::{self, StoreError, Write};

/// Makes the call that puts a step of a task that does `action` back. What is not there any more, or never
/// was, is put back.
pub async fn call(cloud: &Cloud, action: Action, step: &Step, order: Asked) -> Result<(), StepError> {
    let mut db = cloud.store.read().await?;
    match *step {
        Step::ImportImage { image } => {
            let Some(image) = store::image::by_id(&mut db, image).await? else { return Ok(()) };
            let reach = Reach::to(cloud, &mut db, image.host_id, order).await?;
            drop(db);
            delete_file(&reach, image.path).await.map(drop)
        }
        Step::CreateVolume { volume } => {
            let Some(volume) = store::volume::by_id(&mut db, volume).await? else { return Ok(()) };
            let reach = Reach::to(cloud, &mut db, volume.host_id, order).await?;
            drop(db);
            delete_file(&reach, volume.path).await.map(drop)
        }
        Step::DefineVm { vm, .. } => {
            let Some(row) = store::vm::by_id(&mut db, vm).await? else { return Ok(()) };
            let reach = Reach::to(cloud, &mut db, row.host_id, order).await?;
            drop(db);
            reach.call::<VmUndefine>(VmRequest { vm: vm.0 }).await.map(drop).or_else(not_there)
        }
        Step::StartVm { vm, .. } if action == Action::VmCreate => {
            let Some(row) = store::vm::by_id(&mut db, vm).await? else { return Ok(()) };
            let reach = Reach::to(cloud, &mut db, row.host_id, order).await?;
            drop(db);
            match reach.call::<VmDestroy>(VmRequest { vm: vm.0 }).await {
                // It is off: it never came up, or went down again.
                Err(error) if error.refusal() == Some(FailureCode::Conflict) => Ok(()),
                destroyed => destroyed.map(drop).or_else(not_there),
            }
        }
        Step::AttachVolume { vm, volume, .. } => {
            let Some(row) = store::vm::by_id(&mut db, vm).await? else { return Ok(()) };
            let reach = Reach::to(cloud, &mut db, row.host_id, order).await?;
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
        | Step::ChangeCache { .. }
        | Step::ResetVm { .. }
        | Step::SuspendVm { .. }
        | Step::ResumeVm { .. }
        | Step::UndefineVm { .. }
        | Step::DetachVolume { .. }
        | Step::InsertMedia { .. }
        | Step::EjectMedia { .. } => Ok(()),
    }
}

/// Notes that a step is put back. `begun` is false if it changed nothing: it was never asked for, or clearly
/// refused. `clean` is false if the call did not work. What may be there or not, or in part, stays in the
/// list as broken.
pub async fn apply(db: &mut Write, step: &Step, begun: bool, clean: bool) -> Result<(), StoreError> {
    let left = |was| if begun { Phase::Broken } else { was };
    match *step {
        Step::ImportImage { image } if clean => store::image::delete(db, image).await,
        Step::ImportImage { image } => store::image::stands(db, image, Phase::Broken).await,
        Step::CreateVolume { volume } if clean => store::volume::delete(db, volume).await,
        Step::CreateVolume { volume } => store::volume::stands(db, volume, Phase::Broken).await,
        Step::DefineVm { vm, .. } if clean => store::vm::delete(db, vm).await,
        Step::DefineVm { vm, .. } => store::vm::stands(db, vm, Phase::Broken).await,
        Step::DeleteImage { image, was } => store::image::stands(db, image, left(was)).await,
        Step::DeleteVolume { volume, was } => store::volume::stands(db, volume, left(was)).await,
        Step::UndefineVm { vm, was } => store::vm::stands(db, vm, left(was)).await,
        Step::ResizeVolume { .. }
        | Step::StartVm { .. }
        | Step::ShutdownVm { .. }
        | Step::DestroyVm { .. }
        | Step::RebootVm { .. }
        | Step::ChangeCache { .. }
        | Step::ResetVm { .. }
        | Step::SuspendVm { .. }
        | Step::ResumeVm { .. }
        | Step::AttachVolume { .. }
        | Step::DetachVolume { .. }
        | Step::InsertMedia { .. }
        | Step::EjectMedia { .. } => Ok(()),
    }
}
