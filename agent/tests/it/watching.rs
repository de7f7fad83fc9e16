//! News, over real connections.

use agent_hypervisor::simulated::{GuestKind, Outside, Simulated};
use agent_protocol::call::{VmDefine, VmStart, VmUndefine, VmWatch};
use agent_protocol::vm::{Cursor, State, VmRequest, WatchReply, WatchRequest};
use uuid::Uuid;

use crate::support::Host;
use crate::wire::{Wire, golden};

/// Longer than any test, shorter than the agent's own limit.
const LONG: u64 = 59_000;

async fn watch(wire: &Wire, after: &Cursor, wait_ms: u64) -> WatchReply {
    wire.call::<VmWatch>(WatchRequest { after: Some(after.clone()), wait_ms }).await
}

fn twin() -> Simulated {
    let twin = Simulated::new();
    let mut define = golden::<VmDefine>();
    twin.control().guest(&define.vm.disks.remove(0).path, GuestKind::Answering);
    let image = agent_hypervisor::simulated::File::blank(agent_hypervisor::spec::Format::Raw, 512, None);
    twin.control().place(define.vm.cdroms.remove(0).media.unwrap(), image);
    twin
}

#[tokio::test]
async fn news_come_once_and_are_complete_where_something_was_missed() {
    let host = Host::joined();
    let (twin, vm) = (twin(), golden::<VmDefine>().vm.uuid);
    let control = twin.control();
    let running = host.start_with(twin);
    let wire = Wire::new(&host, &running).await;

    let first = wire.call::<VmWatch>(WatchRequest { after: None, wait_ms: LONG }).await;
    assert_eq!((first.complete, first.vms.len()), (true, 0));
    let nothing = watch(&wire, &first.cursor, 1).await;
    assert_eq!((nothing.complete, nothing.vms.len(), &nothing.cursor), (false, 0, &first.cursor));

    // Several wait, and all hear of it.
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let (wire, cursor) = (wire.clone(), first.cursor.clone());
            tokio::spawn(async move { watch(&wire, &cursor, LONG).await })
        })
        .collect();
    wire.call::<VmDefine>(golden::<VmDefine>()).await;
    for waited in waiting {
        let news = waited.await.unwrap();
        assert_eq!((news.complete, news.vms[0].uuid, news.vms[0].state), (false, vm, State::Shutoff));
    }

    // Only the newest state of each is told, whoever brought it about.
    wire.call::<VmStart>(golden::<VmStart>()).await;
    control.outside(Outside::Suspend(vm)).unwrap();
    let mut news = watch(&wire, &first.cursor, LONG).await;
    while news.vms.first().is_none_or(|vm| vm.state != State::Paused) {
        assert!(news.vms.len() == 1, "{news:?}");
        news = watch(&wire, &news.cursor, LONG).await;
    }

    // What was missed, or belongs to another history, is made good at once.
    control.resync();
    let mut cursor = news.cursor.clone();
    let all = loop {
        let news = watch(&wire, &cursor, LONG).await;
        if news.complete {
            break news;
        }
        cursor = news.cursor;
    };
    assert_eq!((all.vms.len(), all.vms[0].state), (1, State::Paused));
    for strange in [
        Cursor { history: Uuid::new_v4(), changes: all.cursor.changes },
        Cursor { changes: u64::MAX, ..all.cursor.clone() },
    ] {
        assert!(watch(&wire, &strange, LONG).await.complete);
    }

    control.outside(Outside::Destroy(vm)).unwrap();
    wire.call::<VmUndefine>(VmRequest { vm }).await;
    let mut news = watch(&wire, &all.cursor, LONG).await;
    while news.gone.is_empty() {
        news = watch(&wire, &news.cursor, LONG).await;
    }
    assert_eq!((news.gone, news.vms.len(), news.complete), (vec![vm], 0, false));
    running.stop().await;
}
