//! What the host can do for domains.

use agent_libvirt::{Connection, DomainCapabilities, Version};

use super::Libvirt;
use crate::accel::{self, Kvm};
use crate::spec::Machine;
use crate::state::Host;

impl Libvirt {
    pub(super) async fn describe_host(&self) -> Host {
        let kvm = self.kvm().await;
        let (hypervisor, uefi) = match self.connection().await {
            Ok(connection) => (versions(&connection).await, self.has_uefi(&connection, Machine::Q35).await),
            Err(error) => (Err(error.to_string()), false),
        };
        Host { hypervisor, accel: kvm.auto(), accel_reason: kvm.reason, uefi }
    }

    /// Whether KVM is usable. Opening its device can take a moment.
    pub(super) async fn kvm(&self) -> Kvm {
        let sources = self.options.accel.clone();
        let looked = tokio::task::spawn_blocking(move || accel::kvm(&sources)).await;
        looked.unwrap_or_else(|error| Kvm {
            usable: false,
            reason: format!("it could not be looked at: {error}"),
        })
    }

    /// Whether libvirt finds an image of UEFI for such a machine.
    pub(super) async fn has_uefi(&self, connection: &Connection, machine: Machine) -> bool {
        let machine = match machine {
            Machine::Q35 => "q35",
            Machine::I440fx => "pc",
        };
        let of = DomainCapabilities {
            arch: Some("x86_64".to_owned()),
            machine: Some(machine.to_owned()),
            virt_type: Some("qemu".to_owned()),
            ..DomainCapabilities::default()
        };
        match connection.domain_capabilities(&of).await {
            Ok(xml) => offers_uefi(&xml),
            Err(error) => {
                tracing::warn!("cannot ask libvirt for firmware: {error}");
                false
            }
        }
    }
}

async fn versions(connection: &Connection) -> Result<String, String> {
    let told = async { Ok((connection.lib_version().await?, connection.version().await?)) };
    let (libvirt, qemu): (Version, Version) =
        told.await.map_err(|error: agent_libvirt::Error| error.to_string())?;
    Ok(format!("libvirt {libvirt}, QEMU {qemu}"))
}

/// Whether the description of what domains can have (libvirt's page "Domain capabilities XML format") lists `efi` among
/// the firmware.
fn offers_uefi(xml: &str) -> bool {
    roxmltree::Document::parse(xml).is_ok_and(|document| {
        let is_firmware = |node: &roxmltree::Node<'_, '_>| {
            node.has_tag_name("enum") && node.attribute("name") == Some("firmware")
        };
        let mut values = document.descendants().filter(is_firmware).flat_map(|node| node.children());
        values.any(|value| value.text() == Some("efi"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uefi_is_offered_by_name() {
        let os = |values: &str| {
            format!("<domainCapabilities><os><enum name='firmware'>{values}</enum></os></domainCapabilities>")
        };
        assert!(offers_uefi(&os("<value>bios</value><value>efi</value>")));
        assert!(!offers_uefi(&os("<value>bios</value>")));
        assert!(!offers_uefi(&os("")));
        assert!(!offers_uefi("no XML"));
    }
}
