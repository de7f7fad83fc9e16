//! What libvirt and QEMU say when they refuse, as errors of ours. A failed start gives no event: all there is to know is in
//! the call's error, and, where libvirt was too early to read it, in QEMU's log.

use std::path::{Path, PathBuf};

use agent_libvirt::ErrorCode;
use uuid::Uuid;

use crate::error::Error;
use crate::lesson::{self, Code, Lesson};
use crate::spec::CacheMode;

/// How QEMU words that a file system does not take O_DIRECT: since 2.2, and before.
const NO_DIRECT_IO: [&str; 2] =
    ["': filesystem does not support O_DIRECT", "': file system may not support O_DIRECT"];

/// How much of QEMU's log is read at most, in bytes.
const LOG_LIMIT: u64 = 64 << 10;

/// A disk or CD-ROM that a call makes QEMU open.
#[derive(Debug, Clone)]
pub struct Opened {
    pub source: PathBuf,
    pub cache: CacheMode,
}

/// A place in QEMU's log of one domain.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    mark: u64,
}

impl Log {
    /// Where it ends now.
    pub async fn mark(folder: &Path, name: &str) -> Self {
        let path = folder.join(format!("{name}.log"));
        let mark = tokio::fs::metadata(&path).await.map_or(0, |metadata| metadata.len());
        Self { path, mark }
    }

    /// What was written since. Nothing if it cannot be read: then there is the call's error still.
    pub async fn since(&self) -> String {
        let (path, mark) = (self.path.clone(), self.mark);
        tokio::task::spawn_blocking(move || read(&path, mark)).await.unwrap_or_default()
    }
}

fn read(path: &Path, from: u64) -> String {
    use std::io::{Read, Seek, SeekFrom};
    let mut bytes = Vec::new();
    // A log that was rotated meanwhile is shorter than it was.
    let read = std::fs::File::open(path).and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(if length < from { 0 } else { from }))?;
        file.take(LOG_LIMIT).read_to_end(&mut bytes)
    });
    read.map(|_| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// An error of the first call of an operation, which only looks: whatever became of it, nothing was done.
pub fn first(error: &agent_libvirt::Error, uuid: Uuid, what: String) -> Error {
    match plain(error, uuid, what) {
        Error::Interrupted { cause } => Error::Unavailable { cause },
        error => error,
    }
}

/// An error of a call that opens no disk.
pub fn plain(error: &agent_libvirt::Error, uuid: Uuid, what: String) -> Error {
    match error {
        // Also of a call that was not sent: those before it may have been done.
        agent_libvirt::Error::Connect(_)
        | agent_libvirt::Error::Disconnected { .. }
        | agent_libvirt::Error::NotSent { .. }
        | agent_libvirt::Error::Busy { .. }
        | agent_libvirt::Error::NoAnswer { .. }
        | agent_libvirt::Error::Ended(_) => Error::Interrupted { cause: error.to_string() },
        agent_libvirt::Error::Remote(remote) => match remote.code {
            ErrorCode::NoDomain => Error::NoDomain { uuid },
            _ if lesson::of(&remote.message).is_some() => failed(what, remote.message.clone()),
            ErrorCode::ConfigUnsupported | ErrorCode::OperationUnsupported | ErrorCode::NoSupport => {
                Error::Unsupported {
                    what: format!("libvirt cannot {what}: {}", remote.message),
                    remedy: "ask for something else, or upgrade libvirt and QEMU on this host".to_owned(),
                }
            }
            _ => failed(what, remote.message.clone()),
        },
        agent_libvirt::Error::Qmp(_)
        | agent_libvirt::Error::Arguments { .. }
        | agent_libvirt::Error::Reply { .. }
        | agent_libvirt::Error::Json { .. }
        | agent_libvirt::Error::StreamOverflow { .. }
        | agent_libvirt::Error::StreamOver => failed(what, error.to_string()),
    }
}

/// An error of a call that makes QEMU open `disks`, with what QEMU wrote to its log meanwhile.
pub fn of_disks(
    error: &agent_libvirt::Error,
    handle: &agent_libvirt::Domain,
    what: String,
    disks: &[Opened],
    log: &str,
) -> Error {
    let message = match error {
        agent_libvirt::Error::Remote(remote) => remote.message.as_str(),
        agent_libvirt::Error::Qmp(qemu) => qemu.desc.as_str(),
        _ => return plain(error, handle.uuid, what),
    };
    let said = [message, log];
    if let Some((path, qemu)) = said.iter().find_map(|text| no_direct_io(text)) {
        let of_path = disks.iter().find(|disk| disk.source == path);
        let disk = of_path.or_else(|| disks.iter().find(|disk| disk.cache.is_direct()));
        let mode = disk.map_or(CacheMode::None, |disk| disk.cache);
        return Error::DirectIo { path, mode, qemu };
    }
    if let Some(path) = missing_file(message) {
        return Error::NoVolume { path };
    }
    // Of a QEMU that ended all at once its log knows more.
    match lesson::of(message) {
        None | Some(Lesson { code: Code::QemuEnded, .. }) if lesson::of(log).is_some() => {
            failed(what, last_line(log).to_owned())
        }
        _ => plain(error, handle.uuid, what),
    }
}

/// The last line of a log that is explained.
fn last_line(log: &str) -> &str {
    log.lines().rfind(|line| lesson::of(line).is_some()).unwrap_or(log)
}

/// With an explanation, if there is one; otherwise as it was said.
fn failed(what: String, cause: String) -> Error {
    if let Some(Lesson { code, cause: because, evidence, next }) = lesson::of(&cause) {
        tracing::info!(?code, evidence, said = cause, "what libvirt or QEMU said is known");
        return Error::Explained { what, code, cause: because, said: cause, remedy: next };
    }
    let remedy = "see the log of libvirt, and of QEMU in /var/log/libvirt/qemu".to_owned();
    Error::Failed { what, cause, remedy }
}

/// The file that QEMU could not open with O_DIRECT, and QEMU's sentence.
fn no_direct_io(text: &str) -> Option<(PathBuf, String)> {
    let (before, tail) = NO_DIRECT_IO.iter().find_map(|tail| Some((&text[..text.find(tail)?], tail)))?;
    // Of "Could not open backing file: Could not open '...'" the last one names the file.
    let start = before.rfind("Could not open '")?;
    let path = &before[start + "Could not open '".len()..];
    let sentence = format!("{}{}", &before[start..], tail);
    Some((PathBuf::from(path), sentence))
}

/// The file that libvirt did not find: "Cannot access storage file '/x' (as uid:0, gid:0): No such file or directory".
fn missing_file(message: &str) -> Option<PathBuf> {
    let rest = &message[message.find("Cannot access ")?..];
    rest.contains("No such file or directory").then_some(())?;
    let named = &rest[rest.find('\'')? + 1..];
    // A name may hold a quote itself, so what follows the closing one counts.
    let end = named.find("' of storage file '").or_else(|| named.find("' (as uid:"))?;
    Some(PathBuf::from(&named[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qemus_sentence_is_found_in_libvirts() {
        let start = "internal error: qemu unexpectedly closed the monitor: 2026-11-22T14:06:25.182316Z \
                     qemu-system-x86_64: -blockdev {\"driver\":\"file\",\"filename\":\"/m/t.qcow2\"}: Could not open \
                     '/m/t.qcow2': filesystem does not support O_DIRECT";
        let (path, qemu) = no_direct_io(start).unwrap();
        assert_eq!(path, Path::new("/m/t.qcow2"));
        assert_eq!(qemu, "Could not open '/m/t.qcow2': filesystem does not support O_DIRECT");
        let under =
            "Could not open backing file: Could not open '/m/base': file system may not support O_DIRECT\n";
        assert_eq!(no_direct_io(under).unwrap().0, Path::new("/m/base"));
        assert_eq!(no_direct_io("Could not open '/m/t': Permission denied"), None);
    }

    #[test]
    fn what_is_known_is_explained_and_the_rest_shown_as_it_is() {
        let said = "Cannot get interface MTU on 'br9': No such device";
        let known = failed("start `web`".to_owned(), said.to_owned());
        assert_eq!(
            (known.to_string().as_str(), known.kind()),
            (
                "cannot start `web`: there is no bridge `br9` on this host (Cannot get interface MTU on 'br9': No such \
                 device); see `ip link show type bridge`; make it: `ip link add br9 type bridge`",
                crate::Kind::Failed
            )
        );
        let unknown = failed("start `web`".to_owned(), "internal error: something new".to_owned());
        assert!(unknown.to_string().starts_with("cannot start `web`: internal error: something new; "));
        let log = "2026-11-22 char device redirected\nqemu: Could not access KVM kernel module: Permission denied\n\
                   2026-11-22 shutting down";
        assert_eq!(last_line(log), "qemu: Could not access KVM kernel module: Permission denied");
    }

    #[test]
    fn a_connection_that_is_lost_in_a_call_does_not_say_that_nothing_was_done() {
        let lost = agent_libvirt::Error::Ended(agent_libvirt::End::Closed);
        let unsent = first(&lost, Uuid::nil(), "find `web`".to_owned());
        assert_eq!(unsent.kind(), crate::Kind::Unavailable);
        let lost = plain(&lost, Uuid::nil(), "undefine `web`".to_owned());
        assert_eq!(lost.kind(), crate::Kind::Interrupted);
        assert!(lost.to_string().contains("may have been done"), "{lost}");
    }

    #[test]
    fn a_missing_file_is_told_from_other_refusals() {
        let missing =
            "Cannot access storage file '/v/a b.raw' (as uid:64055, gid:64055): No such file or directory";
        assert_eq!(missing_file(missing).unwrap(), Path::new("/v/a b.raw"));
        let denied = "Cannot access storage file '/v/a' (as uid:1, gid:1): Permission denied";
        assert_eq!(missing_file(denied), None);
        let quoted = "Cannot access storage file '/v/it's.raw' (as uid:0, gid:0): No such file or directory";
        assert_eq!(missing_file(quoted).unwrap(), Path::new("/v/it's.raw"));
        let backing = "Cannot access backing file '/v/base' of storage file '/v/a' (as uid:0, gid:0): No such file or directory";
        assert_eq!(missing_file(backing).unwrap(), Path::new("/v/base"));
    }

    #[test]
    fn only_what_was_written_since_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vm.log");
        std::fs::write(&path, "old").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let log = Log::mark(folder.path(), "vm").await;
            std::fs::write(&path, "oldnew").unwrap();
            assert_eq!(log.since().await, "new");
            std::fs::write(&path, "x").unwrap();
            assert_eq!(log.since().await, "x", "rotated");
            std::fs::remove_file(&path).unwrap();
            assert_eq!(log.since().await, "");
        });
    }
}
