//! What users type, from an empty cloud to a virtual machine and back.

use std::io::{BufRead, BufReader, Read};

use rustix::process::{Pid, Signal};
use serde_json::json;

use crate::scene::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_made_shown_turned_off_and_removed() {
    let scene = Scene::ready().await;
    scene.run(&["config", "set", "vm.cacheMode", "none"]).await.ok();
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
    assert!(text.contains("volume_name:"), "{text}");
    let said = |field: &str| {
        let line = text.lines().map(str::trim).find(|line| line.starts_with(field));
        line.map(|line| line[field.len()..].trim().to_owned()).unwrap_or_default()
    };
    assert_eq!(
        ["direct:", "mode:", "requested:", "set_at:"].map(said),
        ["true", "none", "none", "global"],
        "{text}"
    );
    assert!(said("reason:").starts_with("`vm.cacheMode` is `none`; "), "{text}");

    scene.run(&["vm", "shutdown", "web", "--wait"]).await.ok();
    assert_eq!(scene.run(&["vm", "show", "web", "--output", "json"]).await.json()["state"], "shutoff");
    // While it is off no file is open: there is nothing to say of O_DIRECT, and it says so.
    let text = scene.run(&["vm", "show", "web"]).await.ok();
    assert!(text.contains("`vm.cacheMode` is `none`; ") && !text.contains("direct:"), "{text}");
    scene.run(&["vm", "delete", "web", "--volumes", "--wait"]).await.ok();
    assert_eq!(scene.run(&["volume", "list", "--output", "json"]).await.json(), json!({"volumes": []}));
    let tasks = scene.run(&["task", "list"]).await.ok();
    assert!(tasks.lines().count() == 5 && !tasks.contains("failed"), "{tasks}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_mode_is_tried_set_explained_and_cleared() {
    let scene = Scene::ready().await;
    scene.run(&["vm", "create", "web", "--image", "debian", "--start", "--wait"]).await.ok();
    let text = scene.run(&["volume", "explain", "web-root"]).await.ok();
    for line in [
        "volume     `web-root`, a disk of `web`, which is running",
        "requested  auto, set for everything",
        "           global `vm.cacheMode`: auto, which counts",
    ] {
        assert!(text.lines().any(|told| told == line), "{text}");
    }
    assert!(
        text.contains("in force   none: `vm.cacheMode` is `auto`; ") && text.contains("found now  `"),
        "{text}"
    );
    let what_if = scene.run(&["volume", "explain", "web-root", "--if", "writeback", "--at", "vm"]).await.ok();
    assert!(
        what_if.ends_with(
            "once it is set, `web` can change live: `cairn vm apply-cache web`\n\
             1 running virtual machine can change live; nothing was changed\n"
        ),
        "{what_if}"
    );
    let tried = scene.run(&["config", "set", "vm.cacheMode", "directsync", "--dry-run"]).await.ok();
    assert!(tried.contains("1 running virtual machine keeps its mode until a restart"), "{tried}");
    assert_eq!(scene.run(&["config", "set", "task.retention", "8d", "--dry-run"]).await.code, Some(1));

    let refused = scene.run(&["storage", "cache", "set", "default", "unsafe"]).await;
    assert_eq!((refused.code, refused.out.as_str()), (Some(8), ""));
    assert!(
        refused.err.contains("a crash of the host loses") && refused.err.contains("--accept-loss"),
        "{refused:?}"
    );
    let set = scene.run(&["storage", "cache", "set", "default", "unsafe", "--accept-loss"]).await;
    let live =
        "1 running virtual machine can change live\n`web` can change live: `cairn vm apply-cache web`\n";
    assert_eq!(
        (set.out.as_str(), set.err.as_str()),
        ("storage `default`: unsafe (a crash of the host loses what is on the disks)\n", live)
    );
    assert_eq!(scene.run(&["vm", "cache", "set", "web", "none"]).await.ok(), "vm `web`: none\n");
    let set = scene.run(&["volume", "cache", "set", "web-root", "writeback"]).await;
    assert_eq!((set.out.as_str(), set.err.as_str()), ("volume `web-root`: writeback\n", live));
    let text = scene.run(&["volume", "explain", "web-root"]).await.ok();
    assert!(text.contains("pending    it can change live: `cairn vm apply-cache web`\n"), "{text}");
    scene.run(&["vm", "apply-cache", "web", "--wait"]).await.ok();
    let cache = &scene.run(&["vm", "show", "web", "--output", "json"]).await.json()["disks"][0]["cache"];
    assert_eq!((&cache["mode"], &cache["set_at"]), (&json!("writeback"), &json!("volume")));
    scene.run(&["volume", "cache", "set", "web-root", "directsync"]).await.ok();
    let refused = scene.run(&["vm", "apply-cache", "web", "--wait"]).await;
    assert!(refused.code == Some(8) && refused.err.contains("`cairn vm reboot web`"), "{refused:?}");
    scene.run(&["volume", "cache", "set", "web-root", "writeback"]).await.ok();
    assert_eq!(
        scene.run(&["volume", "cache", "show", "web-root"]).await.ok(),
        "volume `web-root`: writeback\n"
    );
    scene.run(&["vm", "reboot", "web", "--wait"]).await.ok();
    let cache = &scene.run(&["vm", "show", "web", "--output", "json"]).await.json()["disks"][0]["cache"];
    assert_eq!((&cache["mode"], &cache["set_at"]), (&json!("writeback"), &json!("volume")));
    let cleared = scene.run(&["volume", "cache", "clear", "web-root"]).await;
    assert_eq!((cleared.out.as_str(), cleared.err.as_str()), ("volume `web-root`: nothing is set\n", live));
    let history = scene.run(&["volume", "cache", "history", "web-root", "--output", "json"]).await.json();
    assert_eq!((&history[0]["from"], &history[1]["to"]), (&json!("writeback"), &json!("writeback")));

    // What is set for everything says what becomes of machines that run, and how many; one that is pinned is none of them.
    let create =
        ["vm", "create", "pinned", "--image", "debian", "--cache", "writethrough", "--start", "--wait"];
    scene.run(&create).await.ok();
    let pinned = scene.run(&["vm", "show", "pinned", "--output", "json"]).await.json();
    assert_eq!(
        (&pinned["cache"]["mode"], &pinned["disks"][0]["cache"]["mode"]),
        (&json!("writethrough"), &json!("writethrough"))
    );
    let scratch = ["volume", "create", "scratch", "--size", "1M", "--cache", "unsafe"];
    let refused = scene.run(&scratch).await;
    assert!(refused.code == Some(8) && refused.err.contains("--accept-loss"), "{refused:?}");
    scene.run(&[&scratch[..], &["--accept-loss", "--wait"]].concat()).await.ok();
    scene.run(&["vm", "cache", "clear", "web"]).await.ok();
    scene.run(&["storage", "cache", "clear", "default"]).await.ok();
    let set = scene.run(&["config", "set", "vm.cacheMode", "writeback"]).await;
    assert!(set.out.contains("vm.cacheMode") && !set.out.contains("stays as it is"), "{set:?}");
    assert_eq!(set.err, "1 virtual machine stays as it is\n", "{set:?}");
    for name in ["two", "three"] {
        scene.run(&["vm", "create", name, "--image", "debian", "--start", "--wait"]).await.ok();
    }
    let set = scene.run(&["config", "set", "vm.cacheMode", "none"]).await;
    let told = "3 running virtual machines can change live\n\
                3 can change live, each by `cairn vm apply-cache NAME`: see `cairn vm list`\n";
    assert_eq!(set.err, told, "{set:?}");
    let reset = scene.run(&["config", "reset", "vm.cacheMode"]).await;
    assert!(reset.err.starts_with("3 running virtual machines can change live\n"), "{reset:?}");

    let check = scene.run(&["storage", "check", "default"]).await.ok();
    assert!(check.contains("64 times, median 1.0 ms") && check.contains("direct_io"), "{check}");
    let migration = scene.run(&["vm", "migration", "web"]).await.ok();
    assert!(
        migration.contains("lies on this host alone") && migration.ends_with("it may not migrate\n"),
        "{migration}"
    );
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
    let list = scene.run(&["config", "list"]).await.ok();
    let list: Vec<Vec<&str>> = list
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    assert_eq!(list[0], ["CATEGORY", "KEY", "VALUE", "DEFAULT", "DESCRIPTION"]);
    assert_eq!(list[1][..4], ["task", "task.agentPatience", "5m", "yes"]);
    assert_eq!(list[3][..4], ["kvm", "vm.cacheMode", "auto", "yes"]);
    assert_eq!(list[4][..4], ["vm", "vm.shutdownPatience", "2m", "no, 90s"]);
    let misspelt = scene.run(&["config", "set", "vm.shutdwnPatience", "2m"]).await;
    assert_eq!((misspelt.code, misspelt.out.as_str()), (Some(1), ""));
    assert_eq!(
        misspelt.err,
        "cairn: there is no setting `vm.shutdwnPatience`; did you mean `vm.shutdownPatience`? If not, list what there \
         is: `cairn config list`\n"
    );
    let history = scene.run(&["config", "history", "vm.shutdownPatience"]).await.ok();
    assert!(history.lines().nth(1).unwrap().starts_with("admin  90s   2m"), "{history}");
    assert!(scene.run(&["config", "reset", "vm.shutdownPatience"]).await.ok().contains("90s"));
    let token = scene.run(&["host", "token", "--reach", "cloud.example:8443"]).await.ok();
    assert!(token.contains("cairn1_"), "{token}");
    let version = scene.run(&["--version"]).await.ok();
    assert!(version.starts_with("cairn"), "{version}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_carried_from_one_server_to_another() {
    let scene = Scene::ready().await;
    let export = async |arguments: &[&str]| scene.run(&[&["config", "export"], arguments].concat()).await;
    assert_eq!(export(&[]).await.ok(), "# Every setting has its default.\n");
    assert_eq!(export(&["--output", "json"]).await.json(), json!({"values": {}}));
    scene.run(&["config", "set", "vm.shutdownPatience", "2m"]).await.ok();
    let exported = export(&[]).await.ok();
    assert_eq!(exported, "\"vm.shutdownPatience\" = \"2m\"\n");
    assert_eq!(export(&["--output", "json"]).await.json(), json!({"values": {"vm.shutdownPatience": "2m"}}));
    assert_eq!(
        export(&["--all"]).await.ok(),
        "\"task.agentPatience\" = \"5m\"\n\"task.retention\" = \"30d\"\n\"vm.cacheMode\" = \"auto\"\n\
         \"vm.shutdownPatience\" = \"2m\"\n"
    );

    let file = scene.root.path().join("settings.toml");
    std::fs::write(&file, &exported).unwrap();
    let import = ["config", "import", file.to_str().unwrap()];
    assert_eq!(scene.run(&import).await.ok(), "nothing differs\n");
    scene.run(&["config", "reset", "vm.shutdownPatience"]).await.ok();
    let changed = scene.run(&import).await.ok();
    assert_eq!(changed, "KEY                  FROM  TO\nvm.shutdownPatience  90s   2m\n");
    assert_eq!(export(&[]).await.ok(), exported);

    // As another release wrote it.
    let given = "[vm]\nCacheMode = 2";
    let changed = scene.run_with(&["config", "import", "-"], given).await.ok();
    assert_eq!(changed, "KEY           FROM  TO\nvm.cacheMode  auto  writeback\n");
    let set = scene.run(&["config", "set", "vm.CacheMode", "0", "--output", "json"]).await.json();
    assert_eq!((&set["key"], &set["value"]), (&json!("vm.cacheMode"), &json!("none")));
    let wrong = scene.run(&["config", "set", "vm.CacheMode", "3"]).await;
    assert_eq!(
        (wrong.code, wrong.err.as_str()),
        (
            Some(1),
            "cairn: `vm.cacheMode` does not take `3`; give `auto`, `none`, `writeback`, `writethrough`, `directsync`, \
             `unsafe`\n"
        )
    );
    let history = scene.run(&["config", "history", "vm.CacheMode"]).await.ok();
    assert!(history.lines().nth(1).unwrap().starts_with("admin  writeback  none"), "{history}");
    assert!(scene.run(&["config", "reset", "vm.CacheMode"]).await.ok().contains("vm.cacheMode"));

    let given = "task.retention = \"7d\"\n[vm]\nshutdownPatience = \"3m\"";
    let changed = scene.run_with(&["config", "import", "-", "--output", "json"], given).await.json();
    assert_eq!(changed["changes"][1], json!({"key": "vm.shutdownPatience", "from": "2m", "to": "3m"}));
    for (wrong, code, said) in [
        ("task.retention = \"8d\"\nvm.shutdwnPatience = \"4m\"", 1, "did you mean `vm.shutdownPatience`?"),
        // A whole number is a text without a unit.
        (
            "task.retention = \"8d\"\nvm.shutdownPatience = 4",
            1,
            "`vm.shutdownPatience` does not take `4`; give 1s to 1h",
        ),
        ("task.retention = 8d", 1, "standard input cannot be imported: line 1: "),
    ] {
        let ran = scene.run_with(&["config", "import", "-"], wrong).await;
        assert_eq!((ran.code, ran.out.as_str()), (Some(code), ""), "{ran:?}");
        assert!(ran.err.contains(said), "{ran:?}");
    }
    let missing = scene.run(&["config", "import", "/nowhere/settings.toml"]).await;
    assert_eq!(missing.code, Some(7));
    assert!(missing.err.starts_with("cairn: cannot read `/nowhere/settings.toml`: "), "{missing:?}");
    assert_eq!(export(&[]).await.ok(), "\"task.retention\" = \"7d\"\n\"vm.shutdownPatience\" = \"3m\"\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_system_without_o_direct_is_told_with_step_sentence_advice_and_command() {
    let scene = Scene::ready().await;
    scene.run(&["config", "set", "vm.cacheMode", "none"]).await.ok();
    scene.run(&["storage", "create", "ram", "--path", "/srv/ram/machines"]).await.ok();
    let ran =
        scene.run(&["vm", "create", "old", "--size", "1G", "--storage", "ram", "--start", "--wait"]).await;
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let tasks = scene.run(&["task", "list", "--output", "json"]).await.json();
    let task = tasks["tasks"][0]["id"].as_str().unwrap();
    let shown = scene.run(&["task", "show", task]).await.ok();
    for said in [
        "`/srv/ram/machines/",
        "` cannot be opened with cache mode `none`: ",
        "O_DIRECT",
        "in the step `",
        "; or let the host choose: `cairn config set vm.cacheMode auto`, then create it again",
    ] {
        assert!(ran.err.contains(said), "{said}: {ran:?}");
        assert!(shown.contains(said), "{said}: {shown}");
    }
    // What it says to type can be typed.
    scene.run(&["config", "set", "vm.cacheMode", "auto"]).await.ok();
    scene.run(&["vm", "create", "old", "--size", "1G", "--storage", "ram", "--start", "--wait"]).await.ok();

    // A volume that is attached is opened at once.
    scene.run(&["config", "set", "vm.cacheMode", "directsync"]).await.ok();
    scene.run(&["volume", "create", "more", "--size", "1G", "--storage", "ram", "--wait"]).await.ok();
    let ran = scene.run(&["vm", "attach", "old", "more", "--wait"]).await;
    let advice =
        "; or let the host choose: `cairn config set vm.cacheMode auto`, then attach the volume again\n";
    assert!(ran.code == Some(3) && ran.err.ends_with(advice), "{ran:?}");
    scene.run(&["config", "set", "vm.cacheMode", "auto"]).await.ok();
    scene.run(&["vm", "attach", "old", "more", "--wait"]).await.ok();
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
    scene.run(&["config", "set", "vm.cacheMode", "writeback"]).await.ok();
    scene.run(&["vm", "create", "web", "--image", "debian", "--start", "--wait"]).await.ok();
    scene.run(&["volume", "create", "more", "--size", "1G", "--wait"]).await.ok();
    scene.run(&["vm", "attach", "web", "more", "--wait"]).await.ok();
    let vm = scene.run(&["vm", "show", "web", "--output", "json"]).await.json();
    assert_eq!(
        (&vm["disks"][1]["volume_name"], &vm["disks"][1]["cache"]["mode"]),
        (&json!("more"), &json!("writeback"))
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
