//! Finding a socket, and finding out that it is not libvirt's.

use super::daemon::{Fake, KEEPALIVE, REMOTE, words};
use agent_libvirt::{ConnectError, Connection, Error, Keepalive, Options};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Duration;

async fn refused(options: &Options) -> String {
    let error = Connection::open(options).await.expect_err("refused");
    assert!(matches!(error, Error::Connect(_)));
    error.to_string()
}

#[tokio::test]
async fn the_first_socket_that_answers_is_taken() {
    let fake = Fake::new();
    let dead = fake.folder.path().join("dead");
    drop(UnixListener::bind(&dead).expect("socket"));
    let absent = fake.folder.path().join("absent");
    let options = Options { sockets: vec![absent.clone(), dead.clone(), fake.path()], ..fake.options() };
    let (connection, _peer) = fake.connected(&options).await;
    assert_eq!(connection.path(), fake.path());

    let said = refused(&Options { sockets: vec![absent.clone()], ..fake.options() }).await;
    let path = absent.display();
    assert!(
        said.starts_with(&format!("cannot find libvirt's socket at `{path}`; install libvirt")),
        "{said}"
    );
    let said = refused(&Options { sockets: vec![absent, dead.clone()], ..fake.options() }).await;
    assert!(
        said.starts_with(&format!("nothing listens on libvirt's socket `{}`; start", dead.display())),
        "{said}"
    );
    let file = fake.folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let said = refused(&Options { sockets: vec![file.join("below")], ..fake.options() }).await;
    assert!(said.contains("cannot open") && said.contains("; run as the superuser"), "{said}");
}

#[tokio::test]
async fn modular_comes_before_monolithic() {
    let sockets: Vec<PathBuf> = Options::default().sockets;
    let names: Vec<_> = sockets.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    assert_eq!(names, ["/run/libvirt/virtqemud-sock", "/run/libvirt/libvirt-sock"]);
}

#[tokio::test]
async fn what_is_not_libvirt_is_told_so() {
    let fake = Fake::new();
    let options = fake.options();
    let (said, ()) = tokio::join!(refused(&options), async {
        let mut peer = fake.accept().await;
        peer.read().await;
        peer.write_bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    });
    assert!(said.contains("is not libvirt: what came is not libvirt's protocol"), "{said}");
    let (said, ()) = tokio::join!(refused(&options), async { drop(fake.accept().await) });
    // A daemon that stops, or that has clients enough, is one all the same.
    assert!(said.contains("ended while it was being opened: libvirt closed it"), "{said}");
    assert!(said.contains("`max_clients`") && !said.contains("not libvirt"), "{said}");
}

#[tokio::test]
async fn a_daemon_that_starts_is_asked_for_signs_of_life_only_once_it_is_open() {
    let fake = Fake::new();
    let keepalive = Keepalive { interval: Duration::from_millis(1), count: 1000 };
    let options = Options { keepalive: Some(keepalive), ..fake.options() };
    let (connection, ping) = tokio::join!(Connection::open(&options), async {
        let mut peer = fake.accept().await;
        for reply in [words(&[1, 0]), words(&[1]), Vec::new()] {
            let call = peer.read().await;
            assert_eq!(call.program, REMOTE, "it is not asked whether it lives");
            let early = tokio::time::timeout(Duration::from_millis(30), peer.read_or_end()).await;
            assert!(early.is_err(), "nothing comes while it thinks: {early:?}");
            peer.write(&call.reply(reply)).await;
        }
        peer.read().await
    });
    connection.expect("a connection");
    assert_eq!((ping.program, ping.procedure), (KEEPALIVE, 1));
}

#[tokio::test]
async fn a_socket_that_says_nothing_is_not_waited_for_for_ever() {
    let fake = Fake::new();
    let options = Options { open_timeout: Duration::from_millis(50), ..fake.options() };
    let (said, mut peer) = tokio::join!(refused(&options), fake.accept());
    assert!(said.contains("gave no answer within 50 ms; restart libvirt's daemon"), "{said}");
    // And the connection is given up.
    while peer.read_or_end().await.is_some() {}
}

#[tokio::test]
async fn a_daemon_that_wants_a_password_is_told_with_the_remedy() {
    let fake = Fake::new();
    let options = fake.options();
    let open = async || {
        let (error, mut peer) = tokio::join!(Connection::open(&options), async {
            let mut peer = fake.accept().await;
            let call = peer.call(66).await;
            peer.write(&call.reply(words(&[3, 1, 2, 9]))).await;
            peer
        });
        assert_eq!(peer.read_or_end().await, None, "nothing more is tried");
        error.unwrap_err()
    };
    let Error::Connect(error) = open().await else { panic!("another error") };
    let ConnectError::Authentication { types, .. } = &*error else { panic!("{error}") };
    assert_eq!(types, &["sasl", "polkit", "number 9"]);
}
