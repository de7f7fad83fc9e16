//! The portable release, built as a release engineer does, runs where it says that it does: in Debian 11, 12 and 13, whose C
//! libraries are 2.31, 2.36 and 2.41, each with modules of its own that look names up.
//!
//! Symbol versions are compared while it is built; here programs start, serve, and ask the host for names.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use packaging_archive::Archive;
use xtask_testbed::{CloneOptions, Invocation, Release, Room, RootClone, Testbed};

/// Where the file is unpacked.
const PLACE: &str = "/srv/cairn";

/// Below what the programs keep their files.
const ROOT: &str = "/srv/root";

const PASSWORD: &str = "correct horse battery staple\n";

/// A name that no file has: only a module of the host knows that names which end so are its own.
const NAME: &str = "cloud.localhost";

/// How long to wait for what has to come.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn the_portable_release_runs_in_debian_11_12_and_13() {
    let folder = tempfile::tempdir().unwrap();
    let file = build(folder.path());
    let archive = Archive::open(&file).unwrap();
    let build = &archive.manifest().build;
    assert_eq!((build.native, build.glibc.as_deref()), (false, Some("2.17")));
    for program in ["cairn-server", "cairn-agent", "cairn", "cairnctl"] {
        let mut content = Vec::new();
        archive.read_entry(&format!("bin/{program}"), &mut content).unwrap();
        nothing_of_this_machine(program, &content);
    }
    let testbed = Testbed::from_env().unwrap();
    for release in Release::ALL {
        let root = testbed.debian(release, &|line| eprintln!("{line}")).unwrap();
        let clone = RootClone::new(&root, CloneOptions::default()).unwrap();
        clone.copy_in(&file, "/root/cairn.run", 0o644).unwrap();
        runs(&clone, release);
    }
}

/// The release, from the tree that may be worked on.
fn build(out: &Path) -> PathBuf {
    let cache = std::env::var_os("CAIRN_TEST_CACHE").expect("CAIRN_TEST_CACHE names no folder");
    let mut call = Command::new(env!("CARGO_BIN_EXE_xtask"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CAIRN_") {
            call.env_remove(name);
        }
    }
    call.args(["all-in-one", "--version", "0.9fix", "--portable", "--allow-dirty"]);
    let output = call.arg("--cache").arg(cache).arg("--out").arg(out).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    out.join("cairn-all-in-one-0.9fix-x86_64.run")
}

/// Programs name no folder that they were built from or in.
fn nothing_of_this_machine(program: &str, content: &[u8]) {
    let text = String::from_utf8_lossy(content);
    let cache = std::env::var("CAIRN_TEST_CACHE").unwrap();
    let homes = ["HOME", "CARGO_HOME", "RUSTUP_HOME"].map(|name| std::env::var(name).unwrap_or_default());
    for folder in homes.iter().chain([&cache]).filter(|folder| folder.len() > 1) {
        let named =
            text.find(&format!("{folder}/")).map(|at| text[at..].chars().take(120).collect::<String>());
        assert_eq!(named, None, "`{program}` names `{folder}`");
    }
}

/// Unpacks the file and uses every program.
fn runs(clone: &RootClone, release: Release) {
    let suite = release.suite();
    // As hosts with systemd have it. Static programs crash here: they load the host's modules into another C library.
    let names = "passwd: files systemd\ngroup: files systemd\nhosts: files myhostname dns\n";
    clone.write("/etc/nsswitch.conf", 0o644, names).unwrap();
    clone.write(format!("{ROOT}/etc/cairn/agent.toml"), 0o644, "hypervisor = \"simulated\"\n").unwrap();
    let room = clone.room(&[]).unwrap();
    says(&room, Invocation::new("sh").args(["/root/cairn.run", "extract", PLACE]));
    for program in ["cairn-server", "cairn-agent", "cairn", "cairnctl"] {
        // What the control tool says is a verb.
        let word = if program == "cairnctl" { "version" } else { "--version" };
        let said = says(&room, Invocation::new(format!("{PLACE}/bin/{program}")).arg(word));
        assert!(said.starts_with(program), "{suite}: {said}");
    }
    let bootstrap = server(&["bootstrap", "--address", NAME, "--admin-password-stdin"]);
    says(&room, bootstrap.stdin(PASSWORD));
    says(&room, program("cairn-agent").args(["bootstrap", "--root", ROOT]));
    for name in ["cairn-server", "cairn-agent"] {
        let script = "\"$1\" run --root \"$2\" >\"/root/$3.log\" 2>&1 </dev/null &";
        says(&room, Invocation::sh(script).args([&*format!("{PLACE}/bin/{name}"), ROOT, name]));
    }
    let start = Instant::now();
    loop {
        let health = room.run(server(&["health"])).unwrap();
        if health.code() == Some(0) {
            break;
        }
        let logs = room.run(["sh", "-c", "cat /root/*.log"]).unwrap();
        assert!(start.elapsed() < PATIENCE, "{suite}: {health:?}\n{logs:?}");
    }
    let login = |name: &str| {
        let call = program("cairn").args(["login", &format!("https://{name}:8443"), "--password-stdin"]);
        call.arg("--ca").arg(format!("{ROOT}/etc/cairn/tls/ca.pem")).stdin(PASSWORD)
    };
    // A name that nobody knows is asked of every module, and is no crash.
    let unknown = room.run(login("nobody.invalid")).unwrap();
    assert!(matches!(unknown.code(), Some(1..=9)), "{suite}: {unknown:?}");
    says(&room, login(NAME));
    let hosts = says(&room, program("cairn").args(["host", "list"]));
    assert!(hosts.lines().count() > 1, "{suite}: {hosts}");
}

fn program(name: &str) -> Invocation {
    Invocation::new(format!("{PLACE}/bin/{name}"))
}

fn server(words: &[&str]) -> Invocation {
    program("cairn-server").args(words.iter().copied()).args(["--root", ROOT])
}

/// What a command says, which has to succeed.
#[track_caller]
fn says(room: &Room<'_>, command: impl Into<Invocation>) -> String {
    let output = room.run(command).unwrap().checked().unwrap();
    output.stdout_text()
}
