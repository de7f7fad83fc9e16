//! A virtual machine from its form to its end.

use agent_hypervisor::simulated::{Call, Moment};
use serde_json::{Value, json};

use crate::in_a_browser;
use crate::resources::{add_storage, import};
use crate::tab::Tab;
use crate::world::{IMAGE, ISO, SILENT_IMAGE};

/// Makes and starts a machine by its form, and waits until it runs.
async fn create(tab: &Tab, name: &str, image: &str) -> Value {
    tab.go("#/new-vm", "Create a virtual machine").await;
    tab.fill("#page", "Name", name).await;
    tab.choose("#page", "Made from", image).await;
    tab.click("#page", "Create").await;
    tab.see("#page h1", name).await;
    tab.see("#page [data-state]", "running").await;
    tab.ask("GET", &format!("vms/{name}"), Value::Null).await
}

/// Waits until no task works on what is shown: until then its buttons do nothing.
async fn idle(tab: &Tab) {
    tab.until("nothing works on it", "!document.querySelector('#page [aria-disabled=true]')").await;
}

#[test]
fn a_machine_is_made_with_one_form_and_shows_what_its_host_says() {
    in_a_browser("a_machine_is_made_with_one_form_and_shows_what_its_host_says", async |world, tab| {
        tab.log_in().await;
        add_storage(tab, "disks", "/srv/cairn").await;
        import(tab, "debian", IMAGE).await;
        import(tab, "tools", ISO).await;
        tab.go("#/vms", "Virtual machines").await;
        tab.click("#page", "Create a virtual machine").await;
        tab.see("#page h1", "Create a virtual machine").await;
        // What is missing is said before anything is sent.
        tab.click("#page", "Create").await;
        tab.see("#page [role=alert]", "Name: ").await;
        tab.fill("#page", "Name", "web").await;
        tab.choose("#page", "Made from", "debian").await;
        tab.click("#page", "Add a data volume").await;
        tab.fill("#page", "Memory", "512").await;
        tab.choose("#page", "Unit", "MiB").await;
        tab.click("#page", "Add a network card").await;
        tab.fill("#page", "Bridge", "br0").await;
        tab.click("#page", "More").await;
        tab.choose("#page", "CD-ROM drive", "tools").await;
        tab.choose("#page", "Accelerator", "tcg").await;
        tab.choose("#page", "Disks are seen on", "scsi").await;
        tab.click("#page", "Create").await;
        tab.see("#page h1", "web").await;
        tab.see("#page [data-state]", "running").await;
        idle(tab).await;

        let vm = tab.ask("GET", "vms/web", Value::Null).await;
        let said = [&vm["memory_bytes"], &vm["accel"], &vm["disks"][1]["bus"], &vm["nics"][0]["bridge"]];
        assert_eq!(said, [&json!(512 << 20), &json!("tcg"), &json!("scsi"), &json!("br0")]);
        for disk in vm["disks"].as_array().unwrap() {
            let row = format!("#page tr[data-key='{}']", disk["volume"].as_str().unwrap());
            let reason = disk["cache"]["reason"].as_str().unwrap().replace('`', "").to_lowercase();
            let mode = disk["cache"]["mode"].as_str().unwrap();
            let target = disk["target"].as_str().unwrap();
            for (part, said) in [(".mode", mode), (".reason", &format!("{reason}.")), ("code", target)] {
                let shown = format!("document.querySelector(\"{row} {part}\")?.textContent.toLowerCase()");
                tab.until(&format!("`{row} {part}` is `{said}`"), &format!("{shown} === {}", json!(said)))
                    .await;
            }
        }

        let uuid = vm["id"].as_str().unwrap().parse().unwrap();
        world.host.write_console(uuid, b"<b>GUEST-UP</b>\r\n").unwrap();
        tab.see("#page .console", "<b>GUEST-UP</b>").await;
        world.host.write_console(uuid, b"login: ").unwrap();
        tab.see("#page .console", "login: ").await;
        tab.picture("running").await;

        tab.click("#page", "Pause").await;
        tab.see("#page [data-state]", "paused").await;
        idle(tab).await;
        tab.click("#page", "Resume").await;
        tab.see("#page .buttons", "Shut down").await;
        idle(tab).await;
        tab.click("#page", "Eject").await;
        tab.click("dialog", "Eject").await;
        tab.see("#page", "Drive 0: empty").await;
        idle(tab).await;
        tab.click("#page", "Insert an image").await;
        tab.click("dialog", "Insert").await;
        tab.see("#page", "Drive 0: tools").await;
        idle(tab).await;

        // A mode that is set is applied while it runs.
        let disk = &vm["disks"][0];
        let other = if disk["cache"]["mode"] == "none" { "writeback" } else { "none" };
        tab.ask("PUT", "volumes/web-root/cache", json!({"mode": other})).await;
        tab.see("#page table", "another mode is due, and can be applied live").await;
        tab.click("#page", "Apply cache modes now").await;
        tab.see("dialog", "these volumes are opened anew in the modes that are set for them: web-root.")
            .await;
        tab.see("dialog", "libvirt marks the domain as tainted").await;
        tab.click("dialog", "Apply").await;
        tab.see(&format!("#page tr[data-key='{}'] .mode", disk["volume"].as_str().unwrap()), other).await;
        tab.see_no("#page", "Apply cache modes now").await;
        idle(tab).await;
        // So is what `auto` comes to once its file system is another one.
        world.host.refuse_direct_io("/srv/cairn");
        tab.go("#/vms", "Virtual machines").await;
        tab.click("#page table", "web").await;
        tab.see("#page table", "another mode is due, and can be applied live").await;
        tab.click("#page", "Apply cache modes now").await;
        tab.see("dialog", "these volumes are opened anew in the modes that are set for them: web-data1.")
            .await;
        tab.click("dialog", "Apply").await;
        let data = vm["disks"][1]["volume"].as_str().unwrap();
        tab.see(&format!("#page tr[data-key='{data}'] .mode"), "writeback").await;
        tab.see_no("#page", "Apply cache modes now").await;
        idle(tab).await;

        tab.ask("PUT", "vms/web/cache", json!({"mode": "writethrough"})).await;
        tab.click("#page", "History of the mode").await;
        tab.see("dialog", "Set for all its disks: writethrough").await;
        tab.see("dialog table", "admin").await;
        tab.click("dialog", "Close").await;

        tab.click("#page", "Shut down").await;
        tab.see("#page [data-state]", "off").await;
        idle(tab).await;
        tab.click("#page table", "Detach").await;
        tab.see("dialog", "The volume stays").await;
        tab.click("dialog", "Detach").await;
        tab.see_no("#page table", "web-data1").await;
        idle(tab).await;
        tab.click("#page", "Attach a volume").await;
        tab.click("dialog", "Attach").await;
        tab.see("#page table", "web-data1").await;
        idle(tab).await;

        tab.click("#page", "Delete").await;
        tab.see("dialog", "Its volumes stay: web-root, web-data1.").await;
        tab.click("dialog", "Delete its volumes, too").await;
        tab.see("dialog", "Its volumes are removed").await;
        tab.click("dialog", "Delete").await;
        tab.see("#page", "There is no virtual machine yet.").await;
        // Its volumes go after it.
        tab.go("#/volumes", "Volumes").await;
        tab.see("#page", "There is no volume yet.").await;
    });
}

#[test]
fn a_guest_that_does_not_answer_is_shown_with_the_way_on() {
    in_a_browser("a_guest_that_does_not_answer_is_shown_with_the_way_on", async |_, tab| {
        tab.log_in().await;
        tab.ask("PUT", "config/vm.shutdownPatience", json!({"value": "1s"})).await;
        add_storage(tab, "disks", "/srv/cairn").await;
        import(tab, "silent", SILENT_IMAGE).await;
        create(tab, "deaf", "silent").await;
        tab.click("#page", "Shut down").await;
        tab.see("#page [data-silent]", "The guest did not answer the power button. It still runs.").await;
        tab.see("#page [data-code=guest_silent]", "Shut down failed").await;
        tab.picture("silent").await;
        tab.click("#page [data-silent]", "Force off").await;
        tab.see("dialog", "loses what it has not written").await;
        tab.click("dialog", "Force off").await;
        tab.see("#page [data-state]", "off").await;
        tab.see_no("#page", "did not answer").await;
    });
}

#[test]
fn a_file_system_without_o_direct_is_told_with_step_sentence_advice_and_command() {
    let name = "a_file_system_without_o_direct_is_told_with_step_sentence_advice_and_command";
    in_a_browser(name, async |world, tab| {
        tab.log_in().await;
        world.host.refuse_direct_io("/srv/ram");
        tab.ask("PUT", "config/vm.cacheMode", json!({"value": "none"})).await;
        add_storage(tab, "ram", "/srv/ram").await;
        let order = json!({
            "name": "old", "memory_bytes": 1 << 30, "vcpus": 1, "root": {"size_bytes": 1 << 30}, "start": true,
        });
        let task = tab.ask("POST", "vms", order).await;
        tab.go(&format!("#/tasks/{}", task["id"].as_str().unwrap()), "Tasks").await;
        tab.see("#page article[data-state=failed]", "Create old").await;
        for said in [
            "/srv/ram/",
            "cannot be opened with cache mode none: ",
            "O_DIRECT",
            "In the step ",
            "; or let the host choose: cairn config set vm.cacheMode auto, then create it again.",
        ] {
            tab.see("#page [data-code=direct_io]", said).await;
        }
        tab.see("#page .steps", "Make the volume. undone").await;
        tab.picture("direct-io").await;
    });
}

#[test]
fn a_task_is_seen_as_it_goes_on_and_can_be_cancelled() {
    in_a_browser("a_task_is_seen_as_it_goes_on_and_can_be_cancelled", async |world, tab| {
        tab.log_in().await;
        add_storage(tab, "disks", "/srv/cairn").await;
        import(tab, "debian", IMAGE).await;
        create(tab, "web", "debian").await;
        tab.go("#/tasks", "Tasks").await;
        tab.see("#tasks-now", "No task is running").await;

        // Asked for elsewhere, held on its host.
        let held = world.host.hold(Call::CreateVolume, Moment::Before);
        let order =
            json!({"name": "big", "memory_bytes": 1 << 30, "vcpus": 1, "root": {"size_bytes": 1 << 30}});
        let task = tab.ask("POST", "vms", order).await;
        tab.see("#tasks-now", "Create big: 0 %").await;
        tab.see("#page article[data-state=running]", "Create big").await;
        tab.picture("task").await;
        tab.click("#page article[data-state=running]", "Cancel").await;
        tab.until(
            "cancelling is shown",
            "document.querySelector('article[data-state=running] button')?.ariaDisabled === 'true'",
        )
        .await;
        held.release();
        tab.see("#page article[data-state=cancelled]", "Create big").await;
        tab.see("#tasks-now", "No task is running").await;
        tab.go(&format!("#/tasks/{}", task["id"].as_str().unwrap()), "Tasks").await;
        tab.see("#page .steps", "Make the volume. undone").await;
        tab.reload().await;
        tab.see("#page .steps", "Make the volume. undone").await;
    });
}
