//! What a command prints as its answer, on standard output. Somebody who stops reading (`cargo xtask inspect FILE | head`) is
//! no error: what the command did is done.

use std::io::{self, Write as _};

/// Prints an answer as it is.
///
/// # Errors
/// If it cannot be written, for example to a full disk.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// Prints a line of an answer, and gives what [`print()`] gives. It is called as `println!` is.
macro_rules! answer {
    ($($words:tt)*) => { $crate::answer::print(&format!("{}\n", format_args!($($words)*))) };
}
pub(crate) use answer;
