//! The stub under each shell, with tools taken away, where a helper runs and where none does; and the archive behind it read
//! by the programs that systems have.
//!
//! Each case runs in a mount namespace of its own, with an environment that names one folder of programs and nothing else.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

#[path = "flips/archive.rs"]
mod archive;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use packaging_archive::Archive;

/// What the stub calls, in the helper's way and in its own, and what it must do without.
const TOOLS: [&str; 18] = [
    "awk",
    "cat",
    "chmod",
    "dd",
    "gzip",
    "head",
    "mkdir",
    "mktemp",
    "openssl",
    "printf",
    "rm",
    "rmdir",
    "sed",
    "sha256sum",
    "tail",
    "tar",
    "tr",
    "wc",
];

const SHELLS: [&[&str]; 3] = [&["dash"], &["bash", "--posix"], &["busybox", "sh"]];

/// A folder of programs.
#[derive(Clone, Copy, Debug)]
enum Tools {
    /// The system's, but these.
    Without(&'static [&'static str]),
    /// Those that busybox is, and nothing else.
    Busybox,
    /// The same, but this.
    BusyboxWithout(&'static str),
}

/// What a host lets the stub do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Host {
    /// Run the helper.
    Ordinary,
    /// Nothing that lies where one can write may run.
    NoExec,
}

struct Site {
    folder: tempfile::TempDir,
    file: PathBuf,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        fs::create_dir(folder.path().join("media")).unwrap();
        let file = folder.path().join("media/payload.run");
        fs::rename(archive::small(folder.path()), &file).unwrap();
        fs::create_dir(folder.path().join("work")).unwrap();
        Self { folder, file }
    }

    /// A new folder of programs.
    fn programs(&self, tools: Tools) -> PathBuf {
        let folder =
            self.folder.path().join(format!("{tools:?}").replace(|c: char| !c.is_alphanumeric(), "-"));
        if folder.exists() {
            return folder;
        }
        fs::create_dir(&folder).unwrap();
        let busybox = which("busybox");
        for tool in TOOLS {
            let (is_there, program) = match tools {
                Tools::Without(missing) => (!missing.contains(&tool), which(tool)),
                // There is no openssl in it.
                Tools::Busybox => (tool != "openssl", busybox.clone()),
                Tools::BusyboxWithout(missing) => (![missing, "openssl"].contains(&tool), busybox.clone()),
            };
            if is_there {
                symlink(program, folder.join(tool)).unwrap();
            }
        }
        folder
    }

    fn run(&self, shell: &[&str], tools: Tools, host: Host, words: &[&str]) -> Done {
        let (work, programs) = (self.folder.path().join("work"), self.programs(tools));
        // In a namespace of mounts nothing of this reaches anybody else.
        let script = r#"
            set -eu
            host=$1 folder=$2; shift 2
            if [ "$host" = NoExec ]; then
                for there in /tmp /var/tmp "$folder"; do
                    mount --bind "$there" "$there"
                    mount -o remount,bind,noexec "$there"
                done
            fi
            cd "$folder/work"
            exec env -i "$@"
        "#;
        let output = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"])
            .arg(format!("{host:?}"))
            .arg(self.folder.path())
            .arg(format!("PATH={}", programs.display()))
            .arg(format!("TMPDIR={}", work.display()))
            .arg(which(shell[0]))
            .args(&shell[1..])
            .arg(&self.file)
            .args(words)
            .output();
        Done::new(format!("{shell:?} {tools:?} {host:?} {words:?}"), &output.unwrap())
    }

    /// Whether the folder holds what was packed, and removes it.
    fn is_extracted(&self, folder: &str) -> bool {
        let folder = self.folder.path().join("work").join(folder);
        let archive = Archive::open(&self.file).unwrap();
        let is_right = archive.manifest().entries.iter().all(|entry| {
            let mut content = Vec::new();
            archive.read_entry(entry.path.as_str(), &mut content).unwrap();
            fs::read(entry.path.below(&folder)).is_ok_and(|found| found == content)
        });
        let _ = fs::remove_dir_all(&folder);
        is_right
    }

    /// Nothing else is left where it worked.
    fn is_clean(&self) -> bool {
        fs::read_dir(self.folder.path().join("work")).unwrap().count() == 0
    }
}

struct Done {
    what: String,
    code: Option<i32>,
    said: String,
}

impl Done {
    fn new(what: String, output: &Output) -> Self {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Self { what, code: output.status.code(), said: text(&output.stdout) + &text(&output.stderr) }
    }

    #[track_caller]
    fn expect(&self, code: i32, words: &str) {
        assert!(
            self.code == Some(code) && self.said.contains(words),
            "{}: {:?}\n{}",
            self.what,
            self.code,
            self.said
        );
    }
}

fn which(program: &str) -> PathBuf {
    let found =
        ["/bin", "/usr/bin", "/usr/local/bin", "/usr/sbin"].map(|folder| Path::new(folder).join(program));
    let found = found.into_iter().find(|path| path.exists());
    found.unwrap_or_else(|| panic!("there is no `{program}`; run `cargo xtask test`, which installs it"))
}

/// Sets of tools with which everything works.
const ENOUGH: [Tools; 9] = [
    Tools::Without(&[]),
    Tools::Without(&["dd"]),
    Tools::Without(&["openssl"]),
    Tools::Without(&["sha256sum"]),
    Tools::Without(&["awk", "sed"]),
    Tools::Without(&["mktemp"]),
    Tools::Busybox,
    Tools::BusyboxWithout("dd"),
    Tools::BusyboxWithout("mktemp"),
];

#[test]
fn each_shell_with_what_there_is_checks_lists_and_extracts() {
    let site = Site::new();
    for shell in SHELLS {
        for tools in ENOUGH {
            for host in [Host::Ordinary, Host::NoExec] {
                let checked = match host {
                    Host::Ordinary => "every byte as it was packed",
                    Host::NoExec => "the bytes are those that were packed",
                };
                let run = |words: &[&str]| site.run(shell, tools, host, words);
                run(&["--check"]).expect(0, checked);
                run(&["--list"]).expect(0, "systemd/payload.service");
                run(&["--info"]).expect(0, "x86_64-unknown-linux-gnu");
                run(&["extract", "a folder"]).expect(0, "");
                assert!(site.is_extracted("a folder"), "{shell:?} {tools:?} {host:?}");
                assert!(site.is_clean(), "{shell:?} {tools:?} {host:?}");
            }
        }
    }
}

#[test]
fn one_entry_is_for_the_helper() {
    let site = Site::new();
    for shell in SHELLS {
        let run = |host, words: &[&str]| site.run(shell, Tools::Busybox, host, words);
        run(Host::Ordinary, &["extract", "--entry", "etc/payload.toml"]).expect(0, "key = 1\n");
        run(Host::Ordinary, &["extract", "out", "--only", "etc"]).expect(0, "extracted 1 file to out");
        let out = site.folder.path().join("work/out");
        assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
        fs::remove_dir_all(out).unwrap();
        for words in [&["extract", "--entry", "etc/payload.toml"][..], &["extract", "out", "--only=etc"]] {
            run(Host::NoExec, words).expect(3, "sh alone extracts all or nothing");
        }
        assert!(site.is_clean());
    }
}

#[test]
fn what_is_missing_is_named() {
    let site = Site::new();
    // The third one is all of these programs itself.
    for shell in &SHELLS[..2] {
        for (tools, missing) in [
            (Tools::Without(&["gzip"]), "gzip"),
            (Tools::Without(&["tail"]), "tail"),
            (Tools::Without(&["head"]), "head"),
            (Tools::BusyboxWithout("gzip"), "gzip"),
        ] {
            for host in [Host::Ordinary, Host::NoExec] {
                for words in [&["--check"][..], &["--list"], &["extract", "out"], &["--yes"]] {
                    let done = site.run(shell, tools, host, words);
                    done.expect(3, &format!("this host has no `{missing}`; install it"));
                    assert!(site.is_clean(), "{}", done.what);
                }
            }
        }
        // Only where no helper runs are these needed.
        for (tools, missing) in [
            (Tools::Without(&["tar"]), "`tar`"),
            (Tools::Without(&["wc"]), "`wc`"),
            (Tools::Without(&["tr"]), "`tr`"),
            (Tools::Without(&["openssl", "sha256sum"]), "none of sha256sum, openssl"),
        ] {
            site.run(shell, tools, Host::Ordinary, &["--check"]).expect(0, "every byte as it was packed");
            site.run(shell, tools, Host::NoExec, &["--check"]).expect(3, missing);
        }
        site.run(shell, Tools::Without(&[]), Host::NoExec, &["--yes"])
            .expect(3, "set TMPDIR to one that does");
    }
}

#[test]
fn damage_is_damage_with_sh_alone_too() {
    let site = Site::new();
    let good = fs::read(&site.file).unwrap();
    // A letter of the stub's opening comment, which changes nothing else; a member; the digest in the trailer.
    let script = good.windows(5).position(|bytes| bytes == b"FILE ").unwrap();
    let digest = good.windows(7).rposition(|bytes| bytes == b"sha256=").unwrap();
    for at in [script, good.len() / 2, digest + 7] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        fs::write(&site.file, bytes).unwrap();
        for shell in SHELLS {
            for tools in [Tools::Without(&[]), Tools::Without(&["openssl"]), Tools::Busybox] {
                for words in [&["--check"][..], &["--list"], &["extract", "out"]] {
                    let done = site.run(shell, tools, Host::NoExec, words);
                    done.expect(2, "the file is damaged; copy it again");
                    assert!(site.is_clean(), "{}", done.what);
                }
            }
        }
    }
}

#[test]
fn every_program_that_reads_gzip_and_tar_reads_it() {
    let site = Site::new();
    let archive = Archive::open(&site.file).unwrap();
    let stub = archive.trailer().stub_bytes;
    assert!(stub <= 24 << 10);
    let mut expected: Vec<&str> =
        archive.manifest().entries.iter().map(|entry| entry.path.as_str()).chain(["manifest.json"]).collect();
    expected.sort_unstable();
    let folder = site.folder.path();
    // One after the other, so that the exit code of each is seen.
    let script = r#"
        set -eu
        tail -c +"$1" "$2" >all.gz
        for unzip in "gzip" "pigz" "busybox gzip"; do
            $unzip -t <all.gz
            for tar in "tar" "busybox tar"; do
                $unzip -dc <all.gz >all.tar
                $tar -tf all.tar >listed
                sort listed >sorted
                cmp sorted expected
            done
        done
        busybox gunzip -c <all.gz | cmp - all.tar
        python3 -c '
import gzip, tarfile
with gzip.open("all.gz") as all, tarfile.open(fileobj=all, mode="r|") as tar:
    names = tar.getnames()
print("\n".join(sorted(names)))' >sorted
        cmp sorted expected
    "#;
    fs::write(folder.join("expected"), expected.join("\n") + "\n").unwrap();
    let output = Command::new("sh")
        .args(["-c", script, "sh", &(stub + 1).to_string()])
        .arg(&site.file)
        .env("LC_ALL", "C")
        .current_dir(folder)
        .output();
    Done::new("tools".into(), &output.unwrap()).expect(0, "");
}
