//! The dashboard's files: found, read and labelled. They lie on disk beside the server, never inside it: the dashboard
//! has a version of its own.
//!
//! A request names a file by plain segments. Nothing is decoded, so nothing can be hidden by an encoding, and a file
//! that a link leads out of the folder is not there.

use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use thiserror::Error;

/// The file behind `/`.
const INDEX: &str = "index.html";

/// A folder of static files.
#[derive(Debug, Clone)]
pub struct Dashboard {
    folder: PathBuf,
}

/// A file as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// All of it.
    pub content: Vec<u8>,
    /// Media type.
    pub media_type: &'static str,
    /// Changes with the content; with its quotes, as in an `ETag`.
    pub tag: String,
}

/// Why there is no page.
#[derive(Debug, Error)]
pub enum DashboardError {
    /// The folder is not there, or has no index.
    #[error("the dashboard is not installed in `{0}`")]
    NotInstalled(PathBuf),
    /// There is no such file.
    #[error("there is no page `{0}`")]
    NoPage(String),
    /// The file is there and cannot be read.
    #[error("cannot read the page `{path}`: {cause}")]
    Unreadable {
        /// As asked for.
        path: String,
        /// What the system said.
        cause: io::Error,
    },
}

impl Dashboard {
    /// The dashboard in `folder`, which need not be there yet.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The dashboard in `configured`, or where that is empty the one that was installed with `executable`.
    #[must_use]
    pub fn locate(configured: &Path, executable: &Path) -> Self {
        if configured.as_os_str().is_empty() {
            let package = executable.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
            Self::new(package.join("share/dashboard"))
        } else {
            Self::new(configured.to_owned())
        }
    }

    /// Reads the file behind the URL path `path`.
    ///
    /// # Errors
    /// See [`DashboardError`].
    pub fn page(&self, path: &str) -> Result<Page, DashboardError> {
        let name = if path == "/" { INDEX } else { path.trim_start_matches('/') };
        let content = match self.read(name) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(if self.folder.join(INDEX).is_file() {
                    DashboardError::NoPage(path.to_owned())
                } else {
                    DashboardError::NotInstalled(self.folder.clone())
                });
            }
            Err(cause) => return Err(DashboardError::Unreadable { path: path.to_owned(), cause }),
        };
        let digest = Sha256::digest(&content);
        let tag = digest[..16].iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        Ok(Page { media_type: media_type(name), tag: format!("\"{tag}\""), content })
    }

    /// The version that the dashboard gives itself in `version.json`.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        let text = self.read("version.json").ok()?;
        let value: serde_json::Value = serde_json::from_slice(&text).ok()?;
        Some(value["version"].as_str()?.to_owned())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let not_found = || io::Error::from(io::ErrorKind::NotFound);
        if !name.split('/').all(is_plain) {
            return Err(not_found());
        }
        let folder = self.folder.canonicalize()?;
        let file = folder.join(name).canonicalize()?;
        if !file.starts_with(&folder) || !file.is_file() {
            return Err(not_found());
        }
        std::fs::read(file)
    }
}

/// True for what a file of the dashboard may be called.
fn is_plain(segment: &str) -> bool {
    !segment.is_empty()
        && !segment.starts_with('.')
        && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dashboard() -> (tempfile::TempDir, Dashboard) {
        let folder = tempfile::tempdir().unwrap();
        let files = folder.path().join("files");
        std::fs::create_dir_all(files.join("img")).unwrap();
        std::fs::write(files.join("index.html"), "<p>").unwrap();
        std::fs::write(files.join("img/a.svg"), "<svg/>").unwrap();
        std::fs::write(files.join(".hidden"), "x").unwrap();
        std::fs::write(folder.path().join("secret"), "x").unwrap();
        (folder, Dashboard::new(files))
    }

    #[test]
    fn files_are_found_and_labelled() {
        let (_folder, dashboard) = dashboard();
        let page = dashboard.page("/").unwrap();
        assert_eq!((page.content.as_slice(), page.media_type), (&b"<p>"[..], "text/html; charset=utf-8"));
        assert_eq!(dashboard.page("/index.html").unwrap(), page);
        let image = dashboard.page("/img/a.svg").unwrap();
        assert_eq!(image.media_type, "image/svg+xml");
        assert_ne!(image.tag, page.tag);
    }

    #[test]
    fn no_path_leads_out_of_the_folder() {
        let (folder, dashboard) = dashboard();
        std::os::unix::fs::symlink(folder.path().join("secret"), dashboard.folder.join("link")).unwrap();
        std::os::unix::fs::symlink(folder.path(), dashboard.folder.join("up")).unwrap();
        let outside = folder.path().join("secret").display().to_string();
        for path in [
            "/../secret",
            "/img/../../secret",
            "/%2e%2e/secret",
            "/..%2fsecret",
            "/.hidden",
            "/link",
            "/up/secret",
            "/img",
            "/img/",
            "/a\0b",
            "/./index.html",
            &format!("/{outside}"),
            &outside,
        ] {
            let found = dashboard.page(path);
            assert!(matches!(found, Err(DashboardError::NoPage(_))), "{path}: {found:?}");
        }
    }

    #[test]
    fn a_missing_folder_is_told_from_a_missing_file() {
        let dashboard = Dashboard::new("/nonexistent/dashboard".into());
        assert!(matches!(dashboard.page("/"), Err(DashboardError::NotInstalled(_))));
        assert_eq!(dashboard.version(), None);
    }

    #[test]
    fn the_installed_dashboard_lies_beside_the_binary() {
        let found = Dashboard::locate(Path::new(""), Path::new("/opt/cairn/versions/1/bin/cairn-server"));
        assert_eq!(found.folder, Path::new("/opt/cairn/versions/1/share/dashboard"));
        assert_eq!(Dashboard::locate(Path::new("/srv/d"), Path::new("/x")).folder, Path::new("/srv/d"));
    }
}
