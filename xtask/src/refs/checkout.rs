//! What a commit says of its own build, read without checking it out: its recipe, the files that the recipe names, its
//! version and its toolchain.

use anyhow::{Context as _, Result};
use packaging_archive::{EntryPath, Origin};

use super::CarriedFile;
use crate::buildfile::{self, Component, FileRule, Kind, Layout, Recipe};
use crate::failure::Failure;
use crate::git::Mirror;

/// All of it.
pub struct Checkout {
    /// How the component is built.
    pub recipe: Recipe,
    /// Who said so.
    pub origin: Origin,
    /// The files that go to the archive as they are.
    pub files: Vec<CarriedFile>,
    /// The component's own version.
    pub version: Option<String>,
    /// The channel of its toolchain file.
    pub toolchain: Option<String>,
}

/// Reads component `name` at commit `tree`.
///
/// # Errors
/// If there is no recipe, or the commit does not have what the recipe names.
pub fn read(
    name: &str,
    component: &Component,
    layout: &Layout,
    mirror: &Mirror,
    tree: &str,
) -> Result<Checkout> {
    let (recipe, origin) = recipe(name, component, mirror, tree)?;
    if recipe.kind == Some(Kind::Cargo) {
        cargo_files(mirror, tree)?;
    }
    let files = carried(&recipe, layout, mirror, tree)?;
    let version = recipe.version_file.as_deref().map(|path| own_version(path, mirror, tree)).transpose()?;
    Ok(Checkout { recipe, origin, files, version, toolchain: toolchain_of(mirror, tree)? })
}

fn recipe(name: &str, component: &Component, mirror: &Mirror, tree: &str) -> Result<(Recipe, Origin)> {
    if let Some(text) = mirror.show(tree, buildfile::NAME)? {
        let own =
            buildfile::recipe_in(&text, name).with_context(|| format!("its own {}", buildfile::NAME))?;
        if let Some(own) = own {
            return Ok((own, Origin::Checkout));
        }
    }
    if component.recipe.kind.is_none() {
        let sentence =
            format!("there is no recipe; add `kind` to `[component.{name}]`, here or in its own build.toml");
        return Err(Failure::usage(sentence));
    }
    Ok((component.recipe.clone(), Origin::Manifest))
}

/// What cargo would miss after everything else was done.
fn cargo_files(mirror: &Mirror, tree: &str) -> Result<()> {
    if mirror.show(tree, "Cargo.toml")?.is_none() {
        return Err(Failure::usage("there is no Cargo.toml at its root; write kind = \"static\""));
    }
    if mirror.show(tree, "Cargo.lock")?.is_none() {
        let sentence = "there is no Cargo.lock, so that nobody can say what it is built from; commit it";
        return Err(Failure::usage(sentence));
    }
    Ok(())
}

/// Every file that the recipe names, with folders replaced by what the commit holds in them.
fn carried(recipe: &Recipe, layout: &Layout, mirror: &Mirror, tree: &str) -> Result<Vec<CarriedFile>> {
    let mut carried = Vec::new();
    for (from, to) in places(recipe, layout)? {
        let files = mirror.files(tree, &from)?;
        if files.is_empty() {
            return Err(Failure::usage(format!("there is no `{from}`; mend its recipe")));
        }
        for blob in files {
            let to = format!("{to}/{}", below(&from, &blob.path));
            let to = to.trim_end_matches('/').to_owned();
            carried.push(CarriedFile { from: blob.path, to, executable: blob.executable });
        }
    }
    Ok(carried)
}

/// Which files and folders of the checkout go where in the archive.
fn places(recipe: &Recipe, layout: &Layout) -> Result<Vec<(String, String)>> {
    let under_own_name =
        |path: &str, folder: &str| (path.to_owned(), format!("{folder}/{}", last_part(path)));
    let mut places = Vec::new();
    places.extend(recipe.units.iter().map(|path| under_own_name(path, &layout.units)));
    places.extend(recipe.config.iter().map(|path| under_own_name(path, &layout.config)));
    places.extend(recipe.files.iter().map(|rule| match rule {
        FileRule::Path(path) => under_own_name(path, &layout.files),
        FileRule::Renamed { from, to } => (from.clone(), format!("{}/{to}", layout.files)),
    }));
    for (from, _) in &mut places {
        let path = from.trim_end_matches('/');
        if path != "." {
            EntryPath::new(path).map_err(|rule| Failure::usage(format!("{rule}; mend its recipe")))?;
        }
        *from = path.to_owned();
    }
    Ok(places)
}

/// What is left of `path` behind the file or folder `place`.
fn below<'a>(place: &str, path: &'a str) -> &'a str {
    let rest = if place == "." { Some(path) } else { path.strip_prefix(place) };
    rest.unwrap_or_default().trim_start_matches('/')
}

/// The name of a file or folder; none for the root.
fn last_part(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "." => "",
        path => path.rsplit('/').next().unwrap_or(path),
    }
}

fn own_version(path: &str, mirror: &Mirror, tree: &str) -> Result<String> {
    let text = mirror
        .show(tree, path)?
        .ok_or_else(|| Failure::usage(format!("there is no version file `{path}`; mend its recipe")))?;
    version_in(path, &text)
}

fn version_in(path: &str, text: &str) -> Result<String> {
    if !path.ends_with(".json") {
        return Ok(text.trim().to_owned());
    }
    let json: serde_json::Value =
        serde_json::from_str(text).map_err(|error| Failure::usage(format!("`{path}`: {error}")))?;
    let version = json["version"].as_str().map(str::to_owned);
    version.ok_or_else(|| Failure::usage(format!("`{path}` has no text `version`; add it")))
}

/// The channel in a tree's toolchain file, in either of its two spellings.
///
/// # Errors
/// If the file names no channel.
pub fn toolchain_of(mirror: &Mirror, tree: &str) -> Result<Option<String>> {
    for file in ["rust-toolchain.toml", "rust-toolchain"] {
        if let Some(text) = mirror.show(tree, file)? {
            return channel_in(&text).map(Some).ok_or_else(|| {
                Failure::usage(format!(
                    "`{file}` names no channel; only toolchains of rustup can be built with"
                ))
            });
        }
    }
    Ok(None)
}

fn channel_in(text: &str) -> Option<String> {
    match text.parse::<toml::Table>() {
        Ok(table) => Some(table.get("toolchain")?.get("channel")?.as_str()?.to_owned()),
        // The old spelling is the bare name.
        Err(_) => Some(text.trim().to_owned())
            .filter(|name| !name.is_empty() && !name.contains(char::is_whitespace)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_toolchain_files_name_a_channel() {
        assert_eq!(channel_in("[toolchain]\nchannel = \"1.95.0\"\n").as_deref(), Some("1.95.0"));
        assert_eq!(channel_in("stable\n").as_deref(), Some("stable"));
        assert_eq!(channel_in("[toolchain]\npath = \"/x\"\n"), None);
    }

    #[test]
    fn every_kind_of_file_has_its_folder() {
        let renamed = FileRule::Renamed { from: "docs".into(), to: "doc/server".into() };
        let recipe = Recipe {
            units: vec!["server/s.service".into()],
            config: vec!["server/s.toml".into()],
            files: vec![FileRule::Path("server/web/".into()), renamed, FileRule::Path(".".into())],
            ..Recipe::default()
        };
        let layout = Layout { config: "conf".into(), ..Layout::default() };
        let places = places(&recipe, &layout).unwrap();
        let places: Vec<String> = places.iter().map(|(from, to)| format!("{from} -> {to}")).collect();
        assert_eq!(
            places,
            [
                "server/s.service -> systemd/s.service",
                "server/s.toml -> conf/s.toml",
                "server/web -> share/web",
                "docs -> share/doc/server",
                ". -> share/",
            ]
        );
        assert_eq!(below("server/web", "server/web/js/app.js"), "js/app.js");
        assert_eq!(below("server/s.toml", "server/s.toml"), "");
        assert_eq!(below(".", "README.md"), "README.md");
    }

    #[test]
    fn a_recipe_stays_in_its_checkout() {
        for path in ["../x", "/etc/passwd", "./web", "a//b", ""] {
            let recipe = Recipe { files: vec![FileRule::Path(path.into())], ..Recipe::default() };
            let refusal = places(&recipe, &Layout::default()).unwrap_err().to_string();
            assert!(refusal.ends_with("; mend its recipe"), "{refusal}");
        }
    }

    #[test]
    fn a_version_is_a_json_member_or_the_whole_text() {
        assert_eq!(version_in("VERSION", "1.2\n").unwrap(), "1.2");
        assert_eq!(version_in("v.json", "{\"version\": \"1.2\"}").unwrap(), "1.2");
        assert!(version_in("v.json", "{\"version\": 2}").is_err());
        assert!(version_in("v.json", "1.2").is_err());
    }
}
