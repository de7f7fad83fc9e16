//! What the answer to a step changes in the database, in the transaction that notes that the step is done.
//!
//! An answer may be hours old: a repeat is answered from the agent's record. So what a virtual machine does
//! is not taken from here but from following its agent, which is asked anew before a task ends.

use server_api::volume::Phase;

use super::perform::Answer;
use super::step::Step;
use crate::agents::words;
use crate::store::{self, Id, StoreError, Write};

/// Notes what the answer to a step changes.
///
/// # Errors
/// The database's.
pub async fn apply(db: &mut Write, step: &Step, answer: &Answer) -> Result<(), StoreError> {
    if let (Step::ImportImage { image }, Answer::Image(imported)) = (step, answer) {
        let format = words::format(imported.volume.format);
        store::image::imported(db, *image, format, imported.volume.size_bytes, &imported.sha256).await?;
    }
    if let (Step::CreateVolume { volume } | Step::ResizeVolume { volume, .. }, Answer::Volume(made)) =
        (step, answer)
    {
        store::volume::made(db, *volume, made.size_bytes, made.allocated_bytes).await?;
    }
    match *step {
        Step::DeleteImage { image, .. } => store::image::delete(db, image).await?,
        Step::DeleteVolume { volume, .. } => store::volume::delete(db, volume).await?,
        Step::DefineVm { vm, .. } => store::vm::stands(db, vm, Phase::Ready).await?,
        Step::UndefineVm { vm, .. } => store::vm::delete(db, vm).await?,
        Step::AttachVolume { vm, volume, bus, .. } => store::volume::attach(db, volume, vm, bus).await?,
        Step::DetachVolume { volume, .. } => store::volume::detach(db, volume).await?,
        Step::InsertMedia { vm, drive, image } => store::vm::load(db, vm, drive, Some(image)).await?,
        Step::EjectMedia { vm, drive, .. } => store::vm::load(db, vm, drive, None).await?,
        Step::ImportImage { .. }
        | Step::CreateVolume { .. }
        | Step::ResizeVolume { .. }
        | Step::StartVm { .. }
        | Step::ShutdownVm { .. }
        | Step::DestroyVm { .. }
        | Step::RebootVm { .. }
        | Step::ChangeCache { .. }
        | Step::ResetVm { .. }
        | Step::SuspendVm { .. }
        | Step::ResumeVm { .. } => {}
    }
    // From the first time on that a guest has a volume, it keeps the sector that the guest sees.
    if let (Step::DefineVm { .. } | Step::AttachVolume { .. }, Answer::Vm(state)) = (step, answer) {
        for disk in &state.disks {
            store::volume::shown(db, Id(disk.volume), disk.cache.sector_bytes).await?;
        }
    }
    // One that was just defined is known by what was said of it until its agent is asked.
    if let (Step::DefineVm { vm, .. }, Answer::Vm(state)) = (step, answer) {
        let row = store::vm::by_id(db, *vm).await?;
        if row.is_some_and(|row| row.observed().is_none()) {
            store::vm::observed(db, *vm, Some(state)).await?;
        }
    }
    Ok(())
}
