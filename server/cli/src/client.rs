//! Asking the server. One function per kind of request; all failures become one type.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use server_api::IDEMPOTENCY_KEY;
use server_api::error::ErrorReply;
use ureq::http::{Method, Request};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::account::Account;
use crate::cli::Common;
use crate::exit::Failure;

/// How long the server may take for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a request that can be repeated is sent when the connection breaks.
const ATTEMPTS: u32 = 3;

/// A way to the server.
pub struct Client {
    agent: ureq::Agent,
    server: String,
    token: Option<String>,
}

impl Client {
    /// To the server that the user logged in to, or that options and variables name.
    pub fn new(common: &Common) -> Result<Self, Failure> {
        let account = Account::load()?;
        let chosen = |option: &Option<String>, known: fn(&Account) -> String| {
            option.clone().or_else(|| account.as_ref().map(known))
        };
        let nobody =
            || Failure::Usage("nobody is logged in; run `cairn login https://SERVER:8443`".to_owned());
        let server = chosen(&common.server, |account| account.server.clone()).ok_or_else(nobody)?;
        let authority = match &common.ca {
            Some(path) => Some(std::fs::read_to_string(path).map_err(|error| {
                Failure::File(format!("cannot read `{}`: {error}; give the authority as PEM", path.display()))
            })?),
            None => account.as_ref().map(|account| account.authority.clone()),
        };
        let authority = authority.ok_or_else(nobody)?;
        let token = chosen(&common.token, |account| account.token.clone()).ok_or_else(nobody)?;
        let mut client = Self::anonymous(&server, &authority)?;
        client.token = Some(token);
        Ok(client)
    }

    /// To a server that nobody logged in to yet.
    pub fn anonymous(server: &str, authority: &str) -> Result<Self, Failure> {
        let server = server.trim_end_matches('/').to_owned();
        if !server.starts_with("https://") {
            return Err(Failure::Usage(format!(
                "`{server}` is no server; give one like `https://cloud.example:8443`"
            )));
        }
        let roots: Vec<Certificate<'static>> = ureq::tls::parse_pem(authority.as_bytes())
            .filter_map(|item| match item {
                Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        if roots.is_empty() {
            return Err(Failure::Usage("the authority holds no certificate; give a PEM file".to_owned()));
        }
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(roots)))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .proxy(None)
            .max_redirects(0)
            .user_agent("cairn")
            .build();
        Ok(Self { agent: config.into(), server, token: None })
    }

    /// Reads what is at `path`.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.ask(&Method::GET, path, None, false)
    }

    /// Orders something. If the connection breaks it is ordered again, and the server knows that it is the same order.
    pub fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        self.ask(&Method::POST, path, Some(&encode(body)?), true)
    }

    /// Orders something whose answer is shown once.
    pub fn post_once<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        self.ask(&Method::POST, path, Some(&encode(body)?), false)
    }

    /// Sets something.
    pub fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        self.ask(&Method::PUT, path, Some(&encode(body)?), true)
    }

    /// Removes something.
    pub fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.ask(&Method::DELETE, path, None, true)
    }

    /// Removes something in a way that has to be said.
    pub fn delete_with<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        self.ask(&Method::DELETE, path, Some(&encode(body)?), true)
    }

    fn ask<T: DeserializeOwned>(
        &self,
        method: &Method,
        path: &str,
        body: Option<&str>,
        repeatable: bool,
    ) -> Result<T, Failure> {
        let url = format!("{}{path}", self.server);
        let key = uuid::Uuid::new_v4().to_string();
        let mut attempt = 1;
        let (status, text) = loop {
            match self.exchange(method, &url, body, repeatable.then_some(key.as_str())) {
                Ok(answer) => break answer,
                Err(_) if repeatable && attempt < ATTEMPTS => attempt += 1,
                Err(error) => {
                    let message = format!(
                        "no answer from `{}`: {error}; see that it runs and is the right one",
                        self.server
                    );
                    return Err(Failure::NoServer(message));
                }
            }
        };
        let strange = |error: serde_json::Error| {
            Failure::NoServer(format!(
                "`{url}` answers {status} with something else: {error}; is it a Cairn server?"
            ))
        };
        if (200..300).contains(&status) {
            let text = if text.is_empty() { "null" } else { &text };
            return serde_json::from_str(text).map_err(strange);
        }
        let reply: ErrorReply = serde_json::from_str(&text).map_err(strange)?;
        Err(Failure::Refused(Box::new(reply)))
    }

    fn exchange(
        &self,
        method: &Method,
        url: &str,
        body: Option<&str>,
        key: Option<&str>,
    ) -> Result<(u16, String), ureq::Error> {
        let mut request = Request::builder().method(method).uri(url);
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        if let Some(key) = key {
            request = request.header(IDEMPOTENCY_KEY, key);
        }
        let mut answer = match body {
            Some(body) => self.agent.run(request.header("Content-Type", "application/json").body(body)?)?,
            None => self.agent.run(request.body(())?)?,
        };
        Ok((answer.status().as_u16(), answer.body_mut().read_to_string()?))
    }
}

fn encode(body: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(body).map_err(|error| Failure::Usage(error.to_string()))
}

/// An answer without content.
pub type Nothing = Value;
