//! Past libvirt: QEMU's monitor, and the guest's agent.

use super::room::{Host, event, root};
use agent_libvirt::{
    AgentReason, AgentState, AgentTimeout, CreateFlags, Error, ErrorCode, Event, EventKind, MessageFlags,
    Procedure,
};
use serde_json::json;

const AGENT: &str = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>";

#[tokio::test(flavor = "multi_thread")]
async fn qemu_answers_and_its_errors_are_errors() {
    let root = root();
    let host = Host::start(&root, &[]);
    let connection = host.connect().await;
    let vm = host.define(&connection, "vm", "").await;
    connection.domain_create(&vm, CreateFlags::PAUSED).await.unwrap();
    let none: [String; 0] = [];
    assert_eq!(connection.domain_messages(&vm, MessageFlags::TAINTING).await.unwrap(), none);
    assert!(!host.virsh(["dominfo", "vm"]).contains("tainted"));

    let status = connection.qemu_monitor_command(&vm, "query-status", None).await.unwrap();
    assert_eq!(status["running"], json!(false));
    let virsh = host.virsh(["qemu-monitor-command", "vm", r#"{"execute":"query-status"}"#]);
    assert!(virsh.contains(&status["status"].to_string()), "{status} in {virsh}");
    let arguments = json!({"command-line": "info name"});
    let human = connection.qemu_monitor_command(&vm, "human-monitor-command", Some(arguments)).await.unwrap();
    assert_eq!(human.as_str().unwrap().trim(), "vm");
    host.shown(&[Procedure::QemuDomainMonitorCommand]);

    // For libvirt this went well, and virsh ends with 0.
    assert!(
        host.virsh(["qemu-monitor-command", "vm", r#"{"execute":"no-such"}"#]).contains("CommandNotFound")
    );
    let error = connection.qemu_monitor_command(&vm, "no-such", None).await.unwrap_err();
    let Error::Qmp(qmp) = &error else { panic!("{error}") };
    assert_eq!((qmp.command.as_str(), qmp.class.as_str()), ("no-such", "CommandNotFound"));
    assert!(error.to_string().starts_with("QEMU: `no-such`: "), "{error}");
    host.shown(&[Procedure::QemuDomainMonitorCommand]);

    // One command is enough for the rest of the domain's life.
    let messages = connection.domain_messages(&vm, MessageFlags::TAINTING).await.unwrap();
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(host.virsh(["dominfo", "vm"]).contains(&messages[0]), "{messages:?}");
    host.shown(&[Procedure::DomainGetMessages]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_not_there_is_told() {
    let root = root();
    let host = Host::start(&root, &[]);
    let connection = host.connect().await;
    let mut events = connection.subscribe(&[EventKind::AgentLifecycle]).await.unwrap();
    let vm = host.define(&connection, "vm", AGENT).await;
    connection.domain_create(&vm, CreateFlags::empty()).await.unwrap();
    let told = event(&mut events, |event| event.domain.uuid == vm.uuid).await;
    let (state, reason) = (AgentState::Disconnected, AgentReason::DomainStarted);
    assert_eq!(told.event, Event::AgentLifecycle { state, reason });
    host.shown(&[Procedure::DomainEventCallbackAgentLifecycle]);

    let error =
        connection.qemu_agent_command(&vm, "guest-ping", None, AgentTimeout::Seconds(1)).await.unwrap_err();
    assert_eq!(error.remote().unwrap().code, ErrorCode::AgentUnresponsive, "{error}");
    let virsh = host.sh("virsh -q qemu-agent-command vm '{\"execute\":\"guest-ping\"}' 2>&1 || true", []);
    assert!(virsh.contains(&error.remote().unwrap().message), "{error} in {virsh}");
    // Without an agent, that both are refused alike is what shows the procedure.
    host.refused(Procedure::QemuDomainAgentCommand);
}
