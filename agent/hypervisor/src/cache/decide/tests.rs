//! Every question has one answer, with words that say where and why.

use proptest::prelude::*;
use proptest::sample::select;
use rustix::io::Errno;

use super::*;
use crate::cache::evidence::{By, Tried};
use crate::error::Kind;
use crate::spec::Format;

const FILE: &str = "/srv/pool/a.raw";
const BASE: &str = "/mnt/base.raw";

fn layer(path: &str, kind: &str, answer: Answer) -> Layer {
    let folder = Path::new(path).parent().unwrap();
    let evidence = Evidence {
        mount: folder.parent().unwrap().join(folder.file_name().unwrap()),
        file_system: kind.to_owned(),
        device: "254:0".to_owned(),
        statx: None,
        open: Tried::Worked,
        by: By::Writing,
        sector: Tried::Worked,
        page: Tried::Worked,
    };
    Layer { path: path.into(), folder: folder.to_owned(), evidence, answer }
}

const REFUSED: Answer = Answer::Refused(Errno::INVAL);
const LARGER: Answer = Answer::Larger { bytes: 4096 };

fn disk(bus: DiskBus) -> Device<'static> {
    Device::Disk { file: Path::new(FILE), format: Format::Raw, bus }
}

fn ruling(question: Question<'_>, layers: &[Layer]) -> Ruling {
    match decide(&question, Some(layers)) {
        Ok(Verdict::Decided(ruling)) => ruling,
        other => panic!("{question:?}: {other:?}"),
    }
}

/// What comes of it, in a word: a mode, a question, or a refusal.
fn shown(question: Question<'_>, layers: Option<&[Layer]>) -> String {
    match decide(&question, layers) {
        Ok(Verdict::Decided(Ruling { decision, warnings })) => {
            let choice = question.choice;
            assert_eq!(decision.choice, choice);
            assert!(decision.why.starts_with(&format!("asked for `{choice}`")), "{}", decision.why);
            format!("{}{}", decision.mode, if warnings.is_empty() { "" } else { "!" })
        }
        Ok(Verdict::Ask) => "asks".to_owned(),
        Err(error) => {
            assert_eq!(error.kind(), Kind::DirectIo);
            "refused".to_owned()
        }
    }
}

#[test]
fn everything_that_can_be_asked_has_one_answer() {
    let worth = [
        ("ext4", Answer::Direct),
        ("btrfs", Answer::Direct),
        ("xfs", LARGER),
        ("tmpfs", Answer::Buffered),
        ("ramfs", REFUSED),
    ];
    let layers = worth.map(|(kind, answer)| vec![layer(FILE, kind, answer)]);
    let known = [None].into_iter().chain(layers.iter().map(|layers| Some(layers.as_slice())));
    let known: Vec<_> = known.collect();
    let file = Path::new(FILE);
    let devices = [disk(DiskBus::Virtio), Device::Drive(Some(file)), Device::Drive(None)];
    let mut table = String::new();
    for choice in CacheChoice::ALL.iter().copied() {
        for device in devices {
            let request = CacheRequest::from(choice).accepting_loss();
            let row = known.iter().map(|layers| shown(Question::new(request, device), *layers));
            let row = row.collect::<Vec<_>>().join(" ");
            let device = match device {
                Device::Disk { .. } => "disk",
                Device::Drive(Some(_)) => "medium",
                Device::Drive(None) => "drive",
            };
            table += &format!("{choice} {device}: {row}\n");
        }
    }
    // Columns: nothing is known yet; direct; direct with checksums; larger blocks; buffered; refused. A mark: a warning.
    let expected = "\
        auto disk: asks none writeback writeback writeback writeback\n\
        auto medium: writeback writeback writeback writeback writeback writeback\n\
        auto drive: writeback writeback writeback writeback writeback writeback\n\
        none disk: asks none none! none! none! refused\n\
        none medium: asks none none! none! none! refused\n\
        none drive: none none none none none none\n\
        writeback disk: writeback writeback writeback writeback writeback writeback\n\
        writeback medium: writeback writeback writeback writeback writeback writeback\n\
        writeback drive: writeback writeback writeback writeback writeback writeback\n\
        writethrough disk: writethrough writethrough writethrough writethrough writethrough writethrough\n\
        writethrough medium: writethrough writethrough writethrough writethrough writethrough writethrough\n\
        writethrough drive: writethrough writethrough writethrough writethrough writethrough writethrough\n\
        directsync disk: asks directsync directsync! directsync! directsync! refused\n\
        directsync medium: asks directsync directsync! directsync! directsync! refused\n\
        directsync drive: directsync directsync directsync directsync directsync directsync\n\
        unsafe disk: unsafe unsafe unsafe unsafe unsafe unsafe\n\
        unsafe medium: unsafe unsafe unsafe unsafe unsafe unsafe\n\
        unsafe drive: unsafe unsafe unsafe unsafe unsafe unsafe\n";
    assert_eq!(table, expected);
}

#[test]
fn the_weakest_image_counts_and_is_named() {
    let on = |top: Answer, base: Answer| [layer(FILE, "ext4", top), layer(BASE, "ramfs", base)];
    let auto = Question::new(CacheChoice::Auto, disk(DiskBus::Virtio));
    let none = Question::new(CacheChoice::None, disk(DiskBus::Virtio));
    let under = on(Answer::Direct, REFUSED);
    assert_eq!(
        ruling(auto, &under).decision.why,
        "asked for `auto`, which is `writeback` here: `/mnt` (ramfs), where the image `/mnt/base.raw` under it lies, \
         refuses O_DIRECT (Invalid argument)"
    );
    assert_eq!(
        decide(&none, Some(&under)).unwrap_err().to_string(),
        "`/mnt/base.raw`, the image under `/srv/pool/a.raw`, cannot be opened with cache mode `none`: `/mnt` (ramfs) \
         refuses O_DIRECT (Invalid argument); ask for `auto` or `writeback`, or move it to a file system that supports \
         O_DIRECT"
    );
    // Refused is weaker than buffered, and that than large blocks; of equals, the topmost.
    for (top, base, named) in [
        (Answer::Buffered, REFUSED, BASE),
        (LARGER, Answer::Buffered, BASE),
        (REFUSED, Answer::Buffered, "/srv/pool"),
        (Answer::Buffered, Answer::Buffered, "/srv/pool"),
        (Answer::Buffered, LARGER, "/srv/pool"),
    ] {
        let why = ruling(auto, &on(top, base)).decision.why;
        assert!(why.contains(&format!("`{named}`")), "{top:?} on {base:?}: {why}");
    }
}

#[test]
fn sentences_say_where_and_why() {
    let auto = Question::new(CacheChoice::Auto, disk(DiskBus::Virtio));
    let why = |kind, answer| ruling(auto, &[layer(FILE, kind, answer)]).told().why;
    assert_eq!(
        why("ext4", Answer::Direct),
        "asked for `auto`, which is `none` here: `/srv/pool` on ext4 takes O_DIRECT"
    );
    assert_eq!(
        why("ramfs", REFUSED),
        "asked for `auto`, which is `writeback` here: `/srv/pool` (ramfs) refuses O_DIRECT (Invalid argument)"
    );
    assert_eq!(
        why("tmpfs", Answer::Buffered),
        "asked for `auto`, which is `writeback` here: `/srv/pool` (tmpfs) accepts O_DIRECT and uses the page cache all \
         the same"
    );
    assert_eq!(
        why("xfs", LARGER),
        "asked for `auto`, which is `writeback` here: `/srv/pool` (xfs) takes O_DIRECT in blocks of 4096 bytes, and the \
         guest's are of 512"
    );
    let none = Question { choice: CacheChoice::None, ..auto };
    assert_eq!(
        ruling(none, &[layer(FILE, "xfs", LARGER)]).told().why,
        "asked for `none`; beware: each write of less than 4096 bytes is a read and a write there"
    );
    let refused = Question::new(CacheChoice::Directsync, Device::Drive(Some(Path::new(FILE))));
    let said = decide(&refused, Some(&[layer(FILE, "ramfs", REFUSED)])).unwrap_err().to_string();
    assert!(said.ends_with("or choose an image on a file system that supports O_DIRECT"), "{said}");
    let label = "asked for `unsafe`, with which a crash of the host loses what is on the disk";
    assert_eq!(Decision::explicit(CacheMode::Unsafe).why, label);
}

#[test]
fn large_blocks_are_shown_to_a_guest_that_knows_no_others() {
    let xfs = [layer(FILE, "xfs", LARGER)];
    let auto = |bus, sector| {
        let question = Question { sector, ..Question::new(CacheChoice::Auto, disk(bus)) };
        let Decision { mode, sector_bytes, .. } = ruling(question, &xfs).decision;
        (mode, sector_bytes)
    };
    let (none, writeback) = (CacheMode::None, CacheMode::Writeback);
    assert_eq!(auto(DiskBus::Virtio, Sector::Free), (none, Some(4096)));
    assert_eq!(auto(DiskBus::Scsi, Sector::Free), (none, Some(4096)));
    assert_eq!(auto(DiskBus::Sata, Sector::Free), (writeback, None));
    assert_eq!(auto(DiskBus::Virtio, Sector::Fixed(None)), (writeback, None));
    assert_eq!(auto(DiskBus::Virtio, Sector::Fixed(Some(4096))), (none, Some(4096)));
    // Few guests take more than a page, and `none` in as many words shows the blocks, too.
    let large = [layer(FILE, "xfs", Answer::Larger { bytes: 16384 })];
    let free = Question { sector: Sector::Free, ..Question::new(CacheChoice::Auto, disk(DiskBus::Virtio)) };
    assert_eq!(ruling(free, &large).decision.mode, writeback);
    let Ruling { decision, warnings } = ruling(Question { choice: CacheChoice::None, ..free }, &xfs);
    assert_eq!((decision.sector_bytes, warnings), (Some(4096), vec![]));
}

#[test]
fn a_mode_that_may_lose_the_disk_is_taken_from_who_accepts_it() {
    let set = |origin| CacheRequest { origin, ..CacheChoice::Unsafe.into() };
    let refused = |origin| {
        let question = Question::new(set(origin), disk(DiskBus::Virtio));
        let error = decide(&question, None).unwrap_err();
        assert_eq!(error.kind(), Kind::LossNotAccepted);
        error.to_string()
    };
    assert_eq!(
        refused(Some(Origin::Storage)),
        "`/srv/pool/a.raw` is to be opened with cache mode `unsafe`, as set for the storage, with which a crash of the host \
         loses what is on the disk, and nobody accepted that; set the mode there once more and accept the loss, or ask for \
         `auto` or `writeback`"
    );
    for origin in Origin::ALL {
        assert!(refused(Some(*origin)).contains(", as set for "));
    }
    let accepted = Question::new(set(None).accepting_loss(), disk(DiskBus::Virtio));
    assert_eq!(ruling(accepted, &[]).decision.mode, CacheMode::Unsafe);
}

#[test]
fn waiting_suits_the_mode_and_the_host() {
    let ext4 = [layer(FILE, "ext4", Answer::Direct)];
    let aio = |choice, source, aio, io_uring| {
        let device = disk(DiskBus::Virtio);
        let question = Question { source, aio: Some(aio), io_uring, ..Question::new(choice, device) };
        let Ruling { decision, warnings } = ruling(question, &ext4);
        (decision.aio, warnings)
    };
    let (none, writeback) = (CacheChoice::None, CacheChoice::Writeback);
    assert_eq!(aio(none, Source::File, Aio::Native, true), (Some(Aio::Native), vec![]));
    let threads = |warning| (Some(Aio::Threads), vec![warning]);
    assert_eq!(aio(writeback, Source::File, Aio::Native, true), threads(Warning::NativeNeedsDirect));
    assert_eq!(aio(writeback, Source::Block, Aio::IoUring, true), (Some(Aio::IoUring), vec![]));
    assert_eq!(aio(none, Source::File, Aio::IoUring, false), threads(Warning::NoIoUring));
    assert_eq!(aio(none, Source::Rbd, Aio::Native, true), (None, vec![Warning::NoAioOverNetwork]));
}

/// What QEMU or libvirt would say to it, by their own rules and not by ours.
fn objection(question: &Question<'_>, layers: &[Layer], decision: &Decision) -> Option<&'static str> {
    let local = matches!(question.source, Source::File | Source::Block);
    let drive = matches!(question.device, Device::Drive(_));
    let empty = matches!(question.device, Device::Drive(None));
    let sata = matches!(question.device, Device::Disk { bus: DiskBus::Sata, .. });
    let refused = layers.iter().any(|layer| matches!(layer.answer, Answer::Refused(_)));
    let chosen = question.choice == CacheChoice::Auto;
    let large = decision.sector_bytes.is_some_and(|bytes| bytes > SECTOR_BYTES);
    if decision.mode.is_direct() && local && !empty && refused && !(drive && chosen) {
        Some("filesystem does not support O_DIRECT")
    } else if decision.aio == Some(Aio::Native) && !decision.mode.is_direct() {
        Some("native I/O needs either no disk cache or directsync cache mode")
    } else if decision.aio == Some(Aio::IoUring) && !question.io_uring {
        Some("io_uring is not supported by this QEMU binary")
    } else if sata && large && question.sector == Sector::Free {
        Some("logical_block_size must be 512 for IDE")
    } else if !local && decision.aio.is_some() {
        Some("an aio mode over a network")
    } else {
        None
    }
}

fn answers() -> impl Strategy<Value = Answer> {
    let errno = select(&[Errno::INVAL, Errno::OPNOTSUPP][..]);
    let bytes = select(&[1024_u32, 4096, 16384][..]);
    prop_oneof![
        Just(Answer::Direct),
        Just(Answer::Buffered),
        errno.prop_map(Answer::Refused),
        bytes.prop_map(|bytes| Answer::Larger { bytes }),
    ]
}

fn chains() -> impl Strategy<Value = Vec<Layer>> {
    let kind = select(&["ext4", "xfs", "btrfs", "zfs", "tmpfs", "nfs4", "fuse.x"][..]);
    let one = (select(&[FILE, BASE, "/x/y/z"][..]), kind, answers());
    proptest::collection::vec(one.prop_map(|(path, kind, answer)| layer(path, kind, answer)), 1..4)
}

fn questions() -> impl Strategy<Value = Question<'static>> {
    let device = prop_oneof![
        4 => (select(Format::ALL), select(DiskBus::ALL))
            .prop_map(|(format, bus)| Device::Disk { file: Path::new(FILE), format, bus }),
        1 => Just(Device::Drive(Some(Path::new(FILE)))),
        1 => Just(Device::Drive(None)),
    ];
    let source = select(&[Source::File, Source::Block, Source::Rbd, Source::Iscsi][..]);
    let sector =
        prop_oneof![Just(Sector::Free), select(&[None, Some(512), Some(4096)][..]).prop_map(Sector::Fixed),];
    let aio = proptest::option::of(select(Aio::ALL));
    (select(CacheChoice::ALL), device, source, aio, sector, any::<bool>(), any::<bool>()).prop_map(
        |(choice, device, source, aio, sector, io_uring, accepts_loss)| Question {
            choice,
            origin: Some(Origin::Storage),
            accepts_loss,
            device,
            source,
            aio,
            sector,
            io_uring,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn nothing_is_ruled_that_qemu_or_libvirt_refuse(question in questions(), layers in chains()) {
        let verdict = decide(&question, Some(&layers));
        prop_assert_eq!(&verdict, &decide(&question, Some(&layers)), "the same input, another answer");
        let explicit = question.choice != CacheChoice::Auto;
        match verdict {
            Ok(Verdict::Ask) => prop_assert!(false, "it asks for what it has"),
            Ok(Verdict::Decided(ruling)) => {
                let Ruling { decision, .. } = &ruling;
                prop_assert_eq!(objection(&question, &layers, decision), None);
                prop_assert_eq!((decision.choice, decision.origin), (question.choice, question.origin));
                let disk = matches!(question.device, Device::Disk { .. });
                prop_assert!(decision.mode != CacheMode::Unsafe || question.accepts_loss || !disk);
                prop_assert!(decision.weakest.is_none_or(|at| at < decision.layers.len()));
                match explicit {
                    true => prop_assert_eq!(CacheChoice::from(decision.mode), question.choice),
                    // Neither a flush for each write nor the loss of all of them is anybody's idea but the operator's.
                    false => prop_assert!(matches!(decision.mode, CacheMode::None | CacheMode::Writeback)),
                }
                if let Sector::Fixed(bytes) = question.sector {
                    prop_assert_eq!(decision.sector_bytes, bytes, "what the guest knows was changed");
                }
                let begins = format!("asked for `{}`", question.choice);
                prop_assert!(ruling.told().why.starts_with(&begins));
            }
            Err(error) => {
                prop_assert!(explicit, "`auto` was refused: {}", error);
                if let Error::LossNotAccepted { origin, .. } = &error {
                    prop_assert_eq!(*origin, Some(Origin::Storage));
                    prop_assert!(question.choice == CacheChoice::Unsafe && !question.accepts_loss);
                    return Ok(());
                }
                prop_assert!(layers.iter().any(|layer| matches!(layer.answer, Answer::Refused(_))));
                prop_assert!(error.to_string().contains("; ask for `auto` or `writeback`"));
            }
        }
    }

    #[test]
    fn what_need_not_be_known_is_not_asked_for(question in questions()) {
        // Who is not asked about layers decides as if all of them were the worst.
        if let Ok(Verdict::Decided(ruling)) = decide(&question, None) {
            let worst = [layer(FILE, "ramfs", REFUSED)];
            prop_assert_eq!(decide(&question, Some(&worst)), Ok(Verdict::Decided(ruling)));
        }
    }
}
