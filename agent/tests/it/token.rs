//! `cairn-agent join`, as an operator runs it.

use std::collections::HashSet;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Output, Stdio};
use std::time::Duration;

use agent::join::ask::{self, Patience};
use agent::link::State;
use agent_protocol::join::{JoinFailureCode, JoinRequest, JoinToken};
use packaging_service::tls::{self, certificate};
use rcgen::{CertificateSigningRequestParams, PublicKeyData as _};

use crate::door::{Answers, Door, HOST};
use crate::process::program;
use crate::support::Host;

/// Runs the command with the token on standard input.
async fn join(host: &Host, token: &str, more: &[&str]) -> Output {
    let mut command = program(&host.root());
    command.args(["join", "--token-file", "-"]).args(more);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let token = token.to_owned();
    let run = move || {
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(token.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

fn text(token: &JoinToken) -> String {
    token.reveal().unwrap()
}

/// The code that it ended with, and its sentence.
fn refusal(output: &Output) -> (i32, String) {
    assert!(output.stdout.is_empty(), "{output:?}");
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    (output.status.code().unwrap(), said.trim().strip_prefix("cairn-agent: ").unwrap().to_owned())
}

/// All files in the folder for certificates.
fn files(host: &Host) -> Vec<String> {
    let entries = std::fs::read_dir(host.layout.tls_folder()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn a_host_joins_with_a_token_and_its_agent_notices() {
    let (host, door) = (Host::new(), Door::open(Answers::Well, "localhost").await);
    let running = host.start();
    running.until(|state| matches!(state, State::Waiting { .. })).await;
    let output = join(&host, &(text(&door.token()) + "\n"), &[]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said, format!("joined localhost:{} as host {HOST}\n", door.address.port()));

    running.address().await;
    assert_eq!(files(&host), ["agent.key", "agent.pem", "ca.pem"]);
    let mode = |name| host.layout.tls(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("agent.key"), mode("agent.pem")), (0o600, 0o644));
    let chain = tls::certificates(&host.layout.tls("agent.pem")).unwrap();
    assert_eq!(certificate::facts(&chain[0]).unwrap().names, [HOST.to_string()]);
    let request = door.requests.lock().unwrap().remove(0);
    assert_eq!((request.token, request.secret.0, request.agent_port), (door.token().id, [0x5e; 32], 7070));
    running.stop().await;
}

#[tokio::test]
async fn a_token_comes_from_a_file_or_a_variable_too_and_never_from_an_argument() {
    let (host, door) = (Host::new(), Door::open(Answers::Well, "localhost").await);
    let file = host.root().join("token");
    std::fs::write(&file, text(&door.token())).unwrap();
    let run = async |mut command: std::process::Command| {
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    };
    let mut command = program(&host.root());
    command.arg("join").arg("--token-file").arg(&file);
    assert_eq!(run(command).await.status.code(), Some(0));

    let other = Host::new();
    let mut command = program(&other.root());
    command.arg("join").env("CAIRN_JOIN_TOKEN", text(&door.token()));
    assert_eq!(run(command).await.status.code(), Some(0));

    let mut command = program(&Host::new().root());
    command.args(["join", &text(&door.token())]);
    assert_eq!(run(command).await.status.code(), Some(1));
    let mut command = program(&Host::new().root());
    command.arg("join");
    let (code, said) = refusal(&run(command).await);
    assert!(code == 1 && said.contains("no token given") && said.contains("--token-file"), "{said}");
}

#[tokio::test]
async fn every_refusal_of_the_server_has_its_sentence() {
    let server = "the server at `localhost:";
    for (code, sentence) in [
        (JoinFailureCode::Used, "with this token before; make a new token there"),
        (JoinFailureCode::Expired, "it has expired; make a new one there"),
        (JoinFailureCode::Unknown, "does not know this token; make one there"),
        (JoinFailureCode::Request, "refuses: it wants another name; rename it"),
    ] {
        let (host, door) = (Host::new(), Door::open(Answers::No(code), "localhost").await);
        let (exit, said) = refusal(&join(&host, &text(&door.token()), &[]).await);
        assert!(exit == 8 && said.contains(server) && said.contains(sentence), "{code:?}: {exit} {said}");
        assert!(files(&host).is_empty());
    }
    let (host, door) = (Host::new(), Door::open(Answers::Nonsense, "localhost").await);
    let (exit, said) = refusal(&join(&host, &text(&door.token()), &[]).await);
    assert!(exit == 7 && said.contains("answers with something else: status 502"), "{said}");
}

#[tokio::test]
async fn another_server_learns_nothing() {
    let (host, door) = (Host::new(), Door::open(Answers::Well, "localhost").await);
    let other = Door::open(Answers::Well, "localhost").await;
    let token = JoinToken { port: other.address.port(), ..door.token() };
    let (exit, said) = refusal(&join(&host, &text(&token), &[]).await);
    assert!(exit == 8 && said.contains("is not the one that made this token"), "{said}");

    let named = Door::open(Answers::Well, "cloud.example.org").await;
    let (exit, said) = refusal(&join(&host, &text(&named.token()), &[]).await);
    assert!(exit == 8 && said.contains("does not prove who it is"), "{said}");
    assert!(other.requests.lock().unwrap().is_empty() && named.requests.lock().unwrap().is_empty());

    // Bound and never listening: nobody else can take the port.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let token =
        JoinToken { host: "127.0.0.1".to_owned(), port: socket.local_addr().unwrap().port(), ..door.token() };
    let (exit, said) = refusal(&join(&host, &text(&token), &[]).await);
    assert!(exit == 7 && said.contains("cannot be reached: no connection"), "{said}");
    assert!(files(&host).is_empty());
}

#[tokio::test]
async fn a_hostile_answer_changes_nothing() {
    for (answers, complaint) in [
        (Answers::AnotherKey, "its certificate is for another key"),
        (Answers::AnotherSigner, "its certificate does not hold"),
        (Answers::AnotherAuthority, "it comes with another authority"),
        (Answers::AlsoForClients, "its certificate is for clients, too"),
        (Answers::AnotherHost, "its certificate does not hold"),
    ] {
        let (host, door) = (Host::new(), Door::open(answers, "localhost").await);
        let (exit, said) = refusal(&join(&host, &text(&door.token()), &[]).await);
        assert!(
            exit == 8 && said.contains(complaint) && said.contains("nothing was changed"),
            "{answers:?}: {said}"
        );
        assert!(files(&host).is_empty());
    }
}

#[tokio::test]
async fn a_text_that_is_no_token_is_not_repeated() {
    let (host, door) = (Host::new(), Door::open(Answers::Well, "localhost").await);
    let token = text(&door.token());
    let cut = &token[..token.len() - 3];
    for (wrong, sentence) in [
        ("hello", "this is no token"),
        ("", "this is no token"),
        (cut, "is damaged"),
        ("cairn7_x", "another version"),
    ] {
        let (exit, said) = refusal(&join(&host, wrong, &[]).await);
        assert!(exit == 1 && said.contains(sentence) && !said.contains("IPtn"), "{wrong}: {said}");
    }
    assert!(door.requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn who_has_joined_joins_no_other_by_accident() {
    let (host, door) = (Host::joined(), Door::open(Answers::Well, "localhost").await);
    let before = std::fs::read(host.layout.tls("agent.pem")).unwrap();
    let (exit, said) = refusal(&join(&host, &text(&door.token()), &[]).await);
    assert!(exit == 8 && said.contains("`--replace`"), "{said}");
    assert_eq!(std::fs::read(host.layout.tls("agent.pem")).unwrap(), before);
    assert!(door.requests.lock().unwrap().is_empty(), "the token must not be spent");
    assert_eq!(join(&host, &text(&door.token()), &["--replace"]).await.status.code(), Some(0));
    assert_ne!(std::fs::read(host.layout.tls("agent.pem")).unwrap(), before);

    // The authority of a server's own must not be overwritten with another's.
    std::fs::write(host.layout.tls("ca.key"), "its own").unwrap();
    let (exit, said) = refusal(&join(&host, &text(&door.token()), &["--replace"]).await);
    assert!(exit == 8 && said.contains("ca.key") && said.contains("is a server"), "{said}");
}

/// The public key that was shown with a request.
fn key(request: &JoinRequest) -> Vec<u8> {
    let read = CertificateSigningRequestParams::from_pem(&request.signing_request).unwrap();
    read.public_key.subject_public_key_info()
}

#[tokio::test]
async fn an_attempt_whose_answer_was_lost_is_repeated_with_the_same_key() {
    let (host, door) = (Host::new(), Door::open(Answers::Never, "localhost").await);
    let token = text(&door.token());
    let mut command = program(&host.root());
    command.args(["join"]).env("CAIRN_JOIN_TOKEN", &token).stdout(Stdio::null()).stderr(Stdio::null());
    // Killed while the server answers.
    let mut child = command.spawn().unwrap();
    while door.requests.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let staged = format!(".asked-{}.key", door.token().id);
    assert_eq!(files(&host).join(" "), staged);
    assert_eq!(host.layout.tls(&staged).metadata().unwrap().permissions().mode() & 0o777, 0o600);

    // Neither an answer that is none nor a server that does not answer is the end of it.
    door.answer(Answers::Nonsense);
    assert_eq!(join(&host, &token, &[]).await.status.code(), Some(7));
    let closed = tokio::net::TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let away = JoinToken { port: closed.local_addr().unwrap().port(), ..door.token() };
    assert_eq!(join(&host, &text(&away), &[]).await.status.code(), Some(7));
    door.answer(Answers::No(JoinFailureCode::Request));
    assert_eq!(join(&host, &token, &[]).await.status.code(), Some(8));
    door.answer(Answers::Well);
    assert_eq!(join(&host, &token, &[]).await.status.code(), Some(0));
    let keys: HashSet<_> = door.requests.lock().unwrap().iter().map(key).collect();
    assert_eq!(keys.len(), 1);
    assert_eq!(files(&host), ["agent.key", "agent.pem", "ca.pem"]);

    // Killed before it was cleared up: whoever comes next does so, and keeps what belongs to another token.
    std::fs::copy(host.layout.tls("agent.key"), host.layout.tls(&staged)).unwrap();
    std::fs::write(host.layout.tls(".asked-other.key"), "another").unwrap();
    assert!(refusal(&join(&host, &token, &[]).await).1.contains("has joined a server already"));
    assert_eq!(files(&host), [".asked-other.key", "agent.key", "agent.pem", "ca.pem"]);
    // Another token makes an end of it, and so does an answer after which there is no other.
    door.answer(Answers::No(JoinFailureCode::Used));
    assert!(refusal(&join(&host, &token, &["--replace"]).await).1.contains("with this token before"));
    assert_eq!(files(&host), ["agent.key", "agent.pem", "ca.pem"]);
}

#[tokio::test]
async fn an_address_that_swallows_everything_does_not_keep_the_next_from_being_tried() {
    let door = Door::open(Answers::Well, "localhost").await;
    // The kernel accepts for it, and nobody ever says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().map(|address| (silent, address)).unwrap();
    let never = Duration::from_secs(100_000);
    let patience = Patience { each: Duration::from_millis(1), whole: never };
    ask::connect(&door.token(), &[silent.1, silent.1, door.address], patience).await.unwrap();
    let patience = Patience { each: never, whole: Duration::from_millis(1) };
    let error = ask::connect(&door.token(), &[silent.1], patience).await.unwrap_err().to_string();
    assert!(error.contains(&format!("no answer from `{}` within ", silent.1)), "{error}");
}

#[tokio::test]
async fn what_a_killed_attempt_left_is_forgotten_or_finished() {
    let (host, done, door) = (Host::new(), Host::joined(), Door::open(Answers::Well, "localhost").await);
    let refusing = Door::open(Answers::No(JoinFailureCode::Unknown), "localhost").await;
    let folder = |name: &str, files: &[&str]| {
        std::fs::create_dir(host.layout.tls(name)).unwrap();
        for file in files {
            std::fs::copy(done.layout.tls(file), host.layout.tls(name).join(file)).unwrap();
        }
    };
    // Killed while writing: nothing of it counts.
    folder(".joining", &["ca.pem", "agent.key"]);
    let running = host.start();
    running.until(|state| matches!(state, State::Waiting { .. })).await;
    let (exit, _) = refusal(&join(&host, &text(&refusing.token()), &[]).await);
    assert!(exit == 8 && files(&host).is_empty());
    // Killed while moving: whoever looks next finishes it, here the agent.
    std::fs::copy(done.layout.tls("ca.pem"), host.layout.tls("ca.pem")).unwrap();
    folder(".joined.part", &["agent.key", "agent.pem"]);
    std::fs::rename(host.layout.tls(".joined.part"), host.layout.tls(".joined")).unwrap();
    running.address().await;
    assert_eq!(files(&host), ["agent.key", "agent.pem", "ca.pem"]);
    let (_, said) = refusal(&join(&host, &text(&door.token()), &[]).await);
    assert!(said.contains("has joined a server already"), "{said}");
    running.stop().await;
}
