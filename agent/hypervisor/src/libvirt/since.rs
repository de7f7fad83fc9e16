//! What QEMU was told past libvirt since it was started, and how it is kept: in libvirt's metadata of the running domain,
//! which outlives the agent and libvirt and ends with QEMU.
//!
//! ```text
//!           asked               the monitor has done it
//!   nothing ------> asked ------------------------------> done
//!                     |  the agent dies, or libvirt
//!                     +--> whoever looks next finds out, and notes it
//! ```

use agent_libvirt::{AffectFlags, Connection};

use super::look;
use super::nodes::{Nodes, Report};
use super::registry::Registry;
use super::{devices, refusal};
use crate::domain::{self, Described, DiskAt, Since};
use crate::error::Error;
use crate::spec::CacheMode;

/// Keeps with the running domain what its QEMU was told.
pub(super) async fn note(
    connection: &Connection,
    handle: &agent_libvirt::Domain,
    live: &Described,
) -> Result<(), Error> {
    let Some(mark) = live.mark else { return Err(Error::Foreign { name: handle.name.clone() }) };
    let element = domain::mark_xml(mark, &live.disks, &live.drives)?;
    let what = format!("note the cache modes of `{}`", handle.name);
    devices::note(connection, handle, &element, AffectFlags::LIVE, what).await
}

/// Finds out whether QEMU has done what it was asked by an agent that died then, and notes it.
///
/// # Errors
/// What keeps it from being known, as a sentence. What could be found out stands in `live`.
pub(super) async fn find_out(
    registry: &Registry,
    connection: &Connection,
    handle: &agent_libvirt::Domain,
    xml: &str,
    live: &mut Described,
) -> Result<(), String> {
    if live.disks.iter().all(|at| at.since.asked.is_none()) {
        return Ok(());
    }
    // libvirt does one thing after the other with a domain: what it was asked by an agent that died is done after this.
    note(connection, handle, live).await.map_err(|error| error.to_string())?;
    let files = live.disks.iter().map(|at| at.disk.source.clone()).collect();
    let real = look::real_paths(files).await;
    let open = registry.evidence().open_files(&live.name, live.uuid);
    let command_line = registry.evidence().command_line(&live.name, live.uuid)?;
    for at in &mut live.disks {
        let Some(asked) = at.since.asked.clone() else { continue };
        let done = match asked.mode.is_direct() == at.told().mode.is_direct() {
            // Its descriptors tell.
            false => {
                let file = real.get(&at.disk.source).unwrap_or(&at.disk.source);
                let (direct, why) = open.direct(file);
                direct.ok_or(why)? == asked.mode.is_direct()
            }
            // Only its monitor does. It has been used, or was about to be.
            true => {
                let nodes = nodes(xml, at, &command_line)?;
                let report = report(connection, handle).await.map_err(|error| error.to_string())?;
                let no_flush =
                    nodes.fit(&report).no_flush(&report).ok_or("QEMU does not have the disk open")?;
                no_flush == (asked.mode == CacheMode::Unsafe)
            }
        };
        at.since.asked = None;
        if done {
            at.since = since(at, asked);
        }
    }
    note(connection, handle, live).await.map_err(|error| error.to_string())
}

/// What is to be remembered of a disk that is in this mode now: nothing, if it is as it was started.
pub(super) fn since(at: &DiskAt, now: crate::cache::Decision) -> Since {
    Since { done: (now != at.decided).then_some(now), asked: None }
}

/// The nodes of a disk.
///
/// # Errors
/// Why they cannot be known, as the end of a sentence.
pub(super) fn nodes(xml: &str, at: &DiskAt, command_line: &[String]) -> Result<Nodes, String> {
    let chain = domain::chain(xml, at);
    let chain = chain.ok_or("libvirt does not tell which files it lies on, by their numbers")?;
    Nodes::of(&chain, command_line)
}

/// What QEMU says of its nodes. This marks the domain as tainted.
pub(super) async fn report(connection: &Connection, handle: &agent_libvirt::Domain) -> Result<Report, Error> {
    let what = || format!("ask QEMU how it has the disks of `{}` open", handle.name);
    let flat = serde_json::json!({ "flat": true });
    let answer = connection.qemu_monitor_command(handle, "query-named-block-nodes", Some(flat)).await;
    let answer = answer.map_err(|error| refusal::plain(&error, handle.uuid, what()))?;
    Report::read(answer).map_err(|cause| Error::Failed {
        what: what(),
        cause,
        remedy: "report this, with what `virsh version` says".to_owned(),
    })
}
