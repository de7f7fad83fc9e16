//! How certificates that were given come into their place: all of them, whatever happens in between.

use std::fmt;

use packaging_service::files::{Access, NewFile};
use packaging_service::layout::Layout;
use packaging_service::together::Together;

use super::error::JoinError;
use crate::link::IDENTITY;

/// What a host was given. The key is not shown by `{:?}`.
pub struct Given {
    /// The authority, PEM.
    pub authority: String,
    /// The agent's key, PEM.
    pub key: String,
    /// Its certificate, PEM.
    pub certificate: String,
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// Waits until nobody else changes the folder of certificates.
///
/// # Errors
/// If it cannot be changed.
pub fn wait(layout: &Layout) -> Result<Together, JoinError> {
    let folder = layout.tls_folder();
    Together::wait(&folder).map_err(|cause| JoinError::Place { folder, cause })
}

/// Puts what was given into its place, over what is there.
///
/// # Errors
/// If a file cannot be made.
pub fn put(folder: &Together, layout: &Layout, given: Given) -> Result<(), JoinError> {
    let Given { authority, key, certificate } = given;
    let mut files = vec![NewFile { path: layout.tls("ca.pem"), content: authority, access: Access::Public }];
    files.extend(pair(layout, key, certificate));
    Ok(folder.put(files)?)
}

/// The files of the agent's key and certificate.
#[must_use]
pub fn pair(layout: &Layout, key: String, certificate: String) -> [NewFile; 2] {
    let file = |ending: &str, content, access| NewFile {
        path: layout.tls(&format!("{IDENTITY}.{ending}")),
        content,
        access,
    };
    [file("key", key, Access::Private), file("pem", certificate, Access::Public)]
}
