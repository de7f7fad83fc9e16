//! Which machines a package is for: those like this one, or all with a C library of a certain age.

use anyhow::Result;
use clap::Args;

use crate::failure::Failure;
use crate::version::Version;

/// Which machines the programs are for. Without either: a named version is built portable, the worktree natively.
#[derive(Clone, Copy, Debug, Args)]
pub struct Reach {
    /// Build for machines whose C library is at least as new as this one's; the default for the worktree.
    #[arg(long, env = "CAIRN_NATIVE")]
    pub native: bool,
    /// Build for any machine with glibc 2.17 or newer; the default for a named version. Build tools that are missing are
    /// installed into the cache folder.
    #[arg(long, env = "CAIRN_PORTABLE")]
    pub portable: bool,
}

impl Reach {
    /// Whether the programs are for machines with an older C library than this one's.
    ///
    /// # Errors
    /// If both are asked for. Variables count, and may say `false`, which clap would not tell from `true`.
    pub fn is_portable(self, version: Option<&Version>) -> Result<bool> {
        if self.native && self.portable {
            return Err(Failure::usage(
                "--native cannot be used with --portable; drop one, or the variable of its name, CAIRN_NATIVE or CAIRN_PORTABLE",
            ));
        }
        Ok(self.portable || (!self.native && version.is_some()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_version_is_for_other_machines_unless_said_otherwise() {
        let version = Some("0.9".parse().unwrap());
        let reach = |native, portable| Reach { native, portable };
        for (reach, named, portable) in [
            (reach(false, false), true, true),
            (reach(false, false), false, false),
            (reach(true, false), true, false),
            (reach(false, true), false, true),
        ] {
            let version = version.as_ref().filter(|_| named);
            assert_eq!(reach.is_portable(version).unwrap(), portable, "{reach:?} {named}");
        }
        let refusal = reach(true, true).is_portable(None).unwrap_err().to_string();
        assert!(refusal.starts_with("--native cannot be used with --portable; "), "{refusal}");
    }
}
