//! A scratch host that is set up, a server on it, and a browser of sorts.

use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use argon2::Params;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{HeaderMap, Method, Request, Response, StatusCode, header};
use packaging_service::layout::Layout;
use packaging_service::stop::{self, Stopper};
use packaging_service::{client, tls};
use packaging_stamp::Stamp;
use serde_json::Value;
use server::bootstrap::{Bootstrap, Wish, bootstrap};
use server::cli::Role;
use server::cloud::Cloud;
use server::config::Config;
use server::login::credential::Credential;
use server::renewal::Renewal;
use server::run::Server;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub const PASSWORD: &str = "correct horse";
pub static STAMP: Stamp = Stamp::new(Some("0.9fix"), Some("0123abcd"), Some("false"));

/// A root with a package beside it: `ROOT/package/{bin,share/dashboard}`.
pub struct Host {
    pub root: TempDir,
    pub layout: Layout,
    pub config: Config,
}

impl Host {
    /// Nothing but a root.
    pub fn bare() -> Self {
        tls::install_provider();
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path());
        let config = Config { listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() };
        Self { root, layout, config }
    }

    /// Set up for `role`, with a password whose hash takes no time.
    pub fn new(role: Role) -> Self {
        let host = Self::bare();
        host.bootstrap(role).unwrap();
        let cheap = Params::new(8, 1, 1, None).unwrap();
        let credential = Credential::with_params("admin", PASSWORD, cheap).unwrap();
        std::fs::write(host.layout.admin(), serde_json::to_string(&credential).unwrap()).unwrap();
        host
    }

    pub fn bootstrap(&self, role: Role) -> Result<Bootstrap, String> {
        let wish = Wish { role, addresses: vec!["cloud.example".parse()?], password: Some(PASSWORD.into()) };
        bootstrap(&self.layout, wish).map_err(|error| error.to_string())
    }

    /// Puts the dashboard of this tree where a package has it.
    pub fn install_dashboard(&self) -> PathBuf {
        let folder = self.root.path().join("package/share/dashboard");
        copy(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/dashboard")), &folder);
        folder
    }

    pub async fn start(&self) -> Running {
        let executable = self.root.path().join("package/bin/cairn-server");
        let (stopper, stop) = stop::channel();
        let loaded = Server::load(&self.layout, &self.config, &STAMP, &executable, stop).await;
        let (server, tls) = loaded.unwrap();
        let listener = TcpListener::bind(self.config.listen).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cloud, renewal) = (server.cloud.clone(), server.renewal.clone());
        let served = tokio::spawn(server.serve(listener, tls));
        Running { remote: Remote::new(address, &self.layout), cloud, renewal, stopper, served }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &place);
        } else {
            std::fs::copy(entry.path(), place).unwrap();
        }
    }
}

/// A server in this process.
pub struct Running {
    remote: Remote,
    pub cloud: Arc<Cloud>,
    pub renewal: Arc<Renewal>,
    stopper: Stopper,
    served: JoinHandle<Result<(), server::error::Error>>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Status and code of an error.
    pub fn error(&self) -> (u16, String) {
        (self.status.as_u16(), self.json()["code"].as_str().unwrap().to_owned())
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// The way to a server, wherever it runs.
pub struct Remote {
    pub address: SocketAddr,
    layout: Layout,
}

impl Deref for Running {
    type Target = Remote;

    fn deref(&self) -> &Remote {
        &self.remote
    }
}

impl Running {
    pub async fn stop(self) {
        self.stopper.stop();
        self.served.await.unwrap().unwrap();
    }
}

impl Remote {
    pub fn new(address: SocketAddr, layout: &Layout) -> Self {
        Self { address, layout: layout.clone() }
    }

    /// Sends a request as it is, over a connection of its own.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let (parts, body) = self.open(request).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// As [`Remote::send`], before the answer is read.
    pub async fn open(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        let config = tls::anonymous_client(tls::authority(&self.layout).unwrap());
        let stream = client::connect_tls(self.address, "localhost", config).await.unwrap();
        let stream = hyper_util::rt::TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(request(Method::GET, path, None, "")).await
    }

    pub async fn get_as(&self, token: &str, path: &str) -> Answer {
        self.send(request(Method::GET, path, Some(token), "")).await
    }

    pub async fn login(&self, user: &str, password: &str) -> Answer {
        let body = serde_json::json!({"user": user, "password": password}).to_string();
        self.send(request(Method::POST, "/api/v1/login", None, &body)).await
    }

    pub async fn token(&self) -> String {
        self.login("admin", PASSWORD).await.json()["token"].as_str().unwrap().to_owned()
    }

    /// Sends a request with a body, as somebody who is in.
    pub async fn ask(&self, token: &str, method: Method, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send(request(method, path, Some(token), &body)).await
    }

    pub async fn post(&self, token: &str, path: &str, body: &Value) -> Answer {
        self.ask(token, Method::POST, path, body).await
    }

    /// Orders a task and waits for its end.
    pub async fn done(&self, token: &str, method: Method, path: &str, body: Value) -> Value {
        let answer = self.ask(token, method, path, &body).await;
        assert_eq!(answer.status.as_u16(), 202, "{path}: {:?}", answer.body);
        self.ended(token, answer.json()["id"].as_str().unwrap()).await
    }

    /// As [`Remote::done`], for what must succeed.
    pub async fn succeed(&self, token: &str, method: Method, path: &str, body: Value) -> Value {
        let task = self.done(token, method, path, body).await;
        assert_eq!(task["state"], "succeeded", "{path}: {task}");
        task
    }

    /// Waits for the end of a task.
    pub async fn ended(&self, token: &str, id: &str) -> Value {
        self.eventually(token, &format!("/api/v1/tasks/{id}"), |task| !task["finished_at_ms"].is_null()).await
    }

    /// Waits until what is at `path` is as it should be.
    pub async fn eventually(&self, token: &str, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        until(async || {
            last = self.get_as(token, path).await.json();
            wanted(&last)
        })
        .await;
        last
    }
}

/// Waits for a condition. The limit is for failures; nothing is timed by it.
pub async fn until(mut condition: impl AsyncFnMut() -> bool) {
    let limit = std::time::Duration::from_secs(120);
    let wait = async {
        while !condition().await {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(limit, wait).await.expect("what was waited for did not come");
}

pub fn request(method: Method, path: &str, token: Option<&str>, body: &str) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    if !body.is_empty() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()
}
