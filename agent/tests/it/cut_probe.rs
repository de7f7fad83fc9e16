//! An agent that is killed while it tries what a folder is worth: at every step that its file system hears of, before that is
//! done and after. The next one removes what was left, by what was noted.

use std::path::Path;
use std::sync::{Arc, Mutex};

use agent_protocol::cache::{JudgeRequest, Question};
use agent_protocol::call::{CacheJudge, Call, FolderSurvey};
use agent_protocol::vm::{CacheChoice, DiskBus, Format};
use agent_protocol::volume::PathRequest;
use rustix::process::{Pid, Signal, kill_process_group};
use uuid::Uuid;
use xtask_testbed::Device;
use xtask_testbed::fuse::{self, Direct, Mounted};
use xtask_testbed::libvirt::{Inside, Start, inside};

use crate::killed::{Process, until};
use crate::support::{Host, SECTOR, asked};

/// The file system that hears of everything. A file in it has a name from the beginning, as FUSE wants it.
const PLACE: &str = "/srv/tried";

/// How often one thing is asked before it is asked no differently any more.
pub const TIMES: usize = 3;

/// What the file system is asked for by one order, and how often, in the order of the first times.
pub async fn steps<C: Call>(host: &Host, mounted: &Mounted, order: C::Request) -> Vec<(&'static str, usize)> {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (process, wire) = Process::on_libvirt(host).await;
    let hears = Arc::clone(&heard);
    mounted.each(move |what| {
        hears.lock().unwrap().push(what);
        true
    });
    wire.call::<C>(order).await;
    mounted.unheard();
    drop(process);
    let mut steps: Vec<(&'static str, usize)> = Vec::new();
    for what in heard.lock().unwrap().drain(..) {
        match steps.iter_mut().find(|(other, _)| *other == what) {
            Some((_, times)) => *times += 1,
            None => steps.push((what, 1)),
        }
    }
    steps
}

/// Kills a process, and those that it has started, when something is asked for the `time`-th time, which is done then, or is
/// not.
pub fn kill_at(mounted: &Mounted, pid: Pid, (what, time): (&'static str, usize), done: bool) {
    let mut times = 0;
    mounted.each(move |asked| {
        times += usize::from(asked == what);
        if asked != what || times != time {
            return true;
        }
        // Who waits for a file system is gone when that has answered.
        kill_process_group(pid, Signal::KILL).unwrap();
        done
    });
}

fn count(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

/// How many of so many agents left something where they were killed.
async fn killed_everywhere<C: Call>(host: &Host, mounted: &Mounted, order: C::Request) -> (usize, usize)
where
    C::Request: Clone,
{
    let (place, notes) = (Path::new(PLACE), host.layout.agent_probes());
    let (mut kills, mut left) = (0, 0);
    let steps = steps::<C>(host, mounted, order.clone()).await;
    let (mut process, mut wire) = Process::on_libvirt(host).await;
    for (what, times) in steps {
        for (time, done) in (1..=times.min(TIMES)).flat_map(|time| [(time, false), (time, true)]) {
            kill_at(mounted, process.pid(), (what, time), done);
            let answer = wire.try_answer::<C>(Uuid::new_v4(), order.clone()).await;
            assert!(answer.is_err(), "{}: `{what}` was not asked {time} times", C::NAME);
            process.kill();
            mounted.unheard();
            kills += 1;
            if count(place) > 0 {
                left += 1;
                assert!(count(&notes) > 0, "{}: what `{what}` {time} left is noted nowhere", C::NAME);
            }
            (process, wire) = Process::on_libvirt(host).await;
            until(|| count(place) == 0 && count(&notes) == 0).await;
        }
    }
    // And the last one gets its answer.
    wire.call::<C>(order).await;
    assert_eq!((count(place), count(&notes)), (0, 0));
    drop(process);
    (kills, left)
}

#[test]
fn whoever_is_killed_while_it_tries_a_folder_leaves_nothing_to_the_next() {
    let name = "whoever_is_killed_while_it_tries_a_folder_leaves_nothing_to_the_next";
    let executables = vec![env!("CARGO_BIN_EXE_cairn-agent").into()];
    let mounts = vec![Device::Fuse.into()];
    inside(name, &Inside { start: Start::Nothing, mounts, executables, ..Inside::default() }, || {
        if std::fs::File::open("/dev/fuse").is_err() {
            println!("skipped: this machine has no FUSE: /dev/fuse");
            return;
        }
        let mounted = fuse::mount(Path::new(PLACE), Direct::Accepted).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let host = Host::joined();
            let disk = Question {
                path: format!("{PLACE}/disk.raw"),
                format: Format::Raw,
                bus: DiskBus::Virtio,
                cache: asked(CacheChoice::Auto),
                sector: SECTOR,
            };
            let judge = JudgeRequest { questions: vec![disk] };
            let survey = PathRequest { path: PLACE.to_owned() };
            for (order, (kills, left)) in [
                (CacheJudge::NAME, killed_everywhere::<CacheJudge>(&host, &mounted, judge).await),
                (FolderSurvey::NAME, killed_everywhere::<FolderSurvey>(&host, &mounted, survey).await),
            ] {
                println!("{order}: killed {kills} times, {left} left something");
                assert!(left > 0, "nothing had to be removed");
            }
        });
    });
}
