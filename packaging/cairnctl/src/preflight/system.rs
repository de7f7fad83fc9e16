//! The machine and its system: who runs this, systemd, processor, kernel, memory, clock, security modules. The
//! distribution is in `os.rs`, the C library in `glibc.rs`.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::Access;

use super::Subject;
use super::probe::{first_line, nearest, program};
use super::report::Finding;

/// The clock may be this many seconds behind the newest commit in the archive: build machines are not exact either.
const CLOCK_TOLERANCE_S: u64 = 300;

/// Nobody installs an archive that is older than this many years of 365 days.
const CLOCK_YEARS: u64 = 15;

/// Memory in MiB that a server should have.
const SERVER_MIB: u64 = 1024;

/// Memory in MiB that an agent should have: itself, libvirt and one small virtual machine.
const AGENT_MIB: u64 = 2048;

/// Whether this run may write where it has to.
pub(super) fn root(subject: &Subject) -> Vec<Finding> {
    let user = rustix::process::geteuid().as_raw();
    let folder = nearest(subject.layout.root());
    let may_write = rustix::fs::access(&folder, Access::WRITE_OK).is_ok();
    let (seen, shown) = (format!("effective user id {user}"), folder.display());
    vec![if user == 0 {
        Finding::pass(seen)
    } else if subject.layout.is_host() || subject.start {
        Finding::fail(seen, "run it again as root, for example with `sudo`")
    } else if may_write {
        Finding::warn(
            format!("{seen}, which may write to `{shown}`"),
            "expect files that belong to this user; run it as root if they should not",
        )
    } else {
        Finding::fail(
            format!("{seen}, which may not write to `{shown}`"),
            "run it again as root, or choose another `--root`",
        )
    }]
}

/// Whether systemd is process 1.
pub(super) fn systemd(subject: &Subject) -> Vec<Finding> {
    // The folder is systemd's own documented sign of being process 1.
    let booted = Path::new("/run/systemd/system").is_dir();
    let version = program(&["systemctl"]).and_then(|systemctl| first_line(&systemctl, &["--version"]).ok());
    vec![systemd_finding(booted, version, subject.start)]
}

fn systemd_finding(booted: bool, version: Option<String>, start: bool) -> Finding {
    match (booted, version) {
        (true, version) => Finding::pass(version.unwrap_or_else(|| "systemd is process 1".into())),
        (false, _) if start => Finding::fail(
            "systemd is not process 1 (`/run/systemd/system` is not there)",
            "boot the host with systemd, or install with `--no-start` and start the services yourself",
        ),
        (false, _) => Finding::warn(
            "systemd is not process 1, and nothing is to be started",
            "start the services yourself after the installation",
        ),
    }
}

/// Whether the processor is the one that the binaries were built for.
pub(super) fn architecture(subject: &Subject) -> Vec<Finding> {
    let machine = rustix::system::uname().machine().to_string_lossy().into_owned();
    vec![architecture_finding(&machine, &subject.target)]
}

fn architecture_finding(machine: &str, target: &str) -> Finding {
    let wanted = match target.split('-').next().unwrap_or_default() {
        "riscv64gc" => "riscv64",
        "powerpc64le" => "ppc64le",
        other => other,
    };
    if machine == wanted {
        Finding::pass(machine)
    } else {
        Finding::fail(
            format!("`{machine}`, but the archive was built for `{target}`"),
            format!("take the archive for `{machine}`, or a host with `{wanted}`"),
        )
    }
}

/// The kernel, for the record: the binaries run on any that this program runs on.
pub(super) fn kernel(_: &Subject) -> Vec<Finding> {
    let name = rustix::system::uname();
    vec![Finding::pass(format!("{} {}", name.sysname().to_string_lossy(), name.release().to_string_lossy()))]
}

/// Whether there is memory for what will run.
pub(super) fn memory(subject: &Subject) -> Vec<Finding> {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let wanted = if subject.role.agent() { AGENT_MIB } else { SERVER_MIB };
    vec![memory_finding(total_mib(&text), wanted)]
}

fn memory_finding(total_mib: Option<u64>, wanted_mib: u64) -> Finding {
    match total_mib {
        None => Finding::warn("`/proc/meminfo` does not say how much there is", "mount `/proc`"),
        // The kernel keeps some for itself, and 2 GiB in the order form read as 1.9 GiB here.
        Some(total) if total < wanted_mib / 8 * 7 => {
            Finding::warn(format!("{total} MiB"), format!("give the host {wanted_mib} MiB or more"))
        }
        Some(total) => Finding::pass(format!("{total} MiB")),
    }
}

fn total_mib(meminfo: &str) -> Option<u64> {
    let rest = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = rest.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib / 1024)
}

/// Whether the clock is behind the archive, or far ahead of it. Certificates made under such a clock would not be valid elsewhere.
pub(super) fn clock(subject: &Subject) -> Vec<Finding> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    vec![clock_finding(now, subject.created)]
}

fn clock_finding(now: u64, created: u64) -> Finding {
    if now.saturating_add(CLOCK_TOLERANCE_S) < created {
        Finding::fail(
            format!("{}, before the archive was made ({})", utc(now), utc(created)),
            "set the clock, for example with `timedatectl set-time`",
        )
    } else if now > created.saturating_add(CLOCK_YEARS * 365 * 86400) && created > 0 {
        Finding::warn(
            format!(
                "{}, more than {CLOCK_YEARS} years after the archive was made ({})",
                utc(now),
                utc(created)
            ),
            "set the clock, for example with `timedatectl set-time`, if that is not today",
        )
    } else {
        Finding::pass(utc(now))
    }
}

/// Seconds since 1970 as a date and time in UTC.
pub fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86400, seconds % 86400);
    // Years that start in March, in eras of 400, have their leap day last and months of a fixed pattern.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", rest / 3600, rest / 60 % 60, rest % 60)
}

/// Whether a mandatory access control may get in the way.
pub(super) fn security_module(_: &Subject) -> Vec<Finding> {
    let enforce = fs::read_to_string("/sys/fs/selinux/enforce").ok();
    let apparmor = fs::read_to_string("/sys/module/apparmor/parameters/enabled").ok();
    vec![security_finding(enforce.as_deref(), apparmor.as_deref())]
}

fn security_finding(enforce: Option<&str>, apparmor: Option<&str>) -> Finding {
    match (enforce.map(str::trim), apparmor.map(str::trim)) {
        (Some("1"), _) => Finding::warn(
            "SELinux is enforcing, and Cairn brings no policy of its own",
            "if a service or a virtual machine is refused, look with `ausearch --message AVC --start recent`",
        ),
        (Some(_), _) => Finding::pass("SELinux is permissive"),
        (None, Some("Y")) => Finding::pass("AppArmor is enabled"),
        (None, _) => Finding::pass("neither SELinux nor AppArmor is enabled"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::State;
    use super::*;

    #[test]
    fn systemd_is_needed_to_start() {
        assert_eq!(systemd_finding(true, None, true).state, State::Pass);
        let failed = systemd_finding(false, Some("systemd 252".into()), true);
        assert_eq!(failed.state, State::Fail);
        assert!(failed.remedy.unwrap().contains("`--no-start`"));
        assert_eq!(systemd_finding(false, None, false).state, State::Warn);
    }

    #[test]
    fn the_processor_is_compared_by_its_name() {
        assert_eq!(architecture_finding("x86_64", "x86_64-unknown-linux-gnu").state, State::Pass);
        assert_eq!(architecture_finding("riscv64", "riscv64gc-unknown-linux-gnu").state, State::Pass);
        let failed = architecture_finding("aarch64", "x86_64-unknown-linux-gnu");
        assert_eq!((failed.state, failed.evidence.contains("aarch64")), (State::Fail, true));
    }

    #[test]
    fn memory_is_read_and_weighed() {
        assert_eq!(total_mib("MemTotal:        2014208 kB\nMemFree: 1 kB\n"), Some(1967));
        assert_eq!(total_mib("nonsense"), None);
        assert_eq!(memory_finding(Some(1967), 2048).state, State::Pass);
        assert_eq!(memory_finding(Some(1700), 2048).state, State::Warn);
        assert_eq!(memory_finding(None, 2048).state, State::Warn);
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(951_782_399), "2000-02-28 23:59:59 UTC");
        assert_eq!(utc(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(utc(1_709_251_199), "2024-02-29 23:59:59 UTC");
        assert_eq!(utc(4_102_444_800), "2100-01-01 00:00:00 UTC");
    }

    #[test]
    fn a_clock_behind_the_archive_fails_and_one_far_ahead_is_told() {
        let years = CLOCK_YEARS * 365 * 86400;
        assert_eq!(clock_finding(0, 1_700_000_000).state, State::Fail, "a clock that was never set");
        assert_eq!(clock_finding(1_700_000_000 + years, 1_700_000_000).state, State::Pass);
        assert_eq!(clock_finding(1_700_000_001 + years, 1_700_000_000).state, State::Warn);
        assert_eq!(clock_finding(1_700_000_000, 0).state, State::Pass, "the archive does not say");
        assert_eq!(clock_finding(1_000_000, 1_000_000 + CLOCK_TOLERANCE_S).state, State::Pass);
        assert_eq!(clock_finding(1_000_000, 1_000_001 + CLOCK_TOLERANCE_S).state, State::Fail);
    }

    #[test]
    fn only_an_enforcing_selinux_is_worth_a_word() {
        assert_eq!(security_finding(Some("1\n"), None).state, State::Warn);
        assert_eq!(security_finding(Some("0"), None).state, State::Pass);
        assert_eq!(security_finding(None, Some("Y\n")).evidence, "AppArmor is enabled");
    }
}
