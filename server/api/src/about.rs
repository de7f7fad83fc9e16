//! What is installed: `GET /api/v1/about`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The versions behind this address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct About {
    /// The server itself.
    pub server: Component,
    /// What it was installed as; absent outside a package.
    pub product: Option<Product>,
    /// The dashboard beside it; absent if there is none.
    pub dashboard: Option<Dashboard>,
}

/// Where a program comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Component {
    /// The ref it was built from; absent if built outside the toolchain.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    /// The commit it was built from.
    pub commit: Option<String>,
    /// True if that tree had uncommitted changes.
    pub dirty: bool,
}

/// A package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Product {
    /// Name.
    pub name: String,
    /// Version, as the package has it.
    pub version: String,
}

/// The dashboard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Dashboard {
    /// Its own version, from its `version.json`.
    pub version: String,
}
