//! Disks: sizes, limits, statistics, jobs, and a disk that fails.

use super::room::{Host, event, root, within};
use agent_libvirt::{
    AffectFlags, BlockJobStatus, BlockJobType, BlockResizeFlags, ConsoleFlags, CreateFlags, DomainState,
    Event, EventKind, IoErrorAction, PausedReason, Procedure, TypedParameter, TypedValue,
};
use xtask_testbed::Mount;
use xtask_testbed::guest::image;

#[tokio::test(flavor = "multi_thread")]
async fn disks_are_as_virsh_says() {
    let root = root();
    let host = Host::start(&root, &[]);
    let connection = host.connect().await;
    let mut events = connection.subscribe(&[EventKind::BlockJob]).await.unwrap();
    let vm = host.define(&connection, "vm", "").await;
    let console = {
        connection.domain_create(&vm, CreateFlags::PAUSED).await.unwrap();
        let console = connection.domain_open_console(&vm, None, ConsoleFlags::empty()).await.unwrap();
        connection.domain_resume(&vm).await.unwrap();
        console
    };
    // Its boot sector is read when it speaks; then it stands still, and so do all numbers.
    within(console.read(1)).await.unwrap();
    connection.domain_suspend(&vm).await.unwrap();

    let info = connection.domain_block_info(&vm, "vda").await.unwrap();
    let virsh = host.sh("virsh -q domblkinfo vm vda | sed 's/: */ /'", []);
    let said = format!(
        "Capacity {}\nAllocation {}\nPhysical {}",
        info.capacity_bytes, info.allocation_bytes, info.physical_bytes
    );
    assert_eq!(said, virsh.trim());
    host.shown(&[Procedure::DomainGetBlockInfo]);

    let stats = connection.domain_block_stats(&vm, "vda").await.unwrap();
    assert!(stats.rd_req > 0 && stats.rd_bytes >= 512, "{stats:?}");
    let virsh = host.virsh(["domblkstat", "vm", "vda"]);
    for (name, value) in [
        ("rd_req", stats.rd_req),
        ("rd_bytes", stats.rd_bytes),
        ("wr_req", stats.wr_req),
        ("wr_bytes", stats.wr_bytes),
    ] {
        assert!(virsh.contains(&format!("vda {name} {value}")), "{name} {value} in {virsh}");
    }
    let named = connection.domain_block_stats_flags(&vm, "vda").await.unwrap();
    assert!(named.iter().any(|parameter| parameter.field == "flush_operations"), "{named:?}");
    let times = named.iter().find(|parameter| parameter.field == "rd_total_times").unwrap();
    let TypedValue::LLong(times) = times.value else { panic!("{times:?}") };
    assert!(virsh.contains(&format!("rd_total_times {times}")), "{times} in {virsh}");
    host.shown(&[Procedure::DomainBlockStats, Procedure::DomainBlockStatsFlags]);

    let flags = AffectFlags::LIVE | AffectFlags::CONFIG;
    let tune = [
        TypedParameter::new("total_iops_sec", TypedValue::ULLong(1234)),
        TypedParameter::new("group_name", TypedValue::String("limits".to_owned())),
    ];
    connection.domain_set_block_io_tune(&vm, "vda", &tune, flags).await.unwrap();
    for which in ["--live", "--config"] {
        let virsh = host.sh("virsh -q blkdeviotune vm vda $1", [which]);
        assert!(
            virsh.lines().any(|line| line.starts_with("total_iops_sec") && line.ends_with(" 1234")),
            "{virsh}"
        );
        assert!(
            virsh.lines().any(|line| line.starts_with("group_name") && line.ends_with(" limits")),
            "{virsh}"
        );
    }
    let back = connection.domain_block_io_tune(&vm, "vda", AffectFlags::CONFIG).await.unwrap();
    assert!(tune.iter().all(|parameter| back.contains(parameter)), "{back:?}");
    host.shown(&[Procedure::DomainSetBlockIoTune, Procedure::DomainGetBlockIoTune]);

    connection.domain_block_resize(&vm, "vda", 3 << 20, BlockResizeFlags::BYTES).await.unwrap();
    assert!(host.virsh(["domblkinfo", "vm", "vda"]).contains("3145728"));
    connection.domain_block_resize(&vm, &image("vm"), 4 << 10, BlockResizeFlags::empty()).await.unwrap();
    assert_eq!(connection.domain_block_info(&vm, "vda").await.unwrap().capacity_bytes, 4 << 20);
    host.shown(&[Procedure::DomainBlockResize]);

    host.sh(
        "virsh -q undefine vm; virsh -q blockcopy vm vda /var/lib/libvirt/images/copy.raw --format raw",
        [],
    );
    for status in [BlockJobStatus::Ready, BlockJobStatus::Canceled] {
        let job = Event::BlockJob { disk: "vda".to_owned(), kind: BlockJobType::Copy, status };
        event(&mut events, |event| event.event == job).await;
        if status == BlockJobStatus::Ready {
            host.virsh(["blockjob", "vm", "vda", "--abort", "--async"]);
        }
    }
    host.shown(&[Procedure::DomainEventBlockJob2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_host_is_told_as_a_failed_disk() {
    let root = root();
    let host = Host::start(&root, &[Mount::tmpfs("/mnt").size_bytes(1 << 20)]);
    let connection = host.connect().await;
    let mut events = connection.subscribe(&[EventKind::IoError]).await.unwrap();
    let vm = host.define(&connection, "vm", "").await;
    // The image has a hole where the guest writes, and the file system no room to fill it.
    let move_away = "cp --sparse=always $1 /mnt/vm.raw; rm $1; ln -s /mnt/vm.raw $1
                     dd if=/dev/zero of=/mnt/rest bs=4096 2>/dev/null || true";
    host.sh(move_away, [&image("vm")]);
    connection.domain_create(&vm, CreateFlags::PAUSED).await.unwrap();
    let console = connection.domain_open_console(&vm, None, ConsoleFlags::empty()).await.unwrap();
    connection.domain_resume(&vm).await.unwrap();
    console.write(b"w").await.unwrap();

    let failed = event(&mut events, |_| true).await;
    let Event::IoError { src_path, dev_alias, action, reason } = &failed.event else { panic!("{failed:?}") };
    assert_eq!((src_path, dev_alias.as_str()), (&image("vm"), "virtio-disk0"));
    assert_eq!((*action, reason.as_str()), (IoErrorAction::Pause, "enospc"));
    within(async {
        while connection.domain_state(&vm).await.unwrap() != DomainState::Paused(PausedReason::IoError) {}
    })
    .await;
    assert_eq!(host.virsh(["domstate", "vm", "--reason"]), "paused (I/O error)");
    host.shown(&[Procedure::DomainEventCallbackIoErrorReason]);
}
