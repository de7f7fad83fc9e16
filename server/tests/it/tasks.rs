//! Tasks: put back when they fail, cancelled, resumed by another server, repeated without harm.

use std::process::Child;
use std::task::Poll;

use agent_protocol::envelope::FailureCode;
use agent_protocol::vm::State;
use hyper::{Method, header};
use serde_json::{Value, json};
use server::cloud::Order;
use server_api::volume::VolumeRequest;

use crate::agent::Agent;
use crate::resources::Scene;
use crate::support::{Host, Remote, request, until};
use crate::vms::small;

#[tokio::test]
async fn a_task_that_fails_puts_back_what_it_did() {
    let scene = Scene::with_image().await;
    let files = scene.agent.world.files();
    scene.agent.world.refuse("vm-define", Some(FailureCode::Unsupported));
    let task = scene.running.done(&scene.token, Method::POST, "/api/v1/vms", small("web")).await;
    assert_eq!(task["state"], "failed");
    assert_eq!(
        task["error"],
        json!({
            "code": "unsupported", "message": "`vm-define` was told to refuse", "next": "tell it otherwise",
            "cause": task["error"]["cause"]
        })
    );
    let cause = task["error"]["cause"].as_str().unwrap();
    assert!(cause.starts_with("in the step `define the virtual machine`, `"), "{task}");
    assert!(cause.ends_with("refused `vm-define`"), "{task}");
    assert_eq!(scene.agent.world.files(), files);
    assert_eq!(scene.get("/api/v1/vms").await, json!({"vms": []}));
    assert_eq!(scene.get("/api/v1/volumes").await, json!({"volumes": []}));
    // The name is free again.
    scene.agent.world.refuse("vm-define", None);
    scene.succeed(Method::POST, "/api/v1/vms", small("web")).await;
    scene.running.stop().await;
}

#[tokio::test]
async fn what_somebody_else_made_is_not_removed() {
    let scene = Scene::with_image().await;
    scene.agent.world.refuse("volume-create", Some(FailureCode::Exists));
    let order = json!({"name": "data", "size_bytes": 1 << 20});
    let task = scene.running.done(&scene.token, Method::POST, "/api/v1/volumes", order).await;
    assert_eq!((&task["state"], &task["error"]["code"]), (&json!("failed"), &json!("conflict")));
    assert_eq!(scene.agent.world.orders("volume-delete"), 0);
    scene.running.stop().await;
}

#[tokio::test]
async fn what_cannot_be_put_back_stays_in_the_list_and_can_be_deleted() {
    let scene = Scene::with_image().await;
    scene.agent.world.refuse("vm-define", Some(FailureCode::Failed));
    scene.agent.world.refuse("volume-delete", Some(FailureCode::Failed));
    let mut order = small("web");
    order["data"] = json!([]);
    let task = scene.running.done(&scene.token, Method::POST, "/api/v1/vms", order).await;
    let states: Vec<_> = task["steps"].as_array().unwrap().iter().map(|step| &step["state"]).collect();
    assert_eq!(states, ["stuck", "undone"]);
    assert_eq!(scene.get("/api/v1/volumes/web-root").await["phase"], "broken");
    scene.agent.world.refuse("volume-delete", None);
    scene.succeed(Method::DELETE, "/api/v1/volumes/web-root", Value::Null).await;
    scene.running.stop().await;
}

#[tokio::test]
async fn a_cancelled_task_stops_between_steps_and_puts_back() {
    let scene = Scene::with_image().await;
    let files = scene.agent.world.files();
    scene.agent.world.hold("volume-create");
    let (_, task) = scene.post("/api/v1/vms", &small("web")).await;
    let id = task["id"].as_str().unwrap();
    scene.agent.world.until_held("volume-create").await;
    let busy = scene.refused(Method::POST, "/api/v1/vms/web/start", Value::Null).await;
    assert_eq!(busy, (409, "busy".into()));
    let (status, task) = scene.post(&format!("/api/v1/tasks/{id}/cancel"), &Value::Null).await;
    assert_eq!((status, &task["cancel_requested"]), (200, &json!(true)));
    scene.agent.world.let_go();
    let task = scene.running.ended(&scene.token, id).await;
    assert_eq!((&task["state"], &task["error"]["code"]), (&json!("cancelled"), &json!("cancelled")));
    assert_eq!(scene.agent.world.files(), files);
    assert_eq!(scene.get("/api/v1/vms").await, json!({"vms": []}));
    scene.running.stop().await;
}

#[tokio::test]
async fn the_power_is_cut_while_a_shutdown_waits_for_its_guest() {
    let scene = Scene::with_image().await;
    let mut order = small("web");
    order["start"] = true.into();
    scene.succeed(Method::POST, "/api/v1/vms", order).await;
    scene.agent.world.hold("vm-shutdown");
    let (_, waiting) = scene.post("/api/v1/vms/web/shutdown", &Value::Null).await;
    scene.agent.world.until_held("vm-shutdown").await;
    assert_eq!(scene.get("/api/v1/vms/web").await["task"]["action"], "vm_shutdown");
    scene.succeed(Method::POST, "/api/v1/vms/web/force-off", Value::Null).await;
    let waiting = scene.running.ended(&scene.token, waiting["id"].as_str().unwrap()).await;
    assert_eq!(waiting["state"], "cancelled");
    assert_eq!(scene.get("/api/v1/vms/web").await["state"], "shutoff");
    // What waited for the guest has ended at the agent, too: nothing stands in the way.
    scene.succeed(Method::POST, "/api/v1/vms/web/start", Value::Null).await;
    assert_eq!(scene.get("/api/v1/vms/web").await["state"], "running");
    scene.agent.world.let_go();
    scene.running.stop().await;
}

#[tokio::test]
async fn an_agent_that_is_at_work_is_asked_again_and_does_not_try_patience() {
    let scene = Scene::with_image().await;
    let mut order = small("web");
    order["start"] = true.into();
    scene.succeed(Method::POST, "/api/v1/vms", order).await;
    let patience = json!({"value": "1s"});
    scene.running.ask(&scene.token, Method::PUT, "/api/v1/config/task.agentPatience", &patience).await;
    scene.agent.world.hold("vm-shutdown");
    let (_, task) = scene.post("/api/v1/vms/web/shutdown", &Value::Null).await;
    until(async || scene.agent.world.waiting("vm-shutdown") == 3).await;
    // What was asked for stays the same, whatever is set meanwhile.
    let patience = json!({"value": "7s"});
    scene.running.ask(&scene.token, Method::PUT, "/api/v1/config/vm.shutdownPatience", &patience).await;
    until(async || scene.agent.world.waiting("vm-shutdown") == 5).await;
    let path = format!("/api/v1/tasks/{}", task["id"].as_str().unwrap());
    assert_eq!(scene.get(&path).await["waits_for"], Value::Null);
    scene.agent.world.let_go();
    let task = scene.running.ended(&scene.token, task["id"].as_str().unwrap()).await;
    assert_eq!(task["state"], "succeeded", "{task}");

    // An answer that is lost is asked for again, also one that may take long.
    scene.succeed(Method::POST, "/api/v1/volumes", json!({"name": "data", "size_bytes": 1 << 20})).await;
    scene.agent.world.lose("volume-delete");
    scene.succeed(Method::DELETE, "/api/v1/volumes/data", Value::Null).await;
    assert_eq!(scene.agent.world.orders("volume-delete"), 1);
    scene.running.stop().await;
}

#[tokio::test]
async fn a_machine_whose_making_fails_does_not_run_on() {
    let scene = Scene::with_image().await;
    let mut order = small("web");
    order["start"] = true.into();
    scene.agent.world.lose("vm-start");
    let (_, task) = scene.post("/api/v1/vms", &order).await;
    until(async || scene.agent.world.orders("vm-start") == 1).await;
    scene.agent.world.refuse("vm-start", Some(FailureCode::Failed));
    let world = scene.agent.world.clone();
    let scene = scene.restart().await;
    let task = scene.running.ended(&scene.token, task["id"].as_str().unwrap()).await;
    assert_eq!((&task["state"], world.orders("vm-destroy")), (&json!("failed"), 1), "{task}");
    assert_eq!(scene.get("/api/v1/vms").await, json!({"vms": []}));
    scene.running.stop().await;
}

#[tokio::test]
async fn what_is_not_deleted_stands_where_it_stood_unless_nobody_knows() {
    let scene = Scene::with_image().await;
    scene.succeed(Method::POST, "/api/v1/volumes", json!({"name": "data", "size_bytes": 1 << 20})).await;
    for (refusal, phase) in [
        (FailureCode::Conflict, "ready"),
        (FailureCode::Failed, "broken"),
        // It was broken before.
        (FailureCode::Conflict, "broken"),
    ] {
        scene.agent.world.refuse("volume-delete", Some(refusal));
        let task = scene.running.done(&scene.token, Method::DELETE, "/api/v1/volumes/data", Value::Null);
        assert_eq!(task.await["state"], "failed");
        assert_eq!(scene.get("/api/v1/volumes/data").await["phase"], phase, "{refusal:?}");
    }
    scene.agent.world.refuse("volume-delete", None);
    scene.succeed(Method::DELETE, "/api/v1/volumes/data", Value::Null).await;
    scene.running.stop().await;
}

#[tokio::test]
async fn another_server_goes_on_where_this_one_stopped() {
    let scene = Scene::with_image().await;
    // The first volume is made, and the answer to the order for the second is lost with the server.
    scene.agent.world.lose("vm-define");
    let (_, task) = scene.post("/api/v1/vms", &small("web")).await;
    until(async || scene.agent.world.orders("vm-define") == 1).await;
    let world = scene.agent.world.clone();
    let scene = scene.restart().await;
    let task = scene.running.ended(&scene.token, task["id"].as_str().unwrap()).await;
    assert_eq!(task["state"], "succeeded", "{task}");
    // Repeated under the same operation: the agent answered from memory.
    assert_eq!((world.orders("volume-create"), world.orders("vm-define")), (2, 1));
    assert_eq!(scene.get("/api/v1/vms/web").await["state"], "shutoff");
    scene.running.stop().await;
}

#[tokio::test]
async fn what_an_earlier_server_began_waits_until_the_host_is_upgraded_too() {
    let scene = Scene::with_image().await;
    scene.agent.world.lose("vm-define");
    let (_, task) = scene.post("/api/v1/vms", &small("web")).await;
    until(async || scene.agent.world.orders("vm-define") == 1).await;
    let (world, id) = (scene.agent.world.clone(), task["id"].as_str().unwrap().to_owned());
    let version = agent_protocol::VERSION - 1;
    world.speak(version);
    let scene = scene.restart().await;
    let why = format!("speaks version {version} of the protocol");
    let waits = |task: &Value| task["waits_for"].as_str().is_some_and(|reason| reason.contains(&why));
    scene.running.eventually(&scene.token, &format!("/api/v1/tasks/{id}"), waits).await;
    // What is new is refused at once.
    let order = json!({"name": "data", "size_bytes": 1 << 20});
    let refused = scene.running.done(&scene.token, Method::POST, "/api/v1/volumes", order).await;
    assert_eq!(
        (&refused["state"], &refused["error"]["code"]),
        (&json!("failed"), &json!("agent_unreachable"))
    );
    assert!(refused["error"]["next"].as_str().unwrap().starts_with("upgrade its host"), "{refused}");
    world.speak(agent_protocol::VERSION);
    let task = scene.running.ended(&scene.token, &id).await;
    assert_eq!((&task["state"], world.orders("vm-define")), (&json!("succeeded"), 1), "{task}");
    scene.running.stop().await;
}

#[tokio::test]
async fn an_old_answer_does_not_hide_what_happened_since() {
    let scene = Scene::with_image().await;
    scene.succeed(Method::POST, "/api/v1/vms", small("web")).await;
    let id = scene.get("/api/v1/vms/web").await["id"].as_str().unwrap().to_owned();
    scene.agent.world.lose("vm-start");
    let (_, task) = scene.post("/api/v1/vms/web/start", &Value::Null).await;
    until(async || scene.agent.world.orders("vm-start") == 1).await;
    scene.agent.world.happen(&id, |vms, id| vms.get_mut(&id).unwrap().state = State::Crashed);
    scene.agent.world.hold("vm-start");
    let scene = scene.restart().await;
    scene.running.eventually(&scene.token, "/api/v1/vms/web", |vm| vm["state"] == "crashed").await;
    scene.agent.world.until_held("vm-start").await;
    scene.agent.world.let_go();
    let task = scene.running.ended(&scene.token, task["id"].as_str().unwrap()).await;
    // The agent answered from memory that it runs.
    assert_eq!((&task["state"], scene.agent.world.orders("vm-start")), (&json!("succeeded"), 1));
    assert_eq!(scene.get("/api/v1/vms/web").await["state"], "crashed");
    scene.running.stop().await;
}

/// A client hangs up, or a time limit passes, wherever the order stands.
#[tokio::test]
async fn a_task_that_is_stored_is_begun_whoever_stops_waiting() {
    let scene = Scene::with_image().await;
    let order = Order { who: "admin".to_owned(), key: None };
    for polls in 1.. {
        let request = VolumeRequest {
            cache: None,
            name: format!("data{polls}"),
            size_bytes: Some(1 << 20),
            storage: None,
            image: None,
        };
        let mut work = std::pin::pin!(scene.running.cloud.create_volume(&order, request));
        let mut polled = 0;
        let answered = std::future::poll_fn(|context| {
            if polled == polls {
                return Poll::Ready(None);
            }
            polled += 1;
            work.as_mut().poll(context).map(Some)
        });
        if let Some(answer) = answered.await {
            answer.unwrap();
            break;
        }
    }
    let all_ended = |tasks: &Value| {
        tasks["tasks"].as_array().unwrap().iter().all(|task| !task["finished_at_ms"].is_null())
    };
    scene.running.eventually(&scene.token, "/api/v1/tasks", all_ended).await;
    scene.running.stop().await;
}

#[tokio::test]
async fn another_server_goes_on_putting_back() {
    let scene = Scene::with_image().await;
    let files = scene.agent.world.files();
    scene.agent.world.refuse("vm-define", Some(FailureCode::Failed));
    scene.agent.world.lose("volume-delete");
    let (_, task) = scene.post("/api/v1/vms", &small("web")).await;
    until(async || scene.agent.world.orders("volume-delete") == 1).await;
    let world = scene.agent.world.clone();
    let scene = scene.restart().await;
    let task = scene.running.ended(&scene.token, task["id"].as_str().unwrap()).await;
    assert_eq!((&task["state"], &task["error"]["code"]), (&json!("failed"), &json!("host_failed")));
    assert_eq!((world.files(), world.orders("volume-delete")), (files, 2));
    assert_eq!(scene.get("/api/v1/volumes").await, json!({"volumes": []}));
    scene.running.stop().await;
}

#[tokio::test]
async fn an_agent_that_is_away_is_waited_for() {
    let scene = Scene::with_image().await;
    scene.agent.world.refuse("volume-create", Some(FailureCode::Unavailable));
    let (_, task) = scene.post("/api/v1/volumes", &json!({"name": "data", "size_bytes": 1 << 20})).await;
    let path = format!("/api/v1/tasks/{}", task["id"].as_str().unwrap());
    let task = scene.running.eventually(&scene.token, &path, |task| !task["waits_for"].is_null()).await;
    assert!(task["waits_for"].as_str().unwrap().contains("refuses `volume-create`"), "{task}");
    scene.agent.world.refuse("volume-create", None);
    let task = scene.running.ended(&scene.token, task["id"].as_str().unwrap()).await;
    assert_eq!((&task["state"], &task["waits_for"]), (&json!("succeeded"), &Value::Null));

    // Not for ever.
    let patience = json!({"value": "1s"});
    scene.running.ask(&scene.token, Method::PUT, "/api/v1/config/task.agentPatience", &patience).await;
    scene.agent.world.refuse("volume-delete", Some(FailureCode::Unavailable));
    let task = scene.running.done(&scene.token, Method::DELETE, "/api/v1/volumes/data", Value::Null).await;
    assert_eq!((&task["state"], &task["error"]["code"]), (&json!("failed"), &json!("agent_unreachable")));
    assert_eq!(scene.get("/api/v1/volumes/data").await["phase"], "ready");

    // One that lost its hypervisor in the middle may have done it.
    scene.agent.world.refuse("volume-delete", Some(FailureCode::Interrupted));
    let task = scene.running.done(&scene.token, Method::DELETE, "/api/v1/volumes/data", Value::Null).await;
    assert_eq!((&task["state"], &task["error"]["code"]), (&json!("failed"), &json!("agent_unreachable")));
    assert_eq!(scene.get("/api/v1/volumes/data").await["phase"], "broken");
    scene.running.stop().await;
}

#[tokio::test]
async fn a_request_with_a_key_may_be_sent_again() {
    let scene = Scene::with_image().await;
    let send = async |key: &str, body: &Value| {
        let mut request = request(Method::POST, "/api/v1/vms", Some(&scene.token), &body.to_string());
        request.headers_mut().insert("idempotency-key", key.parse().unwrap());
        scene.running.send(request).await
    };
    let (first, second) = (send("order-1", &small("web")).await, send("order-1", &small("web")).await);
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (202, 202));
    assert_eq!(first.json()["id"], second.json()["id"]);
    scene.running.ended(&scene.token, first.json()["id"].as_str().unwrap()).await;
    let scene_after = send("order-1", &small("web")).await.json();
    assert_eq!(scene_after["id"], first.json()["id"]);
    assert_eq!(scene.agent.world.orders("vm-define"), 1);
    assert_eq!(send("order-1", &small("other")).await.error(), (422, "key_reused".into()));
    assert_eq!(send("order-2", &small("web")).await.error(), (409, "name_taken".into()));
    assert_eq!(send("a b", &small("web")).await.error(), (400, "bad_request".into()));
    assert_eq!(first.header(header::CONTENT_TYPE.as_str()), "application/json");
    scene.running.stop().await;
}

#[tokio::test]
async fn many_calls_that_take_long_hold_up_nobody_else() {
    let scene = Scene::with_image().await;
    let mut order = small("web");
    order["data"] = json!([]);
    order["start"] = true.into();
    for name in ["a", "b", "c", "d", "e", "f"] {
        order["name"] = name.into();
        scene.succeed(Method::POST, "/api/v1/vms", order.clone()).await;
    }
    scene.agent.world.hold("vm-shutdown");
    let mut tasks = Vec::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        let (_, task) = scene.post(&format!("/api/v1/vms/{name}/shutdown"), &Value::Null).await;
        tasks.push(task["id"].as_str().unwrap().to_owned());
    }
    until(async || scene.agent.world.waiting("vm-shutdown") == 6).await;
    assert_eq!(scene.get("/api/v1/vms").await["vms"].as_array().unwrap().len(), 6);
    scene.succeed(Method::POST, "/api/v1/volumes", json!({"name": "x", "size_bytes": 1 << 20})).await;
    scene.agent.world.let_go();
    for task in tasks {
        assert_eq!(scene.running.ended(&scene.token, &task).await["state"], "succeeded");
    }
    scene.running.stop().await;
}

#[tokio::test]
async fn tasks_are_listed_newest_first() {
    let scene = Scene::with_image().await;
    scene.succeed(Method::POST, "/api/v1/volumes", json!({"name": "data", "size_bytes": 1 << 20})).await;
    let tasks = scene.get("/api/v1/tasks").await;
    let actions: Vec<_> = tasks["tasks"].as_array().unwrap().iter().map(|task| &task["action"]).collect();
    assert_eq!(actions, ["volume_create", "image_import"]);
    assert_eq!(tasks["tasks"][0]["subject"]["name"], "data");
    scene.running.stop().await;
}

/// A server as systemd runs it, on the files of a scene whose own has stopped.
async fn as_a_process(scene: Scene) -> (Host, Agent, Child, Remote, String) {
    scene.running.stop().await;
    let (host, agent) = (scene.host, scene.agent);
    let text = format!("listen = \"127.0.0.1:0\"\nlocal_agent = \"{}\"\n", agent.address);
    std::fs::write(host.layout.server_config(), text).unwrap();
    let (child, address) = crate::process::start(&host);
    let remote = Remote::new(address, &host.layout);
    let token = remote.token().await;
    (host, agent, child, remote, token)
}

#[tokio::test]
async fn a_killed_server_loses_no_task() {
    let (host, agent, mut child, killed, token) = as_a_process(Scene::with_image().await).await;
    agent.world.hold("vm-define");
    let task = killed.post(&token, "/api/v1/vms", &small("web")).await.json();
    agent.world.until_held("vm-define").await;
    child.kill().unwrap();
    child.wait().unwrap();
    agent.world.let_go();

    let running = host.start().await;
    let token = running.token().await;
    let task = running.ended(&token, task["id"].as_str().unwrap()).await;
    assert_eq!(task["state"], "succeeded", "{task}");
    assert_eq!((agent.world.orders("volume-create"), agent.world.orders("vm-define")), (2, 1));
    running.stop().await;
}

/// One that was at work, one that waited for an agent, and one that was being put back.
#[tokio::test]
async fn the_next_server_says_truly_where_the_tasks_of_a_killed_one_stand() {
    let (host, agent, mut child, killed, token) = as_a_process(Scene::with_image().await).await;
    let world = &agent.world;
    let order = async |path: &str, body: Value| -> String {
        let task = killed.post(&token, path, &body).await.json();
        format!("/api/v1/tasks/{}", task["id"].as_str().unwrap())
    };
    world.hold("vm-define");
    let at_work = order("/api/v1/vms", small("web")).await;
    world.until_held("vm-define").await;
    world.refuse("volume-create", Some(FailureCode::Unavailable));
    let waiting = order("/api/v1/volumes", json!({"name": "data", "size_bytes": 1 << 20})).await;
    let waits = |task: &Value| !task["waits_for"].is_null();
    killed.eventually(&token, &waiting, waits).await;
    world.refuse("image-import", Some(FailureCode::Failed));
    world.hold("volume-delete");
    let undoing = order("/api/v1/images", json!({"name": "other", "source": "/root/debian.img"})).await;
    world.until_held("volume-delete").await;
    child.kill().unwrap();
    child.wait().unwrap();

    let running = host.start().await;
    let token = running.token().await;
    let states = |task: &Value| -> Vec<String> {
        let steps = task["steps"].as_array().unwrap().iter();
        steps.map(|step| step["state"].as_str().unwrap().to_owned()).collect()
    };
    let task = running.get_as(&token, &at_work).await.json();
    assert_eq!((&task["state"], &task["error"]), (&json!("running"), &Value::Null), "{task}");
    assert_eq!(states(&task), ["done", "done", "running"]);
    // It asks once more before it says that it waits.
    let task = running.eventually(&token, &waiting, waits).await;
    assert_eq!((&task["state"], &task["error"]), (&json!("running"), &Value::Null), "{task}");
    assert_eq!(states(&task), ["running"]);
    let task = running.get_as(&token, &undoing).await.json();
    assert_eq!(
        (&task["state"], &task["error"]["code"]),
        (&json!("undoing"), &json!("host_failed")),
        "{task}"
    );
    assert_eq!((states(&task), &task["finished_at_ms"]), (vec!["running".to_owned()], &Value::Null));
    let vm = running.get_as(&token, "/api/v1/vms/web").await.json();
    assert_eq!(vm["task"]["action"], "vm_create");

    world.refuse("volume-create", None);
    world.let_go();
    let ended = async |path: &str| running.ended(&token, path.rsplit('/').next().unwrap()).await;
    for (path, state, step) in
        [(&at_work, "succeeded", "done"), (&waiting, "succeeded", "done"), (&undoing, "failed", "undone")]
    {
        let task = ended(path).await;
        assert_eq!((&task["state"], &task["waits_for"]), (&json!(state), &Value::Null), "{task}");
        assert!(states(&task).iter().all(|found| found == step), "{task}");
    }
    assert_eq!((world.orders("vm-define"), world.orders("image-import")), (1, 1));
    running.stop().await;
}
