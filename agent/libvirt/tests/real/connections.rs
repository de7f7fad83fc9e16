//! Opening and closing connections, and signs of life on them.

use super::room::{Host, root, shown_in, within};
use agent_libvirt::{
    ConnectError, Connection, Direction, End, Error, Keepalive, Options, Procedure, SeenFrame,
};
use std::time::Duration;

/// How many clients the daemon has, by its own administration; this one is of its other server.
fn clients(host: &Host<'_>) -> usize {
    host.sh("virt-admin --quiet client-list libvirtd | grep -c unix || true", []).parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_comes_and_goes() {
    let root = root();
    let host = Host::start(&root, &[]);
    assert_eq!(clients(&host), 0);
    let connection = host.connect().await;
    assert_eq!(clients(&host), 1);
    assert!(connection.path().ends_with("run/libvirt/libvirt-sock"), "{:?}", connection.path());
    host.shown(&[Procedure::AuthList, Procedure::ConnectOpen]);

    let another = connection.clone();
    // This waits until libvirt has closed the connection, which it would not do for anything else.
    connection.close().await.unwrap();
    assert!(matches!(another.end(), Some(End::Closed)));
    assert!(matches!(another.hostname().await, Err(Error::NotSent { why: End::Closed })));
    host.sh("until [ $(virt-admin -q client-list libvirtd | grep -c unix) = 0 ]; do sleep 0.05; done", []);
    host.shown(&[Procedure::ConnectClose]);

    drop(host.connect().await);
    host.sh("until [ $(virt-admin -q client-list libvirtd | grep -c unix) = 0 ]; do sleep 0.05; done", []);

    let uri = Options { uri: "qemu:///nowhere".to_owned(), ..host.options() };
    let error = Connection::open(&uri).await.unwrap_err();
    let Error::Connect(inner) = &error else { panic!("{error}") };
    let ConnectError::Uri { uri, why: Error::Remote(why) } = &**inner else { panic!("{error}") };
    assert_eq!(uri, "qemu:///nowhere");
    // virsh opens it as we do, and is told the same.
    let virsh = host.sh("virsh -c qemu:///nowhere hostname 2>&1 || true", []);
    assert!(virsh.contains(&why.message), "{error} in {virsh}");
}

#[tokio::test(flavor = "multi_thread")]
async fn authentication_is_refused_with_its_remedy() {
    let root = root();
    root.write("/etc/libvirt/libvirtd.conf", 0o600, "auth_unix_rw = \"sasl\"\n").unwrap();
    let room = root.room(&[]).expect("room");
    let sh =
        |script| room.run(xtask_testbed::Invocation::sh(script)).expect("run").checked().expect("script");
    // It goes into the background once it listens.
    sh("libvirtd --daemon && [ -S /run/libvirt/libvirt-sock ]");
    assert!(!room.run(["virsh", "version"]).expect("run").success(), "virsh is refused too");
    let sockets = vec![room.path().join("run/libvirt/libvirt-sock")];
    let error = within(Connection::open(&Options { sockets, ..Options::default() })).await.unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("wants authentication `sasl`") && said.contains("auth_unix_rw = \"none\""),
        "{said}"
    );
}

fn seen(frames: &[SeenFrame], direction: Direction, procedure: Procedure) -> bool {
    frames.iter().any(|frame| frame.direction == direction && frame.known() == Some(procedure))
}

#[tokio::test(flavor = "multi_thread")]
async fn between_two_calls_nothing_but_signs_of_life_travels() {
    let root = root();
    // libvirt asks us too.
    root.write("/etc/libvirt/libvirtd.conf", 0o600, "keepalive_interval = 1\n").unwrap();
    let host = Host::start(&root, &[]);
    // Whoever hears the other does not ask: first we are the impatient ones, then libvirt.
    for (interval_ms, asks, answers) in
        [(100, Direction::Out, Direction::In), (60_000, Direction::In, Direction::Out)]
    {
        let keepalive = Keepalive { interval: Duration::from_millis(interval_ms), count: 100 };
        let options = Options { keepalive: Some(keepalive), ..host.options() };
        let connection = within(Connection::open(&options)).await.unwrap();
        host.shown(&[Procedure::ConnectSupportsFeature]);
        let mut frames = Vec::new();
        within(async {
            let wanted = [(asks, Procedure::KeepalivePing), (answers, Procedure::KeepalivePong)];
            while !wanted.iter().all(|&(direction, procedure)| seen(&frames, direction, procedure)) {
                frames.extend(host.more_frames().await);
            }
        })
        .await;
        assert!(frames.iter().all(SeenFrame::is_keepalive), "{frames:?}");
        match answers {
            Direction::In => shown_in(&frames, &[Procedure::KeepalivePong]),
            Direction::Out => shown_in(&frames, &[Procedure::KeepalivePing]),
        }
        assert_eq!(host.virsh(["hostname"]), connection.hostname().await.unwrap());
        host.frames();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_calls_and_half_of_them_given_up() {
    let root = root();
    let host = Host::start(&root, &[]);
    let connection = host.connect().await;
    let name = host.virsh(["hostname"]);
    let callers: Vec<_> = (0..1000)
        .map(|number| {
            let connection = connection.clone();
            (number, tokio::spawn(async move { connection.hostname().await }))
        })
        .collect();
    for (number, caller) in callers {
        if number % 2 == 0 {
            caller.abort();
        } else {
            assert_eq!(within(caller).await.expect("a caller").unwrap(), name);
        }
    }
    // Turns are taken in order: behind this one, nothing is left.
    within(async {
        while connection.open_calls_and_streams() != (0, 0) {
            connection.hostname().await.unwrap();
        }
    })
    .await;
}
