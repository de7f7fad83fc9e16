//! An agent that is killed while it works on a volume, an image or a folder: at every step that the file system hears of,
//! before that is done and after, whether it is the agent's own or of a program that it has started. The next one gets the same
//! order as the same operation: it ends as if nothing had been, and no file is left that should not be.

use std::path::Path;

use agent_protocol::call::{Call, FolderShow, ImageImport, VolumeCreate, VolumeDelete, VolumeResize};
use agent_protocol::vm::Format;
use agent_protocol::volume::{Backing, CreateRequest, ImportRequest, PathRequest, ResizeRequest};
use uuid::Uuid;
use xtask_testbed::Device;
use xtask_testbed::fuse::{self, Direct, Mounted};
use xtask_testbed::guest::{self, Kind};
use xtask_testbed::libvirt::{Inside, inside};

use crate::cut::names;
use crate::cut_probe::{TIMES, kill_at, steps};
use crate::killed::Process;
use crate::support::Host;

/// The file system that hears of everything. A file in it has a name from the beginning, as FUSE wants it.
const PLACE: &str = "/srv/kept";

/// What is imported. It lies elsewhere.
const SOURCE: &str = "/srv/guest.raw";

/// What changes something there; anything else is only asked.
const CHANGES: [&str; 8] = ["create", "write", "setattr", "fsync", "rename", "unlink", "mkdir", "rmdir"];

fn path(name: &str) -> String {
    format!("{PLACE}/{name}")
}

/// Only these are there.
fn lay(files: &[(&str, &[u8])]) {
    for name in names(PLACE) {
        let path = path(&name);
        std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir(&path)).unwrap();
    }
    for (name, content) in files {
        std::fs::write(path(name), content).unwrap();
    }
}

/// How often an agent was killed. `before` is what lies there at first, `after` what does then.
async fn killed_everywhere<C: Call>(
    host: &Host,
    mounted: &Mounted,
    before: &[(&str, &[u8])],
    order: C::Request,
    after: &[&str],
    check: impl Fn(&str),
) -> usize
where
    C::Request: Clone,
{
    lay(before);
    let steps = steps::<C>(host, mounted, order.clone()).await;
    assert!(steps.iter().any(|(what, _)| CHANGES.contains(what)), "{}: {steps:?}", C::NAME);
    let (mut process, mut wire) = Process::on_libvirt(host).await;
    let mut kills = 0;
    for (step, times) in steps {
        let ends = if CHANGES.contains(&step) { &[false, true][..] } else { &[true] };
        for (time, done) in (1..=times.min(TIMES)).flat_map(|time| ends.iter().map(move |done| (time, *done)))
        {
            let what = format!("{}: `{step}` {time}, done: {done}", C::NAME);
            lay(before);
            let operation = Uuid::new_v4();
            kill_at(mounted, process.pid(), (step, time), done);
            let answer = wire.try_answer::<C>(operation, order.clone()).await;
            assert!(answer.is_err(), "{what}: it was not killed");
            process.kill_all().await;
            mounted.unheard();
            kills += 1;
            (process, wire) = Process::on_libvirt(host).await;
            let again = wire.answer::<C>(operation, order.clone()).await;
            again.reply::<C>();
            assert_eq!(names(PLACE), after, "{what}");
            check(&what);
        }
    }
    drop(process);
    println!("{}: killed {kills} times", C::NAME);
    kills
}

async fn tell(host: &Host, mounted: &Mounted) {
    let create = |name: &str, format, size_bytes, backing| CreateRequest {
        path: path(name),
        format,
        size_bytes,
        backing,
    };
    let length = |name: &str| std::fs::metadata(path(name)).unwrap().len();
    let is_whole = |name: &'static str| {
        move |what: &str| {
            let check = std::process::Command::new("qemu-img").args(["check", "-q", &path(name)]).status();
            assert!(check.unwrap().success(), "{what}");
        }
    };
    let blank = vec![0; 1 << 20];

    let raw = create("data.raw", Format::Raw, Some(1 << 20), None);
    killed_everywhere::<VolumeCreate>(host, mounted, &[], raw, &["data.raw"], |what| {
        assert_eq!(length("data.raw"), 1 << 20, "{what}");
    })
    .await;
    let backing = Some(Backing { path: path("base.raw"), format: Format::Raw });
    let over = create("root.qcow2", Format::Qcow2, None, backing);
    let base = [("base.raw", &blank[..])];
    let both = ["base.raw", "root.qcow2"];
    killed_everywhere::<VolumeCreate>(host, mounted, &base, over, &both, is_whole("root.qcow2")).await;

    let overlay = std::fs::read(path("root.qcow2")).unwrap();
    let resize = |name: &str, format| ResizeRequest { path: path(name), format, size_bytes: 2 << 20 };
    let data = [("data.raw", &blank[..])];
    let grow = resize("data.raw", Format::Raw);
    killed_everywhere::<VolumeResize>(host, mounted, &data, grow, &["data.raw"], |what| {
        assert_eq!(length("data.raw"), 2 << 20, "{what}");
    })
    .await;
    let two = [("base.raw", &blank[..]), ("root.qcow2", &overlay[..])];
    let grow = resize("root.qcow2", Format::Qcow2);
    killed_everywhere::<VolumeResize>(host, mounted, &two, grow, &both, is_whole("root.qcow2")).await;

    let source = std::fs::read(SOURCE).unwrap();
    let import = ImportRequest { source: SOURCE.to_owned(), path: path("image.raw") };
    killed_everywhere::<ImageImport>(host, mounted, &[], import, &["image.raw"], |what| {
        assert!(std::fs::read(path("image.raw")).unwrap() == source, "{what}");
    })
    .await;

    let gone = PathRequest { path: path("data.raw") };
    killed_everywhere::<VolumeDelete>(host, mounted, &data, gone, &[], |_| {}).await;
    let folder = PathRequest { path: path("folder") };
    killed_everywhere::<FolderShow>(host, mounted, &[], folder, &["folder"], |what| {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(path("folder")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o711, "{what}");
    })
    .await;
    for record in std::fs::read_dir(host.layout.agent_operations()).unwrap() {
        let record = std::fs::read_to_string(record.unwrap().path()).unwrap();
        assert!(record.contains("\"finished\""), "{record}");
    }
}

#[test]
fn whoever_is_killed_at_any_step_of_a_file_is_followed_by_one_who_does_the_rest() {
    let name = "whoever_is_killed_at_any_step_of_a_file_is_followed_by_one_who_does_the_rest";
    let executables = vec![env!("CARGO_BIN_EXE_cairn-agent").into()];
    let mounts = vec![Device::Fuse.into()];
    inside(name, &Inside { mounts, executables, ..Inside::default() }, || {
        if std::fs::File::open("/dev/fuse").is_err() {
            println!("skipped: this machine has no FUSE: /dev/fuse");
            return;
        }
        std::fs::write(SOURCE, guest::disk(Kind::Answering)).unwrap();
        let mounted = fuse::mount(Path::new(PLACE), Direct::Accepted).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async { tell(&Host::joined(), &mounted).await });
    });
}
