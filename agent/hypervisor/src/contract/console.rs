//! What guests write.

use super::room::{Room, START, done};
use crate::interface::Attempt;
use crate::lifecycle::Action;
use crate::simulated::GuestKind;

pub(super) async fn a_log_is_read_in_stretches(room: &Room) {
    let spec = room.with_guest("vm", GuestKind::Silent).await;
    room.define(&spec).await;
    let read = |offset, limit| {
        let read = room.hypervisor.console_log(spec.uuid, offset, limit);
        async move { done(read.await, "reading the console log") }
    };
    let log = read(0, 100).await;
    assert_eq!((log.offset, log.size, log.bytes.len()), (0, 0, 0), "before the first start");
    room.act(spec.uuid, START).await;
    room.writes(spec.uuid, 0).await;
    // What is off does not write while it is read.
    room.act(spec.uuid, Action::Destroy).await;
    let whole = read(0, 1 << 20).await;
    let size = whole.bytes.len() as u64;
    assert_eq!((whole.offset, whole.size), (0, size));
    assert!(size >= 4, "a line is too short: {whole:?}");
    let part = read(1, 2).await;
    assert_eq!((part.offset, part.size, part.bytes.as_slice()), (1, size, &whole.bytes[1..3]));
    let tail = read(size - 1, 100).await;
    assert_eq!((tail.offset, tail.bytes.as_slice()), (size - 1, &whole.bytes[whole.bytes.len() - 1..]));
    for (offset, limit) in [(0, 0), (1, 0), (size, 100)] {
        let none = read(offset, limit).await;
        assert_eq!(
            (none.offset, none.bytes.len(), none.size),
            (offset, 0, size),
            "{limit} bytes from {offset}"
        );
    }
    // Who has read further has read an older log: all of this one is new.
    for offset in [size + 1, u64::MAX] {
        let log = read(offset, u64::MAX).await;
        assert_eq!((log.offset, log.bytes), (0, whole.bytes.clone()), "from {offset}");
    }
}

pub(super) async fn a_log_goes_on_with_every_start(room: &Room) {
    let spec = room.with_guest("vm", GuestKind::Answering).await;
    room.booted(&spec).await;
    let mut before = Vec::new();
    for _ in 0..2 {
        room.act(spec.uuid, Action::Destroy).await;
        let log =
            done(room.hypervisor.console_log(spec.uuid, 0, 1 << 20).await, "reading the console log").bytes;
        assert!(log.starts_with(&before) && log.len() > before.len(), "what was written before is gone");
        before = log;
        room.act(spec.uuid, START).await;
        room.writes(spec.uuid, before.len() as u64).await;
    }
}

pub(super) async fn a_log_goes_with_its_domain(room: &Room) {
    let spec = room.with_guest("vm", GuestKind::Answering).await;
    room.booted(&spec).await;
    room.act(spec.uuid, Action::Destroy).await;
    done(room.hypervisor.undefine(spec.uuid, Attempt::First).await, "undefining");
    room.define(&spec).await;
    assert_eq!(room.console_size(spec.uuid).await, 0, "a new domain has the log of an old one");
}
