//! Words for people. A reader that went away (`FILE.run --yes | head`) is no reason to stop half-way through a
//! change, as `println!` would.

use std::fmt::Arguments;
use std::io::{self, Write as _};

/// Prints a line for people. Whether anybody reads it does not matter.
pub fn line(words: Arguments<'_>) {
    let _ = writeln!(io::stdout().lock(), "{words}");
}

/// Prints the beginning of a line, at once.
pub fn begin(words: Arguments<'_>) {
    let mut out = io::stdout().lock();
    let _ = write!(out, "{words}").and_then(|()| out.flush());
}

/// Prints a line about what is wrong.
pub fn complain(words: Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{words}");
}

/// Prints what was asked for, as it is. Only whoever stopped reading is no error.
///
/// # Errors
/// If it cannot be written, for example to a full disk.
pub fn answer(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// [`line()`], called as `println!` is.
macro_rules! say {
    ($($words:tt)*) => { $crate::say::line(format_args!($($words)*)) };
}
pub(crate) use say;
