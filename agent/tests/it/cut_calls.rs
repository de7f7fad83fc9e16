//! An agent that is killed at each call by which it changes something of a running domain: before libvirt hears of it, and
//! once libvirt has done it. Somebody between the two counts. What the next agent shows is what QEMU does.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use agent_protocol::call::{Call, VmAttachDisk, VmChangeCache, VmDefine, VmShow, VmStart};
use agent_protocol::vm::{
    AttachRequest, CacheChoice, CacheMode, ChangeCacheRequest, DefineRequest, DiskCache, Format, StartMode,
    StartRequest, VmRequest, VmState,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use uuid::Uuid;
use xtask_testbed::guest::Kind;
use xtask_testbed::libvirt::{Inside, inside, qemu_pid, virsh};

use crate::cut_short::{FOLDER, disk, path};
use crate::killed::Process;
use crate::real::{machine, up};
use crate::support::{Host, asked, unplanned};
use crate::wire::Wire;

/// Where agents look first, and where libvirt is.
const SOCKETS: [&str; 2] = ["/run/libvirt/virtqemud-sock", "/run/libvirt/libvirt-sock"];

/// The calls that count, by the numbers of libvirt's protocol: `DOMAIN_DEFINE_XML_FLAGS`, `DOMAIN_SET_METADATA`,
/// `DOMAIN_ATTACH_DEVICE_FLAGS`, and `DOMAIN_MONITOR_COMMAND` of QEMU's own.
const CHANGES: [(u32, u32); 4] =
    [(0x2000_8086, 350), (0x2000_8086, 264), (0x2000_8086, 160), (0x2000_8087, 1)];

/// When an agent is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// With the first call of any kind, which libvirt does not hear of.
    AtOnce,
    /// With the so-many-th call that counts, which libvirt does not hear of.
    Before(usize),
    /// Once libvirt has answered that.
    After(usize),
}

/// Who is killed, and when.
#[derive(Debug, Default)]
struct Trap {
    set: Option<(Pid, Moment)>,
    counted: usize,
    /// The answer that is waited for.
    serial: Option<u32>,
}

impl Trap {
    /// Whether a message of this process goes on.
    fn passes(&mut self, from: Option<i32>, head: &[u32; 6]) -> bool {
        let Some((pid, moment)) = self.set.filter(|(pid, _)| Some(pid.as_raw_nonzero().get()) == from) else {
            return true;
        };
        let [program, _, procedure, kind, serial, _] = *head;
        let springs = match (kind, moment) {
            (0, Moment::AtOnce) => true,
            (0, Moment::Before(wanted) | Moment::After(wanted))
                if CHANGES.contains(&(program, procedure)) =>
            {
                self.counted += 1;
                if self.counted == wanted && moment == Moment::After(wanted) {
                    self.serial = Some(serial);
                }
                self.counted == wanted && moment == Moment::Before(wanted)
            }
            (1, _) => self.serial == Some(serial) && CHANGES.contains(&(program, procedure)),
            _ => false,
        };
        if springs {
            kill_process(pid, Signal::KILL).unwrap();
            *self = Self::default();
        }
        !springs
    }
}

/// Hands messages on until the trap springs.
async fn pass(
    from: Option<i32>,
    trap: Arc<Mutex<Trap>>,
    mut source: OwnedReadHalf,
    mut target: OwnedWriteHalf,
) {
    // It ends when either side does.
    while let Ok(length) = source.read_u32().await {
        let mut message = vec![0; length as usize - 4];
        if source.read_exact(&mut message).await.is_err() {
            return;
        }
        let word = |at: usize| u32::from_be_bytes(message[4 * at..4 * at + 4].try_into().unwrap());
        if !trap.lock().unwrap().passes(from, &std::array::from_fn(word)) {
            return;
        }
        let sent = [&length.to_be_bytes()[..], &message].concat();
        if target.write_all(&sent).await.is_err() {
            return;
        }
    }
}

fn between(trap: &Arc<Mutex<Trap>>) {
    let listener = UnixListener::bind(SOCKETS[0]).unwrap();
    let trap = Arc::clone(trap);
    tokio::spawn(async move {
        while let Ok((agent, _)) = listener.accept().await {
            let from = agent.peer_cred().unwrap().pid();
            let libvirt = UnixStream::connect(SOCKETS[1]).await.unwrap();
            let ((asks, hears), (answers, told)) = (agent.into_split(), libvirt.into_split());
            tokio::spawn(pass(from, Arc::clone(&trap), asks, told));
            tokio::spawn(pass(from, Arc::clone(&trap), answers, hears));
        }
    });
}

struct Story {
    host: Host,
    trap: Arc<Mutex<Trap>>,
    process: Option<Process>,
    wire: Wire,
    vm: Uuid,
}

impl Story {
    /// Orders something of an agent that is killed at this moment; then, as which operation it is ordered again. None: it was
    /// carried out before that.
    async fn cut_short<C: Call>(&mut self, moment: Moment, order: C::Request) -> Option<Uuid> {
        let operation = Uuid::new_v4();
        let pid = self.process.as_ref().unwrap().pid();
        *self.trap.lock().unwrap() = Trap { set: Some((pid, moment)), ..Trap::default() };
        let answered = self.wire.try_answer::<C>(operation, order).await;
        *self.trap.lock().unwrap() = Trap::default();
        if let Ok(answer) = answered {
            answer.reply::<C>();
            return None;
        }
        self.process.take().unwrap().kill();
        let (process, wire) = Process::on_libvirt(&self.host).await;
        (self.process, self.wire) = (Some(process), wire);
        Some(operation)
    }

    async fn shown(&self) -> VmState {
        self.wire.call::<VmShow>(VmRequest { vm: self.vm }).await
    }

    /// What is shown, once it was held to what QEMU does: by its descriptors, and by the nodes that it has.
    async fn true_modes(&self, what: &str) -> Vec<CacheMode> {
        let shown = self.shown().await;
        let nodes = nodes();
        for disk in &shown.disks {
            let (mode, direct) = (disk.cache.mode, disk.cache.direct);
            let is_direct = [CacheMode::None, CacheMode::Directsync].contains(&mode);
            assert_eq!((direct, open_direct(&disk.path)), (Some(is_direct), is_direct), "{what}: {disk:?}");
            let ours: Vec<_> = nodes.iter().filter(|node| node["file"] == disk.path).collect();
            assert_eq!(ours.len(), 2, "{what}: {ours:?}");
            for node in ours {
                let told = (node["cache"]["direct"].as_bool(), node["cache"]["no-flush"].as_bool());
                assert_eq!(told, (Some(is_direct), Some(mode == CacheMode::Unsafe)), "{what}: {node}");
            }
        }
        assert!(!virsh(["dumpxml", "web"]).unwrap().contains("changing"), "{what}");
        shown.disks.iter().map(|disk| disk.cache.mode).collect()
    }

    fn change(&self, shown: &VmState, choice: CacheChoice) -> ChangeCacheRequest {
        let volumes = shown.disks.iter().map(|disk| disk.volume);
        let disks = volumes.map(|volume| DiskCache { volume, cache: asked(choice) }).collect();
        ChangeCacheRequest { vm: self.vm, disks }
    }
}

/// What QEMU has open, file by file.
fn nodes() -> Vec<Value> {
    let query = r#"{"execute":"query-named-block-nodes","arguments":{"flat":true}}"#;
    let answer: Value =
        serde_json::from_str(&virsh(["qemu-monitor-command", "web", query]).unwrap()).unwrap();
    answer["return"].as_array().unwrap().clone()
}

/// Whether QEMU has a file open with O_DIRECT.
fn open_direct(path: &str) -> bool {
    let process = Path::new("/proc").join(qemu_pid("web").unwrap().to_string());
    let open = std::fs::read_dir(process.join("fd")).unwrap().map(|entry| entry.unwrap());
    let ours =
        open.filter(|entry| std::fs::read_link(entry.path()).is_ok_and(|file| file == Path::new(path)));
    let direct: Vec<bool> = ours
        .map(|entry| {
            let info = std::fs::read_to_string(process.join("fdinfo").join(entry.file_name())).unwrap();
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:\t")).unwrap();
            u32::from_str_radix(flags, 8).unwrap() & 0o40000 != 0
        })
        .collect();
    assert!(!direct.is_empty() && direct.iter().all(|one| *one == direct[0]), "{path}: {direct:?}");
    direct[0]
}

fn create(name: &str, words: &[&str]) {
    let mut command = std::process::Command::new("qemu-img");
    assert!(
        command
            .args(["create", "-q", "-f"])
            .args(words)
            .arg(path(name))
            .arg("1M")
            .status()
            .unwrap()
            .success()
    );
}

/// The moments at which one agent after the other is killed, until one is not.
fn moments() -> impl Iterator<Item = Moment> {
    let counted = (1..).flat_map(|count| [Moment::Before(count), Moment::After(count)]);
    std::iter::once(Moment::AtOnce).chain(counted)
}

/// Two disks, one of them on another image, are changed.
async fn a_change(story: &mut Story, [from, to]: [CacheMode; 2]) {
    let choice = |mode: CacheMode| match mode {
        CacheMode::None => CacheChoice::None,
        CacheMode::Unsafe => CacheChoice::Unsafe,
        _ => CacheChoice::Writeback,
    };
    let shown = story.shown().await;
    let (there, back) = (story.change(&shown, choice(to)), story.change(&shown, choice(from)));
    let files: Vec<String> = nodes().iter().map(|node| node["file"].to_string()).collect();
    let mut seen = BTreeSet::new();
    for moment in moments() {
        let what = format!("{from:?} to {to:?}, killed {moment:?}");
        let cut = story.cut_short::<VmChangeCache>(moment, there.clone()).await;
        let modes = story.true_modes(&what).await;
        let Some(operation) = cut else {
            assert_eq!(modes, [to; 2], "{what}");
            // The configuration, what the nodes are, the note, and of each disk the change and what its nodes are then, the note.
            assert_eq!(moment, Moment::Before(9), "{what}: it was not killed");
            break;
        };
        seen.insert(format!("{modes:?}"));
        let again =
            story.wire.answer::<VmChangeCache>(operation, there.clone()).await.reply::<VmChangeCache>();
        assert_eq!(again.taints.len(), 1, "{what}: {:?}", again.taints);
        assert_eq!(story.true_modes(&what).await, [to; 2], "{what}");
        let now: Vec<String> = nodes().iter().map(|node| node["file"].to_string()).collect();
        assert_eq!(now, files, "{what}: other nodes");
        story.wire.call::<VmChangeCache>(back.clone()).await;
        assert_eq!(story.true_modes(&what).await, [from; 2], "{what}");
    }
    let expected = [[from, from], [to, from], [to, to]].map(|modes| format!("{modes:?}"));
    assert_eq!(seen, BTreeSet::from(expected));
}

/// A disk on another image is attached.
async fn an_attachment(story: &mut Story) {
    for (number, moment) in moments().enumerate() {
        let what = format!("killed {moment:?}");
        let name = format!("hot{number}.qcow2");
        create(&name, &["qcow2", "-F", "raw", "-b", &path("under.raw")]);
        let order = AttachRequest { vm: story.vm, disk: disk(&name, Format::Qcow2) };
        let has = |nodes: &[Value]| nodes.iter().filter(|node| node["file"] == path(&name)).count();
        let cut = story.cut_short::<VmAttachDisk>(moment, order.clone()).await;
        let shown = story.shown().await.disks.iter().any(|disk| disk.path == path(&name));
        // QEMU has it open where it is shown, and nowhere else.
        assert_eq!(has(&nodes()), if shown { 2 } else { 0 }, "{what}");
        story.true_modes(&what).await;
        if let Some(operation) = cut {
            story.wire.answer::<VmAttachDisk>(operation, order).await.reply::<VmAttachDisk>();
            story.true_modes(&what).await;
        } else {
            // The note for the next start, that for now, and the disk.
            assert_eq!(moment, Moment::Before(4), "{what}: it was not killed");
        }
        assert_eq!(has(&nodes()), 2, "{what}");
        for words in [vec!["dumpxml", "web"], vec!["dumpxml", "--inactive", "web"]] {
            let source = format!("<source file='{}'", path(&name));
            assert_eq!(virsh(words).unwrap().matches(&source).count(), 1, "{what}");
        }
        if cut.is_none() {
            return;
        }
    }
}

#[test]
fn an_agent_that_is_killed_at_any_call_shows_what_is_true_afterwards() {
    let executables = vec![env!("CARGO_BIN_EXE_cairn-agent").into()];
    let room = Inside { executables, ..Inside::default() };
    inside("an_agent_that_is_killed_at_any_call_shows_what_is_true_afterwards", &room, || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            std::fs::create_dir(FOLDER).unwrap();
            let mut vm = machine(Kind::Answering);
            vm.disks.clear();
            std::fs::rename("/srv/root.raw", path("base.raw")).unwrap();
            create("root.qcow2", &["qcow2", "-F", "raw", "-b", &path("base.raw")]);
            create("under.raw", &["raw"]);
            create("data.raw", &["raw"]);
            vm.disks = vec![disk("root.qcow2", Format::Qcow2), disk("data.raw", Format::Raw)];
            let trap = Arc::default();
            between(&trap);
            let host = Host::joined();
            let (process, wire) = Process::on_libvirt(&host).await;
            let mut story = Story { host, trap, process: Some(process), wire, vm: vm.uuid };
            story.wire.call::<VmDefine>(DefineRequest { vm }).await;
            let start = StartRequest { vm: story.vm, mode: StartMode::Running, cache: unplanned() };
            story.wire.call::<VmStart>(start).await;
            up(&story.wire, story.vm).await;
            assert_eq!(story.true_modes("at first").await, [CacheMode::None; 2]);
            a_change(&mut story, [CacheMode::None, CacheMode::Writeback]).await;
            a_change(&mut story, [CacheMode::Writeback, CacheMode::Unsafe]).await;
            an_attachment(&mut story).await;
            virsh(["destroy", "web"]).unwrap();
        });
    });
}
