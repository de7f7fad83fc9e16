//! Past libvirt: QEMU's monitor and the guest's agent, by the program that libvirt has for QEMU alone (libvirt-qemu.h).
//! libvirt marks a domain as tainted whose monitor was used.

use crate::connection::Connection;
use crate::domain::Domain;
use crate::error::Error;
use crate::qemu_error::QmpError;
use crate::wire::Procedure;
use crate::work::Work;
use serde_json::{Map, Value};
use std::sync::Arc;

/// How long the guest's agent may take (`virDomainQemuAgentCommandTimeoutValues`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentTimeout {
    /// For ever.
    Block,
    /// As long as libvirt thinks right: 5 seconds.
    Default,
    /// Not at all: fail unless the answer is there at once.
    NoWait,
    /// That many seconds.
    Seconds(u16),
}

impl Connection {
    /// Does a command of QEMU's monitor and returns what it returns (`virDomainQemuMonitorCommand`).
    ///
    /// libvirt calls it a success when QEMU has answered, whatever the answer: what QEMU calls an error is
    /// [`Error::Qmp`] here. A `query-` command changes nothing, and is waited for as long as a call that looks.
    pub async fn qemu_monitor_command(
        &self,
        domain: &Domain,
        execute: &str,
        arguments: Option<Value>,
    ) -> Result<Value, Error> {
        let command = command(execute, arguments);
        let work = if execute.starts_with("query-") { Work::Asks } else { Work::Changes };
        let reply: String =
            self.call_as(work, Procedure::QemuDomainMonitorCommand, (domain, command.as_str(), 0u32)).await?;
        outcome(execute, &reply, "the answer of QEMU's monitor")
    }

    /// Does a command of the guest's agent and returns what it returns (`virDomainQemuAgentCommand`).
    pub async fn qemu_agent_command(
        &self,
        domain: &Domain,
        execute: &str,
        arguments: Option<Value>,
        timeout: AgentTimeout,
    ) -> Result<Value, Error> {
        let command = command(execute, arguments);
        let arguments = (domain, command.as_str(), timeout.number(), 0u32);
        let reply: Option<String> = self.call(Procedure::QemuDomainAgentCommand, arguments).await?;
        // Some commands are answered by silence.
        match reply {
            Some(reply) => outcome(execute, &reply, "the answer of the guest's agent"),
            None => Ok(Value::Null),
        }
    }
}

impl AgentTimeout {
    fn number(self) -> i32 {
        match self {
            Self::Block => -2,
            Self::Default => -1,
            Self::NoWait => 0,
            Self::Seconds(seconds) => seconds.into(),
        }
    }
}

fn command(execute: &str, arguments: Option<Value>) -> String {
    let mut command = Map::from_iter([("execute".to_owned(), execute.into())]);
    command.extend(arguments.map(|arguments| ("arguments".to_owned(), arguments)));
    Value::Object(command).to_string()
}

/// What a monitor returned, or its error.
fn outcome(execute: &str, reply: &str, what: &'static str) -> Result<Value, Error> {
    let unusable = |why| Error::Json { what, why };
    let mut reply: Map<String, Value> =
        serde_json::from_str(reply).map_err(|error| unusable(error.to_string()))?;
    if let Some(error) = reply.get("error") {
        let text = |field| error.get(field).and_then(Value::as_str).unwrap_or("not told").to_owned();
        let error = QmpError { command: execute.to_owned(), class: text("class"), desc: text("desc") };
        return Err(Error::Qmp(Arc::new(error)));
    }
    reply.remove("return").ok_or_else(|| unusable("neither `return` nor `error` is in it".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_json() {
        assert_eq!(command("query-block", None), r#"{"execute":"query-block"}"#);
        let stop = command("eject", Some(serde_json::json!({"id": "a\"b"})));
        assert_eq!(stop, r#"{"arguments":{"id":"a\"b"},"execute":"eject"}"#);
    }

    #[test]
    fn an_error_inside_a_success_is_an_error() {
        let what = "it";
        assert_eq!(outcome("x", r#"{"return": {"a": 1}, "id": "7"}"#, what).unwrap()["a"], 1);
        let error =
            outcome("x", r#"{"id": "7", "error": {"class": "CommandNotFound", "desc": "no x"}}"#, what);
        let Err(Error::Qmp(error)) = error else { panic!("{error:?}") };
        assert_eq!((error.class.as_str(), error.to_string().as_str()), ("CommandNotFound", "`x`: no x"));
        for reply in ["", "[]", "{}", r#"{"event": "STOP"}"#] {
            assert!(matches!(outcome("x", reply, what), Err(Error::Json { .. })), "{reply}");
        }
        assert!(matches!(outcome("x", r#"{"error": 7}"#, what), Err(Error::Qmp(_))));
    }
}
