//! The WebDriver protocol, as much of it as is needed here: JSON over HTTP to chromedriver.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::TcpStream;

/// Where chromedriver listens.
pub(super) const PORT: u16 = 9515;

/// How the protocol marks what is an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// The browser may take its time to start.
const LIMIT: Duration = Duration::from_secs(120);

/// A session with the browser.
#[derive(Debug)]
pub(super) struct Driver {
    session: String,
}

/// Something in the page.
#[derive(Debug)]
pub(super) struct Element(String);

impl Element {
    /// As an argument of a script.
    pub(super) fn argument(&self) -> Value {
        json!({ELEMENT: self.0})
    }
}

impl Driver {
    /// Starts a browser, once its driver listens.
    pub(super) async fn connect(capabilities: &Value) -> Self {
        let order = json!({"capabilities": {"alwaysMatch": capabilities}});
        let connect = async {
            loop {
                match ask(Method::POST, "/session", &order).await {
                    Some(Ok(begun)) => return begun["sessionId"].as_str().unwrap().to_owned(),
                    Some(Err(error)) => panic!("the browser does not start: {error}"),
                    None => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        let session = tokio::time::timeout(LIMIT, connect).await.expect("chromedriver does not listen");
        Self { session }
    }

    /// Ends the browser.
    pub(super) async fn quit(&self) {
        ask(Method::DELETE, &format!("/session/{}", self.session), &Value::Null).await.unwrap().unwrap();
    }

    /// Gives a command; an error is the driver's.
    pub(super) async fn post(&self, command: &str, order: Value) -> Result<Value, Value> {
        let path = format!("/session/{}/{command}", self.session);
        ask(Method::POST, &path, &order).await.expect("chromedriver is gone")
    }

    /// Runs a script in the page; what it returns.
    pub(super) async fn run(&self, script: &str, arguments: Vec<Value>) -> Result<Value, Value> {
        self.post("execute/sync", json!({"script": script, "args": arguments})).await
    }

    /// The element that a script returns, if it does.
    pub(super) async fn element(&self, script: &str, arguments: Vec<Value>) -> Option<Element> {
        let found = self.run(script, arguments).await.ok()?;
        Some(Element(found.get(ELEMENT)?.as_str()?.to_owned()))
    }

    pub(super) async fn click(&self, element: &Element) -> Result<Value, Value> {
        self.post(&format!("element/{}/click", element.0), json!({})).await
    }

    pub(super) async fn clear(&self, element: &Element) -> Result<Value, Value> {
        self.post(&format!("element/{}/clear", element.0), json!({})).await
    }

    pub(super) async fn type_into(&self, element: &Element, text: &str) -> Result<Value, Value> {
        self.post(&format!("element/{}/value", element.0), json!({"text": text})).await
    }

    /// Presses and lets go keys, whatever has the focus.
    pub(super) async fn keys(&self, events: Vec<(&str, char)>) -> Result<Value, Value> {
        let actions = events.into_iter().map(|(kind, key)| json!({"type": kind, "value": key}));
        let actions: Vec<_> = actions.collect();
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": actions});
        self.post("actions", json!({"actions": [keyboard]})).await
    }

    /// What is seen, as PNG.
    pub(super) async fn picture(&self) -> Option<Vec<u8>> {
        let path = format!("/session/{}/screenshot", self.session);
        let picture = ask(Method::GET, &path, &Value::Null).await?.ok()?;
        BASE64_STANDARD.decode(picture.as_str()?).ok()
    }
}

/// One request; nothing if nobody listens.
async fn ask(method: Method, path: &str, order: &Value) -> Option<Result<Value, Value>> {
    let stream = TcpStream::connect(("127.0.0.1", PORT)).await.ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    let body = if order.is_null() { Bytes::new() } else { Bytes::from(order.to_string()) };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, format!("127.0.0.1:{PORT}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .unwrap();
    let response = sender.send_request(request).await.ok()?;
    let succeeded = response.status().is_success();
    let body = response.into_body().collect().await.ok()?.to_bytes();
    let mut reply: Value = serde_json::from_slice(&body).ok()?;
    let value = reply["value"].take();
    Some(if succeeded { Ok(value) } else { Err(value) })
}
