//! The packed file that a host is given before it joins: which one, to whom, and what is said where there is none.

use hyper::{Method, header};
use serde_json::{Value, json};
use server::cli::Role;
use sha2::{Digest, Sha256};

use crate::support::{Host, Running, request};

const FILE: &str = "/var/lib/cairn/archives/0.9.run";

/// As the control tool leaves it.
fn install(host: &Host, content: &[u8]) {
    let path = host.root.path().join(FILE.trim_start_matches('/'));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
    let receipt = json!({"format": 1, "version": "0.9", "archive": FILE});
    std::fs::write(host.layout.receipt(), receipt.to_string()).unwrap();
}

async fn add(running: &Running, session: &str) -> Value {
    let asked = json!({"server": format!("192.0.2.1:{}", running.address.port())});
    running.post(session, "/api/v1/hosts/tokens", &asked).await.json()
}

/// The path in the command's address.
fn place(command: &str) -> String {
    let (_, rest) = command.split_once("https://192.0.2.1:").unwrap();
    let rest = &rest[rest.find('/').unwrap()..];
    rest[..rest.find('\'').unwrap()].to_owned()
}

#[tokio::test]
async fn a_host_with_a_token_gets_the_file_that_this_server_was_installed_from() {
    let host = Host::new(Role::Server);
    let content: Vec<u8> = (0..700_000_u32).map(|number| (number % 251) as u8).collect();
    install(&host, &content);
    let running = host.start().await;
    let session = running.token().await;
    let made = add(&running, &session).await;
    let command = made["command"].as_str().unwrap();
    let sha256 = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let token = made["token"].as_str().unwrap();
    assert!(
        command.contains(&format!("cairn.run SHA256:{sha256} && sh cairn.run install --role agent --yes"))
    );
    assert_eq!(command.matches(token).count(), 1, "{command}");
    assert!(!command.contains('\n') && !command.contains("  "), "{command}");

    let place = place(command);
    assert!(!place.contains(token), "{place}");
    let whole = running.get(&place).await;
    assert_eq!((whole.status.as_u16(), whole.header("content-length")), (200, "700000"));
    assert!(whole.body == content);
    let rest = |range: &str, known: &str| {
        let mut asked = request(Method::GET, &place, None, "");
        asked.headers_mut().insert(header::RANGE, range.parse().unwrap());
        if !known.is_empty() {
            asked.headers_mut().insert(header::IF_RANGE, known.parse().unwrap());
        }
        asked
    };
    let part = running.send(rest("bytes=699990-", whole.header("etag"))).await;
    assert_eq!((part.status.as_u16(), part.header("content-range")), (206, "bytes 699990-699999/700000"));
    assert_eq!(part.body[..], content[699_990..]);
    // The rest of another file is of no use, and a range that there is not neither.
    for (range, known) in [("bytes=699990-", "\"other\""), ("bytes=700000-", ""), ("bytes=-5", "")] {
        assert_eq!(running.send(rest(range, known)).await.status.as_u16(), 200, "{range}");
    }
    running.stop().await;
}

#[tokio::test]
async fn nobody_else_gets_it_and_guessing_is_slowed_down() {
    let host = Host::new(Role::Server);
    install(&host, b"packed");
    let running = host.start().await;
    let session = running.token().await;
    let good = place(add(&running, &session).await["command"].as_str().unwrap());
    let other = place(add(&running, &session).await["command"].as_str().unwrap());
    // A key belongs to its token, and to the file that it was made for.
    let (token, _) = good.rsplit_once('/').unwrap();
    let (_, key) = other.rsplit_once('/').unwrap();
    assert_eq!(running.get(&format!("{token}/{key}")).await.error(), (403, "bad_token".into()));
    install(&host, b"another");
    assert_eq!(running.get(&good).await.error(), (403, "bad_token".into()));
    install(&host, b"packed");
    assert_eq!(running.get(&good).await.status.as_u16(), 200);
    for _ in 0..5 {
        assert_eq!(running.get(&format!("{token}/{key}")).await.error().1, "bad_token");
    }
    let slowed = running.get(&good).await;
    assert!(
        slowed.error().1 == "conflict" && slowed.json()["next"].as_str().unwrap().contains("try again in")
    );
    running.stop().await;
}

#[tokio::test]
async fn a_server_without_the_file_says_why_and_what_to_do() {
    let host = Host::new(Role::Server);
    let running = host.start().await;
    let session = running.token().await;
    let why = async |part: &str| {
        let made = add(&running, &session).await;
        let why = made["no_command"].as_str().unwrap().to_owned();
        assert!(made["command"].is_null() && why.contains(part) && why.contains("; "), "{made}");
        assert!(made["command_with_file"].as_str().unwrap().starts_with("sh FILE.run install --role agent"));
    };
    why("was not installed from a packed file").await;
    install(&host, b"packed");
    std::fs::remove_file(host.root.path().join(FILE.trim_start_matches('/'))).unwrap();
    why("cannot be read").await;
    std::fs::write(host.layout.receipt(), r#"{"format":1,"version":"0.9"}"#).unwrap();
    why("without keeping its packed file").await;
    running.stop().await;
}
