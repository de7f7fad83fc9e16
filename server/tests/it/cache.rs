//! How disks are opened: what the setting says reaches the agent by every path, once, and people see why.

use agent_protocol::call::{VmAttachDisk, VmDefine, VmInsertMedia, VmReboot, VmStart};
use agent_protocol::envelope::FailureCode;
use agent_protocol::vm::{CacheChoice, CachePlan, Vm};
use hyper::Method;
use serde_json::{Value, json};
use server::store::{Id, Word, now_ms, task};
use server_api::event::Kind;
use server_api::task::{Action, TaskState};

use crate::resources::Scene;
use crate::support::until;
use crate::vms::small;

const KEY: &str = "/api/v1/config/vm.cacheMode";

async fn set(scene: &Scene, value: &str) {
    let answer = scene
        .running
        .ask(&scene.token, Method::PUT, KEY, &json!({"value": value, "accepts_loss": true}))
        .await;
    assert_eq!(answer.status.as_u16(), 200, "{:?}", answer.body);
}

/// A machine that was made with an image in its drive.
fn with_cdrom(start: bool) -> Value {
    let mut order = small("web");
    order["cdrom"] = "debian".into();
    order["start"] = start.into();
    order
}

/// What is asked of each disk and drive of a machine that is defined.
fn of_definition(vm: &Vm) -> Vec<CacheChoice> {
    let drives = vm.cdroms.iter().map(|drive| drive.cache.choice);
    vm.disks.iter().map(|disk| disk.cache.choice).chain(drives).collect()
}

/// The same of one that is turned on.
fn of_plan(plan: &CachePlan) -> Vec<CacheChoice> {
    plan.disks.iter().map(|disk| disk.cache.choice).chain([plan.cdroms.choice]).collect()
}

#[tokio::test]
async fn the_choice_is_the_hosts_unless_somebody_sets_another() {
    let scene = Scene::with_image().await;
    let world = scene.agent.world.clone();
    scene.succeed(Method::POST, "/api/v1/vms", with_cdrom(true)).await;
    let auto = CacheChoice::Auto;
    let defined = world.asked::<VmDefine>().remove(0).vm;
    assert_eq!(of_definition(&defined), [auto; 3]);
    let started = world.asked::<VmStart>().remove(0).cache;
    assert_eq!(of_plan(&started), [auto; 3]);
    let disks: Vec<_> = defined.disks.iter().map(|disk| disk.volume).collect();
    assert_eq!(started.disks.iter().map(|disk| disk.volume).collect::<Vec<_>>(), disks);

    scene.succeed(Method::POST, "/api/v1/volumes", json!({"name": "more", "size_bytes": 1 << 20})).await;
    scene.succeed(Method::POST, "/api/v1/vms/web/volumes", json!({"volume": "more"})).await;
    assert_eq!(world.asked::<VmAttachDisk>().remove(0).disk.cache.choice, auto);
    // A disk that came later is named, too.
    scene.succeed(Method::POST, "/api/v1/vms/web/reboot", Value::Null).await;
    assert_eq!(of_plan(&world.asked::<VmReboot>().remove(0).cache), [auto; 4]);
    // The drive has its mode since the machine was turned on.
    scene.succeed(Method::PUT, "/api/v1/vms/web/cdroms/0", json!({"image": "debian"})).await;
    assert_eq!(world.asked::<VmInsertMedia>().len(), 1);

    let vm = scene.get("/api/v1/vms/web").await;
    for cache in [&vm["disks"][0]["cache"], &vm["disks"][2]["cache"], &vm["cdroms"][0]["cache"]] {
        assert_eq!((&cache["requested"], &cache["mode"]), (&json!("auto"), &json!("none")));
        assert_eq!(cache["reason"], "`vm.cacheMode` is `auto`; `/srv` takes O_DIRECT");
    }
    scene.running.stop().await;
}

#[tokio::test]
async fn a_changed_setting_holds_from_the_next_start() {
    let scene = Scene::with_image().await;
    let world = scene.agent.world.clone();
    set(&scene, "none").await;
    scene.succeed(Method::POST, "/api/v1/vms", with_cdrom(true)).await;
    assert_eq!(of_definition(&world.asked::<VmDefine>()[0].vm), [CacheChoice::None; 3]);
    assert_eq!(of_plan(&world.asked::<VmStart>()[0].cache), [CacheChoice::None; 3]);

    set(&scene, "writeback").await;
    let orders = |call: &str| world.orders(call);
    let before = ["vm-start", "vm-reboot", "vm-attach-disk"].map(orders);
    let vm = scene.get("/api/v1/vms/web").await;
    for cache in [&vm["disks"][0]["cache"], &vm["cdroms"][0]["cache"]] {
        assert_eq!((&cache["requested"], &cache["mode"]), (&json!("none"), &json!("none")));
        let reason =
            "`vm.cacheMode` is `writeback` now, which holds from the next start; `/srv` takes O_DIRECT";
        assert_eq!(cache["reason"], reason);
    }
    assert_eq!(["vm-start", "vm-reboot", "vm-attach-disk"].map(orders), before);

    // A volume that is attached is opened now.
    scene.succeed(Method::POST, "/api/v1/volumes", json!({"name": "more", "size_bytes": 1 << 20})).await;
    scene.succeed(Method::POST, "/api/v1/vms/web/volumes", json!({"volume": "more"})).await;
    let modes = async || {
        let vm = scene.get("/api/v1/vms/web").await;
        let disks = vm["disks"].as_array().unwrap().iter().map(|disk| disk["cache"]["mode"].clone());
        disks.chain([vm["cdroms"][0]["cache"]["mode"].clone()]).collect::<Vec<_>>()
    };
    assert_eq!(modes().await, ["none", "none", "writeback", "none"]);

    scene.succeed(Method::POST, "/api/v1/vms/web/reboot", Value::Null).await;
    assert_eq!(modes().await, ["writeback"; 4]);
    let cache = scene.get("/api/v1/vms/web").await["disks"][0]["cache"].clone();
    assert_eq!(cache["reason"], "`vm.cacheMode` is `writeback`; `/srv` takes O_DIRECT");

    scene.succeed(Method::POST, "/api/v1/vms/web/force-off", Value::Null).await;
    scene.running.ask(&scene.token, Method::DELETE, KEY, &Value::Null).await;
    scene.succeed(Method::POST, "/api/v1/vms/web/start", Value::Null).await;
    assert_eq!(of_plan(&world.asked::<VmStart>()[1].cache), [CacheChoice::Auto; 4]);
    scene.running.stop().await;
}

#[tokio::test]
async fn a_task_asks_for_what_was_set_when_it_was_made() {
    let scene = Scene::with_image().await;
    let world = scene.agent.world.clone();
    world.lose("vm-define");
    let (_, task) = scene.post("/api/v1/vms", &with_cdrom(true)).await;
    until(async || world.orders("vm-define") == 1).await;
    set(&scene, "unsafe").await;
    let scene = scene.restart().await;
    let task = scene.running.ended(&scene.token, task["id"].as_str().unwrap()).await;
    assert_eq!(task["state"], "succeeded", "{task}");
    // The agent would have refused another order under the same operation.
    assert_eq!(of_definition(&world.asked::<VmDefine>()[0].vm), [CacheChoice::Auto; 3]);
    assert_eq!(of_plan(&world.asked::<VmStart>()[0].cache), [CacheChoice::Auto; 3]);
    scene.running.stop().await;
}

#[tokio::test]
async fn a_step_that_release_0_9_stored_asks_for_what_that_asked_for() {
    let scene = Scene::with_image().await;
    let world = scene.agent.world.clone();
    scene.succeed(Method::POST, "/api/v1/vms", with_cdrom(false)).await;
    scene.succeed(Method::POST, "/api/v1/volumes", json!({"name": "more", "size_bytes": 1 << 20})).await;
    let (vm, volume) = (scene.get("/api/v1/vms/web").await, scene.get("/api/v1/volumes/more").await);
    let steps = [
        json!({"step": "start_vm", "vm": vm["id"]}),
        json!({"step": "attach_volume", "vm": vm["id"], "volume": volume["id"], "bus": "virtio"}),
        json!({"step": "reboot_vm", "vm": vm["id"], "patience_ms": 1000}),
    ];
    let steps = steps.map(|step| serde_json::from_value(step).unwrap());
    let task = task::Task {
        id: Id::new(),
        action: Word(Action::VmStart),
        subject_kind: Word(Kind::Vm),
        subject_id: Id(vm["id"].as_str().unwrap().parse().unwrap()),
        subject_name: "web".into(),
        state: Word(TaskState::Running),
        waits_for: None,
        error: None,
        cancel_requested: false,
        created_by: "admin".into(),
        created_ms: now_ms(),
        finished_ms: None,
    };
    let mut db = scene.running.cloud.store.write().await.unwrap();
    task::insert(&mut db, &task, &steps).await.unwrap();
    db.commit().await.unwrap();
    let scene = scene.restart().await;
    let ended = scene.running.ended(&scene.token, &task.id.to_string()).await;
    assert_eq!(ended["state"], "succeeded", "{ended}");
    assert_eq!(of_plan(&world.asked::<VmStart>()[0].cache), [CacheChoice::None; 3]);
    assert_eq!(world.asked::<VmAttachDisk>()[0].disk.cache.choice, CacheChoice::None);
    assert_eq!(of_plan(&world.asked::<VmReboot>()[0].cache), [CacheChoice::None; 4]);
    // From then on it is turned on as every other.
    scene.succeed(Method::POST, "/api/v1/vms/web/reboot", Value::Null).await;
    assert_eq!(of_plan(&world.asked::<VmReboot>()[1].cache), [CacheChoice::Auto; 4]);
    scene.running.stop().await;
}

#[tokio::test]
async fn a_refusal_for_want_of_o_direct_says_what_to_type() {
    let scene = Scene::with_image().await;
    scene.succeed(Method::POST, "/api/v1/vms", with_cdrom(false)).await;
    let start = "/api/v1/vms/web/start";
    for (asked, advice) in [
        // The host chose O_DIRECT, and QEMU could not.
        (
            "auto",
            "go through its page cache: `cairn config set vm.cacheMode writeback`, then `cairn vm start web`",
        ),
        ("none", "let the host choose: `cairn config set vm.cacheMode auto`, then `cairn vm start web`"),
    ] {
        set(&scene, asked).await;
        scene.agent.world.refuse("vm-start", Some(FailureCode::DirectIo));
        let task = scene.running.done(&scene.token, Method::POST, start, Value::Null).await;
        let error = &task["error"];
        assert_eq!((&task["state"], &error["code"]), (&json!("failed"), &json!("direct_io")));
        assert_eq!(error["message"], "`vm-start` was told to refuse");
        assert_eq!(error["next"], format!("tell it otherwise; or {advice}"));
    }
    // The setting is another by the time that the host answers.
    scene.agent.world.refuse("vm-start", None);
    scene.agent.world.hold("vm-start");
    let (_, task) = scene.post(start, &Value::Null).await;
    scene.agent.world.until_held("vm-start").await;
    set(&scene, "auto").await;
    scene.agent.world.refuse("vm-start", Some(FailureCode::DirectIo));
    scene.agent.world.let_go();
    let task = scene.running.ended(&scene.token, task["id"].as_str().unwrap()).await;
    let next = "tell it otherwise; or now that `vm.cacheMode` is `auto`, `cairn vm start web`";
    assert_eq!(task["error"]["next"], next);
    scene.agent.world.refuse("vm-start", None);
    scene.succeed(Method::POST, start, Value::Null).await;
    scene.running.stop().await;
}
