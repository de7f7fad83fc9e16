//! Names of places that mean the same on every machine: repositories without a user's name, commits without a repository,
//! compilers by what they say of themselves.

use std::path::PathBuf;

use super::inventory::From;
use crate::refs::is_url;

/// What compiled a component.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compiler {
    /// The rustup toolchain.
    pub channel: String,
    /// The first line of `rustc --version --verbose`.
    pub rustc: String,
    /// The commit that rustc was built from, if it says so.
    pub commit: Option<String>,
    /// Its release, such as `1.95.0`.
    pub release: String,
    /// What `cargo --version` says.
    pub cargo: String,
    /// Where it lies on this machine.
    pub folder: PathBuf,
}

/// The address of a source for others: `None` for a path of this machine.
pub fn public(source: &str) -> Option<String> {
    if !is_url(source) {
        return None;
    }
    let url = match source.split_once("://") {
        Some(("file", _)) => return None,
        Some(_) => source.to_owned(),
        // Git's short spelling of an ssh address.
        None => format!("ssh://{}", source.replacen(':', "/", 1)),
    };
    Some(without_user(&url))
}

/// A commit as a URI: where it can be fetched, or else what it is, by the identifier that needs no place.
pub fn commit_uri(source: &str, commit: &str) -> String {
    match public(source) {
        Some(url) => format!("git+{url}@{commit}"),
        None => swhid(commit),
    }
}

/// The identifier of a commit that follows from its content, wherever it lies.
pub fn swhid(commit: &str) -> String {
    format!("swh:1:rev:{commit}")
}

/// What a package of Debian is called where packages of all kinds are.
pub fn purl_of_deb(os: &str, name: &str, version: &str, architecture: &str) -> String {
    let escaped = |text: &str| text.replace('+', "%2B").replace(':', "%3A");
    let vendor = os.split('-').next().unwrap_or(os);
    let distro = os.strip_suffix("-guest").unwrap_or(os);
    format!("pkg:deb/{vendor}/{}@{}?arch={architecture}&distro={distro}", escaped(name), escaped(version))
}

/// A URL without the user's name and password.
pub fn without_user(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find('/').unwrap_or(rest.len());
    let host = rest[..end].rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{}", &rest[end..])
}

/// What cargo calls the source of a package that is neither in the checkout nor in the registry it knows by itself.
pub fn crate_source(source: &str) -> From {
    match source.split_once('+') {
        Some(("git", rest)) => {
            let (place, commit) = rest.rsplit_once('#').unwrap_or((rest, ""));
            From::Git(public(place.split('?').next().unwrap_or(place)), commit.to_owned())
        }
        Some((_, url)) => From::OtherRegistry(public(url)),
        None => From::OtherRegistry(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_for_others_has_no_user_and_no_path_of_this_machine() {
        for (source, expected) in [
            ("https://me:secret@host/x.git", Some("https://host/x.git")),
            ("git@host:team/x.git", Some("ssh://host/team/x.git")),
            ("ssh://git@host:22/x", Some("ssh://host:22/x")),
            ("/srv/src/x", None),
            ("file:///srv/src/x", None),
            ("../x", None),
        ] {
            assert_eq!(public(source).as_deref(), expected, "{source}");
        }
        let commit = "1".repeat(40);
        assert_eq!(commit_uri("/srv/x", &commit), format!("swh:1:rev:{commit}"));
        assert_eq!(commit_uri("https://u@host/x", &commit), format!("git+https://host/x@{commit}"));
    }

    #[test]
    fn a_package_of_debian_is_called_as_others_call_it() {
        assert_eq!(
            purl_of_deb("debian-12", "libstdc++6", "1:2~3+x-1", "amd64"),
            "pkg:deb/debian/libstdc%2B%2B6@1%3A2~3%2Bx-1?arch=amd64&distro=debian-12"
        );
    }

    #[test]
    fn sources_of_crates_are_told_apart() {
        let git = crate_source("git+https://u:p@host/x?branch=main#abc");
        assert_eq!(git, From::Git(Some("https://host/x".into()), "abc".into()));
        assert_eq!(crate_source("git+file:///srv/x#abc"), From::Git(None, "abc".into()));
        let registry = crate_source("sparse+https://host/index/");
        assert_eq!(registry, From::OtherRegistry(Some("https://host/index/".into())));
        assert_eq!(crate_source("registry+file:///srv/index"), From::OtherRegistry(None));
    }
}
