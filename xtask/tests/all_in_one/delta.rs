//! A delta is small, makes the new file by itself, and says what it is; where none can be, that is said.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use packaging_archive::{
    Archive, Content, Description, EntryPath, HELPER, Input, Mode, assemble, compress, hex,
};

use crate::support::{Keys, Ran, World, Xtask};

/// A world in which a file of ten megabytes differs in one byte between the tags `a` and `b`, and both as packed files.
fn two_versions(world: &World) -> (PathBuf, PathBuf) {
    let mut state = 7u64;
    let big = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'!' + (state % 90) as u8)
    });
    let mut big: String = big.take(10_000_000).collect();
    for version in ["a", "b"] {
        // In its first member, which changes with the time of the commit too.
        big.replace_range(1_000_000..1_000_001, version);
        world.dashboard.write("web/big", &big);
        world.dashboard.release(version);
    }
    let build = |version: &str| {
        let component = format!("--component=dashboard={version}");
        let name = format!("--name={version}");
        world.all_in_one(["--version=0.9fix", &component, &name]).run().succeeded().file()
    };
    (build("a"), build("b"))
}

fn delta(world: &World, old: &Path, new: &Path) -> Xtask {
    Xtask::new(["delta"])
        .arguments([old.to_str().unwrap(), new.to_str().unwrap()])
        .option("--out", &world.path("deltas"))
}

#[track_caller]
fn refused(world: &World, ran: &Ran, code: i32, words: &str) {
    assert_eq!(ran.code, Some(code), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
    let left: Vec<_> = fs::read_dir(world.path("deltas")).into_iter().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_delta_carries_what_has_changed_and_makes_the_new_file() {
    let world = World::new();
    let (old, new) = two_versions(&world);
    let ran = delta(&world, &old, &new).run().succeeded();
    let file = ran.file();
    assert_eq!(file.file_name().unwrap(), "trio-all-in-one-0.9fix-a-to-0.9fix-b-x86_64.run");
    let names = fs::read_dir(file.parent().unwrap()).unwrap().count();
    assert_eq!(names, 2, "the delta and its digest");

    let (before, after) = (Archive::open(&old).unwrap(), Archive::open(&new).unwrap());
    let known: Vec<&str> = before.manifest().members.iter().map(|member| member.sha256.as_str()).collect();
    let changed = after.manifest().members.iter().filter(|member| !known.contains(&member.sha256.as_str()));
    let changed: u64 = changed.map(|member| member.size).sum();
    let helper = after.manifest().members[0].size;
    let size = fs::metadata(&file).unwrap().len();
    let bound = changed + helper + after.trailer().file_bytes / 100;
    assert!(size <= bound && changed < after.trailer().file_bytes / 2, "{size} of {bound}");

    let made = world.path("made of both.run");
    let apply = Command::new("sh")
        .arg(&file)
        .args(["apply", "--base"])
        .arg(&old)
        .arg("--out")
        .arg(&made)
        .env("CAIRN_ROOT", world.path(""))
        .output()
        .unwrap();
    assert!(apply.status.success(), "{apply:?}");
    assert!(fs::read(&made).unwrap() == fs::read(&new).unwrap());

    // Again: the same bytes.
    let bytes = fs::read(&file).unwrap();
    delta(&world, &old, &new).run().succeeded();
    assert!(fs::read(&file).unwrap() == bytes);

    let digest = hex(&before.trailer().digest);
    let call = |command| Xtask::new([command, file.to_str().unwrap()]).run();
    let verified = call("verify").succeeded().stdout;
    let inspected = call("inspect").succeeded().stdout;
    assert!(verified.starts_with("ok: trio 0.9fix-b, a delta from 0.9fix-a, every byte"), "{verified}");
    assert!(inspected.starts_with("trio 0.9fix-b, a delta from 0.9fix-a\n"), "{inspected}");
    for said in [verified, inspected, ran.stdout] {
        assert!(said.contains(&digest) && said.contains(&format!("{size} bytes")), "{said}");
    }
    let base = Xtask::new(["inspect", old.to_str().unwrap()]).run().succeeded().stdout;
    assert!(base.contains(&format!("digest {digest}")), "{base}");
    let json = Xtask::new(["inspect", "--format=json", file.to_str().unwrap()]).run().succeeded().value();
    assert_eq!(json["delta"]["base"]["version"], "0.9fix-a");
    let mut damaged = bytes;
    let place = damaged.len() / 2;
    damaged[place] ^= 1;
    fs::write(&file, damaged).unwrap();
    assert_eq!(call("verify").code, Some(2));
}

#[test]
fn a_delta_has_a_signature_of_its_own_and_carries_the_other() {
    let world = World::new();
    let keys = Keys::new(&world, "key");
    let old = world.all_in_one(["--version=0.9"]).run().succeeded().file();
    let new = world.all_in_one(["--version=0.9fix"]).option("--key", &keys.private).run().succeeded().file();
    let file = delta(&world, &old, &new).option("--key", &keys.private).run().succeeded().file();
    assert_eq!(
        fs::read_dir(file.parent().unwrap()).unwrap().count(),
        3,
        "the delta, its digest and signature"
    );
    let verified = Xtask::new(["verify", file.to_str().unwrap()]).option("--trust", &keys.public).run();
    assert!(verified.succeeded().stdout.contains("which is trusted"));
    let unsigned = delta(&world, &old, &new).run().succeeded().file();
    let verified = Xtask::new(["verify", unsigned.to_str().unwrap()]).option("--trust", &keys.public).run();
    assert_eq!(verified.code, Some(8), "{}", verified.stderr);
    Xtask::new(["sign", unsigned.to_str().unwrap()]).option("--key", &keys.private).run().succeeded();
    let made = world.path("made.run");
    let mut tool = Command::new("sh");
    tool.arg(&unsigned).args(["apply", "--base"]).arg(&old).arg("--out").arg(&made);
    let tool = tool.env("CAIRN_ROOT", world.path("")).output().unwrap();
    assert!(tool.status.success(), "{tool:?}");
    assert_eq!(Archive::open(&made).unwrap().signer(), Archive::open(&new).unwrap().signer());
    assert!(Archive::open(&made).unwrap().signer().is_some());
}

#[test]
fn what_no_delta_can_be_between_is_said() {
    let world = World::new();
    let old = world.all_in_one(["--version=0.9"]).run().succeeded().file();
    let ran = |old: &Path, new: &Path| delta(&world, old, new).run();
    refused(&world, &ran(&old, &old), 1, "both files are the same");
    refused(&world, &ran(&old, &world.path("nowhere.run")), 1, "there is no file");
    let strange = pack(&world, "other", "1");
    refused(&world, &ran(&old, &strange), 1, "; name two files of one product");
    // What is in it is no program of ours.
    let unknowing = pack(&world, "trio", "1");
    refused(&world, &ran(&old, &unknowing), 1, "knows nothing of deltas; pack that version again");
    let mut bytes = fs::read(&old).unwrap();
    let place = bytes.len() / 2;
    bytes[place] ^= 1;
    let damaged = world.path("damaged.run");
    fs::write(&damaged, bytes).unwrap();
    refused(&world, &ran(&damaged, &unknowing), 2, "is damaged");
    refused(&world, &ran(&unknowing, &damaged), 2, "is damaged");
}

/// A packed file with a helper that is none.
fn pack(world: &World, product: &str, version: &str) -> PathBuf {
    let input = Input {
        path: EntryPath::new(HELPER).unwrap(),
        section: "core".into(),
        mode: Mode::Executable,
        mtime: 1,
        content: Content::Bytes(b"no program".to_vec()),
    };
    let members = world.path("members");
    let packed = compress(vec![input], &[("core".to_owned(), Vec::new())], &members, 1, &|_| ()).unwrap();
    let build =
        packaging_archive::Build { target: "x86_64-unknown-linux-gnu".into(), native: true, glibc: None };
    let description = Description {
        product: product.into(),
        version: version.into(),
        created: 1,
        toolchain: packaging_archive::Toolchain { commit: "0".repeat(40), dirty: false },
        build,
        components: std::collections::BTreeMap::new(),
    };
    let file = world.path(&format!("{product}-{version}.run"));
    assemble(include_str!("../../../packaging/stub.sh"), description, &packed, None, &file).unwrap();
    file
}
