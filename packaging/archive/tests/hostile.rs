//! Archives that no builder of ours makes: whole by their digest, wrong in what they say.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod made;

use made::forge::{forge, remake};
use made::{Made, make_tiny};
use packaging_archive::{Archive, Content, EntryPath, Error, HELPER, Input, Mode, TRAILER_BYTES, compress};

/// What opening, or else extracting, the forged file answers; nothing may appear outside the folder.
fn refused(change: impl FnOnce(&mut serde_json::Value)) -> Error {
    let made = make_tiny();
    forge(&made.file, change);
    refusal(&made)
}

fn refusal(Made { folder, file, .. }: &Made) -> Error {
    let out = folder.path().join("out");
    let error = match Archive::open(file) {
        Err(error) => error,
        Ok(archive) => {
            let read = archive.verify_contents(&mut |_| ()).unwrap_err();
            let is_extracted = archive.extract(&out, &|_| true, &mut |_| ()).is_ok();
            // What lies behind the last entry harms nobody who knows the table.
            assert!(!is_extracted || read.to_string().contains("as a tar file"), "{read}");
            read
        }
    };
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| name == "out" || name == "made.run" || name == "cache"), "{names:?}");
    assert!(error.is_damage(), "{error}");
    error
}

#[test]
fn names_that_leave_the_folder_are_refused() {
    for name in ["../escape", "/etc/escape", "etc/../../escape", "etc//x", "."] {
        let error = refused(|json| json["entries"][2]["path"] = name.into());
        assert!(error.to_string().contains("refused"), "{name}: {error}");
    }
}

#[test]
fn two_entries_of_one_name_are_refused() {
    let error = refused(|json| json["entries"][2]["path"] = json["entries"][1]["path"].clone());
    assert!(error.to_string().contains("two entries are called"), "{error}");
}

#[test]
fn a_file_that_is_also_a_folder_is_refused() {
    let error = refused(|json| json["entries"][2]["path"] = "bin/tool/x".into());
    assert!(error.to_string().contains("is a file"), "{error}");
}

#[test]
fn a_mode_beyond_the_two_is_refused() {
    refused(|json| json["entries"][2]["mode"] = "4755".into());
}

#[test]
fn a_table_that_lies_is_refused() {
    refused(|json| json["entries"][1]["size"] = 7.into());
    refused(|json| json["entries"][1]["sha256"] = "0".repeat(64).into());
    refused(|json| json["entries"][1]["member"] = 3.into());
    refused(|json| json["entries"][1]["member"] = 4_000_000.into());
    refused(|json| json["members"][1]["offset"] = 1.into());
    refused(|json| json["members"][1]["size"] = u64::MAX.into());
    refused(|json| json["members"][1]["raw_size"] = 512.into());
    refused(|json| json["members"][1]["raw_size"] = u64::MAX.into());
    refused(|json| {
        json["entries"].as_array_mut().unwrap().pop();
    });
    refused(|json| json["sections"][1]["name"] = "core".into());
    refused(|json| json["sections"][1]["name"] = "".into());
    refused(|json| json["members"] = serde_json::json!([]));
    refused(|json| json["entries"] = serde_json::json!([]));
    refused(|json| json["entries"][0]["path"] = "bin/other".into());
}

#[test]
fn sizes_that_overflow_or_overlap_are_refused() {
    for size in [u64::MAX, u64::MAX - 511, u64::MAX - 512, 1 << 63, (1 << 33) + 1] {
        refused(|json| json["entries"][1]["size"] = size.into());
        refused(|json| json["members"][1]["size"] = size.into());
        refused(|json| json["members"][1]["raw_size"] = size.into());
        refused(|json| json["members"][1]["offset"] = size.into());
    }
    // Two members out of the same bytes.
    refused(|json| json["members"][2]["offset"] = json["members"][1]["offset"].clone());
    refused(|json| json["entries"][1]["member"] = u64::MAX.into());
    refused(|json| json["entries"][1]["size"] = (-1).into());
}

#[test]
fn room_that_is_not_what_it_takes_is_refused() {
    for place in ["/needs/bytes", "/needs/inodes", "/sections/0/needs/bytes", "/sections/1/needs/inodes"] {
        let error = refused(|json| *json.pointer_mut(place).unwrap() = 1.into());
        assert!(error.to_string().contains("another room"), "{place}: {error}");
    }
}

#[test]
fn a_section_in_two_places_is_refused() {
    let error = refused(|json| {
        let end = json["members"].as_array().unwrap().len() - 2;
        json["members"][end]["section"] = "core".into();
        json["members"][1]["section"] = "web".into();
    });
    assert!(error.to_string().contains("refused"), "{error}");
}

#[test]
fn a_bomb_is_refused_before_it_is_unpacked() {
    let bomb = 65 << 20;
    let made = make_tiny();
    // A member that holds more than it may, with a table that says so.
    let grow = |members: &mut Vec<Vec<u8>>| members[1].extend(vec![0; bomb]);
    remake(&made.file, grow, |_| ());
    assert!(refusal(&made).to_string().contains("is too big"));
    // And with one that says nothing of it.
    let made = make_tiny();
    let mut honest = 0;
    let grow = |members: &mut Vec<Vec<u8>>| {
        honest = members[1].len();
        members[1].resize(1 << 19, 0);
    };
    remake(&made.file, grow, |_| ());
    forge_raw_size(&made.file, honest);
    let error = refusal(&made);
    assert!(error.to_string().contains("holds more than"), "{error}");
}

/// Says of member 1 that it holds so many bytes. The archive is one that only its bytes can be taken from.
fn forge_raw_size(file: &std::path::Path, raw_size: usize) {
    let bytes = std::fs::read(file).unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let line = text(&bytes[bytes.len() - TRAILER_BYTES + 16..]);
    let number = |name: &str| -> usize {
        line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('=')).unwrap().parse().unwrap()
    };
    let (stub, head) = bytes[..bytes.len() - TRAILER_BYTES].split_at(number("stub"));
    let (head, data) = head.split_at(number("head"));
    let mut raw = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(head), &mut raw).unwrap();
    let json = &raw[512..];
    let mut manifest: serde_json::Value =
        serde_json::from_slice(&json[..=json.iter().rposition(|&byte| byte == b'}').unwrap()]).unwrap();
    manifest["members"][1]["raw_size"] = raw_size.into();
    std::fs::write(file, made::forge::headed(stub, &manifest, data)).unwrap();
}

/// What is answered when the tar header of the second entry is another one.
fn with_header(change: impl FnOnce(&mut tar::Header)) -> Error {
    let made = make_tiny();
    let swap = |members: &mut Vec<Vec<u8>>| {
        let mut header = tar::Header::from_byte_slice(&members[1][..512]).clone();
        change(&mut header);
        header.set_cksum();
        members[1][..512].copy_from_slice(header.as_bytes());
    };
    remake(&made.file, swap, |_| ());
    let error = refusal(&made);
    assert!(matches!(error, Error::Unsafe { .. }), "{error}");
    error
}

#[test]
fn what_is_no_regular_file_is_refused() {
    use tar::EntryType;
    for kind in [
        EntryType::Symlink,
        EntryType::Link,
        EntryType::Char,
        EntryType::Block,
        EntryType::Fifo,
        EntryType::Directory,
        EntryType::Continuous,
        EntryType::GNULongName,
        EntryType::GNULongLink,
        EntryType::GNUSparse,
        EntryType::XHeader,
        EntryType::XGlobalHeader,
    ] {
        with_header(|header| header.set_entry_type(kind));
    }
    with_header(|header| {
        header.set_entry_type(EntryType::Symlink);
        header.set_link_name("/etc").unwrap();
    });
}

#[test]
fn a_header_that_says_more_than_the_table_is_refused() {
    with_header(|header| header.set_mode(0o4755));
    with_header(|header| header.set_mode(0o777));
    with_header(|header| header.set_uid(1000));
    with_header(|header| header.set_gid(1000));
    with_header(|header| header.set_size(0));
    with_header(|header| header.set_link_name("../../etc/passwd").unwrap());
    with_header(|header| header.set_username("nobody").unwrap());
    with_header(|header| header.set_device_major(1).unwrap());
    with_header(|header| header.as_ustar_mut().unwrap().prefix[..3].copy_from_slice(b"../"));
    // The type of a regular file in the tar of 1979.
    with_header(|header| header.as_mut_bytes()[156] = 0);
    with_header(|header| header.as_mut_bytes()[500] = 1);
}

#[test]
fn an_entry_behind_the_end_is_refused() {
    let made = make_tiny();
    let hide = |members: &mut Vec<Vec<u8>>| {
        let hidden = members[1][..1024].to_vec();
        *members.last_mut().unwrap() = hidden;
    };
    remake(&made.file, hide, |_| ());
    assert!(refusal(&made).to_string().contains("does not end as a tar file"));
}

#[test]
fn members_that_hold_more_than_the_entries_are_refused() {
    let made = make_tiny();
    // The end of a tar file in its middle, and behind it what programs that know no table would not see.
    remake(&made.file, |members| members[1].extend([0; 1024]), |_| ());
    assert!(refusal(&made).to_string().contains("refused"));
}

#[test]
fn a_builder_refuses_what_a_reader_would() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "content").unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
    let socket = folder.path().join("socket");
    let _socket = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let refused = |content: Content, names: &[&str]| {
        let input = |path: &str, content| Input {
            path: EntryPath::new(path).unwrap(),
            section: "core".into(),
            mode: Mode::File,
            mtime: 1,
            content,
        };
        let mut inputs = vec![input(HELPER, Content::Bytes(b"helper".to_vec()))];
        inputs.extend(names.iter().map(|name| input(name, content.clone())));
        let sections = [("core".to_owned(), Vec::new())];
        let error = compress(inputs, &sections, &folder.path().join("cache"), 2, &|_| ()).unwrap_err();
        assert!(matches!(error, Error::Input { .. }), "{error}");
    };
    for special in [link, socket, folder.path().to_owned(), "/dev/null".into()] {
        refused(Content::File(special), &["etc/x"]);
    }
    let file = Content::File(file);
    refused(file.clone(), &["etc/x", "etc/x"]);
    refused(file.clone(), &["etc/x", "etc/x/y"]);
    refused(file.clone(), &["bin/cairnctl/y"]);
    refused(file.clone(), &["manifest.json"]);
    refused(file, &["manifest.json/x"]);
}

#[test]
fn another_format_is_refused_by_its_number() {
    let error = refused(|json| json["format"] = 3.into());
    assert!(matches!(error, Error::Format { found: 3, known: 1, .. }), "{error}");
}
