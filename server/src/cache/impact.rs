//! What would come of a change of a cache mode: a pure function of what is in force and of what hosts say.

use agent_protocol::vm::DiskState;
use server_api::cache::{CacheImpact, CacheImpactCount, CacheImpactDisk, CacheOutcome};
use server_api::vm::{CacheChoice, CacheMode, VmState};

use crate::agents::words;

/// A disk that a change is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The virtual machine that it is a disk of, and what that does.
    pub vm: Option<(String, VmState)>,
    /// Its volume.
    pub volume: String,
    /// The mode that is in force, or that it would be started in.
    pub mode: Option<CacheMode>,
    /// The modes that it can go over to while the virtual machine runs.
    pub live: Vec<CacheMode>,
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
    let state = disk.vm.as_ref().map(|(_, state)| *state);
    comes_to(state, disk.mode == Some(to), disk.live.contains(&to))
}

/// What it takes until what is `asked` of a disk is in force, as far as that is known without asking its host. `open` is what
/// that said of the disk last.
#[must_use]
pub fn pending(state: VmState, open: Option<&DiskState>, asked: CacheChoice) -> CacheOutcome {
    let mode = open.map(|open| words::cache(open.cache.mode));
    let live: Vec<_> = open.into_iter().flat_map(|open| &open.live).map(|mode| words::cache(*mode)).collect();
    let to = match asked {
        CacheChoice::None => CacheMode::None,
        CacheChoice::Writeback => CacheMode::Writeback,
        CacheChoice::Writethrough => CacheMode::Writethrough,
        CacheChoice::Directsync => CacheMode::Directsync,
        CacheChoice::Unsafe => CacheMode::Unsafe,
        // What that comes to is for the host to say. It never is a mode without a cache for the guest's writes.
        CacheChoice::Auto => {
            let was = open.is_some_and(|open| words::choice(open.cache.requested) == CacheChoice::Auto);
            let auto = [CacheMode::None, CacheMode::Writeback];
            let may = auto.iter().any(|to| live.contains(to) || mode == Some(*to));
            return comes_to(Some(state), was, may);
        }
    };
    comes_to(Some(state), mode == Some(to), live.contains(&to))
}

/// The same, once its host has said what would come of `auto` now: its file system may be mounted otherwise than when it was
/// settled. None: it has not.
#[must_use]
pub fn pending_told(
    state: VmState,
    open: Option<&DiskState>,
    asked: CacheChoice,
    told: Option<CacheMode>,
) -> CacheOutcome {
    match (pending(state, open, asked), open, told) {
        (CacheOutcome::Unchanged, Some(open), Some(to)) if asked == CacheChoice::Auto => {
            let live = open.live.iter().any(|mode| words::cache(*mode) == to);
            comes_to(Some(state), words::cache(open.cache.mode) == to, live)
        }
        (outcome, ..) => outcome,
    }
}

/// What comes of a disk of a virtual machine in this state, or of nobody's: `so` if it is as wanted already, `live` if it can go
/// over to that while it runs.
fn comes_to(state: Option<VmState>, so: bool, live: bool) -> CacheOutcome {
    let runs = match state {
        None | Some(VmState::Shutoff | VmState::Crashed | VmState::Missing) => false,
        Some(VmState::Running | VmState::Paused | VmState::Shutdown | VmState::Pmsuspended) => true,
        Some(VmState::Unknown) => return CacheOutcome::Unknown,
    };
    match (so, runs) {
        (true, _) => CacheOutcome::Unchanged,
        (false, true) if live => CacheOutcome::Live,
        (false, true) => CacheOutcome::Restart,
        (false, false) => CacheOutcome::NextStart,
    }
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
            live: if state == VmState::Running { live(from) } else { Vec::new() },
            told,
        }
    }

    /// What agents say of a disk that is open so, unless QEMU waits for it by `io=native`.
    fn live(from: CacheMode) -> Vec<CacheMode> {
        let (cached, plain) = MODES.split_at(3);
        let same = if cached.contains(&from) { cached } else { plain };
        same.iter().copied().filter(|mode| *mode != from).collect()
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
    fn what_runs_changes_live_where_its_host_says_so() {
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
        // As with `io=native`.
        let fixed = Disk {
            live: Vec::new(),
            ..disk("a", VmState::Running, CacheMode::None, to(CacheMode::Writeback))
        };
        assert_eq!(outcome(&fixed), CacheOutcome::Restart);
    }

    #[test]
    fn what_is_pending_is_known_without_the_host_unless_it_has_the_choice() {
        use agent_protocol::vm as agent;
        let open = |requested, mode, live: &[agent::CacheMode]| DiskState {
            volume: uuid::Uuid::nil(),
            target: "vda".to_owned(),
            path: "/srv/a.raw".to_owned(),
            format: agent::Format::Raw,
            bus: agent::DiskBus::Virtio,
            cache: agent_protocol::cache::EffectiveCache {
                requested,
                origin: None,
                mode,
                direct: None,
                reason: String::new(),
                warnings: Vec::new(),
                io: None,
                sector_bytes: 512,
                evidence: Vec::new(),
            },
            live: live.to_vec(),
        };
        let (unsafe_, writeback) = (agent::CacheMode::Unsafe, agent::CacheMode::Writeback);
        let auto = open(agent::CacheChoice::Auto, agent::CacheMode::None, &[writeback, unsafe_]);
        let modes = [CacheChoice::Auto, CacheChoice::None, CacheChoice::Writeback, CacheChoice::Directsync];
        let told = |state, disk: &DiskState| modes.map(|asked| pending(state, Some(disk), asked).to_string());
        assert_eq!(told(VmState::Running, &auto), ["unchanged", "unchanged", "live", "restart"]);
        let through = open(agent::CacheChoice::Directsync, agent::CacheMode::Directsync, &[]);
        assert_eq!(told(VmState::Running, &through), ["restart", "restart", "restart", "unchanged"]);
        let set = open(agent::CacheChoice::Unsafe, unsafe_, &[agent::CacheMode::None, writeback]);
        assert_eq!(told(VmState::Running, &set), ["live", "live", "live", "restart"]);
        // As with `io=native`: `auto` may come to what it is already.
        let fixed = open(agent::CacheChoice::None, agent::CacheMode::None, &[]);
        assert_eq!(told(VmState::Running, &fixed), ["live", "unchanged", "restart", "restart"]);
        assert_eq!(told(VmState::Shutoff, &through), ["next_start", "next_start", "next_start", "unchanged"]);
        assert_eq!(told(VmState::Unknown, &auto), ["unknown"; 4]);
        let drifted = |state, asked, to| pending_told(state, Some(&auto), asked, to).to_string();
        for (state, outcome) in [(VmState::Running, "live"), (VmState::Shutoff, "next_start")] {
            assert_eq!(drifted(state, CacheChoice::Auto, Some(CacheMode::Writeback)), outcome);
            assert_eq!(drifted(state, CacheChoice::Auto, Some(CacheMode::None)), "unchanged");
            assert_eq!(drifted(state, CacheChoice::Auto, None), "unchanged");
            // What is asked for in as many words is that.
            assert_eq!(drifted(state, CacheChoice::None, Some(CacheMode::Writeback)), "unchanged");
        }
        let native = open(agent::CacheChoice::Auto, agent::CacheMode::None, &[]);
        let told_to =
            pending_told(VmState::Running, Some(&native), CacheChoice::Auto, Some(CacheMode::Writeback));
        assert_eq!(told_to, CacheOutcome::Restart);
        assert_eq!(pending(VmState::Running, None, CacheChoice::None), CacheOutcome::Restart);
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
