//! Does it really answer? One small question in each server's own protocol, without a client library.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long one question may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// An answer longer than this is not one that was asked for.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// The question that tells whether a server is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// A broker: `ApiVersions`, then metadata that lists at least `brokers` brokers, this one among them.
    Kafka {
        /// Its port.
        port: u16,
        /// How many brokers it must know.
        brokers: usize,
    },
    /// `GET path` answers 200.
    Http {
        /// Its port.
        port: u16,
        /// The path, from `/`.
        path: String,
        /// The value of the `Authorization` header, if one is needed.
        authorization: Option<String>,
    },
    /// RabbitMQ: the AMQP header is answered, and the management interface is up and knows `nodes` nodes that run.
    Rabbit {
        /// The AMQP port.
        port: u16,
        /// The port of the management interface.
        management_port: u16,
        /// How many nodes of its cluster must run, itself among them.
        #[serde(default = "one")]
        nodes: usize,
    },
    /// `PING` is answered by `PONG`.
    Redis {
        /// Its port.
        port: u16,
    },
    /// A connection is accepted. Servers that an earlier version started have it in their file.
    Accepts {
        /// Its port.
        port: u16,
    },
    /// Erlang's port mapper: it lists at least `nodes` nodes.
    Epmd {
        /// Its port.
        port: u16,
        /// How many nodes it must know.
        nodes: usize,
    },
}

impl Probe {
    /// Returns the port that is asked.
    #[must_use]
    pub fn port(&self) -> u16 {
        match *self {
            Self::Kafka { port, .. }
            | Self::Http { port, .. }
            | Self::Rabbit { port, .. }
            | Self::Redis { port }
            | Self::Accepts { port }
            | Self::Epmd { port, .. } => port,
        }
    }

    /// Returns the same question to a server that has to know `nodes` nodes of its cluster.
    pub(crate) fn of_cluster(&self, nodes: usize) -> Self {
        let mut probe = self.clone();
        if let Self::Kafka { brokers: known, .. }
        | Self::Rabbit { nodes: known, .. }
        | Self::Epmd { nodes: known, .. } = &mut probe
        {
            *known = nodes;
        }
        probe
    }

    /// Asks once, for at most a few seconds.
    ///
    /// # Errors
    /// Why there was no answer, or what was wrong with it.
    pub fn ask(&self) -> io::Result<()> {
        self.ask_once().map_err(|error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                let message = format!("no answer within {} s", ANSWER_LIMIT.as_secs());
                io::Error::new(ErrorKind::TimedOut, message)
            }
            _ => error,
        })
    }

    fn ask_once(&self) -> io::Result<()> {
        match self {
            Self::Kafka { port, brokers } => ask_kafka(*port, *brokers),
            Self::Http { port, path, authorization } => {
                ask_http(*port, path, authorization.as_deref())
            }
            Self::Rabbit { port, management_port, nodes } => {
                ask_amqp(*port)?;
                ask_rabbit(*management_port, *nodes)
            }
            Self::Redis { port } => ask_redis(*port),
            Self::Accepts { port } => connect(*port).map(drop),
            Self::Epmd { port, nodes } => ask_epmd(*port, *nodes),
        }
    }
}

/// Nodes of a RabbitMQ that an earlier version started.
const fn one() -> usize {
    1
}

fn connect(port: u16) -> io::Result<TcpStream> {
    let stream =
        TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), ANSWER_LIMIT)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    stream.set_write_timeout(Some(ANSWER_LIMIT))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn unexpected(answer: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, answer.into())
}

/// Sends an HTTP/1.1 request to 127.0.0.1 and returns the status code and the first bytes of the answer.
///
/// # Errors
/// When the connection fails or the answer is not HTTP.
pub fn http(
    port: u16,
    method: &str,
    path: &str,
    authorization: Option<&str>,
    json: &str,
) -> io::Result<(u16, String)> {
    let mut stream = connect(port)?;
    let mut request =
        format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n");
    if let Some(authorization) = authorization {
        let _infallible = write!(request, "Authorization: {authorization}\r\n");
    }
    if !json.is_empty() {
        let _infallible =
            write!(request, "Content-Type: application/json\r\nContent-Length: {}\r\n", json.len());
    }
    let _infallible = write!(request, "\r\n{json}");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX as u64).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .ok_or_else(|| unexpected(format!("not an HTTP answer: {:.40}", answer)))?;
    Ok((status, answer))
}

fn ask_http(port: u16, path: &str, authorization: Option<&str>) -> io::Result<()> {
    match http(port, "GET", path, authorization, "")? {
        (200, _) => Ok(()),
        (status, _) => Err(unexpected(format!("GET {path} answered {status}"))),
    }
}

fn ask_rabbit(management_port: u16, nodes: usize) -> io::Result<()> {
    let account = Some(crate::rabbit::GUEST_AUTHORIZATION);
    if nodes == 1 {
        return ask_http(management_port, "/api/overview", account);
    }
    let path = "/api/nodes?columns=running";
    let (_, answer) = http(management_port, "GET", path, account, "")?;
    match answer.matches("\"running\":true").count() {
        known if known < nodes => Err(unexpected(format!("knows {known} of {nodes} nodes"))),
        _ => Ok(()),
    }
}

fn ask_redis(port: u16) -> io::Result<()> {
    let mut stream = connect(port)?;
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer)?;
    if &answer == b"+PONG\r\n" {
        return Ok(());
    }
    Err(unexpected(format!("PING answered {}", String::from_utf8_lossy(&answer).trim_end())))
}

/// Asks for the names of all nodes, as the
/// [protocol of epmd](https://www.erlang.org/doc/apps/erts/erl_dist_protocol.html) says.
fn ask_epmd(port: u16, nodes: usize) -> io::Result<()> {
    const NAMES_REQ: [u8; 3] = [0, 1, 110];
    const PORT_BYTES: usize = 4;
    let mut stream = connect(port)?;
    stream.write_all(&NAMES_REQ)?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX as u64).read_to_end(&mut answer)?;
    let Some((head, names)) = answer.split_at_checked(PORT_BYTES) else {
        return Err(unexpected("the names of nodes were not answered"));
    };
    if head != u32::from(port).to_be_bytes() {
        return Err(unexpected("the names of nodes were answered for another port"));
    }
    match String::from_utf8_lossy(names).lines().count() {
        known if known < nodes => Err(unexpected(format!("knows {known} of {nodes} nodes"))),
        _ => Ok(()),
    }
}

fn ask_amqp(port: u16) -> io::Result<()> {
    const METHOD_FRAME_ON_CHANNEL_0: [u8; 3] = [1, 0, 0];
    const CONNECTION_START: [u8; 4] = [0, 10, 0, 10];
    let mut stream = connect(port)?;
    stream.write_all(b"AMQP\x00\x00\x09\x01")?;
    let mut answer = [0; 11];
    stream.read_exact(&mut answer)?;
    if answer[..3] == METHOD_FRAME_ON_CHANNEL_0 && answer[7..] == CONNECTION_START {
        return Ok(());
    }
    Err(unexpected("the AMQP header was not answered by connection.start"))
}

fn ask_kafka(port: u16, brokers: usize) -> io::Result<()> {
    const API_VERSIONS: i16 = 18;
    const METADATA: i16 = 3;
    let mut stream = connect(port)?;
    let answer = kafka_exchange(&mut stream, API_VERSIONS, 0, &[])?;
    match Reader(&answer).i16() {
        Some(0) => {}
        code => return Err(unexpected(format!("ApiVersions answered error {code:?}"))),
    }
    // Version 4: no topics, no automatic creation.
    let answer = kafka_exchange(&mut stream, METADATA, 4, &[0, 0, 0, 0, 0])?;
    let known =
        kafka_broker_ports(&answer).ok_or_else(|| unexpected("metadata answer is cut off"))?;
    if known.len() < brokers || !known.contains(&i32::from(port)) {
        return Err(unexpected(format!(
            "knows {} of {brokers} brokers, at ports {known:?}",
            known.len()
        )));
    }
    Ok(())
}

/// Sends one request with the header of version 1 and returns the answer behind its correlation id.
fn kafka_exchange(
    stream: &mut TcpStream,
    api_key: i16,
    version: i16,
    body: &[u8],
) -> io::Result<Vec<u8>> {
    const CORRELATION_ID: [u8; 4] = [0, 0, 0, 7];
    const CLIENT_ID: &[u8] = b"\x00\x05stack";
    let mut request = Vec::new();
    request.extend(api_key.to_be_bytes());
    request.extend(version.to_be_bytes());
    request.extend(CORRELATION_ID);
    request.extend(CLIENT_ID);
    request.extend(body);
    let length = u32::try_from(request.len()).expect("a probe is a few bytes long");
    stream.write_all(&[&length.to_be_bytes()[..], &request].concat())?;

    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if !(CORRELATION_ID.len()..=ANSWER_BYTES_MAX).contains(&length) {
        return Err(unexpected(format!("an answer of {length} bytes is not Kafka's")));
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    if answer[..4] != CORRELATION_ID {
        return Err(unexpected("the answer belongs to another request"));
    }
    Ok(answer.split_off(4))
}

/// Returns the ports of the brokers in a metadata answer of version 4.
fn kafka_broker_ports(answer: &[u8]) -> Option<Vec<i32>> {
    let mut reader = Reader(answer);
    let _throttle_ms = reader.i32()?;
    let count = reader.i32()?;
    (0..count)
        .map(|_| {
            let _node_id = reader.i32()?;
            reader.skip_string()?;
            let port = reader.i32()?;
            reader.skip_string()?; // the rack, which may be null
            Some(port)
        })
        .collect()
}

/// Kafka's primitive types, from the front of a slice.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    fn i16(&mut self) -> Option<i16> {
        self.take().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.take().map(i32::from_be_bytes)
    }

    /// Skips a string; a negative length is the null string.
    fn skip_string(&mut self) -> Option<()> {
        let length = usize::try_from(self.i16()?).unwrap_or(0);
        self.0 = self.0.get(length..)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    /// Asks `probe` of a server that answers any question with `answer`.
    #[track_caller]
    fn ask_of(answer: &'static [u8], probe: impl FnOnce(u16) -> Probe) -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut question = [0; 3];
            stream.read_exact(&mut question).unwrap();
            stream.write_all(answer).unwrap();
            // The rest of the question is read, so that closing does not reset the answer away.
            // A prober that has seen enough may have closed it already.
            let _ended = stream.shutdown(std::net::Shutdown::Write);
            let _rest = stream.read_to_end(&mut Vec::new());
        });
        let result = probe(port).ask();
        server.join().unwrap();
        result
    }

    #[test]
    fn a_listener_with_another_protocol_is_not_an_answer() {
        assert!(ask_of(b"HTTP/1.1 400 Bad Request\r\n\r\n", |port| Probe::Redis { port }).is_err());
        assert!(
            ask_of(b"HTTP/1.1 400 Bad Request\r\n\r\n", |port| Probe::Kafka { port, brokers: 1 })
                .is_err()
        );
        let http = |port| Probe::Http { port, path: "/ready".into(), authorization: None };
        assert!(ask_of(b"+PONG\r\n", http).is_err());
        assert!(ask_of(b"HTTP/1.1 503 Service Unavailable\r\n\r\n", http).is_err());
        assert!(ask_of(b"+PONG\r\n", |port| Probe::Epmd { port, nodes: 0 }).is_err());
    }

    #[test]
    fn the_expected_answer_is_one() {
        assert!(ask_of(b"+PONG\r\n", |port| Probe::Redis { port }).is_ok());
        let http = |port| Probe::Http { port, path: "/ready".into(), authorization: None };
        assert!(ask_of(b"HTTP/1.1 200 OK\r\n\r\n", http).is_ok());
    }

    #[test]
    fn what_an_earlier_version_wrote_is_read() {
        let probe: Probe = serde_json::from_str(r#"{"accepts":{"port":4369}}"#).unwrap();
        assert_eq!(probe, Probe::Accepts { port: 4369 });
        let probe: Probe =
            serde_json::from_str(r#"{"rabbit":{"port":5672,"management_port":15672}}"#).unwrap();
        assert_eq!(probe, Probe::Rabbit { port: 5672, management_port: 15672, nodes: 1 });
    }

    #[test]
    fn brokers_are_read_from_metadata_and_a_cut_answer_is_none() {
        let mut answer = vec![0, 0, 0, 0, 0, 0, 0, 2];
        for (id, port) in [(1u8, 9092u16), (2, 9093)] {
            answer.extend([0, 0, 0, id, 0, 2, b'h', b'i', 0, 0]);
            answer.extend(port.to_be_bytes());
            answer.extend([0xff, 0xff]);
        }
        assert_eq!(kafka_broker_ports(&answer), Some(vec![9092, 9093]));
        assert_eq!(kafka_broker_ports(&answer[..answer.len() - 1]), None);
    }
}
