//! No procedure without a test that shows what it does.

use agent_libvirt::{Procedure, Program};
use std::collections::HashSet;
use std::path::Path;

#[test]
fn every_procedure_is_shown_against_libvirt() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real");
    let texts = std::fs::read_dir(folder)
        .expect("tests")
        .map(|file| std::fs::read_to_string(file.expect("a file").path()).expect("a text"));
    let tests: String = texts.collect();
    let code: Vec<&str> = tests.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    // What is given to them fails unless it was answered, or arrived.
    let named: HashSet<&str> = [".shown(&[", "shown_in(&frames, &[", ".refused("]
        .iter()
        .flat_map(|call| code.split(call).skip(1))
        .filter_map(|rest| rest.split([']', ')']).next())
        .flat_map(|given| given.split("Procedure::").skip(1))
        .map(|rest| rest.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default())
        .collect();
    for procedure in Procedure::ALL {
        assert!(
            named.contains(format!("{procedure:?}").as_str()),
            "no test in tests/real shows `{procedure:?}`; call it there, ask virsh, and give it to `Host::shown`"
        );
    }
}

#[test]
fn numbers_and_names_stand_once_and_in_order() {
    for program in [Program::Remote, Program::Qemu, Program::Keepalive] {
        let numbers: Vec<i32> =
            Procedure::ALL.iter().filter(|one| one.program() == program).map(|one| one.number()).collect();
        assert!(!numbers.is_empty() && numbers.is_sorted_by(|a, b| a < b), "{program:?}: {numbers:?}");
    }
    for procedure in Procedure::ALL {
        assert_eq!(Procedure::find(procedure.program().number(), procedure.number()), Some(*procedure));
        assert_eq!(procedure.name().replace('_', "").to_lowercase(), shortened(*procedure));
    }
}

/// The variant's name without its program.
fn shortened(procedure: Procedure) -> String {
    let name = format!("{procedure:?}").to_lowercase();
    let prefix = match procedure.program() {
        Program::Remote => "",
        Program::Qemu => "qemu",
        Program::Keepalive => "keepalive",
    };
    name.strip_prefix(prefix).unwrap_or(&name).to_owned()
}
