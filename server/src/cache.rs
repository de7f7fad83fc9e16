//! How QEMU is to open the file of a disk. What is asked for is settled here and nowhere else, when a task is planned that
//! makes a disk or turns a virtual machine on, and stands in its steps from then on, so that a repeat is the same order.
//! What people are told of it is said here, too.

use server_api::task::Action;
use server_api::vm::CacheChoice;

use crate::setting::VM_CACHE_MODE;
use crate::store::{Connection, StoreError};

/// What a task that is planned now asks for.
///
/// # Errors
/// If the database fails.
pub async fn requested(db: &mut Connection) -> Result<CacheChoice, StoreError> {
    VM_CACHE_MODE.value(db).await
}

/// What a step asks for that does not say: release 0.9 stored it, and asked for nothing else.
#[must_use]
pub fn unsaid() -> CacheChoice {
    CacheChoice::None
}

/// How the mode of a file came about: where what was asked for comes from, and what the host says of it. `now` is what the
/// setting says now.
#[must_use]
pub fn reason(requested: CacheChoice, now: CacheChoice, host: &str) -> String {
    if requested == now {
        format!("`vm.cacheMode` is `{now}`; {host}")
    } else {
        format!("`vm.cacheMode` is `{now}` now, which holds from the next start; {host}")
    }
}

/// What to type where a file was refused for want of O_DIRECT. `asked` is what the task asked for, `now` what the setting
/// says now; `again` does what failed again.
#[must_use]
pub fn advice(asked: CacheChoice, now: CacheChoice, again: &str) -> String {
    // A host that was left the choice saw O_DIRECT work, and QEMU failed all the same: so it would again.
    let (better, why) = match asked {
        CacheChoice::Auto => (CacheChoice::Writeback, "go through its page cache"),
        CacheChoice::None
        | CacheChoice::Writeback
        | CacheChoice::Writethrough
        | CacheChoice::Directsync
        | CacheChoice::Unsafe => (CacheChoice::Auto, "let the host choose"),
    };
    if now == better {
        format!("now that `vm.cacheMode` is `{now}`, {again}")
    } else {
        format!("{why}: `cairn config set vm.cacheMode {better}`, then {again}")
    }
}

/// How to do a failed task again, on the virtual machine `name`.
#[must_use]
pub fn again(action: Action, name: &str) -> String {
    match action {
        // A reboot ends with a machine that is off.
        Action::VmStart | Action::VmReboot => format!("`cairn vm start {name}`"),
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
    fn a_reason_begins_with_where_the_mode_comes_from() {
        let (auto, writeback) = (CacheChoice::Auto, CacheChoice::Writeback);
        assert_eq!(reason(auto, auto, "set to `none`"), "`vm.cacheMode` is `auto`; set to `none`");
        assert_eq!(
            reason(auto, writeback, "set to `none`"),
            "`vm.cacheMode` is `writeback` now, which holds from the next start; set to `none`"
        );
    }

    #[test]
    fn advice_can_be_typed_and_leads_on() {
        let (auto, none, writeback) = (CacheChoice::Auto, CacheChoice::None, CacheChoice::Writeback);
        let start = again(Action::VmReboot, "web");
        assert_eq!(
            advice(none, none, &start),
            "let the host choose: `cairn config set vm.cacheMode auto`, then `cairn vm start web`"
        );
        assert_eq!(advice(none, auto, &start), "now that `vm.cacheMode` is `auto`, `cairn vm start web`");
        assert_eq!(
            advice(auto, auto, &again(Action::VmCreate, "web")),
            "go through its page cache: `cairn config set vm.cacheMode writeback`, then create it again"
        );
        assert_eq!(
            advice(auto, writeback, &start),
            "now that `vm.cacheMode` is `writeback`, `cairn vm start web`"
        );
    }
}
