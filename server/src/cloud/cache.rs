//! Cache modes: set and cleared for storages, virtual machines and volumes, explained, and tried before they are set.

use std::collections::HashMap;
use std::sync::Arc;

use agent_protocol::cache::{JudgeRequest, Question};
use agent_protocol::call::CacheJudge;
use agent_protocol::vm::DiskState;
use server_api::cache::{
    CacheChanged, CacheDryRun, CacheExplanation, CacheImpact, CacheJudgement, CacheLevel, CacheLevelSet,
    CacheOutcome, CacheSet, CacheSettings,
};
use server_api::event::Kind;
use server_api::task::{Action, Task};
use server_api::vm::{CacheChoice, CacheMode, DiskBus, VmState};
use uuid::Uuid;

use super::host::QUESTION;
use super::{Begun, Cloud, CloudError, Order, finish, of_host, storage, vm, volume};
use crate::agents::{evidence, words};
use crate::cache::impact::{self, Disk, Told};
use crate::cache::{self, Asked, Modes, Requests};
use crate::setting::VM_CACHE_MODE;
use crate::store::{self, Connection, Id, Word, Write, now_ms};
use crate::task::step::Step;

/// How many disks an agent is asked about at once: it reads no request of more than a megabyte.
const BATCH: usize = 500;

/// Something that a mode can be set for.
#[derive(Debug)]
struct Subject {
    level: CacheLevel,
    id: Id,
    name: String,
}

impl Subject {
    /// Whether what is set for it can count for a volume.
    fn concerns(&self, volume: &store::volume::Volume) -> bool {
        match self.level {
            CacheLevel::Volume => volume.id == self.id,
            CacheLevel::Vm => volume.vm_id == Some(self.id),
            CacheLevel::Storage => volume.storage_id == self.id,
            CacheLevel::Global => true,
        }
    }
}

impl Cloud {
    /// What is set for a storage, a virtual machine or a volume.
    pub async fn cache_settings(&self, level: CacheLevel, name: &str) -> Result<CacheSettings, CloudError> {
        let mut db = self.store.read().await?;
        let subject = find(&mut db, level, Some(name)).await?;
        show(&mut db, &subject).await
    }

    /// Sets a mode for one of them; `None` clears it.
    pub async fn set_cache(
        &self,
        order: &Order,
        level: CacheLevel,
        name: &str,
        set: Option<CacheSet>,
    ) -> Result<CacheSettings, CloudError> {
        if let Some(set) = set {
            consent(set)?;
        }
        let mut db = match self.begin(order).await? {
            Begun::Answered(reply) => return Ok(reply),
            Begun::Fresh(db) => db,
        };
        let subject = find(&mut db, level, Some(name)).await?;
        let before = store::cache::set(&mut db, subject.id).await?;
        if before != set {
            let noted = store::cache::Change {
                at_ms: now_ms(),
                who: order.who.clone(),
                from_mode: before.map(|set| Word(set.mode)),
                to_mode: set.map(|set| Word(set.mode)),
            };
            store::cache::change(&mut db, level, subject.id, set, &noted).await?;
            // What they show of their disks is something else now.
            let volumes = store::volume::all(&mut db).await?.into_iter();
            let vms = volumes.filter(|volume| subject.concerns(volume)).filter_map(|volume| volume.vm_id);
            vms.for_each(|vm| db.changed(Kind::Vm, vm));
        }
        let settings = show(&mut db, &subject).await?;
        finish(db, order, &settings).await?;
        Ok(settings)
    }

    /// In which mode a volume is opened, and why.
    pub async fn explain_cache(&self, name: &str) -> Result<CacheExplanation, CloudError> {
        let mut db = self.store.read().await?;
        let volume = volume::find(&mut db, name).await?;
        let levels = cache::levels(&mut db, volume.id, volume.storage_id, volume.vm_id).await?;
        let asked = levels.resolve();
        let vm = match volume.vm_id {
            Some(id) => store::vm::by_id(&mut db, id).await?,
            None => None,
        };
        let seen = vm.as_ref().and_then(store::vm::Vm::observed);
        let disk = seen.iter().flat_map(|seen| &seen.disks).find(|disk| disk.volume == volume.id.0);
        let effective = disk.map(|disk| evidence::effective(disk.cache.clone(), asked));
        let vm_state = match &vm {
            Some(vm) => Some(vm::state(&mut db, vm).await?),
            None => None,
        };
        let changes = changes(&mut db, volume.id).await?;
        drop(db);
        let question = question(&volume, asked);
        let now = self.judge(volume.host_id, vec![question]).await;
        let now =
            now.into_iter().next().unwrap_or_else(|| evidence::undecided("nothing was said".to_owned()));
        let pending = vm_state.map(|state| impact::pending_told(state, disk, asked.mode, now.mode));
        let named = |level, name: Option<&str>| CacheLevelSet {
            level,
            name: name.unwrap_or(VM_CACHE_MODE.definition.key).to_owned(),
            set: levels.at(level),
            counts: level == asked.level,
        };
        let mut told = vec![named(CacheLevel::Volume, Some(&volume.name))];
        told.extend(volume.vm_name.as_deref().map(|name| named(CacheLevel::Vm, Some(name))));
        told.push(named(CacheLevel::Storage, Some(&volume.storage_name)));
        told.push(named(CacheLevel::Global, None));
        Ok(CacheExplanation {
            volume: volume.id.0,
            volume_name: volume.name,
            vm: volume.vm_id.map(|id| id.0),
            vm_name: volume.vm_name,
            vm_state,
            levels: told,
            requested: asked.set(),
            set_at: asked.level,
            effective,
            pending,
            now,
            sector_bytes: volume.sector_bytes.and_then(|bytes| u32::try_from(bytes).ok()),
            changes,
        })
    }

    /// What would come of setting a mode somewhere, or of clearing it. Nothing is changed.
    pub async fn try_cache(&self, request: &CacheDryRun) -> Result<CacheImpact, CloudError> {
        let CacheDryRun { level, name, set } = request;
        let mut db = self.store.read().await?;
        let subject = find(&mut db, *level, name.as_deref()).await?;
        let default = CacheSet { mode: CacheChoice::default(), accepts_loss: false };
        let mut about = Vec::new();
        for volume in store::volume::all(&mut db).await? {
            if !subject.concerns(&volume) {
                continue;
            }
            let levels = cache::levels(&mut db, volume.id, volume.storage_id, volume.vm_id).await?;
            let (before, after) = (levels.resolve(), levels.with(*level, *set, default).resolve());
            // What is set more specifically is not touched.
            if before != after || after.level == *level {
                about.push((volume, after));
            }
        }
        let mut disks = Vec::with_capacity(about.len());
        for (volume, _) in &about {
            disks.push(now(&mut db, volume).await?);
        }
        drop(db);
        for (disk, told) in disks.iter_mut().zip(self.told(about).await) {
            disk.told = told;
        }
        Ok(impact::impact(disks))
    }

    /// Changes the disks of a virtual machine that runs to the modes that are set for them, and those with `auto` to what that
    /// comes to now. Nothing is begun if one of them needs a restart; where all are as they are set, there is nothing to do.
    pub async fn apply_cache(self: &Arc<Self>, order: &Order, name: &str) -> Result<Task, CloudError> {
        // Before anything is held: the host may take its time.
        let told = self.comes_to(name).await?;
        let mut db = match self.begin(order).await? {
            Begun::Answered(task) => return Ok(task),
            Begun::Fresh(db) => db,
        };
        let vm = vm::find(&mut db, name).await?;
        vm::present(&mut db, &vm).await?;
        let state = vm::state(&mut db, &vm).await?;
        let (seen, mut disks) = (vm.observed(), Vec::new());
        for volume in store::volume::of_vm(&mut db, vm.id).await? {
            let levels = cache::levels(&mut db, volume.id, volume.storage_id, Some(vm.id)).await?;
            let asked = levels.resolve();
            let open = seen.iter().flat_map(|seen| &seen.disks).find(|disk| disk.volume == volume.id.0);
            match impact::pending_told(state, open, asked.mode, told.get(&volume.id).copied()) {
                CacheOutcome::Unchanged => {}
                CacheOutcome::Live => disks.push((volume.id, asked)),
                outcome => return Err(not_live(&vm.name, state, &volume.name, open, asked, outcome)),
            }
        }
        let mut steps = Vec::new();
        if !disks.is_empty() {
            let drives = cache::of_drives(&mut db, vm.id).await?;
            steps.push(Step::ChangeCache { vm: vm.id, cache: Modes::Each(Requests { disks, drives }) });
        }
        self.plan(db, order, vm::plan(Action::VmApplyCache, vm.id, vm.name, steps)).await
    }

    /// What its host says that `auto` comes to now, of the disks of a virtual machine that runs with what was settled for that.
    async fn comes_to(&self, name: &str) -> Result<HashMap<Id, CacheMode>, CloudError> {
        let mut db = self.store.read().await?;
        let vm = vm::find(&mut db, name).await?;
        let (state, seen) = (vm::state(&mut db, &vm).await?, vm.observed());
        let (mut volumes, mut questions) = (Vec::new(), Vec::new());
        for volume in store::volume::of_vm(&mut db, vm.id).await? {
            let levels = cache::levels(&mut db, volume.id, volume.storage_id, Some(vm.id)).await?;
            let asked = levels.resolve();
            let open = seen.iter().flat_map(|seen| &seen.disks).find(|disk| disk.volume == volume.id.0);
            let settled = impact::pending(state, open, asked.mode) == CacheOutcome::Unchanged;
            if settled && asked.mode == CacheChoice::Auto && open.is_some_and(|open| !open.live.is_empty()) {
                questions.push(question(&volume, asked));
                volumes.push(volume.id);
            }
        }
        drop(db);
        if questions.is_empty() {
            return Ok(HashMap::new());
        }
        let judged = self.judge(vm.host_id, questions).await;
        Ok(volumes
            .into_iter()
            .zip(judged)
            .filter_map(|(volume, judged)| Some((volume, judged.mode?)))
            .collect())
    }

    /// What hosts say would come of these, each host asked once.
    async fn told(&self, about: Vec<(store::volume::Volume, Asked)>) -> Vec<Told> {
        let mut hosts: HashMap<Id, Vec<(usize, Question)>> = HashMap::new();
        for (at, (volume, asked)) in about.iter().enumerate() {
            hosts.entry(volume.host_id).or_default().push((at, question(volume, *asked)));
        }
        let mut told: Vec<Told> =
            about.iter().map(|_| Told::Unknown("nothing was said".to_owned())).collect();
        for (host, questions) in hosts {
            let (places, questions): (Vec<_>, Vec<_>) = questions.into_iter().unzip();
            for (at, judged) in places.into_iter().zip(self.judge(host, questions).await) {
                told[at] = match (judged.mode, judged.refused) {
                    (Some(mode), _) => Told::Decided(mode, judged.reason),
                    (None, true) => Told::Refused(judged.reason),
                    (None, false) => Told::Unknown(judged.reason),
                };
            }
        }
        told
    }

    /// What a host says would come of disks; of each, that nothing is known, where it does not answer.
    async fn judge(&self, host: Id, questions: Vec<Question>) -> Vec<CacheJudgement> {
        let ask = |questions| self.ask_to_judge(host, questions);
        in_batches(&questions, ask, |error| evidence::undecided(error.to_string())).await
    }

    async fn ask_to_judge(
        &self,
        host: Id,
        questions: Vec<Question>,
    ) -> Result<Vec<CacheJudgement>, CloudError> {
        let found = store::host::by_id(&mut *self.store.read().await?, host).await?;
        let host = found.ok_or_else(|| CloudError::NotFound { kind: Kind::Host, name: host.to_string() })?;
        let agent = self.agents.of(&host).map_err(of_host(&host.name))?;
        let asked = questions.len();
        let reply = agent.call::<CacheJudge>(Uuid::new_v4(), JudgeRequest { questions }, QUESTION).await;
        let judged = reply.map_err(of_host(&host.name))?.judgements;
        if judged.len() != asked {
            let cause = format!("{} answers to {asked} questions", judged.len());
            return Err(of_host(&host.name)(agent.strange::<CacheJudge>(cause)));
        }
        Ok(judged.into_iter().map(evidence::judgement).collect())
    }
}

/// Asks [`BATCH`] questions at a time, and has an answer to each: where asking failed, and of all that were not asked after that,
/// what `failed` makes of the error.
async fn in_batches<Q: Clone, A, E, F: Future<Output = Result<Vec<A>, E>>>(
    questions: &[Q],
    ask: impl Fn(Vec<Q>) -> F,
    failed: impl Fn(&E) -> A,
) -> Vec<A> {
    let mut answers = Vec::with_capacity(questions.len());
    for batch in questions.chunks(BATCH) {
        match ask(batch.to_vec()).await {
            Ok(answered) => answers.extend(answered),
            Err(error) => {
                answers.resize_with(questions.len(), || failed(&error));
                break;
            }
        }
    }
    answers
}

/// Why a disk does not get what is asked of it while its virtual machine runs.
fn not_live(
    vm: &str,
    state: VmState,
    volume: &str,
    open: Option<&DiskState>,
    asked: Asked,
    outcome: CacheOutcome,
) -> CloudError {
    let (message, next) = match outcome {
        CacheOutcome::NextStart => (
            format!("virtual machine `{vm}` is {state}, and its disks get their modes when it is started"),
            format!("start it: `cairn vm start {vm}`"),
        ),
        CacheOutcome::Unknown => (
            format!("what `{vm}` does is not known: its host does not answer"),
            "see why: `cairn host list`".to_owned(),
        ),
        CacheOutcome::Unchanged | CacheOutcome::Live | CacheOutcome::Restart | CacheOutcome::Refused => {
            let from =
                open.map_or_else(String::new, |open| format!(" from `{}`", words::cache(open.cache.mode)));
            let (to, target) = (asked.mode, open.map_or("?", |open| open.target.as_str()));
            let disk = format!("disk `{target}` of `{vm}` (volume `{volume}`)");
            (
                format!(
                    "{disk} cannot change its cache mode{from} to `{to}` while it runs; this needs a restart"
                ),
                format!("turn it off and on: `cairn vm reboot {vm}`"),
            )
        }
    };
    CloudError::conflict(message, next)
}

/// Refuses a mode that may lose disks from whoever does not accept that.
pub(super) fn consent(set: CacheSet) -> Result<(), CloudError> {
    match set {
        CacheSet { mode: CacheChoice::Unsafe, accepts_loss: false } => Err(CloudError::LossNotAccepted),
        CacheSet { .. } => Ok(()),
    }
}

/// Sets the mode of something that is made just now; whoever asked for it was judged by [`consent`].
pub(super) async fn set_first(
    db: &mut Write,
    order: &Order,
    level: CacheLevel,
    id: Id,
    set: Option<CacheSet>,
) -> Result<(), CloudError> {
    let Some(CacheSet { mode, .. }) = set else { return Ok(()) };
    let (at_ms, who) = (now_ms(), order.who.clone());
    let noted = store::cache::Change { at_ms, who, from_mode: None, to_mode: Some(Word(mode)) };
    Ok(store::cache::change(db, level, id, set, &noted).await?)
}

async fn find(db: &mut Connection, level: CacheLevel, name: Option<&str>) -> Result<Subject, CloudError> {
    let name = match (level, name) {
        (CacheLevel::Global, None) => {
            let name = VM_CACHE_MODE.definition.key.to_owned();
            return Ok(Subject { level, id: Id(Uuid::nil()), name });
        }
        (CacheLevel::Global, Some(_)) => {
            let message = "`global` is for everything, and nothing is named";
            return Err(CloudError::invalid(message, "leave `name` out"));
        }
        (_, None) => {
            let message = format!("a mode is to be set for a {level}, and none is named");
            return Err(CloudError::invalid(message, "give its `name`"));
        }
        (_, Some(name)) => name,
    };
    let (id, name) = match level {
        CacheLevel::Storage => storage::find(db, name).await.map(|found| (found.id, found.name))?,
        CacheLevel::Vm => vm::find(db, name).await.map(|found| (found.id, found.name))?,
        CacheLevel::Volume | CacheLevel::Global => {
            volume::find(db, name).await.map(|found| (found.id, found.name))?
        }
    };
    Ok(Subject { level, id, name })
}

async fn show(db: &mut Connection, subject: &Subject) -> Result<CacheSettings, CloudError> {
    let set = store::cache::set(db, subject.id).await?;
    let changes = changes(db, subject.id).await?;
    let Subject { level, id, ref name } = *subject;
    Ok(CacheSettings { level, id: id.0, name: name.clone(), set, changes })
}

async fn changes(db: &mut Connection, id: Id) -> Result<Vec<CacheChanged>, CloudError> {
    let encode = |change: store::cache::Change| CacheChanged {
        at_ms: change.at_ms,
        who: change.who,
        from: change.from_mode.map(|mode| mode.0),
        to: change.to_mode.map(|mode| mode.0),
    };
    Ok(store::cache::changes(db, id).await?.into_iter().map(encode).collect())
}

/// What its host is asked about a volume.
fn question(volume: &store::volume::Volume, asked: Asked) -> Question {
    Question {
        path: volume.path.clone(),
        format: words::format_to_agent(volume.format.0),
        bus: words::bus(volume.bus.map_or(DiskBus::Virtio, |bus| bus.0)),
        cache: evidence::request(asked),
        sector: evidence::sector(volume.sector_bytes.and_then(|bytes| u32::try_from(bytes).ok())),
    }
}

/// A volume as it is open now.
async fn now(db: &mut Connection, volume: &store::volume::Volume) -> Result<Disk, CloudError> {
    let mut disk = Disk {
        vm: None,
        volume: volume.name.clone(),
        mode: None,
        live: Vec::new(),
        told: Told::Unknown(String::new()),
    };
    let Some(id) = volume.vm_id else { return Ok(disk) };
    let Some(vm) = store::vm::by_id(db, id).await? else { return Ok(disk) };
    let state: VmState = vm::state(db, &vm).await?;
    let seen = vm.observed();
    let open = seen.iter().flat_map(|seen| &seen.disks).find(|disk| disk.volume == volume.id.0);
    disk.mode = open.map(|open| words::cache(open.cache.mode));
    disk.live = open.into_iter().flat_map(|open| &open.live).map(|mode| words::cache(*mode)).collect();
    disk.vm = Some((vm.name, state));
    Ok(disk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_questions_are_asked_in_batches_and_each_has_its_answer() {
        let questions: Vec<usize> = (0..2 * BATCH + 1).collect();
        let asked = std::cell::RefCell::new(Vec::new());
        let ask = |batch: Vec<usize>| {
            asked.borrow_mut().push(batch.len());
            std::future::ready(if batch[0] < BATCH { Ok(batch) } else { Err("gone") })
        };
        let all = in_batches(&questions[..BATCH], &ask, |_| 0).await;
        assert_eq!((all.as_slice(), asked.take()), (&questions[..BATCH], vec![BATCH]));
        // Who does not answer is not asked again.
        let all = in_batches(&questions, &ask, |_| 7).await;
        assert_eq!((all.len(), asked.take()), (questions.len(), vec![BATCH, BATCH]));
        assert_eq!((&all[..BATCH], all[BATCH], all[2 * BATCH]), (&questions[..BATCH], 7, 7));
    }
}
