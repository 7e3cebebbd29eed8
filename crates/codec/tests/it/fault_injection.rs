//! A server that answers each request with the next of its scripted answers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use codec::registry::{Registry, RegistrySettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What a request meets.
#[derive(Debug, Clone)]
pub(crate) enum Scripted {
    /// These bytes, then the connection ends.
    Bytes(Vec<u8>),
    /// Nothing, until the client gives up.
    Silence,
}

/// The server; the last answer is repeated for ever.
pub(crate) struct ScriptedRegistry {
    pub(crate) url: String,
    script: Arc<Mutex<VecDeque<Scripted>>>,
    /// Request heads, in the order of arrival.
    requests: Arc<Mutex<Vec<String>>>,
    server: JoinHandle<()>,
}

impl ScriptedRegistry {
    pub(crate) async fn start(script: impl IntoIterator<Item = Scripted>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script = Arc::new(Mutex::new(script.into_iter().collect::<VecDeque<_>>()));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (served, seen) = (Arc::clone(&script), Arc::clone(&requests));
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&served), Arc::clone(&seen)));
            }
        });
        Self { url, script, requests, server }
    }

    pub(crate) fn then(&self, scripted: Scripted) {
        *self.script.lock().unwrap() = VecDeque::from([scripted]);
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for ScriptedRegistry {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(
    mut stream: TcpStream,
    script: Arc<Mutex<VecDeque<Scripted>>>,
    requests: Arc<Mutex<Vec<String>>>,
) {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    requests.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
    let scripted = {
        let mut script = script.lock().unwrap();
        if script.len() > 1 { script.pop_front() } else { script.front().cloned() }
    };
    match scripted {
        Some(Scripted::Bytes(bytes)) => drop(stream.write_all(&bytes).await),
        // Ends when the client closes.
        Some(Scripted::Silence) | None => drop(stream.read_u8().await),
    }
}

/// An answer of a registry, or of something that looks like one.
pub(crate) fn http(status: &str, content_type: &str, body: &str) -> Scripted {
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    Scripted::Bytes(text.into_bytes())
}

pub(crate) const JSON: &str = "application/vnd.schemaregistry.v1+json";

pub(crate) fn json(status: &str, body: &str) -> Scripted {
    http(status, JSON, body)
}

pub(crate) fn schema(text: &str) -> Scripted {
    json("200 OK", &serde_json::json!({ "schema": text }).to_string())
}

/// A client that gives up soon, so that silence is a matter of a moment.
pub(crate) fn impatient(urls: &str) -> Registry {
    let mut settings = RegistrySettings::new(urls).unwrap();
    settings.connect_timeout = Duration::from_secs(2);
    settings.request_timeout = Duration::from_secs(2);
    settings.answer_bytes_max = 64 << 10;
    Registry::new(settings).unwrap()
}

/// An address where nobody listens.
pub(crate) async fn refused_url() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}
