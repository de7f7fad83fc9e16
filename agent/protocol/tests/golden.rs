//! Every call has a golden file, its types read and write that file without loss, and nothing unknown is taken.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use std::path::Path;

use agent_protocol::call::{self, ALL, Call, Each};
use agent_protocol::envelope::{Failure, Reply, Request};
use serde_json::Value;

fn golden(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|_| panic!("the call `{name}` needs {}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// The types of one call against its golden file, both ways.
struct Check;

impl Each for Check {
    fn call<C: Call>(&mut self) {
        let golden = golden(C::NAME);
        let request: Request<C::Request> = serde_json::from_value(golden["request"].clone()).unwrap();
        let reply: Reply<C::Reply> = serde_json::from_value(golden["reply"].clone()).unwrap();
        assert_eq!(serde_json::to_value(request).unwrap(), golden["request"], "{}", C::NAME);
        assert_eq!(serde_json::to_value(reply).unwrap(), golden["reply"], "{}", C::NAME);

        let mut strange = golden["request"].clone();
        strange["arguments"]["storageMigrationPolicy"] = "full".into();
        assert!(serde_json::from_value::<Request<C::Request>>(strange).is_err(), "{}", C::NAME);
        let mut strange = golden["reply"].clone();
        strange["result"]["withStorage"] = true.into();
        assert!(serde_json::from_value::<Reply<C::Reply>>(strange).is_err(), "{}", C::NAME);
        assert_eq!(golden["request"]["protocol"], agent_protocol::VERSION, "{}", C::NAME);
    }
}

#[test]
fn every_call_reads_and_writes_its_golden_file() {
    call::each(&mut Check);
}

#[test]
fn every_golden_file_belongs_to_a_call() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(ALL.iter().any(|(call, _)| name == format!("{call}.json")), "{name} has no call");
    }
}

#[test]
fn paths_are_distinct_and_carry_the_major_version() {
    let mut paths: Vec<_> = ALL.iter().map(|(_, path)| *path).collect();
    assert!(paths.iter().all(|path| path.starts_with(&format!("/v{}/", agent_protocol::VERSION))));
    paths.sort_unstable();
    paths.dedup();
    assert_eq!(paths.len(), ALL.len());
}

#[test]
fn a_failure_keeps_its_words() {
    let text = r#"{"protocol":3,"code":"unknown_call","message":"there is no call `/v3/x`"}"#;
    let failure: Failure = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&failure).unwrap(), text);
}
