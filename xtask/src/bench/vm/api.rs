//! What a start takes that comes by the API, on a machine on which the packed file is installed, beside `virsh start` of a
//! domain that is the same.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use xtask_testbed::guest::{self, Kind};
use xtask_testbed::{Invocation, Machine, MachineOptions, Root};

use super::Sample;

/// How long it may take.
const LIMIT: Duration = Duration::from_secs(1800);

/// Makes a virtual machine, and a domain beside it that only libvirt knows.
const PREPARE: &str = r#"set -eu
export HOME=/root; cd /root
sh cairn.run --yes --admin-password-file password >/dev/null
cairn=/opt/cairn/current/bin/cairn
$cairn login https://localhost:8443 --user admin --password-stdin <password
$cairn storage create bench --path /srv/bench
$cairn image import bench --source /home/bench.raw --storage bench --wait
$cairn vm create ours --image bench --memory 64M --accel tcg --wait
$cairn --output json token create bench | sed -n 's/.*"secret": *"\([^"]*\)".*/\1/p' >token
$cairn --output json vm show ours | sed -n 's/.*"id": *"\([^"]*\)".*/\1/p' | head -n 1 >id
test -s token && test -s id
virsh dumpxml --inactive "$(virsh list --all --name | head -n 1)" |
    sed -e '/<uuid>/d' -e 's,<name>.*</name>,<name>plain</name>,' -e '/<metadata>/,/<\/metadata>/d' >plain.xml
virsh --quiet define plain.xml
"#;

/// Starts both, each first in every other round.
const MEASURE: &str = r#"set -eu
export HOME=/root; cd /root
cairn=/opt/cairn/current/bin/cairn
name=$(virsh list --all --name | grep -v '^plain$' | head -n 1)
ours() {
    begin=$(date +%s%N)
    curl --silent --show-error --fail --cacert /etc/cairn/tls/ca.pem --header "Authorization: Bearer $(cat token)" \
        --header 'Content-Type: application/json' --data '{}' "https://localhost:8443/api/v1/vms/$(cat id)/start" >/dev/null
    until [ "$(virsh --quiet domstate "$name")" = running ]; do :; done
    echo "ours $(($(date +%s%N) - begin))"
    $cairn vm force-off ours --wait >/dev/null
}
plain() {
    begin=$(date +%s%N)
    virsh --quiet start plain >/dev/null
    echo "plain $(($(date +%s%N) - begin))"
    virsh --quiet destroy plain >/dev/null
}
for round in $(seq "$1"); do
    if [ $((round % 2)) = 1 ]; then ours; plain; else plain; ours; fi
done
"#;

/// Measures both.
///
/// # Errors
/// If the file cannot be installed, or nothing starts.
pub fn samples(virt: &Root, file: &Path, rounds: u16) -> Result<Vec<Sample>> {
    let machine = Machine::boot(virt, MachineOptions::default())?;
    machine.copy_in(file, "/root/cairn.run", 0o644)?;
    machine.write("/root/password", 0o600, "a long password of nobody")?;
    machine.write("/home/bench.raw", 0o644, guest::disk(Kind::Answering))?;
    machine.run(Invocation::sh(PREPARE).limit(LIMIT))?.checked()?;
    let said = machine.run(Invocation::sh(MEASURE).arg(rounds.to_string()).limit(LIMIT))?.checked()?;
    said.stdout_text().lines().map(sample).collect()
}

fn sample(line: &str) -> Result<Sample> {
    let (who, nanoseconds) = line.split_once(' ').with_context(|| format!("`{line}` is no sample"))?;
    let nanoseconds: f64 = nanoseconds.parse().with_context(|| format!("`{line}` is no sample"))?;
    let subject = if who == "ours" { "cairn" } else { "virsh start" }.to_owned();
    Ok(Sample { operation: "API call to running".to_owned(), subject, value: nanoseconds / 1e9 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_sample() {
        let expected =
            Sample { operation: "API call to running".into(), subject: "virsh start".into(), value: 0.5 };
        assert_eq!(sample("plain 500000000").unwrap(), expected);
        assert!(sample("plain soon").is_err());
    }
}
