//! A registry behind TLS and a login: a proxy that ends TLS in front of a real one.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::certificates::Identity;

/// Longest wait for a read or a write.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// Largest head of a request.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// What a registry behind a login says to a stranger.
const REFUSAL: &str = "HTTP/1.1 401 Unauthorized\r\n\
     Content-Type: application/vnd.schemaregistry.v1+json\r\n\
     Content-Length: 48\r\nConnection: close\r\n\r\n\
     {\"error_code\":40101,\"message\":\"Not authorized\"}\n";

/// What came to the proxy so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Requests with the right login.
    pub let_in: usize,
    /// Requests with another or none.
    pub turned_away: usize,
}

/// The proxy; its threads end with the test process.
pub struct GuardedRegistry {
    url: String,
    seen: Arc<Mutex<Seen>>,
}

struct Guard {
    /// `host:port` of the registry.
    upstream: String,
    /// Value that the header `Authorization` must have.
    authorization: String,
    seen: Arc<Mutex<Seen>>,
}

impl GuardedRegistry {
    /// Starts the proxy in front of the registry at `upstream_url`. It shows `identity` and lets in
    /// whose header `Authorization` is `authorization`.
    ///
    /// # Panics
    ///
    /// Panics when it cannot.
    pub fn start(upstream_url: &str, identity: Identity, authorization: &str) -> Self {
        let config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_no_client_auth()
            .with_single_cert(vec![identity.certificate_der], identity.key_der)
            .expect("a certificate with its key");
        let (upstream, path) = upstream_url
            .strip_prefix("http://")
            .map(|rest| rest.split_once('/').unwrap_or((rest, "")))
            .expect("an http address");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let seen = Arc::<Mutex<Seen>>::default();
        let guard = Arc::new(Guard {
            upstream: upstream.to_owned(),
            authorization: authorization.to_owned(),
            seen: Arc::clone(&seen),
        });
        let config = Arc::new(config);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (guard, config) = (Arc::clone(&guard), Arc::clone(&config));
                // A client that does not trust the certificate breaks off: not the proxy's fault.
                thread::spawn(move || guard.serve(stream, config).is_ok());
            }
        });
        Self { url: format!("https://{address}/{path}"), seen }
    }

    /// Base address, for `SCHEMA_REGISTRY_URL`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What came so far.
    pub fn seen(&self) -> Seen {
        self.seen.lock().expect("no panic while held").clone()
    }
}

impl Guard {
    /// Serves one request of a connection.
    fn serve(&self, stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<()> {
        stream.set_read_timeout(Some(IDLE_MAX))?;
        let tls = ServerConnection::new(config).map_err(io::Error::other)?;
        let mut client = StreamOwned::new(tls, stream);
        let (head, body) = read_request(&mut client)?;
        let value = header(&head, "authorization");
        let is_let_in = value == Some(self.authorization.as_str());
        {
            let mut seen = self.seen.lock().expect("no panic while held");
            *if is_let_in { &mut seen.let_in } else { &mut seen.turned_away } += 1;
        }
        if is_let_in {
            let mut upstream = TcpStream::connect(&self.upstream)?;
            upstream.set_read_timeout(Some(IDLE_MAX))?;
            // One request per connection, so that each is looked at.
            write!(upstream, "{}\r\nConnection: close\r\n\r\n", head.trim_end())?;
            upstream.write_all(&body)?;
            io::copy(&mut upstream, &mut client)?;
        } else {
            client.write_all(REFUSAL.as_bytes())?;
        }
        client.conn.send_close_notify();
        client.flush()
    }
}

/// Head as text, and the body.
fn read_request(client: &mut impl Read) -> io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        let mut chunk = [0; 1024];
        let count = client.read(&mut chunk)?;
        if count == 0 || bytes.len() > HEAD_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        bytes.extend_from_slice(&chunk[..count]);
    };
    let mut body = bytes.split_off(end + 4);
    let head = String::from_utf8(bytes).map_err(io::Error::other)?;
    let length = header(&head, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    while body.len() < length {
        let mut chunk = [0; 4096];
        let count = client.read(&mut chunk)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        body.extend_from_slice(&chunk[..count]);
    }
    Ok((head, body))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_says_its_own_length() {
        let (head, body) = REFUSAL.split_once("\r\n\r\n").unwrap();
        assert_eq!(header(head, "Content-Length"), Some(body.len().to_string().as_str()));
    }
}
