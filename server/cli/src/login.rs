//! Coming and going: whom the server must be is settled first, the password is sent afterwards.

use std::io::{BufRead, IsTerminal, Write};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use server_api::session::{LoginReply, LoginRequest, LogoutReply};
use ureq::http::Uri;

use crate::account::Account;
use crate::cli::{Common, LoginArgs};
use crate::client::Client;
use crate::exit::Failure;
use crate::{pin, show};

/// Where the server keeps its authority on its own host.
const LOCAL_AUTHORITY: &str = "/etc/cairn/tls/ca.pem";

/// The port where the address names none.
const PORT: u16 = 8443;

/// Logs in and remembers server, authority and session.
pub fn login(common: &Common, args: &LoginArgs) -> Result<(), Failure> {
    let wrong = || {
        Failure::Usage(format!("`{}` is no server; give one like `https://cloud.example:8443`", args.address))
    };
    let uri: Uri = args.address.parse().map_err(|_| wrong())?;
    let host = uri.host().filter(|_| uri.scheme_str() == Some("https")).ok_or_else(wrong)?;
    let port = uri.port_u16().unwrap_or(PORT);
    let server = format!("https://{host}:{port}");
    let authority = authority(common, args, host.trim_start_matches('[').trim_end_matches(']'), port)?;
    let client = Client::anonymous(&server, &authority)?;
    let request = LoginRequest { user: args.user.clone(), password: password(args)? };
    let reply: LoginReply = client.post_once("/api/v1/login", &request)?;
    Account { server: server.clone(), authority, token: reply.token }.save()?;
    show::line(&format!(
        "{} is logged in to {server} for {} hours",
        reply.user,
        reply.expires_in_seconds / 3600
    ))
}

/// Ends the session and forgets the server.
pub fn logout(common: &Common) -> Result<(), Failure> {
    if Account::load()?.is_none() {
        return show::line(&"nobody was logged in");
    }
    // A session that has ended is ended.
    let ended = Client::new(common)
        .and_then(|client| client.post_once::<LogoutReply>("/api/v1/logout", &serde_json::json!({})));
    Account::forget()?;
    match ended {
        Ok(_) | Err(Failure::Refused(_)) => show::line(&"logged out"),
        Err(failure) => Err(failure),
    }
}

/// The authority that the server must come from: given, or known by its digest, or this host's own.
fn authority(common: &Common, args: &LoginArgs, host: &str, port: u16) -> Result<String, Failure> {
    if let Some(path) = &common.ca {
        return std::fs::read_to_string(path).map_err(|error| {
            Failure::File(format!("cannot read `{}`: {error}; give the authority as PEM", path.display()))
        });
    }
    if args.ca_sha256.is_none()
        && let Ok(text) = std::fs::read_to_string(LOCAL_AUTHORITY)
    {
        return Ok(text);
    }
    let shown = pin::shown(host, port)?;
    let Some(wanted) = &args.ca_sha256 else {
        let digest = shown.last().map(pin::digest).unwrap_or_default();
        return Err(Failure::Usage(format!(
            "nothing proves that this is the right server; compare {digest} with the SHA-256 of `{LOCAL_AUTHORITY}` on the \
             server's host (`openssl x509 -noout -fingerprint -sha256 -in FILE`) and give it with `--ca-sha256`, or give that \
             file with `--ca`"
        )));
    };
    let wanted: String =
        wanted.chars().filter(char::is_ascii_hexdigit).collect::<String>().to_ascii_lowercase();
    let found = shown.iter().find(|certificate| pin::digest(certificate) == wanted);
    found.map(pin::pem).ok_or_else(|| {
        Failure::Usage(format!(
            "`{host}` does not come from the authority with SHA-256 {wanted}; somebody stands between, or the digest is another's"
        ))
    })
}

/// The password: one line of standard input. A terminal does not show it.
fn password(args: &LoginArgs) -> Result<String, Failure> {
    let stdin = std::io::stdin();
    let terminal = stdin.is_terminal() && !args.password_stdin;
    let unreadable = |cause: &dyn std::fmt::Display| {
        Failure::Usage(format!("cannot read the password: {cause}; give one line on standard input"))
    };
    let mut hidden = None;
    if terminal {
        eprint!("password of {}: ", args.user);
        let _ = std::io::stderr().flush();
        let before = tcgetattr(&stdin).map_err(|error| unreadable(&error))?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Flush, &quiet).map_err(|error| unreadable(&error))?;
        hidden = Some(before);
    }
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    if let Some(before) = hidden {
        let _ = tcsetattr(&stdin, OptionalActions::Flush, &before);
        eprintln!();
    }
    read.map_err(|error| unreadable(&error))?;
    let password = line.trim_end_matches(['\n', '\r']);
    if password.is_empty() { Err(unreadable(&"there is none")) } else { Ok(password.to_owned()) }
}
