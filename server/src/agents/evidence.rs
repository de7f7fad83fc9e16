//! What agents say of cache modes, folders and migrations, as the public hears it. Matches, as in [`super::words`].

use agent_protocol::cache::{self as agent, Answer};
use agent_protocol::{migration, survey};
use server_api::cache::{
    Attempted, CacheIo, CacheJudgement, CacheLayer, CacheLevel, DirectIo, DirectIoAlignment,
};
use server_api::storage::{CheckSubject, CheckVerdict, FsyncLatency, StorageCheck, StorageFinding};
use server_api::vm;

use super::words;
use crate::cache::{Asked, reason};

/// What is asked of a disk or a drive.
#[must_use]
pub fn request(asked: Asked) -> agent::CacheRequest {
    let Asked { mode, level, accepts_loss } = asked;
    let origin = match level {
        CacheLevel::Volume => agent::Origin::Volume,
        CacheLevel::Vm => agent::Origin::Vm,
        CacheLevel::Storage => agent::Origin::Storage,
        CacheLevel::Global => agent::Origin::Global,
    };
    agent::CacheRequest { choice: words::choice_to_agent(mode), origin, accepts_loss }
}

/// The sector of a volume, of which that is stored.
#[must_use]
pub fn sector(bytes: Option<u32>) -> agent::Sector {
    bytes.map_or(agent::Sector::Free, |bytes| agent::Sector::Fixed { bytes })
}

/// How a file is opened, while `now` is what is set for it.
#[must_use]
pub fn effective(cache: agent::EffectiveCache, now: Asked) -> vm::EffectiveCache {
    let requested = words::choice(cache.requested);
    vm::EffectiveCache {
        requested,
        set_at: cache.origin.map(level),
        mode: words::cache(cache.mode),
        direct: cache.direct,
        reason: reason(requested, now, &cache.reason),
        warnings: cache.warnings,
        io: cache.io.map(|io| match io {
            agent::Io::Threads => CacheIo::Threads,
            agent::Io::Native => CacheIo::Native,
            agent::Io::IoUring => CacheIo::IoUring,
        }),
        sector_bytes: cache.sector_bytes,
        evidence: cache.evidence.into_iter().map(layer).collect(),
    }
}

/// What a disk would come to.
#[must_use]
pub fn judgement(judged: agent::Judgement) -> CacheJudgement {
    match judged {
        agent::Judgement::Decided(cache) => CacheJudgement {
            mode: Some(words::cache(cache.mode)),
            refused: false,
            reason: cache.reason,
            warnings: cache.warnings,
            sector_bytes: Some(cache.sector_bytes),
            evidence: cache.evidence.into_iter().map(layer).collect(),
        },
        agent::Judgement::Refused { message } => CacheJudgement { refused: true, ..undecided(message) },
    }
}

/// That nothing is known of it, and why.
#[must_use]
pub fn undecided(reason: String) -> CacheJudgement {
    let (mode, warnings, evidence) = (None, Vec::new(), Vec::new());
    CacheJudgement { mode, refused: false, reason, warnings, sector_bytes: None, evidence }
}

fn level(origin: agent::Origin) -> CacheLevel {
    match origin {
        agent::Origin::Volume => CacheLevel::Volume,
        agent::Origin::Vm => CacheLevel::Vm,
        agent::Origin::Storage => CacheLevel::Storage,
        agent::Origin::Global => CacheLevel::Global,
    }
}

fn layer(layer: agent::Layer) -> CacheLayer {
    let (answer, block_bytes) = match layer.answer {
        Answer::Direct => (DirectIo::Direct, None),
        Answer::Buffered => (DirectIo::Buffered, None),
        Answer::Refused => (DirectIo::Refused, None),
        Answer::Larger { bytes } => (DirectIo::Larger, Some(bytes)),
    };
    CacheLayer {
        path: layer.path,
        weakest: layer.weakest,
        answer,
        block_bytes,
        mount: layer.mount,
        file_system: layer.file_system,
        device: layer.device,
        statx: layer.statx.map(|told| DirectIoAlignment {
            memory_bytes: told.memory_bytes,
            offset_bytes: told.offset_bytes,
        }),
        by: match layer.by {
            agent::By::Writing => "writing".to_owned(),
            agent::By::Reading => "reading".to_owned(),
        },
        open: attempted(layer.open),
        sector: attempted(layer.sector),
        page: attempted(layer.page),
    }
}

fn attempted(tried: agent::Tried) -> Attempted {
    let none = Attempted { worked: None, errno: None, message: None };
    match tried {
        agent::Tried::NotTried => none,
        agent::Tried::Worked => Attempted { worked: Some(true), ..none },
        agent::Tried::Failed { errno, message } => {
            Attempted { worked: Some(false), errno: Some(errno), message: Some(message) }
        }
    }
}

/// What a folder is worth, as it was measured then.
#[must_use]
pub fn check(survey: survey::Survey, at_ms: i64) -> StorageCheck {
    StorageCheck {
        at_ms,
        direct_io: layer(survey.direct_io),
        capacity_bytes: survey.capacity_bytes,
        available_bytes: survey.available_bytes,
        inodes: survey.inodes,
        free_inodes: survey.free_inodes,
        fsync: survey.fsync.map(|latency| FsyncLatency {
            samples: latency.samples,
            median_us: latency.median_us,
            percentile_99_us: latency.percentile_99_us,
        }),
        hole_punching: attempted(survey.hole_punching),
        reflink: attempted(survey.reflink),
        findings: survey.findings.into_iter().map(finding).collect(),
    }
}

fn finding(finding: survey::Finding) -> StorageFinding {
    let subject = match finding.subject {
        survey::Subject::DirectIo => CheckSubject::DirectIo,
        survey::Subject::Alignment => CheckSubject::Alignment,
        survey::Subject::Space => CheckSubject::Space,
        survey::Subject::Inodes => CheckSubject::Inodes,
        survey::Subject::Flush => CheckSubject::Flush,
        survey::Subject::HolePunching => CheckSubject::HolePunching,
        survey::Subject::Reflink => CheckSubject::Reflink,
    };
    let verdict = match finding.verdict {
        survey::Verdict::Good => CheckVerdict::Good,
        survey::Verdict::Note => CheckVerdict::Note,
        survey::Verdict::Beware => CheckVerdict::Beware,
    };
    StorageFinding { subject, verdict, evidence: finding.evidence, advice: finding.advice }
}

/// Whether a virtual machine may migrate.
#[must_use]
pub fn migration(judged: migration::Migration) -> vm::VmMigration {
    let disk = |disk: migration::MigrationDisk| vm::VmMigrationDisk {
        target: disk.target,
        mode: words::cache(disk.mode),
        reach: match disk.reach {
            migration::Reach::Local => vm::DiskReach::Local,
            migration::Reach::Shared => vm::DiskReach::Shared,
            migration::Reach::Coherent => vm::DiskReach::Coherent,
            migration::Reach::Network => vm::DiskReach::Network,
        },
        safe: disk.safe,
        reason: disk.reason,
        remedy: disk.remedy,
    };
    vm::VmMigration {
        may: judged.may,
        drops_cache: judged.drops_cache,
        disks: judged.disks.into_iter().map(disk).collect(),
    }
}
