//! What is explained, of disks and of all the rest: words of a message, all of which have to stand in it, to cause and remedy. The first rule that fits
//! counts, so the more special one comes first. `{}` is the thing that the message names.

mod disks;
mod others;

use super::Code;

/// One explanation.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) code: Code,
    /// The first of them is the evidence.
    pub(super) words: &'static [&'static str],
    /// What stands before the name of the thing, up to the quote that ends it; empty: nothing is named.
    named: &'static str,
    pub(super) cause: &'static str,
    pub(super) next: &'static str,
}

impl Rule {
    /// The words in the message.
    pub(super) fn evidence(&self, message: &str) -> Option<&'static str> {
        let all = self.words.iter().all(|word| message.contains(word));
        self.words.first().copied().filter(|_| all)
    }

    /// What the message names: the last name of the kind, since QEMU puts the file that failed behind those above it.
    pub(super) fn thing(&self, message: &str) -> Option<String> {
        let start = (!self.named.is_empty()).then(|| message.rfind(self.named)).flatten()? + self.named.len();
        let quote = self.named.chars().last().filter(|last| ['\'', '"', '['].contains(last));
        let rest = message.get(start..)?;
        let end = match quote {
            Some('[') => rest.find(']'),
            Some(quote) => rest.find(quote),
            None => Some(rest.find([' ', ':', ',', ')']).unwrap_or(rest.len())),
        };
        Some(rest.get(..end?)?.to_owned())
    }
}

const fn rule(
    code: Code,
    words: &'static [&'static str],
    named: &'static str,
    cause: &'static str,
    next: &'static str,
) -> Rule {
    Rule { code, words, named, cause, next }
}

/// What stands before the name of a file, in QEMU's words and in libvirt's.
const OPEN: &str = "Could not open '";
const FILE: &str = "file '";

/// All of them.
pub(super) fn all() -> impl Iterator<Item = &'static Rule> {
    disks::RULES.iter().chain(others::RULES)
}
