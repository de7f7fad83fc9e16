//! Settings and events.

use http_body_util::BodyExt;
use hyper::Method;
use serde_json::{Value, json};
use server::cli::Role;

use crate::support::{Host, Running, request};

async fn setting(running: &Running, token: &str, method: Method, value: Value) -> (u16, Value) {
    let answer = running.ask(token, method, "/api/v1/config/vm.shutdownPatience", &value).await;
    (answer.status.as_u16(), answer.json())
}

#[tokio::test]
async fn a_setting_is_set_and_reset_and_remembers_by_whom() {
    let host = Host::new(Role::Server);
    let running = host.start().await;
    let token = running.token().await;
    let (_, first) = setting(&running, &token, Method::GET, Value::Null).await;
    assert_eq!(
        (&first["value"], &first["default"], &first["is_default"]),
        (&json!("90s"), &json!("90s"), &json!(true))
    );
    assert_eq!((&first["category"], &first["type"]), (&json!("vm"), &json!("duration")));
    assert_eq!(first["takes_effect"], "with the next shutdown or reboot");

    let (status, refused) = setting(&running, &token, Method::PUT, json!({"value": "soon"})).await;
    assert_eq!((status, &refused["code"]), (422, &json!("invalid")));
    assert_eq!(refused["next"], "give 1s to 1h, as a number and one of `s`, `m`, `h`, `d`");
    let (status, set) = setting(&running, &token, Method::PUT, json!({"value": "5m"})).await;
    assert_eq!((status, &set["value"], &set["is_default"]), (200, &json!("5m"), &json!(false)));
    let (_, reset) = setting(&running, &token, Method::DELETE, Value::Null).await;
    assert_eq!(reset["value"], "90s");

    let history = running.get_as(&token, "/api/v1/config/vm.shutdownPatience/history").await.json();
    let changes = history["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 2);
    assert_eq!(
        (&changes[0]["from"], &changes[0]["to"], &changes[0]["who"]),
        (&json!("5m"), &json!("90s"), &json!("admin"))
    );

    let all = running.get_as(&token, "/api/v1/config").await.json();
    let keys: Vec<_> = all["settings"].as_array().unwrap().iter().map(|setting| &setting["key"]).collect();
    assert_eq!(keys, ["task.agentPatience", "task.retention", "vm.shutdownPatience"]);
    let unknown = running.get_as(&token, "/api/v1/config/vm.nothing").await;
    assert_eq!(unknown.error(), (404, "not_found".into()));
    running.stop().await;
}

#[tokio::test]
async fn changes_arrive_as_events() {
    let host = Host::new(Role::Server);
    let running = host.start().await;
    let token = running.token().await;
    let mut events = running.open(request(Method::GET, "/api/v1/events", Some(&token), "")).await;
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    let mut next = async || {
        let frame = events.body_mut().frame().await.unwrap().unwrap();
        String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
    };
    assert_eq!(next().await, "event: list\ndata: {}\n\n");
    running.post(&token, "/api/v1/tokens", &json!({"name": "ci"})).await;
    let event = next().await;
    assert!(event.starts_with("event: changed\ndata: {\"kind\":\"token\",\"id\":\""), "{event}");
    // A follower does not keep the server from stopping.
    running.stop().await;
}

#[tokio::test]
async fn who_is_not_in_any_more_hears_of_nothing() {
    let host = Host::new(Role::Server);
    let running = host.start().await;
    let token = running.token().await;
    let made = running.post(&token, "/api/v1/tokens", &json!({"name": "ci"})).await.json();
    let short = running.token().await;
    for (bearer, method, path) in [
        (made["secret"].as_str().unwrap(), Method::DELETE, "/api/v1/tokens/ci"),
        (short.as_str(), Method::POST, "/api/v1/logout"),
    ] {
        let mut events = running.open(request(Method::GET, "/api/v1/events", Some(bearer), "")).await;
        events.body_mut().frame().await.unwrap().unwrap();
        let who = if method == Method::POST { bearer } else { &token };
        running.ask(who, method.clone(), path, &serde_json::Value::Null).await;
        running.post(&token, "/api/v1/tokens", &json!({"name": method.as_str()})).await;
        assert!(events.body_mut().frame().await.is_none(), "{path}");
    }
    running.stop().await;
}
