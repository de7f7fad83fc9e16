//! Orders that come twice, over real connections.

use std::time::Duration;

use agent_hypervisor::simulated::{Call as Inside, Control, GuestKind, Moment, Simulated};
use agent_protocol::call::{
    VmChangeCache, VmDefine, VmDestroy, VmReboot, VmShow, VmShutdown, VmStart, VmSuspend, VmUndefine,
};
use agent_protocol::envelope::FailureCode;
use agent_protocol::vm::{
    ButtonRequest, CacheChoice, CacheMode, CachePlan, ChangeCacheRequest, DiskCache, RebootRequest,
    StartMode, StartRequest, State, VmRequest,
};
use uuid::Uuid;

use crate::support::{Host, Running, asked, unplanned};
use crate::wire::{Wire, golden};

struct Scene {
    host: Host,
    twin: Simulated,
    control: Control,
    running: Running,
    wire: Wire,
}

impl Scene {
    async fn new() -> Self {
        Self::on(Host::joined(), Simulated::new()).await
    }

    async fn on(host: Host, twin: Simulated) -> Self {
        let control = twin.control();
        let running = host.start_with(twin.clone());
        let wire = Wire::new(&host, &running).await;
        Self { host, twin, control, running, wire }
    }

    /// Another agent on the same host, as after a restart.
    async fn restart(self) -> Self {
        self.running.stop().await;
        Self::on(self.host, self.twin).await
    }

    /// Defines one more machine and returns its identity.
    async fn machine(&self, name: &str) -> Uuid {
        let mut define = golden::<VmDefine>();
        define.vm.uuid = Uuid::new_v4();
        name.clone_into(&mut define.vm.name);
        define.vm.cdroms.clear();
        define.vm.boot = vec![agent_protocol::vm::BootDevice::Hd];
        define.vm.disks[0].volume = Uuid::new_v4();
        define.vm.disks[0].path = format!("/volumes/{name}.qcow2");
        self.control.guest(&define.vm.disks[0].path, GuestKind::Answering);
        self.wire.call::<VmDefine>(define).await.uuid
    }

    fn count(&self, call: Inside) -> usize {
        self.control.calls().into_iter().filter(|done| *done == call).count()
    }
}

fn start(vm: Uuid) -> StartRequest {
    StartRequest { vm, mode: StartMode::Running, cache: unplanned() }
}

#[tokio::test]
async fn a_repeat_is_answered_with_the_same_bytes_and_nothing_is_done_twice() {
    let scene = Scene::new().await;
    let (vm, operation) = (scene.machine("a").await, Uuid::new_v4());
    let first = scene.wire.answer::<VmStart>(operation, start(vm)).await;
    assert_eq!(first.reply::<VmStart>().state, State::Running);
    scene.wire.call::<VmDestroy>(VmRequest { vm }).await;
    assert_eq!(scene.wire.answer::<VmStart>(operation, start(vm)).await, first);

    // A refusal is an answer, too.
    let refused = Uuid::new_v4();
    let no = scene.wire.answer::<VmDestroy>(refused, VmRequest { vm }).await;
    assert_eq!(no.failure().1, FailureCode::Conflict);
    scene.wire.call::<VmStart>(start(vm)).await;
    assert_eq!(scene.wire.answer::<VmDestroy>(refused, VmRequest { vm }).await, no);

    let scene = scene.restart().await;
    assert_eq!(scene.wire.answer::<VmStart>(operation, start(vm)).await, first);
    assert_eq!(scene.wire.answer::<VmDestroy>(refused, VmRequest { vm }).await, no);
    assert_eq!((scene.count(Inside::Start), scene.count(Inside::Destroy)), (2, 2));
    scene.running.stop().await;
}

#[tokio::test]
async fn the_work_goes_on_when_the_caller_hangs_up_and_a_repeat_waits_for_it() {
    let scene = Scene::new().await;
    let (vm, operation) = (scene.machine("a").await, Uuid::new_v4());
    let hold = scene.control.hold(Inside::Start, Moment::Before);
    let ask = || {
        let wire = scene.wire.clone();
        tokio::spawn(async move { wire.answer::<VmStart>(operation, start(vm)).await })
    };
    let first = ask();
    hold.arrived(1).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    let (second, third) = (ask(), ask());
    hold.release();
    let second = second.await.unwrap();
    assert_eq!(second.reply::<VmStart>().state, State::Running);
    assert_eq!(third.await.unwrap(), second);
    assert_eq!(scene.count(Inside::Start), 1);
    scene.running.stop().await;
}

#[tokio::test]
async fn an_id_belongs_to_one_request() {
    let scene = Scene::new().await;
    let (vm, other, operation) = (scene.machine("a").await, scene.machine("b").await, Uuid::new_v4());
    scene.wire.answer::<VmStart>(operation, start(vm)).await.reply::<VmStart>();
    let (status, code, message) = scene.wire.answer::<VmStart>(operation, start(other)).await.failure();
    assert_eq!((status, code), (409, FailureCode::OperationReused));
    assert!(message.contains("`vm-start` with other arguments"), "{message}");
    let (_, code, message) = scene.wire.answer::<VmUndefine>(operation, VmRequest { vm }).await.failure();
    assert_eq!(code, FailureCode::OperationReused);
    assert!(message.contains("`vm-start`") && message.contains("`vm-undefine`"), "{message}");

    // Also while it is under way.
    let (hold, operation) = (scene.control.hold(Inside::Destroy, Moment::Before), Uuid::new_v4());
    let wire = scene.wire.clone();
    let under_way = tokio::spawn(async move { wire.answer::<VmDestroy>(operation, VmRequest { vm }).await });
    hold.arrived(1).await;
    let (_, code, _) = scene.wire.answer::<VmDestroy>(operation, VmRequest { vm: other }).await.failure();
    assert_eq!(code, FailureCode::OperationReused);
    hold.release();
    assert_eq!(under_way.await.unwrap().reply::<VmDestroy>().state, State::Shutoff);
    scene.running.stop().await;
}

#[tokio::test]
async fn what_could_not_be_tried_is_tried_again() {
    let scene = Scene::new().await;
    let (vm, operation) = (scene.machine("a").await, Uuid::new_v4());
    scene.control.unavailable("libvirtd is gone");
    for _ in 0..2 {
        let (status, code, _) = scene.wire.answer::<VmStart>(operation, start(vm)).await.failure();
        assert_eq!((status, code), (503, FailureCode::Unavailable));
    }
    let scene = scene.restart().await;
    scene.control.available();
    let done = scene.wire.answer::<VmStart>(operation, start(vm)).await;
    assert_eq!(done.reply::<VmStart>().state, State::Running);
    assert_eq!(scene.wire.answer::<VmStart>(operation, start(vm)).await, done);
    scene.running.stop().await;
}

#[tokio::test]
async fn one_machine_waits_its_turn_and_another_does_not() {
    let scene = Scene::new().await;
    let (vm, other) = (scene.machine("a").await, scene.machine("b").await);
    let hold = scene.control.hold(Inside::Start, Moment::Before);
    let wire = scene.wire.clone();
    let starting = tokio::spawn(async move { wire.call::<VmStart>(start(vm)).await });
    hold.arrived(1).await;
    let wire = scene.wire.clone();
    let second = tokio::spawn(async move { wire.call::<VmSuspend>(VmRequest { vm }).await });
    // Comes through although the first one is held.
    scene.wire.call::<VmUndefine>(VmRequest { vm: other }).await;
    assert_eq!(scene.count(Inside::Suspend), 0);
    hold.release();
    assert_eq!(starting.await.unwrap().state, State::Running);
    assert_eq!(second.await.unwrap().state, State::Paused);
    scene.running.stop().await;
}

#[tokio::test]
async fn what_is_settled_and_not_started_is_settled_and_started_by_the_repeat() {
    let scene = Scene::new().await;
    let vm = scene.machine("a").await;
    let root = scene.wire.call::<VmShow>(VmRequest { vm }).await.disks[0].volume;
    let planned = |choice| {
        let disks = vec![DiskCache { volume: root, cache: asked(choice) }];
        StartRequest { cache: CachePlan { disks, ..unplanned() }, ..start(vm) }
    };
    let operation = Uuid::new_v4();
    let away = agent_hypervisor::Error::Unavailable { cause: "it went away".to_owned() };
    scene.control.fail_next(Inside::Start, Moment::Before, away);
    let order = planned(CacheChoice::Directsync);
    let (_, code, _) = scene.wire.answer::<VmStart>(operation, order.clone()).await.failure();
    assert_eq!(code, FailureCode::Unavailable);
    let started = scene.wire.answer::<VmStart>(operation, order).await.reply::<VmStart>();
    assert_eq!((started.state, started.disks[0].cache.mode), (State::Running, CacheMode::Directsync));
    assert_eq!((scene.count(Inside::SettleCache), scene.count(Inside::Start)), (2, 2));

    // A plan that is refused turns nothing on, and a reboot that has one turns nothing off.
    scene.control.refuse_direct_io("/volumes");
    let none = planned(CacheChoice::None);
    let reboot = RebootRequest { vm, patience_ms: 1000, cache: none.cache.clone() };
    let (_, code, message) = scene.wire.answer::<VmReboot>(Uuid::new_v4(), reboot).await.failure();
    assert_eq!((code, scene.count(Inside::Reboot)), (FailureCode::DirectIo, 0), "{message}");
    scene.wire.call::<VmDestroy>(VmRequest { vm }).await;
    let (_, code, message) = scene.wire.answer::<VmStart>(Uuid::new_v4(), none).await.failure();
    assert_eq!((code, scene.count(Inside::Start)), (FailureCode::DirectIo, 2));
    assert!(message.contains("`/volumes` (simulated) refuses O_DIRECT (Invalid argument)"), "{message}");
    let started = scene.wire.call::<VmStart>(planned(CacheChoice::Auto)).await;
    assert_eq!(started.disks[0].cache.mode, CacheMode::Writeback);
    scene.running.stop().await;
}

#[tokio::test]
async fn a_mode_is_changed_once_while_it_runs() {
    let scene = Scene::new().await;
    let vm = scene.machine("a").await;
    scene.wire.call::<VmStart>(start(vm)).await;
    let root = scene.wire.call::<VmShow>(VmRequest { vm }).await.disks[0].volume;
    let asking =
        |choice| ChangeCacheRequest { vm, disks: vec![DiskCache { volume: root, cache: asked(choice) }] };
    let operation = Uuid::new_v4();
    let away = agent_hypervisor::Error::Unavailable { cause: "it went away".to_owned() };
    scene.control.fail_next(Inside::ChangeCache, Moment::After, away);
    let order = asking(CacheChoice::Unsafe);
    let (_, code, _) = scene.wire.answer::<VmChangeCache>(operation, order.clone()).await.failure();
    assert_eq!(code, FailureCode::Unavailable);
    let changed = scene.wire.answer::<VmChangeCache>(operation, order.clone()).await;
    let disk = &changed.reply::<VmChangeCache>().disks[0];
    assert_eq!(disk.cache.mode, CacheMode::Unsafe);
    assert_eq!(disk.live, [CacheMode::None, CacheMode::Writeback]);
    assert_eq!(scene.wire.answer::<VmChangeCache>(operation, order).await, changed);
    assert_eq!(scene.count(Inside::ChangeCache), 2);
    let refused = scene.wire.answer::<VmChangeCache>(Uuid::new_v4(), asking(CacheChoice::Directsync)).await;
    let (_, code, message) = refused.failure();
    assert_eq!(code, FailureCode::Conflict);
    assert!(message.contains("from `unsafe` to `directsync` while it runs"), "{message}");
    scene.running.stop().await;
}

#[tokio::test]
async fn whoever_cuts_the_power_does_not_wait_for_the_guest() {
    let scene = Scene::new().await;
    let vm = scene.machine("a").await;
    scene.wire.call::<VmStart>(start(vm)).await;
    let hold = scene.control.hold(Inside::Shutdown, Moment::Before);
    let wire = scene.wire.clone();
    let press = ButtonRequest { vm, patience_ms: 3_600_000 };
    let pressed =
        tokio::spawn(async move { wire.try_answer::<VmShutdown>(Uuid::new_v4(), press).await.unwrap() });
    hold.arrived(1).await;
    assert_eq!(scene.wire.call::<VmDestroy>(VmRequest { vm }).await.state, State::Shutoff);
    hold.release();
    assert_eq!(pressed.await.unwrap().failure().1, FailureCode::Conflict);
    scene.running.stop().await;
}

#[tokio::test]
async fn whoever_cuts_the_power_of_what_is_being_started_finds_it_off_afterwards() {
    let scene = Scene::new().await;
    let vm = scene.machine("a").await;
    // Its disks are settled already, and it is off still.
    let hold = scene.control.hold(Inside::Start, Moment::Before);
    let wire = scene.wire.clone();
    let starting = tokio::spawn(async move { wire.call::<VmStart>(start(vm)).await });
    hold.arrived(1).await;
    let looked = scene.control.hold(Inside::Destroy, Moment::Before);
    let wire = scene.wire.clone();
    let cut = tokio::spawn(async move { wire.answer::<VmDestroy>(Uuid::new_v4(), VmRequest { vm }).await });
    // It does not wait to look.
    looked.arrived(1).await;
    looked.release();
    hold.release();
    assert_eq!(starting.await.unwrap().state, State::Running);
    assert_eq!(cut.await.unwrap().reply::<VmDestroy>().state, State::Shutoff);
    // Where nobody is at work, what is off is off.
    let off = scene.wire.answer::<VmDestroy>(Uuid::new_v4(), VmRequest { vm }).await.failure();
    assert_eq!(off.1, FailureCode::Conflict);
    scene.wire.call::<VmUndefine>(VmRequest { vm }).await;
    scene.running.stop().await;
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_named_and_never_guessed() {
    let scene = Scene::new().await;
    let (vm, operation) = (scene.machine("a").await, Uuid::new_v4());
    scene.wire.answer::<VmStart>(operation, start(vm)).await.reply::<VmStart>();
    let path = scene.host.layout.agent_operations().join(format!("{operation}.json"));
    let whole = std::fs::read(&path).unwrap();
    let foreign = String::from_utf8(whole.clone()).unwrap().replace("\"format\":1", "\"format\":9");
    let another =
        String::from_utf8(whole.clone()).unwrap().replace(&operation.to_string(), &Uuid::nil().to_string());
    for content in [&whole[..whole.len() / 2], b"", foreign.as_bytes(), another.as_bytes()] {
        std::fs::write(&path, content).unwrap();
        let (status, code, message) = scene.wire.answer::<VmStart>(operation, start(vm)).await.failure();
        assert_eq!((status, code), (500, FailureCode::Internal));
        assert!(
            message.contains(&path.display().to_string()) && message.contains("move the file away"),
            "{message}"
        );
    }
    assert_eq!(scene.count(Inside::Start), 1);
    scene.running.stop().await;
}

#[tokio::test]
async fn a_stop_waits_for_what_is_under_way() {
    let scene = Scene::new().await;
    let (vm, operation) = (scene.machine("a").await, Uuid::new_v4());
    let hold = scene.control.hold(Inside::Start, Moment::After);
    let wire = scene.wire.clone();
    let asked = tokio::spawn(async move { wire.answer::<VmStart>(operation, start(vm)).await });
    hold.arrived(1).await;
    // Nobody waits for the answer any more; the work is finished and recorded all the same.
    asked.abort();
    let stopped = tokio::spawn(scene.running.stop());
    tokio::task::yield_now().await;
    hold.release();
    tokio::time::timeout(Duration::from_secs(60), stopped).await.unwrap().unwrap();
    let path = scene.host.layout.agent_operations().join(format!("{operation}.json"));
    assert!(std::fs::read_to_string(path).unwrap().contains("\"finished\""));
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_started() {
    let host = Host::joined();
    // A file where the folder should be.
    std::fs::create_dir_all(host.layout.agent_data()).unwrap();
    std::fs::write(host.layout.agent_operations(), "").unwrap();
    let twin = Simulated::new();
    let running = host.start_with(twin.clone());
    let wire = Wire::new(&host, &running).await;
    let operation = Uuid::new_v4();
    for _ in 0..2 {
        let (status, code, message) =
            wire.answer::<VmDestroy>(operation, golden::<VmDestroy>()).await.failure();
        assert_eq!((status, code), (500, FailureCode::Internal));
        assert!(message.contains(&host.layout.agent_operations().display().to_string()), "{message}");
    }
    assert!(twin.control().calls().is_empty());
    running.stop().await;
}
