//! The administrator's password: given on standard input, or made here.

use std::io::{BufRead, Read};

use thiserror::Error;

/// Characters of a password that is made here: 120 bits.
const LENGTH: usize = 24;

/// What it is made of: 32 characters that nobody mistakes for one another. A power of two, so that each is as likely.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Characters that a password must have.
const SHORTEST: usize = 10;

/// Characters that it may have; the API reads no more.
const LONGEST: usize = 1024;

/// Why there is no password.
#[derive(Debug, Error)]
pub enum PasswordError {
    /// Nothing was given.
    #[error(
        "standard input holds no password; give one line, or leave out `--admin-password-stdin` to have one made"
    )]
    Empty,
    /// Too little was given.
    #[error("the password is too short; give at least {SHORTEST} characters")]
    Short,
    /// Too much was given.
    #[error("the password is not one line of at most {LONGEST} characters; give one line")]
    Long,
    /// Standard input does not work, or holds no text.
    #[error("cannot read the password from standard input: {0}; give one line of UTF-8 text")]
    Unreadable(std::io::Error),
    /// The system has no random bytes.
    #[error("cannot make a password: {0}; see that `/dev/urandom` is there")]
    Random(getrandom::Error),
}

/// Reads one line from `input` and refuses anything else.
///
/// # Errors
/// See [`PasswordError`].
pub fn read(input: impl BufRead) -> Result<String, PasswordError> {
    let mut text = String::new();
    // Four bytes to a character, one more for the line's end, one more to see that there is too much.
    let limit = 4 * LONGEST as u64 + 2;
    input.take(limit).read_to_string(&mut text).map_err(PasswordError::Unreadable)?;
    let password = text.strip_suffix('\n').unwrap_or(&text);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if password.is_empty() {
        return Err(PasswordError::Empty);
    }
    match password.chars().count() {
        ..SHORTEST => Err(PasswordError::Short),
        SHORTEST..=LONGEST if !password.contains('\n') => Ok(password.to_owned()),
        _ => Err(PasswordError::Long),
    }
}

/// Makes one.
///
/// # Errors
/// [`PasswordError::Random`].
pub fn generate() -> Result<String, PasswordError> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).map_err(PasswordError::Random)?;
    Ok(bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_of_some_length_is_taken() {
        assert_eq!(read(&b"correct horse\n"[..]).unwrap(), "correct horse");
        assert_eq!(read(&b"correct horse"[..]).unwrap(), "correct horse");
        assert_eq!(read("zehn Zeichn\r\n".as_bytes()).unwrap(), "zehn Zeichn");
        assert!(matches!(read(&b""[..]), Err(PasswordError::Empty)));
        assert!(matches!(read(&b"\n"[..]), Err(PasswordError::Empty)));
        assert!(matches!(read(&b"123456789\n"[..]), Err(PasswordError::Short)));
        assert!(matches!(read(&b"correct horse\nbattery\n"[..]), Err(PasswordError::Long)));
        assert!(matches!(read("x".repeat(1025).as_bytes()), Err(PasswordError::Long)));
        assert!(matches!(read(&b"\xff\xff"[..]), Err(PasswordError::Unreadable(_))));
    }

    #[test]
    fn a_made_password_is_long_and_plain() {
        let (first, second) = (generate().unwrap(), generate().unwrap());
        assert_eq!(first.len(), LENGTH);
        assert!(first.bytes().all(|byte| ALPHABET.contains(&byte)));
        assert_ne!(first, second);
    }
}
