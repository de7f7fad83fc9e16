//! Coming and going.

use serde_json::Value;

use crate::in_a_browser;
use crate::world::PASSWORD;

const ENTER: &str = "\u{e007}";
const TAB: &str = "\u{e004}";

#[test]
fn a_keyboard_is_enough_to_come_in_and_a_link_leads_to_its_page() {
    in_a_browser("a_keyboard_is_enough_to_come_in_and_a_link_leads_to_its_page", async |_, tab| {
        tab.run("location.hash = '#/config'").await;
        tab.reload().await;
        tab.until("the password is what one types first", "document.activeElement.id === 'login-password'")
            .await;
        tab.press("wrong").await;
        tab.press(ENTER).await;
        tab.see("#login-error", "User or password is wrong").await;
        tab.until("one can type again", "document.activeElement.id === 'login-password'").await;
        tab.press(PASSWORD).await;
        tab.press(ENTER).await;
        tab.see("#page h1", "Global Config").await;
        assert_eq!(tab.value("document.querySelector('#user').textContent").await, "admin");
        tab.until("the tab is called after the page", "document.title === 'Global Config · Cairn'").await;

        tab.reload().await;
        tab.see("#page h1", "Global Config").await;
        assert_eq!(
            tab.value("document.querySelector('#menu [aria-current]').textContent").await,
            "Global Config"
        );

        // From the top of the page: past the menu, with the focus always to be seen.
        tab.run("document.activeElement.blur()").await;
        tab.press(TAB).await;
        tab.until("the first stop skips the menu", "document.activeElement.id === 'skip'").await;
        tab.press(ENTER).await;
        tab.until("it leads to the content", "document.activeElement.id === 'main'").await;
        tab.see("#page h1", "Global Config").await;
    });
}

#[test]
fn who_logs_out_or_is_logged_out_has_to_come_in_again() {
    in_a_browser("who_logs_out_or_is_logged_out_has_to_come_in_again", async |_, tab| {
        tab.log_in().await;
        tab.click(".bar", "Log out").await;
        tab.see("#login h1", "Log in").await;
        assert_eq!(tab.value("sessionStorage.length").await, 0);
        tab.see_no("#page", "Overview").await;

        tab.log_in().await;
        tab.go("#/volumes", "Volumes").await;
        // The session ends elsewhere.
        tab.run_async(
            "await fetch('/api/v1/logout', { method: 'POST', \
             headers: { authorization: `Bearer ${sessionStorage.getItem('cairn.token')}` } }); return {};",
        )
        .await;
        tab.run("location.hash = '#/hosts'").await;
        tab.see("#login-error", "The session has ended; log in again.").await;
        tab.fill("#login", "Password", PASSWORD).await;
        tab.click("#login", "Log in").await;
        tab.see("#page h1", "Hosts").await;
    });
}

#[test]
fn a_token_is_shown_once_and_ends_when_it_is_revoked() {
    in_a_browser("a_token_is_shown_once_and_ends_when_it_is_revoked", async |_, tab| {
        tab.log_in().await;
        tab.go("#/tokens", "API tokens").await;
        tab.click("#page", "Create a token").await;
        tab.fill("dialog", "Name", "backup").await;
        tab.click("dialog", "Create").await;
        tab.see("dialog", "It is shown once").await;
        let secret = tab.value("document.querySelector('dialog .secret').textContent").await;
        let secret = secret.as_str().unwrap().to_owned();
        let answer = async || -> Value {
            let script = format!(
                "const answer = await fetch('/api/v1/hosts', {{ headers: {{ authorization: 'Bearer {secret}' }} }}); \
                 return {{ status: answer.status }};"
            );
            tab.run_async(&script).await["status"].clone()
        };
        assert_eq!(answer().await, 200);
        tab.click("dialog", "Close").await;
        tab.see("#page table", "backup").await;
        // A browser tells a dialog only later that it is closed.
        tab.until("the secret is gone", &format!("!document.body.innerHTML.includes('{secret}')")).await;
        tab.click("#page table", "Revoke").await;
        tab.click("dialog", "Revoke").await;
        tab.see("#page", "There is no token yet.").await;
        assert_eq!(answer().await, 401);
    });
}
