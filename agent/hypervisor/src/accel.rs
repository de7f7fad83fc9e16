//! What runs a guest's instructions on this host: the rule, and what it looks at.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::spec::{Accel, AccelChoice};

/// Where the rule looks. Tests have files of their own.
#[derive(Debug, Clone)]
pub struct Sources {
    /// `/dev/kvm`.
    pub kvm: PathBuf,
    /// `/proc/cpuinfo`.
    pub cpuinfo: PathBuf,
}

impl Default for Sources {
    fn default() -> Self {
        Self { kvm: "/dev/kvm".into(), cpuinfo: "/proc/cpuinfo".into() }
    }
}

/// Whether guests can use the processor directly, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kvm {
    /// True if they can.
    pub usable: bool,
    /// A sentence for people.
    pub reason: String,
}

/// Looks. KVM is usable if its device opens *and* the processor shows vmx or svm: on some hosts there is a device
/// without either, where instructions are emulated so slowly that a Linux guest hangs.
#[must_use]
pub fn kvm(sources: &Sources) -> Kvm {
    let device = sources.kvm.display();
    if let Err(error) = OpenOptions::new().read(true).write(true).open(&sources.kvm) {
        return Kvm { usable: false, reason: format!("`{device}` does not open: {error}") };
    }
    match feature(&sources.cpuinfo) {
        Some(feature) => {
            Kvm { usable: true, reason: format!("`{device}` opens and the processor has {feature}") }
        }
        None => {
            let reason = format!("`{device}` opens, but the processor shows neither vmx nor svm");
            Kvm { usable: false, reason }
        }
    }
}

fn feature(cpuinfo: &Path) -> Option<&'static str> {
    let text = std::fs::read_to_string(cpuinfo).ok()?;
    let flags =
        text.lines().find_map(|line| line.split_once(':').filter(|(key, _)| key.trim() == "flags"))?.1;
    ["vmx", "svm"].into_iter().find(|feature| flags.split_whitespace().any(|flag| flag == *feature))
}

impl Kvm {
    /// What `auto` means here.
    #[must_use]
    pub const fn auto(&self) -> Accel {
        if self.usable { Accel::Kvm } else { Accel::Tcg }
    }

    /// Decides.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if KVM is asked for by name and not usable.
    pub fn decide(&self, choice: AccelChoice) -> Result<Accel, Error> {
        match choice {
            AccelChoice::Auto => Ok(self.auto()),
            AccelChoice::Tcg => Ok(Accel::Tcg),
            AccelChoice::Kvm if self.usable => Ok(Accel::Kvm),
            AccelChoice::Kvm => Err(Error::Unsupported {
                what: format!("`kvm` cannot be used on this host: {}", self.reason),
                remedy: "ask for `auto` or `tcg`, or turn virtualization on in the host's firmware"
                    .to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(device: bool, cpuinfo: &str) -> Kvm {
        let folder = tempfile::tempdir().unwrap();
        let sources = Sources { kvm: folder.path().join("kvm"), cpuinfo: folder.path().join("cpuinfo") };
        if device {
            std::fs::write(&sources.kvm, "").unwrap();
        }
        std::fs::write(&sources.cpuinfo, cpuinfo).unwrap();
        kvm(&sources)
    }

    #[test]
    fn both_the_device_and_the_feature_are_needed() {
        let (intel, amd) = ("processor : 0\nflags\t\t: fpu vmx sse\n", "flags : svm\n");
        assert_eq!(look(true, intel).auto(), Accel::Kvm);
        assert_eq!(look(true, amd).auto(), Accel::Kvm);
        assert_eq!(look(true, "flags : fpu svm_lock xvmx\n").auto(), Accel::Tcg);
        assert_eq!(look(true, "Features : fp asimd\n").auto(), Accel::Tcg);
        let none = look(false, intel);
        assert_eq!(none.auto(), Accel::Tcg);
        assert!(none.reason.contains("does not open: No such file"), "{}", none.reason);
    }

    #[test]
    fn a_choice_by_name_is_kept_or_refused() {
        let without = look(false, "");
        assert_eq!(without.decide(AccelChoice::Tcg).unwrap(), Accel::Tcg);
        assert_eq!(without.decide(AccelChoice::Auto).unwrap(), Accel::Tcg);
        let refused = without.decide(AccelChoice::Kvm).unwrap_err().to_string();
        assert!(refused.starts_with("`kvm` cannot be used on this host: `"), "{refused}");
        assert_eq!(look(true, "flags: vmx\n").decide(AccelChoice::Tcg).unwrap(), Accel::Tcg);
    }
}
