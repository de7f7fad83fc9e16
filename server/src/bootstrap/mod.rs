//! `cairn-server bootstrap`: makes what a host needs before the server can run, and only what is missing. A host that is
//! half set up is refused with the names of the files: a new authority in place of a lost one would lock out everything
//! that trusts the old one.
//!
//! First all is looked at ([`plan`]), then all is made in memory, then all is written: certificates and keys together or not
//! at all, whenever it is killed.

mod answer;
mod error;
pub mod issue;
pub mod names;
pub mod password;
pub(crate) mod plan;

use std::io;
use std::path::PathBuf;

use packaging_service::command;
use packaging_service::config;
use packaging_service::exit::Exit;
use packaging_service::files::{Access, NewFile, create_files, create_folder};
use packaging_service::layout::Layout;
use packaging_service::report::CONTRACT;
use packaging_service::tls;
use packaging_service::together::Together;

use crate::cli::{BootstrapArgs, Role};
use crate::config::Config;
use crate::error::Error;
use crate::login::credential::Credential;
pub use answer::{Admin, AdminState, Bootstrap};
pub use error::BootstrapError;
use names::Address;
use plan::{Identity, Plan};

/// Name of the administrator.
pub const ADMIN: &str = "admin";

/// What is wanted, beyond what every host needs.
#[derive(Debug)]
pub struct Wish {
    /// What the host is to run.
    pub role: Role,
    /// Names and addresses for the server's certificate.
    pub addresses: Vec<Address>,
    /// The administrator's password; `None` to have one made.
    pub password: Option<String>,
}

/// Makes what is missing under `layout`.
///
/// # Errors
/// Before anything is made, if the host is half set up; otherwise if a file cannot be made.
pub fn bootstrap(layout: &Layout, wish: Wish) -> Result<Bootstrap, Error> {
    let config: Config = config::load(&layout.server_config())?;
    let host = names::host();
    let shown = wish.addresses.first().or(host.as_ref()).cloned();
    let url = shown.unwrap_or(Address::Name("localhost".to_owned())).url(config.listen.port());

    let (mut created, mut kept) = (Vec::new(), Vec::new());
    // What a killed run began is finished, not judged.
    if layout.tls_folder().is_dir() {
        Together::wait(&layout.tls_folder())?;
    }
    // A complaint must come before the first folder; the lock lies in a folder. So it is planned twice.
    Plan::make(layout, wish.role)?;
    for (folder, access) in [
        (layout.config_folder(), Access::Public),
        (layout.tls_folder(), Access::Private),
        (layout.server_data(), Access::Private),
    ] {
        if create_folder(&folder, access)? { created.push(folder) } else { kept.push(folder) }
    }
    let folder = Together::wait(&layout.tls_folder())?;

    let plan = Plan::make(layout, wish.role)?;
    let files = certificates(layout, &plan, host, &wish.addresses)?;
    created.extend(files.iter().map(|file| file.path.clone()));
    folder.put(files)?;
    warn_of_missing_names(layout, &plan, &wish.addresses);
    let admin = if layout.admin().exists() {
        kept.push(layout.admin());
        Admin { user: ADMIN.to_owned(), state: AdminState::Kept, password: None }
    } else {
        let made = if wish.password.is_none() { Some(password::generate()?) } else { None };
        let credential = Credential::new(ADMIN, wish.password.or(made.clone()).unwrap_or_default().as_str())?;
        let content = serde_json::to_string(&credential).map_err(io::Error::from)? + "\n";
        create_files(&[NewFile { path: layout.admin(), content, access: Access::Private }])?;
        created.push(layout.admin());
        Admin { user: ADMIN.to_owned(), state: AdminState::Created, password: made }
    };
    kept.extend(plan.kept.iter().flat_map(|identity| identity.files(layout)));
    Ok(Bootstrap { contract: CONTRACT, created, kept, admin, url })
}

/// Makes the certificates that `plan` misses, keys first: a certificate without its key is of no use to anybody.
fn certificates(
    layout: &Layout,
    plan: &Plan,
    host: Option<Address>,
    addresses: &[Address],
) -> Result<Vec<NewFile>, BootstrapError> {
    let mut local = names::loopback();
    local.extend(host);
    let mut everywhere = local.clone();
    everywhere.extend(addresses.iter().filter(|address| !local.contains(address)).cloned());

    let authority = if plan.missing.contains(&Identity::Authority) {
        issue::authority()?
    } else {
        self::authority(layout)?
    };
    let mut files = Vec::new();
    for identity in &plan.missing {
        let names: &[Address] = match identity {
            Identity::Authority | Identity::ServerClient => &[],
            Identity::Server => &everywhere,
            Identity::Agent => &local,
        };
        let made = match identity.subject() {
            None => None,
            Some((common_name, purpose)) => Some(issue::leaf(&authority, common_name, purpose, names)?),
        };
        let pair = made.as_ref().unwrap_or(&authority);
        let [key, certificate] = identity.files(layout);
        files.push(NewFile { path: key, content: pair.key.clone(), access: Access::Private });
        files.push(NewFile { path: certificate, content: pair.certificate.clone(), access: Access::Public });
    }
    Ok(files)
}

/// The authority of this host, with its key.
///
/// # Errors
/// [`BootstrapError::Authority`].
pub(crate) fn authority(layout: &Layout) -> Result<issue::Pair, BootstrapError> {
    let read = |path: PathBuf| {
        std::fs::read_to_string(&path).map_err(|cause| BootstrapError::Authority { path, cause })
    };
    let [key, certificate] = Identity::Authority.files(layout);
    Ok(issue::Pair { certificate: read(certificate)?, key: read(key)? })
}

/// A certificate that is kept may not know an address that is asked for now. Silence would look like success.
fn warn_of_missing_names(layout: &Layout, plan: &Plan, addresses: &[Address]) {
    let [_, path] = Identity::Server.files(layout);
    if !plan.kept.contains(&Identity::Server) {
        return;
    }
    let known = tls::certificates(&path)
        .ok()
        .and_then(|chain| tls::certificate::facts(chain.first()?).ok())
        .map_or(Vec::new(), |facts| facts.names);
    for address in addresses.iter().map(Address::to_string).filter(|address| !known.contains(address)) {
        command::complain(
            "cairn-server",
            &format_args!(
                "warning: `{}` is kept and is not valid for `{address}`; move it and its key away and run this again",
                path.display()
            ),
        );
    }
}

/// The command.
///
/// # Errors
/// As [`bootstrap`], and if the password given cannot be used.
pub fn run(layout: &Layout, args: &BootstrapArgs) -> Result<Exit, Error> {
    let password = if args.admin_password_stdin { Some(password::read(io::stdin().lock())?) } else { None };
    let wish = Wish { role: args.role, addresses: args.addresses.clone(), password };
    let done = bootstrap(layout, wish)?;
    if args.json {
        command::answer_json(&done)?;
        return Ok(Exit::Ok);
    }
    for path in &done.created {
        command::answer(&format_args!("created {}", path.display()))?;
    }
    match (&done.admin.password, done.admin.state) {
        (Some(password), _) => {
            command::answer(&format_args!("user {}, password {password} (shown only now)", done.admin.user))?;
        }
        (None, AdminState::Created) => command::answer(&format_args!("user {} created", done.admin.user))?,
        (None, AdminState::Kept) => command::answer(&format_args!("user {} kept", done.admin.user))?,
    }
    command::answer(&format_args!("the dashboard will be at {}", done.url))?;
    Ok(Exit::Ok)
}
