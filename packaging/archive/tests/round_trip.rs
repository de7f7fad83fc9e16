//! What is written is read again, by this crate and by the tools that every system has; what is altered is refused.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod made;

use std::process::Command;

use made::{Made, entries, make, make_tiny, make_with};
use packaging_archive::{Archive, BLOCK_BYTES, Error, HELPER, TRAILER_BYTES};

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
