//! What was measured, in words: a pure function.

use std::time::Duration;

use super::{Finding, Flush, Subject, Survey, Verdict};
use crate::cache::evidence::{Answer, PAGE_BYTES, SECTOR_BYTES, Tried, words};

const GIB: u64 = 1 << 30;

/// Less room than that is little for a disk.
const LITTLE_BYTES: u64 = 10 * GIB;

/// Fewer files than that are few.
const FEW_INODES: u64 = 10_000;

/// A disk without a cache of its own that has to move to flush takes less.
const SLOW: Duration = Duration::from_millis(25);

/// A guest that waits for so long notices.
const LATE: Duration = Duration::from_millis(250);

/// What each thing that was measured means.
#[must_use]
pub fn findings(survey: &Survey) -> Vec<Finding> {
    let mut findings = vec![direct_io(survey)];
    findings.extend(alignment(survey));
    findings.extend([space(survey), inodes(survey), flush(survey), hole_punching(survey), reflink(survey)]);
    findings
}

fn finding(subject: Subject, verdict: Verdict, evidence: impl Into<String>, advice: Option<&str>) -> Finding {
    Finding { subject, verdict, evidence: evidence.into(), advice: advice.map(str::to_owned) }
}

fn direct_io(survey: &Survey) -> Finding {
    let evidence = &survey.layer.evidence;
    let (verdict, advice) = match survey.layer.answer {
        Answer::Direct if evidence.has_checksums() => (
            Verdict::Note,
            Some(
                "`auto` opens disks here with `writeback`, because a guest that changes what is being written leaves a \
                 checksum that is wrong; set `none` for the storage to go without the page cache all the same",
            ),
        ),
        Answer::Direct => (Verdict::Good, Some("`auto` opens disks here with `none`")),
        Answer::Buffered => (
            Verdict::Note,
            Some("`auto` opens disks here with `writeback`: leave the host memory for its page cache"),
        ),
        Answer::Refused(_) => (
            Verdict::Note,
            Some(
                "`auto` opens disks here with `writeback`: leave the host memory for its page cache; `none` and \
                 `directsync` are refused here",
            ),
        ),
        Answer::Larger { .. } => (
            Verdict::Note,
            Some(
                "`auto` opens new data disks here with `none` and others with `writeback`, see the alignment",
            ),
        ),
    };
    let said = match survey.layer.answer {
        Answer::Direct => "direct",
        Answer::Buffered => "accepted, but buffered",
        Answer::Refused(_) => "refused",
        Answer::Larger { .. } => "direct, in larger blocks than a guest's sectors",
    };
    finding(Subject::DirectIo, verdict, format!("{said} ({}; {evidence})", evidence.file_system), advice)
}

/// Where O_DIRECT goes past the page cache.
fn alignment(survey: &Survey) -> Option<Finding> {
    let told = survey.layer.evidence.statx;
    Some(match survey.layer.answer {
        Answer::Buffered | Answer::Refused(_) => return None,
        Answer::Direct => {
            let bytes = told.map_or(SECTOR_BYTES, |told| told.offset_bytes.max(1));
            finding(Subject::Alignment, Verdict::Good, format!("blocks of {bytes} bytes"), None)
        }
        Answer::Larger { bytes } => {
            let advice = match bytes <= PAGE_BYTES {
                true => {
                    "blank disks that a guest gets by virtio or scsi as data disks show it these blocks as their sectors; \
                     disks on images, root disks and disks that a guest has written keep sectors of 512 bytes"
                }
                false => "few guests take sectors of that size, so disks here are opened with `writeback`",
            };
            finding(Subject::Alignment, Verdict::Note, format!("blocks of {bytes} bytes"), Some(advice))
        }
    })
}

fn space(survey: &Survey) -> Finding {
    let Survey { capacity_bytes, available_bytes, .. } = *survey;
    if capacity_bytes == 0 {
        let advice = "what is written here takes the host's memory: keep no disks here that are to stay";
        return finding(Subject::Space, Verdict::Beware, "the file system has no size", Some(advice));
    }
    let gib = |bytes: u64| format!("{}.{} GiB", bytes / GIB, bytes % GIB * 10 / GIB);
    let evidence = format!("{} of {} free", gib(available_bytes), gib(capacity_bytes));
    let little = available_bytes < LITTLE_BYTES || available_bytes < capacity_bytes / 20;
    let advice =
        "disks grow as guests write, and a guest whose disk finds no room stops: make room, or move disks";
    match little {
        true => finding(Subject::Space, Verdict::Beware, evidence, Some(advice)),
        false => finding(Subject::Space, Verdict::Good, evidence, None),
    }
}

fn inodes(survey: &Survey) -> Finding {
    let Survey { inodes, free_inodes, .. } = *survey;
    if inodes == 0 {
        return finding(Subject::Inodes, Verdict::Good, "the file system sets no limit", None);
    }
    let evidence = format!("{free_inodes} of {inodes} free");
    let advice =
        "no file can be made where there is none left: remove files, or make the file system with more";
    match free_inodes < FEW_INODES.min(inodes / 20) {
        true => finding(Subject::Inodes, Verdict::Beware, evidence, Some(advice)),
        false => finding(Subject::Inodes, Verdict::Good, evidence, None),
    }
}

fn flush(survey: &Survey) -> Finding {
    let latency = match survey.flush {
        Flush::Sampled(latency) => latency,
        Flush::Failed(errno) => {
            let advice =
                "what a guest flushes has to reach the disk: make room, and look into the kernel's log";
            return finding(Subject::Flush, Verdict::Beware, words(errno), Some(advice));
        }
    };
    let (verdict, advice) = if latency.percentile_99 >= LATE {
        let advice =
            "guests that flush, as databases do, stand still for as long: look what else writes to this disk";
        (Verdict::Beware, Some(advice))
    } else if latency.median >= SLOW {
        let advice =
            "every flush of a guest takes that: a disk with a cache that outlives a power cut takes a tenth";
        (Verdict::Note, Some(advice))
    } else {
        (Verdict::Good, None)
    };
    finding(Subject::Flush, verdict, latency.to_string(), advice)
}

fn hole_punching(survey: &Survey) -> Finding {
    let advice = "what guests discard stays taken: count on disks of their full size";
    ability(Subject::HolePunching, survey.hole_punching, advice)
}

fn reflink(survey: &Survey) -> Finding {
    let advice = "a copy of an image takes as much time and room as the image; volumes on an image are none";
    ability(Subject::Reflink, survey.reflink, advice)
}

fn ability(subject: Subject, tried: Tried, advice: &str) -> Finding {
    match tried {
        Tried::Worked => finding(subject, Verdict::Good, tried.to_string(), None),
        Tried::Not | Tried::Failed(_) => finding(subject, Verdict::Note, tried.to_string(), Some(advice)),
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::super::Latency;
    use super::*;
    use crate::cache::Layer;
    use crate::cache::evidence::{Alignment, By, Evidence};

    fn survey(kind: &str, statx: Option<u32>, tried: [Tried; 3]) -> Survey {
        let [open, sector, page] = tried;
        let evidence = Evidence {
            mount: "/srv".into(),
            file_system: kind.to_owned(),
            device: "254:0".to_owned(),
            statx: statx.map(|bytes| Alignment { memory_bytes: bytes, offset_bytes: bytes }),
            open,
            by: By::Writing,
            sector,
            page,
        };
        let answer = evidence.answer().unwrap();
        let ms = Duration::from_millis;
        Survey {
            path: "/srv/pool".into(),
            layer: Layer { path: "/srv/pool".into(), folder: "/srv/pool".into(), evidence, answer },
            capacity_bytes: 100 * GIB,
            available_bytes: 50 * GIB,
            inodes: 1_000_000,
            free_inodes: 900_000,
            flush: Flush::Sampled(Latency { samples: 64, median: ms(1), percentile_99: ms(4) }),
            hole_punching: Tried::Worked,
            reflink: Tried::Failed(Errno::OPNOTSUPP),
        }
    }

    const WORKED: [Tried; 3] = [Tried::Worked; 3];

    fn shown(survey: &Survey) -> Vec<(Subject, Verdict)> {
        findings(survey).into_iter().map(|finding| (finding.subject, finding.verdict)).collect()
    }

    #[test]
    fn an_ordinary_folder_is_good_and_every_subject_is_told_once() {
        use Subject::{Alignment, DirectIo, Flush, HolePunching, Inodes, Reflink, Space};
        let good = |subject| (subject, Verdict::Good);
        let found = findings(&survey("ext4", Some(512), WORKED));
        assert_eq!(
            found[0].evidence,
            "direct (ext4; statx: memory 512, offset 512 bytes; open: works; write of 512 bytes: \
             works; write of 4096 bytes: works)"
        );
        assert_eq!(found[4].evidence, "64 times, median 1.0 ms, 99th percentile 4.0 ms");
        assert_eq!(
            shown(&survey("ext4", Some(512), WORKED)),
            [
                good(DirectIo),
                good(Alignment),
                good(Space),
                good(Inodes),
                good(Flush),
                good(HolePunching),
                (Reflink, Verdict::Note)
            ]
        );
    }

    #[test]
    fn what_is_worse_is_told_with_what_to_do() {
        let invalid = Tried::Failed(Errno::INVAL);
        let bad = |subject: Subject, survey: &Survey| {
            let found = findings(survey).into_iter().find(|finding| finding.subject == subject).unwrap();
            assert!(found.verdict > Verdict::Good && found.advice.is_some(), "{found:?}");
            format!("{} {}", found.evidence, found.advice.unwrap_or_default())
        };
        let refused = survey("ramfs", None, [invalid, Tried::Not, Tried::Not]);
        assert!(bad(Subject::DirectIo, &refused).contains("refused"));
        assert!(findings(&refused).iter().all(|finding| finding.subject != Subject::Alignment));
        assert!(bad(Subject::DirectIo, &survey("tmpfs", None, WORKED)).contains("buffered"));
        assert!(bad(Subject::DirectIo, &survey("btrfs", None, WORKED)).contains("checksum"));
        let large = survey("xfs", Some(4096), [Tried::Worked, invalid, Tried::Worked]);
        assert!(bad(Subject::Alignment, &large).contains("blocks of 4096 bytes"));
        let mut poor = survey("ext4", Some(512), WORKED);
        (poor.available_bytes, poor.free_inodes) = (GIB / 2, 3);
        poor.hole_punching = Tried::Failed(Errno::OPNOTSUPP);
        assert!(bad(Subject::Space, &poor).starts_with("0.5 GiB of 100.0 GiB free"));
        assert!(bad(Subject::Inodes, &poor).starts_with("3 of 1000000 free"));
        assert!(bad(Subject::HolePunching, &poor).contains("full size"));
        (poor.capacity_bytes, poor.inodes) = (0, 0);
        assert!(bad(Subject::Space, &poor).contains("memory"));
        let latency = |median, late| {
            let (median, percentile_99) = (Duration::from_millis(median), Duration::from_millis(late));
            Flush::Sampled(Latency { samples: 9, median, percentile_99 })
        };
        for flush in [latency(30, 40), latency(1, 900), Flush::Failed(Errno::NOSPC)] {
            poor.flush = flush;
            bad(Subject::Flush, &poor);
        }
    }
}
