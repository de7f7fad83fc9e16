//! A tab of the browser, used as a person uses it: by what stands on buttons and beside fields. Whatever is waited for has a
//! generous limit; nothing is timed by it.

use super::driver::{Driver, Element, PORT};
use super::{CHROMEDRIVER, CHROMIUM_ARGUMENTS};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// A browser with one tab. Its methods panic when what they wait for does not come, with a picture and the page's text.
#[derive(Debug)]
pub struct Tab {
    process: Child,
    driver: Driver,
    pictures: PathBuf,
    test: String,
}

impl Tab {
    /// Starts a browser, which has to be in the room, and opens a page. Its certificate need not be of anybody known.
    /// Pictures go to the folder `pictures`, their names begin with that of the test.
    pub async fn open(url: &str, pictures: &Path, test: &str) -> Self {
        let mut command = Command::new(CHROMEDRIVER);
        command.arg(format!("--port={PORT}")).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().unwrap();
        let arguments = [CHROMIUM_ARGUMENTS, &["--window-size=1280,900"]].concat();
        let driver = Driver::connect(&json!({
            "acceptInsecureCerts": true,
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"args": arguments},
        }))
        .await;
        driver.post("url", json!({"url": url})).await.unwrap();
        Self { process, driver, pictures: pictures.to_owned(), test: test.to_owned() }
    }

    /// Ends the browser.
    pub async fn close(mut self) {
        self.driver.quit().await;
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Loads the page again.
    pub async fn reload(&self) {
        self.driver.post("refresh", json!({})).await.unwrap();
    }

    /// Presses what is called `text` within `place`.
    pub async fn click(&self, place: &str, text: &str) {
        let shown = format!("`{text}` in `{place}` can be pressed");
        self.wait(&shown, async || {
            let Some(element) = self.named(place, "button, a, summary, label", text).await else {
                return false;
            };
            if self.driver.click(&element).await.is_ok() {
                return true;
            }
            // Something that sticks to an edge may lie over it: a person would scroll.
            let scroll = "arguments[0].scrollIntoView({ block: 'center' });";
            let _ = self.driver.run(scroll, vec![element.argument()]).await;
            false
        })
        .await;
    }

    /// Types into the field with that label.
    pub async fn fill(&self, place: &str, label: &str, value: &str) {
        let shown = format!("`{label}` in `{place}` can be filled in");
        self.wait(&shown, async || {
            let Some(field) = self.labelled(place, label).await else { return false };
            self.driver.clear(&field).await.is_ok() && self.driver.type_into(&field, value).await.is_ok()
        })
        .await;
    }

    /// Chooses what begins with `option` in the field with that label.
    pub async fn choose(&self, place: &str, label: &str, option: &str) {
        let shown = format!("`{option}` can be chosen for `{label}` in `{place}`");
        self.wait(&shown, async || {
            let Some(field) = self.labelled(place, label).await else { return false };
            let script = "const [field, option] = arguments; \
                return [...field.options].find(found => found.textContent.trim().startsWith(option));";
            match self.driver.element(script, vec![field.argument(), json!(option)]).await {
                Some(found) => self.driver.click(&found).await.is_ok(),
                None => false,
            }
        })
        .await;
    }

    /// Presses keys, wherever the focus is.
    pub async fn press(&self, keys: &str) {
        let active = self.driver.element("return document.activeElement;", Vec::new()).await.unwrap();
        self.driver.type_into(&active, keys).await.unwrap();
    }

    /// Presses keys one after the other, as a keyboard does: what has the focus gets them.
    pub async fn keys(&self, keys: &str) {
        let events = keys.chars().flat_map(|key| [("keyDown", key), ("keyUp", key)]);
        self.driver.keys(events.collect()).await.unwrap();
    }

    /// Presses one key, perhaps with Shift.
    pub async fn key(&self, key: char, with_shift: bool) {
        const SHIFT: char = '\u{e008}';
        let mut events = vec![("keyDown", key), ("keyUp", key)];
        if with_shift {
            events.insert(0, ("keyDown", SHIFT));
            events.push(("keyUp", SHIFT));
        }
        self.driver.keys(events).await.unwrap();
    }

    /// Waits until something that `css` finds holds `text`.
    pub async fn see(&self, css: &str, text: &str) {
        let holds = format!(
            "[...document.querySelectorAll({})].some(found => found.checkVisibility() && found.textContent.includes({}))",
            json!(css),
            json!(text)
        );
        self.until(&format!("`{css}` shows `{text}`"), &holds).await;
    }

    /// Waits until nothing that `css` finds holds `text`.
    pub async fn see_no(&self, css: &str, text: &str) {
        let holds = format!(
            "![...document.querySelectorAll({})].some(found => found.checkVisibility() && found.textContent.includes({}))",
            json!(css),
            json!(text)
        );
        self.until(&format!("`{css}` does not show `{text}`"), &holds).await;
    }

    /// Waits until an expression holds in the page.
    pub async fn until(&self, what: &str, expression: &str) {
        self.wait(what, async || self.value(expression).await == json!(true)).await;
    }

    /// Waits for a condition; if it does not come, the page is shown as it is.
    async fn wait(&self, what: &str, condition: impl AsyncFnMut() -> bool) {
        if !came(condition).await {
            self.picture("failed").await;
            let page = self.value("document.body.innerText").await;
            panic!("it did not come that {what}; the page said:\n{}", page.as_str().unwrap_or_default());
        }
    }

    /// The value of an expression in the page.
    pub async fn value(&self, expression: &str) -> Value {
        self.driver.run(&format!("return {expression};"), Vec::new()).await.unwrap_or_default()
    }

    /// Runs a script in the page.
    pub async fn run(&self, script: &str) {
        self.driver.run(script, Vec::new()).await.unwrap();
    }

    /// Runs a script that takes its time; what it returns.
    pub async fn run_async(&self, script: &str) -> Value {
        let wrapped = format!(
            "const done = arguments[arguments.length - 1];\
             (async () => {{ {script} }})().then(done, error => done({{ failed: String(error) }}));"
        );
        let order = json!({"script": wrapped, "args": []});
        let value = self.driver.post("execute/async", order).await.unwrap();
        assert!(value["failed"].is_null(), "{script}: {value}");
        value
    }

    /// Leaves a picture of what is seen.
    pub async fn picture(&self, name: &str) {
        if let Some(png) = self.driver.picture().await {
            std::fs::write(self.pictures.join(format!("{}-{name}.png", self.test)), png).unwrap();
        }
    }

    /// Fails if the browser found anything wrong: a script that failed, something that the policy forbids, a warning. That
    /// the server refuses something is no fault of the page.
    pub async fn no_complaints(&self) {
        let log = self.driver.post("se/log", json!({"type": "browser"})).await.unwrap();
        let complaints: Vec<_> =
            log.as_array().unwrap().iter().filter(|entry| entry["source"] != "network").collect();
        assert!(complaints.is_empty(), "the browser complains: {complaints:#?}");
    }

    /// Tells the browser something by its own protocol.
    pub async fn tell(&self, command: &str, params: Value) {
        let body = json!({"cmd": command, "params": params});
        self.driver.post("goog/cdp/execute", body).await.unwrap();
    }

    async fn named(&self, place: &str, css: &str, name: &str) -> Option<Element> {
        let script = "const [place, css, name] = arguments; \
            return [...document.querySelectorAll(place)].flatMap(found => [...found.querySelectorAll(css)]) \
                .find(found => found.checkVisibility() && found.textContent.trim() === name);";
        self.driver.element(script, vec![json!(place), json!(css), json!(name)]).await
    }

    async fn labelled(&self, place: &str, label: &str) -> Option<Element> {
        let script = "const [place, label] = arguments; \
            return [...document.querySelectorAll(place)].flatMap(found => [...found.querySelectorAll('label')]) \
                .find(found => found.checkVisibility() && found.textContent.trim() === label)?.control;";
        self.driver.element(script, vec![json!(place), json!(label)]).await
    }
}

/// Waits for a condition.
pub async fn until(what: &str, condition: impl AsyncFnMut() -> bool) {
    assert!(came(condition).await, "it did not come that {what}");
}

async fn came(mut condition: impl AsyncFnMut() -> bool) -> bool {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, wait).await.is_ok()
}
