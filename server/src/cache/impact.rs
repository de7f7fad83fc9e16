//! What would come of a change of a cache mode: a pure function of what is in force and of what hosts say.

use server_api::cache::{CacheImpact, CacheImpactCount, CacheImpactDisk, CacheOutcome};
use server_api::vm::{CacheMode, VmState};

/// A disk that a change is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The virtual machine that it is a disk of, and what that does.
    pub vm: Option<(String, VmState)>,
    /// Its volume.
    pub volume: String,
    /// The mode that is in force, or that it would be started in.
    pub mode: Option<CacheMode>,
    /// Whether QEMU waits in a way that a change while it runs would break.
    pub native: bool,
    /// What the host says would come of it.
    pub told: Told,
}

/// What a host says would come of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// This mode, and why.
    Decided(CacheMode, String),
    /// It would refuse, and why.
    Refused(String),
    /// It does not answer, and why.
    Unknown(String),
}

/// What would come of a disk.
#[must_use]
pub fn outcome(disk: &Disk) -> CacheOutcome {
    let to = match &disk.told {
        Told::Refused(_) => return CacheOutcome::Refused,
        Told::Unknown(_) => return CacheOutcome::Unknown,
        Told::Decided(to, _) => *to,
    };
    let runs = match disk.vm.as_ref().map(|(_, state)| *state) {
        None | Some(VmState::Shutoff | VmState::Crashed | VmState::Missing) => false,
        Some(VmState::Running | VmState::Paused | VmState::Shutdown | VmState::Pmsuspended) => true,
        Some(VmState::Unknown) => return CacheOutcome::Unknown,
    };
    match disk.mode {
        Some(from) if from == to => CacheOutcome::Unchanged,
        Some(from) if runs && changes_live(from, to) && !disk.native => CacheOutcome::Live,
        Some(_) | None if runs => CacheOutcome::Restart,
        Some(_) | None => CacheOutcome::NextStart,
    }
}

/// Whether QEMU goes from one mode to the other while a guest runs: as long as the guest sees a disk with a cache for its
/// writes as before, or without. That is fixed when it is started.
#[must_use]
pub fn changes_live(from: CacheMode, to: CacheMode) -> bool {
    let cached = |mode| match mode {
        CacheMode::None | CacheMode::Writeback | CacheMode::Unsafe => true,
        CacheMode::Writethrough | CacheMode::Directsync => false,
    };
    cached(from) == cached(to)
}

/// How far from nothing an outcome is. A virtual machine counts by the disk that is farthest.
fn weight(outcome: CacheOutcome) -> usize {
    match outcome {
        CacheOutcome::Unchanged => 0,
        CacheOutcome::NextStart => 1,
        CacheOutcome::Live => 2,
        CacheOutcome::Restart => 3,
        CacheOutcome::Unknown => 4,
        CacheOutcome::Refused => 5,
    }
}

const OUTCOMES: [CacheOutcome; 6] = [
    CacheOutcome::Restart,
    CacheOutcome::Live,
    CacheOutcome::Refused,
    CacheOutcome::NextStart,
    CacheOutcome::Unknown,
    CacheOutcome::Unchanged,
];

/// What would come of all of them.
#[must_use]
pub fn impact(disks: Vec<Disk>) -> CacheImpact {
    let mut vms: Vec<(String, CacheOutcome)> = Vec::new();
    for disk in &disks {
        let (Some((name, _)), outcome) = (&disk.vm, outcome(disk)) else { continue };
        match vms.iter_mut().find(|(other, _)| other == name) {
            Some((_, worst)) if weight(*worst) < weight(outcome) => *worst = outcome,
            Some(_) => {}
            None => vms.push((name.clone(), outcome)),
        }
    }
    let count = |outcome| {
        let vms = vms.iter().filter(|(_, found)| *found == outcome).count();
        CacheImpactCount { outcome, vms: vms as u64 }
    };
    let counts: Vec<_> = OUTCOMES.into_iter().map(count).filter(|count| count.vms > 0).collect();
    CacheImpact { summary: summary(&counts), disks: disks.into_iter().map(encode).collect(), counts }
}

/// "12 running virtual machines keep their mode until a restart, 3 can change live, 1 would be refused".
fn summary(counts: &[CacheImpactCount]) -> String {
    if counts.is_empty() {
        return "no virtual machine has a disk that this is about".to_owned();
    }
    let told = |(at, CacheImpactCount { outcome, vms }): (usize, &CacheImpactCount)| {
        let one = *vms == 1;
        let (says, say) = match outcome {
            CacheOutcome::Restart => ("keeps its mode until a restart", "keep their mode until a restart"),
            CacheOutcome::Live => ("can change live", "can change live"),
            CacheOutcome::Refused => ("would be refused", "would be refused"),
            CacheOutcome::NextStart => ("gets it with the next start", "get it with the next start"),
            CacheOutcome::Unknown => ("is on a host that does not answer", "are on hosts that do not answer"),
            CacheOutcome::Unchanged => ("stays as it is", "stay as they are"),
        };
        let runs = matches!(outcome, CacheOutcome::Restart | CacheOutcome::Live);
        let what = match (at, runs, one) {
            (0, true, true) => " running virtual machine",
            (0, true, false) => " running virtual machines",
            (0, false, true) => " virtual machine",
            (0, false, false) => " virtual machines",
            _ => "",
        };
        format!("{vms}{what} {}", if one { says } else { say })
    };
    counts.iter().enumerate().map(told).collect::<Vec<_>>().join(", ")
}

fn encode(disk: Disk) -> CacheImpactDisk {
    let outcome = outcome(&disk);
    let (to, reason) = match disk.told {
        Told::Decided(mode, reason) => (Some(mode), reason),
        Told::Refused(reason) | Told::Unknown(reason) => (None, reason),
    };
    let vm_name = disk.vm.map(|(name, _)| name);
    CacheImpactDisk { vm_name, volume_name: disk.volume, outcome, from: disk.mode, to, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(vm: &str, state: VmState, from: CacheMode, told: Told) -> Disk {
        Disk {
            vm: Some((vm.to_owned(), state)),
            volume: format!("{vm}-root"),
            mode: Some(from),
            native: false,
            told,
        }
    }

    fn to(mode: CacheMode) -> Told {
        Told::Decided(mode, "so it is".to_owned())
    }

    const MODES: [CacheMode; 5] = [
        CacheMode::None,
        CacheMode::Writeback,
        CacheMode::Unsafe,
        CacheMode::Writethrough,
        CacheMode::Directsync,
    ];

    #[test]
    fn what_runs_changes_live_only_where_its_guest_sees_nothing() {
        let mut table = String::new();
        for from in MODES {
            let row = MODES.map(|mode| outcome(&disk("a", VmState::Running, from, to(mode))).to_string());
            table += &format!("{}\n", row.join(" "));
        }
        // Rows and columns: none, writeback, unsafe, writethrough, directsync.
        let expected = "\
            unchanged live live restart restart\n\
            live unchanged live restart restart\n\
            live live unchanged restart restart\n\
            restart restart restart unchanged live\n\
            restart restart restart live unchanged\n";
        assert_eq!(table, expected);
        for from in MODES {
            let off = disk("a", VmState::Shutoff, from, to(CacheMode::Unsafe));
            let same = from == CacheMode::Unsafe;
            assert_eq!(outcome(&off) == CacheOutcome::Unchanged, same);
            assert_eq!(outcome(&off) == CacheOutcome::NextStart, !same);
        }
        // `io=native` works with O_DIRECT alone, and does not change while a guest runs.
        let native =
            Disk { native: true, ..disk("a", VmState::Paused, CacheMode::None, to(CacheMode::Writeback)) };
        assert_eq!(outcome(&native), CacheOutcome::Restart);
    }

    #[test]
    fn a_machine_counts_once_by_its_worst_disk() {
        let (running, off, unknown) = (VmState::Running, VmState::Shutoff, VmState::Unknown);
        let (none, writeback, through) = (CacheMode::None, CacheMode::Writeback, CacheMode::Writethrough);
        let mut disks = vec![
            disk("a", running, none, to(writeback)),
            disk("a", running, none, to(through)),
            disk("b", running, none, to(through)),
            disk("c", running, none, to(writeback)),
            disk("d", running, none, Told::Refused("no".to_owned())),
            disk("e", off, none, to(writeback)),
            disk("f", unknown, none, to(writeback)),
            disk("g", running, none, Told::Unknown("away".to_owned())),
            disk("h", running, none, to(none)),
        ];
        disks.push(Disk { vm: None, ..disk("i", off, none, to(none)) });
        let impact = impact(disks);
        assert_eq!(
            impact.summary,
            "2 running virtual machines keep their mode until a restart, 1 can change live, 1 would be refused, 1 gets it \
             with the next start, 2 are on hosts that do not answer, 1 stays as it is"
        );
        assert_eq!(impact.counts.iter().map(|count| count.vms).sum::<u64>(), 8);
        assert_eq!(impact.disks.len(), 10);
        assert_eq!(super::impact(Vec::new()).summary, "no virtual machine has a disk that this is about");
    }
}
