//! What is installed: the server's own stamp, the package it lies in, the dashboard beside it.

use std::path::Path;

use packaging_stamp::Stamp;
use server_api::about::{About, Component, Dashboard, Product};

/// What does not change while the server runs.
#[derive(Debug, Clone)]
pub struct Origin {
    server: Component,
    product: Option<Product>,
}

impl Origin {
    /// Reads the stamp, and the manifest of the package that `executable` lies in.
    #[must_use]
    pub fn read(stamp: &Stamp, executable: &Path) -> Self {
        let server = Component {
            reference: stamp.value("ref").map(str::to_owned),
            commit: stamp.value("commit").map(str::to_owned),
            dirty: stamp.value("dirty") == Some("true"),
        };
        let product =
            packaging_stamp::product_of(executable).map(|(name, version)| Product { name, version });
        Self { server, product }
    }

    /// With the dashboard as it is now: its files may be replaced under a running server.
    #[must_use]
    pub fn about(&self, dashboard: Option<String>) -> About {
        About {
            server: self.server.clone(),
            product: self.product.clone(),
            dashboard: dashboard.map(|version| Dashboard { version }),
        }
    }
}
