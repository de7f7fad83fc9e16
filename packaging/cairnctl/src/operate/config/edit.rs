//! Changes of a configuration file's text that leave every other byte as it is: comments, order, empty lines. The files have no
//! tables. Where a value stands says the parser; nothing is printed anew.

use std::ops::Range;

use anyhow::{Result, anyhow};
use toml_edit::{Document, Item, Value};

/// Where a key and its value stand.
struct Place {
    key: Range<usize>,
    value: Range<usize>,
}

/// The text with the key at this value. A new line comes behind the comment that shows the default, where there is one.
///
/// # Errors
/// If the text is no TOML, or the key is no plain one.
pub fn set(text: &str, key: &str, value: &str) -> Result<String> {
    let value = literal(value);
    if let Some(place) = find(text, key)? {
        return Ok(format!("{}{value}{}", &text[..place.value.start], &text[place.value.end..]));
    }
    let line = format!("{key} = {value}\n");
    let at = behind_default(text, key).or_else(|| first_table(text)).unwrap_or(text.len());
    let gap = if at > 0 && !text[..at].ends_with('\n') { "\n" } else { "" };
    Ok(format!("{}{gap}{line}{}", &text[..at], &text[at..]))
}

/// The text without the key; `None` if it has none.
///
/// # Errors
/// If the text is no TOML, or the key is no plain one.
pub fn unset(text: &str, key: &str) -> Result<Option<String>> {
    let Some(place) = find(text, key)? else { return Ok(None) };
    let start = text[..place.key.start].rfind('\n').map_or(0, |line| line + 1);
    let end = text[place.value.end..].find('\n').map_or(text.len(), |line| place.value.end + line + 1);
    Ok(Some(format!("{}{}", &text[..start], &text[end..])))
}

fn find(text: &str, key: &str) -> Result<Option<Place>> {
    let plain = |key: &str| key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if key.is_empty() || !plain(key) {
        return Err(anyhow!("`{key}` is no name of a setting; use letters, digits and `_`"));
    }
    let document = Document::parse(text).map_err(|error| anyhow!("{}", error.message()))?;
    let Some((key, item)) = document.as_table().get_key_value(key) else { return Ok(None) };
    match (key.span(), item) {
        (Some(key), Item::Value(value)) => {
            let value = value.span().ok_or_else(|| anyhow!("the value has no place in the text"))?;
            Ok(Some(Place { key, value }))
        }
        _ => Err(anyhow!("`{}` is a table in this file; edit it by hand", key.get())),
    }
}

/// The value as TOML: what is a number, a truth value, a list or quoted stays, anything else is text.
fn literal(value: &str) -> String {
    let value = value.trim();
    match value.parse::<Value>() {
        Ok(_) => value.to_owned(),
        Err(_) => Value::from(value).to_string(),
    }
}

/// Behind the line `#key = ...`.
fn behind_default(text: &str, key: &str) -> Option<usize> {
    let mut at = 0;
    text.split_inclusive('\n').find_map(|line| {
        at += line.len();
        let (name, _) = line.strip_prefix('#')?.split_once('=')?;
        (name.trim() == key).then_some(at)
    })
}

/// Where the first table begins: what stands behind belongs to it.
fn first_table(text: &str) -> Option<usize> {
    let mut at = 0;
    text.split_inclusive('\n').find_map(|line| {
        let start = at;
        at += line.len();
        line.starts_with('[').then_some(start)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Where.\n#listen = \"[::]:8443\"\n\n# How long.\n#hours = 12\n";

    #[test]
    fn a_new_line_comes_behind_its_default_and_goes_again() {
        let set_once = set(TEXT, "listen", "127.0.0.1:9").unwrap();
        assert_eq!(
            set_once,
            "# Where.\n#listen = \"[::]:8443\"\nlisten = \"127.0.0.1:9\"\n\n# How long.\n#hours = 12\n"
        );
        assert_eq!(unset(&set_once, "listen").unwrap().unwrap(), TEXT);
        assert_eq!(unset(TEXT, "listen").unwrap(), None);
        assert_eq!(set("", "hours", "7").unwrap(), "hours = 7\n");
        assert_eq!(set("a = 1", "hours", "7").unwrap(), "a = 1\nhours = 7\n");
        assert_eq!(set("a = 1\n[t]\nb = 2\n", "hours", "7").unwrap(), "a = 1\nhours = 7\n[t]\nb = 2\n");
    }

    #[test]
    fn a_value_is_replaced_and_nothing_else() {
        let text = "  listen   =  'old'   # mine\nhours = 3\n";
        assert_eq!(set(text, "listen", "new").unwrap(), "  listen   =  \"new\"   # mine\nhours = 3\n");
        assert_eq!(set(text, "hours", "4").unwrap(), "  listen   =  'old'   # mine\nhours = 4\n");
        assert_eq!(unset(text, "listen").unwrap().unwrap(), "hours = 3\n");
    }

    #[test]
    fn values_are_text_unless_they_are_something_else() {
        for (given, written) in [
            ("12", "12"),
            ("true", "true"),
            ("\"12\"", "\"12\""),
            ("[::]:8443", "\"[::]:8443\""),
            ("", "\"\""),
            ("/a b", "\"/a b\""),
            ("a\nb = 1", "\"\"\"\na\nb = 1\"\"\""),
        ] {
            assert_eq!(literal(given), written, "{given}");
            assert!(Document::parse(set("", "key", given).unwrap()).is_ok());
        }
    }

    #[test]
    fn what_is_no_toml_and_no_key_is_refused() {
        assert!(set("listen = \n", "listen", "1").is_err());
        assert!(set(TEXT, "a.b", "1").is_err() && set(TEXT, "", "1").is_err());
        assert!(set("[listen]\na = 1\n", "listen", "1").is_err());
    }
}
