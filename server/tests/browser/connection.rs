//! The server goes away and comes back.

use serde_json::{Value, json};

use crate::in_a_browser;
use crate::resources::add_storage;

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

/// A list that was asked for before something changed may come after the news of it.
#[test]
fn an_answer_that_was_overtaken_hides_no_news() {
    in_a_browser("an_answer_that_was_overtaken_hides_no_news", async |_, tab| {
        tab.log_in().await;
        add_storage(tab, "disks", "/srv/cairn").await;
        tab.go("#/volumes", "Volumes").await;
        tab.go("#/hosts", "Hosts").await;
        // The first list of volumes from now on is kept until it is let go.
        tab.run(
            "const real = window.fetch; window.lists = 0; \
             window.fetch = async (...asked) => { \
                 const response = await real(...asked); \
                 if (asked[0] === '/api/v1/volumes' && asked[1].method === 'GET' && (window.lists += 1) === 1) \
                     await new Promise(go => { window.letGo = go; }); \
                 return response; \
             };",
        )
        .await;
        tab.go("#/volumes", "Volumes").await;
        tab.until("the list is kept", "typeof window.letGo === 'function'").await;
        tab.ask("POST", "volumes", json!({"name": "data", "storage": "disks", "size_bytes": 1 << 30})).await;
        tab.see("#page table", "data").await;
        tab.run("window.letGo();").await;
        tab.until("it is asked for again", "window.lists >= 2").await;
        tab.see("#page [data-state=ready]", "").await;
        tab.see("#page table", "data").await;
    });
}
