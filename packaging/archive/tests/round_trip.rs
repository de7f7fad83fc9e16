//! What is written is read again, by this crate and by the tools that every system has; what is altered is refused.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod made;

use std::process::Command;

use made::{Made, STUB, description, entries, make, make_tiny, make_with, noise};
use packaging_archive::{
    Archive, BLOCK_BYTES, Content, EntryPath, Error, HELPER, Input, Mode, TRAILER_BYTES, assemble, compress,
};

#[test]
fn extracted_files_have_the_content_and_the_mode_that_went_in() {
    let Made { folder, file, .. } = make(2);
    let archive = Archive::open(&file).unwrap();
    archive.verify_contents(&mut |_| ()).unwrap();
    let out = folder.path().join("out");
    archive.extract(&out, &|_| true, &mut |_| ()).unwrap();
    for (path, _, mode, content) in entries() {
        assert_eq!(std::fs::read(out.join(path)).unwrap(), content, "{path}");
        let metadata = std::fs::metadata(out.join(path)).unwrap();
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7777,
            mode.bits(),
            "{path}"
        );
    }
    assert_eq!(std::fs::read(out.join("manifest.json")).unwrap(), archive.manifest_json());
}

#[test]
fn a_section_that_is_not_wanted_is_not_written() {
    let Made { folder, file, .. } = make(1);
    let out = folder.path().join("out");
    Archive::open(&file).unwrap().extract(&out, &|section| section != "web", &mut |_| ()).unwrap();
    assert!(out.join("bin/tool").exists());
    assert!(!out.join("share").exists());
}

#[test]
fn extracting_into_a_folder_that_holds_something_is_refused() {
    let Made { folder, file, .. } = make(1);
    std::fs::create_dir(folder.path().join("out")).unwrap();
    std::fs::write(folder.path().join("out/mine"), "x").unwrap();
    let error = Archive::open(&file)
        .unwrap()
        .extract(&folder.path().join("out"), &|_| true, &mut |_| ())
        .unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert_eq!(std::fs::read_dir(folder.path().join("out")).unwrap().count(), 1);
}

#[test]
fn one_entry_is_read_and_a_misspelt_one_names_the_nearest() {
    let Made { file, folder: _kept, .. } = make(2);
    let archive = Archive::open(&file).unwrap();
    for (path, _, _, content) in entries() {
        let mut read = Vec::new();
        archive.read_entry(path, &mut read).unwrap();
        assert!(read == content, "{path}");
    }
    let error = archive.read_entry("bin/tol", &mut Vec::new()).unwrap_err();
    assert!(error.to_string().ends_with("did you mean `bin/tool`?"), "{error}");
}

#[test]
fn one_entry_needs_no_byte_but_those_of_the_table_and_its_own_members() {
    let Made { file, folder, .. } = make(2);
    let archive = Archive::open(&file).unwrap();
    let start = archive.trailer().stub_bytes + archive.trailer().head_bytes;
    let entry = archive.manifest().entry("bin/tool").unwrap();
    let next = &archive.manifest().entries.iter().find(|other| other.member > entry.member).unwrap();
    let own: Vec<_> = archive.manifest().members[entry.member..next.member].iter().collect();
    let mut bytes = std::fs::read(&file).unwrap();
    let end = bytes.len() - TRAILER_BYTES;
    let is_own =
        |at: u64| own.iter().any(|member| (member.offset..member.offset + member.size).contains(&at));
    for (at, byte) in bytes[start as usize..end].iter_mut().enumerate().filter(|(at, _)| !is_own(*at as u64))
    {
        *byte = at as u8;
    }
    std::fs::write(&file, bytes).unwrap();

    let archive = Archive::open(&file).unwrap();
    assert_eq!(archive.manifest().entries.len(), entries().len(), "the table is whole");
    let mut read = Vec::new();
    archive.read_entry("bin/tool", &mut read).unwrap();
    assert!(read == entries()[2].3);
    let out = folder.path().join("out");
    assert_eq!(archive.extract_only(&out, &["bin/tool".into()]).unwrap(), 1);
    assert!(std::fs::read(out.join("bin/tool")).unwrap() == read);
    // A byte of what is asked for is noticed without the check of the whole.
    for entry in entries().iter().filter(|entry| entry.0 != "bin/tool") {
        let error = archive.read_entry(entry.0, &mut Vec::new()).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{}: {error}", entry.0);
    }
    assert!(archive.verify(&mut |_| ()).unwrap_err().is_damage());
}

#[test]
fn some_entries_are_extracted_by_name_or_by_folder() {
    let Made { file, folder, .. } = make(2);
    let archive = Archive::open(&file).unwrap();
    let extracted = |out: &str, names: &[&str]| {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        archive.extract_only(&folder.path().join(out), &names)
    };
    assert_eq!(extracted("a", &["share/", "etc/tool.toml", "manifest.json"]).unwrap(), 4);
    for (path, _, _, content) in entries() {
        let found = std::fs::read(folder.path().join("a").join(path)).ok();
        let wanted = path.starts_with("share/") || path == "etc/tool.toml";
        assert!(found == wanted.then_some(content), "{path}");
    }
    assert!(folder.path().join("a/manifest.json").exists());
    let error = extracted("b", &["etc/empty", "etc/tol.toml"]).unwrap_err();
    assert!(error.to_string().ends_with("did you mean `etc/tool.toml`?"), "{error}");
    assert!(extracted("b", &["sha"]).is_err() && !folder.path().join("b").exists());
    assert!(
        matches!(extracted("a", &["etc/empty"]).unwrap_err(), Error::Io { .. }),
        "not into what is there"
    );
}

#[test]
fn a_cache_that_is_damaged_is_made_again() {
    let first = make(2);
    let bytes = std::fs::read(&first.file).unwrap();
    let cache = first.folder.path().join("cache");
    let damage = |how: fn(&mut Vec<u8>)| {
        for entry in std::fs::read_dir(&cache).unwrap() {
            let path = entry.unwrap().path();
            let mut bytes = std::fs::read(&path).unwrap();
            how(&mut bytes);
            std::fs::write(&path, bytes).unwrap();
        }
    };
    let hurts: [fn(&mut Vec<u8>); 5] = [
        |bytes| *bytes.last_mut().unwrap() ^= 1,
        |bytes| bytes[80] ^= 1,
        |bytes| bytes.truncate(100),
        |bytes| bytes.push(0),
        Vec::clear,
    ];
    for (index, how) in hurts.into_iter().enumerate() {
        damage(how);
        assert!(std::fs::read(make_with(&first.folder, 2).file).unwrap() == bytes, "before, {index}");
    }
    // Between compressing and putting together.
    for (index, how) in hurts.into_iter().enumerate() {
        let again = make_with(&first.folder, 2);
        damage(how);
        std::fs::remove_file(&again.file).unwrap();
        assemble(STUB, description(), &again.compressed, None, &again.file).unwrap();
        assert!(std::fs::read(&again.file).unwrap() == bytes, "in between, {index}");
    }
}

/// Tells this program that it is the one whose memory is looked at.
const ENV_BIG: &str = "ARCHIVE_TEST_BIG";

/// Packs and checks half a gigabyte, in a process of its own.
#[test]
fn memory_is_bounded_whatever_is_packed() {
    let Some(folder) = std::env::var_os(ENV_BIG) else {
        let folder = tempfile::tempdir().unwrap();
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "memory_is_bounded_whatever_is_packed"])
            .env(ENV_BIG, folder.path())
            .status();
        assert!(status.unwrap().success());
        return;
    };
    let folder = std::path::Path::new(&folder);
    // A hole takes no room on the disk.
    std::fs::File::create(folder.join("hole")).unwrap().set_len(512 << 20).unwrap();
    let input = |path: &str, content| Input {
        path: EntryPath::new(path).unwrap(),
        section: "core".into(),
        mode: Mode::File,
        mtime: 1,
        content,
    };
    let inputs = vec![
        input(HELPER, Content::Bytes(noise(1, 5000))),
        input("share/hole", Content::File(folder.join("hole"))),
        input("share/noise", Content::Bytes(noise(2, 20_000_000))),
    ];
    let sections = [("core".to_owned(), Vec::new())];
    let compressed = compress(inputs, &sections, &folder.join("cache"), 64, &|_| ()).unwrap();
    let file = folder.join("big.run");
    assemble(STUB, description(), &compressed, None, &file).unwrap();
    Archive::open(&file).unwrap().verify_contents(&mut |_| ()).unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB")).unwrap();
    let peak: u64 = peak.trim().parse().unwrap();
    assert!(peak < 256 << 10, "{peak} KiB");
}

#[test]
fn the_same_input_gives_the_same_bytes_cold_or_warm_with_any_number_of_threads() {
    let first = make(1);
    let bytes = std::fs::read(&first.file).unwrap();
    for threads in [1, 2, 5] {
        assert!(std::fs::read(make(threads).file).unwrap() == bytes, "{threads} threads");
    }
    let warm = make_with(&first.folder, 3);
    assert_eq!(warm.compressed.reused, warm.compressed.members(), "nothing is compressed twice");
    assert!(std::fs::read(warm.file).unwrap() == bytes, "warm");
}

#[test]
fn ordinary_tools_read_it() {
    let Made { file, folder: _kept, .. } = make(2);
    let start = Archive::open(&file).unwrap().trailer().stub_bytes;
    let listed = Command::new("sh")
        .args(["-c", r#"tail -c "+$1" "$2" | gzip -dc | tar -tf -"#, "sh", &(start + 1).to_string()])
        .arg(&file)
        .output()
        .unwrap();
    assert!(listed.status.success());
    let listed = String::from_utf8(listed.stdout).unwrap();
    let mut names: Vec<&str> = listed.lines().collect();
    assert_eq!(&names[..2], ["manifest.json", HELPER]);
    names.sort_unstable();
    let mut expected: Vec<&str> = entries().iter().map(|entry| entry.0).chain(["manifest.json"]).collect();
    expected.sort_unstable();
    assert_eq!(names, expected);
}

#[test]
fn the_stub_is_whole_blocks_and_knows_where_the_helper_is() {
    let Made { file, folder: _kept, .. } = make(1);
    let archive = Archive::open(&file).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    let trailer = archive.trailer();
    assert_eq!(trailer.stub_bytes % BLOCK_BYTES, 0);
    let stub = std::str::from_utf8(&bytes[..trailer.stub_bytes as usize]).unwrap();
    let expected = format!(
        "made 1.0-qa {} {} {}\n",
        trailer.stub_bytes,
        trailer.head_bytes,
        archive.manifest().members[0].size
    );
    assert!(stub.contains(&expected), "{stub}");
    assert!(!stub.contains("comment"), "comments stay behind: {stub}");
}

#[test]
fn every_cut_and_every_appended_byte_is_damage() {
    let Made { folder, file, .. } = make(1);
    let archive = Archive::open(&file).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    let start = archive.trailer().stub_bytes + archive.trailer().head_bytes;
    let mut cuts = vec![0, 1, archive.trailer().stub_bytes, start, bytes.len() as u64 - TRAILER_BYTES as u64];
    cuts.extend(archive.manifest().members.iter().map(|member| start + member.offset + member.size));
    let cut_file = folder.path().join("cut.run");
    for cut in cuts.into_iter().flat_map(|cut| [cut.saturating_sub(1), cut, cut + 1]) {
        std::fs::write(&cut_file, &bytes[..cut as usize]).unwrap();
        assert!(refusal(&cut_file).is_damage(), "cut at {cut}");
    }
    std::fs::write(&cut_file, [&bytes[..], b"x"].concat()).unwrap();
    assert!(refusal(&cut_file).is_damage());
}

#[test]
fn a_flipped_bit_anywhere_is_damage() {
    let Made { folder, file, .. } = make_tiny();
    let bytes = std::fs::read(&file).unwrap();
    let flipped_file = folder.path().join("flipped.run");
    // Every bit of the last kilobyte, and every thirteenth of the rest.
    for bit in (0..bytes.len() * 8).filter(|bit| bit / 8 + 1024 > bytes.len() || bit % 13 == 0) {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&flipped_file, flipped).unwrap();
        assert!(refusal(&flipped_file).is_damage(), "bit {bit}");
    }
}

fn refusal(file: &std::path::Path) -> Error {
    match Archive::open(file) {
        Ok(archive) => archive.verify(&mut |_| ()).unwrap_err(),
        Err(error) => error,
    }
}
