//! One release, built from nothing by two people: two clones in folders of different length, two users, homes and masks, each
//! with a cache of their own. The files are the same.
//!
//! What is built is the commit that the tree stands on; changes that are not committed are in neither clone.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Nobody whom this machine knows.
const STRANGER: u32 = 54_321;

/// The release.
const VERSION: &str = "0.9fix";

/// What lies beside a packed file, and is to be the same too.
const EXTENSIONS: [&str; 4] = ["run", "run.sha256", "run.cdx.json", "run.provenance.json"];

#[test]
fn two_users_with_two_clones_make_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let at = |name: &str| folder.path().canonicalize().unwrap().join(name);

    let first = clone(&at("one"));
    // The tools that compile for an older C library are not what is proved here, and are fetched once.
    let tests =
        std::env::var_os("CAIRN_TEST_CACHE").map(PathBuf::from).expect("CAIRN_TEST_CACHE names no folder");
    tools(&tests, &first);
    let mut own = Command::new("cargo");
    build(&mut own, &first, "022");

    let second = clone(&at("another/and/a/longer/way/to/a/clone"));
    tools(&first.join("target/cache"), &second);
    let home = at("home of a stranger");
    let crates = cargo_home(&home);
    for tree in [&at("another"), &home] {
        give_away(tree);
    }
    build(&mut as_stranger(&home, &crates), &second, "077");

    for extension in EXTENSIONS {
        let name = format!("cairn-all-in-one-{VERSION}-x86_64.{extension}");
        let read = |clone: &Path| fs::read(clone.join("target/dist").join(&name)).unwrap();
        assert!(read(&first) == read(&second), "{name} differs; compare them with `cargo xtask compare`");
    }
}

/// A clone of this repository, without tags.
fn clone(to: &Path) -> PathBuf {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut git = Command::new("git");
    git.args(["clone", "--quiet", "--no-tags"]).arg(format!("file://{}", tree.display())).arg(to);
    assert!(git.status().unwrap().success());
    to.to_owned()
}

/// A folder for a home with a copy of what cargo has fetched: a build opens no connection for the second user's sake.
fn cargo_home(home: &Path) -> PathBuf {
    let to = home.join("cargo");
    fs::create_dir_all(&to).unwrap();
    let from = folder_of("CARGO_HOME", ".cargo");
    for name in ["bin", "registry", "git", "config.toml"] {
        if from.join(name).exists() {
            copy(&from.join(name), &to);
        }
    }
    to
}

/// Gives a clone's cache the build tools that another one has, if it has.
fn tools(cache: &Path, clone: &Path) {
    let own = clone.join("target/cache");
    fs::create_dir_all(&own).unwrap();
    if cache.join("tools").exists() {
        copy(&cache.join("tools"), &own);
    }
}

/// Copies a tree into a folder.
fn copy(tree: &Path, folder: &Path) {
    assert!(Command::new("cp").arg("-r").arg(tree).arg(folder).status().unwrap().success());
}

fn folder_of(variable: &str, default: &str) -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap()).join(default);
    std::env::var_os(variable).map_or_else(home, PathBuf::from)
}

/// Makes a tree the stranger's.
fn give_away(tree: &Path) {
    chown(tree, Some(STRANGER), Some(STRANGER)).unwrap();
    for entry in fs::read_dir(tree).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            give_away(&path);
        } else if metadata.uid() != STRANGER && !metadata.is_symlink() {
            chown(&path, Some(STRANGER), Some(STRANGER)).unwrap();
        }
    }
}

/// Makes toolchains that lie in somebody else's home visible where they lie, to this call alone, and becomes the stranger.
const BECOME: &str = r#"
    toolchains=$1 stand_in=$2 stranger=$3
    shift 3
    set -- setpriv --reuid "$stranger" --regid "$stranger" --clear-groups "$@"
    setpriv --reuid "$stranger" --regid "$stranger" --clear-groups test -r "$toolchains/." && exec "$@"
    name=$stand_in/$(basename "$toolchains")
    mkdir "$name" && mount --bind "$toolchains" "$name" && mount --rbind "$stand_in" "$(dirname "$toolchains")" && exec "$@"
"#;

/// Cargo, called by the stranger.
fn as_stranger(home: &Path, crates: &Path) -> Command {
    let toolchains = folder_of("RUSTUP_HOME", ".rustup").canonicalize().unwrap();
    let stand_in = home.join("stand-in");
    fs::create_dir(&stand_in).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", BECOME, "sh"]);
    command.arg(&toolchains).arg(&stand_in).arg(STRANGER.to_string());
    command.arg("env").arg(format!("PATH={}:/usr/local/bin:/usr/bin:/bin", crates.join("bin").display()));
    command.args(["TZ=<-0930>9:30", "CAIRN_JOBS=3", "CAIRN_OFFLINE=true"]).arg("cargo");
    command.env("HOME", home).env("USER", "stranger").env("LOGNAME", "stranger");
    command.env("CARGO_HOME", crates).env("RUSTUP_HOME", &toolchains);
    command
}

/// Builds the release with the command that people use. `cargo` may be more words than one, and the last of them is cargo.
fn build(cargo: &mut Command, clone: &Path, umask: &str) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        let set = cargo.get_envs().any(|(own, value)| own == &*name && value.is_some());
        if !set
            && name != "CARGO_HOME"
            && ["CARGO", "CAIRN_", "RUSTFLAGS", "RUSTUP_TOOLCHAIN"]
                .iter()
                .any(|start| name.starts_with(start))
        {
            cargo.env_remove(&*name);
        }
    }
    cargo.args(["xtask", "all-in-one", "--version", VERSION, "--cache"]).arg(clone.join("target/cache"));
    let mut masked = Command::new("sh");
    masked
        .args(["-c", &format!("umask {umask} && exec \"$@\""), "sh"])
        .arg(cargo.get_program())
        .args(cargo.get_args());
    for (name, value) in cargo.get_envs() {
        match value {
            Some(value) => masked.env(name, value),
            None => masked.env_remove(name),
        };
    }
    let output = masked.current_dir(clone).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
