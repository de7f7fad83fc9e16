//! The device behind the network cards of virtual machines.

use std::fs::OpenOptions;
use std::path::Path;

use super::Subject;
use super::probe::errno;
use super::report::Finding;

/// Whether virtual machines can have network cards.
pub(super) fn check(_: &Subject) -> Vec<Finding> {
    vec![tun_finding(Path::new("/dev/net/tun"))]
}

fn tun_finding(device: &Path) -> Finding {
    // Opening makes no network device; that takes a call more.
    match OpenOptions::new().read(true).write(true).open(device) {
        Ok(_) => Finding::pass(format!("`{}` opens", device.display())),
        Err(error) => Finding::warn(
            format!(
                "`{}` does not open ({}); virtual machines will have no network",
                device.display(),
                errno(&error)
            ),
            "run `modprobe tun`, or give this container the device",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::State;
    use super::*;

    #[test]
    fn a_missing_device_is_told() {
        assert_eq!(tun_finding(Path::new("/dev/null")).state, State::Pass);
        assert!(tun_finding(Path::new("/not/here")).evidence.contains("ENOENT"));
    }
}
