//! Takes secrets out of text that leaves the host. Rather too much than too little: what is called a password, a token, a secret, a
//! key or a hash goes, whatever it is; private keys go; what this host knows to be secret goes wherever it stands.

use std::fs;

use crate::layout::Layout;

/// What stands in the place of a secret.
const GONE: &str = "(removed)";

/// What the names of secrets have in them.
const WORDS: [&str; 8] = ["passw", "passphrase", "secret", "token", "hash", "credential", "bearer", "argon2"];

/// What they end with.
const ENDS: [&str; 2] = ["key", "psk"];

/// What the secrets that Cairn gives away begin with.
const PREFIXES: [&str; 2] = ["cairn_api_", "cairn1_"];

/// What is taken out.
pub struct Redactor {
    /// Secrets of this host, the longest first.
    known: Vec<String>,
}

impl Redactor {
    /// With what this host keeps to itself: passwords, hashes, keys, line by line.
    pub fn of(layout: &Layout) -> Self {
        let tls = layout.configuration().join("tls");
        let keys = fs::read_dir(tls).into_iter().flatten().flatten().map(|entry| entry.path());
        let keys = keys.filter(|path| path.extension().is_some_and(|end| end == "key"));
        let files =
            [layout.first_password(), layout.state().join("server/admin.json")].into_iter().chain(keys);
        let texts = files.filter_map(|file| fs::read_to_string(file).ok());
        Self::with(texts.flat_map(|text| parts(&text)).collect())
    }

    fn with(mut known: Vec<String>) -> Self {
        known.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        known.dedup();
        Self { known }
    }

    /// The text without them.
    pub fn clean(&self, text: &str) -> String {
        let (mut clean, mut in_key) = (String::with_capacity(text.len()), false);
        for line in text.split_inclusive('\n') {
            if line.contains("PRIVATE KEY-----") {
                let begins = line.contains("-----BEGIN");
                if begins {
                    clean.push_str("(a private key, removed)\n");
                }
                in_key = begins && !line.contains("-----END");
                continue;
            }
            if !in_key {
                clean.push_str(&self.line(line));
            }
        }
        clean
    }

    fn line(&self, line: &str) -> String {
        let mut line = line.to_owned();
        for secret in &self.known {
            line = line.replace(secret.as_str(), GONE);
        }
        for prefix in PREFIXES {
            line = without_words(&line, prefix);
        }
        without_values(&line)
    }
}

/// The parts of a secret file that are secret wherever they stand: long enough to be nothing else.
fn parts(text: &str) -> Vec<String> {
    let parts = text.split(|letter: char| letter.is_whitespace() || letter == '"');
    parts.filter(|part| part.len() >= 10 && !part.contains("-----")).map(str::to_owned).collect()
}

/// Without words that begin so.
fn without_words(line: &str, prefix: &str) -> String {
    let mut parts = line.split(prefix);
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_of_it = |letter: char| letter.is_ascii_alphanumeric() || "-_=.".contains(letter);
        clean.push_str(GONE);
        clean.push_str(part.trim_start_matches(is_of_it));
    }
    clean
}

/// Without what stands behind the name of a secret: `name = value`, `"name": "value"`, `--name value`.
fn without_values(line: &str) -> String {
    let (mut clean, mut rest) = (String::new(), line);
    while let Some((at, length)) = name(rest) {
        let (before, behind) = rest.split_at(at + length);
        clean.push_str(before);
        let is_between = |letter: char| letter.is_whitespace() || "\"'`=:".contains(letter);
        let gap = behind.find(|letter| !is_between(letter)).unwrap_or(behind.len());
        let (between, value) = behind.split_at(gap);
        clean.push_str(between);
        rest = value;
        let is_named =
            between.contains(['=', ':']) || (before[at..].starts_with("--") && !between.is_empty());
        let is_nothing = ["null", "true", "false", ",", "}", "]"].iter().any(|word| value.starts_with(word));
        if !is_named || is_nothing || value.is_empty() {
            continue;
        }
        let quote = between.chars().next_back().filter(|letter| "\"'`".contains(*letter));
        let end = match quote {
            Some(quote) => end_of_quoted(value, quote),
            None => value.find(['\n', '\r']),
        };
        clean.push_str(GONE);
        rest = &value[end.unwrap_or(value.len())..];
    }
    clean + rest
}

/// Where a quote ends that was opened.
fn end_of_quoted(value: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    value.char_indices().find_map(|(at, letter)| {
        let ends = letter == quote && !escaped;
        escaped = letter == '\\' && !escaped;
        ends.then_some(at)
    })
}

/// The first word that is the name of a secret: where it begins, and its bytes.
fn name(text: &str) -> Option<(usize, usize)> {
    let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
    let mut at = 0;
    while let Some(begin) = text[at..].find(is_of_name).map(|offset| at + offset) {
        let length = text[begin..].find(|letter| !is_of_name(letter)).unwrap_or(text.len() - begin);
        let word = text[begin..begin + length].to_ascii_lowercase();
        if WORDS.iter().any(|secret| word.contains(secret)) || ENDS.iter().any(|end| word.ends_with(end)) {
            return Some((begin, length));
        }
        at = begin + length;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_called_a_secret_goes_and_the_rest_stays() {
        let redactor = Redactor::with(vec!["a known secret".into()]);
        for (text, clean) in [
            ("listen = \"[::]:8443\"\n", "listen = \"[::]:8443\"\n"),
            ("admin_password = \"hunter2\" # mine\n", "admin_password = \"(removed)\" # mine\n"),
            ("\"token\":\"x\\\"y\",\"a\":1", "\"token\":\"(removed)\",\"a\":1"),
            ("{\"password\":null,\"a\":\"b\"}", "{\"password\":null,\"a\":\"b\"}"),
            ("password: two words\nnext", "password: (removed)\nnext"),
            ("run --token abc", "run --token (removed)"),
            ("<graphics passwd='geheim' port='1'/>", "<graphics passwd='(removed)' port='1'/>"),
            ("the token was refused", "the token was refused"),
            ("it says a known secret here", "it says (removed) here"),
            ("GET /?x=cairn_api_0aF- HTTP", "GET /?x=(removed) HTTP"),
            ("joined with cairn1_AbC_d-E.", "joined with (removed)"),
            ("Authorization: Bearer: abc", "Authorization: Bearer: (removed)"),
            ("tls_key=/9j/4A", "tls_key=(removed)"),
            ("key = \"open", "key = \"(removed)"),
            ("ä token=ü\n", "ä token=(removed)\n"),
        ] {
            assert_eq!(redactor.clean(text), clean);
        }
    }

    #[test]
    fn private_keys_go_and_certificates_stay() {
        let redactor = Redactor::with(Vec::new());
        let text = "a\n-----BEGIN EC PRIVATE KEY-----\nabc\ndef\n-----END EC PRIVATE KEY-----\nb\n\
                    -----BEGIN CERTIFICATE-----\nghi\n-----END CERTIFICATE-----\n";
        let clean = redactor.clean(text);
        assert_eq!(
            clean,
            "a\n(a private key, removed)\nb\n-----BEGIN CERTIFICATE-----\nghi\n-----END CERTIFICATE-----\n"
        );
        // One that was cut short has no end.
        assert!(!redactor.clean("-----BEGIN PRIVATE KEY-----\nabc\ndef").contains("abc"));
    }

    #[test]
    fn what_this_host_keeps_to_itself_is_known() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path());
        fs::create_dir_all(layout.state().join("server")).unwrap();
        fs::create_dir_all(layout.configuration().join("tls")).unwrap();
        fs::write(layout.first_password(), "correcthorse\n").unwrap();
        fs::write(
            layout.state().join("server/admin.json"),
            r#"{"user":"admin","password_hash":"$argon2id$abc"}"#,
        )
        .unwrap();
        fs::write(layout.configuration().join("tls/ca.key"), "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMG\n")
            .unwrap();
        let clean = Redactor::of(&layout).clean("correcthorse $argon2id$abc MIGHAgEAMBMG admin");
        assert_eq!(clean, "(removed) (removed) (removed) admin");
    }
}
