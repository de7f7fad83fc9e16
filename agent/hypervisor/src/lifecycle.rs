//! What may be done to a domain when. Both hypervisors ask here, so that they cannot differ.
//!
//! ```text
//!              Start                    Suspend
//!   Shutoff ----------> Running  <---------------> Paused
//!   Crashed               |  ^ \      Resume          |
//!      ^                  |  |  \ Reboot, Reset       |
//!      |    Destroy       |  +---+                    |
//!      +------------------+-------- Destroy ----------+
//!      |    Shutdown (the guest does it, or says nothing)
//! ```

use std::time::Duration;

use crate::error::Error;
use crate::interface::Attempt;
use crate::state::State;

/// What can be done to a domain's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Turn it on.
    Start(Start),
    /// Press its power button and wait for the guest to turn itself off. A guest that does not within `patience` is an
    /// error, and runs on.
    Shutdown {
        /// How long to wait.
        patience: Duration,
    },
    /// Cut its power. What the guest had not written is lost.
    Destroy,
    /// Press its power button, and turn it on again when the guest has turned itself off: as it is configured by then, so that
    /// what was settled for its next start counts. A guest that does not within `patience` is an error, and runs on.
    Reboot {
        /// How long to wait.
        patience: Duration,
    },
    /// Press its reset button: the guest starts over at once. What it had not written is lost.
    Reset,
    /// Stop its processors.
    Suspend,
    /// Let them go on.
    Resume,
}

/// How a domain comes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Running.
    Running,
    /// With stopped processors.
    Paused,
}

/// What is to be done about an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is to be done.
    Do,
    /// An earlier attempt did it.
    AlreadySo,
}

impl Action {
    /// What it is called in sentences: "cannot {} `vm`".
    #[must_use]
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Start(_) => "start",
            Self::Shutdown { .. } => "shut down",
            Self::Destroy => "force off",
            Self::Reboot { .. } => "reboot",
            Self::Reset => "reset",
            Self::Suspend => "pause",
            Self::Resume => "resume",
        }
    }
}

/// Judges whether `action` can be done to the domain `name` in `state`.
///
/// # Errors
/// [`Error::NotNow`].
pub fn judge(name: &str, state: State, action: Action, attempt: Attempt) -> Result<Verdict, Error> {
    let again = |verdict| match attempt {
        Attempt::Again => Ok(verdict),
        Attempt::First => Err(()),
    };
    let verdict = match (action, state) {
        (Action::Start(_), State::Shutoff | State::Crashed) => Ok(Verdict::Do),
        (Action::Start(Start::Running), State::Running) => again(Verdict::AlreadySo),
        (Action::Start(Start::Paused), State::Paused) => again(Verdict::AlreadySo),
        // libvirt starts a domain paused, and lets it go as the last step.
        (Action::Start(Start::Running), State::Paused) => again(Verdict::Do),
        (Action::Start(Start::Paused), State::Running)
        | (Action::Start(_), State::Shutdown | State::Pmsuspended) => Err(()),
        (Action::Shutdown { .. }, State::Running | State::Shutdown) => Ok(Verdict::Do),
        (Action::Shutdown { .. } | Action::Destroy, State::Shutoff | State::Crashed) => {
            again(Verdict::AlreadySo)
        }
        (Action::Shutdown { .. }, State::Paused | State::Pmsuspended) => Err(()),
        (Action::Destroy, State::Running | State::Paused | State::Shutdown | State::Pmsuspended) => {
            Ok(Verdict::Do)
        }
        (Action::Reboot { .. }, State::Running) => Ok(Verdict::Do),
        // An earlier attempt got as far as to see it off, or to press the button.
        (Action::Reboot { .. }, State::Shutoff | State::Shutdown) => again(Verdict::Do),
        (Action::Reset, State::Running | State::Paused) => Ok(Verdict::Do),
        (Action::Reboot { .. } | Action::Reset, _) => Err(()),
        (Action::Suspend, State::Running) => Ok(Verdict::Do),
        (Action::Suspend, State::Paused) | (Action::Resume, State::Running) => again(Verdict::AlreadySo),
        (Action::Resume, State::Paused) => Ok(Verdict::Do),
        (Action::Suspend | Action::Resume, _) => Err(()),
    };
    verdict.map_err(|()| Error::NotNow { name: name.to_owned(), verb: action.verb(), state })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);
    const STATES: [State; 6] =
        [State::Shutoff, State::Running, State::Paused, State::Shutdown, State::Crashed, State::Pmsuspended];

    fn allowed(action: Action, attempt: Attempt) -> Vec<&'static str> {
        let can = |state: &State| judge("vm", *state, action, attempt).is_ok();
        STATES.iter().filter(|state| can(state)).map(|state| state.as_str()).collect()
    }

    #[test]
    fn what_is_allowed_when() {
        let first = |action| allowed(action, Attempt::First).join(" ");
        assert_eq!(first(Action::Start(Start::Running)), "shutoff crashed");
        assert_eq!(first(Action::Start(Start::Paused)), "shutoff crashed");
        assert_eq!(first(Action::Shutdown { patience: PATIENCE }), "running shutdown");
        assert_eq!(first(Action::Destroy), "running paused shutdown pmsuspended");
        assert_eq!(first(Action::Reboot { patience: PATIENCE }), "running");
        assert_eq!(first(Action::Reset), "running paused");
        assert_eq!(first(Action::Suspend), "running");
        assert_eq!(first(Action::Resume), "paused");
    }

    #[test]
    fn a_later_attempt_also_takes_what_it_was_to_bring_about() {
        let again = |action| allowed(action, Attempt::Again).join(" ");
        assert_eq!(again(Action::Start(Start::Running)), "shutoff running paused crashed");
        assert_eq!(again(Action::Shutdown { patience: PATIENCE }), "shutoff running shutdown crashed");
        assert_eq!(again(Action::Destroy), "shutoff running paused shutdown crashed pmsuspended");
        assert_eq!(again(Action::Reboot { patience: PATIENCE }), "shutoff running shutdown");
        assert_eq!(again(Action::Suspend), "running paused");
        assert_eq!(again(Action::Resume), "running paused");
        let judged = judge("vm", State::Running, Action::Start(Start::Running), Attempt::Again);
        assert_eq!(judged.unwrap(), Verdict::AlreadySo);
    }

    #[test]
    fn a_refusal_names_domain_state_and_verb() {
        let refused = judge("web", State::Shutoff, Action::Suspend, Attempt::First).unwrap_err();
        assert_eq!(refused.to_string(), "cannot pause `web`: it is shutoff; look at its state and try again");
    }
}
