//! `build.toml` as types. Its words are explained where it is written; here they are checked.
//!
//! A `build.toml` has two readers' parts. The one that is *given* decides which components exist, where their source is
//! and what goes where. The one at the root of a component's *own checkout* says how that component is built, so that an
//! old tag is built by its own recipe.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::plan::TOOLCHAIN;
use crate::suggest;
use crate::version::Version;

/// Its name at the root of a tree.
pub const NAME: &str = "build.toml";

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
pub struct BuildFile {
    /// The product and the archive's layout.
    pub archive: Archive,
    /// What is built, by name.
    #[serde(default, rename = "component")]
    pub components: BTreeMap<String, Component>,
    /// Named sets of pins.
    #[serde(default, rename = "release")]
    pub releases: BTreeMap<String, BTreeMap<String, Pin>>,
    /// Files of others that are packed as they are.
    #[serde(default, rename = "bundle")]
    pub bundles: BTreeMap<String, Bundle>,
}

/// `[archive]`.
#[derive(Clone, Debug, Deserialize)]
pub struct Archive {
    /// The product's name.
    pub product: String,
    /// The version that a build without `--version` starts its own with.
    pub version: Version,
    /// Where each kind of output goes.
    #[serde(default)]
    pub layout: Layout,
}

/// `[archive.layout]`: folders of the archive.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Layout {
    /// Programs.
    pub bins: String,
    /// systemd units.
    pub units: String,
    /// Default configuration.
    pub config: String,
    /// Other files.
    pub files: String,
}

impl Default for Layout {
    fn default() -> Self {
        Self { bins: "bin".into(), units: "systemd".into(), config: "etc".into(), files: "share".into() }
    }
}

/// `[component.NAME]`.
#[derive(Clone, Debug, Deserialize)]
pub struct Component {
    /// `.`, a path, or a git URL.
    #[serde(default = "this_tree")]
    pub source: String,
    /// The archive's section; by default the component's name.
    pub section: Option<String>,
    /// The roles of a host that need it; none: every host.
    #[serde(default)]
    pub roles: Vec<String>,
    /// How it is built, if its own checkout does not say.
    #[serde(flatten)]
    pub recipe: Recipe,
}

fn this_tree() -> String {
    ".".into()
}

/// How a component is built. Paths are relative to the root of its checkout.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Recipe {
    /// What kind of component it is. `None`: this table has no recipe.
    pub kind: Option<Kind>,
    /// The cargo package; by default the component's name.
    pub package: Option<String>,
    /// The package's programs.
    pub bins: Vec<String>,
    /// The package's features.
    pub features: Vec<String>,
    /// Files and folders to carry.
    pub files: Vec<FileRule>,
    /// systemd units.
    pub units: Vec<String>,
    /// Default configuration files.
    pub config: Vec<String>,
    /// A file that holds the component's own version: JSON with a `version`, or text.
    #[serde(rename = "version-file")]
    pub version_file: Option<String>,
    /// Whether the programs carry a stamp that can be checked.
    pub stamp: bool,
}

/// `kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Programs that cargo builds, and files.
    Cargo,
    /// Files only.
    Static,
}

impl Kind {
    /// The word in `build.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cargo => "cargo",
            Self::Static => "static",
        }
    }
}

/// An element of `files`: a path, or a path and where it goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FileRule {
    /// A file or folder, under its own last name.
    Path(String),
    /// A file or folder, under another name below the archive's folder for files.
    Renamed {
        /// Where it is.
        from: String,
        /// What it is called.
        to: String,
    },
}

/// A pin of a release.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Pin {
    /// A ref, looked up when it is built.
    Ref(String),
    /// A ref, and the commit that is built whatever the ref says.
    Commit {
        /// The name that it goes by.
        #[serde(rename = "ref")]
        reference: String,
        /// 40 hexadecimal digits.
        commit: String,
    },
}

/// `[bundle.NAME]`.
#[derive(Clone, Debug, Deserialize)]
pub struct Bundle {
    /// A file, relative to the manifest.
    pub path: Option<String>,
    /// Where to fetch it.
    pub url: Option<String>,
    /// SHA-256 of its content, 64 hexadecimal digits.
    pub sha256: String,
    /// Where it goes, below the archive's root.
    pub to: String,
    /// The archive's section; by default the bundle's name.
    pub section: Option<String>,
    /// The roles of a host that need it; none: every host.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Whether it is a program.
    #[serde(default)]
    pub executable: bool,
    /// Its licence as an SPDX expression, for those who ask what is inside.
    pub license: Option<String>,
}

const ARCHIVE_KEYS: &[&str] = &["product", "version", "layout"];
const LAYOUT_KEYS: &[&str] = &["bins", "units", "config", "files"];
const SOURCE_KEYS: &[&str] = &["source", "section", "roles"];
const RECIPE_KEYS: &[&str] =
    &["kind", "package", "bins", "features", "files", "units", "config", "version-file", "stamp"];
const BUNDLE_KEYS: &[&str] = &["path", "url", "sha256", "to", "section", "roles", "executable", "license"];

impl BuildFile {
    /// Reads the file that was given.
    ///
    /// # Errors
    /// Naming the file, the key and the nearest known one.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::usage(format!(
                "cannot read `{}` ({error}); name a build.toml with --manifest",
                path.display()
            ))
        })?;
        Self::parse(&text).with_context(|| format!("in `{}`", path.display()))
    }

    /// Parses the text of a file that was given.
    ///
    /// # Errors
    /// As for [`BuildFile::read`].
    pub fn parse(text: &str) -> Result<Self> {
        let table: toml::Table = text.parse().map_err(not_toml)?;
        known(&table, "", &["archive", "component", "release", "bundle"])?;
        if let Some(archive) = sub(&table, "archive")? {
            known(archive, "archive", ARCHIVE_KEYS)?;
            if let Some(layout) = sub(archive, "layout")? {
                known(layout, "archive.layout", LAYOUT_KEYS)?;
            }
        }
        for (name, component) in each(&table, "component")? {
            known(component, &format!("component.{name}"), &[SOURCE_KEYS, RECIPE_KEYS].concat())?;
        }
        for (name, bundle) in each(&table, "bundle")? {
            known(bundle, &format!("bundle.{name}"), BUNDLE_KEYS)?;
        }
        let file: Self = toml::from_str(text).map_err(not_toml)?;
        file.check()?;
        Ok(file)
    }

    fn check(&self) -> Result<()> {
        if self.components.is_empty() {
            return Err(Failure::usage("there is no `[component.NAME]`; add what is to be built"));
        }
        for name in self.components.keys().chain(self.bundles.keys()) {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if name.is_empty() || !name.chars().all(plain) {
                return Err(Failure::usage(format!(
                    "`{name}` is not a name; use lower-case letters, digits and `-`"
                )));
            }
            if name == TOOLCHAIN {
                return Err(Failure::usage(format!(
                    "`{name}` is what every package brings; choose another name"
                )));
            }
        }
        for (release, pins) in &self.releases {
            release.parse::<Version>().map_err(Failure::usage)?;
            for (component, pin) in pins {
                self.component(component).with_context(|| format!("in `[release.\"{release}\"]`"))?;
                if let Pin::Commit { commit, .. } = pin
                    && (commit.len() != 40 || !commit.bytes().all(|byte| byte.is_ascii_hexdigit()))
                {
                    let sentence =
                        format!("release `{release}` pins {component} to `{commit}`; write all 40 digits");
                    return Err(Failure::usage(sentence));
                }
            }
        }
        for (name, bundle) in &self.bundles {
            if bundle.path.is_some() == bundle.url.is_some() {
                return Err(Failure::usage(format!("bundle `{name}` needs either `path` or `url`")));
            }
            if bundle.sha256.len() != 64 || !bundle.sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(Failure::usage(format!("bundle `{name}` needs its `sha256` with all 64 digits")));
            }
        }
        Ok(())
    }

    /// The component called `name`.
    ///
    /// # Errors
    /// Naming the nearest one.
    pub fn component(&self, name: &str) -> Result<&Component> {
        self.components.get(name).ok_or_else(|| {
            let remedy = suggest::remedy(name, self.components.keys().map(String::as_str));
            Failure::usage(format!("there is no component `{name}`{remedy}"))
        })
    }
}

/// The recipe of component `name` in the text of a checkout's own `build.toml`; `None` if it has none there. Whatever
/// else stands in that file is of no interest: it belongs to another time.
///
/// # Errors
/// If the recipe holds a key that this toolchain cannot honour.
pub fn recipe_in(text: &str, name: &str) -> Result<Option<Recipe>> {
    let table: toml::Table = text.parse().map_err(not_toml)?;
    let Some(component) = sub(&table, "component")?.map(|all| sub(all, name)).transpose()?.flatten() else {
        return Ok(None);
    };
    known(component, &format!("component.{name}"), &[SOURCE_KEYS, RECIPE_KEYS].concat())?;
    let recipe: Recipe = component.clone().try_into().map_err(not_toml)?;
    Ok(recipe.kind.is_some().then_some(recipe))
}

#[allow(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn not_toml(error: toml::de::Error) -> anyhow::Error {
    Failure::usage(error.to_string().trim_end().to_owned())
}

fn known(table: &toml::Table, place: &str, keys: &[&str]) -> Result<()> {
    for key in table.keys() {
        if !keys.contains(&key.as_str()) {
            let place = if place.is_empty() { String::new() } else { format!(" in `[{place}]`") };
            let remedy = suggest::remedy(key, keys.iter().copied());
            return Err(Failure::usage(format!("unknown key `{key}`{place}{remedy}")));
        }
    }
    Ok(())
}

fn sub<'a>(table: &'a toml::Table, key: &str) -> Result<Option<&'a toml::Table>> {
    match table.get(key) {
        None => Ok(None),
        Some(toml::Value::Table(table)) => Ok(Some(table)),
        Some(_) => Err(Failure::usage(format!("`{key}` is not a table; write it as `[{key}]`"))),
    }
}

fn each<'a>(table: &'a toml::Table, key: &str) -> Result<Vec<(&'a String, &'a toml::Table)>> {
    let Some(all) = sub(table, key)? else { return Ok(Vec::new()) };
    all.keys().map(|name| Ok((name, sub(all, name)?.unwrap_or(all)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "[archive]\nproduct='p'\nversion='1'\n[component.agent]\nkind='cargo'\nbins=['a']\n";

    fn refusal(extra: &str) -> String {
        format!("{:#}", BuildFile::parse(&format!("{SMALL}{extra}")).unwrap_err())
    }

    #[test]
    fn a_small_file_is_read() {
        let file = BuildFile::parse(SMALL).unwrap();
        assert_eq!(file.components["agent"].source, ".");
        assert_eq!(file.components["agent"].recipe.kind, Some(Kind::Cargo));
        assert_eq!(file.archive.layout.units, "systemd");
    }

    #[test]
    fn a_misspelt_key_is_refused_with_the_nearest() {
        assert_eq!(
            refusal("pakage='x'"),
            "unknown key `pakage` in `[component.agent]`; did you mean `package`?"
        );
        assert_eq!(refusal("[componnent.x]"), "unknown key `componnent`; did you mean `component`?");
        assert!(
            refusal("[release.\"1\"]\nagnt='1'")
                .ends_with("there is no component `agnt`; did you mean `agent`?")
        );
    }

    #[test]
    fn a_name_is_plain_and_not_taken() {
        assert!(refusal("[component.Web]").ends_with("use lower-case letters, digits and `-`"));
        assert!(refusal("[component.toolchain]").ends_with("; choose another name"));
    }

    #[test]
    fn a_pin_is_whole_or_refused() {
        assert!(refusal("[release.\"1\"]\nagent={ref='1',commit='abc'}").contains("write all 40 digits"));
        let text = format!("{SMALL}[release.\"1\"]\nagent={{ref='1',commit='{}'}}", "a".repeat(40));
        let pin = &BuildFile::parse(&text).unwrap().releases["1"]["agent"];
        assert_eq!(*pin, Pin::Commit { reference: "1".into(), commit: "a".repeat(40) });
    }

    #[test]
    fn a_bundle_needs_one_origin_and_a_whole_digest() {
        assert!(refusal("[bundle.b]\nsha256='00'\nto='x'").contains("either `path` or `url`"));
        assert!(refusal("[bundle.b]\npath='b'\nsha256='00'\nto='x'").contains("all 64 digits"));
    }

    #[test]
    fn the_recipe_of_a_checkout_is_read_without_the_rest() {
        let text = "[archive]\nfrom-the-future=1\n[component.agent]\nkind='static'\nfiles=['web']\n";
        let recipe = recipe_in(text, "agent").unwrap().unwrap();
        assert_eq!(recipe.files, [FileRule::Path("web".into())]);
        assert!(recipe_in(text, "server").unwrap().is_none());
        assert!(recipe_in("[component.agent]\nkind='static'\nfils=[]", "agent").is_err());
        assert!(recipe_in("[component.agent]\nsource='x'", "agent").unwrap().is_none());
    }
}
