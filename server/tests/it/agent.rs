//! An agent that keeps its virtual machines and files in memory: it speaks the real protocol over real mutual
//! TLS, answers a repeat from memory as agents do, and can be told to refuse, to hold a call, or to lose an
//! answer.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use agent_protocol::VERSION;
use agent_protocol::cache::{CacheRequest, JudgeReply};
use agent_protocol::call::*;
use agent_protocol::envelope::{Failure, FailureCode, Reply, Request};
use agent_protocol::host::Facts;
use agent_protocol::survey::Survey;
use agent_protocol::vm::{
    AttachRequest, CachePlan, ConsoleReply, Cursor, Done, ListReply, MediaState, State, VmState, WatchReply,
};
use agent_protocol::volume::{Folder, Image, Volume};
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use packaging_service::layout::Layout;
use packaging_service::stop::{self, Stopper};
use packaging_service::{serve, tls};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::host::golden;
use crate::machine::{cache, change_live, defined, disk_state, judge, note_live, raw, reopen};

/// A running agent. It stops when it is dropped.
pub struct Agent {
    pub address: SocketAddr,
    pub world: Arc<World>,
    _stopper: Stopper,
}

/// What the agent has, and what it was told to do wrong.
pub struct World {
    state: Mutex<State_>,
    turns: Mutex<HashMap<Uuid, Arc<tokio::sync::Mutex<()>>>>,
    changed: Notify,
    released: Notify,
}

#[derive(Default)]
struct State_ {
    vms: BTreeMap<Uuid, VmState>,
    files: BTreeMap<String, Volume>,
    /// What was asked of the CD-ROM drives of each virtual machine.
    drives: HashMap<Uuid, CacheRequest>,
    answers: HashMap<Uuid, (String, Result<Value, FailureCode>)>,
    /// Every order that was carried out, by the name of its call.
    orders: Vec<(&'static str, Uuid)>,
    /// What every order asked for when it came first.
    arguments: HashMap<Uuid, Value>,
    changes: u64,
    hypervisor_away: Option<String>,
    /// The version of the protocol that it speaks, if it is not this one.
    version: Option<u32>,
    refusals: HashMap<&'static str, FailureCode>,
    held: Vec<&'static str>,
    waiting: Vec<&'static str>,
    lost: Vec<&'static str>,
    history: Uuid,
}

pub type Outcome<T> = Result<T, FailureCode>;

impl Agent {
    /// An agent with the certificates of `layout`, where it listens if that is fixed.
    pub async fn start(layout: &Layout) -> Self {
        Self::at(layout, "127.0.0.1:0".parse().unwrap()).await
    }

    pub async fn at(layout: &Layout, address: SocketAddr) -> Self {
        let world = Arc::new(World {
            state: Mutex::new(State_ { history: Uuid::new_v4(), ..State_::default() }),
            turns: Mutex::default(),
            changed: Notify::new(),
            released: Notify::new(),
        });
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (identity, roots) = (tls::identity(layout, "agent").unwrap(), tls::authority(layout).unwrap());
        let config =
            tls::private_server(layout, identity.shown().unwrap(), roots, agent_protocol::SERVER_NAME)
                .unwrap();
        let (stopper, stop) = stop::channel();
        tokio::spawn(serve::tls(listener, config, router(&world), stop));
        Self { address, world, _stopper: stopper }
    }
}

impl World {
    fn state(&self) -> MutexGuard<'_, State_> {
        self.state.lock().unwrap()
    }

    /// Refuses `call` from now on, or not any more.
    pub fn refuse(&self, call: &'static str, code: Option<FailureCode>) {
        match code {
            Some(code) => self.state().refusals.insert(call, code),
            None => self.state().refusals.remove(call),
        };
    }

    /// Speaks that version of the protocol from now on, and so refuses every call.
    pub fn speak(&self, version: u32) {
        self.state().version = Some(version).filter(|version| *version != VERSION);
    }

    /// The answer to a call of another version.
    fn misunderstands(&self) -> Option<Response> {
        let protocol = self.state().version?;
        let failure =
            Failure { protocol, code: FailureCode::UnknownCall, message: "no such call".to_owned() };
        Some((StatusCode::NOT_FOUND, Json(failure)).into_response())
    }

    /// Carries out `call` only once it is let go.
    pub fn hold(&self, call: &'static str) {
        self.state().held.push(call);
    }

    /// Waits until a `call` that is held has come.
    pub async fn until_held(&self, call: &'static str) {
        crate::support::until(async || self.state().waiting.contains(&call)).await;
    }

    /// How many calls of `call` were held so far.
    pub fn waiting(&self, call: &str) -> usize {
        self.state().waiting.iter().filter(|name| **name == call).count()
    }

    pub fn let_go(&self) {
        self.state().held.clear();
        self.released.notify_waiters();
    }

    /// Carries out the next `call` and never answers it.
    pub fn lose(&self, call: &'static str) {
        self.state().lost.push(call);
    }

    /// How often an order for `call` was carried out.
    pub fn orders(&self, call: &str) -> usize {
        self.state().orders.iter().filter(|(name, _)| *name == call).count()
    }

    /// What each order for `call` that was carried out asked for.
    pub fn asked<C: Call>(&self) -> Vec<C::Request> {
        let state = self.state();
        let orders = state.orders.iter().filter(|(name, _)| *name == C::NAME);
        let arguments = orders.map(|(_, operation)| state.arguments[operation].clone());
        arguments.map(|arguments| serde_json::from_value(arguments).unwrap()).collect()
    }

    pub fn files(&self) -> Vec<String> {
        self.state().files.keys().cloned().collect()
    }

    pub fn put_file(&self, path: &str, size_bytes: u64) {
        self.state().files.insert(path.to_owned(), raw(path, size_bytes));
    }

    pub fn vm(&self, id: &str) -> Option<VmState> {
        self.state().vms.get(&id.parse().unwrap()).cloned()
    }

    /// The hypervisor goes away, and the agent tells everything anew.
    pub fn lose_hypervisor(&self, why: &str) {
        let mut state = self.state();
        state.hypervisor_away = Some(why.to_owned());
        state.changes += 1;
        drop(state);
        self.changed.notify_waiters();
    }

    /// A virtual machine turns, and nobody hears of it.
    pub fn turn_unheard(&self, id: &str, to: State) {
        self.state().vms.get_mut(&id.parse().unwrap()).unwrap().state = to;
    }

    /// Something happens to a virtual machine that nobody ordered.
    pub fn happen(&self, id: &str, what: impl FnOnce(&mut BTreeMap<Uuid, VmState>, Uuid)) {
        let mut state = self.state();
        what(&mut state.vms, id.parse().unwrap());
        state.changes += 1;
        drop(state);
        self.changed.notify_waiters();
    }
}

/// The reply that the table shows a call with.
fn shown<C: Call>() -> C::Reply {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../agent/protocol/golden");
    let text = std::fs::read_to_string(folder.join(format!("{}.json", C::NAME))).unwrap();
    let shown: Value = serde_json::from_str(&text).unwrap();
    serde_json::from_value(shown["reply"]["result"].clone()).unwrap()
}

fn router(world: &Arc<World>) -> Router {
    let mut router = Router::new();
    macro_rules! calls {
        ($($call:ident: |$state:ident, $request:ident| $work:expr;)+) => {$(
            let held = world.clone();
            router = router.route($call::PATH, post(async move |body: Bytes| {
                answer::<$call>(held, body, |$state: &mut State_, $request| $work).await
            }));
        )+};
    }
    calls! {
        HostFacts: |state, _request| {
            let mut facts: Facts = golden();
            facts.hypervisor.reason = state.hypervisor_away.clone().or(facts.hypervisor.reason);
            Ok(facts)
        };
        VmList: |state, _request| Ok(ListReply { vms: state.vms.values().cloned().collect() });
        VmShow: |state, request| state.vms.get(&request.vm).cloned().ok_or(FailureCode::NotFound);
        VmConsole: |state, request| {
            let name = state.vms.get(&request.vm).ok_or(FailureCode::NotFound)?.name.clone();
            let text = format!("{name} login: ");
            let from = usize::try_from(request.offset).unwrap().min(text.len());
            let size = text.len() as u64;
            Ok(ConsoleReply { offset: request.offset, text: text[from..].to_owned(), next_offset: size, size })
        };
        VmDefine: |state, request| {
            if state.vms.contains_key(&request.vm.uuid) {
                return Err(FailureCode::Exists);
            }
            if let Some(drive) = request.vm.cdroms.first() {
                state.drives.insert(request.vm.uuid, drive.cache);
            }
            let vm = defined(request.vm);
            state.vms.insert(vm.uuid, vm.clone());
            Ok(vm)
        };
        VmStart: |state, request| {
            state.reopen(request.vm, &request.cache)?;
            state.turn(request.vm, State::Running)
        };
        VmShutdown: |state, request| state.turn(request.vm, State::Shutoff);
        VmDestroy: |state, request| {
            state.refuse_if_off(request.vm)?;
            state.turn(request.vm, State::Shutoff)
        };
        VmReboot: |state, request| {
            state.refuse_if_off(request.vm)?;
            state.reopen(request.vm, &request.cache)?;
            state.turn(request.vm, State::Running)
        };
        VmChangeCache: |state, request| {
            state.refuse_if_off(request.vm)?;
            let vm = state.vms.get_mut(&request.vm).ok_or(FailureCode::NotFound)?;
            change_live(vm, &request.disks)?;
            Ok(vm.clone())
        };
        VmReset: |state, request| state.turn(request.vm, State::Running);
        VmSuspend: |state, request| state.turn(request.vm, State::Paused);
        VmResume: |state, request| state.turn(request.vm, State::Running);
        VmUndefine: |state, request| {
            if state.vms.contains_key(&request.vm) && !state.is_off(request.vm) {
                return Err(FailureCode::Conflict);
            }
            state.vms.remove(&request.vm).map(|_| Done {}).ok_or(FailureCode::NotFound)
        };
        VmAttachDisk: |state, request| {
            let AttachRequest { vm, disk } = request;
            let vm = state.vms.get_mut(&vm).ok_or(FailureCode::NotFound)?;
            let number = vm.disks.len();
            vm.disks.push(disk_state(number, disk));
            note_live(vm);
            Ok(vm.clone())
        };
        VmDetachDisk: |state, request| {
            let vm = state.vms.get_mut(&request.vm).ok_or(FailureCode::NotFound)?;
            vm.disks.retain(|disk| disk.volume != request.volume);
            Ok(vm.clone())
        };
        VmInsertMedia: |state, request| {
            let asked = state.drives.get(&request.vm).copied().ok_or(FailureCode::NotFound)?;
            let vm = state.vms.get_mut(&request.vm).ok_or(FailureCode::NotFound)?;
            let drive = &mut vm.cdroms[usize::from(request.drive)];
            if drive.media.is_some() {
                return Err(FailureCode::Conflict);
            }
            drive.media = Some(MediaState { path: request.media, cache: cache(asked) });
            Ok(vm.clone())
        };
        VmEjectMedia: |state, request| {
            let vm = state.vms.get_mut(&request.vm).ok_or(FailureCode::NotFound)?;
            let lying = vm.cdroms[usize::from(request.drive)].media.take();
            lying.map(|_| vm.clone()).ok_or(FailureCode::Conflict)
        };
        VmMigration: |state, request| {
            state.vms.get(&request.vm).ok_or(FailureCode::NotFound)?;
            Ok(shown::<VmMigration>())
        };
        CacheJudge: |_state, request| Ok(JudgeReply { judgements: request.questions.iter().map(judge).collect() });
        FolderSurvey: |_state, request| Ok(Survey { path: request.path, ..shown::<FolderSurvey>() });
        VolumeShow: |state, request| state.files.get(&request.path).cloned().ok_or(FailureCode::NotFound);
        VolumeCreate: |state, request| {
            let under = request.backing.as_ref().map(|backing| state.files[&backing.path].size_bytes);
            let volume = Volume {
                path: request.path.clone(),
                format: request.format,
                size_bytes: request.size_bytes.or(under).unwrap(),
                allocated_bytes: 196_608,
                backing: request.backing.map(|backing| backing.path),
            };
            if state.files.contains_key(&volume.path) {
                return Err(FailureCode::Exists);
            }
            state.files.insert(request.path, volume.clone());
            Ok(volume)
        };
        VolumeResize: |state, request| {
            let volume = state.files.get_mut(&request.path).ok_or(FailureCode::NotFound)?;
            volume.size_bytes = request.size_bytes;
            Ok(volume.clone())
        };
        VolumeDelete: |state, request| {
            state.files.remove(&request.path).map(|_| Done {}).ok_or(FailureCode::NotFound)
        };
        ImageImport: |state, request| {
            let mut volume = state.files.get(&request.source).ok_or(FailureCode::NotFound)?.clone();
            volume.path = request.path.clone();
            state.files.insert(request.path, volume.clone());
            Ok(Image { volume, sha256: "ab".repeat(32) })
        };
        FolderShow: |_state, request| match request.path.starts_with("/srv") {
            true => Ok(Folder {
                path: request.path,
                file_system: "ext4".into(),
                capacity_bytes: 1 << 40,
                available_bytes: 1 << 39,
            }),
            false => Err(FailureCode::NotFound),
        };
    }
    let watched = world.clone();
    router.route(VmWatch::PATH, post(async move |body: Bytes| watch(&watched, &body).await))
}

impl State_ {
    fn is_off(&self, vm: Uuid) -> bool {
        self.vms.get(&vm).is_some_and(|vm| matches!(vm.state, State::Shutoff | State::Crashed))
    }

    fn refuse_if_off(&self, vm: Uuid) -> Outcome<()> {
        if self.is_off(vm) { Err(FailureCode::Conflict) } else { Ok(()) }
    }

    fn now(&self) -> (u64, Uuid) {
        (self.changes, self.history)
    }

    /// Opens all that the plan names as it says, before the virtual machine is turned on.
    fn reopen(&mut self, vm: Uuid, plan: &CachePlan) -> Outcome<()> {
        self.drives.insert(vm, plan.cdroms);
        reopen(self.vms.get_mut(&vm).ok_or(FailureCode::NotFound)?, plan)
    }

    fn turn(&mut self, vm: Uuid, to: State) -> Outcome<VmState> {
        let vm = self.vms.get_mut(&vm).ok_or(FailureCode::NotFound)?;
        vm.state = to;
        note_live(vm);
        Ok(vm.clone())
    }
}

/// The virtual machine that a call is about.
fn about(arguments: &Value) -> Option<Uuid> {
    let vm = &arguments["vm"];
    vm.as_str().or_else(|| vm["uuid"].as_str())?.parse().ok()
}

/// Answers a call as agents do: orders for one virtual machine come one after another, but for cutting its
/// power; a repeat of what changes something from memory.
async fn answer<C: Call>(
    world: Arc<World>,
    body: Bytes,
    work: impl FnOnce(&mut State_, C::Request) -> Outcome<C::Reply>,
) -> Response {
    if let Some(answer) = world.misunderstands() {
        return answer;
    }
    let request: Request<C::Request> = serde_json::from_slice(&body).unwrap();
    assert_eq!(request.protocol, VERSION);
    let operation = request.operation.0;
    let arguments = serde_json::from_slice::<Value>(&body).unwrap()["arguments"].take();
    let vm = about(&arguments);
    if C::REPEAT == Repeat::Remembered {
        let first = world.state().arguments.entry(operation).or_insert(arguments.clone()).clone();
        assert_eq!(first, arguments, "an operation is one order");
    }
    let _turn = match vm {
        // Cutting the power waits for nobody.
        Some(vm) if C::REPEAT == Repeat::Remembered && C::NAME != VmDestroy::NAME => {
            let turn = world.turns.lock().unwrap().entry(vm).or_default().clone();
            Some(turn.lock_owned().await)
        }
        Some(_) | None => None,
    };
    // One that waits for a guest ends when that is off.
    let ended = || C::NAME == VmShutdown::NAME || C::NAME == VmReboot::NAME;
    let ended = || ended() && vm.is_some_and(|vm| world.state().is_off(vm));
    if world.state().held.contains(&C::NAME) {
        world.state().waiting.push(C::NAME);
        while world.state().held.contains(&C::NAME) && !ended() {
            let released = world.released.notified();
            tokio::select! {
                () = released => {}
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
        }
    }
    let (outcome, lost) = {
        let mut state = world.state();
        let refused = state.refusals.get(C::NAME).copied();
        let remembered = state.answers.get(&operation).cloned();
        let outcome: Outcome<Value> = match (refused, remembered) {
            (Some(code), _) => Err(code),
            (None, Some((name, outcome))) if C::REPEAT == Repeat::Remembered => {
                assert_eq!(name, C::NAME, "an operation is one order");
                outcome
            }
            (None, _) => {
                let outcome = work(&mut state, request.arguments);
                let outcome = outcome.map(|reply| serde_json::to_value(reply).unwrap());
                if C::REPEAT == Repeat::Remembered {
                    state.orders.push((C::NAME, operation));
                    state.answers.insert(operation, (C::NAME.to_owned(), outcome.clone()));
                    state.changes += 1;
                }
                outcome
            }
        };
        let lost = state.lost.iter().position(|name| *name == C::NAME);
        (outcome, lost.map(|at| state.lost.remove(at)).is_some())
    };
    world.changed.notify_waiters();
    if lost {
        std::future::pending::<()>().await;
    }
    match outcome {
        Ok(result) => Json(Reply { protocol: VERSION, operation: request.operation, result }).into_response(),
        Err(code) => {
            let message = format!("`{}` was told to refuse; tell it otherwise", C::NAME);
            (StatusCode::CONFLICT, Json(Failure { protocol: VERSION, code, message })).into_response()
        }
    }
}

async fn watch(world: &World, body: &[u8]) -> Response {
    if let Some(answer) = world.misunderstands() {
        return answer;
    }
    let request: Request<<VmWatch as Call>::Request> = serde_json::from_slice(body).unwrap();
    if let Some(code) = world.state().refusals.get(VmWatch::NAME).copied() {
        let message = "libvirt is away; start it".to_owned();
        return (StatusCode::CONFLICT, Json(Failure { protocol: VERSION, code, message })).into_response();
    }
    let wait = Duration::from_millis(request.arguments.wait_ms);
    let news = async {
        loop {
            let changed = world.changed.notified();
            let (changes, history) = world.state().now();
            if request
                .arguments
                .after
                .as_ref()
                .is_none_or(|cursor| cursor.changes != changes || cursor.history != history)
            {
                return;
            }
            // Also looks again by itself: a change between the look and the wait would be missed.
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(Duration::from_millis(50)) => {}
            }
        }
    };
    let _ = tokio::time::timeout(wait, news).await;
    let state = world.state();
    let result = WatchReply {
        cursor: Cursor { history: state.history, changes: state.changes },
        complete: true,
        vms: state.vms.values().cloned().collect(),
        gone: Vec::new(),
    };
    Json(Reply { protocol: VERSION, operation: request.operation, result }).into_response()
}
