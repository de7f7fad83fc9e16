//! From what is asked for to a mode.

use std::path::Path;

use super::{Answer, Decision, Device, Verdict};
use crate::error::Error;
use crate::spec::{CacheChoice, CacheMode};

/// The mode of a device of which `choice` is asked; `answer` is what is known of the file system of its file.
///
/// # Errors
/// [`Error::RefusesDirectIo`] if a mode is asked for in as many words that the file system does not take.
pub(crate) fn decide(
    choice: CacheChoice,
    device: Device<'_>,
    answer: Option<&Answer>,
) -> Result<Verdict, Error> {
    let mode = match (choice, device) {
        (CacheChoice::Auto, Device::Disk(file)) => return Ok(automatic(file, answer)),
        (CacheChoice::Auto, Device::Drive(_)) => {
            // Nothing is lost by it: a drive is only read. And it is open to whatever is laid into it later, when its mode
            // cannot be changed any more.
            let why = "asked for `auto`, which is `writeback` for a CD-ROM drive: it is only read, and takes images \
                       from every file system";
            return Ok(Verdict::Decided(Decision {
                choice,
                mode: CacheMode::Writeback,
                why: why.to_owned(),
            }));
        }
        (CacheChoice::None, _) => CacheMode::None,
        (CacheChoice::Writeback, _) => CacheMode::Writeback,
        (CacheChoice::Writethrough, _) => CacheMode::Writethrough,
        (CacheChoice::Directsync, _) => CacheMode::Directsync,
        (CacheChoice::Unsafe, _) => CacheMode::Unsafe,
    };
    let file = match device {
        Device::Disk(file) | Device::Drive(Some(file)) if mode.is_direct() => file,
        Device::Disk(_) | Device::Drive(_) => return Ok(Verdict::Decided(Decision::explicit(mode))),
    };
    match answer {
        None => Ok(Verdict::Ask(file.to_owned())),
        Some(Answer { refusal: None, .. }) => Ok(Verdict::Decided(Decision::explicit(mode))),
        Some(Answer { mount, file_system, refusal: Some(refusal), .. }) => Err(Error::RefusesDirectIo {
            path: file.to_owned(),
            mode,
            mount: mount.clone(),
            file_system: file_system.clone(),
            refusal: refusal.clone(),
            remedy: match device {
                Device::Disk(_) => {
                    "ask for `auto` or `writeback`, or move it to a file system that supports O_DIRECT"
                }
                Device::Drive(_) => {
                    "ask for `auto` or `writeback` for CD-ROM drives, which counts from the next start on, or choose an \
                     image on a file system that supports O_DIRECT"
                }
            },
        }),
    }
}

/// O_DIRECT where it is taken. Where it is not, the page cache: `writethrough` would cost a flush for each write, and keeps
/// nothing that the guest's own flushes do not keep.
fn automatic(file: &Path, answer: Option<&Answer>) -> Verdict {
    let Some(Answer { folder, mount, file_system, refusal }) = answer else {
        return Verdict::Ask(file.to_owned());
    };
    let (mode, because) = match refusal {
        None => (CacheMode::None, format!("`{}` on {file_system} takes O_DIRECT", folder.display())),
        Some(refusal) => (
            CacheMode::Writeback,
            format!("`{}` ({file_system}) refuses O_DIRECT ({refusal})", mount.display()),
        ),
    };
    let why = format!("asked for `auto`, which is `{mode}` here: {because}");
    Verdict::Decided(Decision { choice: CacheChoice::Auto, mode, why })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    const FILE: &str = "/srv/pool/a.raw";

    fn answer(refusal: Option<&str>) -> Answer {
        Answer {
            folder: "/srv/pool".into(),
            mount: "/srv".into(),
            file_system: "ramfs".to_owned(),
            refusal: refusal.map(str::to_owned),
        }
    }

    /// What comes of it, in a word: a mode, a question, or a refusal.
    fn shown(choice: CacheChoice, device: Device<'_>, answer: Option<&Answer>) -> String {
        match decide(choice, device, answer) {
            Ok(Verdict::Decided(decision)) => {
                assert_eq!(decision.choice, choice);
                assert!(decision.why.starts_with(&format!("asked for `{choice}`")), "{}", decision.why);
                assert_eq!(decision.is_explicit(), choice != CacheChoice::Auto);
                decision.mode.to_string()
            }
            Ok(Verdict::Ask(file)) => {
                assert_eq!(file, Path::new(FILE));
                "asks".to_owned()
            }
            Err(error) => {
                assert_eq!(error.kind(), Kind::DirectIo);
                "refused".to_owned()
            }
        }
    }

    #[test]
    fn everything_that_can_be_asked_has_one_answer() {
        let (takes, refuses) = (answer(None), answer(Some("Invalid argument")));
        let answers = [None, Some(&takes), Some(&refuses)];
        let file = Path::new(FILE);
        let devices = [Device::Disk(file), Device::Drive(Some(file)), Device::Drive(None)];
        let mut table = String::new();
        for choice in CacheChoice::ALL.iter().copied() {
            for device in devices {
                let row = answers.map(|answer| shown(choice, device, answer)).join(" ");
                let device = match device {
                    Device::Disk(_) => "disk",
                    Device::Drive(Some(_)) => "medium",
                    Device::Drive(None) => "drive",
                };
                table += &format!("{choice} {device}: {row}\n");
            }
        }
        // Columns: nothing is known yet, O_DIRECT is taken, O_DIRECT is refused.
        let expected = "\
            auto disk: asks none writeback\n\
            auto medium: writeback writeback writeback\n\
            auto drive: writeback writeback writeback\n\
            none disk: asks none refused\n\
            none medium: asks none refused\n\
            none drive: none none none\n\
            writeback disk: writeback writeback writeback\n\
            writeback medium: writeback writeback writeback\n\
            writeback drive: writeback writeback writeback\n\
            writethrough disk: writethrough writethrough writethrough\n\
            writethrough medium: writethrough writethrough writethrough\n\
            writethrough drive: writethrough writethrough writethrough\n\
            directsync disk: asks directsync refused\n\
            directsync medium: asks directsync refused\n\
            directsync drive: directsync directsync directsync\n\
            unsafe disk: unsafe unsafe unsafe\n\
            unsafe medium: unsafe unsafe unsafe\n\
            unsafe drive: unsafe unsafe unsafe\n";
        assert_eq!(table, expected);
    }

    #[test]
    fn sentences_say_where_and_why() {
        let why =
            |answer: &Answer| match decide(CacheChoice::Auto, Device::Disk(Path::new(FILE)), Some(answer)) {
                Ok(Verdict::Decided(decision)) => decision.why,
                other => panic!("{other:?}"),
            };
        assert_eq!(
            why(&answer(None)),
            "asked for `auto`, which is `none` here: `/srv/pool` on ramfs takes O_DIRECT"
        );
        let refuses = answer(Some("Invalid argument"));
        assert_eq!(
            why(&refuses),
            "asked for `auto`, which is `writeback` here: `/srv` (ramfs) refuses O_DIRECT (Invalid argument)"
        );
        let refused =
            |device| decide(CacheChoice::Directsync, device, Some(&refuses)).unwrap_err().to_string();
        assert_eq!(
            refused(Device::Disk(Path::new(FILE))),
            "`/srv/pool/a.raw` cannot be opened with cache mode `directsync`: `/srv` (ramfs) refuses O_DIRECT (Invalid \
             argument); ask for `auto` or `writeback`, or move it to a file system that supports O_DIRECT"
        );
        let said = refused(Device::Drive(Some(Path::new(FILE))));
        assert!(said.ends_with("or choose an image on a file system that supports O_DIRECT"), "{said}");
    }
}
