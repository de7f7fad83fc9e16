//! A server's public door, which answers those who join as a test tells it to.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use agent_protocol::join::{JoinFailure, JoinFailureCode, JoinReply, JoinRequest, JoinToken, PATH, Secret};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use packaging_service::stop::{self, Stopper};
use packaging_service::tls::pinned;
use packaging_service::{serve, tls};
use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
use rcgen::{CertificateParams, CertificateSigningRequestParams, KeyPair};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::support::Authority;

/// What the door answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answers {
    /// A certificate.
    Well,
    /// A refusal.
    No(JoinFailureCode),
    /// Nothing.
    Never,
    /// Something that is no answer.
    Nonsense,
    /// A certificate for a key of its own.
    AnotherKey,
    /// A certificate that another authority signed.
    AnotherSigner,
    /// A certificate of another authority, with that authority.
    AnotherAuthority,
    /// A certificate that is good for clients, too.
    AlsoForClients,
    /// A certificate for another host.
    AnotherHost,
}

pub struct Door {
    pub address: SocketAddr,
    pub requests: Arc<Mutex<Vec<JoinRequest>>>,
    authority: Arc<Authority>,
    answers: Arc<Mutex<Answers>>,
    _stopper: Stopper,
}

#[derive(Clone)]
struct Scene {
    answers: Arc<Mutex<Answers>>,
    authority: Arc<Authority>,
    requests: Arc<Mutex<Vec<JoinRequest>>>,
}

pub const HOST: Uuid = Uuid::from_u128(0x67e5_5044_10b1_426f_9247_bb68_0e5f_e0c8);

impl Door {
    /// Opens a door whose certificate is valid for `name`.
    pub async fn open(answers: Answers, name: &str) -> Self {
        tls::install_provider();
        let authority = Arc::new(Authority::new());
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.extended_key_usages = vec![ServerAuth];
        let leaf = params.signed_by(&key, &authority.issuer).unwrap();
        let chain = vec![leaf.der().clone(), authority.certificate.clone()];
        let key = key.serialize_der().try_into().unwrap();
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::<Mutex<Vec<JoinRequest>>>::default();
        let answers = Arc::new(Mutex::new(answers));
        let scene =
            Scene { answers: answers.clone(), authority: authority.clone(), requests: requests.clone() };
        let router = Router::new().route(PATH, post(answer)).with_state(scene);
        let (stopper, stop) = stop::channel();
        tokio::spawn(serve::tls(listener, Arc::new(config), router, stop));
        Self { address, requests, authority, answers, _stopper: stopper }
    }

    /// Answers so from now on.
    pub fn answer(&self, answers: Answers) {
        *self.answers.lock().unwrap() = answers;
    }

    pub fn token(&self) -> JoinToken {
        JoinToken {
            host: "localhost".to_owned(),
            port: self.address.port(),
            authority: pinned::digest(&self.authority.certificate),
            id: Uuid::from_u128(7),
            secret: Secret([0x5e; 32]),
        }
    }
}

async fn answer(State(scene): State<Scene>, Json(request): Json<JoinRequest>) -> Response {
    scene.requests.lock().unwrap().push(request.clone());
    let another = Authority::new();
    let (mut signer, mut shown, mut usage) = (&*scene.authority, &*scene.authority, vec![ServerAuth]);
    let (mut own_key, mut named) = (false, HOST);
    let answers = *scene.answers.lock().unwrap();
    match answers {
        Answers::Well => {}
        Answers::No(code) => {
            let message = "it wants another name; rename it".to_owned();
            return (StatusCode::FORBIDDEN, Json(JoinFailure { code, message })).into_response();
        }
        Answers::Never => std::future::pending().await,
        Answers::Nonsense => return (StatusCode::BAD_GATEWAY, "<html>").into_response(),
        Answers::AnotherKey => own_key = true,
        Answers::AnotherSigner => signer = &another,
        Answers::AnotherAuthority => (signer, shown) = (&another, &another),
        Answers::AlsoForClients => usage.push(ClientAuth),
        Answers::AnotherHost => named = Uuid::nil(),
    }
    let mut params = CertificateParams::new([named.to_string()]).unwrap();
    params.extended_key_usages = usage;
    let signed = if own_key {
        params.signed_by(&KeyPair::generate().unwrap(), &signer.issuer)
    } else {
        let wanted = CertificateSigningRequestParams::from_pem(&request.signing_request).unwrap();
        params.signed_by(&wanted.public_key, &signer.issuer)
    };
    let certificate = signed.unwrap().pem();
    Json(JoinReply { host: HOST, certificate, authority: shown.pem.clone() }).into_response()
}
