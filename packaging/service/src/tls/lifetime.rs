//! The check of `health` that a certificate lasts a while yet.

use std::path::Path;

use super::certificate;
use crate::report::Check;

/// Name of the check.
pub const NAME: &str = "certificate";

/// Below so many days a certificate wants attention.
const WARN_DAYS: i64 = 30;

/// Judges a certificate with `days_left`. `what` names it with where it was seen, `renewal` says how to make a new one.
#[must_use]
pub fn judge(what: &str, days_left: i64, renewal: &str) -> Check {
    match days_left {
        ..0 => Check::fail(NAME, format!("{what} ended {} days ago", -days_left), renewal),
        0..WARN_DAYS => Check::warn(NAME, format!("{what} ends in {days_left} days"), renewal),
        WARN_DAYS.. => Check::pass(NAME, format!("{what} lasts {days_left} more days")),
    }
}

/// Judges the first certificate in the file at `path`.
#[must_use]
pub fn check(path: &Path, renewal: &str) -> Check {
    let facts = super::certificates(path)
        .map_err(|error| error.to_string())
        .and_then(|chain| chain.first().map_or(Err("it is empty".to_owned()), certificate::facts));
    match facts {
        Ok(facts) => judge(&format!("`{}`", path.display()), facts.days_left, renewal),
        Err(error) => Check::fail(NAME, error, renewal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::State;

    #[test]
    fn the_last_month_wants_attention_and_the_end_is_a_failure() {
        let state = |days| judge("`a.pem`", days, "renew it").state;
        assert_eq!([state(30), state(29), state(0)], [State::Pass, State::Warn, State::Warn]);
        assert_eq!(judge("`a.pem`", -2, "renew it").evidence, "`a.pem` ended 2 days ago");
        assert_eq!(state(-1), State::Fail);
    }
}
