//! Starting and stopping.

use std::time::{Duration, Instant};

use agent_libvirt::{
    Connection, CreateFlags, DestroyFlags, DomainState, PausedReason, ShutdownFlags, ShutoffReason,
};
use uuid::Uuid;

use super::refusal::{self, Log};
use super::registry::Seen;
use super::{Libvirt, look};
use crate::error::Error;
use crate::interface::Attempt;
use crate::lifecycle::{Action, Start, Verdict, judge};
use crate::state::{Domain, State};

impl Libvirt {
    pub(super) async fn act_on_power(
        &self,
        uuid: Uuid,
        action: Action,
        attempt: Attempt,
    ) -> Result<Domain, Error> {
        let connection = self.connection().await?;
        let handle = self.ours(&connection, uuid).await?;
        // Not what is kept: what someone has just done may not have been told yet.
        let state = match (self.told(&connection, &handle).await?, action) {
            // What is being started is off to everyone but who wants it to be: it may be running in a moment.
            (DomainState::Paused(PausedReason::StartingUp), Action::Destroy) => State::Paused,
            (told, _) => look::state(told),
        };
        match judge(&handle.name, state, action, attempt)? {
            Verdict::AlreadySo => {}
            Verdict::Do => {
                let done = self.perform(&connection, &handle, state, action).await;
                if done.is_err() {
                    // A start that failed gives no event, and may have been looked at in the middle.
                    let _ = look::at(&self.registry, &connection, &handle).await;
                }
                done?;
            }
        }
        self.looked_at(&handle).await
    }

    async fn perform(
        &self,
        connection: &Connection,
        handle: &agent_libvirt::Domain,
        state: State,
        action: Action,
    ) -> Result<(), Error> {
        let done = match action {
            // What an earlier attempt left at its first instruction.
            Action::Start(Start::Running) if state == State::Paused => connection.domain_resume(handle).await,
            Action::Start(start) => return self.start_domain(connection, handle, start).await,
            // An earlier attempt got as far as to see it off.
            Action::Reboot { .. } if !state.is_active() => return self.turn_on_again(handle).await,
            Action::Shutdown { patience } => return self.shut_down(handle, patience).await,
            Action::Reboot { patience } => return self.reboot(handle, patience).await,
            Action::Destroy => connection.domain_destroy(handle, DestroyFlags::empty()).await,
            Action::Reset => connection.domain_reset(handle).await,
            Action::Suspend => connection.domain_suspend(handle).await,
            Action::Resume => connection.domain_resume(handle).await,
        };
        let what = || format!("{} `{}`", action.verb(), handle.name);
        done.map_err(|error| refusal::plain(&error, handle.uuid, what()))
    }

    async fn start_domain(
        &self,
        connection: &Connection,
        handle: &agent_libvirt::Domain,
        start: Start,
    ) -> Result<(), Error> {
        let flags = match start {
            Start::Running => CreateFlags::empty(),
            Start::Paused => CreateFlags::PAUSED,
        };
        let log = Log::mark(&self.options.log_folder, &handle.name).await;
        let Err(error) = connection.domain_create(handle, flags).await else { return Ok(()) };
        let disks = self.opened_files(handle.uuid);
        Err(refusal::of_disks(&error, handle, format!("start `{}`", handle.name), &disks, &log.since().await))
    }

    async fn shut_down(&self, handle: &agent_libvirt::Domain, patience: Duration) -> Result<(), Error> {
        let off = self.press_until_off(handle, patience, "shut down").await?;
        if off { Ok(()) } else { Err(silent(handle, "turn itself off", patience)) }
    }

    /// Off and on, and not only started over: QEMU opens its files anew, as the configuration has it by now.
    async fn reboot(&self, handle: &agent_libvirt::Domain, patience: Duration) -> Result<(), Error> {
        if !self.press_until_off(handle, patience, "reboot").await? {
            return Err(silent(handle, "turn itself off to start over", patience));
        }
        self.turn_on_again(handle).await
    }

    /// Starts what its guest has turned off.
    async fn turn_on_again(&self, handle: &agent_libvirt::Domain) -> Result<(), Error> {
        let connection = self.connection_again().await?;
        let what = || format!("reboot `{}`", handle.name);
        let state = connection.domain_state(handle).await;
        match state.map_err(|error| refusal::plain(&error, handle.uuid, what()))? {
            // A libvirt that was started since does not know any more why it is off.
            DomainState::Shutoff(ShutoffReason::Shutdown | ShutoffReason::Unknown) => {
                self.start_domain(&connection, handle, Start::Running).await
            }
            // Someone was faster.
            state if look::state(state) == State::Running => Ok(()),
            // Someone has cut its power meanwhile, and means it.
            state => {
                Err(Error::NotNow { name: handle.name.clone(), verb: "reboot", state: look::state(state) })
            }
        }
    }

    /// Presses the power button until the domain is off. A guest that is only booting does not notice it: so it is pressed
    /// again every now and then, as an operator would. libvirt may be started anew meanwhile. False if it is not off within
    /// `patience`.
    async fn press_until_off(
        &self,
        handle: &agent_libvirt::Domain,
        patience: Duration,
        verb: &str,
    ) -> Result<bool, Error> {
        // What is kept may be from before somebody started it, and would be taken for an answer.
        self.looked_at(handle).await?;
        let end = Instant::now() + patience;
        let press = async || {
            let pressed =
                self.connection().await?.domain_shutdown(handle, ShutdownFlags::ACPI_POWER_BTN).await;
            pressed.map_err(|error| refusal::plain(&error, handle.uuid, format!("{verb} `{}`", handle.name)))
        };
        if let Err(error) = press().await {
            // It may have been on its way already, and QEMU gone before it could be asked.
            if self.state(&self.connection_again().await?, handle).await? == State::Running {
                return Err(error);
            }
        }
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let wait = left.min(self.options.press_again_after);
            let off = |seen: Option<&Seen>| seen.is_none_or(|seen| !seen.state.is_active());
            if self.registry.wait(handle.uuid, wait, off).await {
                return Ok(true);
            }
            if left <= wait {
                // What it does is known only while libvirt is.
                return Ok(!self.state(&self.connection_again().await?, handle).await?.is_active());
            }
            if let Err(error) = press().await {
                // It may be on its way by now, or libvirt away for a while.
                tracing::debug!("cannot press the power button of `{}` again: {error}", handle.name);
            }
        }
    }

    /// A domain of ours, as libvirt names it.
    pub(super) async fn ours(
        &self,
        connection: &Connection,
        uuid: Uuid,
    ) -> Result<agent_libvirt::Domain, Error> {
        let found = connection.domain_lookup_by_uuid(uuid).await;
        let handle = found.map_err(|error| refusal::first(&error, uuid, format!("find `{uuid}`")))?;
        if self.registry.seen(uuid).is_none() {
            look::at(&self.registry, connection, &handle).await.map_err(|error| unread(&error, &handle))?;
            if self.registry.seen(uuid).is_none() {
                return Err(Error::Foreign { name: handle.name });
            }
        }
        Ok(handle)
    }

    pub(super) async fn state(
        &self,
        connection: &Connection,
        handle: &agent_libvirt::Domain,
    ) -> Result<State, Error> {
        self.told(connection, handle).await.map(look::state)
    }

    /// The state of a domain in libvirt's words.
    async fn told(
        &self,
        connection: &Connection,
        handle: &agent_libvirt::Domain,
    ) -> Result<DomainState, Error> {
        let state = connection.domain_state(handle).await;
        let what = || format!("ask for the state of `{}`", handle.name);
        state.map_err(|error| refusal::plain(&error, handle.uuid, what()))
    }

    /// The connection of now, for what was begun by an earlier one: where there is none, nobody knows how far it got.
    async fn connection_again(&self) -> Result<Connection, Error> {
        self.connection().await.map_err(|error| match error {
            Error::Unavailable { cause } => Error::Interrupted { cause },
            error => error,
        })
    }

    /// A domain, after another look: by the connection of now, since what came before may have outlasted another.
    pub(super) async fn looked_at(&self, handle: &agent_libvirt::Domain) -> Result<Domain, Error> {
        let connection = self.connection_again().await?;
        look::at(&self.registry, &connection, handle).await.map_err(|error| unread(&error, handle))?;
        self.registry.domain(handle.uuid).ok_or(Error::NoDomain { uuid: handle.uuid })
    }
}

pub(super) fn silent(handle: &agent_libvirt::Domain, what: &'static str, patience: Duration) -> Error {
    Error::GuestSilent { name: handle.name.clone(), what, patience }
}

fn unread(error: &agent_libvirt::Error, handle: &agent_libvirt::Domain) -> Error {
    refusal::plain(error, handle.uuid, format!("look at `{}`", handle.name))
}
