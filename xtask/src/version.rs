//! The version of a package, parsed once. `0.9fix` is one; it is not semantic versioning.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// 1 to 64 letters, digits, `.`, `+`, `_` and `-`, the first a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(String);

impl Version {
    /// The version as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This version with a suffix. Characters that a version cannot hold become `_`.
    ///
    /// # Errors
    /// If the result is too long.
    pub fn with(&self, suffix: &str) -> Result<Self, String> {
        let clean = suffix.chars().map(|c| if allowed(c) { c } else { '_' });
        format!("{}{}", self.0, clean.collect::<String>()).parse()
    }
}

fn allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '_' | '-')
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let valid = text.len() <= 64
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(allowed);
        if valid {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "`{text}` is not a version; use 1 to 64 of letters, digits and `.+_-`, a letter or digit first"
        ))
    }
}

impl TryFrom<String> for Version {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_people_use_are_taken_and_paths_are_not() {
        for good in ["0.9fix", "1", "1.0.0-rc.1+build_7", &"x".repeat(64)] {
            assert!(good.parse::<Version>().is_ok(), "{good}");
        }
        for bad in ["", "-1", ".", "a/b", "a b", "1\n", "ü", &"x".repeat(65)] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_suffix_is_made_to_fit() {
        let version: Version = "0.9".parse().unwrap();
        assert_eq!(version.with("+server.feature/x").unwrap().as_str(), "0.9+server.feature_x");
        assert!(version.with(&"x".repeat(64)).is_err());
    }
}
