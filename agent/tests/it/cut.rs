//! An agent that is killed at each call by which it changes something at libvirt: before libvirt hears of it, and once libvirt
//! has done it. Somebody between the two counts. The next agent gets the same order as the same operation.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent_libvirt::{Procedure, Program};
use agent_protocol::call::{Call, VmConsole, VmShow};
use agent_protocol::vm::{CacheChoice, ConsoleRequest, Disk, DiskBus, Format, VmRequest, VmState};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use uuid::Uuid;
use xtask_testbed::libvirt::File;

use crate::killed::Process;
use crate::support::{Host, SECTOR, asked};
use crate::wire::Wire;

/// Where volumes lie; nothing else does.
pub const FOLDER: &str = "/srv/volumes";

/// Where agents look first, and where libvirt is.
const SOCKETS: [&str; 2] = ["/run/libvirt/virtqemud-sock", "/run/libvirt/libvirt-sock"];

/// Whether a call changes something. The monitor's count, too: one of them has QEMU open images anew.
fn changes(procedure: Procedure) -> bool {
    use Procedure as P;
    match procedure {
        P::DomainCreateXml
        | P::DomainReboot
        | P::DomainResume
        | P::DomainSetAutostart
        | P::DomainSuspend
        | P::DomainAttachDeviceFlags
        | P::DomainDetachDeviceFlags
        | P::DomainUpdateDeviceFlags
        | P::DomainCreateWithFlags
        | P::DomainSetVcpusFlags
        | P::DomainSetMemoryFlags
        | P::DomainSendKey
        | P::DomainUndefineFlags
        | P::DomainDestroyFlags
        | P::DomainReset
        | P::DomainBlockResize
        | P::DomainSetBlockIoTune
        | P::DomainShutdownFlags
        | P::DomainSetMetadata
        | P::DomainDefineXmlFlags
        | P::QemuDomainMonitorCommand
        | P::QemuDomainAgentCommand => true,
        P::ConnectOpen
        | P::ConnectClose
        | P::ConnectGetVersion
        | P::NodeGetInfo
        | P::ConnectGetCapabilities
        | P::DomainGetXmlDesc
        | P::DomainGetAutostart
        | P::DomainGetInfo
        | P::DomainGetMaxMemory
        | P::DomainLookupByName
        | P::DomainLookupByUuid
        | P::ConnectGetHostname
        | P::ConnectSupportsFeature
        | P::DomainBlockStats
        | P::DomainInterfaceStats
        | P::AuthList
        | P::ConnectGetLibVersion
        | P::DomainMemoryStats
        | P::DomainGetBlockInfo
        | P::DomainGetVcpusFlags
        | P::DomainOpenConsole
        | P::DomainGetState
        | P::DomainMigrateBegin3
        | P::DomainBlockStatsFlags
        | P::DomainGetBlockIoTune
        | P::ConnectListAllDomains
        | P::ConnectDomainEventCallbackRegisterAny
        | P::ConnectDomainEventCallbackDeregisterAny
        | P::DomainEventCallbackLifecycle
        | P::DomainEventCallbackReboot
        | P::DomainEventCallbackIoErrorReason
        | P::DomainEventCallbackTrayChange
        | P::DomainEventCallbackDeviceRemoved
        | P::DomainEventBlockJob2
        | P::ConnectGetDomainCapabilities
        | P::ConnectGetAllDomainStats
        | P::DomainEventCallbackAgentLifecycle
        | P::DomainInterfaceAddresses
        | P::DomainEventCallbackDeviceAdded
        | P::DomainGetMessages
        | P::KeepalivePing
        | P::KeepalivePong => false,
    }
}

/// Whether it does no harm a second time: it says the same again, only asks, or a guest is waited for.
fn is_harmless(procedure: Procedure) -> bool {
    procedure.program() == Program::Qemu
        || [Procedure::DomainDefineXmlFlags, Procedure::DomainSetMetadata, Procedure::DomainShutdownFlags]
            .contains(&procedure)
}

/// When an agent is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// With the first call of any kind, which libvirt does not hear of.
    AtOnce,
    /// With the so-many-th call that changes something, which libvirt does not hear of.
    Before(usize),
    /// Once libvirt has answered that.
    After(usize),
}

/// Whether agents are killed also where the one before has left the same: before a call as after the one before it.
const FULL: &str = "/root/full";

/// What tells so in the room.
pub fn full() -> File {
    let full = std::env::var_os("CAIRN_TEST_FULL").is_some();
    File { path: FULL.into(), mode: 0o644, content: full.to_string().into_bytes() }
}

fn is_full() -> bool {
    std::fs::read_to_string(FULL).unwrap() == "true"
}

/// The moments at which one agent after the other is killed, until one is not.
pub fn moments() -> impl Iterator<Item = Moment> {
    let counted = (1..).flat_map(|count| [Moment::Before(count), Moment::After(count)]);
    std::iter::once(Moment::AtOnce).chain(counted)
}

/// Who is killed, and when.
#[derive(Debug, Default)]
struct Trap {
    set: Option<(Pid, Moment)>,
    counted: usize,
    /// The answer that is waited for.
    serial: Option<u32>,
    /// What libvirt was told to change, by whichever agent.
    heard: Vec<Procedure>,
}

impl Trap {
    /// Whether a message of this process goes on.
    fn passes(&mut self, from: Option<i32>, head: &[u32; 6]) -> bool {
        let [program, _, procedure, kind, serial, _] = *head;
        let procedure = Procedure::find(program, procedure.cast_signed()).filter(|one| changes(*one));
        let set = self.set.filter(|(pid, _)| Some(pid.as_raw_nonzero().get()) == from);
        let springs = match (kind, set, procedure) {
            (0, Some((_, Moment::AtOnce)), _) => true,
            (0, Some((_, moment @ (Moment::Before(wanted) | Moment::After(wanted)))), Some(_)) => {
                self.counted += 1;
                if self.counted == wanted && moment == Moment::After(wanted) {
                    self.serial = Some(serial);
                }
                self.counted == wanted && moment == Moment::Before(wanted)
            }
            (1, Some(_), Some(_)) => self.serial == Some(serial),
            _ => false,
        };
        if let (true, Some((pid, _))) = (springs, set) {
            kill_process(pid, Signal::KILL).unwrap();
            self.set = None;
        } else if kind == 0 {
            self.heard.extend(procedure);
        }
        !springs
    }
}

/// A message without its length; none at the end.
async fn message(source: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let mut message = vec![0; source.read_u32().await.ok()? as usize - 4];
    source.read_exact(&mut message).await.ok()?;
    Some(message)
}

/// Fails when nobody takes it any more.
async fn hand_on(message: &[u8], target: &mut OwnedWriteHalf) -> std::io::Result<()> {
    let length = u32::try_from(message.len() + 4).unwrap();
    target.write_all(&[&length.to_be_bytes()[..], message].concat()).await
}

fn head(message: &[u8]) -> [u32; 6] {
    std::array::from_fn(|at| u32::from_be_bytes(message[4 * at..4 * at + 4].try_into().unwrap()))
}

/// What of a message tells calls and replies.
fn kind(message: &[u8]) -> u32 {
    head(message)[3]
}

/// A connection of an agent, until the trap springs or either side ends it. That an agent is gone libvirt learns only once it
/// has answered what it was asked: where a client goes before that, libvirt 9.0 may crash.
async fn pass(trap: Arc<Mutex<Trap>>, agent: UnixStream, libvirt: UnixStream) {
    let from = agent.peer_cred().unwrap().pid();
    let passes = |message: &[u8]| trap.lock().unwrap().passes(from, &head(message));
    let ((mut asks, hears), (mut answers, mut told)) = (agent.into_split(), libvirt.into_split());
    let owed = watch::Sender::new(0);
    let to_libvirt = async {
        while let Some(message) = message(&mut asks).await
            && passes(&message)
        {
            owed.send_modify(|count| *count += u32::from(kind(&message) == 0));
            if hand_on(&message, &mut told).await.is_err() {
                return;
            }
        }
        let _ = owed.subscribe().wait_for(|count| *count == 0).await;
    };
    let to_agent = async {
        let mut hears = Some(hears);
        while let Some(message) = message(&mut answers).await {
            owed.send_modify(|count| *count -= u32::from(kind(&message) == 1));
            if let Some(mut agent) = hears.take()
                && passes(&message)
                && hand_on(&message, &mut agent).await.is_ok()
            {
                hears = Some(agent);
            }
        }
    };
    tokio::select! {
        () = to_libvirt => {}
        () = to_agent => {}
    }
}

fn between(trap: &Arc<Mutex<Trap>>) {
    let listener = UnixListener::bind(SOCKETS[0]).unwrap();
    let trap = Arc::clone(trap);
    tokio::spawn(async move {
        while let Ok((agent, _)) = listener.accept().await {
            let libvirt = UnixStream::connect(SOCKETS[1]).await.unwrap();
            tokio::spawn(pass(Arc::clone(&trap), agent, libvirt));
        }
    });
}

/// A host whose agent is killed again and again, and a machine on it.
pub struct Story {
    pub host: Host,
    trap: Arc<Mutex<Trap>>,
    process: Option<Process>,
    pub wire: Wire,
    pub vm: Uuid,
}

impl Story {
    pub async fn start(vm: Uuid) -> Self {
        let trap = Arc::default();
        between(&trap);
        let host = Host::joined();
        let (process, wire) = Process::on_libvirt(&host).await;
        Self { host, trap, process: Some(process), wire, vm }
    }

    /// Orders something of an agent that is killed at this moment; then, as which operation it is ordered again. None: it was
    /// carried out before that.
    pub async fn cut_short<C: Call>(&mut self, moment: Moment, order: C::Request) -> Option<Uuid> {
        let operation = Uuid::new_v4();
        let pid = self.process.as_ref().unwrap().pid();
        *self.trap.lock().unwrap() = Trap { set: Some((pid, moment)), ..Trap::default() };
        let answered = self.wire.try_answer::<C>(operation, order).await;
        self.trap.lock().unwrap().set = None;
        if let Ok(answer) = answered {
            answer.reply::<C>();
            return None;
        }
        self.process.take().unwrap().kill();
        let (process, wire) = Process::on_libvirt(&self.host).await;
        (self.process, self.wire) = (Some(process), wire);
        Some(operation)
    }

    /// Orders what was cut short again, as the same operation.
    pub async fn again<C: Call>(&self, operation: Uuid, order: C::Request) -> C::Reply
    where
        C::Request: Clone,
    {
        let answer = self.wire.answer::<C>(operation, order.clone()).await;
        let reply = answer.reply::<C>();
        assert_eq!(self.wire.answer::<C>(operation, order).await, answer, "{}", C::NAME);
        reply
    }

    /// Has an order cut short at each moment in turn, and repeated, until it is carried out at once: by these calls and no
    /// others, of which libvirt hears none a second time that does anything. `order` prepares what it then orders.
    pub async fn everywhere<C: Call>(
        &mut self,
        calls: &[Procedure],
        order: impl AsyncFn(&Self, usize) -> C::Request,
        check: impl AsyncFn(&Self, &str),
    ) where
        C::Request: Clone,
    {
        self.everywhere_but::<C>(calls, &[], order, check).await;
    }

    /// The same, where libvirt may hear these a second time.
    pub async fn everywhere_but<C: Call>(
        &mut self,
        calls: &[Procedure],
        twice: &[Procedure],
        order: impl AsyncFn(&Self, usize) -> C::Request,
        check: impl AsyncFn(&Self, &str),
    ) where
        C::Request: Clone,
    {
        let steps = (1..).map(Moment::After);
        let steps = std::iter::once(Moment::Before(1)).chain(steps).take(calls.len() + 2);
        let all = moments().take(2 * calls.len() + 2);
        let moments: Vec<Moment> = if is_full() { all.collect() } else { steps.collect() };
        for (number, moment) in moments.into_iter().enumerate() {
            let what = format!("{}, killed {moment:?}", C::NAME);
            let order = order(self, number).await;
            let cut = self.cut_short::<C>(moment, order.clone()).await;
            if let Some(operation) = cut {
                self.again::<C>(operation, order).await;
            }
            let heard = self.trap.lock().unwrap().heard.clone();
            let counts = |one: &Procedure| !is_harmless(*one) && !twice.contains(one);
            let once = |all: &[Procedure]| all.iter().copied().filter(counts).collect();
            let (done, wanted): (Vec<_>, Vec<_>) = (once(&heard), once(calls));
            assert_eq!(done, wanted, "{what}");
            check(self, &what).await;
            let is_last = [Moment::Before, Moment::After].map(|at| at(calls.len() + 1)).contains(&moment);
            assert_eq!(cut.is_none(), is_last, "{what}: that it was not killed");
            if is_last {
                assert_eq!(heard, calls, "{what}");
                println!("{}: killed {number} times", C::NAME);
            }
        }
    }

    pub async fn shown(&self) -> VmState {
        self.wire.call::<VmShow>(self.this()).await
    }

    pub fn this(&self) -> VmRequest {
        VmRequest { vm: self.vm }
    }

    /// How much its guest has said.
    pub async fn said_bytes(&self) -> u64 {
        let ask = ConsoleRequest { vm: self.vm, offset: 0, limit: 0 };
        self.wire.call::<VmConsole>(ask).await.size
    }

    /// Waits until its guest has said so often behind this that it is up.
    pub async fn up(&self, offset: u64, times: usize) {
        let said = async {
            let ask = || ConsoleRequest { vm: self.vm, offset, limit: u64::MAX };
            while self.wire.call::<VmConsole>(ask()).await.text.matches("GUEST-UP").count() < times {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(120), said).await.unwrap();
    }

    /// Each order got its answer, and of none is half a record left.
    pub fn all_answered(&self) {
        for record in std::fs::read_dir(self.host.layout.agent_operations()).unwrap() {
            let path = record.unwrap().path();
            let record = std::fs::read_to_string(&path).unwrap();
            assert!(record.contains("\"finished\""), "{}: {record}", path.display());
        }
    }
}

pub fn path(name: &str) -> String {
    format!("{FOLDER}/{name}")
}

pub fn disk(name: &str, format: Format) -> Disk {
    let (volume, cache) = (Uuid::new_v4(), asked(CacheChoice::Auto));
    Disk { volume, path: path(name), format, bus: DiskBus::Virtio, cache, sector: SECTOR }
}

pub fn names(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Makes a raw image of 1 MiB, or one of another format, by these words of `qemu-img`.
pub fn create(name: &str, words: &[&str]) {
    let mut command = std::process::Command::new("qemu-img");
    command.args(["create", "-q", "-f"]).args(words).arg(path(name)).arg("1M");
    assert!(command.status().unwrap().success());
}
