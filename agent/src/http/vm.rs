//! Calls about virtual machines.

use std::sync::Arc;
use std::time::Duration;

use agent_hypervisor::Attempt;
use agent_hypervisor::lifecycle::Action;
use agent_hypervisor::spec::DiskId;
use agent_protocol::cache::{JudgeReply, JudgeRequest};
use agent_protocol::migration::Migration;
use agent_protocol::vm::{
    AttachRequest, ButtonRequest, CachePlan, ChangeCacheRequest, ConsoleReply, ConsoleRequest, DefineRequest,
    DetachRequest, Done, EjectRequest, InsertRequest, ListReply, ListRequest, RebootRequest, StartRequest,
    VmRequest, VmState, WatchReply, WatchRequest,
};
use uuid::Uuid;

use crate::convert::{
    from_console, from_domain, to_cache_plan, to_disk, to_disk_cache, to_path, to_spec, to_start,
};
use crate::convert_cache::{from_judgement, to_supposed};
use crate::convert_survey::from_migration;
use crate::refusal::Refusal;
use crate::run::Agent;

pub async fn list(agent: Arc<Agent>, _: ListRequest) -> Result<ListReply, Refusal> {
    let domains = agent.hypervisor.domains().await?;
    Ok(ListReply { vms: domains.into_iter().map(from_domain).collect() })
}

pub async fn show(agent: Arc<Agent>, request: VmRequest) -> Result<VmState, Refusal> {
    Ok(from_domain(agent.hypervisor.domain(request.vm).await?))
}

pub async fn watch(agent: Arc<Agent>, request: WatchRequest) -> Result<WatchReply, Refusal> {
    agent.news(request).await
}

pub async fn console(agent: Arc<Agent>, request: ConsoleRequest) -> Result<ConsoleReply, Refusal> {
    Ok(from_console(&agent.hypervisor.console_log(request.vm, request.offset, request.limit).await?))
}

pub async fn define(agent: Arc<Agent>, request: DefineRequest, attempt: Attempt) -> Result<VmState, Refusal> {
    Ok(from_domain(agent.hypervisor.define(&to_spec(request.vm)?, attempt).await?))
}

pub async fn start(agent: Arc<Agent>, request: StartRequest, attempt: Attempt) -> Result<VmState, Refusal> {
    let StartRequest { vm, mode, cache } = request;
    turn_on(&agent, vm, cache, Action::Start(to_start(mode)), attempt).await
}

pub async fn shutdown(
    agent: Arc<Agent>,
    request: ButtonRequest,
    attempt: Attempt,
) -> Result<VmState, Refusal> {
    let patience = Duration::from_millis(request.patience_ms);
    act(&agent, request.vm, Action::Shutdown { patience }, attempt).await
}

pub async fn reboot(agent: Arc<Agent>, request: RebootRequest, attempt: Attempt) -> Result<VmState, Refusal> {
    let RebootRequest { vm, patience_ms, cache } = request;
    let patience = Duration::from_millis(patience_ms);
    turn_on(&agent, vm, cache, Action::Reboot { patience }, attempt).await
}

pub async fn destroy(agent: Arc<Agent>, request: VmRequest, attempt: Attempt) -> Result<VmState, Refusal> {
    act(&agent, request.vm, Action::Destroy, attempt).await
}

pub async fn reset(agent: Arc<Agent>, request: VmRequest, attempt: Attempt) -> Result<VmState, Refusal> {
    act(&agent, request.vm, Action::Reset, attempt).await
}

pub async fn suspend(agent: Arc<Agent>, request: VmRequest, attempt: Attempt) -> Result<VmState, Refusal> {
    act(&agent, request.vm, Action::Suspend, attempt).await
}

pub async fn resume(agent: Arc<Agent>, request: VmRequest, attempt: Attempt) -> Result<VmState, Refusal> {
    act(&agent, request.vm, Action::Resume, attempt).await
}

/// Settles how disks are opened, and has QEMU open them. A plan that cannot be carried out keeps a virtual machine from being
/// turned on, or off: it is refused before anything is done to it.
async fn turn_on(
    agent: &Agent,
    vm: Uuid,
    plan: CachePlan,
    action: Action,
    attempt: Attempt,
) -> Result<VmState, Refusal> {
    agent.hypervisor.settle_cache(vm, &to_cache_plan(plan), attempt).await?;
    act(agent, vm, action, attempt).await
}

pub async fn change_cache(
    agent: Arc<Agent>,
    request: ChangeCacheRequest,
    attempt: Attempt,
) -> Result<VmState, Refusal> {
    let ChangeCacheRequest { vm, disks } = request;
    let disks: Vec<_> = disks.iter().map(to_disk_cache).collect();
    Ok(from_domain(agent.hypervisor.change_cache(vm, &disks, attempt).await?))
}

async fn act(agent: &Agent, vm: Uuid, action: Action, attempt: Attempt) -> Result<VmState, Refusal> {
    Ok(from_domain(agent.hypervisor.act(vm, action, attempt).await?))
}

pub async fn judge(agent: Arc<Agent>, request: JudgeRequest) -> Result<JudgeReply, Refusal> {
    let disks = request.questions.into_iter().map(to_supposed).collect::<Result<Vec<_>, _>>()?;
    let judged = agent.hypervisor.suppose(&disks).await;
    Ok(JudgeReply { judgements: judged.into_iter().map(from_judgement).collect() })
}

pub async fn migration(agent: Arc<Agent>, request: VmRequest) -> Result<Migration, Refusal> {
    Ok(from_migration(agent.hypervisor.migration(request.vm).await?))
}

pub async fn undefine(agent: Arc<Agent>, request: VmRequest, attempt: Attempt) -> Result<Done, Refusal> {
    agent.hypervisor.undefine(request.vm, attempt).await?;
    Ok(Done {})
}

pub async fn attach_disk(
    agent: Arc<Agent>,
    request: AttachRequest,
    attempt: Attempt,
) -> Result<VmState, Refusal> {
    let disk = to_disk(request.disk)?;
    Ok(from_domain(agent.hypervisor.attach_disk(request.vm, &disk, attempt).await?))
}

pub async fn detach_disk(
    agent: Arc<Agent>,
    request: DetachRequest,
    attempt: Attempt,
) -> Result<VmState, Refusal> {
    Ok(from_domain(agent.hypervisor.detach_disk(request.vm, DiskId(request.volume), attempt).await?))
}

pub async fn insert_media(
    agent: Arc<Agent>,
    request: InsertRequest,
    attempt: Attempt,
) -> Result<VmState, Refusal> {
    let media = to_path(request.media)?;
    Ok(from_domain(agent.hypervisor.insert_media(request.vm, request.drive, &media, attempt).await?))
}

pub async fn eject_media(
    agent: Arc<Agent>,
    request: EjectRequest,
    attempt: Attempt,
) -> Result<VmState, Refusal> {
    Ok(from_domain(agent.hypervisor.eject_media(request.vm, request.drive, attempt).await?))
}
