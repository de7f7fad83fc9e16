//! Hosts, storages, images and volumes.

use serde_json::Value;

use crate::in_a_browser;
use crate::tab::Tab;
use crate::world::{IMAGE, ISO};

/// Adds a storage by its form.
pub async fn add_storage(tab: &Tab, name: &str, folder: &str) {
    tab.go("#/storages", "Storages").await;
    tab.click("#page", "Add a storage").await;
    tab.fill("dialog", "Name", name).await;
    tab.fill("dialog", "Folder", folder).await;
    tab.click("dialog", "Add").await;
    tab.see("#page table", folder).await;
}

/// Imports an image by its form, and waits until it is ready.
pub async fn import(tab: &Tab, name: &str, file: &str) {
    tab.go("#/images", "Images").await;
    tab.click("#page", "Import an image").await;
    tab.fill("dialog", "Name", name).await;
    tab.fill("dialog", "File", file).await;
    tab.click("dialog", "Import").await;
    let ready = format!(
        "[...document.querySelectorAll('#page tbody tr')].some(row => row.querySelector('th').textContent === '{name}' \
         && row.querySelector('[data-state=ready]'))"
    );
    tab.until("the image is ready", &ready).await;
}

#[test]
fn storages_images_and_volumes_come_and_go() {
    in_a_browser("storages_images_and_volumes_come_and_go", async |_, tab| {
        tab.log_in().await;
        add_storage(tab, "disks", "/srv/cairn").await;
        // A refusal stays beside what was asked.
        tab.click("#page", "Add a storage").await;
        tab.fill("dialog", "Name", "disks").await;
        tab.fill("dialog", "Folder", "/srv/other").await;
        tab.click("dialog", "Add").await;
        tab.see("dialog [role=alert]", "There is a storage disks already.").await;
        tab.see("dialog [role=alert]", "What to do: Choose another name.").await;
        tab.press("\u{e00c}").await;
        tab.see_no("dialog", "Add").await;

        import(tab, "debian", IMAGE).await;
        import(tab, "tools", ISO).await;
        let images = tab.ask("GET", "images", Value::Null).await;
        tab.see("#page table", images["images"][0]["sha256"].as_str().unwrap()).await;

        tab.go("#/volumes", "Volumes").await;
        tab.click("#page", "Create a volume").await;
        tab.fill("dialog", "Name", "data").await;
        tab.fill("dialog", "Size in GiB", "3").await;
        // What may lose the disk is taken from who accepts that.
        tab.choose("dialog", "Cache mode", "unsafe").await;
        tab.click("dialog", "Create").await;
        tab.see("dialog [role=alert]", "a crash of the host loses").await;
        tab.click("dialog", "With unsafe a crash of the host loses what is on the disks; I accept that")
            .await;
        tab.click("dialog", "Create").await;
        tab.see("#page table", "3 GiB").await;
        tab.see("#page [data-state]", "ready").await;
        let set = tab.ask("GET", "volumes/data", Value::Null).await["cache"].clone();
        assert_eq!(set, serde_json::json!({"mode": "unsafe", "accepts_loss": true}));
        tab.click("#page table", "Resize").await;
        tab.fill("dialog", "New size in GiB", "5").await;
        tab.click("dialog", "Resize").await;
        tab.see("#page table", "5 GiB").await;
        tab.click("#page table", "Delete").await;
        tab.see("dialog", "This cannot be undone.").await;
        tab.click("dialog", "Delete").await;
        tab.see("#page", "There is no volume yet.").await;
    });
}

#[test]
fn a_host_is_described_and_another_one_is_told_how_to_join() {
    in_a_browser("a_host_is_described_and_another_one_is_told_how_to_join", async |_, tab| {
        tab.log_in().await;
        tab.go("#/hosts", "Hosts").await;
        tab.see("#page [data-state]", "connected").await;
        let hosts = tab.ask("GET", "hosts", Value::Null).await;
        let facts = &hosts["hosts"][0]["facts"];
        tab.see("#page dd", &facts["cpu_count"].to_string()).await;
        let accel = facts["accel"]["reason"].as_str().unwrap().replace('`', "");
        tab.see("#page dd", &accel).await;
        // Whatever else the server says of a host stands there, too.
        let fields = facts.as_object().unwrap().iter().filter(|(_, value)| !value.is_null());
        let terms = tab.value("document.querySelectorAll('#page dt').length").await.as_u64().unwrap();
        assert!(terms >= fields.count() as u64 - 1, "{facts} in {terms} rows");

        tab.click("#page", "Add a host").await;
        tab.click("dialog", "Create the token").await;
        tab.see("dialog .secret", "cairn-agent join --token-file -").await;
        tab.see("dialog .secret", "sh FILE.run install --role agent --yes").await;
        let command = tab.value("document.querySelector('dialog .secret').textContent").await;
        let token = command.as_str().unwrap().split('\'').nth(1).unwrap().to_owned();
        let token: agent_protocol::join::JoinToken = token.parse().unwrap();
        assert_eq!(token.port, 8443);
    });
}
