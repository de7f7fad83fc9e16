//! Hosts, storages, images and volumes, as a user of the API meets them.

use agent_protocol::envelope::FailureCode;
use hyper::Method;
use serde_json::{Value, json};
use server::cli::Role;

use crate::agent::Agent;
use crate::support::{Host, Running};

/// A cloud of one host whose agent is played.
pub struct Scene {
    pub host: Host,
    pub agent: Agent,
    pub running: Running,
    pub token: String,
}

impl Scene {
    /// A server with its own host, which answers.
    pub async fn new() -> Self {
        let mut host = Host::new(Role::All);
        let agent = Agent::start(&host.layout).await;
        host.config.local_agent = agent.address;
        let running = host.start().await;
        let token = running.token().await;
        let scene = Self { host, agent, running, token };
        scene.connected().await;
        scene
    }

    /// Waits until the host answers.
    pub async fn connected(&self) -> Value {
        let connected = |hosts: &Value| hosts["hosts"][0]["link"]["state"] == "connected";
        self.running.eventually(&self.token, "/api/v1/hosts", connected).await
    }

    /// With a storage and an image in it.
    pub async fn with_image() -> Self {
        let scene = Self::new().await;
        let storage = json!({"name": "default", "path": "/srv/cairn"});
        assert_eq!(scene.post("/api/v1/storages", &storage).await.0, 201);
        scene.agent.world.put_file("/root/debian.img", 3 << 30);
        let image = json!({"name": "debian", "source": "/root/debian.img"});
        scene.running.succeed(&scene.token, Method::POST, "/api/v1/images", image).await;
        scene
    }

    pub async fn get(&self, path: &str) -> Value {
        let answer = self.running.get_as(&self.token, path).await;
        assert_eq!(answer.status.as_u16(), 200, "{path}: {:?}", answer.body);
        answer.json()
    }

    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.running.post(&self.token, path, body).await;
        (answer.status.as_u16(), answer.json())
    }

    /// Status and code of what is refused.
    pub async fn refused(&self, method: Method, path: &str, body: Value) -> (u16, String) {
        self.running.ask(&self.token, method, path, &body).await.error()
    }

    pub async fn succeed(&self, method: Method, path: &str, body: Value) -> Value {
        self.running.succeed(&self.token, method, path, body).await
    }

    /// The server ends and another one begins on the same files.
    pub async fn restart(self) -> Self {
        self.running.stop().await;
        let running = self.host.start().await;
        let token = running.token().await;
        Self { running, token, ..self }
    }
}

#[tokio::test]
async fn the_servers_own_host_comes_in_by_itself_and_stays() {
    let scene = Scene::new().await;
    let host = scene.get("/api/v1/hosts").await["hosts"][0].clone();
    assert_eq!((&host["local"], &host["facts"]["name"]), (&json!(true), &json!("node1")));
    assert_eq!(host["address"], json!(scene.agent.address.to_string()));
    let name = host["name"].as_str().unwrap();
    assert_eq!(scene.get(&format!("/api/v1/hosts/{name}")).await["id"], host["id"]);
    let path = format!("/api/v1/hosts/{}", host["id"].as_str().unwrap());
    assert_eq!(scene.refused(Method::DELETE, &path, Value::Null).await, (409, "conflict".into()));
    let scene = scene.restart().await;
    let hosts = scene.connected().await;
    assert_eq!(hosts["hosts"].as_array().unwrap().len(), 1);
    assert_eq!(hosts["hosts"][0]["id"], host["id"]);
    scene.running.stop().await;
}

#[tokio::test]
async fn what_a_host_says_of_itself_is_asked_for_again() {
    let scene = Scene::new().await;
    scene.agent.world.lose_hypervisor("libvirt went away");
    let told = |hosts: &Value| hosts["hosts"][0]["facts"]["hypervisor"]["reason"] == "libvirt went away";
    scene.running.eventually(&scene.token, "/api/v1/hosts", told).await;
    scene.running.stop().await;
}

#[tokio::test]
async fn a_host_that_falls_silent_is_shown_with_since_when_and_why() {
    let scene = Scene::new().await;
    let (world, address) = (scene.agent.world.clone(), scene.agent.address);
    world.refuse("vm-watch", Some(FailureCode::Unavailable));
    // A change makes the watch come back, and the next one is refused.
    world.happen("67e55044-10b1-426f-9247-bb680e5fe0c8", |_, _| {});
    let disconnected = |hosts: &Value| hosts["hosts"][0]["link"]["state"] == "disconnected";
    let hosts = scene.running.eventually(&scene.token, "/api/v1/hosts", disconnected).await;
    let link = &hosts["hosts"][0]["link"];
    assert!(link["reason"].as_str().unwrap().contains("libvirt is away"), "{link}");
    assert!(link["reason"].as_str().unwrap().contains(&address.to_string()), "{link}");
    assert!(link["since_ms"].as_i64().unwrap() > 0);
    world.refuse("vm-watch", None);
    scene.connected().await;
    scene.running.stop().await;
}

#[tokio::test]
async fn a_storage_is_a_folder_that_was_looked_at() {
    let scene = Scene::new().await;
    let good = json!({"name": "default", "path": "/srv/cairn"});
    for (wrong, expected) in [
        (json!({"name": "x", "path": "/nowhere"}), (404, "not_found")),
        (json!({"name": "x", "path": "srv"}), (422, "invalid")),
        (json!({"name": "-x", "path": "/srv"}), (422, "invalid")),
        (json!({"name": "x", "path": "/srv", "host": "node9"}), (404, "not_found")),
        (json!({"name": "x", "path": "/srv", "pool": "p"}), (400, "bad_request")),
        (json!({"name": "x"}), (400, "bad_request")),
    ] {
        let refused = scene.refused(Method::POST, "/api/v1/storages", wrong.clone()).await;
        assert_eq!(refused, (expected.0, expected.1.to_owned()), "{wrong}");
    }
    let (status, storage) = scene.post("/api/v1/storages", &good).await;
    assert_eq!((status, &storage["file_system"]), (201, &json!("ext4")));
    assert_eq!(storage["capacity_bytes"], 1u64 << 40);
    assert_eq!(scene.get("/api/v1/storages/default").await["id"], storage["id"]);
    let again = scene.refused(Method::POST, "/api/v1/storages", good).await;
    assert_eq!(again, (409, "name_taken".into()));
    let twin = json!({"name": "other", "path": "/srv/cairn"});
    assert_eq!(scene.refused(Method::POST, "/api/v1/storages", twin).await, (409, "conflict".into()));
    let gone =
        scene.running.ask(&scene.token, Method::DELETE, "/api/v1/storages/default", &Value::Null).await;
    assert_eq!(gone.status.as_u16(), 204);
    assert_eq!(scene.get("/api/v1/storages").await, json!({"storages": []}));
    scene.running.stop().await;
}

#[tokio::test]
async fn an_image_is_copied_looked_into_and_checked() {
    let scene = Scene::with_image().await;
    let image = scene.get("/api/v1/images/debian").await;
    assert_eq!((&image["phase"], &image["format"]), (&json!("ready"), &json!("raw")));
    assert_eq!((&image["size_bytes"], &image["sha256"]), (&json!(3u64 << 30), &json!("ab".repeat(32))));
    assert!(image["path"].as_str().unwrap().starts_with("/srv/cairn/images/"));

    // The expected checksum, in any spelling; and a wrong one leaves nothing behind.
    let right = json!({"name": "right", "source": "/root/debian.img", "sha256": "AB".repeat(32)});
    scene.succeed(Method::POST, "/api/v1/images", right).await;
    let files = scene.agent.world.files();
    let wrong = json!({"name": "wrong", "source": "/root/debian.img", "sha256": "00".repeat(32)});
    let task = scene.running.done(&scene.token, Method::POST, "/api/v1/images", wrong).await;
    assert_eq!((&task["state"], &task["error"]["code"]), (&json!("failed"), &json!("checksum_mismatch")));
    assert_eq!(scene.agent.world.files(), files);
    assert_eq!(
        scene.refused(Method::GET, "/api/v1/images/wrong", Value::Null).await,
        (404, "not_found".into())
    );
    let nonsense = json!({"name": "wrong", "source": "/root/debian.img", "sha256": "xyz"});
    assert_eq!(scene.refused(Method::POST, "/api/v1/images", nonsense).await, (422, "invalid".into()));
    let absent = json!({"name": "absent", "source": "/root/absent.img"});
    let task = scene.running.done(&scene.token, Method::POST, "/api/v1/images", absent).await;
    assert_eq!(task["error"]["code"], "not_found");

    scene.succeed(Method::DELETE, "/api/v1/images/right", Value::Null).await;
    assert_eq!(scene.agent.world.files().len(), 2);
    assert_eq!(scene.refused(Method::DELETE, "/api/v1/storages/default", Value::Null).await.1, "in_use");
    scene.running.stop().await;
}

#[tokio::test]
async fn a_volume_is_blank_or_on_an_image_and_only_grows() {
    let scene = Scene::with_image().await;
    let blank = json!({"name": "blank", "size_bytes": 1 << 30});
    scene.succeed(Method::POST, "/api/v1/volumes", blank.clone()).await;
    scene.succeed(Method::POST, "/api/v1/volumes", json!({"name": "root", "image": "debian"})).await;
    let root = scene.get("/api/v1/volumes/root").await;
    assert_eq!((&root["size_bytes"], &root["image_name"]), (&json!(3u64 << 30), &json!("debian")));
    assert_eq!((&root["format"], &root["phase"]), (&json!("qcow2"), &json!("ready")));
    for (wrong, code) in [
        (json!({"name": "x"}), "invalid"),
        (json!({"name": "x", "size_bytes": 513}), "invalid"),
        (json!({"name": "x", "image": "debian", "size_bytes": 1 << 20}), "invalid"),
        (json!({"name": "x", "image": "nothing"}), "not_found"),
        (blank, "name_taken"),
    ] {
        assert_eq!(scene.refused(Method::POST, "/api/v1/volumes", wrong.clone()).await.1, code, "{wrong}");
    }
    let bigger = json!({"size_bytes": 2u64 << 30});
    scene.succeed(Method::POST, "/api/v1/volumes/blank/resize", bigger.clone()).await;
    assert_eq!(scene.get("/api/v1/volumes/blank").await["size_bytes"], 2u64 << 30);
    let refused = scene.refused(Method::POST, "/api/v1/volumes/blank/resize", bigger).await;
    assert_eq!(refused, (422, "invalid".into()));
    assert_eq!(scene.refused(Method::DELETE, "/api/v1/images/debian", Value::Null).await.1, "in_use");
    for volume in ["blank", "root"] {
        scene.succeed(Method::DELETE, &format!("/api/v1/volumes/{volume}"), Value::Null).await;
    }
    assert_eq!(scene.get("/api/v1/volumes").await, json!({"volumes": []}));
    scene.succeed(Method::DELETE, "/api/v1/images/debian", Value::Null).await;
    scene.running.stop().await;
}

#[tokio::test]
async fn every_resource_is_closed_to_strangers_and_says_what_is_not_there() {
    let scene = Scene::new().await;
    for (path, kind) in [
        ("hosts", "host"),
        ("storages", "storage"),
        ("images", "image"),
        ("volumes", "volume"),
        ("vms", "vm"),
        ("tasks", "task"),
    ] {
        let path = format!("/api/v1/{path}");
        assert_eq!(scene.running.get(&path).await.error(), (401, "no_session".into()), "{path}");
        let one = format!("{path}/nothing");
        assert_eq!(scene.running.get(&one).await.error(), (401, "no_session".into()), "{path}");
        let answer = scene.running.get_as(&scene.token, &one).await;
        assert_eq!(answer.error(), (404, "not_found".into()), "{path}");
        let said = answer.json();
        assert_eq!(said["message"], format!("there is no {kind} `nothing`"));
        assert_eq!(said["next"], format!("list what there is: `cairn {kind} list`"));
    }
    scene.running.stop().await;
}
