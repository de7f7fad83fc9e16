//! Every call has a golden file, its types read and write that file without loss, and nothing unknown is taken.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use std::path::Path;

use agent_protocol::call::{self, ALL, Call, Each};
use agent_protocol::envelope::{Failure, FailureCode, Reply, Request};
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

        for (at, strange) in strange(&golden["request"]) {
            let read = serde_json::from_value::<Request<C::Request>>(strange);
            assert!(read.is_err(), "the request of {} takes anything at `{at}`", C::NAME);
        }
        for (at, strange) in strange(&golden["reply"]) {
            let read = serde_json::from_value::<Reply<C::Reply>>(strange);
            assert!(read.is_err(), "the reply of {} takes anything at `{at}`", C::NAME);
        }
        for side in ["request", "reply"] {
            assert_eq!(golden[side]["protocol"], agent_protocol::VERSION, "{}", C::NAME);
        }
        assert_eq!(golden["request"]["operation"], golden["reply"]["operation"], "{}", C::NAME);
    }
}

/// A value with a field that nobody knows, once for each object in it, the outermost included, with where that is.
fn strange(value: &Value) -> Vec<(String, Value)> {
    let mut places = vec![String::new()];
    objects(value, "", &mut places);
    let with = |at: String| {
        let mut strange = value.clone();
        let object = strange.pointer_mut(&at).unwrap();
        object["storageMigrationPolicy"] = "full".into();
        (at, strange)
    };
    places.into_iter().map(with).collect()
}

/// Where objects lie below `value`, which lies at `at`.
fn objects(value: &Value, at: &str, places: &mut Vec<String>) {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (format!("{at}/{name}"), value)).collect(),
        Value::Array(items) => {
            items.iter().enumerate().map(|(number, value)| (format!("{at}/{number}"), value)).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    for (at, value) in inner {
        if value.is_object() {
            places.push(at.clone());
        }
        objects(value, &at, places);
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

/// The word of each. Whoever adds one is stopped here, and adds it to the list below.
const fn word(code: FailureCode) -> &'static str {
    match code {
        FailureCode::Protocol => "protocol",
        FailureCode::Request => "request",
        FailureCode::UnknownCall => "unknown_call",
        FailureCode::OperationReused => "operation_reused",
        FailureCode::NotFound => "not_found",
        FailureCode::Exists => "exists",
        FailureCode::Invalid => "invalid",
        FailureCode::Unsupported => "unsupported",
        FailureCode::Conflict => "conflict",
        FailureCode::DirectIo => "direct_io",
        FailureCode::LossNotAccepted => "loss_not_accepted",
        FailureCode::GuestSilent => "guest_silent",
        FailureCode::NoSpace => "no_space",
        FailureCode::Unavailable => "unavailable",
        FailureCode::Interrupted => "interrupted",
        FailureCode::Failed => "failed",
        FailureCode::Internal => "internal",
    }
}

#[test]
fn every_kind_of_failure_keeps_its_word() {
    for text in [
        "protocol",
        "request",
        "unknown_call",
        "operation_reused",
        "not_found",
        "exists",
        "invalid",
        "unsupported",
        "conflict",
        "direct_io",
        "loss_not_accepted",
        "guest_silent",
        "no_space",
        "unavailable",
        "interrupted",
        "failed",
        "internal",
    ] {
        let code: FailureCode = serde_json::from_value(text.into()).unwrap();
        assert_eq!((word(code), serde_json::to_value(code).unwrap()), (text, text.into()));
    }
}
