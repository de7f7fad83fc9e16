//! Settings: shown, set, and carried from one server to another as TOML.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use server_api::cache::{CacheLevel, CacheSet};
use server_api::config::{
    Setting, SettingChange, SettingChanged, SettingDifference, SettingHistory, SettingList, SettingsChange,
    SettingsChanged,
};

use crate::ask::part;
use crate::cache;
use crate::cli::{Common, ConfigCommand, Output};
use crate::client::Client;
use crate::exit::Failure;
use crate::show::{self, Column};

/// The setting that is the cache mode of everything for which nothing else is set.
const CACHE_MODE: &str = "vm.cacheMode";

const COLUMNS: &[Column<Setting>] = &[
    ("CATEGORY", |setting| setting.category.clone()),
    ("KEY", |setting| setting.key.clone()),
    ("VALUE", |setting| setting.value.clone()),
    (
        "DEFAULT",
        |setting| if setting.is_default { "yes".to_owned() } else { format!("no, {}", setting.default) },
    ),
    ("DESCRIPTION", |setting| setting.description.clone()),
];

const HISTORY: &[Column<SettingChanged>] = &[
    ("WHO", |change| change.who.clone()),
    ("FROM", |change| change.from.clone()),
    ("TO", |change| change.to.clone()),
    ("AT", |change| show::moment(change.at_ms)),
];

const CHANGES: &[Column<SettingDifference>] = &[
    ("KEY", |change| change.key.clone()),
    ("FROM", |change| change.from.clone()),
    ("TO", |change| change.to.clone()),
];

pub fn run(common: &Common, command: ConfigCommand) -> Result<(), Failure> {
    const ALL: &str = "/api/v1/config";
    let client = Client::new(common)?;
    let path = |key: &str| Ok::<_, Failure>(format!("{ALL}/{}", part(key)?));
    let setting: Setting = match command {
        ConfigCommand::List => {
            let list: SettingList = client.get(ALL)?;
            return show::list(common, &list, &list.settings, COLUMNS);
        }
        ConfigCommand::History { key } => {
            let history: SettingHistory = client.get(&format!("{}/history", path(&key)?))?;
            return show::list(common, &history, &history.changes, HISTORY);
        }
        ConfigCommand::Export { all } => {
            let SettingList { settings } = client.get(ALL)?;
            let wanted = settings.into_iter().filter(|setting| all || !setting.is_default);
            return export(common, wanted.map(|setting| (setting.key, setting.value)).collect());
        }
        ConfigCommand::Import { file, accept_loss } => {
            let change = SettingsChange { values: read(&file)?, accepts_loss: accept_loss };
            let changed: SettingsChanged = client.put(ALL, &change)?;
            if let Some(change) = changed.changes.iter().find(|change| change.key == CACHE_MODE) {
                outlook(&client, common, &change.to, accept_loss);
            }
            return match common.output {
                Output::Table if changed.changes.is_empty() => show::line(&"nothing differs"),
                Output::Table | Output::Json => show::list(common, &changed, &changed.changes, CHANGES),
            };
        }
        ConfigCommand::Show { key } => client.get(&path(&key)?)?,
        ConfigCommand::Set { key, value, accept_loss, dry_run } => {
            if dry_run {
                return try_out(&client, common, &key, &value, accept_loss);
            }
            let set: Setting =
                client.put(&path(&key)?, &SettingChange { value, accepts_loss: accept_loss })?;
            return told(&client, common, &set, accept_loss);
        }
        ConfigCommand::Reset { key } => {
            let set: Setting = client.delete(&path(&key)?)?;
            return told(&client, common, &set, false);
        }
    };
    show::record(common, &setting)
}

/// Shows a setting that was changed, and what comes of it.
fn told(client: &Client, common: &Common, set: &Setting, accepts_loss: bool) -> Result<(), Failure> {
    show::record(common, set)?;
    if set.key == CACHE_MODE {
        outlook(client, common, &set.value, accepts_loss);
    }
    Ok(())
}

/// Says to people what comes of a mode that was set for everything.
fn outlook(client: &Client, common: &Common, value: &str, accepts_loss: bool) {
    if let (Output::Table, Ok(mode)) = (common.output, value.parse()) {
        let set = Some(CacheSet { mode, accepts_loss });
        cache::foresee(client, CacheLevel::Global, None, set).iter().for_each(cache::tell);
    }
}

/// What would come of a value. There is nothing to be said of settings that are no cache mode.
fn try_out(
    client: &Client,
    common: &Common,
    key: &str,
    value: &str,
    accepts_loss: bool,
) -> Result<(), Failure> {
    if !key.eq_ignore_ascii_case(CACHE_MODE) {
        let message = format!("what would come of `{key}` cannot be tried; leave out --dry-run");
        return Err(Failure::Usage(message));
    }
    let mode = value.parse().map_err(Failure::Usage)?;
    let set = CacheSet { mode, accepts_loss };
    cache::try_out(client, common, CacheLevel::Global, None, Some(set))
}

fn export(common: &Common, values: BTreeMap<String, String>) -> Result<(), Failure> {
    match common.output {
        Output::Json => show::record(common, &SettingsChange { values, accepts_loss: false }),
        Output::Table if values.is_empty() => show::line(&"# Every setting has its default."),
        Output::Table => {
            let text = toml::to_string(&values).map_err(|error| Failure::File(error.to_string()))?;
            show::line(&text.trim_end())
        }
    }
}

/// The values in a file.
fn read(file: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let (name, text) = if file == Path::new("-") {
        let mut text = String::new();
        ("standard input".to_owned(), std::io::stdin().read_to_string(&mut text).map(|_| text))
    } else {
        (format!("`{}`", file.display()), std::fs::read_to_string(file))
    };
    let text = text.map_err(|error| {
        Failure::File(format!("cannot read {name}: {error}; give a file that `cairn config export` wrote"))
    })?;
    parse(&text).map_err(|error| Failure::Usage(format!("{name} cannot be imported: {error}")))
}

/// Keys and values of TOML. A key may be written in quotes, with dots or below a table: all of it means the same.
fn parse(text: &str) -> Result<BTreeMap<String, String>, String> {
    let table: toml::Table = toml::from_str(text).map_err(|error| one_line(&error, text))?;
    let mut values = BTreeMap::new();
    collect("", table, &mut values)?;
    Ok(values)
}

/// `line 3: complaint`, since the parser's own rendering takes several lines.
fn one_line(error: &toml::de::Error, text: &str) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    format!(
        "line {line}: {}; a line is a key and a value, such as `\"KEY\" = \"VALUE\"`",
        error.message().replace('\n', ", ")
    )
}

fn collect(above: &str, table: toml::Table, values: &mut BTreeMap<String, String>) -> Result<(), String> {
    for (name, value) in table {
        let key = if above.is_empty() { name } else { format!("{above}.{name}") };
        let value = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Table(below) => {
                collect(&key, below, values)?;
                continue;
            }
            toml::Value::Float(_)
            | toml::Value::Boolean(_)
            | toml::Value::Datetime(_)
            | toml::Value::Array(_) => {
                return Err(format!("the value of `{key}` is {}; write it in quotes", value.type_str()));
            }
        };
        if values.insert(key.clone(), value).is_some() {
            return Err(format!("`{key}` is there twice; remove one"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn keys_are_read_however_they_are_written_and_numbers_are_text() {
        let expected = values(&[("task.most", "3"), ("vm.shutdownPatience", "2m")]);
        for text in [
            "\"task.most\" = 3\n\"vm.shutdownPatience\" = \"2m\"",
            "task.most = \"3\"\nvm.shutdownPatience = '2m'",
            "# Ours.\n[vm]\nshutdownPatience = \"2m\"\n[task]\nmost = 3",
        ] {
            assert_eq!(parse(text).unwrap(), expected, "{text}");
        }
        assert_eq!(parse("# Every setting has its default.").unwrap(), values(&[]));
    }

    #[test]
    fn what_an_export_writes_can_be_read() {
        let odd = values(&[("a.b", "say \"so\"\n"), ("plain", "-7"), ("with space", "ä")]);
        assert_eq!(parse(&toml::to_string(&odd).unwrap()).unwrap(), odd);
    }

    #[test]
    fn what_is_no_value_is_named() {
        for (text, complaint) in [
            ("a.b = 1.5", "the value of `a.b` is float; write it in quotes"),
            ("a = true", "the value of `a` is boolean; write it in quotes"),
            ("a = [1]", "the value of `a` is array; write it in quotes"),
            ("a.b = 1\n\"a.b\" = 2", "`a.b` is there twice; remove one"),
        ] {
            assert_eq!(parse(text).unwrap_err(), complaint, "{text}");
        }
        for (text, complaint) in
            [("a = ", "line 1: "), ("a = 1\na = 2", "line 2: duplicate key"), ("a = 1\nb = 8d", "line 2: ")]
        {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(complaint) && !error.contains('\n'), "{error}");
            assert!(
                error.ends_with("; a line is a key and a value, such as `\"KEY\" = \"VALUE\"`"),
                "{error}"
            );
        }
    }
}
