//! What resources may be called, and what paths and sizes may be.

use server_api::event::Kind;

use super::CloudError;

/// The longest name.
const LONGEST: usize = 64;

/// Refuses what is no name. A name never looks like an id, so that either can stand for a resource.
///
/// # Errors
/// [`CloudError::Invalid`].
pub fn check(name: &str) -> Result<(), CloudError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let is_id = uuid::Uuid::try_parse(name).is_ok();
    if first && name.len() <= LONGEST && name.bytes().all(plain) && !is_id {
        return Ok(());
    }
    Err(CloudError::invalid(
        format!("`{name}` is no name"),
        "give 1 to 64 letters, digits, `.`, `_` and `-`, the first a letter or digit, and no id",
    ))
}

/// Refuses what is no plain absolute path.
///
/// # Errors
/// [`CloudError::Invalid`].
pub fn check_path(path: &str) -> Result<(), CloudError> {
    let plain = path.split('/').skip(1).all(|part| !part.is_empty() && part != "." && part != "..");
    if path.starts_with('/') && plain && path.len() <= 4096 && !path.contains(char::is_control) {
        return Ok(());
    }
    Err(CloudError::invalid(
        format!("`{path}` is no plain absolute path"),
        "start it with `/`, without `.`, `..` and a `/` at the end",
    ))
}

/// Refuses what no disk is as big as.
///
/// # Errors
/// [`CloudError::Invalid`].
pub fn check_size(bytes: u64) -> Result<(), CloudError> {
    if bytes > 0 && bytes.is_multiple_of(512) && i64::try_from(bytes).is_ok() {
        return Ok(());
    }
    Err(CloudError::invalid(format!("{bytes} bytes is no size of a disk"), "give a multiple of 512 bytes"))
}

/// A refusal if another resource has the name; any other failure stays what it is.
pub fn taken(kind: Kind, name: &str) -> impl FnOnce(crate::store::StoreError) -> CloudError {
    let name = name.to_owned();
    move |error| {
        if error.is_taken() { CloudError::NameTaken { kind, name } } else { error.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_no_ids() {
        for good in ["a", "web-1", "0.9", "A_b", &"x".repeat(64)] {
            check(good).unwrap();
        }
        for bad in
            ["", "-a", ".a", "a b", "ä", "a/b", &"x".repeat(65), "67e55044-10b1-426f-9247-bb680e5fe0c8"]
        {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_are_plain_and_sizes_are_sectors() {
        for good in ["/srv", "/var/lib/cairn/volumes"] {
            check_path(good).unwrap();
        }
        for bad in ["", "/", "srv", "/srv/", "/srv/../etc", "/srv//a", "/a\nb"] {
            assert!(check_path(bad).is_err(), "{bad}");
        }
        assert!(check_size(512).is_ok() && check_size(0).is_err() && check_size(513).is_err());
    }
}
