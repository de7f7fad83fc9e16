//! The audit log: who did what, from where, and what came of it; and that it holds no secret.

use hyper::Method;
use serde_json::{Value, json};
use server::cli::Role;
use server::store::{self, now_ms};

use crate::support::{Host, PASSWORD, Running, request, until};

/// What each entry says, the oldest first.
async fn log(running: &Running, session: &str) -> Vec<[String; 4]> {
    let reply = running.get_as(session, "/api/v1/audit?limit=1000").await.json();
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap().to_owned();
    let entries = reply["entries"].as_array().unwrap().iter().rev();
    entries.map(|entry| ["who", "action", "subject", "outcome"].map(|field| text(entry, field))).collect()
}

fn words(entries: &[[&str; 4]]) -> Vec<[String; 4]> {
    entries.iter().map(|entry| entry.map(str::to_owned)).collect()
}

#[tokio::test]
async fn what_is_done_is_noted_with_who_and_what_came_of_it() {
    let host = Host::new(Role::Server);
    let running = host.start().await;
    running.login("admin", "wrong horse").await;
    running.login("tYpEd-pAsSwOrD", PASSWORD).await;
    let session = running.token().await;
    let made = running.post(&session, "/api/v1/tokens", &json!({"name": "ci"})).await.json();
    let secret = made["secret"].as_str().unwrap();
    let value = json!({"value": "10m"});
    running.ask(secret, Method::PUT, "/api/v1/config/task.agentPatience", &value).await;
    let several = json!({"values": {"vm.shutdownPatience": "1m", "task.agentPatience": "5m"}});
    running.ask(secret, Method::PUT, "/api/v1/config", &several).await;
    running.ask(&session, Method::DELETE, "/api/v1/vms/web", &Value::Null).await;
    let join =
        running.post(&session, "/api/v1/hosts/tokens", &json!({"server": "cloud.example"})).await.json();
    // Whoever is not in could fill it: not noted.
    running.send(request(Method::POST, "/api/v1/vms", None, "{}")).await;
    running.send(request(Method::POST, "/api/v1/nothing", Some(&session), "{}")).await;
    running.get_as(&session, "/api/v1/hosts").await;

    let found = log(&running, &session).await;
    assert_eq!(
        found,
        words(&[
            ["admin", "login", "", "bad_credentials"],
            ["unknown", "login", "", "bad_credentials"],
            ["admin", "login", "", "ok"],
            ["admin", "token create", "ci", "ok"],
            ["token ci", "config set", "task.agentPatience", "ok"],
            ["token ci", "config set", "task.agentPatience vm.shutdownPatience", "ok"],
            ["admin", "vm delete", "web", "not_found"],
            ["admin", "host token", "", "ok"],
        ])
    );
    let reply = running.get_as(&session, "/api/v1/audit?limit=2").await.json();
    let newest = &reply["entries"][0];
    assert_eq!(newest["address"], "127.0.0.1");
    assert!(newest["at_ms"].as_i64().unwrap() <= now_ms());
    let older = format!("/api/v1/audit?limit=1&before={}", newest["id"].as_str().unwrap());
    let older = running.get_as(&session, &older).await.json();
    assert_eq!(older["entries"][0], reply["entries"][1]);
    let wrong = running.get_as(&session, "/api/v1/audit?limit=0").await;
    assert_eq!(wrong.error(), (422, "invalid".into()));

    running.stop().await;
    let database = std::fs::read(host.layout.database()).unwrap();
    let token = join["token"].as_str().unwrap();
    for hidden in [PASSWORD, "wrong horse", "tYpEd-pAsSwOrD", session.as_str(), secret, token] {
        assert!(!database.windows(hidden.len()).any(|window| window == hidden.as_bytes()), "{hidden}");
    }
}

#[tokio::test]
async fn who_guesses_is_noted_and_cannot_fill_it() {
    let host = Host::new(Role::Server);
    let running = host.start().await;
    let session = running.token().await;
    for _ in 0..20 {
        running.login("admin", "wrong horse").await;
    }
    assert_eq!(log(&running, &session).await.len(), 6);
    let stranger = uuid::Uuid::new_v4();
    let guess = json!({
        "token": stranger, "secret": "A".repeat(43), "signing_request": "", "host_name": "x", "agent_port": 7070
    });
    for _ in 0..20 {
        running.send(request(Method::POST, agent_protocol::join::PATH, None, &guess.to_string())).await;
    }
    // Whoever guesses does not wait for the entry.
    until(async || log(&running, &session).await.len() == 11).await;
    let last = log(&running, &session).await.pop().unwrap();
    assert_eq!(last, [format!("join token {stranger}"), "host join".into(), String::new(), "unknown".into()]);
    running.stop().await;
}

#[tokio::test]
async fn it_goes_back_for_so_long_and_no_further() {
    let host = Host::new(Role::Server);
    let running = host.start().await;
    let entry = |number: i64| store::audit::Entry {
        at_ms: number,
        ..store::audit::Entry::new("admin", "vm start", &number.to_string(), "accepted")
    };
    let mut db = running.cloud.store.write().await.unwrap();
    for number in 0..10 {
        store::audit::insert(&mut db, &entry(number)).await.unwrap();
    }
    store::audit::forget(&mut db, 2, 5).await.unwrap();
    let left = store::audit::page(&mut db, None, 100).await.unwrap();
    assert_eq!(left.iter().map(|entry| entry.at_ms).collect::<Vec<_>>(), [9, 8, 7, 6, 5]);
    store::audit::forget(&mut db, 8, 5).await.unwrap();
    assert_eq!(store::audit::page(&mut db, None, 100).await.unwrap().len(), 2);
    drop(db);
    running.stop().await;
}

#[tokio::test]
async fn a_session_outlives_the_server_and_not_the_password() {
    let host = Host::new(Role::Server);
    let running = host.start().await;
    let (session, left) = (running.token().await, running.token().await);
    running.send(request(Method::POST, "/api/v1/logout", Some(&left), "")).await;
    running.stop().await;

    let running = host.start().await;
    assert_eq!(running.get_as(&session, "/api/v1/hosts").await.status.as_u16(), 200);
    assert_eq!(running.get_as(&left, "/api/v1/hosts").await.error(), (401, "no_session".into()));
    running.stop().await;

    let cheap = argon2::Params::new(8, 1, 1, None).unwrap();
    let another =
        server::login::credential::Credential::with_params("admin", "another horse", cheap).unwrap();
    std::fs::write(host.layout.admin(), serde_json::to_string(&another).unwrap()).unwrap();
    let running = host.start().await;
    assert_eq!(running.get_as(&session, "/api/v1/hosts").await.error(), (401, "no_session".into()));
    running.stop().await;
}
