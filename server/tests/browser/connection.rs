//! The server goes away and comes back.

use serde_json::Value;

use crate::in_a_browser;

#[test]
fn a_lost_connection_is_shown_and_mends_itself() {
    in_a_browser("a_lost_connection_is_shown_and_mends_itself", async |world, tab| {
        tab.log_in().await;
        tab.go("#/storages", "Storages").await;
        world.stop_server();
        tab.see("#connection", "The connection to the server is lost.").await;
        tab.click("#page", "Add a storage").await;
        tab.fill("dialog", "Name", "disks").await;
        tab.fill("dialog", "Folder", "/srv/cairn").await;
        tab.click("dialog", "Add").await;
        tab.see("dialog [role=alert]", "The server does not answer.").await;
        world.start_server().await;
        // The session outlives the server: whoever was in goes on where they were.
        tab.until("the connection is back", "document.querySelector('#connection').hidden").await;
        // Nothing that was typed is lost, and changes come by themselves again.
        tab.click("dialog", "Add").await;
        tab.see("#page table", "/srv/cairn").await;
    });
}

#[test]
fn a_host_that_does_not_answer_is_shown_with_the_reason() {
    in_a_browser("a_host_that_does_not_answer_is_shown_with_the_reason", async |world, tab| {
        tab.log_in().await;
        tab.go("#/hosts", "Hosts").await;
        tab.see("#page [data-state]", "connected").await;
        world.stop_agent().await;
        tab.see("#page [data-state]", "disconnected").await;
        let hosts = tab.ask("GET", "hosts", Value::Null).await;
        let reason = hosts["hosts"][0]["link"]["reason"].as_str().unwrap().replace('`', "");
        // As a sentence.
        tab.see("#page p.bad", &reason[1..]).await;
        world.start_agent();
        tab.see("#page [data-state]", "connected").await;
    });
}
