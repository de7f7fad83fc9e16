//! Member 0 as types: what an archive holds and where. The same JSON lies in the folder of an installed version.
//!
//! To change it: add a field with `#[serde(default)]` where older readers may ignore it; anything that an older reader
//! would get wrong raises [`FORMAT`], and `tests/golden/manifest.json` shows the reviewer what changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::delta::{DELTA_FORMAT, Delta};
use crate::header::{END_BYTES, tar_bytes};
use crate::path::EntryPath;

/// Uncompressed bytes that one member may hold. The builder stays far below; a bomb does not.
pub(crate) const MAX_MEMBER_BYTES: u64 = 64 << 20;

/// The generation of the format. A reader refuses any other, but for [`DELTA_FORMAT`].
pub const FORMAT: u32 = 1;

/// Name of member 0's entry.
pub const MANIFEST: &str = "manifest.json";

/// Name of the helper's entry, which has member 1 to itself.
pub const HELPER: &str = "bin/cairnctl";

/// What the name of a section begins with that holds packages of an operating system. Behind it stand ID and VERSION_ID of
/// os-release(5): no other host has use for them.
pub const OS_SECTION: &str = "os-";

/// The whole of member 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// See [`FORMAT`].
    pub format: u32,
    /// The product's name, as in `build.toml`.
    pub product: String,
    /// The product's version, as in the file's name.
    pub version: String,
    /// Seconds since 1970 of the newest commit that was built.
    pub created: u64,
    /// What built and packed it.
    pub toolchain: Toolchain,
    /// The machine that the binaries run on.
    pub build: Build,
    /// What was built, by component name.
    pub components: BTreeMap<String, Component>,
    /// What a host needs to unpack everything.
    pub needs: Needs,
    /// The parts that a host can leave out, in the order in which they lie in the file.
    pub sections: Vec<Section>,
    /// Every file but this manifest, in the order in which they lie in the file.
    pub entries: Vec<Entry>,
    /// Every gzip member behind member 0, in order, up to the trailer.
    pub members: Vec<Member>,
    /// For a delta: what it makes of what. Its `format` is [`DELTA_FORMAT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<Delta>,
}

/// The tree that the stub, the scripts and the helper come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Toolchain {
    /// Its commit, 40 hexadecimal digits.
    pub commit: String,
    /// Whether the tree had changes that no commit holds.
    pub dirty: bool,
}

/// For which machine, and how, the binaries were built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// The target triple.
    pub target: String,
    /// Whether the C library of the build machine was used, as opposed to a floor that was asked for.
    pub native: bool,
    /// The newest glibc version that a binary asks for, measured in the ELF files. `None` where no binary is dynamic.
    pub glibc: Option<String>,
}

/// One component and where its bytes come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// `cargo` or `static`.
    pub kind: String,
    /// The ref that was asked for, or `worktree`.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The commit that was built, 40 hexadecimal digits.
    pub commit: String,
    /// Whether the tree had changes on top of that commit.
    pub dirty: bool,
    /// Where the recipe was read.
    pub recipe: Origin,
    /// The component's own version, for one that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Which `build.toml` said how a component is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The one at the root of the component's own checkout.
    Checkout,
    /// The one that named the component.
    Manifest,
}

/// Room for everything, unpacked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// Bytes of all files.
    pub bytes: u64,
    /// Files and folders.
    pub inodes: u64,
}

/// A part of the archive that is unpacked as a whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// The roles of a host that need it. Empty: every host does.
    pub roles: Vec<String>,
    /// Room that it takes, unpacked.
    pub needs: Needs,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where it goes, below the root.
    pub path: EntryPath,
    /// Its section.
    pub section: String,
    /// Its permissions.
    pub mode: Mode,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of its content, 64 hexadecimal digits.
    pub sha256: String,
    /// Index into [`Manifest::members`] of the member in which its tar header starts.
    pub member: usize,
}

/// Permissions of an entry. There are two, so that nothing set-uid or world-writable can be spelt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// Readable by everybody.
    #[serde(rename = "0644")]
    File,
    /// Readable and executable by everybody.
    #[serde(rename = "0755")]
    Executable,
}

impl Mode {
    /// The permission bits.
    #[must_use]
    pub fn bits(self) -> u32 {
        match self {
            Self::File => 0o644,
            Self::Executable => 0o755,
        }
    }
}

/// One gzip member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// First byte, counted from the end of member 0.
    pub offset: u64,
    /// Compressed bytes.
    pub size: u64,
    /// Uncompressed bytes.
    pub raw_size: u64,
    /// SHA-256 of the compressed bytes, 64 hexadecimal digits.
    pub sha256: String,
    /// The section whose entries it holds; empty for the end of the tar stream.
    pub section: String,
}

impl Section {
    /// The operating system whose packages it holds, as ID and VERSION_ID of os-release(5), such as `debian-12`.
    #[must_use]
    pub fn os(&self) -> Option<&str> {
        self.name.strip_prefix(OS_SECTION)
    }

    /// Whether a host of `role` needs it; `all` needs every one.
    #[must_use]
    pub fn is_for(&self, role: &str) -> bool {
        role == "all" || self.roles.is_empty() || self.roles.iter().any(|r| r == role)
    }
}

impl Manifest {
    /// The entry called `path`.
    #[must_use]
    pub fn entry(&self, path: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.path.as_str() == path)
    }

    /// The sections that a host of `role` needs, whatever its operating system; `all` needs every one.
    pub fn sections_of<'a>(&'a self, role: &'a str) -> impl Iterator<Item = &'a Section> {
        self.sections.iter().filter(move |section| section.os().is_none() && section.is_for(role))
    }

    /// Checks what can be checked without the file: names, order, sums. `data_bytes` is what lies between member 0 and
    /// the trailer.
    pub(crate) fn check(&self, data_bytes: u64) -> Result<(), Fault> {
        self.check_members(data_bytes)?;
        self.check_names()?;
        match &self.delta {
            Some(delta) if self.format == DELTA_FORMAT => delta.check(self)?,
            None if self.format == FORMAT => (),
            _ => return rule("it says of itself that it is a delta, and that it is none".into()),
        }
        self.check_places()?;
        self.check_needs()
    }

    fn check_members(&self, data_bytes: u64) -> Result<(), Fault> {
        let mut end = 0u64;
        let mut sections = BTreeSet::new();
        let mut last = None;
        for (index, member) in self.members.iter().enumerate() {
            let number = index + 1;
            if member.offset != end {
                return lie(format!("member {number} starts at {}, not at {end}", member.offset));
            }
            // Deflate makes nothing much bigger than it was, and whoever reads has room for one member.
            if member.raw_size > MAX_MEMBER_BYTES
                || member.size > member.raw_size + member.raw_size / 8 + 4096
            {
                let (size, raw_size) = (member.size, member.raw_size);
                return lie(format!("member {number} is too big: {size} bytes that hold {raw_size}"));
            }
            let section = member.section.as_str();
            if last != Some(section) && !sections.insert(section) {
                return lie(format!("member {number} lies apart from the others of section `{section}`"));
            }
            last = Some(section);
            end = end.checked_add(member.size).ok_or_else(|| Fault::Lie("the sizes overflow".into()))?;
        }
        if end != data_bytes {
            return lie(format!("the table counts {end} bytes of members, the file holds {data_bytes}"));
        }
        let ends: Vec<u64> =
            self.members.iter().filter(|member| member.section.is_empty()).map(|end| end.raw_size).collect();
        if last != Some("") || ends != [END_BYTES] {
            return lie("it does not end as a tar file".into());
        }
        Ok(())
    }

    fn check_names(&self) -> Result<(), Fault> {
        let sections: BTreeSet<&str> = self.sections.iter().map(|section| section.name.as_str()).collect();
        if sections.len() != self.sections.len() || sections.contains("") {
            return rule("two sections have one name, or one has none".into());
        }
        let mut files = BTreeSet::from([MANIFEST]);
        for entry in &self.entries {
            let name = entry.path.as_str();
            if !files.insert(name) {
                return rule(format!("two entries are called `{name}`"));
            }
            let section = &entry.section;
            if !sections.contains(section.as_str()) {
                return rule(format!("entry `{name}` is in section `{section}`, which is not listed"));
            }
        }
        // A file where another entry needs a folder.
        for name in &files {
            for (at, _) in name.match_indices('/') {
                if files.contains(&name[..at]) {
                    return rule(format!("`{}` is a file, and `{name}` lies in it", &name[..at]));
                }
            }
        }
        Ok(())
    }

    /// Whether the members hold the tar headers and contents of the entries, in the same order, and nothing else. So what
    /// unpacks is as much as the entries say, and each begins in the member that it names.
    fn check_places(&self) -> Result<(), Fault> {
        let mut members = self.members.iter().enumerate();
        // Bytes of the tar stream up to the end of the member, and up to the entry.
        let (mut filled, mut at) = (0u64, 0u64);
        let mut current = None;
        for entry in &self.entries {
            while at >= filled {
                let Some((index, member)) = members.next() else {
                    return lie(format!("entry `{}` is not there", entry.path));
                };
                current = Some((index, member));
                // At most as many bytes as members of bounded size hold.
                filled += member.raw_size;
            }
            if current.is_none_or(|(index, member)| index != entry.member || member.section != entry.section)
            {
                let (name, number) = (&entry.path, entry.member.saturating_add(1));
                return lie(format!("entry `{name}` does not lie in member {number}"));
            }
            let end = tar_bytes(entry.size).and_then(|bytes| at.checked_add(bytes));
            at = end.ok_or_else(|| Fault::Lie("the sizes overflow".into()))?;
            while at > filled {
                match members.next() {
                    Some((index, member)) if member.section == entry.section => {
                        current = Some((index, member));
                        filled += member.raw_size;
                    }
                    _ => return lie(format!("entry `{}` is bigger than its members", entry.path)),
                }
            }
        }
        if at != filled || !members.all(|(_, member)| member.section.is_empty()) {
            return lie("its members hold what no entry covers".into());
        }
        Ok(())
    }

    fn check_needs(&self) -> Result<(), Fault> {
        let own = |section: &Section| {
            needs(self.entries.iter().filter(|entry| entry.section == section.name)) == section.needs
        };
        if needs(self.entries.iter()) != self.needs || !self.sections.iter().all(own) {
            return lie("it needs another room than it says".into());
        }
        Ok(())
    }
}

/// What the archive was built from, for people.
impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changes = |dirty: bool| if dirty { ", with uncommitted changes" } else { "" };
        match &self.delta {
            None => writeln!(f, "{} {}", self.product, self.version)?,
            Some(delta) => {
                writeln!(f, "{} {}, a delta from {}", self.product, self.version, delta.base.version)?;
                writeln!(f, "  starts from  {} bytes, digest {}", delta.base.size, delta.base.digest)?;
                writeln!(f, "  makes        {} bytes, sha256 {}", delta.size, delta.sha256)?;
            }
        }
        for (name, component) in &self.components {
            let Component { reference, commit, dirty, version, .. } = component;
            let version = version.as_ref().map(|version| format!(", version {version}")).unwrap_or_default();
            writeln!(f, "  {name:<12} {reference} {commit}{}{version}", changes(*dirty))?;
        }
        writeln!(f, "  {:<12} {}{}", "toolchain", self.toolchain.commit, changes(self.toolchain.dirty))?;
        let how = if self.build.native { "native" } else { "portable" };
        let glibc =
            self.build.glibc.as_ref().map(|glibc| format!(", glibc {glibc} or later")).unwrap_or_default();
        writeln!(f, "  built for {} ({how}{glibc})", self.build.target)?;
        if self.delta.is_some() {
            return Ok(());
        }
        writeln!(f, "  {} files, {} bytes unpacked", self.entries.len(), self.needs.bytes)?;
        for section in &self.sections {
            let roles =
                if section.roles.is_empty() { "every host".to_owned() } else { section.roles.join(", ") };
            let only = section.os().map(|os| format!(", on {os} only")).unwrap_or_default();
            writeln!(
                f,
                "  section {:<12} {:>11} bytes, for {roles}{only}",
                section.name, section.needs.bytes
            )?;
        }
        Ok(())
    }
}

/// Room that `entries` take: their bytes, and one inode for each file and each folder.
pub(crate) fn needs<'a>(entries: impl Iterator<Item = &'a Entry>) -> Needs {
    let mut folders = BTreeSet::new();
    let mut needs = Needs::default();
    for entry in entries {
        needs.bytes = needs.bytes.saturating_add(entry.size);
        needs.inodes += 1;
        let path = entry.path.as_str();
        folders.extend(path.match_indices('/').map(|(at, _)| &path[..at]));
    }
    needs.inodes += folders.len() as u64;
    needs
}

fn lie(what: String) -> Result<(), Fault> {
    Err(Fault::Lie(what))
}

fn rule(what: String) -> Result<(), Fault> {
    Err(Fault::Rule(what))
}

/// What a manifest can get wrong: it lies about the file, or breaks a rule.
pub(crate) enum Fault {
    Lie(String),
    Rule(String),
}
