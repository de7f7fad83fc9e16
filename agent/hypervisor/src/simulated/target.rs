//! Names of disks and drives within a domain.

use crate::spec::{DiskBus, DomainSpec, Machine};

/// The name of a CD-ROM drive: on AHCI or IDE, as the main board has it.
pub(super) fn of_cdrom(machine: Machine, drive: u8) -> String {
    let prefix = match machine {
        Machine::Q35 => "sd",
        Machine::I440fx => "hd",
    };
    named(prefix, drive.into())
}

/// The first name for a disk that is free. SATA, SCSI and the drives of AHCI share theirs.
pub(super) fn of_disk(bus: DiskBus, spec: &DomainSpec, taken: &[String]) -> String {
    let prefix = match bus {
        DiskBus::Virtio => "vd",
        DiskBus::Scsi | DiskBus::Sata => "sd",
    };
    let drives: Vec<String> =
        (0..).zip(&spec.cdroms).map(|(drive, _)| of_cdrom(spec.machine, drive)).collect();
    let mut number = 0;
    loop {
        let name = named(prefix, number);
        if !taken.contains(&name) && !drives.contains(&name) {
            return name;
        }
        number += 1;
    }
}

/// `vda` is number 0, `vdz` 25, `vdaa` 26.
fn named(prefix: &str, number: usize) -> String {
    let mut letters = Vec::new();
    let mut rest = number + 1;
    while rest > 0 {
        let letter = u8::try_from((rest - 1) % 26).unwrap_or(0);
        letters.insert(0, char::from(b'a' + letter));
        rest = (rest - 1) / 26;
    }
    prefix.chars().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn letters_go_on_after_the_last_one() {
        let name = |number| named("vd", number);
        assert_eq!(
            [name(0), name(25), name(26), name(701), name(702)],
            ["vda", "vdz", "vdaa", "vdzz", "vdaaa"]
        );
    }
}
