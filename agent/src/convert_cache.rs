//! Between what is said of cache modes on the wire and what the hypervisor thinks in. As [`crate::convert`] for everything
//! else: every match is exhaustive, every struct is taken apart by name.

use agent_hypervisor::cache::evidence::{Alignment, Answer, By, Evidence, SECTOR_BYTES, Tried, words};
use agent_hypervisor::cache::{Decision, Layer, Supposed};
use agent_hypervisor::{Error, spec, state};
use agent_protocol::cache;

use crate::convert::{Same, from_path, to_path};

/// What is asked of the mode of a disk or a drive.
#[must_use]
pub fn to_request(request: cache::CacheRequest) -> spec::CacheRequest {
    let cache::CacheRequest { choice, origin, accepts_loss } = request;
    let origin = match origin {
        cache::Origin::Volume => spec::Origin::Volume,
        cache::Origin::Vm => spec::Origin::Vm,
        cache::Origin::Storage => spec::Origin::Storage,
        cache::Origin::Global => spec::Origin::Global,
    };
    spec::CacheRequest { choice: choice.same(), origin: Some(origin), accepts_loss }
}

/// The sector that a guest sees.
#[must_use]
pub fn to_sector(sector: cache::Sector) -> spec::Sector {
    match sector {
        cache::Sector::Free => spec::Sector::Free,
        cache::Sector::Fixed { bytes: SECTOR_BYTES } => spec::Sector::Fixed(None),
        cache::Sector::Fixed { bytes } => spec::Sector::Fixed(Some(bytes)),
    }
}

/// A disk that there may be.
///
/// # Errors
/// As [`to_path`].
pub fn to_supposed(question: cache::Question) -> Result<Supposed, Error> {
    let cache::Question { path, format, bus, cache, sector } = question;
    let (format, bus) = (format.same(), bus.same());
    Ok(Supposed { file: to_path(path)?, format, bus, cache: to_request(cache), sector: to_sector(sector) })
}

/// What would come of it.
#[must_use]
pub fn from_judgement(judged: Result<Decision, Error>) -> cache::Judgement {
    match judged {
        Ok(decision) => cache::Judgement::Decided(from_effective(state::Effective::supposed(&decision))),
        Err(error) => cache::Judgement::Refused { message: error.to_string() },
    }
}

/// How a file is opened.
#[must_use]
pub fn from_effective(effective: state::Effective) -> cache::EffectiveCache {
    let state::Effective {
        requested,
        origin,
        mode,
        direct,
        reason,
        warnings,
        aio,
        sector_bytes,
        layers,
        weakest,
    } = effective;
    let layers = layers.iter().enumerate();
    cache::EffectiveCache {
        requested: requested.same(),
        origin: origin.map(|origin| match origin {
            spec::Origin::Volume => cache::Origin::Volume,
            spec::Origin::Vm => cache::Origin::Vm,
            spec::Origin::Storage => cache::Origin::Storage,
            spec::Origin::Global => cache::Origin::Global,
        }),
        mode: mode.same(),
        direct,
        reason,
        warnings,
        io: aio.map(|aio| match aio {
            spec::Aio::Threads => cache::Io::Threads,
            spec::Aio::Native => cache::Io::Native,
            spec::Aio::IoUring => cache::Io::IoUring,
        }),
        sector_bytes: sector_bytes.unwrap_or(SECTOR_BYTES),
        evidence: layers.map(|(at, layer)| from_layer(layer, weakest == Some(at))).collect(),
    }
}

/// What was found at one file.
#[must_use]
pub fn from_layer(layer: &Layer, weakest: bool) -> cache::Layer {
    let Layer { path, folder, evidence, answer } = layer;
    let Evidence { mount, file_system, device, statx, open, by, sector, page } = evidence;
    cache::Layer {
        path: from_path(path),
        folder: from_path(folder),
        weakest,
        answer: match *answer {
            Answer::Direct => cache::Answer::Direct,
            Answer::Buffered => cache::Answer::Buffered,
            Answer::Refused(_) => cache::Answer::Refused,
            Answer::Larger { bytes } => cache::Answer::Larger { bytes },
        },
        mount: from_path(mount),
        file_system: file_system.clone(),
        device: device.clone(),
        statx: statx
            .map(|Alignment { memory_bytes, offset_bytes }| cache::Alignment { memory_bytes, offset_bytes }),
        open: from_tried(*open),
        by: match by {
            By::Writing => cache::By::Writing,
            By::Reading => cache::By::Reading,
        },
        sector: from_tried(*sector),
        page: from_tried(*page),
    }
}

/// How one attempt went.
#[must_use]
pub fn from_tried(tried: Tried) -> cache::Tried {
    match tried {
        Tried::Not => cache::Tried::NotTried,
        Tried::Worked => cache::Tried::Worked,
        Tried::Failed(errno) => cache::Tried::Failed { errno: errno.raw_os_error(), message: words(errno) },
    }
}
