//! Where what is packed comes from, told in the words that others read: a CycloneDX list of parts (`cyclonedx`), the licence
//! texts of what is linked (`licenses`), and a statement of how the file was made (`provenance`).
//!
//! `inventory` finds out what is linked into a component's programs; the rest is made from inventories, the plan and digests
//! alone. Nothing of it names this machine, its folders or the time of day: the same commits give the same bytes.

mod beside;
mod cyclonedx;
mod inventory;
mod licenses;
mod place;
mod provenance;
mod texts;

pub use beside::{Beside, check, provenance_of, sbom_in};
pub use cyclonedx::{Described, sbom};
pub use inventory::{Crate, From, Inventory, Linked, take};
pub use licenses::third_party;
pub use place::Compiler;
pub use provenance::{Built, statement};
pub use texts::read as text;

/// Where the list of parts lies in a packed file.
pub const SBOM: &str = "share/sbom.cdx.json";

/// Where the licence texts lie in a packed file.
pub const LICENSES: &str = "share/licenses/THIRD-PARTY.txt";

/// What a name beside the packed file ends with: the list of parts.
pub const SBOM_EXTENSION: &str = "cdx.json";

/// What a name beside the packed file ends with: the statement of how it was made.
pub const PROVENANCE_EXTENSION: &str = "provenance.json";
