//! Stub, manifest, members and trailer to one executable file, which appears by rename.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use flate2::{Compression, GzBuilder};
use sha2::{Digest as _, Sha256};

use super::{Compressed, Description, PrivateKey};
use crate::header::header;
use crate::manifest::{FORMAT, MANIFEST, Manifest, Mode, needs};
use crate::trailer::{Digest, TRAILER_BYTES, Trailer};
use crate::{BLOCK_BYTES, Error};

/// Writes the archive to `out`, signed if there is a `key`, replacing what was there only when it is complete. Returns
/// the trailer and the SHA-256 of the whole file.
///
/// `stub` is the text of the shell script. These words in it are replaced: `@PRODUCT@`, `@VERSION@`, `@STUB@` (bytes of
/// the padded stub), `@HEAD@` (compressed bytes of member 0) and `@HELPER@` (compressed bytes of member 1). Lines that are only a comment are dropped, but for the first two.
///
/// # Errors
/// [`Error::Io`] or [`Error::Key`]; `out` is then as it was.
pub fn assemble(
    stub: &str,
    description: Description,
    compressed: &Compressed,
    key: Option<&PrivateKey>,
    out: &Path,
) -> Result<(Trailer, Digest), Error> {
    write(stub, &manifest(description, compressed), compressed, key, out)
}

/// The same, for a manifest that is made already.
pub(super) fn write(
    stub: &str,
    manifest: &Manifest,
    compressed: &Compressed,
    key: Option<&PrivateKey>,
    out: &Path,
) -> Result<(Trailer, Digest), Error> {
    let head = head(manifest)?;
    let stub = padded_stub(stub, manifest, head.len());
    let data_bytes: u64 = compressed.members.iter().map(|member| member.size).sum();
    let before = (stub.len() + head.len()) as u64 + data_bytes;

    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    let temporary = tempfile::NamedTempFile::new_in(folder).map_err(Error::io("write to", folder))?;
    let mut sink = Hashed { inner: BufWriter::with_capacity(1 << 20, temporary), hash: Sha256::new() };
    let mut write = |bytes: &[u8]| sink.write_all(bytes).map_err(Error::io("write", out));
    write(&stub)?;
    write(&head)?;
    let mut buffer = Vec::new();
    for packed in &compressed.packed {
        packed.load(&compressed.sources, &mut buffer)?;
        write(&buffer)?;
    }
    let mut trailer = Trailer {
        stub_bytes: stub.len() as u64,
        head_bytes: head.len() as u64,
        file_bytes: before + TRAILER_BYTES as u64,
        digest: sink.hash.clone().finalize().into(),
        signature: None,
    };
    if let Some(key) = key {
        trailer = trailer.signed(key).map_err(|source| Error::Key { path: out.to_owned(), source })?;
    }
    sink.write_all(&trailer.bytes()).map_err(Error::io("write", out))?;
    let sha256 = sink.hash.finalize().into();
    let temporary = sink.inner.into_inner().map_err(|error| Error::io("write", out)(error.into_error()))?;
    temporary
        .as_file()
        .set_permissions(fs::Permissions::from_mode(0o755))
        .map_err(Error::io("write", out))?;
    // Not synced to the disk: what a power failure leaves of it no reader takes for whole.
    temporary.persist(out).map_err(|error| Error::io("write", out)(error.error))?;
    Ok((trailer, sha256))
}

pub(super) fn manifest(description: Description, compressed: &Compressed) -> Manifest {
    Manifest {
        format: FORMAT,
        product: description.product,
        version: description.version,
        created: description.created,
        toolchain: description.toolchain,
        build: description.build,
        components: description.components,
        needs: needs(compressed.entries.iter()),
        sections: compressed.sections.clone(),
        entries: compressed.entries.clone(),
        members: compressed.members.clone(),
        delta: None,
    }
}

/// Member 0: a tar entry with the manifest, compressed.
fn head(manifest: &Manifest) -> Result<Vec<u8>, Error> {
    let failed = Error::io("pack", Path::new(MANIFEST));
    let pack = || -> io::Result<Vec<u8>> {
        let mut json = serde_json::to_vec_pretty(manifest)?;
        json.push(b'\n');
        let header = header(MANIFEST, json.len() as u64, Mode::File, manifest.created)?;
        json.resize(json.len().next_multiple_of(512), 0);
        let mut gzip = GzBuilder::new().operating_system(255).write(Vec::new(), Compression::best());
        gzip.write_all(header.as_bytes())?;
        gzip.write_all(&json)?;
        gzip.finish()
    };
    pack().map_err(failed)
}

fn padded_stub(text: &str, manifest: &Manifest, head_bytes: usize) -> Vec<u8> {
    let helper = &manifest.members[0];
    let fill = |stub_bytes: u64| {
        strip_comments(text)
            .replace("@PRODUCT@", &manifest.product)
            .replace("@VERSION@", &manifest.version)
            .replace("@STUB@", &stub_bytes.to_string())
            .replace("@HEAD@", &head_bytes.to_string())
            .replace("@HELPER@", &helper.size.to_string())
    };
    // The stub names its own length: more blocks, until what names them fits in them.
    let mut stub_bytes = BLOCK_BYTES;
    while fill(stub_bytes).len() as u64 > stub_bytes {
        stub_bytes += BLOCK_BYTES;
    }
    let mut stub = fill(stub_bytes).into_bytes();
    stub.resize(stub_bytes as usize, b'\n');
    stub
}

/// The script as it is shipped: comments stay in the source, where they are read, and out of the file, where each of
/// their bits would be one more that can flip.
fn strip_comments(text: &str) -> String {
    let keep = |(index, line): &(usize, &str)| *index < 2 || !line.trim_start().starts_with('#');
    text.lines().enumerate().filter(keep).map(|(_, line)| format!("{}\n", line.trim_start())).collect()
}

/// What is written, and its digest so far.
pub(super) struct Hashed<W> {
    pub(super) inner: W,
    pub(super) hash: Sha256,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hash.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
