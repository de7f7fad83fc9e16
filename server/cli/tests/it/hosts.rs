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

    let refused = scene.run(&["host", "remove", name]).await;
    assert!(refused.code == Some(8) && refused.err.contains("and virtual machines: `far-vm`"), "{refused:?}");
    // What is there is not to be forgotten.
    let living = scene.run(&["host", "remove", name, "--forget", name]).await;
    assert!(living.code == Some(8) && living.err.contains("answers"), "{living:?}");
    scene.run(&["vm", "delete", "far-vm", "--volumes", "--wait"]).await.ok();
    scene.run(&["storage", "delete", "far"]).await.ok();
    scene.run(&["host", "delete", name]).await.ok();
    assert_eq!(scene.run(&["host", "list"]).await.ok().lines().count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_host_is_forgotten_with_all_that_lay_on_it_and_stays_out() {
    let scene = Scene::ready().await;
    let reach = format!("localhost:{}", scene.address.port());
    let made = scene.run(&["host", "add", "--reach", &reach, "--output", "json"]).await.json();
    // Nothing was installed here by a packed file, so there is none to give; with one at hand it is one command all the same.
    assert!(
        made["command"].is_null() && made["no_command"].as_str().unwrap().contains("carry one to the host"),
        "{made}"
    );
    let token: JoinToken = made["token"].as_str().unwrap().parse().unwrap();
    assert_eq!(
        made["command_with_file"].as_str().unwrap(),
        format!(
            "sh FILE.run install --role agent --yes && printf %s '{}' | /opt/cairn/current/bin/cairn-agent join --token-file -",
            token.reveal().unwrap()
        )
    );
    let root = tempfile::tempdir().unwrap();
    let layout = Layout::new(root.path());
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen: SocketAddr = free.local_addr().unwrap();
    drop(free);
    let id = agent::join::join(&layout, &token, listen.port(), false).await.unwrap().to_string();
    let (_, stopper) = start_agent(&layout, listen);
    let show = ["host", "show", &id, "--output", "json"];
    let host = scene.until(&show, |host| host["link"]["state"] == "connected").await;
    let name = host["name"].as_str().unwrap();
    scene.run(&["storage", "create", "far", "--path", "/srv/far", "--host", name]).await.ok();
    let import = ["image", "import", "lost", "--source", "/root/debian.img", "--storage", "far", "--wait"];
    scene.run(&import).await.ok();
    let create =
        ["vm", "create", "far-vm", "--image", "lost", "--storage", "far", "--bridge", "br0", "--wait"];
    scene.run(&create).await.ok();
    let again =
        scene.run(&["host", "token", "--reach", &reach, "--for", name, "--output", "json"]).await.json();

    stopper.stop();
    scene.until(&show, |host| host["link"]["state"] == "disconnected").await;
    let vague = scene.run(&["host", "remove", &id, "--forget", "default"]).await;
    assert!(vague.code == Some(1) && vague.err.contains("is not the name"), "{vague:?}");
    scene.run(&["host", "remove", &id, "--forget", name]).await.ok();
    for list in [["vm", "list"], ["storage", "list"], ["volume", "list"], ["image", "list"], ["host", "list"]]
    {
        let left = scene.run(&list).await.ok();
        assert!(!left.contains("far") && !left.contains("lost"), "{left}");
    }

    // Neither its own token nor one that would have let it join again lets it in.
    for token in [token, again["token"].as_str().unwrap().parse().unwrap()] {
        let other = tempfile::tempdir().unwrap();
        let joined = agent::join::join(&Layout::new(other.path()), &token, listen.port(), false).await;
        assert!(matches!(joined, Err(agent::error::Error::Join(_))));
        assert!(!Layout::new(other.path()).tls("agent.pem").exists());
    }
    assert_eq!(scene.run(&["host", "list"]).await.ok().lines().count(), 2);
}
