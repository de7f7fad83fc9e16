//! A look at the journal of a run that did not come to its end, for those who hold no lock and change nothing.

use std::fs;
use std::path::PathBuf;

use serde::Serialize;

use super::journal::{NAME, ago, parse, places};
use crate::layout::Layout;

/// What is left of a run that was interrupted, or that works now.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Pending {
    /// Where its journal lies.
    pub journal: PathBuf,
    /// The verb; empty if the journal cannot be read.
    pub verb: String,
    /// What it is and who began it, in words.
    pub what: String,
}

/// Looks for one.
pub fn pending(layout: &Layout) -> Option<Pending> {
    places(layout).into_iter().map(|folder| folder.join(NAME)).find_map(|journal| {
        let bytes = fs::read(&journal).ok()?;
        let head = parse(&bytes).and_then(|(records, _)| records.first().cloned());
        let word = |name: &str| {
            let value = head.as_ref()?.pointer(&format!("/head/{name}"))?;
            value.as_str().map(str::to_owned).or_else(|| value.as_u64().map(|number| number.to_string()))
        };
        let (Some(verb), Some(product), Some(user)) = (word("verb"), word("product"), word("user")) else {
            let what = "a run whose journal cannot be read".to_owned();
            return Some(Pending { journal, verb: String::new(), what });
        };
        let begun = word("begun").and_then(|begun| begun.parse().ok()).unwrap_or(0);
        let process = word("process").unwrap_or_default();
        let what = format!("the {verb} of {product}, begun {} by {user} (process {process})", ago(begun));
        Some(Pending { journal, verb, what })
    })
}
