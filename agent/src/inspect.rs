//! `cairn-agent inspect`: whether this program takes the configuration that lies here. The control tool asks before it puts a
//! changed file in place; the words are fixed in `packaging/control-contract.md`.

use packaging_service::command;
use packaging_service::config;
use packaging_service::exit::Exit;
use packaging_service::layout::Layout;
use packaging_service::report::CONTRACT;
use serde::Serialize;

use crate::cli::InspectArgs;
use crate::config::Config;
use crate::error::Error;

/// The answer of `inspect --json`.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Inspected {
    /// Version of the contract.
    pub contract: u32,
    /// Why the configuration is not taken; `None` if it is.
    pub configuration: Option<String>,
    /// The settings of the configuration, defaults included; `None` if it is not taken.
    pub settings: Option<Config>,
}

/// Looks at what lies under `layout`, and changes nothing.
#[must_use]
pub fn inspected(layout: &Layout) -> Inspected {
    match config::load::<Config>(&layout.agent_config()) {
        Ok(settings) => Inspected { contract: CONTRACT, configuration: None, settings: Some(settings) },
        Err(error) => {
            Inspected { contract: CONTRACT, configuration: Some(error.to_string()), settings: None }
        }
    }
}

/// The command.
///
/// # Errors
/// If nobody takes the answer.
pub fn run(layout: &Layout, args: &InspectArgs) -> Result<Exit, Error> {
    let found = inspected(layout);
    if args.json {
        command::answer_json(&found)?;
    } else {
        let sentence = found.configuration.as_deref().unwrap_or("the configuration is taken");
        command::answer(&sentence)?;
    }
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_or_why_not() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path());
        let answer = || serde_json::to_value(inspected(&layout)).unwrap();
        assert_eq!(
            answer(),
            serde_json::json!({
                "contract": 1, "configuration": null,
                "settings": { "listen": "[::]:7070", "hypervisor": "libvirt" },
            })
        );
        std::fs::create_dir_all(layout.config_folder()).unwrap();
        std::fs::write(layout.agent_config(), "lissten = 1\n").unwrap();
        let found = answer();
        assert_eq!(found["settings"], serde_json::Value::Null);
        assert!(found["configuration"].as_str().unwrap().contains("lissten"), "{found}");
    }
}
