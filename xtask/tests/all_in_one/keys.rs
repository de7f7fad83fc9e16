//! Keys are made, kept and read so that nobody sees them who should not, and `openssl` reads them too.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use sha2::{Digest as _, Sha256};

use crate::support::{Gate, Keys, Ran, World, Xtask};

/// What no output of any kind may hold.
fn secrets_of(keys: &Keys, passphrase: &str) -> Vec<String> {
    let lines =
        keys.pem().lines().filter(|line| !line.starts_with("-----")).map(str::to_owned).collect::<Vec<_>>();
    lines.into_iter().chain([passphrase.to_owned()]).collect()
}

fn openssl(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).env("PASS", "to the moon").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Runs the program at a terminal of its own and types each answer when its question comes. Gives the exit code and all that
/// was to be read there.
fn at_a_terminal(arguments: &[&str], answers: &[(&str, &str)]) -> (Option<i32>, String) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let terminal: OwnedFd = open(name, flags, Mode::empty()).unwrap();
    let side = || Stdio::from(terminal.try_clone().unwrap());
    // A passphrase is asked for on the controlling terminal, which this makes it.
    let mut command = Command::new("setsid");
    command.args(["--ctty", "--wait", env!("CARGO_BIN_EXE_xtask")]).args(arguments);
    command.env_remove("CAIRN_KEY_PASSPHRASE").env_remove("CAIRN_KEY_PASSPHRASE_FILE");
    let mut child = command.stdin(side()).stdout(side()).stderr(side()).spawn().unwrap();
    drop((command, terminal));
    let mut master = File::from(master);
    let (mut text, mut buffer, mut asked) = (String::new(), [0; 4096], 0);
    // The end of the other side is an error here.
    while let Ok(count @ 1..) = master.read(&mut buffer) {
        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
        if let Some((question, answer)) = answers.get(asked)
            && text.contains(question)
        {
            // The question stands there a moment before the terminal stops showing what is typed.
            let asked_at = Instant::now();
            while tcgetattr(&master).unwrap().local_modes.contains(LocalModes::ECHO) {
                assert!(asked_at.elapsed() < Duration::from_secs(60), "it shows what is typed: {text}");
                std::thread::yield_now();
            }
            master.write_all(format!("{answer}\n").as_bytes()).unwrap();
            asked += 1;
        }
    }
    assert_eq!(asked, answers.len(), "{text}");
    (child.wait().unwrap().code(), text)
}

#[test]
fn a_passphrase_is_asked_for_twice_and_shown_never() {
    let world = World::new();
    let keygen = |name: &str, first: &str, second: Option<&str>| {
        let path = world.path(name);
        let answers = [Some(("for the private key: ", first)), second.map(|second| ("same again: ", second))];
        let answers: Vec<_> = answers.into_iter().flatten().collect();
        let (code, text) = at_a_terminal(&["keygen", path.to_str().unwrap()], &answers);
        assert!(first.is_empty() || !text.contains(first), "{text}");
        (code, text)
    };
    let (code, text) = keygen("key", "to the moon", Some("to the moon"));
    assert_eq!(code, Some(0), "{text}");
    let private = world.path("key");
    openssl(&["pkey", "-in", private.to_str().unwrap(), "-passin", "env:PASS", "-noout"]);
    let (code, text) = keygen("other", "to the moon", Some("to the mars"));
    assert!(code == Some(1) && text.contains("two different passphrases"), "{text}");
    let (code, text) = keygen("other", "", None);
    assert!(code == Some(1) && text.contains("an empty passphrase protects nothing"), "{text}");
    assert!(!world.path("other").exists());
}

#[test]
fn openssl_reads_both_halves_and_agrees_on_the_fingerprint() {
    let world = World::new();
    for keys in [Keys::new(&world, "plain"), Keys::encrypted(&world, "secret", "to the moon")] {
        let (private, public) = (keys.private.to_str().unwrap(), keys.public.to_str().unwrap());
        let der = openssl(&["pkey", "-pubin", "-in", public, "-outform", "DER"]);
        let digest: String = Sha256::digest(&der).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, keys.fingerprint);
        let from_private =
            openssl(&["pkey", "-in", private, "-passin", "env:PASS", "-pubout", "-outform", "DER"]);
        assert_eq!(from_private, der);
        for file in [&keys.private, &keys.public] {
            assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o7777, 0o600);
        }
    }
    assert!(!fs::read_to_string(world.path("plain")).unwrap().contains("ENCRYPTED"));
    assert!(fs::read_to_string(world.path("secret")).unwrap().contains("BEGIN ENCRYPTED PRIVATE KEY"));
}

#[test]
fn a_key_is_never_overwritten_and_never_made_without_a_word_on_its_passphrase() {
    let world = World::new();
    let keys = Keys::new(&world, "key");
    let before = keys.pem();
    let keygen = |name: &str| Xtask::new(["keygen", world.path(name).to_str().unwrap()]);
    let again = keygen("key").arguments(["--no-passphrase"]).run();
    assert_eq!((again.code, keys.pem()), (Some(1), before));
    assert!(again.stderr.contains("is there already"), "{}", again.stderr);
    // The public half alone stands in the way too.
    fs::rename(&keys.private, world.path("moved")).unwrap();
    assert_eq!(keygen("key").arguments(["--no-passphrase"]).run().code, Some(1));
    assert!(!keys.private.exists());

    let without = keygen("other").run();
    assert_eq!(without.code, Some(1));
    assert!(without.stderr.contains("no terminal to ask for a passphrase on"), "{}", without.stderr);
    assert_eq!(keygen("other").env("CAIRN_KEY_PASSPHRASE", "").run().code, Some(1));
    fs::write(world.path("empty"), "\nsecond line").unwrap();
    let from_empty = keygen("other").option("--passphrase-file", &world.path("empty")).run();
    assert!(from_empty.stderr.contains("the first line of"), "{}", from_empty.stderr);
    assert!(!world.path("other").exists() && !world.path("other.pub").exists());
}

#[test]
fn what_is_no_key_or_lacks_its_passphrase_is_refused_before_anything_is_done() {
    let world = World::new();
    let keys = Keys::encrypted(&world, "secret", "to the moon");
    let refused = |words: &str, call: Xtask| {
        let ran: Ran = call.run();
        world.nothing_came_out(&ran, 1);
        assert!(ran.stderr.contains(words) && ran.stdout.is_empty(), "{}\ndoes not say: {words}", ran.stderr);
        for secret in secrets_of(&keys, "to the mars") {
            assert!(!ran.stderr.contains(&secret), "{}", ran.stderr);
        }
    };
    let build = || world.all_in_one(["--version=0.9fix"]);
    let with_key = || build().option("--key", &keys.private);
    refused("the passphrase is wrong", with_key().env("CAIRN_KEY_PASSPHRASE", "to the mars"));
    refused("no terminal to ask for a passphrase on", with_key());
    refused("is set and empty", with_key().env("CAIRN_KEY_PASSPHRASE", ""));
    refused("keep one", with_key().env("CAIRN_KEY_PEM", keys.pem()));
    refused("is no P-256 private key", build().option("--key", &keys.public));
    refused("cannot read the key", build().option("--key", &world.path("nowhere")));
    refused("a key itself goes into CAIRN_KEY_PEM", build().env("CAIRN_KEY", keys.pem()));
    refused("CAIRN_KEY_PEM is set and empty", build().env("CAIRN_KEY_PEM", ""));
    // A key of another curve.
    let other = world.path("p384");
    openssl(&[
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-384",
        "-out",
        other.to_str().unwrap(),
    ]);
    refused("is no P-256 private key", build().option("--key", &other));
}

/// A build that ends with the test, also when that fails: others wait for it.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn neither_key_nor_passphrase_is_seen_while_a_build_signs() {
    let world = World::new();
    // Of this test alone: others sign at the same time.
    let passphrase = format!("to the moon with {}", std::process::id());
    let keys = Keys::encrypted(&world, "secret", &passphrase);
    let gate = Gate::in_package(&world, &world.agent, "agent", "gated");
    world.agent.release("gated");
    let build = world
        .all_in_one(["--version=0.9fix", "--component=agent=gated", "--format=json"])
        .env("CAIRN_KEY_PEM", keys.pem())
        .env("CAIRN_KEY_PASSPHRASE", &passphrase)
        .spawn();
    let mut build = Ended(build);
    gate.wait();
    let secrets = secrets_of(&keys, &passphrase);
    let seen_in = |path: std::path::PathBuf| {
        let bytes = fs::read(path).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        secrets.iter().any(|secret| text.contains(secret.as_str()))
    };
    let own = [build.0.id().to_string(), std::process::id().to_string()];
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let name = process.file_name().into_string().unwrap();
        if name.bytes().all(|byte| byte.is_ascii_digit()) {
            assert!(!seen_in(process.path().join("cmdline")), "process {name} was told a secret");
            // What the build starts inherits nothing of it either.
            assert!(
                own.contains(&name) || !seen_in(process.path().join("environ")),
                "process {name} inherits it"
            );
        }
    }
    gate.open();
    let mut said = String::new();
    for stream in [
        &mut build.0.stdout.take().unwrap() as &mut dyn std::io::Read,
        &mut build.0.stderr.take().unwrap() as &mut dyn std::io::Read,
    ] {
        stream.read_to_string(&mut said).unwrap();
    }
    assert!(build.0.wait().unwrap().success(), "{said}");
    assert!(said.contains(&keys.fingerprint));
    assert!(secrets.iter().all(|secret| !said.contains(secret.as_str())), "{said}");
    let help = Xtask::new(["all-in-one", "--help"]).env("CAIRN_KEY", keys.pem()).run().succeeded();
    assert!(secrets.iter().all(|secret| !help.stdout.contains(secret.as_str())), "{}", help.stdout);
    let file = fs::read(world.out().join(&world.results()[0])).unwrap();
    assert!(!secrets.iter().any(|secret| String::from_utf8_lossy(&file).contains(secret.as_str())));
}
