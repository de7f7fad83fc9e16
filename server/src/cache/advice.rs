//! What to type where a mode does not work.

use server_api::cache::CacheLevel;
use server_api::task::Action;
use server_api::vm::CacheChoice;

use super::Asked;

/// What is asked of a disk, and what the storage, virtual machine or volume is called for which it is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What is asked.
    pub asked: Asked,
    /// The name; nobody's for everything.
    pub name: String,
}

impl Place {
    /// What sets another mode there.
    #[must_use]
    pub fn command(&self, mode: CacheChoice) -> String {
        let Self { asked, name } = self;
        match asked.level {
            CacheLevel::Global => format!("cairn config set vm.cacheMode {mode}"),
            CacheLevel::Storage => format!("cairn storage cache set {name} {mode}"),
            CacheLevel::Vm => format!("cairn vm cache set {name} {mode}"),
            CacheLevel::Volume => format!("cairn volume cache set {name} {mode}"),
        }
    }

    fn is(&self) -> String {
        let Self { asked, name } = self;
        let mode = asked.mode;
        match asked.level {
            CacheLevel::Global => format!("`vm.cacheMode` is `{mode}`"),
            CacheLevel::Storage => format!("storage `{name}` is set to `{mode}`"),
            CacheLevel::Vm => format!("virtual machine `{name}` is set to `{mode}`"),
            CacheLevel::Volume => format!("volume `{name}` is set to `{mode}`"),
        }
    }
}

/// What to type where a file was refused for want of O_DIRECT. `asked` is what the task asked for, `now` what is set now;
/// `again` does what failed again.
#[must_use]
pub fn advice(asked: CacheChoice, now: &Place, again: &str) -> String {
    // A host that was left the choice saw O_DIRECT work, and QEMU failed all the same: so it would again.
    let (better, why) = match asked {
        CacheChoice::Auto => (CacheChoice::Writeback, "go through its page cache"),
        CacheChoice::None
        | CacheChoice::Writeback
        | CacheChoice::Writethrough
        | CacheChoice::Directsync
        | CacheChoice::Unsafe => (CacheChoice::Auto, "let the host choose"),
    };
    if now.asked.mode == better {
        format!("now that {}, {again}", now.is())
    } else {
        format!("{why}: `{}`, then {again}", now.command(better))
    }
}

/// How to do a failed task again, on the virtual machine `name`.
#[must_use]
pub fn again(action: Action, name: &str) -> String {
    match action {
        // A reboot ends with a machine that is off.
        Action::VmStart | Action::VmReboot => format!("`cairn vm start {name}`"),
        Action::VmApplyCache => format!("`cairn vm apply-cache {name}`"),
        // The drive keeps its mode as long as the machine runs.
        Action::VmInsertMedia => format!("`cairn vm reboot {name}`, and insert the image again"),
        Action::VmAttachVolume => "attach the volume again".to_owned(),
        Action::VmCreate => "create it again".to_owned(),
        _ => "ask for it again".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_can_be_typed_and_leads_on() {
        let (auto, none, writeback) = (CacheChoice::Auto, CacheChoice::None, CacheChoice::Writeback);
        let start = again(Action::VmReboot, "web");
        let set = |mode| Place { asked: Asked::by_setting(mode), name: String::new() };
        assert_eq!(
            advice(none, &set(none), &start),
            "let the host choose: `cairn config set vm.cacheMode auto`, then `cairn vm start web`"
        );
        assert_eq!(
            advice(none, &set(auto), &start),
            "now that `vm.cacheMode` is `auto`, `cairn vm start web`"
        );
        assert_eq!(
            advice(auto, &set(auto), &again(Action::VmCreate, "web")),
            "go through its page cache: `cairn config set vm.cacheMode writeback`, then create it again"
        );
        assert_eq!(
            advice(auto, &set(writeback), &start),
            "now that `vm.cacheMode` is `writeback`, `cairn vm start web`"
        );
        let asked = Asked { level: CacheLevel::Storage, ..Asked::by_setting(none) };
        let storage = Place { asked, name: "fast".to_owned() };
        assert_eq!(
            advice(none, &storage, &start),
            "let the host choose: `cairn storage cache set fast auto`, then `cairn vm start web`"
        );
    }
}
