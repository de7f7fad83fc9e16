//! The table, for people.

use std::fmt::Write as _;

use super::bound::Bound;
use super::report::Report;
use super::rows::Row;

/// The whole report as text.
pub fn table(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut text, report);
    text
}

fn write(text: &mut String, report: &Report) -> std::fmt::Result {
    let (payload, machine) = (&report.payload, &report.machine);
    writeln!(
        text,
        "payload  {} files, {}: {} with {}, and {} files with {} ({})",
        payload.release_files + payload.package_files,
        bytes(payload.bytes() as f64),
        payload.release,
        bytes(payload.release_bytes as f64),
        payload.package_files,
        bytes(payload.package_bytes as f64),
        payload.packages
    )?;
    let (before, after) = (machine.load_before, machine.load_after);
    writeln!(
        text,
        "machine  {}, {} processors, {} memory, {}, Linux {}; load {before:.2} before, {after:.2} after",
        machine.cpu,
        machine.processors,
        bytes(machine.memory_bytes as f64),
        machine.system,
        machine.kernel
    )?;
    writeln!(
        text,
        "commit   {}{}",
        machine.commit,
        if machine.dirty { ", with uncommitted changes" } else { "" }
    )?;
    writeln!(
        text,
        "medians of {} rounds; behind each value of makeself: ours, as a part of it",
        report.rounds
    )?;
    let mut head = (String::new(), String::new());
    for row in &report.rows {
        let next = (row.operation.to_owned(), row.what.clone());
        if next != head {
            let names: Vec<&str> = row.peers.iter().map(|peer| peer.name).collect();
            let title = if row.what == "cairn" {
                row.operation.to_owned()
            } else {
                format!("{}: {}", row.operation, row.what)
            };
            write!(text, "\n{title:<64}{:>10}", "ours")?;
            names.iter().try_for_each(|name| write!(text, "{name:>21}"))?;
            writeln!(text)?;
            head = next;
        }
        line(text, row)?;
    }
    for note in &report.notes {
        writeln!(text, "\n{note}")?;
    }
    Ok(())
}

fn line(text: &mut String, row: &Row) -> std::fmt::Result {
    let bound = match (row.bound, row.met) {
        (None, _) => String::new(),
        (Some(bound), met) => {
            let limit = match bound {
                Bound::MakeselfGzip(part) => format!("at most {part}"),
                Bound::Itself(most) => format!("at most {}", value(row, most)),
            };
            let met = match met {
                Some(true) => "met",
                Some(false) => "NOT MET",
                None => "nothing to compare with",
            };
            format!("{limit}: {met}")
        }
    };
    let less = |at_floor: bool, value: String| if at_floor { format!("<{value}") } else { value };
    write!(text, "  {:<16}{bound:<46}{:>10}", row.measure, less(row.at_floor, value(row, row.value)))?;
    for peer in &row.peers {
        let ratio = peer.ratio.map(|ratio| format!("{ratio:.3}")).unwrap_or_default();
        write!(text, "{:>13}{ratio:>8}", less(peer.at_floor, value(row, peer.value)))?;
    }
    writeln!(text)
}

fn value(row: &Row, value: f64) -> String {
    if row.unit == "s" { format!("{value:.3} s") } else { bytes(value) }
}

/// Bytes in the unit that fits.
fn bytes(count: f64) -> String {
    match count {
        count if count >= 1e9 => format!("{:.1} GB", count / 1e9),
        count if count >= 1e6 => format!("{:.1} MB", count / 1e6),
        count if count >= 1e3 => format!("{:.1} kB", count / 1e3),
        count => format!("{count:.0} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::operation::{Measure, Operation, Subject};
    use super::super::rows::{Value, row};
    use super::*;

    #[test]
    fn a_line_shows_values_ratios_and_whether_the_bound_is_met() {
        let of = |value, bound| {
            let peers = [(Subject::Gzip, 10.0.into()), (Subject::Zstd, 0.0.into())];
            let row = row(Operation::Cold, "cairn".to_owned(), Measure::Cpu, value, &peers, bound);
            let mut text = String::new();
            line(&mut text, &row).unwrap();
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let bound = Some(Bound::MakeselfGzip(0.2));
        assert_eq!(of(1.5, bound), "CPU time at most 0.2: met 1.500 s 10.000 s 0.150 0.000 s");
        assert_eq!(of(2.5, bound), "CPU time at most 0.2: NOT MET 2.500 s 10.000 s 0.250 0.000 s");
        assert_eq!(of(2.5, None), "CPU time 2.500 s 10.000 s 0.250 0.000 s");
        assert_eq!(
            of(0.1, Some(Bound::Itself(0.2))),
            "CPU time at most 0.200 s: met 0.100 s 10.000 s 0.010 0.000 s"
        );
    }

    #[test]
    fn memory_that_is_the_measuring_process_s_own_is_not_compared() {
        let at = |median, at_floor| Value { median, at_floor };
        let peers = [(Subject::Gzip, at(9e6, true)), (Subject::Zstd, at(50e6, false))];
        let row = row(Operation::Cold, "cairn".to_owned(), Measure::Memory, 25e6, &peers, None);
        let mut text = String::new();
        line(&mut text, &row).unwrap();
        let words: Vec<&str> = text.split_whitespace().collect();
        assert_eq!(words.join(" "), "peak memory 25.0 MB <9.0 MB 50.0 MB 0.500");
    }

    #[test]
    fn bytes_are_shown_in_the_unit_that_fits() {
        let shown = [999.0, 24_576.0, 105_300_000.0, 25.3e9].map(bytes);
        assert_eq!(shown, ["999 B", "24.6 kB", "105.3 MB", "25.3 GB"]);
    }
}
