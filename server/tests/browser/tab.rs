//! The dashboard in a tab of the browser.

use std::ops::Deref;
use std::path::Path;

use serde_json::Value;
use xtask_testbed::browser;

use crate::PICTURES;
use crate::world::PASSWORD;

/// A tab, and what only the dashboard has.
pub struct Tab(browser::Tab);

impl Deref for Tab {
    type Target = browser::Tab;

    fn deref(&self) -> &browser::Tab {
        &self.0
    }
}

impl Tab {
    pub async fn open(test: &str) -> Self {
        Self(browser::Tab::open("https://127.0.0.1:8443/", Path::new(PICTURES), test).await)
    }

    pub async fn close(self) {
        self.0.close().await;
    }

    /// Comes in, as somebody who knows the password.
    pub async fn log_in(&self) {
        self.fill("#login", "Password", PASSWORD).await;
        self.click("#login", "Log in").await;
        self.see("#page h1", "Overview").await;
    }

    /// Goes to a page and waits for its title.
    pub async fn go(&self, hash: &str, title: &str) {
        self.run(&format!("location.hash = '{hash}'")).await;
        self.see("#page h1", title).await;
        self.until("the page is there", "!document.querySelector('#page').textContent.includes('Loading.')")
            .await;
    }

    /// Asks the server as the page does.
    pub async fn ask(&self, method: &str, path: &str, body: Value) -> Value {
        let body = if body.is_null() { "undefined".to_owned() } else { body.to_string() };
        self.run_async(&format!(
            "const api = await import('/js/api.js'); return api.ask('{method}', '/api/v1/{path}', {body});"
        ))
        .await
    }
}
