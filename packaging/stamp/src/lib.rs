//! What a binary says of its own origin: the ref and commit that its component was built from, and whether that
//! tree was dirty. Nothing else is compiled in: the version of the product is read at run time from the manifest beside
//! the binary, so that a package of another name or version needs no compilation.
//!
//! The record lies in an ELF section of its own, [`SECTION`], as `key=value` lines padded with NUL bytes. The
//! toolchain reads it from the file before it packs the binary, without running it.

use std::path::Path;

/// Name of the ELF section that holds the record.
pub const SECTION: &str = ".cairn.stamp";

/// Bytes of a record. A ref that does not fit stops the compilation.
pub const RECORD_BYTES: usize = 512;

/// The record of one binary; [`stamp!`] makes it.
#[derive(Debug)]
pub struct Stamp {
    record: [u8; RECORD_BYTES],
}

impl Stamp {
    /// Lays the three facts out as lines. `None` stands for a build outside the toolchain and leaves the record empty.
    ///
    /// # Panics
    /// While compiling, if the lines do not fit in [`RECORD_BYTES`].
    #[must_use]
    pub const fn new(reference: Option<&str>, commit: Option<&str>, dirty: Option<&str>) -> Self {
        let mut record = [0; RECORD_BYTES];
        if let (Some(reference), Some(commit), Some(dirty)) = (reference, commit, dirty) {
            let mut at = put(&mut record, 0, b"ref=");
            at = put(&mut record, at, reference.as_bytes());
            at = put(&mut record, at, b"\ncommit=");
            at = put(&mut record, at, commit.as_bytes());
            at = put(&mut record, at, b"\ndirty=");
            at = put(&mut record, at, dirty.as_bytes());
            put(&mut record, at, b"\n");
        }
        Self { record }
    }

    /// The value of `key`: `ref`, `commit` or `dirty`. `None` where the binary was built outside the toolchain.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        let text = std::str::from_utf8(&self.record).ok()?.trim_end_matches('\0');
        text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
    }

    /// The text of `--version` for the program `name`, the product's own version included where `executable` lies in
    /// an installed or extracted package.
    #[must_use]
    pub fn version_text(&self, name: &str, executable: &Path) -> String {
        let mut text = match (self.value("ref"), self.value("commit")) {
            (Some(reference), Some(commit)) => {
                let dirty =
                    if self.value("dirty") == Some("true") { ", with uncommitted changes" } else { "" };
                format!("{name} {reference} (commit {commit}{dirty})")
            }
            _ => format!("{name}, built outside the toolchain: no ref, no commit"),
        };
        if let Some((product, version)) = product_of(executable) {
            text.push_str(&format!("\nproduct {product} {version}"));
        }
        text
    }
}

/// Name and version of the product that the binary at `executable` was packed in, from the `manifest.json` in the
/// folder above its `bin/`. `None` outside a package.
#[must_use]
pub fn product_of(executable: &Path) -> Option<(String, String)> {
    let manifest = executable.parent()?.parent()?.join("manifest.json");
    let manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(manifest).ok()?).ok()?;
    Some((manifest["product"].as_str()?.to_owned(), manifest["version"].as_str()?.to_owned()))
}

const fn put(record: &mut [u8; RECORD_BYTES], at: usize, bytes: &[u8]) -> usize {
    assert!(at + bytes.len() < RECORD_BYTES, "the ref is too long for the stamp");
    let mut i = 0;
    while i < bytes.len() {
        record[at + i] = bytes[i];
        i += 1;
    }
    at + bytes.len()
}

/// Puts the stamp of the calling crate into its binary and names it `STAMP`. To be called once, in the file of `main`:
/// the variables are read where the macro stands, so that cargo recompiles that crate alone when they change.
#[macro_export]
macro_rules! stamp {
    () => {
        /// Ref, commit and dirty flag of this binary.
        #[used]
        #[allow(unsafe_code, reason = "a section name of our own clashes with nothing")]
        #[unsafe(link_section = ".cairn.stamp")]
        pub static STAMP: $crate::Stamp = $crate::Stamp::new(
            option_env!("CAIRN_STAMP_REF"),
            option_env!("CAIRN_STAMP_COMMIT"),
            option_env!("CAIRN_STAMP_DIRTY"),
        );
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_gives_back_what_went_in() {
        let stamp = Stamp::new(Some("0.9fix"), Some("0123abcd"), Some("true"));
        assert_eq!(stamp.value("ref"), Some("0.9fix"));
        assert_eq!(stamp.value("commit"), Some("0123abcd"));
        assert_eq!(stamp.value("dirty"), Some("true"));
        assert_eq!(stamp.value("re"), None);
    }

    #[test]
    fn the_version_names_ref_commit_and_the_product_beside_the_binary() {
        let package = tempfile::tempdir().unwrap();
        std::fs::write(package.path().join("manifest.json"), r#"{"product":"cairn","version":"1-qa"}"#)
            .unwrap();
        let stamp = Stamp::new(Some("1"), Some("0123abcd"), Some("false"));
        let text = stamp.version_text("cairn-server", &package.path().join("bin/cairn-server"));
        assert_eq!(text, "cairn-server 1 (commit 0123abcd)\nproduct cairn 1-qa");
    }

    #[test]
    fn a_build_outside_the_toolchain_says_so() {
        let text = Stamp::new(None, None, None).version_text("x", Path::new("/nowhere/bin/x"));
        assert_eq!(text, "x, built outside the toolchain: no ref, no commit");
    }
}
