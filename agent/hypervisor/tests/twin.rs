//! The simulated twin keeps the contract.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use agent_hypervisor::contract::{CASES, Fixture, ImageFile, MISSING_FOLDER, run_case};
use agent_hypervisor::simulated::{Control, File, GuestKind, Outside};
use agent_hypervisor::spec::Format;
use agent_hypervisor::{Hypervisor, Simulated};
use async_trait::async_trait;

struct Twin {
    twin: Simulated,
    control: Control,
}

impl Twin {
    fn new() -> Self {
        let twin = Simulated::new();
        let control = twin.control();
        control.refuse_direct_io("/buffered");
        control.remove_folder(Path::new("/direct").join(MISSING_FOLDER));
        Self { twin, control }
    }
}

#[async_trait]
impl Fixture for Twin {
    async fn hypervisor(&self) -> Arc<dyn Hypervisor> {
        Arc::new(self.twin.clone())
    }

    fn folder(&self) -> PathBuf {
        "/direct".into()
    }

    fn folder_without_direct_io(&self) -> PathBuf {
        "/buffered".into()
    }

    async fn guest(&self, path: &Path, guest: GuestKind) {
        self.control.guest(path, guest);
    }

    async fn image(&self) -> ImageFile {
        let path = PathBuf::from("/images/linux");
        let file = File::image(Format::Qcow2, 1 << 30, GuestKind::Answering);
        self.control.place(&path, file.clone());
        ImageFile { path, format: file.format, size_bytes: file.size_bytes, sha256: file.sha256 }
    }

    async fn outside(&self, what: Outside) {
        self.control.outside(what).unwrap();
    }

    fn bridge(&self) -> Option<String> {
        Some("br0".to_owned())
    }

    fn lets_go(&self) -> bool {
        true
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(10)
    }
}

async fn keeps(name: &str) {
    let case = CASES.iter().find(|case| case.name == name).unwrap();
    if let Err(why) = run_case(case, Arc::new(Twin::new())).await {
        panic!("{why}");
    }
}

macro_rules! tests {
    ($($group:ident: $($case:ident)+;)+) => {
        $(mod $group {
            $(#[tokio::test]
            async fn $case() {
                super::keeps(stringify!($case)).await;
            })+
        })+
    };
}

agent_hypervisor::contract_cases!(tests);

/// As libvirtd is shared by them.
#[tokio::test]
async fn all_cases_keep_out_of_each_others_way() {
    agent_hypervisor::contract::run(Arc::new(Twin::new()), "").await;
}

#[test]
fn names_of_cases_leave_room_for_names_of_domains() {
    for (at, case) in CASES.iter().enumerate() {
        assert!(case.name.len() <= 50, "`{}` is too long to be part of a domain's name", case.name);
        assert!(CASES[..at].iter().all(|other| other.name != case.name), "`{}` is there twice", case.name);
    }
}
