//! Every mode that can be asked of every kind of disk, as it is described: kept in `disks.txt`. To write it anew:
//! `cargo xtask codegen`.

use std::path::Path;

use agent_hypervisor::cache::evidence::{Answer, By, Evidence, Tried};
use agent_hypervisor::cache::{Decision, Device, Layer, Question, Source, Verdict, decide};
use agent_hypervisor::domain::{DiskAt, DriveAt, Location, Since, cdrom_xml, disk_xml_at, free_target};
use agent_hypervisor::spec::{Aio, CacheChoice, CacheRequest, Disk, DiskBus, DiskId, Format, Sector};
use uuid::Uuid;

/// One row: what it is called, and its description.
pub struct Row {
    pub name: String,
    pub bus: DiskBus,
    pub xml: String,
}

const FILE: &str = "/srv/pool/a.img";

/// What there is at every file: O_DIRECT, in blocks of this many bytes.
fn layers(bytes: u32) -> Vec<Layer> {
    let evidence = Evidence {
        mount: "/srv".into(),
        file_system: "ext4".to_owned(),
        device: "254:0".to_owned(),
        statx: None,
        open: Tried::Worked,
        by: By::Writing,
        sector: Tried::Worked,
        page: Tried::Worked,
    };
    let answer = if bytes > 512 { Answer::Larger { bytes } } else { Answer::Direct };
    vec![Layer { path: FILE.into(), folder: "/srv/pool".into(), evidence, answer }]
}

fn decided(question: &Question<'_>, bytes: u32) -> Decision {
    match decide(question, Some(&layers(bytes))).unwrap() {
        Verdict::Decided(ruling) => ruling.told(),
        Verdict::Ask => panic!("{question:?} is not enough"),
    }
}

fn location(source: Source) -> Location<'static> {
    match source {
        Source::File => Location::File(Path::new(FILE)),
        Source::Block => Location::Block(Path::new("/dev/vg/a")),
        Source::Rbd => {
            Location::Rbd { image: "pool/a", monitors: &[("10.0.0.1", 6789), ("mon2.example.org", 3300)] }
        }
        Source::Iscsi => Location::Iscsi { unit: "iqn.2026-01.org.example:a/1", portal: ("10.0.0.1", 3260) },
    }
}

const SOURCES: [Source; 4] = [Source::File, Source::Block, Source::Rbd, Source::Iscsi];

/// All disks, with names on their buses that are theirs alone, and all drives.
pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut taken: Vec<String> = Vec::new();
    let mut row =
        |source: Source, format: Format, bus, choice: CacheChoice, aio: Option<Aio>, sector, bytes: u32| {
            let device = Device::Disk { file: Path::new(FILE), format, bus };
            let request = CacheRequest::from(choice).accepting_loss();
            let question = Question { source, aio, sector, ..Question::new(request, device) };
            let decided = decided(&question, bytes);
            let target = free_target(bus, taken.iter().map(String::as_str));
            taken.push(target.clone());
            let id = DiskId(Uuid::from_u128(taken.len() as u128));
            let disk = Disk { id, source: FILE.into(), format, bus, cache: request, sector };
            let at =
                DiskAt { disk, target, readonly: false, shareable: false, decided, since: Since::default() };
            let aio = aio.map_or_else(String::new, |aio| format!(" io={aio}"));
            let seen = match sector {
                Sector::Free => "blank".to_owned(),
                Sector::Fixed(seen) => format!("with sectors of {} bytes", seen.unwrap_or(512)),
            };
            let sector =
                if bytes > 512 { format!(" {seen} on blocks of {bytes} bytes") } else { String::new() };
            let name = format!("{source:?} {format} {bus} {choice}{aio}{sector}").to_lowercase();
            rows.push(Row { name, bus, xml: disk_xml_at(location(source), &at).unwrap() });
        };
    let known = Sector::Fixed(None);
    for source in SOURCES {
        // Formats lie in files and on block devices; over a network it is sectors.
        let network = matches!(source, Source::Rbd | Source::Iscsi);
        for format in Format::ALL.iter().copied().filter(|format| !network || *format == Format::Raw) {
            for bus in DiskBus::ALL.iter().copied() {
                for choice in CacheChoice::ALL.iter().copied() {
                    row(source, format, bus, choice, None, known, 512);
                }
            }
        }
        for choice in CacheChoice::ALL.iter().copied() {
            for aio in Aio::ALL.iter().copied() {
                row(source, Format::Raw, DiskBus::Virtio, choice, Some(aio), known, 512);
            }
        }
    }
    for bus in DiskBus::ALL.iter().copied() {
        for sector in [known, Sector::Free, Sector::Fixed(Some(4096))] {
            // QEMU starts no AHCI disk with other sectors, and libvirt does not know.
            if (bus, sector) != (DiskBus::Sata, Sector::Fixed(Some(4096))) {
                row(Source::File, Format::Raw, bus, CacheChoice::Auto, None, sector, 4096);
            }
        }
    }
    let drives = [None, Some(Path::new(FILE))];
    for (number, (choice, media)) in
        (0..).zip(CacheChoice::ALL.iter().flat_map(|choice| drives.map(|media| (*choice, media))))
    {
        let decided = decided(&Question::new(choice, Device::Drive(media)), 512);
        let target = free_target(DiskBus::Sata, taken.iter().map(String::as_str));
        taken.push(target.clone());
        let at = DriveAt {
            drive: number,
            target,
            bus: "sata".to_owned(),
            decided,
            media: media.map(Path::to_owned),
        };
        let name = format!("drive {} {choice}", if media.is_some() { "full" } else { "empty" });
        rows.push(Row { name, bus: DiskBus::Sata, xml: cdrom_xml(&at).unwrap() });
    }
    rows
}

/// A description on one line.
fn flat(xml: &str) -> String {
    xml.lines().map(str::trim).collect()
}

#[test]
fn every_disk_is_described_as_in_the_table() {
    let rows = rows();
    assert!(rows.len() >= 150, "{} cases", rows.len());
    let table: String =
        rows.iter().map(|Row { name, xml, .. }| format!("{name}\n  {}\n", flat(xml))).collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/domain/disks.txt");
    if std::env::var_os("CAIRN_CODEGEN").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let line = (1..).zip(kept.lines().zip(table.lines())).find(|(_, (kept, built))| kept != built);
    assert_eq!(line, None, "{} differs; if that is meant, run `cargo xtask codegen`", path.display());
    assert!(
        kept == table,
        "{} has another length; if that is meant, run `cargo xtask codegen`",
        path.display()
    );
}

#[cfg(feature = "real-parts")]
mod judged {
    use super::*;
    use crate::room::{root, run, start};

    /// How many disks of a bus a domain gets here: fewer than PCI Express has ports.
    const AT_ONCE: usize = 64;

    fn domain(devices: &str) -> String {
        format!(
            "<domain type='qemu'><name>table</name><memory unit='MiB'>32</memory><os><type arch='x86_64' \
             machine='q35'>hvm</type></os><devices>{devices}</devices></domain>"
        )
    }

    #[test]
    fn libvirt_takes_every_disk_of_the_table() {
        let clone = root();
        let libvirtd = start(&clone);
        let define = |xml: &str| {
            clone.write("/root/table.xml", 0o644, xml).unwrap();
            run(&libvirtd, ["virt-xml-validate", "/root/table.xml", "domain"]);
            libvirtd.virsh(["define", "--validate", "/root/table.xml"])
        };
        let controller = "<controller type='scsi' index='0' model='virtio-scsi'/>";
        let rows = rows();
        let mut taken = 0;
        for bus in DiskBus::ALL.iter().copied() {
            let of_bus: Vec<&Row> = rows.iter().filter(|row| row.bus == bus).collect();
            for some in of_bus.chunks(AT_ONCE) {
                let devices: String = some.iter().map(|row| row.xml.as_str()).collect();
                let defined = define(&domain(&format!("{controller}{devices}")));
                let names: Vec<&str> = some.iter().map(|row| row.name.as_str()).collect();
                defined.unwrap_or_else(|error| panic!("one of {names:#?}: {error:#}"));
                let kept = libvirtd.virsh(["dumpxml", "--inactive", "table"]).unwrap();
                assert_eq!(kept.matches("<disk ").count(), some.len());
                libvirtd.virsh(["undefine", "table"]).unwrap();
                taken += some.len();
            }
        }
        assert_eq!(taken, rows.len());
        // What is never ruled is what libvirt refuses.
        let first = rows.iter().find(|row| row.name == "file raw virtio writeback").unwrap();
        let native = first.xml.replace(" cache=\"writeback\"", " cache=\"writeback\" io=\"native\"");
        let error = format!("{:#}", define(&domain(&native)).unwrap_err());
        assert!(error.contains("io='native' needs either no disk cache or directsync cache mode"), "{error}");
    }
}
