//! A mirror of a small distribution, signed by a key of its own, and an apt that knows it and nothing else.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

use super::Xtask;

/// The distribution's suite.
pub const SUITE: &str = "tiny";

/// The mirror.
pub struct Mirror {
    folder: PathBuf,
    signer: RefCell<&'static str>,
}

/// A package of it.
pub struct Package<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// More fields of its control file, each a line.
    pub fields: &'a str,
    /// Its copyright file.
    pub copyright: &'a str,
}

impl Mirror {
    /// A mirror without packages in `folder`.
    pub fn new(folder: PathBuf) -> Self {
        let mirror = Self { folder, signer: RefCell::new("") };
        for name in ["etc/apt.conf.d", "etc/sources.list.d", "trusted", "lists/partial", "pool", "gpg"] {
            fs::create_dir_all(mirror.path(name)).unwrap();
        }
        let root = mirror.folder.display();
        fs::write(
            mirror.path("etc/sources.list"),
            format!("deb copy:{root} {SUITE} main\ndeb-src copy:{root} {SUITE} main\n"),
        )
        .unwrap();
        fs::write(
            mirror.path("apt.conf"),
            format!(
                "Dir::Etc \"{root}/etc/\";\nDir::Etc::trustedparts \"{root}/trusted/\";\nDir::State \"{root}/\";\n\
                 Dir::State::lists \"{root}/lists/\";\nDir::Cache \"{root}/\";\nAcquire::Languages \"none\";\n\
                 APT::Architecture \"amd64\";\nAPT::Architectures {{ \"amd64\"; }};\nAPT::Sandbox::User \"root\";\n"
            ),
        )
        .unwrap();
        fs::set_permissions(mirror.path("gpg"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        mirror.new_key("first@mirror.test");
        let key = mirror.gpg(&["--export"]).stdout;
        fs::write(mirror.path("trusted/mirror.gpg"), key).unwrap();
        mirror
    }

    /// Lets apt know the mirror. It knows none that has no packages.
    pub fn introduce(&self) {
        self.apt(&["update"]);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Makes another key sign what is published from now on. The one that apt trusts stays the first.
    pub fn new_key(&self, name: &'static str) {
        self.gpg(&["--passphrase", "", "--quick-generate-key", name, "ed25519", "sign", "never"]);
        *self.signer.borrow_mut() = name;
    }

    fn gpg(&self, words: &[&str]) -> std::process::Output {
        let mut command = Command::new("gpg");
        command.arg("--homedir").arg(self.path("gpg")).args(["--batch", "--yes", "--quiet"]).args(words);
        let output = command.output().unwrap();
        assert!(output.status.success(), "gpg {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    fn apt(&self, words: &[&str]) {
        let output =
            Command::new("apt-get").env("APT_CONFIG", self.path("apt.conf")).args(words).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Lets a call of the program meet this mirror.
    pub fn known_to(&self, call: Xtask) -> Xtask {
        call.env("APT_CONFIG", self.path("apt.conf"))
    }

    /// Publishes these packages and no others, each made of a source of its name and version.
    pub fn publish(&self, packages: &[Package<'_>]) {
        let _ = fs::remove_dir_all(self.path("pool"));
        fs::create_dir_all(self.path("pool")).unwrap();
        let (mut binaries, mut sources) = (String::new(), String::new());
        for package in packages {
            binaries += &self.binary(package);
            sources += &self.source(package);
        }
        let dist = self.path(&format!("dists/{SUITE}"));
        let mut sums = String::new();
        for (name, text) in [("main/binary-amd64/Packages", binaries), ("main/source/Sources", sources)] {
            let path = dist.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            sums += &format!(" {} {} {name}\n", hex(text.as_bytes()), text.len());
            fs::write(path, text).unwrap();
        }
        let release = format!(
            "Origin: Tiny\nLabel: Tiny\nSuite: {SUITE}\nCodename: {SUITE}\nArchitectures: amd64\nComponents: main\n\
             Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n{sums}"
        );
        fs::write(dist.join("Release"), release).unwrap();
        let (to, from) = (dist.join("InRelease"), dist.join("Release"));
        self.gpg(&[
            "--local-user",
            &self.signer.borrow(),
            "--clearsign",
            "--output",
            to.to_str().unwrap(),
            from.to_str().unwrap(),
        ]);
    }

    /// Builds a package; its stanza in the index.
    fn binary(&self, package: &Package<'_>) -> String {
        let Package { name, version, fields, copyright } = package;
        let tree = self.path("tree");
        let _ = fs::remove_dir_all(&tree);
        let doc = tree.join("usr/share/doc").join(name);
        fs::create_dir_all(&doc).unwrap();
        fs::create_dir_all(tree.join("DEBIAN")).unwrap();
        fs::write(doc.join("copyright"), copyright).unwrap();
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nInstalled-Size: 5\nMaintainer: Nobody <n@example.test>\n\
             {fields}Description: of a test\n"
        );
        fs::write(tree.join("DEBIAN/control"), &control).unwrap();
        let file = format!("pool/{name}_{}.deb", version.replace(':', "%3a"));
        let output = Command::new("dpkg-deb")
            .args(["--root-owner-group", "-Znone", "--build"])
            .args([&tree, &self.path(&file)])
            .env("SOURCE_DATE_EPOCH", "0")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let bytes = fs::read(self.path(&file)).unwrap();
        format!("{control}Filename: {file}\nSize: {}\nSHA256: {}\n\n", bytes.len(), hex(&bytes))
    }

    /// Writes the two files of a source package; its stanza in the index.
    fn source(&self, package: &Package<'_>) -> String {
        let Package { name, version, .. } = package;
        let files = [format!("{name}.dsc"), format!("{name}.tar")];
        let mut sums = String::new();
        for file in &files {
            let text = format!("{file} of {version}\n");
            sums += &format!(" {} {} {file}\n", hex(text.as_bytes()), text.len());
            fs::write(self.path("pool").join(file), text).unwrap();
        }
        format!(
            "Package: {name}\nBinary: {name}\nVersion: {version}\nFormat: 1.0\nDirectory: pool\nChecksums-Sha256:\n{sums}\n"
        )
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        // The agent that gpg has started for this key alone.
        let _ = Command::new("gpgconf")
            .arg("--homedir")
            .arg(self.path("gpg"))
            .args(["--kill", "gpg-agent"])
            .output();
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes the set `name` beside a manifest in `folder`.
pub fn write_set(folder: &Path, name: &str, text: &str) {
    let path = folder.join("packaging/os").join(format!("{name}.toml"));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}
