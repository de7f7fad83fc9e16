//! How QEMU is to open the file of a disk. What is asked for is settled here and nowhere else, when a task is planned that
//! makes a disk or turns a virtual machine on, and stands in its steps from then on, so that a repeat is the same order.
//! What people are told of it is said here, too.

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

/// What to do where the file system of a storage does not take the mode.
pub const REFUSED: &str = "use a storage on a file system that supports O_DIRECT: `cairn storage create NAME --path \
    /a/folder/elsewhere`; or install a release whose cache mode can be set";

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
}
