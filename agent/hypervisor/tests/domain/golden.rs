//! Whole descriptions, as they are kept in `golden/`. To write them anew: `cargo xtask codegen`, and look at what changed.

use std::collections::BTreeSet;

use agent_hypervisor::cache::Decision;
use agent_hypervisor::domain::{read, rewrite, xml};
use agent_hypervisor::spec::{CacheChoice, CacheMode};

use crate::specs::{all, expected, golden};

#[test]
fn every_domain_is_described_as_in_its_golden_file() {
    let update = std::env::var_os("CAIRN_CODEGEN").is_some();
    for case in all() {
        let built = xml(&case.spec, &case.host).unwrap();
        let path = golden(case.name);
        if update {
            std::fs::write(&path, &built).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        let line = (1..).zip(kept.lines().zip(built.lines())).find(|(_, (kept, built))| kept != built);
        assert_eq!(line, None, "{} differs; if that is meant, run `cargo xtask codegen`", path.display());
        assert!(
            kept == built,
            "{} has another length; if that is meant, run `cargo xtask codegen`",
            path.display()
        );
    }
}

#[test]
fn every_golden_file_belongs_to_a_domain() {
    let folder = golden("any").parent().unwrap().to_owned();
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let known: BTreeSet<_> = all().iter().map(|case| golden(case.name)).collect();
    assert_eq!(files.collect::<BTreeSet<_>>(), known);
}

#[test]
fn every_domain_reads_back() {
    for case in all() {
        let text = xml(&case.spec, &case.host).unwrap();
        assert_eq!(read(&text).unwrap(), expected(&case.spec, &case.host), "{}", case.name);
    }
}

#[test]
fn every_mode_can_be_settled_in_every_domain_and_nothing_else_changes() {
    // All but what tells of modes.
    let others = |text: &str| -> Vec<String> {
        let tells = |line: &&str| line.contains("cairn:") || line.contains("<driver name=\"qemu\"");
        text.lines().filter(|line| !tells(line)).map(|line| line.trim().to_owned()).collect()
    };
    for case in all() {
        let text = xml(&case.spec, &case.host).unwrap();
        for mode in CacheMode::ALL.iter().copied() {
            let why = format!("asked for `auto`, which is `{mode}` here");
            for decided in [Decision::explicit(mode), Decision::new(CacheChoice::Auto, mode, why)] {
                let mut after = read(&text).unwrap();
                after.disks.iter_mut().for_each(|at| at.decide(decided.clone()));
                after.drives.iter_mut().for_each(|at| at.decided = decided.clone());
                let settled = rewrite(&text, &after).unwrap();
                assert_eq!(read(&settled).unwrap(), after, "{}", case.name);
                assert_eq!(others(&settled), others(&text), "{}", case.name);
            }
        }
    }
}
