//! Between what is said of folders and migrations on the wire and what the hypervisor thinks in. As [`crate::convert`].

use agent_hypervisor::migration::{self, Opened};
use agent_hypervisor::survey::{self, Flush, findings};
use agent_protocol::{migration as wire, survey as told};

use crate::convert::{Same, from_path};
use crate::convert_cache::{from_layer, from_tried};

/// What a folder is worth.
#[must_use]
pub fn from_survey(survey: survey::Survey) -> told::Survey {
    let findings = findings(&survey).into_iter().map(from_finding).collect();
    let survey::Survey {
        path,
        layer,
        capacity_bytes,
        available_bytes,
        inodes,
        free_inodes,
        flush,
        hole_punching,
        reflink,
    } = survey;
    let us = |took: std::time::Duration| u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    told::Survey {
        path: from_path(&path),
        direct_io: from_layer(&layer, false),
        capacity_bytes,
        available_bytes,
        inodes,
        free_inodes,
        fsync: match flush {
            Flush::Sampled(survey::Latency { samples, median, percentile_99 }) => Some(told::Latency {
                samples: u32::try_from(samples).unwrap_or(u32::MAX),
                median_us: us(median),
                percentile_99_us: us(percentile_99),
            }),
            Flush::Failed(_) => None,
        },
        hole_punching: from_tried(hole_punching),
        reflink: from_tried(reflink),
        findings,
    }
}

fn from_finding(finding: survey::Finding) -> told::Finding {
    let survey::Finding { subject, verdict, evidence, advice } = finding;
    let subject = match subject {
        survey::Subject::DirectIo => told::Subject::DirectIo,
        survey::Subject::Alignment => told::Subject::Alignment,
        survey::Subject::Space => told::Subject::Space,
        survey::Subject::Inodes => told::Subject::Inodes,
        survey::Subject::Flush => told::Subject::Flush,
        survey::Subject::HolePunching => told::Subject::HolePunching,
        survey::Subject::Reflink => told::Subject::Reflink,
    };
    let verdict = match verdict {
        survey::Verdict::Good => told::Verdict::Good,
        survey::Verdict::Note => told::Verdict::Note,
        survey::Verdict::Beware => told::Verdict::Beware,
    };
    told::Finding { subject, verdict, evidence, advice }
}

/// Whether a domain may migrate.
#[must_use]
pub fn from_migration(judged: migration::Migration) -> wire::Migration {
    let may = judged.may();
    let migration::Migration { disks, drops_cache } = judged;
    wire::Migration { may, drops_cache, disks: disks.into_iter().map(from_opened).collect() }
}

fn from_opened((disk, verdict): (Opened, migration::Verdict)) -> wire::MigrationDisk {
    let Opened { name, mode, reach, empty: _, readonly: _, shareable: _, copied: _ } = disk;
    let (safe, reason, remedy) = match verdict {
        migration::Verdict::Safe(why) => (true, why.to_string(), None),
        migration::Verdict::Unsafe(why) => (false, why.to_string(), Some(why.remedy().to_owned())),
    };
    let reach = match reach {
        migration::Reach::Local => wire::Reach::Local,
        migration::Reach::Shared => wire::Reach::Shared,
        migration::Reach::Coherent => wire::Reach::Coherent,
        migration::Reach::Network => wire::Reach::Network,
    };
    wire::MigrationDisk { target: name, mode: mode.same(), reach, safe, reason, remedy }
}
