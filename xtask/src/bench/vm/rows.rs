//! Samples to rows: medians, extremes and ratios. Pure functions.

use std::fmt::Write as _;

use serde::Serialize;

use super::Sample;
use crate::bench::rows::median;

/// What stands first in each operation, and what it is compared with.
const COMPARED: [(&str, &str); 5] = [
    ("API call to running", "virsh start"),
    ("start of a domain", "virsh start"),
    ("longest pause of a guest", "left alone"),
    ("probe of O_DIRECT", "a new mount"),
    // The mode that others fall back to, and the one that we do.
    ("writes a second", "none"),
];

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// What was done.
    pub operation: String,
    /// Who did it, or how.
    pub subject: String,
    /// What it was counted in.
    pub unit: &'static str,
    /// How many samples there are.
    pub samples: usize,
    /// Their median.
    pub median: f64,
    /// The least of them.
    pub least: f64,
    /// The most.
    pub most: f64,
    /// What it is compared with.
    pub peer: Option<&'static str>,
    /// The median, as a part of the peer's.
    pub ratio: Option<f64>,
}

/// The rows, in the order in which samples of them came, each operation in one piece.
pub fn rows(samples: &[Sample]) -> Vec<Row> {
    let values = |operation: &str, subject: &str| -> Vec<f64> {
        let ours = samples
            .iter()
            .filter(|one| (one.operation.as_str(), one.subject.as_str()) == (operation, subject));
        ours.map(|one| one.value).collect()
    };
    let mut rows: Vec<Row> = Vec::new();
    for Sample { operation, subject, .. } in samples {
        if rows.iter().any(|row| (&row.operation, &row.subject) == (operation, subject)) {
            continue;
        }
        let own = values(operation, subject);
        let Some(middle) = median(&own) else { continue };
        let peer = COMPARED.iter().find(|(of, _)| of == operation).map(|(_, peer)| *peer);
        let peer = peer.filter(|peer| peer != subject);
        let theirs = peer.and_then(|peer| median(&values(operation, peer))).filter(|theirs| *theirs > 0.0);
        rows.push(Row {
            operation: operation.clone(),
            subject: subject.clone(),
            unit: if operation == "writes a second" { "1/s" } else { "s" },
            samples: own.len(),
            median: middle,
            least: own.iter().copied().fold(f64::INFINITY, f64::min),
            most: own.iter().copied().fold(0.0, f64::max),
            peer: peer.filter(|_| theirs.is_some()),
            ratio: theirs.map(|theirs| middle / theirs),
        });
    }
    let first = |operation: &str| samples.iter().position(|one| one.operation == operation);
    rows.sort_by_key(|row| first(&row.operation));
    rows
}

/// The rows as text.
pub fn table(rows: &[Row]) -> String {
    let mut text = String::new();
    let mut last = "";
    for row in rows {
        if row.operation != last {
            // Writing to a string does not fail, here and below.
            let _ = writeln!(text, "\n{}", row.operation);
            last = &row.operation;
        }
        let value = |value: f64| match row.unit {
            "s" => format!("{:.1} ms", value * 1e3),
            unit => format!("{value:.0} {unit}"),
        };
        let ratio =
            row.ratio.zip(row.peer).map_or_else(String::new, |(ratio, peer)| format!("{ratio:.2} of {peer}"));
        let range = format!("{} to {}", value(row.least), value(row.most));
        let _ = writeln!(text, "  {:<16}{:>14}   {range:<28}{ratio}", row.subject, value(row.median));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_a_median_and_a_part_of_its_peers() {
        let sample = |subject: &str, value| Sample {
            operation: "start of a domain".into(),
            subject: subject.into(),
            value,
        };
        let samples =
            [sample("cairn", 3.0), sample("virsh start", 1.0), sample("cairn", 2.0), sample("cairn", 9.0)];
        let rows = rows(&samples);
        assert_eq!((rows.len(), rows[0].median, rows[0].ratio), (2, 3.0, Some(3.0)));
        assert_eq!((rows[0].least, rows[0].most, rows[0].peer), (2.0, 9.0, Some("virsh start")));
        assert_eq!((rows[1].samples, rows[1].ratio, rows[1].peer), (1, None, None));
        let shown = table(&rows);
        let words: Vec<&str> = shown.split_whitespace().collect();
        assert!(
            words
                .join(" ")
                .starts_with("start of a domain cairn 3000.0 ms 2000.0 ms to 9000.0 ms 3.00 of virsh")
        );
    }
}
