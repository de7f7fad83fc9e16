//! Placeholder.
use anyhow::Result;
/// x
pub fn command(_: &crate::cli::Test) -> Result<()> {
    Ok(())
}
