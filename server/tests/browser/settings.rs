//! Global Config: what the server describes, whatever it is.

use std::path::Path;

use serde_json::{Value, json};

use crate::{DASHBOARD, in_a_browser};

#[test]
fn every_setting_is_shown_changed_remembered_and_reset() {
    in_a_browser("every_setting_is_shown_changed_remembered_and_reset", async |_, tab| {
        tab.log_in().await;
        tab.go("#/config", "Global Config").await;
        let settings = tab.ask("GET", "config", Value::Null).await["settings"].clone();
        let settings = settings.as_array().unwrap();
        assert!(!settings.is_empty());
        for setting in settings {
            let key = setting["key"].as_str().unwrap();
            let form = format!("form[data-setting='{key}']");
            let shown = tab.value(&format!("document.querySelector(\"{form}\").textContent")).await;
            let shown = shown.as_str().unwrap().to_lowercase();
            for part in ["description", "takes_effect", "allowed", "default", "value"] {
                let said = setting[part].as_str().unwrap().replace('`', "").to_lowercase();
                assert!(shown.contains(&said), "{key}: `{said}` is not in `{shown}`");
            }
            let input = format!("document.querySelector(\"{form} [name=value]\")");
            assert_eq!(tab.value(&format!("{input}.dataset.type")).await, setting["type"], "{key}");
            assert_eq!(tab.value(&format!("{input}.value")).await, setting["value"], "{key}");
            let choices: Vec<_> = setting["choices"].as_array().unwrap().iter().collect();
            let tag = if choices.is_empty() { "INPUT" } else { "SELECT" };
            assert_eq!(tab.value(&format!("{input}.tagName")).await, tag, "{key}");
            if !choices.is_empty() {
                let offered = tab.value(&format!("[...{input}.options].map(option => option.value)")).await;
                assert_eq!(offered, setting["choices"], "{key}");
            }
        }

        let duration = settings.iter().find(|setting| setting["type"] == "duration").unwrap();
        let (key, default) = (duration["key"].as_str().unwrap(), duration["default"].as_str().unwrap());
        let form = format!("form[data-setting='{key}']");
        tab.click(&form, "History").await;
        tab.see(&form, "It was never changed.").await;
        tab.fill(&form, key, "47m").await;
        tab.click(&form, "Save").await;
        tab.see(&format!("{form} .now"), "47m").await;
        tab.see(&format!("{form} table"), default).await;
        tab.see(&format!("{form} table"), "admin").await;
        tab.see(&format!("{form} .badge"), "changed").await;
        tab.picture("changed").await;
        let stored = tab.ask("GET", &format!("config/{key}"), Value::Null).await;
        assert_eq!(stored["value"], "47m");

        tab.fill(&form, key, "a while").await;
        tab.click(&form, "Save").await;
        tab.see(&format!("{form} [role=alert]"), "What to do").await;
        tab.click(&form, "Reset").await;
        tab.see(&format!("{form} .now"), default).await;
        tab.see(&format!("{form} .badge"), "default").await;
        tab.until(
            "both changes are remembered",
            &format!("document.querySelectorAll(\"{form} tbody tr\").length === 2"),
        )
        .await;

        // Somebody else changes it, while something is being typed beside it.
        let other = settings.iter().find(|setting| setting["key"] != key).unwrap()["key"].as_str().unwrap();
        tab.fill(&format!("form[data-setting='{other}']"), other, "half a wo").await;
        tab.ask("PUT", &format!("config/{key}"), json!({"value": "48m"})).await;
        tab.see(&format!("{form} .now"), "48m").await;
        let typed = format!("document.querySelector(\"form[data-setting='{other}'] [name=value]\").value");
        assert_eq!(tab.value(&typed).await, "half a wo");
    });
}

#[test]
fn a_setting_that_nobody_knows_is_shown_by_what_the_server_says_of_it() {
    in_a_browser("a_setting_that_nobody_knows_is_shown_by_what_the_server_says_of_it", async |_, tab| {
        tab.log_in().await;
        tab.go("#/config", "Global Config").await;
        let settings = tab.ask("GET", "config", Value::Null).await["settings"].clone();
        let mut sources = Vec::new();
        read(Path::new(DASHBOARD), &mut sources);
        assert!(sources.len() > 15);
        for (path, text) in &sources {
            for setting in settings.as_array().unwrap() {
                let key = setting["key"].as_str().unwrap();
                let last = key.rsplit('.').next().unwrap();
                for name in [key, last] {
                    // A name of one plain word may be a word of the page.
                    let telling = name.bytes().any(|byte| !byte.is_ascii_lowercase());
                    assert!(!telling || !text.contains(name), "{path} knows `{name}`");
                }
            }
        }

        let made_up = json!([
            {"type": "choice", "choices": ["red", "<b>green</b>"], "value": "<b>green</b>", "key": "moon.phase"},
            {"type": "integer", "value": "7", "key": "moon.number"},
            {"type": "colour_of_the_sky", "value": "blue", "key": "moon.sky", "from_the_future": {"x": [1]}},
        ]);
        let shown = tab
            .run_async(&format!(
                "const {{ card }} = await import('/js/pages/config.js'); \
                 return {made_up}.map(setting => {{ \
                     const node = card({{ category: 'moon', allowed: 'some', default: 'none', description: 'of `it`', \
                         takes_effect: 'soon', is_default: false, ...setting }}); \
                     const input = node.querySelector('[name=value]'); \
                     return [input.tagName, input.type, input.value, node.querySelectorAll('b').length]; \
                 }});"
            ))
            .await;
        let expected = json!([
            ["SELECT", "select-one", "<b>green</b>", 0],
            ["INPUT", "number", "7", 0],
            ["INPUT", "text", "blue", 0],
        ]);
        assert_eq!(shown, expected);
    });
}

fn read(folder: &Path, into: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, into);
        } else {
            into.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
        }
    }
}
