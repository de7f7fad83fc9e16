//! Tests of the table as a whole: every row runs, nobody waits for a row that hangs, nothing is left on the host.

use std::path::Path;

use super::report::State;
use super::*;

/// A host that is to become a server and an agent below `root`.
pub(super) fn subject(root: &Path) -> Subject {
    Subject {
        layout: Layout::new(root),
        role: Role::All,
        start: true,
        installed: false,
        hypervisor: Hypervisor::Later,
        ports: Vec::new(),
        target: "x86_64-unknown-linux-gnu".into(),
        glibc: None,
        created: 0,
        unpacked: Needs { bytes: 4096, inodes: 4 },
        packages: None,
        archive_bytes: 1024,
        helper_bytes: 512,
        scratch: Vec::new(),
    }
}

/// A manifest with a section for everybody and one for each role.
fn manifest() -> Manifest {
    let section = |name: &str, roles: &[&str], bytes: u64| serde_json::json!({ "name": name, "roles": roles, "needs": { "bytes": bytes, "inodes": 1 } });
    let json = serde_json::json!({
        "format": 1, "product": "cairn", "version": "1", "created": 1,
        "toolchain": { "commit": "0".repeat(40), "dirty": false },
        "build": { "target": "x86_64-unknown-linux-gnu", "native": false, "glibc": "2.17" },
        "components": {}, "needs": { "bytes": 111, "inodes": 3 },
        "sections": [section("core", &[], 1), section("s", &["server"], 10), section("a", &["agent"], 100)],
        "entries": [],
        "members": [{ "offset": 0, "size": 7, "raw_size": 9, "sha256": "0".repeat(64), "section": "core" }],
    });
    serde_json::from_value(json).unwrap()
}

fn host<'a>(layout: &'a Layout, manifest: &'a Manifest, role: Role) -> Host<'a> {
    Host {
        layout,
        role,
        start: false,
        manifest,
        installed: false,
        hypervisor: Hypervisor::Later,
        ports: Vec::new(),
    }
}

#[test]
fn a_role_needs_its_own_sections() {
    let (layout, manifest) = (Layout::new("/not/here"), manifest());
    let needs = |role| Subject::of(&host(&layout, &manifest, role)).unpacked.bytes;
    assert_eq!((needs(Role::All), needs(Role::Server), needs(Role::Agent)), (111, 11, 101));
    assert_eq!(Subject::of(&host(&layout, &manifest, Role::All)).archive_bytes, 7);
}

#[test]
fn every_row_reports_and_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let (layout, manifest) = (Layout::new(root.path()), manifest());
    let report = run(&host(&layout, &manifest, Role::All));
    for row in CHECKS.iter().filter(|row| row.name != "port") {
        assert!(report.checks.iter().any(|check| check.name == row.name), "{} said nothing", row.name);
    }
    assert_eq!(root.path().read_dir().unwrap().count(), 0);
    let server = run(&host(&layout, &manifest, Role::Server));
    assert!(
        server.checks.iter().all(|check| check.group != Group::Virtualization && check.name != "direct-io")
    );
}

#[test]
fn a_row_that_hangs_or_dies_does_not_hold_the_others() {
    static ROWS: [Row; 3] = [
        row(Group::Storage, "hangs", everybody, |_| {
            loop {
                thread::park();
            }
        }),
        row(Group::Storage, "dies", everybody, |_| panic!("a check that dies")),
        row(Group::Storage, "works", everybody, |_| vec![Finding::pass("x")]),
    ];
    let rows: Vec<&'static Row> = ROWS.iter().collect();
    let report = report_of(&rows, &Arc::new(subject(Path::new("/"))), Duration::from_millis(200));
    let states: Vec<State> = report.checks.iter().map(|check| check.state).collect();
    assert_eq!(states, [State::Warn, State::Warn, State::Pass]);
    assert!(report.checks[0].evidence.starts_with("did not answer within"));
    assert!(!report.failed());
}
