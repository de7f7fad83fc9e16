//! The log: one line per event on standard error, without times and colours where systemd's journal reads it.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::SystemTime;

/// Starts logging what `filter` lets through.
///
/// # Errors
/// With one sentence, if the filter is not one.
pub fn start(filter: &str) -> Result<(), String> {
    let filter = EnvFilter::builder().parse(filter).map_err(|error| {
        format!("`--log` does not take `{filter}`: {error}; use a level such as `info` or `debug`")
    })?;
    let stderr = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // The journal has its own clock. `try_init` fails only where a test has a log already.
    let _ = if std::env::var_os("JOURNAL_STREAM").is_some() {
        stderr.without_time().try_init()
    } else {
        stderr.with_timer(SystemTime).try_init()
    };
    Ok(())
}
