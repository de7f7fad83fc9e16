//! Why two peers did not agree on certificates, as operators read it: what is wrong, and what to do. An agent's log says it of
//! whoever asks ([`of_peer`]), the server of an agent that it asks ([`of_server`], [`by_alert`]).

use std::io;

use rustls::{AlertDescription, CertificateError, Error};

/// A cause and a remedy.
pub type Sentence = (&'static str, &'static str);

/// What to do where somebody else than the server asks.
const ONLY_SERVER: &str =
    "only the certificate of its server (`server-client.pem` there) opens an agent: see who asks from there";

/// What to do where a host belongs to another server.
const JOIN: &str = "if it is to belong to that server, make a token there with `cairn host add --for HOST` and join again with `--replace`";

/// What to do where a certificate has ended.
const CLOCKS: &str =
    "see that the clocks of both hosts are right, and restart the server, which renews what has ended";

fn of(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// Why a peer that asked was refused, or went away by itself.
#[must_use]
pub fn of_peer(error: &io::Error) -> Sentence {
    match of(error) {
        Some(Error::NoCertificatesPresented) => ("it shows no certificate", ONLY_SERVER),
        Some(Error::InvalidCertificate(wrong)) => match wrong {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                ("its certificate is signed by another authority than the one that this host joined", JOIN)
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                ("its certificate has expired", CLOCKS)
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                ("its certificate is not valid yet", CLOCKS)
            }
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                ("its certificate is made for servers, as an agent's is, and not for clients", ONLY_SERVER)
            }
            CertificateError::ApplicationVerificationFailure => {
                ("its certificate is for clients, and bears another name than the server's", ONLY_SERVER)
            }
            _ => ("its certificate cannot be used", ONLY_SERVER),
        },
        Some(Error::AlertReceived(_)) => (
            "it does not trust the certificate that is shown here",
            "give it the authority that signed it, `/etc/cairn/tls/ca.pem`",
        ),
        Some(_) => ("it does not speak TLS as it should", "connect with TLS, as `https://` does"),
        None => match error.kind() {
            io::ErrorKind::TimedOut => {
                ("it did not finish its handshake in time", "see who holds connections open from there")
            }
            _ => ("the connection broke in its handshake", "see that the network in between is well"),
        },
    }
}

/// True if [`of_peer`] leaves nothing out that an operator would want to know.
#[must_use]
pub fn is_told_in_full(error: &io::Error) -> bool {
    match of(error) {
        Some(Error::NoCertificatesPresented) => true,
        Some(Error::InvalidCertificate(_)) => of_peer(error).0 != "its certificate cannot be used",
        Some(_) | None => false,
    }
}

/// Why the certificate of whoever was asked is not good; none if there is no more to say than the error does.
#[must_use]
pub fn of_server(error: &io::Error) -> Option<Sentence> {
    let Some(Error::InvalidCertificate(wrong)) = of(error) else { return None };
    match wrong {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            Some(("its certificate is signed by another authority: it belongs to another server", JOIN))
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Some((
            "its certificate has expired",
            "see that the clocks of both hosts are right, and join it again with `cairn host add --for HOST`",
        )),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Some(("its certificate is not valid yet", "see that the clocks of both hosts are right"))
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Some((
            "its certificate is for another host",
            "see which host has this address now, and join this one again with `cairn host add --for HOST`",
        )),
        _ => None,
    }
}

/// Why whoever was asked does not take the certificate that was shown, by the alert with which it hung up.
#[must_use]
pub fn by_alert(alert: AlertDescription) -> Sentence {
    const RESTORE: &str = "restore `server-client.pem` and its key from a backup, or remove both, run `cairn-server bootstrap` and restart the server";
    match alert {
        AlertDescription::UnknownCA | AlertDescription::DecryptError => {
            ("it refuses this server's certificate: it joined another authority", JOIN)
        }
        AlertDescription::CertificateExpired => {
            ("it refuses this server's certificate: it has expired, or is not valid yet by its clock", CLOCKS)
        }
        AlertDescription::CertificateRequired => {
            ("it refuses whoever shows no certificate, and none was shown", RESTORE)
        }
        AlertDescription::UnsupportedCertificate => {
            ("it refuses this server's certificate: it is made for servers, as an agent's is", RESTORE)
        }
        AlertDescription::AccessDenied => {
            ("it refuses this server's certificate: it bears another name than a server's", RESTORE)
        }
        _ => ("it refuses this server's certificate", "look into the log of the agent there"),
    }
}
