//! How a configuration file is read: typed keys, unknown ones refused with the nearest known one. What the keys are
//! is each program's own.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use thiserror::Error;

/// The keys of one program's configuration file. Every key has a default, so an absent file is a valid one.
pub trait Settings: Default + DeserializeOwned {
    /// Every key that the file may hold.
    const KEYS: &'static [&'static str];
}

/// Why a configuration file cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// It is there and cannot be read.
    #[error(
        "cannot read `{path}`: {cause}; make it a file that root can read, or remove it for the defaults"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// It holds a key that nobody reads.
    #[error("`{path}` has an unknown key `{key}`; {remedy}")]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// The nearest known key, or all of them.
        remedy: String,
    },
    /// It is no TOML, or a value has the wrong type.
    #[error("`{path}` is not valid: {cause}; correct it, or remove it for the defaults")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Line and complaint.
        cause: String,
    },
}

/// Reads the file at `path`; the defaults where there is none.
///
/// # Errors
/// See [`ConfigError`]; each names the file.
pub fn load<S: Settings>(path: &Path) -> Result<S, ConfigError> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text, path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(S::default()),
        Err(cause) => Err(ConfigError::Unreadable { path: path.to_owned(), cause }),
    }
}

/// Reads the text of the file at `path`.
///
/// # Errors
/// As [`load`], except that the file is not touched.
pub fn parse<S: Settings>(text: &str, path: &Path) -> Result<S, ConfigError> {
    let invalid = |error: toml::de::Error| ConfigError::Invalid {
        path: path.to_owned(),
        cause: one_line(&error, text),
    };
    let table: toml::Table = toml::from_str(text).map_err(invalid)?;
    if let Some(key) = table.keys().find(|key| !S::KEYS.contains(&key.as_str())) {
        return Err(ConfigError::UnknownKey {
            path: path.to_owned(),
            key: key.clone(),
            remedy: nearest(key, S::KEYS),
        });
    }
    toml::from_str(text).map_err(invalid)
}

/// `line 3: complaint`, since the parser's own rendering takes several lines.
fn one_line(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().replace('\n', ", ");
    match error.span() {
        Some(span) => {
            let before = text.get(..span.start).unwrap_or_default();
            format!("line {}: {message}", before.matches('\n').count() + 1)
        }
        None => message,
    }
}

fn nearest(key: &str, known: &[&str]) -> String {
    let best = known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(key, candidate), *candidate))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match best {
        Some((score, candidate)) if score > 0.7 => format!("did you mean `{candidate}`?"),
        _ => format!("known keys are `{}`", known.join("`, `")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields, default)]
    struct Sample {
        listen: Option<std::net::SocketAddr>,
        session_hours: u32,
    }

    impl Settings for Sample {
        const KEYS: &'static [&'static str] = &["listen", "session_hours"];
    }

    fn refusal(text: &str) -> String {
        parse::<Sample>(text, Path::new("/etc/sample.toml")).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_known_one() {
        assert_eq!(
            refusal("lisen = 1"),
            "`/etc/sample.toml` has an unknown key `lisen`; did you mean `listen`?"
        );
        assert_eq!(
            refusal("xyz = 1"),
            "`/etc/sample.toml` has an unknown key `xyz`; known keys are `listen`, `session_hours`"
        );
    }

    #[test]
    fn a_wrong_value_is_refused_with_its_line() {
        let text = refusal("session_hours = 1\nlisten = \"localhost:1\"\n");
        assert!(text.starts_with("`/etc/sample.toml` is not valid: line 2: "), "{text}");
        assert!(!text.contains('\n'), "{text}");
        assert!(refusal("listen = ").contains("line 1: "));
    }

    #[test]
    fn an_absent_file_means_the_defaults_and_an_unreadable_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load::<Sample>(&folder.path().join("none.toml")).unwrap(), Sample::default());
        let error = load::<Sample>(folder.path()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot read `{}`: ", folder.path().display())), "{error}");
    }
}
