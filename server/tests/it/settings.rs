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
    assert_eq!(keys, ["task.agentPatience", "task.retention", "vm.cacheMode", "vm.shutdownPatience"]);
    let unknown = running.get_as(&token, "/api/v1/config/vm.nothing").await;
    assert_eq!(unknown.error(), (404, "not_found".into()));
    assert_eq!(unknown.json()["message"], "there is no setting `vm.nothing`");
    assert_eq!(unknown.json()["next"], "list what there is: `cairn config list`");
    let misspelt = running.get_as(&token, "/api/v1/config/vm.shutdwnPatience").await;
    assert_eq!(
        misspelt.json()["next"],
        "did you mean `vm.shutdownPatience`? If not, list what there is: `cairn config list`"
    );
    running.stop().await;
}

/// Key and value of all settings.
async fn values(running: &Running, token: &str) -> Value {
    let all = running.get_as(token, "/api/v1/config").await.json();
    let all = all["settings"].as_array().unwrap().iter();
    all.map(|setting| (setting["key"].as_str().unwrap().to_owned(), setting["value"].clone())).collect()
}

#[tokio::test]
async fn several_settings_are_set_all_or_none() {
    let host = Host::new(Role::Server);
    let running = host.start().await;
    let token = running.token().await;
    let set = async |values: Value| {
        let body = json!({"values": values});
        let answer = running.ask(&token, Method::PUT, "/api/v1/config", &body).await;
        (answer.status.as_u16(), answer.json())
    };
    let (status, changed) = set(json!({"vm.shutdownPatience": "2m", "task.retention": "7d"})).await;
    let expected = json!({"changes": [
        {"key": "task.retention", "from": "30d", "to": "7d"},
        {"key": "vm.shutdownPatience", "from": "90s", "to": "2m"},
    ]});
    assert_eq!((status, changed), (200, expected));
    let now = json!({"task.agentPatience": "5m", "task.retention": "7d", "vm.cacheMode": "auto", "vm.shutdownPatience": "2m"});
    assert_eq!(values(&running, &token).await, now);

    for (wrong, status, code, message) in [
        ("vm.shutdwnPatience", 404, "not_found", "there is no setting `vm.shutdwnPatience`"),
        ("vm.shutdownPatience", 422, "invalid", "`vm.shutdownPatience` does not take `soon`"),
    ] {
        let refused = set(json!({"task.retention": "8d", wrong: "soon"})).await;
        assert_eq!((refused.0, &refused.1["code"]), (status, &json!(code)));
        assert_eq!(refused.1["message"], message);
        assert_eq!(values(&running, &token).await, now);
    }
    for malformed in [json!({}), json!({"values": {"task.retention": 7}}), json!({"values": {}, "all": true})]
    {
        let answer = running.ask(&token, Method::PUT, "/api/v1/config", &malformed).await;
        assert_eq!(answer.error(), (400, "bad_request".into()), "{malformed}");
    }

    // What is the same is no change, and what has its default again is not stored.
    let (_, changed) = set(json!({"task.retention": "7d", "vm.shutdownPatience": "90s"})).await;
    assert_eq!(changed, json!({"changes": [{"key": "vm.shutdownPatience", "from": "2m", "to": "90s"}]}));
    let setting = running.get_as(&token, "/api/v1/config/vm.shutdownPatience").await.json();
    assert_eq!(setting["is_default"], true);
    for (key, number) in [("task.retention", 1), ("vm.shutdownPatience", 2), ("task.agentPatience", 0)] {
        let history = running.get_as(&token, &format!("/api/v1/config/{key}/history")).await.json();
        let changes = history["changes"].as_array().unwrap();
        assert_eq!(changes.len(), number, "{key}");
        assert!(changes.iter().all(|change| change["who"] == "admin"), "{key}");
    }
    running.stop().await;
}

#[tokio::test]
async fn several_settings_are_set_once_however_often_they_are_sent_and_are_told_as_events() {
    let host = Host::new(Role::Server);
    let running = host.start().await;
    let token = running.token().await;
    let mut events = running.open(request(Method::GET, "/api/v1/events", Some(&token), "")).await;
    let mut next = async || {
        let frame = events.body_mut().frame().await.unwrap().unwrap();
        String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
    };
    assert_eq!(next().await, "event: list\ndata: {}\n\n");
    let send = async |values: Value| {
        let body = json!({"values": values}).to_string();
        let mut put = request(Method::PUT, "/api/v1/config", Some(&token), &body);
        put.headers_mut().insert("idempotency-key", "once".parse().unwrap());
        running.send(put).await
    };
    let values = json!({"task.retention": "7d", "vm.shutdownPatience": "2m"});
    let first = send(values.clone()).await.json();
    assert_eq!(first["changes"].as_array().unwrap().len(), 2);
    let mut told = String::new();
    while told.matches("\"kind\":\"setting\"").count() < 2 {
        told.push_str(&next().await);
    }
    running.ask(&token, Method::DELETE, "/api/v1/config/task.retention", &Value::Null).await;
    assert_eq!(send(values).await.json(), first);
    let kept = running.get_as(&token, "/api/v1/config/task.retention").await.json();
    assert_eq!(kept["value"], "30d");
    assert_eq!(send(json!({"task.retention": "8d"})).await.error(), (422, "key_reused".into()));
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

/// A script for another release goes on working, and leaves no trace of how it spells.
#[tokio::test]
async fn old_spellings_are_understood_and_never_shown() {
    const OLD: &str = "/api/v1/config/vm.CacheMode";
    let host = Host::new(Role::Server);
    let running = host.start().await;
    let token = running.token().await;
    let ask = async |method: Method, path: &str, body: Value| {
        let answer = running.ask(&token, method, path, &body).await;
        (answer.status.as_u16(), answer.json())
    };
    let (_, first) = ask(Method::GET, OLD, Value::Null).await;
    let words = ["auto", "none", "writeback", "writethrough", "directsync", "unsafe"];
    assert_eq!((&first["key"], &first["category"]), (&json!("vm.cacheMode"), &json!("kvm")));
    assert_eq!((&first["value"], &first["choices"]), (&json!("auto"), &json!(words)));
    let expected = "when a virtual machine is started or rebooted; at once for a volume that is attached";
    assert_eq!(first["takes_effect"], expected);

    for (old, word) in [("2", "writeback"), ("0", "none"), ("1", "writethrough"), ("unsafe", "unsafe")] {
        let (status, set) =
            ask(Method::PUT, OLD, json!({"value": old, "accepts_loss": old == "unsafe"})).await;
        assert_eq!((status, &set["key"], &set["value"]), (200, &json!("vm.cacheMode"), &json!(word)));
    }
    for wrong in ["3", "-1", "Writeback", ""] {
        let (status, refused) = ask(Method::PUT, OLD, json!({"value": wrong})).await;
        assert_eq!((status, &refused["code"]), (422, &json!("invalid")));
        assert_eq!(refused["message"], format!("`vm.cacheMode` does not take `{wrong}`"));
        assert_eq!(refused["next"], format!("give `{}`", words.join("`, `")));
    }
    let (_, changed) =
        ask(Method::PUT, "/api/v1/config", json!({"values": {"vm.CacheMode": "0", "task.retention": "7d"}}))
            .await;
    assert_eq!(changed["changes"][1], json!({"key": "vm.cacheMode", "from": "unsafe", "to": "none"}));
    let twice = json!({"values": {"vm.CacheMode": "0", "vm.cacheMode": "unsafe", "task.retention": "8d"}});
    let (status, refused) = ask(Method::PUT, "/api/v1/config", twice).await;
    assert_eq!((status, &refused["code"]), (422, &json!("invalid")));
    // What is the same under another name is no change.
    ask(Method::PUT, "/api/v1/config/vm.cacheMode", json!({"value": "0"})).await;
    let (status, reset) = ask(Method::DELETE, OLD, Value::Null).await;
    assert_eq!((status, &reset["value"], &reset["is_default"]), (200, &json!("auto"), &json!(true)));

    let (_, history) = ask(Method::GET, &format!("{OLD}/history"), Value::Null).await;
    assert_eq!(history, ask(Method::GET, "/api/v1/config/vm.cacheMode/history", Value::Null).await.1);
    let changes = history["changes"].as_array().unwrap().iter();
    let changes: Vec<_> =
        changes.map(|change| (change["from"].as_str().unwrap(), change["to"].as_str().unwrap())).collect();
    let expected = [
        ("none", "auto"),
        ("unsafe", "none"),
        ("writethrough", "unsafe"),
        ("none", "writethrough"),
        ("writeback", "none"),
        ("auto", "writeback"),
    ];
    assert_eq!(changes, expected);
    running.stop().await;
}
