//! Changes of a configuration file's text that leave every other byte as it is: comments, order, empty lines. The files have no
//! tables. Where a value stands says the parser; nothing is printed anew.
//!
//! It is the parser under `toml_edit`, without the tree that this builds: the helper is carried in every archive and every delta,
//! and what is asked here is where one value begins and ends. What the service makes of the whole file, it says itself.

use std::ops::Range;

use anyhow::{Result, anyhow};
use toml_parser::parser::{Event, EventKind, RecursionGuard, parse_document};
use toml_parser::{ParseError, Source, Span};
use toml_writer::{ToTomlValue as _, TomlStringBuilder};

/// How deep lists and inline tables may lie in each other: a file of a service has one level, and reading stays bounded.
const DEPTH_LIMIT: u32 = 16;

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
    let all = entries(text)?;
    let mut named = all.into_iter().filter(|entry| entry.name == key);
    match (named.next(), named.next()) {
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(anyhow!("`{key}` stands twice in this file; remove one by hand")),
        (Some(Entry { key, value: Some(value), .. }), None) => Ok(Some(Place { key, value })),
        (Some(_), None) => Err(anyhow!("`{key}` is a table in this file; edit it by hand")),
    }
}

/// What stands in a file outside of all tables, and the tables' first names.
struct Entry {
    name: String,
    key: Range<usize>,
    /// None for a table, whether it has a header or stands in a dotted key.
    value: Option<Range<usize>>,
}

fn entries(text: &str) -> Result<Vec<Entry>> {
    let source = Source::new(text);
    let mut wrong: Option<ParseError> = None;
    let mut events: Vec<Event> = Vec::new();
    let mut collect = |event| events.push(event);
    let mut bounded = RecursionGuard::new(&mut collect, DEPTH_LIMIT);
    parse_document(&source.lex().into_vec(), &mut bounded, &mut wrong);

    let range = |span: Span| span.start()..span.end();
    let mut found: Vec<Entry> = Vec::new();
    // Whether the next name is the first one of a key, whether the key has more of them, whether a header came; how deep in a list or
    // an inline table this is, and where that began.
    let (mut is_first, mut is_dotted, mut in_table) = (true, false, false);
    let (mut depth, mut start) = (0, 0);
    for event in events {
        let span = event.span();
        let mut value = None;
        match event.kind() {
            EventKind::StdTableOpen | EventKind::ArrayTableOpen => (is_first, in_table) = (true, true),
            EventKind::SimpleKey if depth == 0 && is_first => {
                let mut name = String::new();
                if let Some(raw) = source.get(event) {
                    raw.decode_key(&mut name, &mut wrong);
                }
                found.push(Entry { name, key: range(span), value: None });
                is_first = false;
            }
            EventKind::KeySep if depth == 0 => is_dotted = true,
            EventKind::ArrayOpen | EventKind::InlineTableOpen => {
                start = if depth == 0 { span.start() } else { start };
                depth += 1;
            }
            EventKind::ArrayClose | EventKind::InlineTableClose => {
                depth -= 1;
                value = (depth == 0).then(|| start..span.end());
            }
            EventKind::Scalar => {
                if let Some(raw) = source.get(event) {
                    let _kind = raw.decode_scalar(&mut String::new(), &mut wrong);
                }
                value = (depth == 0).then(|| range(span));
            }
            _ => {}
        }
        if value.is_some() && !in_table {
            if let Some(entry) = found.last_mut().filter(|_| !is_dotted) {
                entry.value = value;
            }
            (is_first, is_dotted) = (true, false);
        }
    }
    match wrong {
        Some(error) => Err(anyhow!("{}", error.description())),
        None => Ok(found),
    }
}

/// The value as TOML: what is a number, a truth value, a list or quoted stays, anything else is text.
fn literal(value: &str) -> String {
    let value = value.trim();
    let line = format!("key = {value}");
    let is_one = entries(&line).is_ok_and(
        |all| matches!(&all[..], [Entry { value: Some(range), .. }] if line[range.clone()] == *value),
    );
    if is_one { value.to_owned() } else { TomlStringBuilder::new(value).as_default().to_toml_value() }
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
        let text = "list = [\n  { a = 1 }, # one\n  [2],\n]\n\"hours\" = 3\n[hour]\nhours = 4\n[other.hours]\nhours = 5\n";
        assert_eq!(
            set(text, "list", "[]").unwrap(),
            text.replacen("[\n  { a = 1 }, # one\n  [2],\n]", "[]", 1)
        );
        assert_eq!(set(text, "hours", "9").unwrap(), text.replacen('3', "9", 1));
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
            ("1\nb = 2", "\"\"\"\n1\nb = 2\"\"\""),
            ("1 # one", "\"1 # one\""),
            ("[1, [2, 'three']]", "[1, [2, 'three']]"),
            ("{ a = 1, b.c = [2] }", "{ a = 1, b.c = [2] }"),
            ("[1, 2", "\"[1, 2\""),
            ("1.5.2", "\"1.5.2\""),
        ] {
            assert_eq!(literal(given), written, "{given}");
            assert!(toml::from_str::<toml::Table>(&set("", "key", given).unwrap()).is_ok());
        }
    }

    #[test]
    fn what_is_no_toml_and_no_key_is_refused() {
        assert!(set("listen = \n", "listen", "1").is_err());
        assert!(set(TEXT, "a.b", "1").is_err() && set(TEXT, "", "1").is_err());
        for table in [
            "[listen]\na = 1\n",
            "[[listen]]\n",
            "[listen.a]\n",
            "listen.a = 1\n",
            "b = 1\nlisten.a.c = [1]\n",
        ] {
            let refused = set(table, "listen", "1").err().unwrap().to_string();
            assert_eq!(refused, "`listen` is a table in this file; edit it by hand", "{table}");
        }
        let twice = set("hours = 1\nhours = 2\n", "hours", "3").err().unwrap().to_string();
        assert_eq!(twice, "`hours` stands twice in this file; remove one by hand");
        // As deep as a file may go is bounded, so that reading it is.
        let deep = format!("hours = {}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(set(&deep, "hours", "1").is_err());
    }
}
