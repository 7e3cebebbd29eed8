//! A registry that misbehaves on request, in front of the real one.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use testkit::http;

/// Bytes of the body that is too large.
const HUGE_BODY_BYTES: usize = 64 << 20;

/// Largest request that is passed on.
const REQUEST_BYTES_MAX: usize = 1 << 20;

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// As the real one.
    Honest,
    /// Connections are ended before an answer.
    Refuses,
    /// It takes its time, longer than anybody waits.
    Silent,
    /// Always this status, with an error of Confluent's form.
    Status(u16),
    /// 404, but no registry's.
    OtherNotFound,
    /// A page of some proxy.
    Page,
    /// To itself.
    Redirects,
    /// An answer without end.
    Huge,
}

/// A stand-in on a free port; its threads end with the process.
pub(crate) struct RegistryStub {
    url: String,
    mood: Arc<Mutex<Mood>>,
}

impl RegistryStub {
    /// Takes a port in front of the registry at `upstream`, a base address without TLS.
    pub(crate) fn start(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let rest = upstream.strip_prefix("http://").expect("a registry without TLS");
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = host.to_owned();
        let url = format!("http://{address}/{path}");
        let mood = Arc::new(Mutex::new(Mood::Honest));
        let shared = Arc::clone(&mood);
        let serve = move || {
            for stream in listener.incoming().flatten() {
                let (host, mood) = (host.clone(), Arc::clone(&shared));
                // A client that goes away is its own matter.
                std::thread::spawn(move || drop(answer(stream, &host, &mood)));
            }
        };
        std::thread::spawn(serve);
        Self { url, mood }
    }

    /// Base address.
    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// Changes its mood for the requests to come.
    pub(crate) fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap_or_else(PoisonError::into_inner) = mood;
    }
}

fn answer(mut stream: TcpStream, host: &str, mood: &Mutex<Mood>) -> io::Result<()> {
    let (method, path, body) = request(&stream)?;
    let mood = *mood.lock().unwrap_or_else(PoisonError::into_inner);
    let json = "application/vnd.schemaregistry.v1+json";
    let (status, kind, body) = match mood {
        Mood::Honest => {
            let headers = [("content-type", json)];
            let answer = http::request(host, &method, &path, &headers, &body)?;
            (answer.status.to_string(), json, answer.body)
        }
        Mood::Refuses => return Ok(()),
        Mood::Silent => {
            std::thread::sleep(Duration::from_secs(60)); // longer than anybody waits
            return Ok(());
        }
        Mood::Status(status) => {
            let body = format!(r#"{{"error_code":{status}01,"message":"on request"}}"#);
            (status.to_string(), json, body)
        }
        Mood::OtherNotFound => {
            ("404".to_owned(), json, r#"{"error_code":404,"message":"no such page"}"#.to_owned())
        }
        Mood::Page => ("200".to_owned(), "text/html", "<html>please log in</html>".to_owned()),
        Mood::Redirects => {
            let head = format!("HTTP/1.1 302 Found\r\nlocation: {path}\r\n");
            stream.write_all(
                format!("{head}content-length: 0\r\nconnection: close\r\n\r\n").as_bytes(),
            )?;
            return Ok(());
        }
        Mood::Huge => ("200".to_owned(), json, " ".repeat(HUGE_BODY_BYTES)),
    };
    let head = format!("HTTP/1.1 {status} Told\r\ncontent-type: {kind}\r\nconnection: close\r\n");
    stream.write_all(format!("{head}content-length: {}\r\n\r\n", body.len()).as_bytes())?;
    stream.write_all(body.as_bytes())
}

/// Method, path and body of a request.
fn request(stream: &TcpStream) -> io::Result<(String, String, Vec<u8>)> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let path = words.next().unwrap_or_default().to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length.min(REQUEST_BYTES_MAX)];
    reader.read_exact(&mut body)?;
    Ok((method, path, body))
}
