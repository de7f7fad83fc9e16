//! Which machines a package is for, and the build tools that portable ones take: brought once through pip and cargo, whole or not
//! at all, and their result looked at.
//!
//! Pip and cargo are stood in for by scripts, and so are the tools: what they build is for this machine, and is found out.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use crate::support::{Packed, Ran, Toolchain, World};

const PORTABLE: [&str; 2] = ["--version=0.9fix", "--portable"];

/// Python, whose pip brings a compiler that says its version. It is called with a filled list of what to install.
const PYTHON: &str = r#"#!/bin/sh
case "$1 $2" in
"-c import ensurepip, venv") exit @PROBE@ ;;
"-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
"-m pip")
    while [ "$#" -gt 1 ]; do
        case "$1" in
        --target) target=$2 ;;
        --requirement) wanted=$2 ;;
        esac
        shift
    done
    grep -q '^ziglang==0.17.1 --hash=sha256:[0-9a-f]*$' "$wanted" || exit 1
    @PIP@
    mkdir -p "$target/ziglang/lib"
    printf '#!/bin/sh\necho @ZIG@\n' >"$target/ziglang/zig"
    chmod +x "$target/ziglang/zig"
    ;;
esac
"#;

/// Cargo, which installs a builder that builds for this machine, and a wrapper that adds nothing.
const CARGO: &str = r#"#!/bin/sh
[ "$1" = install ] || exec @CARGO@ "$@"
for last; do :; done
while [ "$#" -gt 1 ]; do
    [ "$1" = --root ] && root=$2
    [ "$1" = --list ] && list=yes
    shift
done
if [ -n "$list" ]; then
    printf 'cargo-auditable v0.7.7:\n    cargo-auditable\n'
    exit
fi
mkdir -p "$root/bin"
cat >"$root/bin/$last" <<'END'
#!/bin/sh
case "$0" in *auditable*) exec "$@" ;; esac
if [ "$1" = --version ]; then
    echo cargo-zigbuild 0.24.1
    exit
fi
shift
for word; do
    shift
    set -- "$@" "${word%.2.17}"
done
exec @CARGO@ build "$@"
END
chmod +x "$root/bin/$last"
"#;

/// A machine on which `apt-get`, `python3` and `cargo` are scripts.
struct Faked {
    world: World,
    toolchain: Toolchain,
    path: String,
}

impl Faked {
    /// `probe` is whether Python is whole, `pip` what its pip does before it brings zig, which says the version `zig`.
    fn new(probe: &str, pip: &str, zig: &str) -> Self {
        let world = World::new();
        let toolchain = Toolchain::new(&world);
        let folder = world.path("programs");
        fs::create_dir(&folder).unwrap();
        let own = std::env::var("PATH").unwrap();
        let cargo = std::env::split_paths(&own).map(|folder| folder.join("cargo")).find(|path| path.exists());
        let python = PYTHON.replace("@PROBE@", probe).replace("@PIP@", pip).replace("@ZIG@", zig);
        let cargo = CARGO.replace("@CARGO@", cargo.unwrap().to_str().unwrap());
        for (name, text) in [("python3", &*python), ("cargo", &cargo), ("apt-get", "#!/bin/sh\nexit 1\n")] {
            fs::write(folder.join(name), text).unwrap();
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let path = format!("{}:{own}", folder.display());
        Self { world, toolchain, path }
    }

    fn cache(&self) -> PathBuf {
        self.world.path("cache")
    }

    fn build(&self, arguments: &[&str]) -> Ran {
        let call = self.world.all_in_one(PORTABLE).arguments(arguments.iter().copied());
        let call = call.env("CAIRN_NATIVE", "false").env("PATH", &self.path);
        self.toolchain.run_by(call).option("--cache", &self.cache()).run()
    }

    /// What lies in the folder of tools.
    fn tools(&self) -> Vec<String> {
        let entries = fs::read_dir(self.cache().join("tools")).into_iter().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A build has to end because a tool cannot be had.
    fn refuses(&self, words: &[&str]) {
        let ran = self.build(&[]);
        self.world.nothing_came_out(&ran, 3);
        for words in words {
            assert!(ran.stderr.contains(words), "{}\ndoes not say: {words}", ran.stderr);
        }
        assert!(ran.stderr.contains(" with --native"), "{}", ran.stderr);
        assert_eq!(self.tools(), Vec::<String>::new());
    }
}

#[test]
fn a_named_version_is_for_other_machines_and_a_worktree_for_this_one() {
    let world = World::new();
    let plan = |arguments: &[&str]| {
        let call = world.all_in_one(arguments.iter().copied()).env("CAIRN_NATIVE", "false");
        call.arguments(["--dry-run", "--format=json"]).run().succeeded().events("plan").remove(0)
    };
    for (arguments, native) in [
        (&["--version=0.9fix"][..], false),
        (&["--version=0.9fix", "--native"], true),
        (&["--component=agent=0.9"], true),
        (&["--portable"], false),
    ] {
        let plan = plan(arguments);
        assert_eq!(plan["native"], native, "{arguments:?}");
        let steps: Vec<&str> =
            plan["steps"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect();
        assert_eq!(steps[0] == "tools" && steps.contains(&"check-libc"), !native, "{steps:?}");
    }
    let said = world.all_in_one(["--version=0.9fix", "--dry-run"]).run().succeeded().stderr;
    assert!(said.contains("\n  native build: its programs need a C library at least as new as"), "{said}");
    let refusal = world.refusal(["--portable"]);
    assert!(refusal.contains("--native cannot be used with --portable; drop one"), "{refusal}");
}

#[test]
fn tools_are_brought_once_and_what_they_build_is_looked_at() {
    let faked = Faked::new("0", "", "0.17.1");
    // What a killed run left.
    fs::create_dir_all(faked.cache().join("tools/zig-0.17.1.new/venv")).unwrap();
    let ran = faked.build(&[]);
    faked.world.nothing_came_out(&ran, 7);
    for words in [
        "installing the build tool zig 0.17.1 into `",
        "`: downloads 101 MB, keeps 410 MB\n",
        "installing the build tool cargo-zigbuild 0.24.1 into `",
        "failed: check that agent runs with glibc 2.17: `",
        "/bin/agent` has to run with glibc 2.17 alone, but needs the library `libgcc_s.so.1`, `GLIBC_2.",
        "; build with --native, or ",
    ]
    .map(|words| words.replace("/bin/agent", "/agent"))
    {
        assert!(ran.stderr.contains(&words), "{}\ndoes not say: {words}", ran.stderr);
    }
    assert_eq!(faked.tools(), ["cargo-auditable-0.7.7", "cargo-zigbuild-0.24.1", "zig-0.17.1"]);
    let ran = faked.build(&["--offline"]);
    faked.world.nothing_came_out(&ran, 7);
    assert!(!ran.stderr.contains("installing"), "{}", ran.stderr);
}

#[test]
fn tools_that_cannot_be_had_are_named_with_a_way_out() {
    let says = "echo no network here >&2; exit 1";
    Faked::new("0", says, "").refuses(&["cannot install the build tool zig 0.17.1: `", "no network here"]);
    Faked::new("0", "", "0.16.0").refuses(&["it says `0.16.0`, which is not 0.17.1"]);
    let lacks =
        "this machine lacks python3-venv; run: apt-get install --yes --no-install-recommends python3-venv";
    Faked::new("1", "", "").refuses(&[lacks]);
    let faked = Faked::new("0", "", "0.17.1");
    let ran = faked.build(&["--offline"]);
    faked.world.nothing_came_out(&ran, 3);
    let words = "offline, and the cache has no zig 0.17.1, cargo-zigbuild 0.24.1, cargo-auditable 0.7.7; \
                 run cargo xtask fetch --version 0.9fix --portable --manifest ";
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
    assert!(
        ran.stderr.contains(" where there is a network, or build for this machine's C library with --native")
    );
}

#[test]
fn the_helper_works_where_there_is_nothing_else() {
    let world = World::new();
    let file = world.all_in_one(["--version=0.9fix"]).run().succeeded().file();
    let root = world.path("root");
    fs::create_dir(&root).unwrap();
    fs::copy(&file, root.join("packed.run")).unwrap();
    fs::write(root.join("cairnctl"), Packed::open(&file).content("bin/cairnctl")).unwrap();
    fs::set_permissions(root.join("cairnctl"), fs::Permissions::from_mode(0o755)).unwrap();
    let says = |words: &[&str]| {
        let mut call = Command::new("/usr/sbin/chroot");
        let output = call.arg(&root).arg("/cairnctl").args(words).env_clear().output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(says(&["--probe"]), "runs\n");
    let said = says(&["--archive", "/packed.run", "verify"]);
    assert!(said.starts_with("ok: trio 0.9fix, "), "{said}");
    says(&["--archive", "/packed.run", "extract", "/tree"]);
    assert_eq!(fs::read_to_string(root.join("tree/share/web/index.html")).unwrap(), "<h1>0.9fix</h1>\n");
}
