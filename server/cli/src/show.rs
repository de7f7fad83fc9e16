//! Answers: tables and records for people, JSON as the server says it for programs.

use std::fmt::Display;
use std::io::Write;

use serde::Serialize;
use serde_json::Value;
use server_api::task::Task;

use crate::cli::{Common, Output};
use crate::exit::Failure;

/// A column: its head, and what stands in it.
pub type Column<T> = (&'static str, fn(&T) -> String);

/// Prints one line.
///
/// # Errors
/// If nobody takes it.
pub fn line(text: &dyn Display) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    let written = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    written.map_err(|error| Failure::File(format!("cannot write the answer: {error}")))
}

/// Prints a list: `answer` as JSON, or its `rows` as a table.
///
/// # Errors
/// If nobody takes it.
pub fn list<T>(
    common: &Common,
    answer: &impl Serialize,
    rows: &[T],
    columns: &[Column<T>],
) -> Result<(), Failure> {
    match common.output {
        Output::Json => json(answer),
        Output::Table => line(&table(rows, columns)),
    }
}

/// Prints one thing: as JSON, or a line for each of its fields.
///
/// # Errors
/// If nobody takes it.
pub fn record(common: &Common, answer: &impl Serialize) -> Result<(), Failure> {
    match common.output {
        Output::Json => json(answer),
        Output::Table => {
            let value = serde_json::to_value(answer).map_err(|error| Failure::File(error.to_string()))?;
            line(&fields(&value, 0).trim_end())
        }
    }
}

/// Prints a task in one line, or as JSON.
///
/// # Errors
/// If nobody takes it.
pub fn task(common: &Common, task: &Task) -> Result<(), Failure> {
    match common.output {
        Output::Json => json(task),
        Output::Table => {
            let (subject, state) = (&task.subject, task.state);
            line(&format_args!("{} {} {} {} {state}", task.id, task.action, subject.kind, subject.name))
        }
    }
}

/// Says that something is done that has no answer.
///
/// # Errors
/// If nobody takes it.
pub fn done(common: &Common, text: &str) -> Result<(), Failure> {
    match common.output {
        Output::Json => line(&"{}"),
        Output::Table => line(&text),
    }
}

/// A moment, which the server says in milliseconds since 1970: `2026-11-23 14:05:09Z`.
pub fn moment(ms: i64) -> String {
    let (days, second) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000) / 1000);
    // Years begin in March, so that a leap day is the last of its year; eras have 400 years.
    let from_march = days + 719_468;
    let (era, day) = (from_march.div_euclid(146_097), from_march.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year + era * 400 + later;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day_of_month:02} {hour:02}:{minute:02}:{second:02}Z")
}

fn json(answer: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(answer).map_err(|error| Failure::File(error.to_string()))?;
    line(&text)
}

fn table<T>(rows: &[T], columns: &[Column<T>]) -> String {
    let head = columns.iter().map(|(head, _)| (*head).to_owned()).collect::<Vec<_>>();
    let cells = rows.iter().map(|row| columns.iter().map(|(_, cell)| cell(row)).collect());
    let lines: Vec<Vec<String>> = std::iter::once(head).chain(cells).collect();
    let width = |at: usize| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let aligned = lines.iter().map(|line| {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    aligned.collect::<Vec<_>>().join("\n")
}

/// A line for each field; what is inside others is indented.
fn fields(value: &Value, depth: usize) -> String {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) => {
            let width = fields.keys().map(String::len).max().unwrap_or(0) + 1;
            let field = |(name, value): (&String, &Value)| match value {
                Value::Null => String::new(),
                Value::Object(_) => format!("{indent}{name}:\n{}", self::fields(value, depth + 1)),
                Value::Array(items) if items.is_empty() => String::new(),
                Value::Array(items) if items.iter().any(Value::is_object) => {
                    let items = items.iter().map(|item| self::fields(item, depth + 1));
                    format!("{indent}{name}:\n{}", items.collect::<Vec<_>>().join("\n"))
                }
                plain => format!("{indent}{:width$} {}\n", format!("{name}:"), self::plain(plain)),
            };
            fields.iter().map(field).collect()
        }
        plain => format!("{indent}{}\n", self::plain(plain)),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_date() {
        let days = |days: i64| moment(days * 86_400_000)[..10].to_owned();
        assert_eq!(moment(0), "1970-01-01 00:00:00Z");
        assert_eq!(moment(1_795_442_709_999), "2026-11-23 14:05:09Z");
        assert_eq!([days(11_015), days(11_016), days(11_017)], ["2000-02-28", "2000-02-29", "2000-03-01"]);
        assert_eq!([days(47_540), days(47_541), days(-1)], ["2100-02-28", "2100-03-01", "1969-12-31"]);
    }
    use serde_json::json;

    #[test]
    fn columns_are_as_wide_as_what_stands_in_them() {
        let columns: &[Column<(&str, u32)>] =
            &[("NAME", |row| row.0.to_owned()), ("CPUS", |row| row.1.to_string())];
        assert_eq!(table(&[("a", 1), ("longer", 12)], columns), "NAME    CPUS\na       1\nlonger  12");
        assert_eq!(table(&[], columns), "NAME  CPUS");
    }

    #[test]
    fn a_record_is_a_line_for_each_field_that_is_there() {
        let value =
            json!({"name": "web", "reason": null, "boot": ["hd", "cdrom"], "link": {"state": "connected"}});
        assert_eq!(fields(&value, 0), "boot:   hd, cdrom\nlink:\n  state: connected\nname:   web\n");
    }
}
