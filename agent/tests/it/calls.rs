//! Every call, over a real connection, on the simulated twin.

use agent_hypervisor::Error;
use agent_hypervisor::simulated::{Call as Inside, Control, File, GuestKind, Moment, Simulated};
use agent_hypervisor::spec;
use agent_protocol::cache::{CacheRequest, JudgeRequest, Judgement, Question};
use agent_protocol::call::{
    self, CacheJudge, Call, Each, FolderShow, FolderSurvey, HostFacts, ImageImport, VmAttachDisk,
    VmChangeCache, VmConsole, VmDefine, VmDestroy, VmDetachDisk, VmEjectMedia, VmInsertMedia, VmList,
    VmMigration, VmReboot, VmReset, VmResume, VmShow, VmShutdown, VmStart, VmSuspend, VmUndefine,
    VolumeCreate, VolumeDelete, VolumeResize, VolumeShow,
};
use agent_protocol::envelope::FailureCode;
use agent_protocol::host::FactsRequest;
use agent_protocol::vm::{
    CacheChoice, CacheMode, ConsoleRequest, DetachRequest, EjectRequest, Format, ListRequest, Machine, State,
    VmRequest,
};
use agent_protocol::volume::{CreateRequest, ImportRequest, PathRequest, VolumeRequest};
use uuid::Uuid;

use crate::support::Host;
use crate::wire::{Wire, golden};

/// Lays down what the golden machine lies on.
fn files(control: &Control) {
    let vm = golden::<VmDefine>().vm;
    control.guest(&vm.disks[0].path, GuestKind::Answering);
    let image = |path: &str| control.place(path, File::blank(spec::Format::Raw, 1 << 20, None));
    image(&vm.cdroms[0].media.clone().unwrap());
    image(&golden::<VmAttachDisk>().disk.path);
}

#[derive(Default)]
struct Paths(Vec<(&'static str, &'static str)>);

impl Each for Paths {
    fn call<C: Call>(&mut self) {
        self.0.push((C::NAME, C::PATH));
    }
}

#[tokio::test]
async fn every_call_of_the_table_has_somebody_who_answers() {
    let host = Host::joined();
    let running = host.start();
    let wire = Wire::new(&host, &running).await;
    let mut paths = Paths::default();
    call::each(&mut paths);
    for (name, path) in paths.0 {
        let (_, code, message) = wire.post(path, b"{}".to_vec()).await.failure();
        assert_eq!(code, FailureCode::Request, "{name}: {message}");
    }
    let long = wire.post(<FolderShow as Call>::PATH, vec![b' '; (1 << 20) + 1]).await.failure();
    assert_eq!((long.0, long.1), (400, FailureCode::Request));
    assert!(long.2.contains("1048576 bytes") && long.2.ends_with("; ask for less at once"), "{}", long.2);
    running.stop().await;
}

#[tokio::test]
async fn the_life_of_a_virtual_machine() {
    let host = Host::joined();
    let twin = Simulated::new();
    let control = twin.control();
    files(&control);
    let running = host.start_with(twin);
    let wire = Wire::new(&host, &running).await;
    let asked = golden::<VmDefine>().vm;
    let vm = VmRequest { vm: asked.uuid };

    let defined = wire.call::<VmDefine>(golden::<VmDefine>()).await;
    assert_eq!((defined.state, defined.name.as_str()), (State::Shutoff, "web-1"));
    assert_eq!((defined.machine, defined.memory_bytes), (Machine::Q35, asked.memory_bytes));
    assert_eq!((defined.interfaces, defined.cdroms.len()), (asked.interfaces, 2));
    let cache = &defined.disks[0].cache;
    assert_eq!((cache.requested, cache.mode, cache.direct), (CacheChoice::Auto, CacheMode::None, None));

    let started = wire.call::<VmStart>(golden::<VmStart>()).await;
    let because = "asked for `auto`, which is `none` here: `/var/lib/cairn/volumes` on simulated takes O_DIRECT; the \
                   simulated QEMU has the file open with O_DIRECT";
    assert_eq!(started.disks[0].cache.reason, because);
    assert_eq!((started.state, started.disks[0].cache.direct), (State::Running, Some(true)));
    assert_eq!(wire.call::<VmShow>(vm.clone()).await, started);
    assert_eq!(wire.call::<VmList>(ListRequest {}).await.vms, [started]);

    assert_eq!(wire.call::<VmSuspend>(vm.clone()).await.state, State::Paused);
    assert_eq!(wire.call::<VmResume>(vm.clone()).await.state, State::Running);
    assert_eq!(wire.call::<VmReset>(vm.clone()).await.state, State::Running);
    assert_eq!(wire.call::<VmReboot>(golden::<VmReboot>()).await.state, State::Running);

    let changed = wire.call::<VmChangeCache>(golden::<VmChangeCache>()).await;
    let (cache, live) = (&changed.disks[0].cache, &changed.disks[0].live);
    assert_eq!((cache.mode, cache.direct), (CacheMode::Writeback, Some(false)));
    assert_eq!((live.as_slice(), changed.taints.len()), (&[CacheMode::None, CacheMode::Unsafe][..], 1));

    assert_eq!(wire.call::<VmAttachDisk>(golden::<VmAttachDisk>()).await.disks.len(), 2);
    let detach = DetachRequest { vm: asked.uuid, volume: golden::<VmAttachDisk>().disk.volume };
    assert_eq!(wire.call::<VmDetachDisk>(detach).await.disks.len(), 1);
    let eject = EjectRequest { vm: asked.uuid, drive: 0 };
    assert_eq!(wire.call::<VmEjectMedia>(eject).await.cdroms[0].media, None);
    let inserted = wire.call::<VmInsertMedia>(golden::<VmInsertMedia>()).await;
    assert_eq!(inserted.cdroms[0].media.as_ref().unwrap().path, golden::<VmInsertMedia>().media);

    let migration = wire.call::<VmMigration>(vm.clone()).await;
    let root = &migration.disks[0];
    assert_eq!((migration.may, root.target.as_str(), root.mode), (false, "vda", CacheMode::Writeback));
    assert!(!root.safe && root.remedy.is_some(), "{root:?}");

    let ask = |offset, limit| ConsoleRequest { vm: asked.uuid, offset, limit };
    let start = wire.call::<VmConsole>(ask(0, 0)).await.size;
    control.write_console(asked.uuid, "login: \u{e4}".as_bytes()).unwrap();
    let first = wire.call::<VmConsole>(ask(start, 8)).await;
    assert_eq!((first.text.as_str(), first.next_offset, first.size), ("login: ", start + 7, start + 9));
    let second = wire.call::<VmConsole>(ask(first.next_offset, u64::MAX)).await;
    assert_eq!((second.text.as_str(), second.next_offset), ("\u{e4}", start + 9));

    assert_eq!(wire.call::<VmShutdown>(golden::<VmShutdown>()).await.state, State::Shutoff);
    assert_eq!(wire.call::<VmStart>(golden::<VmStart>()).await.state, State::Running);
    assert_eq!(wire.call::<VmDestroy>(vm.clone()).await.state, State::Shutoff);
    wire.call::<VmUndefine>(vm.clone()).await;
    let (status, code, message) = wire.answer::<VmShow>(Uuid::new_v4(), vm).await.failure();
    assert_eq!((status, code), (404, FailureCode::NotFound));
    assert!(message.contains(&asked.uuid.to_string()), "{message}");
    running.stop().await;
}

#[tokio::test]
async fn the_life_of_a_volume() {
    let host = Host::joined();
    let twin = Simulated::new();
    let control = twin.control();
    let image = golden::<ImageImport>();
    control.place(&image.source, File::image(spec::Format::Qcow2, 1 << 30, GuestKind::Answering));
    let running = host.start_with(twin);
    let wire = Wire::new(&host, &running).await;

    let imported = wire.call::<ImageImport>(image.clone()).await;
    assert_eq!((imported.volume.path, imported.sha256.len()), (image.path.clone(), 64));
    let made = wire.call::<VolumeCreate>(golden::<VolumeCreate>()).await;
    assert_eq!((made.backing.as_deref(), made.format), (Some(image.path.as_str()), Format::Qcow2));
    let path = PathRequest { path: made.path.clone() };
    let show = VolumeRequest { path: made.path.clone(), format: Format::Qcow2 };
    assert_eq!(wire.call::<VolumeShow>(show.clone()).await, made);

    let raw = golden::<VolumeResize>();
    let create =
        CreateRequest { path: raw.path.clone(), format: Format::Raw, size_bytes: Some(512), backing: None };
    wire.call::<VolumeCreate>(create).await;
    assert_eq!(wire.call::<VolumeResize>(raw.clone()).await.size_bytes, raw.size_bytes);
    wire.call::<VolumeDelete>(path).await;
    let (status, code, _) = wire.answer::<VolumeShow>(Uuid::new_v4(), show).await.failure();
    assert_eq!((status, code), (404, FailureCode::NotFound));

    let folder = wire.call::<FolderShow>(golden::<FolderShow>()).await;
    assert!(folder.capacity_bytes > folder.available_bytes, "{folder:?}");
    let survey = wire.call::<FolderSurvey>(golden::<FolderShow>()).await;
    assert_eq!((survey.path, survey.capacity_bytes), (folder.path, folder.capacity_bytes));
    assert!(survey.fsync.is_some() && !survey.findings.is_empty(), "{:?}", survey.findings);

    // Asked of what is there and of what is not; nothing is made.
    let disk = golden::<VmDefine>().vm.disks.remove(0);
    let question = |choice| Question {
        path: raw.path.clone(),
        format: Format::Raw,
        bus: disk.bus,
        cache: CacheRequest { choice, ..disk.cache },
        sector: disk.sector,
    };
    control.refuse_direct_io("/var/lib/cairn/volumes");
    let questions = vec![question(CacheChoice::Auto), question(CacheChoice::None)];
    let judged = wire.call::<CacheJudge>(JudgeRequest { questions }).await.judgements;
    let [Judgement::Decided(auto), Judgement::Refused { message }] = &judged[..] else {
        panic!("{judged:?}")
    };
    assert_eq!((auto.requested, auto.mode), (CacheChoice::Auto, CacheMode::Writeback));
    assert!(message.contains("refuses O_DIRECT"), "{message}");
    running.stop().await;
}

#[tokio::test]
async fn a_failure_arrives_with_its_kind_and_its_sentence() {
    let host = Host::joined();
    let twin = Simulated::new();
    let control = twin.control();
    files(&control);
    let running = host.start_with(twin);
    let wire = Wire::new(&host, &running).await;
    let id = Uuid::new_v4;

    wire.call::<VmDefine>(golden::<VmDefine>()).await;
    let (status, code, message) = wire.answer::<VmDefine>(id(), golden::<VmDefine>()).await.failure();
    assert_eq!((status, code), (409, FailureCode::Exists), "{message}");
    let vm = golden::<VmSuspend>();
    let (status, code, message) = wire.answer::<VmSuspend>(id(), vm).await.failure();
    assert_eq!((status, code), (409, FailureCode::Conflict));
    assert_eq!(message, "cannot pause `web-1`: it is shutoff; look at its state and try again");

    control.refuse_direct_io("/var/lib/cairn/volumes");
    let mut start = golden::<VmStart>();
    start.cache.disks[0].cache.choice = CacheChoice::None;
    let (status, code, message) = wire.answer::<VmStart>(id(), start).await.failure();
    assert_eq!((status, code), (422, FailureCode::DirectIo));
    assert!(message.contains("refuses O_DIRECT") && message.contains("`auto` or `writeback`"), "{message}");

    let import = ImportRequest { source: "/srv/../etc/shadow".into(), path: "/i".into() };
    let (status, code, message) = wire.answer::<ImageImport>(id(), import).await.failure();
    assert_eq!((status, code), (422, FailureCode::Invalid));
    assert!(message.contains("`/srv/../etc/shadow`"), "{message}");

    let full = Error::NoSpace { path: "/v".into(), cause: "no space left on device".into() };
    control.fail_next(Inside::CreateVolume, Moment::Before, full);
    let (status, code, _) = wire.answer::<VolumeCreate>(id(), golden::<VolumeCreate>()).await.failure();
    assert_eq!((status, code), (507, FailureCode::NoSpace));
    running.stop().await;
}

#[tokio::test]
async fn facts_say_what_runs_virtual_machines() {
    let host = Host::joined();
    let twin = Simulated::new();
    let control = twin.control();
    let running = host.start_with(twin);
    let wire = Wire::new(&host, &running).await;
    let facts = wire.call::<HostFacts>(FactsRequest {}).await;
    assert_eq!((facts.hypervisor.version.as_deref(), facts.uefi), (Some("simulated"), true));
    assert!(!facts.accel.reason.is_empty());

    let gone = agent_hypervisor::state::Host {
        hypervisor: Err("no socket".to_owned()),
        accel: spec::Accel::Tcg,
        accel_reason: "`/dev/kvm` does not open".to_owned(),
        uefi: false,
    };
    control.host(gone);
    let facts = wire.call::<HostFacts>(FactsRequest {}).await;
    assert_eq!((facts.hypervisor.version, facts.hypervisor.reason.as_deref()), (None, Some("no socket")));
    let health = agent::health::ask(&host.layout.agent_socket(), std::time::Duration::from_secs(60)).await;
    let check = health.checks.iter().find(|check| check.name == "libvirt").unwrap();
    assert!(health.healthy && check.evidence == "no socket", "{health}");
    running.stop().await;
}
