//! Names of disks in a domain: `vda` and so on. libvirt knows a disk by it, and places SCSI, SATA and IDE disks by it.

use std::collections::HashSet;

use crate::cache::Decisions;
use crate::domain::described::{DiskAt, DriveAt, Since};
use crate::spec::{DiskBus, DomainSpec, Machine};

/// The lowest name on this bus that is not in use.
#[must_use]
pub fn free_target<'a>(bus: DiskBus, in_use: impl IntoIterator<Item = &'a str>) -> String {
    lowest(disk_prefix(bus), &in_use.into_iter().collect())
}

/// Gives every disk and every drive its name. Disks come first, so that the root disk has the first one.
pub(crate) fn place(spec: &DomainSpec, cache: &Decisions) -> (Vec<DiskAt>, Vec<DriveAt>) {
    let mut in_use: HashSet<String> = HashSet::new();
    let mut next = |prefix| {
        let target = lowest(prefix, &in_use.iter().map(String::as_str).collect());
        in_use.insert(target.clone());
        target
    };
    let disks = spec.disks.iter().zip(&cache.disks).map(|(disk, decided)| {
        let target = next(disk_prefix(disk.bus));
        DiskAt {
            disk: disk.clone(),
            target,
            readonly: false,
            shareable: false,
            decided: decided.clone(),
            since: Since::default(),
        }
    });
    let disks = disks.collect();
    let (bus, prefix) = match spec.machine {
        Machine::Q35 => ("sata", "sd"),
        Machine::I440fx => ("ide", "hd"),
    };
    let drives =
        spec.cdroms.iter().zip(&cache.drives).zip(0..=u8::MAX).map(|((cdrom, decided), drive)| DriveAt {
            drive,
            target: next(prefix),
            bus: bus.to_owned(),
            decided: decided.clone(),
            media: cdrom.media.clone(),
        });
    (disks, drives.collect())
}

const fn disk_prefix(bus: DiskBus) -> &'static str {
    match bus {
        DiskBus::Virtio => "vd",
        DiskBus::Scsi | DiskBus::Sata => "sd",
    }
}

fn lowest(prefix: &str, in_use: &HashSet<&str>) -> String {
    let mut number = 0;
    loop {
        let name = format!("{prefix}{}", letters(number));
        if !in_use.contains(name.as_str()) {
            return name;
        }
        number += 1;
    }
}

/// 0 is `a`, 25 is `z`, 26 is `aa`.
fn letters(number: usize) -> String {
    let last = char::from(b'a' + u8::try_from(number % 26).unwrap_or(0));
    let before = if number < 26 { String::new() } else { letters(number / 26 - 1) };
    before + &last.to_string()
}

/// The number of a name within its bus: 0 for `sda`, 26 for `sdaa`.
pub(super) fn number(target: &str) -> usize {
    let letters = target.bytes().skip(2).map(|letter| usize::from(letter.saturating_sub(b'a')) + 1);
    letters.fold(0, |number, letter| number * 26 + letter).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sample;
    use crate::spec::{CacheChoice, CdromDrive};

    #[test]
    fn letters_go_on_after_z() {
        let shown = |number| letters(number);
        assert_eq!([0, 25, 26, 51, 52, 701, 702].map(shown), ["a", "z", "aa", "az", "ba", "zz", "aaa"]);
        for at in 0..1000 {
            assert_eq!(number(&format!("sd{}", letters(at))), at);
        }
    }

    #[test]
    fn the_lowest_free_name_is_taken() {
        assert_eq!(free_target(DiskBus::Virtio, []), "vda");
        assert_eq!(free_target(DiskBus::Virtio, ["vda", "vdc", "sdb"]), "vdb");
        assert_eq!(free_target(DiskBus::Scsi, ["sda", "vdb"]), "sdb");
        assert_eq!(free_target(DiskBus::Sata, ["sda", "sdb"]), "sdc");
        let all: Vec<String> = (0..26).map(|number| format!("vd{}", letters(number))).collect();
        assert_eq!(free_target(DiskBus::Virtio, all.iter().map(String::as_str)), "vdaa");
    }

    #[test]
    fn disks_are_named_before_drives() {
        let mut spec = sample::spec();
        spec.disks = vec![sample::disk(1), sample::disk(2), sample::disk(3)];
        spec.disks[1].bus = DiskBus::Sata;
        spec.cdroms = vec![CdromDrive::empty(CacheChoice::Writeback); 2];
        let names = |spec: &DomainSpec| {
            let (disks, drives) = place(spec, &sample::decisions(spec));
            let disks = disks.into_iter().map(|disk| disk.target);
            disks.chain(drives.into_iter().map(|drive| drive.target)).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(&spec), "vda sda vdb sdb sdc");
        spec.machine = Machine::I440fx;
        assert_eq!(names(&spec), "vda sda vdb hda hdb");
    }
}
