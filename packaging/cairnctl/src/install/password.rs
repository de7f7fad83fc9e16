//! The administrator's password, as the operator gives it.

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
    if !LENGTHS.contains(&password.chars().count()) {
        let (least, most) = (LENGTHS.start(), LENGTHS.end());
        return Err(refuse(&format!(
            "needs a first line of {least} to {most} characters; write the password there"
        )));
    }
    Ok(password.to_owned())
}
