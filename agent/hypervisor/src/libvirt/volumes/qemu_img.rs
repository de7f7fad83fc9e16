//! Calls of `qemu-img`: one process each, no shell, its answers as JSON. Each names the format that was recorded: left to
//! guess, `qemu-img` goes by how a file begins, which is its guest's, and opens whatever file is named there.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde::Deserialize;
use tokio::process::Command;

use super::format_word;
use crate::error::Error;
use crate::spec::Format;
use crate::storage::{Backing, Volume};

/// What `qemu-img info` tells, as far as it is used.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Info {
    virtual_size: u64,
    #[serde(default)]
    actual_size: u64,
    /// As the file's header has it.
    backing_filename: Option<PathBuf>,
    /// The same, made absolute.
    full_backing_filename: Option<PathBuf>,
}

impl Info {
    /// As a volume at `path` of that format.
    fn volume(self, path: &Path, format: Format) -> Volume {
        Volume {
            path: path.to_owned(),
            format,
            size_bytes: self.virtual_size,
            allocated_bytes: self.actual_size,
            backing: self.full_backing_filename.or(self.backing_filename),
        }
    }
}

/// One volume of that format, also one that QEMU has open.
pub async fn inspect(path: &Path, format: Format) -> Result<Volume, Error> {
    crate::check::check_path(path)?;
    if !super::exists(path).await? {
        return Err(Error::NoVolume { path: path.to_owned() });
    }
    let words = ["info", "--force-share", "--output=json", "-f", format_word(format), "--"].map(OsStr::new);
    let output = run(words.into_iter().chain([path.as_os_str()]), path, "look at").await?;
    let info: Info = serde_json::from_slice(&output.stdout).map_err(|error| Error::Failed {
        what: format!("look at `{}`", path.display()),
        cause: format!("cannot read the answer of `qemu-img info`: {error}"),
        remedy: "check the version of `qemu-img` on this host".to_owned(),
    })?;
    Ok(info.volume(path, format))
}

/// Makes `path`, which will be known as `name`.
pub async fn create(
    path: &Path,
    name: &Path,
    format: Format,
    size_bytes: Option<u64>,
    backing: Option<&Backing>,
) -> Result<(), Error> {
    let mut words: Vec<&OsStr> = ["create", "-q", "-f", format_word(format)].map(OsStr::new).into();
    if let Some(backing) = backing {
        words.extend([OsStr::new("-b"), backing.path.as_os_str(), OsStr::new("-F")]);
        words.push(OsStr::new(format_word(backing.format)));
    }
    let size = size_bytes.map(|size| size.to_string());
    words.extend([OsStr::new("--"), path.as_os_str()]);
    words.extend(size.as_deref().map(OsStr::new));
    run(words, name, "make").await.map(drop)
}

/// Makes `path` bigger.
pub async fn resize(path: &Path, format: Format, size_bytes: u64) -> Result<(), Error> {
    let size = size_bytes.to_string();
    let words = ["resize", "-q", "-f", format_word(format), "--"].map(OsStr::new);
    run(words.into_iter().chain([path.as_os_str(), OsStr::new(&size)]), path, "resize").await.map(drop)
}

async fn run<'a>(
    words: impl IntoIterator<Item = &'a OsStr>,
    path: &Path,
    verb: &str,
) -> Result<Output, Error> {
    let mut command = Command::new("qemu-img");
    command.args(words).env("LC_ALL", "C").stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.map_err(|error| Error::Unsupported {
        what: format!("`qemu-img` cannot be run: {error}"),
        remedy: "install the package `qemu-utils`, or mend PATH".to_owned(),
    })?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let cause = said
        .lines()
        .map(|line| line.strip_prefix("qemu-img: ").unwrap_or(line))
        .collect::<Vec<_>>()
        .join(", ");
    if cause.contains("No space left on device") || cause.contains("Disk quota exceeded") {
        return Err(Error::NoSpace { path: path.to_owned(), cause });
    }
    let cause = if cause.is_empty() { format!("`qemu-img` ended with {}", output.status) } else { cause };
    Err(Error::Failed {
        what: format!("{verb} `{}`", path.display()),
        cause,
        remedy: "look at the file, its folder and their permissions".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OVERLAY: &str = r#"{"virtual-size": 1048576, "filename": "/v/a.qcow2", "cluster-size": 65536,
        "format": "qcow2", "actual-size": 200704, "backing-filename-format": "raw",
        "format-specific": {"type": "qcow2", "data": {"compat": "1.1", "data-file": "/v/sectors"}},
        "full-backing-filename": "/v/base.raw", "backing-filename": "base.raw", "dirty-flag": false}"#;

    #[test]
    fn an_answer_is_read_and_the_rest_of_it_ignored() {
        let info: Info = serde_json::from_str(OVERLAY).unwrap();
        let volume = info.volume(Path::new("/v/a.qcow2"), Format::Qcow2);
        assert_eq!(
            (volume.format, volume.size_bytes, volume.allocated_bytes),
            (Format::Qcow2, 1 << 20, 200_704)
        );
        assert_eq!(volume.backing.unwrap(), Path::new("/v/base.raw"));
    }
}
