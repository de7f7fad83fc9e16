//! A signed file says by whom, to this project's tools and to a stock `openssl`; one that is unsigned, signed by somebody else
//! or damaged is told apart.

use std::fs;
use std::path::Path;
use std::process::Command;

use packaging_archive::{Archive, TRAILER_BYTES, Trailer};
use sha2::{Digest as _, Sha256};

use crate::support::{Keys, Ran, World, Xtask, names_beside};

fn verify(file: &Path, trust: &[&Path]) -> Ran {
    let call = Xtask::new(["verify", file.to_str().unwrap()]);
    trust.iter().fold(call, |call, key| call.option("--trust", key)).run()
}

fn signed(world: &World, keys: &Keys) -> Ran {
    world.all_in_one(["--version=0.9fix"]).option("--key", &keys.private).run().succeeded()
}

#[track_caller]
fn says(ran: &Ran, code: i32, words: &str) {
    assert_eq!(ran.code, Some(code), "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stdout.contains(words) || ran.stderr.contains(words),
        "{}{}\ndoes not say: {words}",
        ran.stdout,
        ran.stderr
    );
}

#[test]
fn plan_and_result_say_by_whom() {
    let world = World::new();
    let keys = Keys::new(&world, "key");
    let build = || world.all_in_one(["--version=0.9fix"]).env("CAIRN_KEY", &keys.private);
    let dry = build().arguments(["--dry-run"]).run().succeeded();
    says(&dry, 0, &format!("\n  signed by {}", keys.fingerprint));
    says(&dry, 0, &format!("x86_64.run, signed by {}", keys.fingerprint));
    says(&world.all_in_one(["--version=0.9fix", "--dry-run"]).run(), 0, "\n  not signed");
    let ran = build().arguments(["--format=json"]).run().succeeded();
    for event in ["plan", "result"] {
        assert_eq!(ran.events(event)[0]["signed_by"], keys.fingerprint.as_str());
    }
    let file = ran.file();
    let name = file.file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(world.results(), names_beside(&name, &["cdx.json", "provenance.json", "sha256", "sig"]));
    let inspected = Xtask::new(["inspect", file.to_str().unwrap()]).run().succeeded();
    says(&inspected, 0, &format!("signed by {}", keys.fingerprint));
    // What is built over it without a key is not left with a signature beside it.
    world.all_in_one(["--version=0.9fix"]).run().succeeded();
    assert_eq!(world.results(), names_beside(&name, &["cdx.json", "provenance.json", "sha256"]));
    says(&verify(&file, &[]), 0, "\nnot signed\n");
}

#[test]
fn verify_tells_right_from_wrong_from_none() {
    let world = World::new();
    let (keys, other) = (Keys::new(&world, "key"), Keys::new(&world, "other"));
    let file = signed(&world, &keys).file();
    let (own, foreign) = (keys.public.as_path(), other.public.as_path());
    says(&verify(&file, &[]), 0, &format!("signed by {}, not compared", keys.fingerprint));
    says(&verify(&file, &[own]), 0, &format!("signed by {}, which is trusted", keys.fingerprint));
    says(&verify(&file, &[foreign, own]), 0, "which is trusted");
    let wrong = format!("is signed by {}, not by {}", keys.fingerprint, other.fingerprint);
    says(&verify(&file, &[foreign]), 8, &wrong);
    says(&verify(&file, &[&keys.private]), 1, "is no P-256 public key");
    says(&verify(&file, &[&world.path("nowhere")]), 1, "cannot read the public key");

    // The signature taken off, and everything else made to agree: whole, and unsigned.
    let bytes = fs::read(&file).unwrap();
    let good = Archive::open(&file).unwrap().trailer().clone();
    let content = &bytes[..bytes.len() - TRAILER_BYTES];
    let altered = world.path("altered.run");
    let stripped = Trailer { signature: None, ..good.clone() };
    fs::write(&altered, [content, &stripped.bytes()].concat()).unwrap();
    says(&verify(&altered, &[]), 0, "\nnot signed\n");
    says(&verify(&altered, &[own]), 8, "is not signed, and should be by");
    // The signature of other bytes.
    let mut forged = content.to_vec();
    let place = forged.len() - 100;
    forged[place] ^= 1;
    let moved = Trailer { digest: Sha256::digest(&forged).into(), ..good };
    fs::write(&altered, [&forged[..], &moved.bytes()].concat()).unwrap();
    for trust in [&[][..], &[own]] {
        says(&verify(&altered, trust), 2, "is badly signed: its signature is not one by the key");
    }
    // A digit of the signature, and a byte of the content.
    let digit = bytes.len() - 30;
    for place in [digit, bytes.len() / 2] {
        let mut flipped = bytes.clone();
        flipped[place] = if flipped[place] == b'0' { b'1' } else { b'0' };
        fs::write(&altered, &flipped).unwrap();
        says(&verify(&altered, &[own]), 2, "copy it again from where it was published");
    }
}

#[test]
fn a_file_signed_afterwards_is_the_one_that_would_have_been_built_signed() {
    let world = World::new();
    let (keys, other) = (Keys::encrypted(&world, "key", "pass"), Keys::new(&world, "other"));
    fs::write(world.path("passphrase"), "pass\nmore\n").unwrap();
    let sign = |file: &Path, key: &Keys| {
        let call = Xtask::new(["sign", file.to_str().unwrap()]).option("--key", &key.private);
        call.option("--passphrase-file", &world.path("passphrase"))
    };
    let ends = ["run", "run.sha256", "run.sig", "run.cdx.json", "run.provenance.json"];
    let contents = |file: &Path| ends.map(|end| fs::read(file.with_extension(end)).unwrap());
    let build = world.all_in_one(["--version=0.9fix"]).option("--key", &keys.private);
    let file = build.env("CAIRN_KEY_PASSPHRASE", "pass").run().succeeded().file();
    let built_signed = contents(&file);
    // Again, with the same key: the same bytes.
    let build = world.all_in_one(["--version=0.9fix"]).env("CAIRN_KEY_PEM", keys.pem());
    build.env("CAIRN_KEY_PASSPHRASE", "pass").run().succeeded();
    assert!(contents(&file) == built_signed);

    world.all_in_one(["--version=0.9fix"]).run().succeeded();
    let before = world.results();
    let without = Xtask::new(["sign", file.to_str().unwrap()]).run();
    says(&without, 1, "no key was given");
    assert_eq!(world.results(), before);
    let ran = sign(&file, &keys).run().succeeded();
    assert_eq!(ran.file(), file);
    assert!(contents(&file) == built_signed);

    says(&sign(&file, &other).run(), 1, "is signed already, by");
    assert!(contents(&file) == built_signed);
    sign(&file, &other).arguments(["--replace"]).run().succeeded();
    says(&verify(&file, &[&other.public]), 0, "which is trusted");
    // What is damaged gets no signature.
    let mut bytes = fs::read(&file).unwrap();
    let place = bytes.len() / 2;
    bytes[place] ^= 1;
    fs::write(&file, &bytes).unwrap();
    says(&sign(&file, &keys).arguments(["--replace"]).run(), 2, "is damaged");
    assert!(fs::read(&file).unwrap() == bytes);
    assert_eq!(world.results().len(), 5, "{:?}", world.results());
}

#[test]
fn the_line_that_the_readme_publishes_checks_a_file_with_openssl_alone() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let line = readme.lines().find(|line| line.starts_with("openssl dgst")).unwrap();
    let names: Vec<&str> = line.split(" #").next().unwrap().split_whitespace().collect();
    let after = |option: &str| names[names.iter().position(|name| *name == option).unwrap() + 1];
    let (public, signature, name) = (after("-verify"), after("-signature"), *names.last().unwrap());

    let world = World::new();
    let keys = Keys::new(&world, "key");
    let file = signed(&world, &keys).file();
    let folder = world.path("carried");
    fs::create_dir(&folder).unwrap();
    fs::copy(&keys.public, folder.join(public)).unwrap();
    fs::copy(&file, folder.join(name)).unwrap();
    fs::copy(file.with_extension("run.sig"), folder.join(signature)).unwrap();
    let openssl = || {
        let output = Command::new("sh").args(["-c", line]).current_dir(&folder).output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(openssl(), (true, "Verified OK\n".to_owned()));
    let mut bytes = fs::read(&file).unwrap();
    bytes[100] ^= 1;
    fs::write(folder.join(name), bytes).unwrap();
    assert!(!openssl().0, "an altered file");
    fs::copy(&file, folder.join(name)).unwrap();
    fs::copy(&Keys::new(&world, "other").public, folder.join(public)).unwrap();
    assert!(!openssl().0, "another key");
}
