//! How hosts come in: somebody who is in asks for a token, carries it to the host, and the agent there shows it once.
//! It gets a certificate for the identity that it is given, whatever it asked for.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use agent_protocol::join::{JoinFailure, JoinFailureCode, JoinReply, JoinRequest, JoinToken, Secret};
use packaging_service::tls;
use server_api::host::{JoinTokenReply, JoinTokenRequest};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Cloud, CloudError, Order, host, to_its_end};
use crate::bootstrap::names::Address;
use crate::bootstrap::{self, issue};
use crate::packed::Offer;
use crate::secret;
use crate::store::{self, Connection, Id, join_token, now_ms};

/// How long a token lasts if nobody says otherwise, in seconds.
const LASTS_SECONDS: u64 = 60 * 60;

/// How long it may last, in seconds.
const LONGEST_SECONDS: u64 = 7 * 24 * 60 * 60;

/// How long a token is remembered after it ended, so that late comers hear why, in milliseconds.
const REMEMBERED_MS: i64 = 30 * 24 * 60 * 60 * 1000;

/// Where programs lie once they are installed.
const PROGRAMS: &str = "/opt/cairn/current/bin";

/// Where the packed file is fetched.
const FILE_PATH: &str = "/api/v1/hosts/file";

/// What fetches a file on every Debian host, also one that has neither curl nor wget. It need not know the server: it takes
/// nothing but the file with the digest that it is given, and what it shows is good for that file alone.
const FETCH: &str = "/usr/lib/apt/apt-helper -o Acquire::https::Verify-Peer=false -o Acquire::https::Verify-Host=false \
    -o Acquire::https::Proxy=DIRECT download-file";

/// Installs what was fetched.
const INSTALL: &str = "sh cairn.run install --role agent --yes";

/// What shows that whoever fetches a file was given a token: it follows from the token and from the file, and nothing else
/// can be done with it.
fn key(token: &join_token::JoinToken, offer: &Offer) -> String {
    secret::digest(format!("file {} {}", token.digest, offer.sha256))[..32].to_owned()
}

impl Cloud {
    /// Makes a token with which one host can join. `server` is how the host reaches this server.
    pub async fn create_join_token(
        &self,
        order: &Order,
        request: &JoinTokenRequest,
        server: (String, Option<u16>),
    ) -> Result<JoinTokenReply, CloudError> {
        if order.key.is_some() {
            return Err(CloudError::invalid(
                "making a token cannot be repeated: its answer is shown once",
                "leave out the idempotency key",
            ));
        }
        let seconds = request.expires_in_seconds.unwrap_or(LASTS_SECONDS);
        let now = now_ms();
        let expires_ms = secret::expiry(now, seconds).filter(|_| (60..=LONGEST_SECONDS).contains(&seconds));
        let expires_ms = expires_ms.ok_or_else(|| {
            let message = format!("{seconds} seconds is no time for a token");
            CloudError::invalid(message, format!("give 60 to {LONGEST_SECONDS}"))
        })?;
        let broken = |error: &dyn std::fmt::Display| CloudError::Broken(error.to_string());
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| broken(&error))?;
        let authority = tls::certificates(&self.layout.tls("ca.pem")).map_err(|error| broken(&error))?;
        let id = Id::new();
        let token = JoinToken {
            host: server.0,
            port: server.1.unwrap_or(self.port),
            authority: Sha256::digest(&authority[0]).into(),
            id: id.0,
            secret: Secret(bytes),
        };
        let reached = token.server();
        let text = token.reveal().ok_or_else(|| {
            let message = format!("`{}` is no name that a host can reach this server by", token.host);
            CloudError::invalid(message, "ask this server by its name or address")
        })?;
        let mut row = join_token::JoinToken {
            id,
            digest: secret::digest(bytes),
            created_by: order.who.clone(),
            created_ms: now,
            expires_ms,
            host_id: None,
            used_ms: None,
            used_key: None,
            used_host_id: None,
        };
        let mut db = self.store.write().await?;
        if let Some(again) = &request.host {
            let again = host::find(&mut db, again).await?;
            if again.is_local {
                let message = format!("`{}` is the host that the server runs on", again.name);
                let next = "it comes in by itself: run `cairn-server bootstrap --role all` there";
                return Err(CloudError::conflict(message, next));
            }
            row.host_id = Some(again.id);
        }
        join_token::insert(&mut db, &row, now - REMEMBERED_MS).await?;
        db.commit().await?;
        let joins = format!("printf %s '{text}' | {PROGRAMS}/cairn-agent join --token-file -");
        let by_hand = format!("sh FILE.run install --role agent --yes && {joins}");
        let (command, no_command) = match self.packed.offer().await {
            Ok(offer) => {
                let url = format!("https://{reached}{FILE_PATH}/{id}/{}", key(&row, &offer));
                (
                    Some(format!(
                        "cd /root && {FETCH} '{url}' cairn.run SHA256:{} && {INSTALL} && {joins}",
                        offer.sha256
                    )),
                    None,
                )
            }
            Err(why) => (None, Some(why.to_string())),
        };
        Ok(JoinTokenReply {
            token: text,
            expires_at_ms: expires_ms,
            command,
            no_command,
            command_with_file: by_hand,
        })
    }

    /// The packed file, for the host that asks from `peer` and shows the key that came with a token.
    pub async fn offer(&self, peer: IpAddr, token: Uuid, shown: &str) -> Result<Offer, CloudError> {
        if let Err(wait) = self.joining.admit(peer, Instant::now()) {
            let wait = wait.as_secs() + 1;
            return Err(CloudError::conflict(
                "too many wrong tokens from this address",
                format!("try again in {wait} s"),
            ));
        }
        let row = join_token::by_id(&mut *self.store.read().await?, Id(token)).await?;
        let row = row.filter(|row| row.used_ms.is_none() && row.expires_ms > now_ms());
        let offer = self.packed.offer().await.map_err(|why| {
            let why = why.to_string();
            let (message, next) = why.split_once("; ").unwrap_or((&why, ""));
            CloudError::conflict(message, next)
        })?;
        // Digests are compared, so that nobody learns from the time that it takes how much of a key is right.
        let is_right = row.is_some_and(|row| secret::digest(key(&row, &offer)) == secret::digest(shown));
        if !is_right {
            return Err(CloudError::NoFile);
        }
        self.joining.forgive(peer);
        Ok(offer)
    }

    /// Takes in the host whose agent asks from `peer`.
    ///
    /// # Errors
    /// With what the agent is told. Whether a token is there and its secret wrong, or not there at all, is not told. Whoever
    /// joined with a token may ask once more for the same key, and is the same host: the answer may have been lost.
    pub async fn join(
        self: &Arc<Self>,
        peer: IpAddr,
        request: &JoinRequest,
    ) -> Result<JoinReply, JoinFailure> {
        if let Err(wait) = self.joining.admit(peer, Instant::now()) {
            tracing::warn!("too many wrong tokens from {peer}");
            let wait = wait.as_secs() + 1;
            let message = format!("too many wrong tokens from this address; try again in {wait} s");
            return Err(JoinFailure { code: JoinFailureCode::Request, message });
        }
        let joined = self.try_join(peer, request).await;
        if !matches!(joined, Err(Refusal::Told(JoinFailureCode::Unknown, _))) {
            self.joining.forgive(peer);
        }
        match joined {
            Ok(reply) => Ok(reply),
            Err(Refusal::Told(code, message)) => Err(JoinFailure { code, message: message.to_owned() }),
            Err(Refusal::Broken(cause)) => {
                tracing::error!("cannot take in a host from {peer}: {cause}");
                let message = "the server cannot take in a host now; look into its log".to_owned();
                Err(JoinFailure { code: JoinFailureCode::Request, message })
            }
        }
    }

    async fn try_join(self: &Arc<Self>, peer: IpAddr, request: &JoinRequest) -> Result<JoinReply, Refusal> {
        // Everybody may ask: only a good token gets the one place where something is written.
        good(&mut *self.store.read().await?, request).await?;
        let mut db = self.store.write().await?;
        let token = good(&mut db, request).await?;
        let again = token.used_host_id;
        let id = again.or(token.host_id).unwrap_or_else(Id::new);
        let authority =
            bootstrap::authority(&self.layout).map_err(|error| Refusal::Broken(error.to_string()))?;
        let names = [Address::Name(id.to_string())];
        let certificate = issue::sign(&authority, &request.signing_request, &id.to_string(), &names);
        let certificate = certificate.map_err(|error| {
            tracing::warn!("refused a signing request from {peer}: {error}");
            unreadable(&error)
        })?;
        let address = SocketAddr::new(peer, request.agent_port).to_string();
        let name = match store::host::by_id(&mut db, id).await? {
            Some(host) => {
                store::host::move_to(&mut db, id, &address).await?;
                host.name
            }
            None => {
                let name = host::free_name(&mut db, &request.host_name).await?;
                store::host::insert(&mut db, &store::host::Host::new(id, &name, &address, false)).await?;
                name
            }
        };
        if again.is_none() {
            join_token::used(&mut db, token.id, now_ms(), id, &key_digest(request)?).await?;
        }
        let cloud = self.clone();
        to_its_end::<_, Refusal>(async move {
            db.commit().await?;
            match again {
                Some(_) => tracing::info!("host `{name}` asked from {peer} for its certificate once more"),
                None => tracing::info!("host `{name}` joined from {peer}"),
            }
            // One that joins again is asked where it is now.
            cloud.links.leave(id);
            cloud.links.follow(&cloud, id);
            Ok(())
        })
        .await?;
        Ok(JoinReply { host: id.0, certificate, authority: authority.certificate })
    }
}

/// What tells the key that is to be signed from every other.
fn key_digest(request: &JoinRequest) -> Result<String, Refusal> {
    issue::requested_key(&request.signing_request).map(secret::digest).map_err(|error| unreadable(&error))
}

fn unreadable(_: &rcgen::Error) -> Refusal {
    let message = "the signing request cannot be read; join again with this version's agent";
    Refusal::Told(JoinFailureCode::Request, message)
}

/// The token that is shown, if it is good: for the first host, and as long for that one once more.
async fn good(db: &mut Connection, request: &JoinRequest) -> Result<join_token::JoinToken, Refusal> {
    use JoinFailureCode::{Expired, Unknown, Used};
    let token = join_token::by_id(db, Id(request.token)).await?;
    let token = token.filter(|token| token.digest == secret::digest(request.secret.0));
    let unknown = "there is no such token; make a new one with `cairn host add`";
    let token = token.ok_or(Refusal::Told(Unknown, unknown))?;
    let is_another = || Ok::<_, Refusal>(token.used_key != Some(key_digest(request)?));
    if token.used_ms.is_some() && (token.used_host_id.is_none() || is_another()?) {
        let used = "a host joined with this token before; make a new one with `cairn host add`";
        return Err(Refusal::Told(Used, used));
    }
    if token.expires_ms <= now_ms() {
        let expired = "the time of this token is over; make a new one with `cairn host add`";
        return Err(Refusal::Told(Expired, expired));
    }
    Ok(token)
}

/// Why a host is not taken in.
enum Refusal {
    /// What the agent is told.
    Told(JoinFailureCode, &'static str),
    /// What only the log is told.
    Broken(String),
}

impl From<store::StoreError> for Refusal {
    fn from(error: store::StoreError) -> Self {
        Self::Broken(error.to_string())
    }
}
