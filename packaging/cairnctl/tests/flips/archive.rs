//! The file under test: the real stub, the real helper, and a payload that leaves traces when it is installed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use packaging_archive::{
    Archive, Build, Content, Description, EntryPath, HELPER, Input, Mode, Toolchain, assemble, compress,
};

/// The helper of the package under test, executable.
pub fn helper() -> &'static Path {
    static HELPER_FILE: LazyLock<(tempfile::TempDir, PathBuf)> = LazyLock::new(|| {
        let run = std::env::var_os("CAIRN_RUN_FILE");
        let run = run.expect("CAIRN_RUN_FILE names no .run file; run `cargo xtask test`, which builds one");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cairnctl");
        let mut bytes = Vec::new();
        Archive::open(run).unwrap().read_entry(HELPER, &mut bytes).unwrap();
        std::fs::write(&file, bytes).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        (folder, file)
    });
    &HELPER_FILE.1
}

/// Packs the archive into `folder`.
pub fn small(folder: &Path) -> PathBuf {
    let input = |path: &str, mode, content| Input {
        path: EntryPath::new(path).unwrap(),
        section: if path.starts_with("share") { "extra" } else { "core" }.into(),
        mode,
        mtime: 1,
        content,
    };
    let inputs = vec![
        input(HELPER, Mode::Executable, Content::File(helper().to_owned())),
        input("install.sh", Mode::Executable, Content::Bytes(b"#!/bin/sh\necho ok\n".to_vec())),
        input("etc/payload.toml", Mode::File, Content::Bytes(b"key = 1\n".to_vec())),
        input(
            "systemd/payload.service",
            Mode::File,
            Content::Bytes(b"[Service]\nExecStart=/bin/true\n".to_vec()),
        ),
        input("share/big", Mode::File, Content::Bytes(vec![7; 5 << 20])),
    ];
    let sections = [("core".to_owned(), Vec::new()), ("extra".to_owned(), Vec::new())];
    let members = folder.join("members");
    let pack = |inputs| compress(inputs, &sections, &members, 1, &|_| ()).unwrap();
    pack(inputs.clone());
    store_biggest(&members);
    let compressed = pack(inputs);
    let description = Description {
        product: "payload".into(),
        version: "1".into(),
        created: 1,
        toolchain: Toolchain { commit: "0".repeat(40), dirty: false },
        build: Build { target: "x86_64-unknown-linux-gnu".into(), native: true, glibc: None },
        components: BTreeMap::new(),
    };
    let file = folder.join("payload.run");
    assemble(include_str!("../../../stub.sh"), description, &compressed, None, &file).unwrap();
    file
}

/// Replaces the biggest member in the cache, which is the helper's, by one that holds the same bytes uncompressed: to take
/// it out is then little more than to copy it, and tens of thousands of runs take half the time.
fn store_biggest(members: &Path) {
    let files = std::fs::read_dir(members).unwrap().map(|entry| entry.unwrap().path());
    let biggest = files.max_by_key(|path| std::fs::metadata(path).unwrap().len()).unwrap();
    let cached = std::fs::read(&biggest).unwrap();
    // A line with the SHA-256, the size and the CRC-32 of the member, and its own, stands in front of it.
    let line = cached.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    let mut raw = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&cached[line..]), &mut raw).unwrap();
    let mut stored = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    std::io::Write::write_all(&mut stored, &raw).unwrap();
    let stored = stored.finish().unwrap();
    let sha256 = <sha2::Sha256 as sha2::Digest>::digest(&stored);
    let crc = |bytes: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum()
    };
    let line = format!("{} {:010} {:08x}", packaging_archive::hex(&sha256), stored.len(), crc(&stored));
    let line = format!("{line} {:08x}\n", crc(line.as_bytes()));
    std::fs::write(&biggest, [line.as_bytes(), &stored].concat()).unwrap();
}
