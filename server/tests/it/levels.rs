//! Cache modes that are set for a storage, a virtual machine or a volume: which one counts, what it would come to, who set it;
//! and what agents tell of folders, disks and migrations.

use agent_protocol::cache::{CacheRequest, Origin, Sector};
use agent_protocol::call::{VmAttachDisk, VmChangeCache, VmDefine, VmReboot};
use agent_protocol::envelope::FailureCode;
use agent_protocol::vm::{CacheChoice, CacheMode};
use hyper::Method;
use serde_json::{Value, json};

use crate::machine::note_live;
use crate::resources::Scene;
use crate::support::until;
use crate::vms::small;

/// Makes a request that changes something, and has to work.
async fn change(scene: &Scene, method: Method, path: &str, body: Value) -> Value {
    let answer = scene.running.ask(&scene.token, method, path, &body).await;
    assert_eq!(answer.status.as_u16(), 200, "{path}: {:?}", answer.body);
    answer.json()
}

async fn set(scene: &Scene, path: &str, mode: &str) -> Value {
    change(scene, Method::PUT, &format!("/api/v1/{path}/cache"), json!({"mode": mode})).await
}

async fn clear(scene: &Scene, path: &str) -> Value {
    change(scene, Method::DELETE, &format!("/api/v1/{path}/cache"), Value::Null).await
}

fn request(choice: CacheChoice, origin: Origin) -> CacheRequest {
    CacheRequest { choice, origin, accepts_loss: false }
}

#[tokio::test]
async fn the_most_specific_mode_counts_and_says_where_it_is_set() {
    let scene = Scene::with_image().await;
    let world = scene.agent.world.clone();
    let settings = set(&scene, "storages/default", "writeback").await;
    assert_eq!((&settings["level"], &settings["set"]["mode"]), (&json!("storage"), &json!("writeback")));
    let mut order = small("web");
    order["start"] = true.into();
    scene.succeed(Method::POST, "/api/v1/vms", order).await;
    let defined = world.asked::<VmDefine>().remove(0).vm;
    let storage = request(CacheChoice::Writeback, Origin::Storage);
    assert_eq!(defined.disks.iter().map(|disk| disk.cache).collect::<Vec<_>>(), [storage; 2]);
    // What lies in a drive lies in no storage of the machine's.
    assert_eq!(defined.cdroms[0].cache, request(CacheChoice::Auto, Origin::Global));
    let vm = scene.get("/api/v1/vms/web").await;
    let cache = &vm["disks"][0]["cache"];
    assert_eq!(cache["reason"], "the storage is set to `writeback`; `/srv` takes O_DIRECT");
    assert_eq!(cache["set_at"], "storage");

    set(&scene, "vms/web", "none").await;
    set(&scene, "volumes/web-data1", "directsync").await;
    let reason = scene.get("/api/v1/vms/web").await["disks"][0]["cache"]["reason"].clone();
    let expected =
        "the virtual machine is set to `none` now, which holds from the next start; `/srv` takes O_DIRECT";
    assert_eq!(reason, expected);
    scene.succeed(Method::POST, "/api/v1/vms/web/reboot", Value::Null).await;
    let plan = world.asked::<VmReboot>().remove(0).cache;
    let vm_request = request(CacheChoice::None, Origin::Vm);
    let asked: Vec<_> = plan.disks.iter().map(|disk| disk.cache).collect();
    assert_eq!(asked, [vm_request, request(CacheChoice::Directsync, Origin::Volume)]);
    assert_eq!(plan.cdroms, vm_request);

    // Cleared, what is less specific counts again.
    assert_eq!(clear(&scene, "volumes/web-data1").await["set"], Value::Null);
    clear(&scene, "vms/web").await;
    clear(&scene, "storages/default").await;
    scene.succeed(Method::POST, "/api/v1/vms/web/reboot", Value::Null).await;
    let plan = world.asked::<VmReboot>().remove(1).cache;
    let global = request(CacheChoice::Auto, Origin::Global);
    assert_eq!(plan.disks.iter().map(|disk| disk.cache).collect::<Vec<_>>(), [global; 2]);

    // Who changed what is kept, and a change that changes nothing is none.
    clear(&scene, "storages/default").await;
    let settings = scene.get("/api/v1/storages/default/cache").await;
    let changes: Vec<_> = settings["changes"].as_array().unwrap().iter().collect();
    assert_eq!(changes.len(), 2, "{settings}");
    assert_eq!((&changes[0]["from"], &changes[0]["to"]), (&json!("writeback"), &Value::Null));
    assert_eq!((&changes[1]["who"], &changes[1]["to"]), (&json!("admin"), &json!("writeback")));
    assert!(changes[1]["at_ms"].as_i64().unwrap() > 0);
    scene.running.stop().await;
}

#[tokio::test]
async fn a_mode_that_may_lose_disks_is_set_by_who_accepts_that() {
    let scene = Scene::with_image().await;
    let world = scene.agent.world.clone();
    scene.succeed(Method::POST, "/api/v1/vms", small("web")).await;
    let refused = (422, "loss_not_accepted".to_owned());
    for path in ["storages/default", "vms/web", "volumes/web-root"] {
        let path = format!("/api/v1/{path}/cache");
        assert_eq!(scene.refused(Method::PUT, &path, json!({"mode": "unsafe"})).await, refused, "{path}");
        let unknown = scene.refused(Method::PUT, &path, json!({"mode": "fast"})).await;
        assert_eq!(unknown, (400, "bad_request".to_owned()), "{path}");
    }
    let key = "/api/v1/config/vm.cacheMode";
    assert_eq!(scene.refused(Method::PUT, key, json!({"value": "unsafe"})).await, refused);
    let several = json!({"values": {"vm.cacheMode": "unsafe"}});
    assert_eq!(scene.refused(Method::PUT, "/api/v1/config", several).await, refused);

    let accepted = json!({"value": "unsafe", "accepts_loss": true});
    change(&scene, Method::PUT, key, accepted).await;
    set(&scene, "volumes/web-data1", "writeback").await;
    scene.succeed(Method::POST, "/api/v1/vms/web/start", Value::Null).await;
    scene.succeed(Method::POST, "/api/v1/vms/web/reboot", Value::Null).await;
    let plan = world.asked::<VmReboot>().remove(0).cache;
    let global = CacheRequest { accepts_loss: true, ..request(CacheChoice::Unsafe, Origin::Global) };
    assert_eq!(plan.disks[0].cache, global);
    // Who accepts the loss for everything does not for a volume that is set otherwise.
    assert_eq!(plan.disks[1].cache, request(CacheChoice::Writeback, Origin::Volume));
    scene.running.stop().await;
}

#[tokio::test]
async fn a_volume_is_explained_and_a_change_is_tried_before_it_is_made() {
    let scene = Scene::with_image().await;
    let ram = json!({"name": "ram", "path": "/srv/ram"});
    assert_eq!(scene.post("/api/v1/storages", &ram).await.0, 201);
    for name in ["one", "two", "off"] {
        let mut order = small(name);
        order["start"] = (name != "off").into();
        scene.succeed(Method::POST, "/api/v1/vms", order).await;
    }
    let alone = json!({"name": "alone", "storage": "ram", "size_bytes": 1 << 20});
    scene.succeed(Method::POST, "/api/v1/volumes", alone).await;
    set(&scene, "vms/two", "writethrough").await;

    let told = scene.get("/api/v1/volumes/one-root/cache").await;
    assert_eq!((&told["requested"]["mode"], &told["set_at"]), (&json!("auto"), &json!("global")));
    let levels: Vec<_> = told["levels"].as_array().unwrap().iter().collect();
    let names: Vec<_> = levels.iter().map(|level| level["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["one-root", "one", "default", "vm.cacheMode"]);
    assert_eq!(
        levels.iter().map(|level| level["counts"] == true).collect::<Vec<_>>(),
        [false, false, false, true]
    );
    assert_eq!((&told["effective"]["mode"], &told["now"]["mode"]), (&json!("none"), &json!("none")));
    assert_eq!((&told["vm_state"], &told["sector_bytes"]), (&json!("running"), &json!(512)));
    let alone = scene.get("/api/v1/volumes/alone/cache").await;
    assert_eq!((&alone["vm"], &alone["effective"]), (&Value::Null, &Value::Null));
    assert_eq!((&alone["now"]["mode"], &alone["sector_bytes"]), (&json!("writeback"), &Value::Null));

    let attempt = async |request: Value| {
        let (status, impact) = scene.post("/api/v1/cache/dry-run", &request).await;
        assert_eq!(status, 200, "{impact}");
        impact
    };
    let writeback = json!({"mode": "writeback"});
    let impact = attempt(json!({"level": "global", "set": writeback})).await;
    // `two` is set otherwise and not touched.
    assert_eq!(impact["summary"], "1 running virtual machine can change live, 1 gets it with the next start");
    let impact = attempt(json!({"level": "storage", "name": "ram", "set": {"mode": "none"}})).await;
    assert_eq!(impact["summary"], "no virtual machine has a disk that this is about");
    assert_eq!(
        (&impact["disks"][0]["outcome"], impact["disks"].as_array().unwrap().len()),
        (&json!("refused"), 1)
    );
    let impact = attempt(json!({"level": "vm", "name": "two"})).await;
    assert_eq!(impact["summary"], "1 virtual machine stays as it is");
    let impact = attempt(json!({"level": "vm", "name": "one", "set": {"mode": "directsync"}})).await;
    assert_eq!(impact["summary"], "1 running virtual machine keeps its mode until a restart");
    // Nothing was changed by it.
    assert_eq!(scene.get("/api/v1/vms/one/cache").await["set"], Value::Null);
    let nameless = scene.refused(Method::POST, "/api/v1/cache/dry-run", json!({"level": "vm"})).await;
    assert_eq!(nameless, (422, "invalid".to_owned()));
    // A host that does not answer is said to be one.
    scene.agent.world.refuse("cache-judge", Some(FailureCode::Unavailable));
    let told = scene.get("/api/v1/volumes/one-root/cache").await;
    assert_eq!((&told["now"]["mode"], &told["now"]["refused"]), (&Value::Null, &json!(false)));
    assert_eq!(told["effective"]["mode"], "none");
    scene.running.stop().await;
}

#[tokio::test]
async fn a_mode_is_put_into_force_while_its_machine_runs() {
    let scene = Scene::with_image().await;
    let world = scene.agent.world.clone();
    let mut order = small("web");
    order["start"] = true.into();
    scene.succeed(Method::POST, "/api/v1/vms", order).await;
    let apply = "/api/v1/vms/web/apply-cache";
    let disks = async |field: &str| {
        let vm = scene.get("/api/v1/vms/web").await;
        vm["disks"].as_array().unwrap().iter().map(|disk| disk[field].clone()).collect::<Vec<_>>()
    };
    let modes =
        async || disks("cache").await.into_iter().map(|cache| cache["mode"].clone()).collect::<Vec<_>>();
    // There is nothing to do, and nothing is asked of the host.
    let task = scene.succeed(Method::POST, apply, Value::Null).await;
    assert_eq!((&task["steps"], &task["progress_percent"]), (&json!([]), &json!(100)));
    assert_eq!(disks("pending").await, ["unchanged"; 2]);

    let tried = json!({"level": "volume", "name": "web-root", "set": {"mode": "writeback"}});
    let (_, impact) = scene.post("/api/v1/cache/dry-run", &tried).await;
    assert_eq!(impact["summary"], "1 running virtual machine can change live");
    set(&scene, "volumes/web-root", "writeback").await;
    assert_eq!(disks("pending").await, ["live", "unchanged"]);
    assert_eq!(scene.get("/api/v1/volumes/web-root/cache").await["pending"], "live");
    assert_eq!(modes().await, ["none"; 2]);

    // The host fails, and the old mode stays.
    world.refuse("vm-change-cache", Some(FailureCode::Failed));
    let task = scene.running.done(&scene.token, Method::POST, apply, Value::Null).await;
    assert_eq!((&task["state"], &task["error"]["code"]), (&json!("failed"), &json!("host_failed")));
    assert_eq!(modes().await, ["none"; 2]);
    assert_eq!(disks("pending").await, ["live", "unchanged"]);
    world.refuse("vm-change-cache", None);

    // It is asked for once, also where the answer is lost with the server, and of the one disk that it is about.
    world.lose("vm-change-cache");
    let (status, task) = scene.post(apply, &Value::Null).await;
    assert_eq!((status, &task["action"]), (202, &json!("vm_apply_cache")));
    until(async || world.orders("vm-change-cache") == 1).await;
    let scene = scene.restart().await;
    let task = scene.running.ended(&scene.token, task["id"].as_str().unwrap()).await;
    assert_eq!(task["state"], "succeeded", "{task}");
    let asked = world.asked::<VmChangeCache>();
    let root = scene.get("/api/v1/volumes/web-root").await["id"].clone();
    assert_eq!((asked.len(), asked[0].disks.len()), (1, 1));
    assert_eq!(json!(asked[0].disks[0].volume), root);
    assert_eq!(asked[0].disks[0].cache, request(CacheChoice::Writeback, Origin::Volume));
    let vm = scene.get("/api/v1/vms/web").await;
    let cache = &vm["disks"][0]["cache"];
    assert_eq!((&cache["mode"], &cache["set_at"]), (&json!("writeback"), &json!("volume")));
    assert_eq!(cache["reason"], "the volume is set to `writeback`; `/srv` takes O_DIRECT");
    assert_eq!(
        (&vm["disks"][0]["pending"], &vm["disks"][1]["cache"]["mode"]),
        (&json!("unchanged"), &json!("none"))
    );
    assert_eq!(vm["taints"].as_array().unwrap().len(), 1, "{vm}");

    // What needs a restart is refused for all its disks before anything is done.
    let writethrough = json!({"mode": "writethrough"});
    clear(&scene, "volumes/web-root").await;
    change(&scene, Method::PUT, "/api/v1/volumes/web-data1/cache", writethrough).await;
    let vm = scene.get("/api/v1/vms/web").await;
    assert_eq!((&vm["disks"][0]["pending"], &vm["disks"][1]["pending"]), (&json!("live"), &json!("restart")));
    let answer = scene.running.ask(&scene.token, Method::POST, apply, &Value::Null).await;
    assert_eq!(answer.status.as_u16(), 409);
    let error = answer.json();
    let sentence = "disk `vdb` of `web` (volume `web-data1`) cannot change its cache mode from `none` to `writethrough` \
                    while it runs; this needs a restart";
    assert_eq!((&error["message"], &error["code"]), (&json!(sentence), &json!("conflict")));
    assert_eq!(error["next"], "turn it off and on: `cairn vm reboot web`");
    // So is it where the host alone knows.
    clear(&scene, "volumes/web-data1").await;
    world.refuse("vm-change-cache", Some(FailureCode::Conflict));
    let task = scene.running.done(&scene.token, Method::POST, apply, Value::Null).await;
    assert_eq!((&task["state"], &task["error"]["code"]), (&json!("failed"), &json!("conflict")));
    world.refuse("vm-change-cache", None);
    let vm = scene.get("/api/v1/vms/web").await;
    assert_eq!(
        (&vm["disks"][0]["cache"]["mode"], &vm["disks"][1]["cache"]["mode"]),
        (&json!("writeback"), &json!("none"))
    );
    assert_eq!(world.orders("vm-change-cache"), 1);

    // One that is off gets its modes when it is started.
    scene.succeed(Method::POST, "/api/v1/vms/web/force-off", Value::Null).await;
    assert_eq!(scene.get("/api/v1/vms/web").await["disks"][0]["pending"], "next_start");
    assert_eq!(scene.refused(Method::POST, apply, Value::Null).await, (409, "conflict".to_owned()));
    let audit = scene.get("/api/v1/audit?limit=1000").await;
    let entries = audit["entries"].as_array().unwrap().iter();
    let outcomes: Vec<_> = entries
        .filter(|entry| entry["action"] == "vm apply-cache")
        .map(|entry| entry["outcome"].clone())
        .collect();
    assert_eq!(outcomes, ["conflict", "accepted", "conflict", "accepted", "accepted", "accepted"]);
    scene.running.stop().await;
}

#[tokio::test]
async fn what_auto_comes_to_meanwhile_is_shown_and_put_into_force() {
    let scene = Scene::with_image().await;
    let world = scene.agent.world.clone();
    let mut order = small("web");
    order["start"] = true.into();
    scene.succeed(Method::POST, "/api/v1/vms", order).await;
    let pending =
        async |volume: &str| scene.get(&format!("/api/v1/volumes/{volume}/cache")).await["pending"].clone();
    assert_eq!(pending("web-root").await, "unchanged");
    // As if its file system had taken no O_DIRECT when it was started.
    let vm = scene.get("/api/v1/vms/web").await["id"].as_str().unwrap().to_owned();
    world.happen(&vm, |vms, id| {
        let vm = vms.get_mut(&id).unwrap();
        vm.disks[0].cache.mode = CacheMode::Writeback;
        note_live(vm);
    });
    until(async || scene.get("/api/v1/vms/web").await["disks"][0]["cache"]["mode"] == "writeback").await;
    assert_eq!((pending("web-root").await, pending("web-data1").await), (json!("live"), json!("unchanged")));
    // Whoever does not know what that comes to now leaves it alone.
    let apply = "/api/v1/vms/web/apply-cache";
    world.refuse("cache-judge", Some(FailureCode::Unavailable));
    assert_eq!(pending("web-root").await, "unchanged");
    scene.succeed(Method::POST, apply, Value::Null).await;
    assert_eq!(world.orders("vm-change-cache"), 0);
    world.refuse("cache-judge", None);
    scene.succeed(Method::POST, apply, Value::Null).await;
    let asked = world.asked::<VmChangeCache>().remove(0).disks;
    let root = scene.get("/api/v1/volumes/web-root").await["id"].clone();
    assert_eq!((asked.len(), json!(asked[0].volume)), (1, root));
    assert_eq!(asked[0].cache, request(CacheChoice::Auto, Origin::Global));
    assert_eq!(scene.get("/api/v1/vms/web").await["disks"][0]["cache"]["mode"], "none");
    assert_eq!(pending("web-root").await, "unchanged");
    // Where that takes a restart, it is said.
    world.happen(&vm, |vms, id| vms.get_mut(&id).unwrap().disks[1].cache.mode = CacheMode::Writethrough);
    until(async || pending("web-data1").await == "restart").await;
    assert_eq!(scene.refused(Method::POST, apply, Value::Null).await, (409, "conflict".to_owned()));
    scene.running.stop().await;
}

#[tokio::test]
async fn what_is_made_gets_its_mode_and_the_consent_to_it() {
    let scene = Scene::with_image().await;
    let world = scene.agent.world.clone();
    let refused = (422, "loss_not_accepted".to_owned());
    let (loss, accepted) = (json!({"mode": "unsafe"}), json!({"mode": "unsafe", "accepts_loss": true}));
    let blank = |set: &Value| json!({"name": "scratch", "size_bytes": 1 << 20, "cache": set});
    assert_eq!(scene.refused(Method::POST, "/api/v1/volumes", blank(&loss)).await, refused);
    for place in [&["cache"][..], &["root", "cache"], &["data", "0", "cache"]] {
        let mut order = small("web");
        match place {
            [own] => order[own] = loss.clone(),
            ["data", _, own] => order["data"][0][own] = loss.clone(),
            [disk, own, ..] => order[disk][own] = loss.clone(),
            [] => {}
        }
        assert_eq!(scene.refused(Method::POST, "/api/v1/vms", order).await, refused, "{place:?}");
    }
    assert_eq!(scene.get("/api/v1/volumes").await["volumes"], json!([]));

    scene.succeed(Method::POST, "/api/v1/volumes", blank(&accepted)).await;
    let scratch = scene.get("/api/v1/volumes/scratch").await;
    assert_eq!(scratch["cache"], accepted);
    let history = scene.get("/api/v1/volumes/scratch/cache").await["changes"].clone();
    assert_eq!(
        (&history[0]["from"], &history[0]["to"], &history[0]["who"]),
        (&Value::Null, &json!("unsafe"), &json!("admin"))
    );
    let mut order = small("web");
    (order["cache"], order["data"][0]["cache"]) = (accepted, json!({"mode": "none"}));
    scene.succeed(Method::POST, "/api/v1/vms", order).await;
    let disks = world.asked::<VmDefine>().remove(0).vm.disks;
    let consented = CacheRequest { accepts_loss: true, ..request(CacheChoice::Unsafe, Origin::Vm) };
    assert_eq!(
        disks.iter().map(|disk| disk.cache).collect::<Vec<_>>(),
        [consented, request(CacheChoice::None, Origin::Volume)]
    );
    assert_eq!(scene.get("/api/v1/vms/web").await["cache"]["mode"], "unsafe");
    assert_eq!(scene.get("/api/v1/volumes/web-root").await["cache"], Value::Null);
    scene.running.stop().await;
}

#[tokio::test]
async fn a_blank_volume_keeps_the_sector_of_its_first_guest() {
    let scene = Scene::with_image().await;
    let world = scene.agent.world.clone();
    scene.succeed(Method::POST, "/api/v1/vms", small("web")).await;
    let disks = world.asked::<VmDefine>().remove(0).vm.disks;
    // The root disk boots, and lies on an image; the data disk is blank.
    let sectors: Vec<_> = disks.iter().map(|disk| disk.sector).collect();
    assert_eq!(sectors, [Sector::Fixed { bytes: 512 }, Sector::Free]);
    let shown =
        async |name: &str| scene.get(&format!("/api/v1/volumes/{name}")).await["sector_bytes"].clone();
    assert_eq!((shown("web-root").await, shown("web-data1").await), (json!(512), json!(4096)));

    let blank = json!({"name": "blank", "size_bytes": 1 << 20});
    scene.succeed(Method::POST, "/api/v1/volumes", blank).await;
    let copy = json!({"name": "copy", "image": "debian"});
    scene.succeed(Method::POST, "/api/v1/volumes", copy).await;
    assert_eq!((shown("blank").await, shown("copy").await), (Value::Null, json!(512)));
    for _ in 0..2 {
        scene.succeed(Method::POST, "/api/v1/vms/web/volumes", json!({"volume": "blank"})).await;
        assert_eq!(shown("blank").await, 4096);
        scene.succeed(Method::DELETE, "/api/v1/vms/web/volumes/blank", Value::Null).await;
    }
    let attached: Vec<_> = world.asked::<VmAttachDisk>().iter().map(|asked| asked.disk.sector).collect();
    assert_eq!(attached, [Sector::Free, Sector::Fixed { bytes: 4096 }]);
    scene.running.stop().await;
}

#[tokio::test]
async fn a_storage_is_measured_when_it_is_added_and_when_somebody_asks() {
    let scene = Scene::with_image().await;
    let world = scene.agent.world.clone();
    let storage = scene.get("/api/v1/storages/default").await;
    let check = &storage["check"];
    assert_eq!((&check["fsync"]["samples"], &check["direct_io"]["answer"]), (&json!(64), &json!("larger")));
    assert_eq!(check["direct_io"]["sector"]["errno"], 22);
    assert_eq!(check["findings"][1]["subject"], "reflink");
    // A folder that cannot be measured is a storage all the same, and says why it is not.
    world.refuse("folder-survey", Some(FailureCode::NoSpace));
    let (status, full) = scene.post("/api/v1/storages", &json!({"name": "full", "path": "/srv/full"})).await;
    assert_eq!((status, &full["check"]), (201, &Value::Null));
    assert!(full["check_failure"].as_str().unwrap().contains("folder-survey"), "{full}");
    let refused = scene.refused(Method::POST, "/api/v1/storages/full/check", Value::Null).await;
    assert_eq!(refused, (507, "no_space".to_owned()));
    world.refuse("folder-survey", None);
    let full = change(&scene, Method::POST, "/api/v1/storages/full/check", Value::Null).await;
    assert_eq!((&full["check_failure"], &full["check"]["fsync"]["samples"]), (&Value::Null, &json!(64)));
    scene.running.stop().await;
}

#[tokio::test]
async fn a_machine_says_whether_it_may_migrate() {
    let scene = Scene::with_image().await;
    scene.succeed(Method::POST, "/api/v1/vms", small("web")).await;
    let judged = scene.get("/api/v1/vms/web/migration").await;
    assert_eq!((&judged["may"], &judged["drops_cache"]), (&json!(false), &json!(true)));
    let disk = &judged["disks"][0];
    assert_eq!(
        (&disk["target"], &disk["reach"], &disk["safe"]),
        (&json!("vda"), &json!("shared"), &json!(false))
    );
    assert!(disk["remedy"].as_str().unwrap().contains("`none` or `writeback`"), "{judged}");
    let missing = scene.refused(Method::GET, "/api/v1/vms/none/migration", Value::Null).await;
    assert_eq!(missing, (404, "not_found".to_owned()));
    scene.running.stop().await;
}
