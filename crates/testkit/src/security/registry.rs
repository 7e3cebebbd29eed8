//! A registry behind TLS and a login: a proxy that ends TLS in front of a real one.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use openssl::ssl::{SslAcceptor, SslAcceptorBuilder, SslMethod};

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
        let acceptor = acceptor(&identity);
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
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (guard, acceptor) = (Arc::clone(&guard), acceptor.clone());
                // A client that does not trust the certificate breaks off: not the proxy's fault.
                thread::spawn(move || guard.serve(stream, &acceptor).is_ok());
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
    fn serve(&self, stream: TcpStream, acceptor: &SslAcceptor) -> io::Result<()> {
        stream.set_read_timeout(Some(IDLE_MAX))?;
        let mut client = acceptor.accept(stream).map_err(io::Error::other)?;
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
        client.flush()?;
        // Says that this was all; whether the client heard it is its own business.
        client.shutdown().map(drop).map_err(io::Error::other)
    }
}

fn acceptor(identity: &Identity) -> SslAcceptor {
    acceptor_of(identity, |_| {})
}

/// One with other settings than usual.
fn acceptor_of(identity: &Identity, set: impl FnOnce(&mut SslAcceptorBuilder)) -> SslAcceptor {
    let mut acceptor =
        SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).expect("versions of TLS");
    acceptor.set_certificate(&identity.x509).expect("a certificate");
    acceptor.set_private_key(&identity.private_key).expect("its key");
    set(&mut acceptor);
    acceptor.build()
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
    use std::path::Path;

    use codec::registry::{AwayCause, Registry, RegistryError, RegistrySettings};
    use openssl::ssl::SslVersion;

    use super::super::certificates::{Authority, Validity};
    use super::*;

    #[test]
    fn the_refusal_says_its_own_length() {
        let (head, body) = REFUSAL.split_once("\r\n\r\n").unwrap();
        assert_eq!(header(head, "Content-Length"), Some(body.len().to_string().as_str()));
    }

    /// A registry that lets nobody in and never asks the one behind it.
    fn guarded(identity: Identity) -> GuardedRegistry {
        GuardedRegistry::start("http://127.0.0.1:1", identity, "Bearer nobody's")
    }

    /// Serves one connection with `serve`, and returns its address.
    fn serving(serve: impl FnOnce(TcpStream) + Send + 'static) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            if let Ok((stream, _)) = listener.accept() {
                serve(stream);
            }
        });
        format!("https://{address}")
    }

    /// Why there is no answer from `url` for a client that trusts the authorities in `file`.
    fn refused(url: &str, file: &Path) -> (AwayCause, String) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let settings = RegistrySettings::new(url).unwrap().with_ca_file(Some(file)).unwrap();
        let asked = Registry::new(settings).unwrap();
        match runtime.block_on(asked.subjects()) {
            Err(RegistryError::Away { cause, detail }) => (cause, detail),
            other => panic!("{url}: {other:?}"),
        }
    }

    #[test]
    fn a_failure_of_tls_names_the_side_that_is_to_blame() {
        let dir = tempfile::tempdir().unwrap();
        let ours = Authority::new(dir.path(), "ours");
        let theirs = Authority::new(dir.path(), "theirs");
        let issue = |name, host, validity| ours.issue(name, &[host], validity);
        let good = guarded(issue("good", "127.0.0.1", Validity::Good));
        let named = guarded(issue("named", "localhost", Validity::Good));
        let expired = guarded(issue("expired", "127.0.0.1", Validity::Expired));
        let early = guarded(issue("early", "127.0.0.1", Validity::Later));
        let elsewhere = guarded(issue("elsewhere", "registry.example", Validity::Good));
        let elsewhere_by_name = elsewhere.url().replace("127.0.0.1", "localhost");
        let old = acceptor_of(&issue("old", "127.0.0.1", Validity::Good), |acceptor| {
            acceptor.set_security_level(0);
            acceptor.set_min_proto_version(Some(SslVersion::TLS1_1)).unwrap();
            acceptor.set_max_proto_version(Some(SslVersion::TLS1_1)).unwrap();
        });
        let old = serving(move |stream| drop(old.accept(stream)));
        // What was read is not reset.
        let hangs_up = serving(|mut stream| drop(stream.read(&mut [0; 4096])));
        let by_name = named.url().replace("127.0.0.1", "localhost");
        for (url, trusted, cause, words) in [
            (good.url(), &ours, AwayCause::NotLoggedIn, "401"),
            (&by_name, &ours, AwayCause::NotLoggedIn, "401"),
            (good.url(), &theirs, AwayCause::UntrustedCertificate, "local issuer certificate"),
            (expired.url(), &ours, AwayCause::CertificateOutOfDate, "certificate has expired"),
            (early.url(), &ours, AwayCause::CertificateOutOfDate, "is not yet valid"),
            (elsewhere.url(), &ours, AwayCause::CertificateOfAnother, "IP address mismatch"),
            (&elsewhere_by_name, &ours, AwayCause::CertificateOfAnother, "ostname mismatch"),
            (&old, &ours, AwayCause::Handshake, "protocol version"),
            (&hangs_up, &ours, AwayCause::Handshake, "EOF"),
        ] {
            let (found, detail) = refused(url, trusted.file());
            assert_eq!(found, cause, "{url}: {detail}");
            assert!(detail.contains(words), "{detail}");
            assert!(!detail.contains("error:"), "OpenSSL's own form: {detail}");
        }
    }
}
