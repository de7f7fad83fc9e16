//! The administrator's password, as the operator gives it.

use std::io::BufRead;
use std::path::Path;

use anyhow::Result;

use crate::exit::{Code, Exit};

/// What the server takes, in characters, as `packaging/control-contract.md` says.
const LENGTHS: std::ops::RangeInclusive<usize> = 10..=1024;

/// The first line of the operator's password file.
///
/// # Errors
/// If it cannot be read, if others can read it, and if the server would not take it.
pub fn read(path: &Path) -> Result<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let refuse =
        |what: &str| Exit::error(Code::Usage, format!("the password file `{}` {what}", path.display()));
    let metadata = std::fs::metadata(path).map_err(|error| refuse(&format!("cannot be read ({error})")))?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(refuse("can be read by others; run chmod 600 on it"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| refuse(&format!("cannot be read ({error})")))?;
    let password = text.lines().next().unwrap_or_default();
    let (least, most) = (LENGTHS.start(), LENGTHS.end());
    let sentence = format!("needs a first line of {least} to {most} characters; write the password there");
    if fits(password) { Ok(password.to_owned()) } else { Err(refuse(&sentence)) }
}

/// The first line of what is read.
///
/// # Errors
/// If there is none that the server would take.
pub fn read_line(input: impl BufRead) -> Result<String> {
    // Four bytes to a character, and two for the line's end.
    let mut line = String::new();
    let limit = 4 * *LENGTHS.end() as u64 + 2;
    let read = input.take(limit).read_line(&mut line);
    let password = line.trim_end_matches(['\r', '\n']);
    let (least, most) = (LENGTHS.start(), LENGTHS.end());
    match read {
        Ok(_) if fits(password) => Ok(password.to_owned()),
        Ok(_) => {
            let sentence =
                format!("standard input holds no password; give one line of {least} to {most} characters");
            Err(Exit::error(Code::Usage, sentence))
        }
        Err(error) => {
            let sentence = format!("cannot read the password: {error}; give one line of UTF-8 text");
            Err(Exit::error(Code::Usage, sentence))
        }
    }
}

fn fits(password: &str) -> bool {
    LENGTHS.contains(&password.chars().count())
}
