//! Virtual machines, from the order to the last trace.

use agent_protocol::vm::State;
use hyper::Method;
use serde_json::{Value, json};

use crate::resources::Scene;

pub fn small(name: &str) -> Value {
    json!({
        "name": name, "memory_bytes": 256 << 20, "vcpus": 1,
        "root": {"image": "debian"}, "data": [{"size_bytes": 1 << 30}],
        "nics": [{"bridge": "br0"}]
    })
}

#[tokio::test]
async fn one_request_makes_a_machine_with_its_disks() {
    let scene = Scene::with_image().await;
    let mut order = small("web");
    order["start"] = true.into();
    let task = scene.succeed(Method::POST, "/api/v1/vms", order).await;
    let titles: Vec<_> =
        task["steps"].as_array().unwrap().iter().map(|step| step["title"].as_str().unwrap()).collect();
    assert_eq!(titles, ["make the volume", "make the volume", "define the virtual machine", "start it"]);
    assert_eq!((&task["progress_percent"], &task["created_by"]), (&json!(100), &json!("admin")));

    let vm = scene.get("/api/v1/vms/web").await;
    assert_eq!((&vm["state"], &vm["phase"], &vm["task"]), (&json!("running"), &json!("ready"), &Value::Null));
    assert_eq!(
        (&vm["machine"], &vm["firmware"], &vm["accel"]),
        (&json!("q35"), &json!("bios"), &json!("auto"))
    );
    assert_eq!(vm["effective_accel"], "tcg");
    let disks = vm["disks"].as_array().unwrap();
    assert_eq!(disks.len(), 2);
    assert_eq!((&disks[0]["target"], &disks[0]["volume_name"]), (&json!("vda"), &json!("web-root")));
    let cache = &disks[1]["cache"];
    assert_eq!(
        (&cache["requested"], &cache["mode"], &cache["direct"]),
        (&json!("auto"), &json!("none"), &Value::Null)
    );
    assert_eq!(cache["reason"], "`vm.cacheMode` is `auto`; `/srv` takes O_DIRECT");
    assert!(vm["nics"][0]["mac"].as_str().unwrap().starts_with("52:54:00:"));

    let told = scene.agent.world.vm(vm["id"].as_str().unwrap()).unwrap();
    assert_eq!((told.name.as_str(), told.state, told.disks.len()), ("web", State::Running, 2));
    scene.running.stop().await;
}

#[tokio::test]
async fn buttons_do_what_they_say() {
    let scene = Scene::with_image().await;
    scene.succeed(Method::POST, "/api/v1/vms", small("web")).await;
    for (button, state) in [
        ("start", "running"),
        ("pause", "paused"),
        ("resume", "running"),
        ("reset", "running"),
        ("reboot", "running"),
        ("shutdown", "shutoff"),
        ("start", "running"),
        ("force-off", "shutoff"),
    ] {
        scene.succeed(Method::POST, &format!("/api/v1/vms/web/{button}"), Value::Null).await;
        assert_eq!(scene.get("/api/v1/vms/web").await["state"], state, "{button}");
    }
    let console = scene.get("/api/v1/vms/web/console?offset=4").await;
    assert_eq!((&console["text"], &console["next_offset"]), (&json!("login: "), &json!(11)));
    let strange = scene.refused(Method::GET, "/api/v1/vms/web/console?page=4", Value::Null).await;
    assert_eq!(strange, (400, "bad_request".into()));
    assert_eq!(scene.refused(Method::POST, "/api/v1/vms/web/fly", Value::Null).await.0, 404);
    scene.running.stop().await;
}

#[tokio::test]
async fn the_state_follows_the_host_without_asking() {
    let scene = Scene::with_image().await;
    scene.succeed(Method::POST, "/api/v1/vms", small("web")).await;
    let id = scene.get("/api/v1/vms/web").await["id"].as_str().unwrap().to_owned();
    scene.agent.world.happen(&id, |vms, id| vms.get_mut(&id).unwrap().state = State::Crashed);
    let path = "/api/v1/vms/web";
    scene.running.eventually(&scene.token, path, |vm| vm["state"] == "crashed").await;
    scene.agent.world.happen(&id, |vms, id| drop(vms.remove(&id)));
    let vm = scene.running.eventually(&scene.token, path, |vm| vm["state"] == "missing").await;
    assert!(vm["reason"].as_str().unwrap().contains("does not have it"), "{vm}");
    // What its host has not got can still be removed.
    scene.succeed(Method::DELETE, "/api/v1/vms/web?volumes=true", Value::Null).await;
    assert_eq!(scene.get("/api/v1/volumes").await, json!({"volumes": []}));
    scene.running.stop().await;
}

#[tokio::test]
async fn volumes_come_and_go_and_the_root_disk_stays() {
    let scene = Scene::with_image().await;
    scene.succeed(Method::POST, "/api/v1/vms", small("web")).await;
    scene.succeed(Method::POST, "/api/v1/volumes", json!({"name": "more", "size_bytes": 1 << 20})).await;
    let attach = json!({"volume": "more", "bus": "scsi"});
    scene.succeed(Method::POST, "/api/v1/vms/web/volumes", attach.clone()).await;
    let disk = scene.get("/api/v1/vms/web").await["disks"][2].clone();
    assert_eq!(
        (&disk["volume_name"], &disk["bus"], &disk["target"]),
        (&json!("more"), &json!("scsi"), &json!("vdc"))
    );
    assert_eq!(scene.refused(Method::POST, "/api/v1/vms/web/volumes", attach).await.1, "conflict");
    assert_eq!(scene.refused(Method::DELETE, "/api/v1/volumes/more", Value::Null).await.1, "in_use");
    assert_eq!(
        scene.refused(Method::DELETE, "/api/v1/vms/web/volumes/web-root", Value::Null).await.1,
        "conflict"
    );
    scene.succeed(Method::DELETE, "/api/v1/vms/web/volumes/more", Value::Null).await;
    assert_eq!(
        scene.refused(Method::DELETE, "/api/v1/vms/web/volumes/more", Value::Null).await.1,
        "conflict"
    );
    assert_eq!(scene.get("/api/v1/vms/web").await["disks"].as_array().unwrap().len(), 2);
    scene.succeed(Method::DELETE, "/api/v1/volumes/more", Value::Null).await;
    scene.running.stop().await;
}

#[tokio::test]
async fn a_drive_takes_raw_images() {
    let scene = Scene::with_image().await;
    scene.succeed(Method::POST, "/api/v1/vms", small("web")).await;
    let drive = "/api/v1/vms/web/cdroms/0";
    scene.succeed(Method::PUT, drive, json!({"image": "debian"})).await;
    let cdrom = scene.get("/api/v1/vms/web").await["cdroms"][0].clone();
    assert_eq!((&cdrom["image_name"], &cdrom["cache"]["mode"]), (&json!("debian"), &json!("none")));
    assert_eq!(cdrom["cache"]["reason"], "`vm.cacheMode` is `auto`; `/srv` takes O_DIRECT");
    // Whatever lies in it.
    scene.succeed(Method::PUT, drive, json!({"image": "debian"})).await;
    let media =
        |vm: &Value| scene.agent.world.vm(vm["id"].as_str().unwrap()).unwrap().cdroms[0].media.clone();
    assert!(media(&scene.get("/api/v1/vms/web").await).is_some());
    assert_eq!(
        scene.refused(Method::PUT, "/api/v1/vms/web/cdroms/7", json!({"image": "debian"})).await.1,
        "invalid"
    );
    scene.succeed(Method::DELETE, drive, Value::Null).await;
    assert_eq!(scene.get("/api/v1/vms/web").await["cdroms"][0]["image"], Value::Null);
    scene.running.stop().await;
}

#[tokio::test]
async fn an_image_is_not_removed_while_it_is_laid_into_a_drive() {
    let scene = Scene::with_image().await;
    scene
        .succeed(
            Method::POST,
            "/api/v1/vms",
            json!({"name": "web", "memory_bytes": 256 << 20, "vcpus": 1,
        "root": {"size_bytes": 1 << 30}}),
        )
        .await;
    scene.agent.world.hold("vm-insert-media");
    let insert = json!({"image": "debian"});
    let answer = scene.running.ask(&scene.token, Method::PUT, "/api/v1/vms/web/cdroms/0", &insert).await;
    scene.agent.world.until_held("vm-insert-media").await;
    let refused = scene.refused(Method::DELETE, "/api/v1/images/debian", Value::Null).await;
    assert_eq!(refused, (409, "busy".into()));
    scene.agent.world.let_go();
    let task = scene.running.ended(&scene.token, answer.json()["id"].as_str().unwrap()).await;
    assert_eq!(task["state"], "succeeded");
    let refused = scene.refused(Method::DELETE, "/api/v1/images/debian", Value::Null).await;
    assert_eq!(refused, (409, "in_use".into()));
    scene.running.stop().await;
}

#[tokio::test]
async fn a_machine_that_is_not_what_it_is_thought_to_be_goes_too() {
    let scene = Scene::with_image().await;
    scene.succeed(Method::POST, "/api/v1/vms", small("web")).await;
    let id = scene.get("/api/v1/vms/web").await["id"].as_str().unwrap().to_owned();
    // It was started by somebody else, and nobody has heard of it yet.
    scene.agent.world.turn_unheard(&id, State::Running);
    assert_eq!(scene.get("/api/v1/vms/web").await["state"], "shutoff");
    scene.succeed(Method::DELETE, "/api/v1/vms/web?volumes=true", Value::Null).await;
    assert_eq!(scene.agent.world.orders("vm-destroy"), 1);
    assert!(scene.agent.world.vm(&id).is_none());
    scene.running.stop().await;
}

#[tokio::test]
async fn no_two_network_cards_have_one_address() {
    let scene = Scene::with_image().await;
    let mut order = small("web");
    let nic = json!({"bridge": "br0", "mac": "52:54:00:00:00:01"});
    order["nics"] = json!([nic, {"bridge": "br0", "mac": "52:54:00:00:00:0A"}, nic]);
    assert_eq!(scene.refused(Method::POST, "/api/v1/vms", order.clone()).await, (409, "conflict".into()));
    order["nics"] = json!([nic]);
    scene.succeed(Method::POST, "/api/v1/vms", order.clone()).await;
    order["name"] = "other".into();
    assert_eq!(scene.refused(Method::POST, "/api/v1/vms", order).await, (409, "conflict".into()));
    scene.running.stop().await;
}

#[tokio::test]
async fn a_machine_goes_with_its_volumes_or_without() {
    let scene = Scene::with_image().await;
    for (name, volumes) in [("one", 2), ("two", 2)] {
        let mut order = small(name);
        order["start"] = true.into();
        scene.succeed(Method::POST, "/api/v1/vms", order).await;
        assert!(scene.get("/api/v1/volumes").await["volumes"].as_array().unwrap().len() >= volumes);
    }
    scene.succeed(Method::DELETE, "/api/v1/vms/one", Value::Null).await;
    scene.succeed(Method::DELETE, "/api/v1/vms/two?volumes=true", Value::Null).await;
    assert_eq!(scene.get("/api/v1/vms").await, json!({"vms": []}));
    let volumes = scene.get("/api/v1/volumes").await;
    let names: Vec<_> = volumes["volumes"].as_array().unwrap().iter().map(|volume| &volume["name"]).collect();
    assert_eq!(names, ["one-data1", "one-root"]);
    assert!(volumes["volumes"][0]["vm"].is_null());
    scene.running.stop().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_before_anything_is_made() {
    let scene = Scene::with_image().await;
    let files = scene.agent.world.files();
    let with = |field: &str, value: Value| {
        let mut order = small("web");
        order[field] = value;
        order
    };
    for (wrong, expected) in [
        (with("name", "a b".into()), (422, "invalid")),
        (with("memory_bytes", 1000.into()), (422, "invalid")),
        (with("vcpus", 0.into()), (422, "invalid")),
        (with("root", json!({"image": "nothing"})), (404, "not_found")),
        (with("root", json!({})), (422, "invalid")),
        (with("data", json!([{"size_bytes": 7}])), (422, "invalid")),
        (with("boot", json!(["hd", "hd"])), (422, "invalid")),
        (with("nics", json!([{"bridge": "br0", "mac": "no"}])), (422, "invalid")),
        (with("cdrom", "nothing".into()), (404, "not_found")),
        (with("machine", "pdp11".into()), (400, "bad_request")),
        (with("cacheMode", "writeback".into()), (400, "bad_request")),
    ] {
        let refused = scene.refused(Method::POST, "/api/v1/vms", wrong.clone()).await;
        assert_eq!(refused, (expected.0, expected.1.to_owned()), "{wrong}");
    }
    assert_eq!(scene.agent.world.files(), files);
    assert_eq!(scene.get("/api/v1/volumes").await, json!({"volumes": []}));
    scene.running.stop().await;
}
