//! What is written about carried packages: the index by which a host's package manager finds them, and the record of what each is
//! and where it comes from.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::deb::{self, Copyright, Facts};
use super::lock::Package;
use crate::plan::Packages;

/// The record. Its file is `packages.json`, beside the packages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    /// The operating system and its release, as ID and VERSION_ID of os-release(5) say it.
    pub os: String,
    /// The release as its mirrors call it.
    pub suite: String,
    /// The architecture of hosts.
    pub architecture: String,
    /// Whether a lock says which versions these are; else they are those of the day.
    pub locked: bool,
    /// What hosts are given, by role.
    pub roles: BTreeMap<String, Vec<String>>,
    /// Every package.
    pub packages: Vec<Carried>,
}

/// One package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Carried {
    /// What it is.
    #[serde(flatten)]
    pub package: Package,
    /// Its file, beside the record.
    pub file: String,
    /// Room that it takes on a host, in KiB, as its maker says.
    pub installed_kib: u64,
    /// The source that it was made from.
    pub source: Source,
    /// Licences, by the short names that its copyright file has for them.
    pub licenses: Vec<String>,
    /// Where they stand, or why none does.
    pub licenses_from: String,
}

/// A source package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// Makes the record of what was planned, from what the packages say of themselves.
///
/// # Errors
/// If one says too little.
pub fn record(planned: &Packages, facts: &BTreeMap<String, Facts>) -> Result<Record> {
    let carried = planned.packages.iter().map(|package| {
        let own =
            facts.get(&package.name).with_context(|| format!("nothing is known of `{}`", package.name))?;
        let (name, version) =
            deb::source(&own.control).with_context(|| format!("`{}` names no source", package.name))?;
        let (licenses, licenses_from) = licenses(&own.copyright, facts);
        let installed = deb::field(&own.control, "Installed-Size");
        Ok(Carried {
            package: package.clone(),
            file: package.file_name(),
            installed_kib: installed.and_then(|size| size.parse().ok()).unwrap_or_default(),
            source: Source { name, version },
            licenses,
            licenses_from,
        })
    });
    Ok(Record {
        os: planned.os.clone(),
        suite: planned.suite.clone(),
        architecture: planned.architecture.clone(),
        locked: planned.locked,
        roles: planned.roles.clone(),
        packages: carried.collect::<Result<_>>()?,
    })
}

fn licenses(copyright: &Copyright, all: &BTreeMap<String, Facts>) -> (Vec<String>, String) {
    match copyright {
        Copyright::Read(licenses) => (licenses.clone(), "its copyright file".into()),
        Copyright::Prose => (Vec::new(), "its copyright file is prose".into()),
        Copyright::Missing => (Vec::new(), "it has no copyright file".into()),
        Copyright::Of(other) => match all.get(other).map(|facts| &facts.copyright) {
            Some(Copyright::Read(licenses)) => (licenses.clone(), format!("the copyright file of {other}")),
            Some(Copyright::Prose) => (Vec::new(), format!("the copyright file of {other} is prose")),
            Some(Copyright::Of(_) | Copyright::Missing) | None => {
                (Vec::new(), format!("its copyright file is that of {other}, which has none here"))
            }
        },
    }
}

impl Record {
    /// The record as a file.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub fn json(&self) -> Result<Vec<u8>> {
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        Ok(json)
    }

    /// The index of an archive of packages that lies in one folder: what each says of itself, and its file's name, size and digest.
    pub fn index(&self, facts: &BTreeMap<String, Facts>) -> String {
        let stanza = |carried: &Carried| {
            let control =
                facts.get(&carried.package.name).map(|facts| facts.control.as_str()).unwrap_or_default();
            let Carried { package: Package { size, sha256, .. }, file, .. } = carried;
            format!("{control}Filename: ./{file}\nSize: {size}\nSHA256: {sha256}\n\n")
        };
        self.packages.iter().map(stanza).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::lock::tests::package;
    use super::*;

    #[test]
    fn a_package_is_recorded_with_what_it_says_and_where_its_licence_stands() {
        let facts = |name: &str, more: &str, copyright: Copyright| {
            let control = format!("Package: {name}\nVersion: 1\n{more}");
            (name.to_owned(), Facts { control, copyright })
        };
        let facts = BTreeMap::from([
            facts("a", "Source: s (2)\nInstalled-Size: 12\n", Copyright::Read(vec!["Expat".into()])),
            facts("b", "", Copyright::Of("a".into())),
            facts("c", "", Copyright::Prose),
            facts("d", "", Copyright::Of("x".into())),
        ]);
        let planned = Packages {
            os: "o-1".into(),
            suite: "s".into(),
            architecture: "amd64".into(),
            locked: false,
            roles: BTreeMap::new(),
            packages: ["a", "b", "c", "d"].map(|name| package(name, "1:1", "a")).to_vec(),
        };
        let record = record(&planned, &facts).unwrap();
        let told: Vec<(&[String], &str)> =
            record.packages.iter().map(|p| (&p.licenses[..], p.licenses_from.as_str())).collect();
        let expat = ["Expat".to_owned()];
        assert_eq!(told[0], (&expat[..], "its copyright file"));
        assert_eq!(told[1], (&expat[..], "the copyright file of a"));
        assert_eq!(told[2], (&[][..], "its copyright file is prose"));
        assert_eq!(told[3].0, &[] as &[String]);
        let first = &record.packages[0];
        assert_eq!((&*first.source.name, &*first.source.version, first.installed_kib), ("s", "2", 12));
        let index = record.index(&facts);
        let expected = format!(
            "Package: b\nVersion: 1\nFilename: ./b_1_amd64.deb\nSize: 7\nSHA256: {}\n\n",
            "a".repeat(64)
        );
        assert!(index.contains(&expected) && index.matches("Package: ").count() == 4, "{index}");
    }
}
