//! A second host: its agent joins with a token that the command line made, and runs virtual machines from then on.

use std::net::{SocketAddr, TcpListener};

use agent_protocol::join::JoinToken;
use packaging_service::files::{Access, create_folder};
use packaging_service::layout::Layout;

use crate::scene::{Scene, start_agent};

#[tokio::test(flavor = "multi_thread")]
async fn a_host_joins_and_works_and_goes() {
    let scene = Scene::ready().await;
    let reach = format!("localhost:{}", scene.address.port());
    let token = scene.run(&["host", "token", "--reach", &reach, "--output", "json"]).await.json();
    let token: JoinToken = token["token"].as_str().unwrap().parse().unwrap();

    let root = tempfile::tempdir().unwrap();
    let layout = Layout::new(root.path());
    create_folder(&layout.tls_folder(), Access::Private).unwrap();
    create_folder(&layout.agent_data(), Access::Private).unwrap();
    // Freed for the agent, which must be told its port before it opens it.
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen: SocketAddr = free.local_addr().unwrap();
    drop(free);
    let id = agent::join::join(&layout, &token, listen.port(), false).await.unwrap().to_string();
    let _agent = start_agent(&layout, listen);

    let show = ["host", "show", &id, "--output", "json"];
    let host = scene.until(&show, |host| host["link"]["state"] == "connected").await;
    let name = host["name"].as_str().unwrap();
    assert_eq!((host["local"].as_bool(), host["hypervisor"].is_null()), (Some(false), true));
    assert_eq!(host["facts"]["hypervisor"]["version"], "simulated");

    // Two hosts: which one is meant has to be said now.
    let vague = scene.run(&["storage", "create", "far", "--path", "/srv/far"]).await;
    assert_eq!(vague.code, Some(1), "{vague:?}");
    scene.run(&["storage", "create", "far", "--path", "/srv/far", "--host", name]).await.ok();
    let stranger = ["vm", "create", "x", "--image", "debian", "--storage", "far", "--wait"];
    assert_eq!(scene.run(&stranger).await.code, Some(1));
    let blank = ["vm", "create", "far-vm", "--size", "1G", "--storage", "far", "--start", "--wait"];
    scene.run(&blank).await.ok();
    let vm = scene.run(&["vm", "show", "far-vm", "--output", "json"]).await.json();
    assert_eq!((vm["host_name"].as_str(), vm["state"].as_str()), (Some(name), Some("running")));

    assert_eq!(scene.run(&["host", "delete", name]).await.code, Some(8));
    scene.run(&["vm", "delete", "far-vm", "--volumes", "--wait"]).await.ok();
    scene.run(&["storage", "delete", "far"]).await.ok();
    scene.run(&["host", "delete", name]).await.ok();
    assert_eq!(scene.run(&["host", "list"]).await.ok().lines().count(), 2);
}
