//! What an operator wants to know after an installation: where the dashboard is, how to log in, and what to type next.

use anyhow::Result;
use packaging_archive::Manifest;

use crate::host;
use crate::role::Role;
use crate::say::say;
use crate::transaction::{Admin, Context, Secrets};

/// Says it. `quiet` leaves only what nobody can find out later. A new password that is shown is kept nowhere any more.
pub fn tell(context: &Context<'_>, manifest: &Manifest, show_password: bool, quiet: bool) -> Result<()> {
    let secrets = context.secrets.take();
    if !quiet {
        say!("{} {} is installed", manifest.product, manifest.version);
        if let Some(Secrets { url: Some(url), .. }) = &secrets {
            say!("  dashboard  {url}");
        }
    }
    if let Some(admin) = secrets.as_ref().and_then(|secrets| secrets.admin.as_ref()) {
        log_in(context, admin, show_password, quiet)?;
    }
    if !quiet {
        commands(context);
    }
    Ok(())
}

fn log_in(context: &Context<'_>, admin: &Admin, show_password: bool, quiet: bool) -> Result<()> {
    let user = &admin.user;
    match &admin.password {
        Some(password) if show_password => {
            say!("  log in     as {user} with this password, which is shown only once: {password}");
            host::remove(&context.layout.first_password())?;
        }
        Some(_) if !quiet => {
            say!("  log in     as {user}; the password is in {}", context.layout.first_password().display());
        }
        None if admin.state == "kept" && context.password.is_some() => {
            say!("  log in     as {user} with the password set earlier; the one given now was not used");
        }
        None if admin.state == "kept" && !quiet => {
            say!("  log in     as {user} with the password set earlier");
        }
        Some(_) | None => (),
    }
    Ok(())
}

fn commands(context: &Context<'_>) {
    let layout = context.layout;
    let units = match context.role {
        Role::All => "cairn-server cairn-agent",
        Role::Server => "cairn-server",
        Role::Agent => "cairn-agent",
    };
    if context.start {
        say!("  status     systemctl status {units}");
    } else if layout.is_host() {
        say!("  start      systemctl enable --now {units}");
    }
    let root = if layout.is_host() { String::new() } else { format!(" --root {}", layout.root().display()) };
    say!("  uninstall  {}/bin/cairnctl uninstall{root}", layout.current().display());
}
