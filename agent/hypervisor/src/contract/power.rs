//! Starting, stopping, pausing.

use super::room::{LONG, Room, SHORT, START, START_PAUSED, done, names, refused};
use crate::error::Kind;
use crate::interface::Attempt;
use crate::lifecycle::Action;
use crate::simulated::GuestKind;
use crate::spec::CacheMode;
use crate::state::State;

pub(super) async fn a_domain_starts_and_is_destroyed_again_and_again(room: &Room) {
    let spec = room.with_guest("vm", GuestKind::Silent).await;
    room.define(&spec).await;
    for _ in 0..3 {
        assert_eq!(room.act(spec.uuid, START).await.state, State::Running);
        assert_eq!(room.domain(spec.uuid).await.state, State::Running);
        assert_eq!(room.act(spec.uuid, Action::Destroy).await.state, State::Shutoff);
        assert_eq!(room.domain(spec.uuid).await.state, State::Shutoff);
    }
    let destroyed = room.hypervisor.act(spec.uuid, Action::Destroy, Attempt::First).await;
    refused(destroyed, Kind::Conflict, "destroying what is off");
    let destroyed = room.hypervisor.act(spec.uuid, Action::Destroy, Attempt::Again).await;
    assert_eq!(done(destroyed, "destroying in a later attempt").state, State::Shutoff);
}

pub(super) async fn what_runs_is_not_started_again(room: &Room) {
    let spec = room.bare("vm");
    room.define(&spec).await;
    room.act(spec.uuid, START).await;
    for action in [START, START_PAUSED] {
        refused(
            room.hypervisor.act(spec.uuid, action, Attempt::First).await,
            Kind::Conflict,
            "starting twice",
        );
    }
    let again = room.hypervisor.act(spec.uuid, START, Attempt::Again).await;
    assert_eq!(done(again, "starting in a later attempt").state, State::Running);
    let again = room.hypervisor.act(spec.uuid, START_PAUSED, Attempt::Again).await;
    refused(again, Kind::Conflict, "starting paused what runs, in a later attempt");
}

pub(super) async fn a_domain_starts_paused(room: &Room) {
    let spec = room.with_guest("vm", GuestKind::Answering).await;
    assert_eq!(room.paused(&spec).await.state, State::Paused);
    let again = room.hypervisor.act(spec.uuid, START_PAUSED, Attempt::Again).await;
    assert_eq!(done(again, "starting paused in a later attempt").state, State::Paused);
    assert_eq!(room.console_size(spec.uuid).await, 0, "a guest without processors wrote something");
    assert_eq!(room.act(spec.uuid, Action::Resume).await.state, State::Running);
    room.writes(spec.uuid, 0).await;
}

pub(super) async fn a_later_attempt_lets_go_what_was_left_paused(room: &Room) {
    let spec = room.with_guest("vm", GuestKind::Answering).await;
    room.paused(&spec).await;
    let again = room.hypervisor.act(spec.uuid, START, Attempt::Again).await;
    assert_eq!(done(again, "starting in a later attempt").state, State::Running);
    room.writes(spec.uuid, 0).await;
}

pub(super) async fn a_domain_is_paused_and_resumed(room: &Room) {
    let spec = room.bare("vm");
    room.define(&spec).await;
    room.act(spec.uuid, START).await;
    let (suspend, resume) = (Action::Suspend, Action::Resume);
    for _ in 0..2 {
        refused(
            room.hypervisor.act(spec.uuid, resume, Attempt::First).await,
            Kind::Conflict,
            "resuming what runs",
        );
        let again = room.hypervisor.act(spec.uuid, resume, Attempt::Again).await;
        assert_eq!(done(again, "resuming in a later attempt").state, State::Running);
        assert_eq!(room.act(spec.uuid, suspend).await.state, State::Paused);
        refused(
            room.hypervisor.act(spec.uuid, suspend, Attempt::First).await,
            Kind::Conflict,
            "pausing twice",
        );
        let again = room.hypervisor.act(spec.uuid, suspend, Attempt::Again).await;
        assert_eq!(done(again, "pausing in a later attempt").state, State::Paused);
        assert_eq!(room.act(spec.uuid, resume).await.state, State::Running);
    }
    room.act(spec.uuid, suspend).await;
    assert_eq!(room.act(spec.uuid, Action::Destroy).await.state, State::Shutoff);
}

pub(super) async fn what_is_off_only_starts(room: &Room) {
    let spec = room.bare("vm");
    room.define(&spec).await;
    let patience = SHORT;
    let all = [
        Action::Shutdown { patience },
        Action::Destroy,
        Action::Reboot { patience },
        Action::Reset,
        Action::Suspend,
        Action::Resume,
    ];
    for action in all {
        let refused_as = format!("{action:?} of what is off");
        refused(room.hypervisor.act(spec.uuid, action, Attempt::First).await, Kind::Conflict, &refused_as);
    }
    for action in [Action::Reset, Action::Suspend, Action::Resume] {
        let refused_as = format!("{action:?} of what is off, in a later attempt");
        refused(room.hypervisor.act(spec.uuid, action, Attempt::Again).await, Kind::Conflict, &refused_as);
    }
}

pub(super) async fn a_guest_that_answers_turns_itself_off(room: &Room) {
    let spec = room.with_guest("vm", GuestKind::Answering).await;
    room.booted(&spec).await;
    let shutdown = Action::Shutdown { patience: room.fixture.patience() };
    assert_eq!(room.act(spec.uuid, shutdown).await.state, State::Shutoff);
    assert_eq!(room.domain(spec.uuid).await.state, State::Shutoff);
    let again = room.hypervisor.act(spec.uuid, shutdown, Attempt::First).await;
    refused(again, Kind::Conflict, "shutting down what is off");
    let again = room.hypervisor.act(spec.uuid, shutdown, Attempt::Again).await;
    assert_eq!(done(again, "shutting down in a later attempt").state, State::Shutoff);
}

pub(super) async fn a_guest_that_is_silent_runs_on(room: &Room) {
    let spec = room.with_guest("vm", GuestKind::Silent).await;
    room.booted(&spec).await;
    for action in [Action::Shutdown { patience: SHORT }, Action::Reboot { patience: SHORT }] {
        let pressed = room.hypervisor.act(spec.uuid, action, Attempt::First).await;
        let error = refused(pressed, Kind::GuestSilent, &format!("{action:?} of a silent guest"));
        assert!(error.to_string().contains(&spec.name), "the domain is not named: {error}");
        assert_eq!(room.domain(spec.uuid).await.state, State::Running);
    }
    room.act(spec.uuid, Action::Destroy).await;
}

pub(super) async fn a_paused_guest_is_not_asked_to_turn_itself_off(room: &Room) {
    let spec = room.with_guest("vm", GuestKind::Answering).await;
    room.paused(&spec).await;
    for action in [Action::Shutdown { patience: SHORT }, Action::Reboot { patience: SHORT }] {
        let pressed = room.hypervisor.act(spec.uuid, action, Attempt::First).await;
        refused(pressed, Kind::Conflict, &format!("{action:?} of a paused guest"));
    }
    assert_eq!(room.domain(spec.uuid).await.state, State::Paused);
}

pub(super) async fn a_guest_that_answers_reboots(room: &Room) {
    let spec = room.with_guest("vm", GuestKind::Answering).await;
    room.booted(&spec).await;
    let written = room.console_size(spec.uuid).await;
    let domain = room.act(spec.uuid, Action::Reboot { patience: room.fixture.patience() }).await;
    assert_eq!(domain.state, State::Running);
    room.writes(spec.uuid, written).await;
    assert_eq!(room.domain(spec.uuid).await.state, State::Running);
}

pub(super) async fn a_reboot_that_got_half_way_is_finished(room: &Room) {
    let spec = room.with_guest("vm", GuestKind::Answering).await;
    room.booted(&spec).await;
    let written = room.console_size(spec.uuid).await;
    room.act(spec.uuid, Action::Shutdown { patience: room.fixture.patience() }).await;
    let reboot = Action::Reboot { patience: room.fixture.patience() };
    let again = room.hypervisor.act(spec.uuid, reboot, Attempt::Again).await;
    assert_eq!(done(again, "a later attempt to reboot, of which the first saw it off").state, State::Running);
    room.writes(spec.uuid, written).await;
}

pub(super) async fn a_reset_starts_the_guest_over(room: &Room) {
    let spec = room.with_guest("vm", GuestKind::Silent).await;
    room.booted(&spec).await;
    let written = room.console_size(spec.uuid).await;
    assert_eq!(room.act(spec.uuid, Action::Reset).await.state, State::Running);
    room.writes(spec.uuid, written).await;
    room.act(spec.uuid, Action::Suspend).await;
    assert_eq!(room.act(spec.uuid, Action::Reset).await.state, State::Paused, "a reset let it go");
}

pub(super) async fn without_its_disk_a_domain_stays_off(room: &Room) {
    let path = room.path("root");
    let spec = room.with_root("vm", path.clone(), CacheMode::Writeback);
    room.define(&spec).await;
    for (action, attempt) in
        [(START, Attempt::First), (START_PAUSED, Attempt::First), (START, Attempt::Again)]
    {
        let started = room.hypervisor.act(spec.uuid, action, attempt).await;
        names(&refused(started, Kind::NotFound, "starting without the root disk"), &path);
        assert_eq!(room.domain(spec.uuid).await.state, State::Shutoff);
    }
    room.fixture.guest(&path, GuestKind::Answering).await;
    assert_eq!(room.act(spec.uuid, START).await.state, State::Running);
}

pub(super) async fn vnc_is_spoken_while_the_domain_is_active(room: &Room) {
    let spec = room.bare("vm");
    assert_eq!(room.define(&spec).await.vnc_socket, None);
    let socket = room.act(spec.uuid, START_PAUSED).await.vnc_socket;
    assert!(socket.as_ref().is_some_and(|socket| socket.is_absolute()), "the socket is {socket:?}");
    assert_eq!(room.act(spec.uuid, Action::Resume).await.vnc_socket, socket);
    assert_eq!(room.act(spec.uuid, Action::Destroy).await.vnc_socket, None);
}

pub(super) async fn domains_start_beside_each_other(room: &Room) {
    let specs = [room.bare("a"), room.bare("b"), room.bare("c")];
    for spec in &specs {
        room.define(spec).await;
    }
    let [a, b, c] = &specs;
    let start = |uuid| room.act(uuid, START);
    let started = tokio::join!(start(a.uuid), start(b.uuid), start(c.uuid));
    for (domain, spec) in [started.0, started.1, started.2].iter().zip(&specs) {
        assert_eq!((&domain.name, domain.state), (&spec.name, State::Running));
    }
    room.act(b.uuid, Action::Destroy).await;
    let states = [room.domain(a.uuid).await.state, room.domain(c.uuid).await.state];
    assert_eq!(states, [State::Running; 2], "another domain was destroyed");
}

pub(super) async fn a_call_that_is_given_up_keeps_nobody_waiting(room: &Room) {
    let spec = room.with_guest("vm", GuestKind::Silent).await;
    room.booted(&spec).await;
    for action in [Action::Shutdown { patience: LONG }, Action::Reboot { patience: LONG }] {
        let pressed = room.hypervisor.act(spec.uuid, action, Attempt::First);
        // A hypervisor that knows at once that the guest will not answer may say so.
        if let Ok(answered) = tokio::time::timeout(SHORT, pressed).await {
            refused(answered, Kind::GuestSilent, &format!("{action:?} of a silent guest"));
        }
        assert_eq!(room.domain(spec.uuid).await.state, State::Running);
    }
    assert_eq!(room.act(spec.uuid, Action::Destroy).await.state, State::Shutoff);
    assert_eq!(room.act(spec.uuid, START).await.state, State::Running);
}
