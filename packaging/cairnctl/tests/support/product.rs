//! A product whose programs are a few lines of shell that keep to the control contract, in versions that differ: small
//! enough to be installed hundreds of times.

use std::path::{Path, PathBuf};

use packaging_archive::{HELPER, Mode};

use crate::pair::pack_entries;

/// The product's versions. A server of 1.0 has none of the later commands, 1.1 has them, 2.0 knows one migration more and brings a
/// timer, and that of `broken` cannot migrate.
pub const VERSIONS: [&str; 4] = ["1.0", "1.1", "2.0", "broken"];

/// Packs a version into a folder.
pub fn pack(folder: &Path, version: &str) -> PathBuf {
    pack_with(folder, version, Vec::new())
}

/// The same, with more entries.
pub fn pack_with(folder: &Path, version: &str, more: Vec<(&str, Mode, Vec<u8>)>) -> PathBuf {
    let file = folder.join(format!("{version}.run"));
    let known = if version == "2.0" { "3" } else { "2" };
    let later = match version {
        "1.0" => "exit 1".to_owned(),
        _ => INSPECT.replace("@KNOWN@", known),
    };
    let migrate = match version {
        "1.0" => "exit 1".to_owned(),
        "broken" => {
            "echo half >\"$data/cairn.db\"; echo log >\"$data/cairn.db-wal\"; echo no >&2; exit 7".to_owned()
        }
        _ => format!("echo {known} >\"$data/cairn.db\"; echo '{{\"contract\":1}}'"),
    };
    let server = SERVER
        .replace("@BACKUP@", if version == "1.0" { "exit 1" } else { BACKUP })
        .replace("@LATER@", &later)
        .replace("@MIGRATE@", &migrate)
        .replace("@VERSION@", version);
    let text = |text: &str| text.as_bytes().to_vec();
    let mut entries = vec![
        (HELPER, Mode::Executable, text("a helper")),
        ("bin/cairn-agent", Mode::Executable, text(AGENT)),
        ("bin/cairn-server", Mode::Executable, text(&server)),
        ("etc/agent.toml", Mode::File, text("# the same in each version\n")),
        ("etc/server.toml", Mode::File, text(&format!("# default of {version}\n"))),
        ("share/file", Mode::File, text(version)),
        ("systemd/cairn-agent.service", Mode::File, text("[Service]\n")),
        ("systemd/cairn-server.service", Mode::File, text(&format!("[Service]\n# {version}\n"))),
    ];
    if version == "1.0" {
        entries.push(("etc/old.toml", Mode::File, text("# only in 1.0\n")));
        entries.push(("systemd/old.service", Mode::File, text("[Service]\n")));
    }
    if version == "2.0" {
        entries.push(("systemd/later.service", Mode::File, text("[Service]\n")));
        entries.push(("systemd/later.timer", Mode::File, text("[Timer]\n")));
    }
    entries.extend(more);
    pack_entries(&file, "cairn", version, entries);
    file
}

const SERVER: &str = r#"#!/bin/sh
# @VERSION@: --root ROOT COMMAND
set -eu
root=$2
tls=$root/etc/cairn/tls
data=$root/var/lib/cairn/server
case $3 in
bootstrap)
	mkdir -p "$tls" "$data"
	for name in server server-client agent; do
		for end in pem key; do
			[ -e "$tls/$name.$end" ] || echo "secret $*" >"$tls/$name.$end"
		done
	done
	[ -e "$data/cairn.db" ] || echo 2 >"$data/cairn.db"
	state=kept password=null
	case $* in *--admin-password-stdin*) read -r given ;; *) given= ;; esac
	[ -e "$data/admin.json" ] || {
		echo "{$given}" >"$data/admin.json"
		state=created
		[ -n "$given" ] || password='"a password"'
	}
	echo '{"contract":1,"admin":{"user":"admin","state":"'$state'","password":'"$password"'},"url":"https://localhost/"}'
	;;
inspect) @LATER@ ;;
backup) @BACKUP@ ;;
health)
	healthy=true state=pass
	[ ! -e "$root/ill" ] || healthy=false state=fail
	echo '{"contract":1,"healthy":'$healthy',"checks":[{"name":"port","state":"'$state'","evidence":"as it is","remedy":null}]}'
	;;
migrate) @MIGRATE@ ;;
*) exit 1 ;;
esac
"#;

/// A line `bad = ...` is what it does not take; `listen` is all that can be set.
const INSPECT: &str = r#"
	file=$root/etc/cairn/server.toml why=null
	applied=$(cat "$data/cairn.db" 2>/dev/null || echo null)
	listen=$(sed -n 's/^listen = //p' "$file" 2>/dev/null || :)
	! grep -q '^bad' "$file" 2>/dev/null || why='"`'$file'` has an unknown key `bad`"'
	echo '{"contract":1,"configuration":'$why',"settings":{"listen":'${listen:-'"[::]:8443"'}'},"known":@KNOWN@,"applied":'$applied'}'
"#;

/// `--root ROOT backup --json --to FILE`.
const BACKUP: &str = r#"
	[ ! -e "$6" ]
	cp "$data/cairn.db" "$6"
	echo '{"contract":1,"applied":'"$(cat "$6")"'}'
"#;

const AGENT: &str = r#"#!/bin/sh
set -eu
case $3 in
health) echo '{"contract":1,"healthy":true,"checks":[]}' ;;
inspect) echo '{"contract":1,"configuration":null,"settings":{"listen":"[::]:7070"}}' ;;
*)
	mkdir -p "$2/var/lib/cairn/agent"
	echo '{"contract":1}'
	;;
esac
"#;
