//! Operations on a file system that is full: a real one, in a mount namespace of the test's own.

use std::process::Command;

use agent_hypervisor::simulated::{Call as Inside, Moment, Simulated};
use agent_protocol::call::VolumeCreate;
use agent_protocol::envelope::FailureCode;
use rustix::mount::{MountFlags, mount};
use uuid::Uuid;

use crate::support::Host;
use crate::wire::{Wire, golden};

/// Says that this process is the one within the namespace.
const WITHIN: &str = "CAIRN_TEST_WITHIN";

#[test]
fn nothing_is_started_that_cannot_be_remembered_and_nothing_is_forgotten() {
    if std::env::var_os(WITHIN).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        return runtime.block_on(on_a_full_file_system());
    }
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--propagation", "private"]).arg(std::env::current_exe().unwrap());
    let name = "full::nothing_is_started_that_cannot_be_remembered_and_nothing_is_forgotten";
    let output = unshare.args([name, "--exact"]).env(WITHIN, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

async fn on_a_full_file_system() {
    let host = Host::joined();
    let folder = host.layout.agent_operations();
    std::fs::create_dir_all(&folder).unwrap();
    mount("tmpfs", &folder, "tmpfs", MountFlags::empty(), Some(c"size=64k")).unwrap();
    let filler = folder.join(".filler.new");
    let fill = || std::fs::write(&filler, vec![0; 128 << 10]).unwrap_err();
    let twin = Simulated::new();
    let control = twin.control();
    let running = host.start_with(twin.clone());
    let wire = Wire::new(&host, &running).await;
    let arguments = golden::<VolumeCreate>;
    let image = golden::<VolumeCreate>().backing.unwrap();
    let blank = agent_hypervisor::simulated::File::blank(agent_hypervisor::spec::Format::Qcow2, 512, None);
    control.place(image.path, blank);

    fill();
    let operation = Uuid::new_v4();
    let (status, code, message) = wire.answer::<VolumeCreate>(operation, arguments()).await.failure();
    assert_eq!((status, code), (507, FailureCode::NoSpace), "{message}");
    assert!(control.calls().is_empty());
    std::fs::remove_file(&filler).unwrap();
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);

    // Full when the work is done: it is done, and a repeat is told so.
    let hold = control.hold(Inside::CreateVolume, Moment::Before);
    let asked = tokio::spawn({
        let wire = wire.clone();
        async move { wire.answer::<VolumeCreate>(operation, arguments()).await }
    });
    hold.arrived(1).await;
    fill();
    hold.release();
    let first = asked.await.unwrap();
    first.reply::<VolumeCreate>();
    assert_eq!(wire.answer::<VolumeCreate>(operation, arguments()).await, first);
    assert_eq!(control.calls(), [Inside::CreateVolume]);

    // The next agent only knows that it was begun, and finds it done.
    running.stop().await;
    std::fs::remove_file(&filler).unwrap();
    let running = host.start_with(twin);
    let wire = Wire::new(&host, &running).await;
    assert_eq!(wire.answer::<VolumeCreate>(operation, arguments()).await, first);
    running.stop().await;
}
