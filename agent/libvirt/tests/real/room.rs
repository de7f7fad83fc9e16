//! A room with libvirtd, a client that records every frame, and `virsh`.

use agent_libvirt::{
    Connection, Delivery, Direction, Domain, DomainEvent, MessageStatus, MessageType, Options, Procedure,
    SeenFrame, Subscription,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use xtask_testbed::libvirt::Libvirtd;
use xtask_testbed::{Invocation, Mount, RootClone, Testbed, guest, libvirt};

/// How long anything may take on a machine that is busy with other things.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// A clone of the root with QEMU and libvirt.
pub fn root() -> RootClone {
    let testbed = Testbed::from_env().expect("a prepared testbed");
    let virt = testbed.virt(&|line| eprintln!("{line}")).expect("the root");
    libvirt::clone(&virt).expect("clone")
}

/// libvirtd in a room.
pub struct Host<'a> {
    pub libvirtd: Libvirtd<'a>,
    clone: &'a RootClone,
    seen: Arc<Mutex<Vec<SeenFrame>>>,
    more: Arc<Notify>,
}

impl<'a> Host<'a> {
    pub fn start(clone: &'a RootClone, mounts: &[Mount]) -> Self {
        let libvirtd = Libvirtd::start(clone, mounts).expect("libvirtd");
        Self { libvirtd, clone, seen: Arc::default(), more: Arc::default() }
    }

    /// Connection options for it, with the recorder.
    pub fn options(&self) -> Options {
        let (seen, more) = (Arc::clone(&self.seen), Arc::clone(&self.more));
        let observer = move |frame| {
            seen.lock().expect("the frames").push(frame);
            more.notify_one();
        };
        let run = self.libvirtd.room().path().join("run/libvirt");
        Options {
            sockets: vec![run.join("virtqemud-sock"), run.join("libvirt-sock")],
            observer: Some(Arc::new(observer)),
            ..Options::default()
        }
    }

    pub async fn connect(&self) -> Connection {
        Connection::open(&self.options()).await.expect("connection")
    }

    /// Writes the guest's disk for a domain.
    pub fn make_disk(&self, name: &str) {
        self.clone.write(guest::image(name), 0o644, guest::disk(guest::Kind::Answering)).expect("write");
    }

    /// What `virsh` says, which must not fail.
    pub fn virsh<const N: usize>(&self, words: [&str; N]) -> String {
        self.libvirtd.virsh(words).expect("virsh")
    }

    /// What a script says, which must not fail.
    pub fn sh<const N: usize>(&self, script: &str, words: [&str; N]) -> String {
        let command = Invocation::sh(script).args(words).limit(PATIENCE);
        self.libvirtd.room().run(command).expect("run").checked().expect("script").stdout_text()
    }

    /// All frames since this was asked last.
    pub fn frames(&self) -> Vec<SeenFrame> {
        std::mem::take(&mut self.seen.lock().expect("the frames"))
    }

    /// The same, of which there is at least one: waited for.
    pub async fn more_frames(&self) -> Vec<SeenFrame> {
        loop {
            let frames = self.frames();
            if !frames.is_empty() {
                return frames;
            }
            self.more.notified().await;
        }
    }

    /// Notes that `virsh` was just refused as this procedure was: it was answered by an error since this was called
    /// last.
    pub fn refused(&self, procedure: Procedure) {
        let refused =
            |frame: &SeenFrame| frame.status == MessageStatus::Error && frame.known() == Some(procedure);
        assert!(self.frames().iter().any(refused), "{procedure:?} was not refused");
    }

    /// Notes that `virsh` has just confirmed what these procedures do: each of them was answered with success, or
    /// arrived, since this was called last.
    pub fn shown(&self, procedures: &[Procedure]) {
        shown_in(&self.frames(), procedures);
    }

    /// Defines a domain with the guest's disk and these devices, through `virsh`.
    pub async fn define(&self, connection: &Connection, name: &str, devices: &str) -> Domain {
        self.make_disk(name);
        let file = format!("/root/{name}.xml");
        self.clone.write(&file, 0o644, guest::domain(name, devices)).expect("write");
        self.virsh(["define", &file]);
        connection.domain_lookup_by_name(name).await.expect("domain")
    }

    /// Writes a file into the room.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        self.clone.write(path, 0o644, content).expect("write");
    }
}

/// Notes that each of these procedures was answered with success, or arrived, in these frames.
pub fn shown_in(frames: &[SeenFrame], procedures: &[Procedure]) {
    for procedure in procedures {
        let shows = |frame: &SeenFrame| {
            let kinds = [MessageType::Reply, MessageType::Message];
            frame.direction == Direction::In
                && kinds.contains(&frame.kind)
                && frame.status == MessageStatus::Ok
                && frame.known() == Some(*procedure)
        };
        assert!(frames.iter().any(shows), "no success of {procedure:?} in {frames:?}");
    }
}

/// Waits for a future, but not for ever.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

/// Takes events until one is found.
pub async fn event(
    from: &mut Subscription,
    mut wanted: impl FnMut(&DomainEvent) -> bool,
) -> Arc<DomainEvent> {
    within(async {
        loop {
            match from.next().await.expect("an event") {
                Delivery::Event(event) if wanted(&event) => return event,
                Delivery::Event(other) => eprintln!("passed over: {other:?}"),
                Delivery::Lagged { missed } => panic!("{missed} lost"),
            }
        }
    })
    .await
}
