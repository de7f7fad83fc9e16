//! What is shown while a build runs. The only file that draws progress bars.

use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::answer::answer;

/// How a build speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people: bars on a terminal, plain lines elsewhere.
    Human,
    /// For programs: one JSON object a line.
    Json,
}

/// Shows steps and how far they are.
pub struct Progress {
    format: Format,
    quiet: bool,
    bars: MultiProgress,
    current: Mutex<Option<ProgressBar>>,
}

impl Progress {
    /// Shows nothing but what is asked for when `quiet`.
    pub fn new(format: Format, quiet: bool) -> Self {
        let draw = format == Format::Human && !quiet && std::io::stderr().is_terminal();
        let target = if draw { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { format, quiet, bars: MultiProgress::with_draw_target(target), current: Mutex::new(None) }
    }

    /// How this build speaks.
    pub fn format(&self) -> Format {
        self.format
    }

    /// A line for people.
    pub fn say(&self, line: &str) {
        if self.format == Format::Human && !self.quiet {
            if self.bars.is_hidden() {
                eprintln!("{line}");
            } else {
                let _ = self.bars.println(line);
            }
        }
    }

    /// One JSON object for programs.
    pub fn emit(&self, object: &serde_json::Value) {
        if self.format == Format::Json {
            // Whether anybody reads it does not matter to what is being done.
            let _ = answer!("{object}");
        }
    }

    /// Something starts: a bar of unknown length until [`Progress::at`] gives one.
    pub fn begin(&self, what: &str) {
        if self.bars.is_hidden() {
            self.say(what);
        }
        let bar = self.bars.add(ProgressBar::new_spinner());
        bar.set_style(style("{spinner} {wide_msg}"));
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        *self.lock() = Some(bar);
    }

    /// `done` of `total` units are done; bytes if `bytes`.
    pub fn at(&self, done: u64, total: u64, unit: &str) {
        if let Some(bar) = &*self.lock() {
            if bar.length() != Some(total) {
                bar.set_style(style(match unit {
                    "bytes" => "{spinner} {wide_msg} {bar:24} {bytes}/{total_bytes}",
                    _ => "{spinner} {wide_msg} {bar:24} {pos}/{len} {prefix}",
                }));
                bar.set_prefix(unit.to_owned());
                bar.set_length(total);
            }
            bar.set_position(done);
        }
    }

    /// What began has ended; a line stays where bars are drawn.
    pub fn end(&self, result: &str) {
        if let Some(bar) = self.lock().take() {
            bar.finish_and_clear();
            if !self.bars.is_hidden() {
                let _ = self.bars.println(result);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<ProgressBar>> {
        self.current.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
