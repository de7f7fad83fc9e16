//! Archives that no builder of ours makes, whole by their digest.

use std::io::{Read as _, Write as _};
use std::path::Path;

use packaging_archive::{Archive, TRAILER_BYTES, Trailer, hex};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Rewrites the manifest of an archive and makes trailer and digest agree with it again.
pub fn forge(file: &Path, change: impl FnOnce(&mut Value)) {
    let bytes = std::fs::read(file).unwrap();
    let forged = Parts::of(&bytes).forged(change);
    std::fs::write(file, forged).unwrap();
}

/// Rewrites what members hold, uncompressed, and then the manifest, in which sizes, places and digests of the members are right
/// already.
pub fn remake(file: &Path, change: impl FnOnce(&mut Vec<Vec<u8>>), lie: impl FnOnce(&mut Value)) {
    let mut parts = Parts::of(&std::fs::read(file).unwrap());
    parts.remake(change);
    std::fs::write(file, parts.forged(lie)).unwrap();
}

/// An archive in parts.
#[derive(Clone)]
pub struct Parts {
    pub stub: Vec<u8>,
    pub manifest: Value,
    /// Uncompressed.
    pub members: Vec<Vec<u8>>,
    data: Vec<u8>,
}

impl Parts {
    /// Takes a good one apart.
    pub fn of(bytes: &[u8]) -> Self {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let archive = Archive::open(file.path()).unwrap();
        let trailer = archive.trailer();
        let start = (trailer.stub_bytes + trailer.head_bytes) as usize;
        let data = bytes[start..bytes.len() - TRAILER_BYTES].to_vec();
        let inflated = |(offset, size): (u64, u64)| {
            let mut raw = Vec::new();
            let member = &data[offset as usize..][..size as usize];
            flate2::read::GzDecoder::new(member).read_to_end(&mut raw).unwrap();
            raw
        };
        Self {
            stub: bytes[..trailer.stub_bytes as usize].to_vec(),
            manifest: serde_json::from_slice(archive.manifest_json()).unwrap(),
            members: archive.manifest().members.iter().map(|m| inflated((m.offset, m.size))).collect(),
            data,
        }
    }

    /// Compresses other contents and writes a table that fits them.
    pub fn remake(&mut self, change: impl FnOnce(&mut Vec<Vec<u8>>)) {
        change(&mut self.members);
        self.data.clear();
        for (index, raw) in self.members.iter().enumerate() {
            let member = gzipped(&[raw]);
            let known = &mut self.manifest["members"][index];
            known["offset"] = self.data.len().into();
            known["size"] = member.len().into();
            known["raw_size"] = raw.len().into();
            known["sha256"] = hex(&Sha256::digest(&member)).into();
            self.data.extend(member);
        }
    }

    /// Puts it together with another manifest.
    pub fn forged(mut self, change: impl FnOnce(&mut Value)) -> Vec<u8> {
        change(&mut self.manifest);
        headed(&self.stub, &self.manifest, &self.data)
    }
}

/// Stub and members with this manifest in between.
pub fn headed(stub: &[u8], manifest: &Value, data: &[u8]) -> Vec<u8> {
    let json = serde_json::to_vec(manifest).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_path("manifest.json").unwrap();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(json.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    let padding = vec![0; json.len().next_multiple_of(512) - json.len()];
    let head = gzipped(&[header.as_bytes(), &json, &padding]);
    whole(stub, &head, data)
}

/// Stub, member 0 and the others, with the trailer that belongs to them.
pub fn whole(stub: &[u8], head: &[u8], data: &[u8]) -> Vec<u8> {
    let before = [stub, head, data].concat();
    let trailer = Trailer {
        stub_bytes: stub.len() as u64,
        head_bytes: head.len() as u64,
        file_bytes: (before.len() + TRAILER_BYTES) as u64,
        digest: Sha256::digest(&before).into(),
        signature: None,
    };
    [before, trailer.bytes()].concat()
}

fn gzipped(parts: &[&[u8]]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    parts.iter().for_each(|part| gzip.write_all(part).unwrap());
    gzip.finish().unwrap()
}
