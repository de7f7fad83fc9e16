//! `cairn-agent join`: from a token to certificates. The token comes from a file, standard input or a variable, never from
//! an argument, which others on the host can see.
//!
//! Nothing is written before a server proves itself that the token pins. Then the key is put aside ([`staged`]), since the server
//! may do what it is asked and its answer be lost; certificates come into their place all at once.

pub mod ask;
pub mod error;
pub mod place;
mod staged;

use std::io::Read;
use std::path::{Path, PathBuf};

use agent_protocol::join::{JoinReply, JoinRequest, JoinToken};
use packaging_service::exit::Exit;
use packaging_service::layout::Layout;
use packaging_service::tls::pinned::PinnedAuthority;
use packaging_service::together::Together;
use packaging_service::{command, config, tls};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use uuid::Uuid;

use crate::bootstrap::bootstrap;
use crate::cli::JoinArgs;
use crate::config::Config;
use crate::error::Error;
use crate::link;
use ask::Patience;
use error::JoinError;
use place::Given;
use staged::Staged;

/// The variable that may hold the token.
pub const TOKEN_VARIABLE: &str = "CAIRN_JOIN_TOKEN";

/// No token is longer, in bytes.
const TOKEN_LIMIT: u64 = 4096;

/// The command.
///
/// # Errors
/// If there is no token, the server refuses, or files cannot be made.
pub fn run(layout: &Layout, args: &JoinArgs) -> Result<Exit, Error> {
    tls::install_provider();
    let config: Config = config::load(&layout.agent_config())?;
    let token: JoinToken = read_token(args.token_file.as_deref())?.parse().map_err(JoinError::from)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let host = runtime.block_on(join(layout, &token, config.listen.port(), args.replace))?;
    command::answer(&format_args!("joined {} as host {host}", token.server()))?;
    if args.replace {
        command::answer(&"restart the agent, if it runs: it serves with its former certificate until then")?;
    }
    Ok(Exit::Ok)
}

/// Joins the server of `token` and returns the identity that this host has there. `port` is where the agent serves.
///
/// # Errors
/// See [`JoinError`].
pub async fn join(layout: &Layout, token: &JoinToken, port: u16, replace: bool) -> Result<Uuid, Error> {
    bootstrap(layout)?;
    // Looked at before the token is spent, and once more before anything is written.
    let folder = place::wait(layout)?;
    staged::sweep(&folder, layout)?;
    may_join(&folder, layout, replace)?;
    drop(folder);
    let stream = ask::connect(token, &ask::addresses(token).await?, Patience::default()).await?;
    let staged = Staged::take(&place::wait(layout)?, layout, token.id)?;
    let request = JoinRequest {
        token: token.id,
        secret: token.secret.clone(),
        signing_request: signing_request(&staged.key).map_err(JoinError::Key)?,
        host_name: host_name(),
        agent_port: port,
    };
    let reply = ask::ask(token, stream, &request).await.and_then(|reply| trusted(token, &staged.key, reply));
    let (host, given) = match reply {
        Ok(reply) => reply,
        Err(error) => {
            let folder = place::wait(layout)?;
            if error.is_final() || (staged.is_new && matches!(error, JoinError::Request { .. })) {
                staged.forget(&folder)?;
            }
            return Err(error.into());
        }
    };
    let folder = place::wait(layout)?;
    may_join(&folder, layout, replace)?;
    place::put(&folder, layout, given)?;
    staged.forget(&folder)?;
    Ok(host)
}

/// What the server of `token` gave for `key`, if it is what it has to be.
fn trusted(token: &JoinToken, key: &KeyPair, reply: JoinReply) -> Result<(Uuid, Given), JoinError> {
    let JoinReply { host, certificate, authority } = reply;
    let key = key.serialize_pem();
    PinnedAuthority::new(token.authority)
        .vouches_for(&authority, &certificate, &key, &host.to_string())
        .map_err(|cause| JoinError::Unusable { server: token.server(), cause })?;
    Ok((host, Given { authority, key, certificate }))
}

fn may_join(_: &Together, layout: &Layout, replace: bool) -> Result<(), JoinError> {
    for own in [layout.tls("ca.key"), layout.tls("server.key")] {
        if own.exists() {
            return Err(JoinError::Server(own));
        }
    }
    if link::is_joined(layout) && !replace { Err(JoinError::Joined) } else { Ok(()) }
}

/// A signing request for `key`, PEM. The server looks at the key alone.
///
/// # Errors
/// The library's.
pub fn signing_request(key: &KeyPair) -> Result<String, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "cairn-agent");
    params.serialize_request(key)?.pem()
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

fn read_token(file: Option<&Path>) -> Result<String, JoinError> {
    let Some(path) = file else {
        return std::env::var(TOKEN_VARIABLE).map_err(|_| JoinError::NoToken);
    };
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(TOKEN_LIMIT).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(TOKEN_LIMIT).read_to_string(&mut text))
    };
    read.map_err(|cause| JoinError::TokenFile { path: PathBuf::from(path), cause })?;
    Ok(text)
}
