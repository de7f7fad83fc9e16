//! What users type, from an empty cloud to a virtual machine and back.

use std::io::{BufRead, BufReader, Read};

use rustix::process::{Pid, Signal};
use serde_json::json;

use crate::scene::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_made_shown_turned_off_and_removed() {
    let scene = Scene::ready().await;
    let made = scene
        .run(&[
            "vm", "create", "web", "--image", "debian", "--memory", "512M", "--data", "1G", "--start",
            "--wait",
        ])
        .await;
    assert!(made.err.ends_with("100%  vm_create of vm `web` is done\n"), "{made:?}");
    assert!(made.ok().ends_with(" vm_create vm web succeeded\n"));

    let table = scene.run(&["vm", "list"]).await.ok();
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NAME", "STATE", "HOST", "VCPUS", "MEMORY", "CACHE", "TASK"]);
    assert_eq!((lines[1][0], lines[1][1], lines[1][4], lines[1][5]), ("web", "running", "512M", "none,none"));

    let shown = scene.run(&["vm", "show", "web", "--output", "json"]).await.json();
    let id = shown["id"].as_str().unwrap();
    assert_eq!(scene.run(&["vm", "show", id, "--output", "json"]).await.json()["name"], "web");
    let text = scene.run(&["vm", "show", "web"]).await.ok();
    assert!(text.contains("reason:") && text.contains("volume_name:"), "{text}");

    scene.run(&["vm", "shutdown", "web", "--wait"]).await.ok();
    assert_eq!(scene.run(&["vm", "show", "web", "--output", "json"]).await.json()["state"], "shutoff");
    scene.run(&["vm", "delete", "web", "--volumes", "--wait"]).await.ok();
    assert_eq!(scene.run(&["volume", "list", "--output", "json"]).await.json(), json!({"volumes": []}));
    let tasks = scene.run(&["task", "list"]).await.ok();
    assert!(tasks.lines().count() == 5 && !tasks.contains("failed"), "{tasks}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_one_sentence_and_a_code() {
    let scene = Scene::ready().await;
    let ran = scene.run(&["vm", "start", "nothing"]).await;
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert_eq!(ran.err, "cairn: there is no vm `nothing`; list what there is: `cairn vm list`\n");
    for (wrong, code) in [
        (&["vm", "fly"][..], 1),
        (&["vm", "start", "../hosts"], 1),
        (&["volume", "create", "x", "--size", "lots"], 1),
        (&["volume", "create", "x"], 1),
        (&["image", "import", "debian", "--source", "/root/debian.img"], 8),
        (&["image", "import", "x", "--source", "/root/nothing.img", "--wait"], 6),
        (
            &["image", "import", "x", "--source", "/root/debian.img", "--sha256", &"00".repeat(32), "--wait"],
            2,
        ),
        (&["storage", "delete", "default"], 8),
        (&["config", "set", "vm.shutdownPatience", "soon"], 1),
    ] {
        let ran = scene.run(wrong).await;
        assert_eq!(ran.code, Some(code), "{wrong:?}: {ran:?}");
        assert_eq!(ran.out, "", "{wrong:?}");
    }
    assert_eq!(scene.run(&["image", "list"]).await.ok().lines().count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_and_hosts_are_shown_and_changed() {
    let scene = Scene::ready().await;
    let hosts = scene.run(&["host", "list"]).await.ok();
    assert!(hosts.contains("connected"), "{hosts}");
    let set = scene.run(&["config", "set", "vm.shutdownPatience", "2m"]).await.ok();
    assert!(set.contains("value:") && set.contains("2m"), "{set}");
    let history = scene.run(&["config", "history", "vm.shutdownPatience"]).await.ok();
    assert!(history.lines().nth(1).unwrap().starts_with("admin  90s   2m"), "{history}");
    assert!(scene.run(&["config", "reset", "vm.shutdownPatience"]).await.ok().contains("90s"));
    let token = scene.run(&["host", "token", "--reach", "cloud.example:8443"]).await.ok();
    assert!(token.contains("cairn1_"), "{token}");
    let version = scene.run(&["--version"]).await.ok();
    assert!(version.starts_with("cairn"), "{version}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_guest_is_reported_with_what_to_do() {
    let scene = Scene::ready().await;
    scene.run(&["image", "import", "silent", "--source", "/root/silent.img", "--wait"]).await.ok();
    scene.run(&["vm", "create", "deaf", "--image", "silent", "--start", "--wait"]).await.ok();
    scene.run(&["config", "set", "vm.shutdownPatience", "1s"]).await.ok();
    let ran = scene.run(&["vm", "shutdown", "deaf", "--wait"]).await;
    assert_eq!(ran.code, Some(6), "{ran:?}");
    assert!(
        ran.err.contains("did not turn itself off within 1 second") && ran.err.contains("force"),
        "{ran:?}"
    );
    assert_eq!(scene.run(&["vm", "show", "deaf", "--output", "json"]).await.json()["state"], "running");
    scene.run(&["vm", "force-off", "deaf", "--wait"]).await.ok();
    assert_eq!(scene.run(&["vm", "show", "deaf", "--output", "json"]).await.json()["state"], "shutoff");
}

#[tokio::test(flavor = "multi_thread")]
async fn disks_and_images_come_and_go_while_it_runs() {
    let scene = Scene::ready().await;
    scene.run(&["vm", "create", "web", "--image", "debian", "--start", "--wait"]).await.ok();
    scene.run(&["volume", "create", "more", "--size", "1G", "--wait"]).await.ok();
    scene.run(&["vm", "attach", "web", "more", "--wait"]).await.ok();
    let vm = scene.run(&["vm", "show", "web", "--output", "json"]).await.json();
    assert_eq!(
        (&vm["disks"][1]["volume_name"], &vm["disks"][1]["cache"]["mode"]),
        (&json!("more"), &json!("none"))
    );
    scene.run(&["vm", "detach", "web", "more", "--wait"]).await.ok();
    scene.run(&["volume", "resize", "more", "--size", "2G", "--wait"]).await.ok();
    scene.run(&["vm", "insert", "web", "debian", "--wait"]).await.ok();
    let vm = scene.run(&["vm", "show", "web", "--output", "json"]).await.json();
    assert_eq!(
        (&vm["cdroms"][0]["image_name"], vm["disks"].as_array().unwrap().len()),
        (&json!("debian"), 1)
    );
    scene.run(&["vm", "eject", "web", "--wait"]).await.ok();
    scene.run(&["vm", "console", "web"]).await.ok();
    for button in ["pause", "resume", "reset", "reboot", "force-off"] {
        scene.run(&["vm", button, "web", "--wait"]).await.ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_no_longer_is_told_how_to_go_on() {
    let scene = Scene::ready().await;
    scene.agent.stop();
    scene
        .until(&["host", "list", "--output", "json"], |list| {
            list["hosts"][0]["link"]["state"] == "disconnected"
        })
        .await;
    let mut child = scene.command(&["volume", "create", "data", "--size", "1G", "--wait"]).spawn().unwrap();
    let (interrupt, ended) = tokio::task::spawn_blocking(move || {
        let mut said = String::new();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        // Its agent is away: it says so, and waits.
        while !said.contains("waiting: ") {
            said.clear();
            assert!(lines.read_line(&mut said).unwrap() > 0);
        }
        rustix::process::kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let mut rest = String::new();
        lines.read_to_string(&mut rest).unwrap();
        (rest, child.wait().unwrap().code())
    })
    .await
    .unwrap();
    assert_eq!(ended, Some(9));
    assert!(interrupt.contains("the task goes on"), "{interrupt}");
    let tasks = scene.run(&["task", "list", "--output", "json"]).await.json();
    assert_eq!(tasks["tasks"][0]["state"], "running");
    let task = tasks["tasks"][0]["id"].as_str().unwrap();
    scene.run(&["task", "cancel", task]).await.ok();
    let shown = scene.run(&["task", "show", task, "--output", "json"]).await.json();
    assert_eq!(shown["cancel_requested"], true);
}
