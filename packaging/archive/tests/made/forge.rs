//! An archive with another manifest, whole by its digest.

use std::path::Path;

use packaging_archive::{Archive, TRAILER_BYTES, Trailer};
use sha2::{Digest as _, Sha256};

/// Rewrites the manifest of an archive and makes trailer and digest agree with it again.
pub fn forge(file: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    let archive = Archive::open(file).unwrap();
    let bytes = std::fs::read(file).unwrap();
    let trailer = archive.trailer();
    let mut json: serde_json::Value = serde_json::from_slice(archive.manifest_json()).unwrap();
    change(&mut json);
    let json = serde_json::to_vec(&json).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_path("manifest.json").unwrap();
    header.set_size(json.len() as u64);
    header.set_cksum();
    let mut head = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut head, header.as_bytes()).unwrap();
    std::io::Write::write_all(&mut head, &json).unwrap();
    std::io::Write::write_all(&mut head, &vec![0; json.len().next_multiple_of(512) - json.len()]).unwrap();
    let head = head.finish().unwrap();
    let data = &bytes[(trailer.stub_bytes + trailer.head_bytes) as usize..bytes.len() - TRAILER_BYTES];
    let before = [&bytes[..trailer.stub_bytes as usize], &head, data].concat();
    let forged = Trailer {
        stub_bytes: trailer.stub_bytes,
        head_bytes: head.len() as u64,
        file_bytes: (before.len() + TRAILER_BYTES) as u64,
        digest: Sha256::digest(&before).into(),
        signature: None,
    };
    std::fs::write(file, [before, forged.bytes()].concat()).unwrap();
}
