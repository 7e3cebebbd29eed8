//! A service of the test's own: each connection is a thread, and the test says what each call is answered.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Longest wait for the rest of a request, or for a client to let go.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// A call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// When it had come.
    pub(crate) at: Instant,
    /// When its answer was written; none for one that was left without.
    pub(crate) answered_at: Option<Instant>,
    /// Path and query.
    pub(crate) path: String,
    /// Names in lower case, and values.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Status of the answer; 0 for none.
    pub(crate) status: u16,
}

impl Call {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Its idempotency key; none for a call with several records.
    pub(crate) fn id(&self) -> &str {
        self.header("idempotency-key").unwrap_or_default()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn was_well(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// What a call is answered.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// A status with further lines of the head, after a time.
    Status(u16, String, Duration),
    /// A status with the title of a problem.
    Problem(u16, String),
    /// A status with a body.
    Body(u16, String),
    /// Bytes that are no HTTP; then the connection ends.
    Garbage,
    /// Nothing, until the client lets go.
    Nothing,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self::Status(status, String::new(), Duration::ZERO)
    }

    pub(crate) fn after(wait: Duration) -> Self {
        Self::Status(204, String::new(), wait)
    }
}

/// What is answered to a call, by it and its number among those of its record, from 1.
type Plan = Arc<dyn Fn(&Call, usize) -> Reply + Send + Sync>;

/// The service; its threads end with the test process.
pub(crate) struct Receiver {
    pub(crate) address: String,
    calls: Arc<Mutex<Calls>>,
}

#[derive(Default)]
struct Calls {
    all: Vec<Call>,
    of_record: HashMap<String, usize>,
}

impl Receiver {
    pub(crate) fn start(plan: impl Fn(&Call, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", plan)
    }

    pub(crate) fn start_at(
        address: &str,
        plan: impl Fn(&Call, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).expect("the port is free");
        let address = listener.local_addr().expect("it is bound").to_string();
        let calls = Arc::<Mutex<Calls>>::default();
        let (plan, noted): (Plan, _) = (Arc::new(plan), Arc::clone(&calls));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (plan, noted) = (Arc::clone(&plan), Arc::clone(&noted));
                // A client that breaks off is not the service's fault.
                thread::spawn(move || serve(stream, &plan, &noted).is_ok());
            }
        });
        Self { address, calls }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/in", self.address)
    }

    /// All calls so far, in the order in which they came.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().expect("no panic while held").all.clone()
    }
}

fn serve(mut stream: TcpStream, plan: &Plan, calls: &Mutex<Calls>) -> io::Result<()> {
    stream.set_read_timeout(Some(IDLE_MAX))?;
    stream.set_nodelay(true)?;
    let mut unread = Vec::new();
    while let Some(call) = read_call(&mut stream, &mut unread)? {
        let (at, number) = {
            let mut calls = calls.lock().expect("no panic while held");
            let number = calls.of_record.entry(call.id().to_owned()).or_default();
            *number += 1;
            let number = *number;
            calls.all.push(call.clone());
            (calls.all.len() - 1, number)
        };
        let (status, bytes, wait) = match plan(&call, number) {
            Reply::Status(status, lines, wait) => {
                let length = if status == 204 { "" } else { "content-length: 0\r\n" };
                (status, format!("HTTP/1.1 {status} x\r\n{lines}{length}\r\n"), wait)
            }
            Reply::Problem(status, title) => {
                let body = serde_json::json!({ "title": title }).to_string();
                (status, with_body(status, "application/problem+json", &body), Duration::ZERO)
            }
            Reply::Body(status, body) => {
                (status, with_body(status, "application/json", &body), Duration::ZERO)
            }
            Reply::Garbage => {
                stream.write_all(b"\0garbage\r\n\r\n")?;
                return Ok(());
            }
            Reply::Nothing => {
                let _is_over = stream.read(&mut [0; 1]);
                return Ok(());
            }
        };
        thread::sleep(wait); // the service works
        stream.write_all(bytes.as_bytes())?;
        let mut calls = calls.lock().expect("no panic while held");
        calls.all[at].status = status;
        calls.all[at].answered_at = Some(Instant::now());
    }
    Ok(())
}

fn with_body(status: u16, content_type: &str, body: &str) -> String {
    let length = body.len();
    let head = format!("content-type: {content_type}\r\ncontent-length: {length}");
    format!("HTTP/1.1 {status} x\r\n{head}\r\n\r\n{body}")
}

/// The next call of a connection; `None` at its end.
fn read_call(stream: &mut TcpStream, unread: &mut Vec<u8>) -> io::Result<Option<Call>> {
    let end = loop {
        if let Some(at) = unread.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if !read_more(stream, unread)? {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&unread[..end]).into_owned();
    let mut lines = head.lines();
    let first = lines.next().unwrap_or_default();
    assert!(first.starts_with("POST "), "{first}");
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let header = |line: &str| {
        let (name, value) = line.split_once(": ")?;
        Some((name.to_ascii_lowercase(), value.to_owned()))
    };
    let headers: Vec<(String, String)> = lines.filter_map(header).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(0, |(_, value)| value.parse().expect("a number"));
    while unread.len() < end + length {
        if !read_more(stream, unread)? {
            return Ok(None);
        }
    }
    let body = unread[end..end + length].to_vec();
    unread.drain(..end + length);
    let call = Call { at: Instant::now(), answered_at: None, path, headers, body, status: 0 };
    Ok(Some(call))
}

fn read_more(stream: &mut TcpStream, unread: &mut Vec<u8>) -> io::Result<bool> {
    let mut part = [0; 4096];
    let bytes = stream.read(&mut part)?;
    unread.extend_from_slice(&part[..bytes]);
    Ok(bytes > 0)
}
