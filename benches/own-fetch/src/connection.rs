//! One connection to one broker: frames, ids of requests, versions that both sides speak. Plain TCP.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::marker::PhantomData;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use kafka_protocol::messages::{ApiVersionsRequest, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{
    Decodable as _, Encodable as _, HeaderVersion as _, Request, StrBytes, VersionRange,
};

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(2);

/// Longest wait for an answer; a broker may hold a fetch for its `max_wait`, which is far less.
const ANSWER: Duration = Duration::from_secs(10);

/// Largest response that is taken: a longer one is a fault of the wire.
const FRAME_BYTES_MAX: usize = 64 << 20;

/// Buffers that are kept for the next response.
const BUFFERS_MAX: usize = 4;

/// The version of the first request, which every broker since 2.4 answers.
const API_VERSIONS_VERSION: i16 = 3;

/// The last version that this client speaks of some requests: later ones name topics by id (fetch, produce), or are of
/// another protocol of transactions, which only the tests speak.
const VERSIONS_MAX: [(i16, i16); 4] = [(0, 11), (1, 12), (24, 3), (26, 4)];

/// Name under which brokers count this client.
const CLIENT: StrBytes = StrBytes::from_static_str("own-fetch");

/// Buffers of responses, given back when the last slice of them is dropped. They stay initialised, so no byte is
/// zeroed twice.
#[derive(Clone, Default)]
struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

impl Buffers {
    fn take(&self, bytes: usize) -> Buffer {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut memory = kept.unwrap_or_default();
        if memory.len() < bytes {
            memory.reserve_exact(bytes - memory.len());
            memory.resize(bytes, 0);
        }
        Buffer { memory, bytes, home: self.clone() }
    }
}

/// One buffer and how much of it is in use.
struct Buffer {
    memory: Vec<u8>,
    bytes: usize,
    home: Buffers,
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.memory[..self.bytes]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut kept = self.home.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < BUFFERS_MAX {
            kept.push(std::mem::take(&mut self.memory));
        }
    }
}

/// A request whose response has not been read.
#[must_use]
pub struct Sent<R> {
    id: i32,
    version: i16,
    request: PhantomData<R>,
}

/// A connection to a broker.
pub struct Connection {
    stream: TcpStream,
    versions: HashMap<i16, VersionRange>,
    next_id: i32,
    buffers: Buffers,
}

impl Connection {
    /// Connects, and learns which versions the broker speaks.
    ///
    /// # Errors
    ///
    /// Fails if nobody answers in time, or not in Kafka's protocol.
    pub fn open(address: &str) -> Result<Self> {
        let socket = address.to_socket_addrs()?.next().context("no such host")?;
        let stream = TcpStream::connect_timeout(&socket, CONNECT).context(address.to_owned())?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.set_write_timeout(Some(ANSWER))?;
        let key = ApiVersionsRequest::KEY;
        let spoken = VersionRange { min: API_VERSIONS_VERSION, max: API_VERSIONS_VERSION };
        let versions = HashMap::from([(key, spoken)]);
        let mut it = Self { stream, versions, next_id: 0, buffers: Buffers::default() };
        let request = ApiVersionsRequest::default()
            .with_client_software_name(CLIENT)
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        let response = it.ask(&request)?;
        ensure!(response.error_code == 0, "{address} speaks older versions only");
        let range = |min: i16, max: i16| VersionRange { min, max };
        it.versions = response
            .api_keys
            .iter()
            .map(|api| (api.api_key, range(api.min_version, api.max_version)))
            .collect();
        Ok(it)
    }

    /// The last version of a request that both sides speak.
    fn version<R: Request>(&self) -> Result<i16> {
        let ours = VERSIONS_MAX.iter().find(|(key, _)| *key == R::KEY);
        let ours =
            VersionRange { min: R::VERSIONS.min, max: ours.map_or(R::VERSIONS.max, |it| it.1) };
        let theirs = self.versions.get(&R::KEY).context("the broker does not know the request")?;
        let both = ours.intersect(theirs);
        ensure!(!both.is_empty(), "request {}: no version in common ({theirs})", R::KEY);
        Ok(both.max)
    }

    /// Sends a request.
    ///
    /// # Errors
    ///
    /// Fails if the connection is lost, or the broker speaks no version of it.
    pub fn send<R: Request>(&mut self, request: &R) -> Result<Sent<R>> {
        let version = self.version::<R>()?;
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(id)
            .with_client_id(Some(CLIENT));
        let mut frame = BytesMut::new();
        frame.put_u32(0);
        header.encode(&mut frame, R::header_version(version))?;
        request.encode(&mut frame, version)?;
        let bytes = u32::try_from(frame.len() - 4)?;
        frame[..4].copy_from_slice(&bytes.to_be_bytes());
        self.stream.write_all(&frame)?;
        Ok(Sent { id, version, request: PhantomData })
    }

    /// Reads the response to the oldest request that has none.
    ///
    /// # Errors
    ///
    /// Fails if the connection is lost, the broker is silent, or what it says is no such response. The connection is of
    /// no use then.
    pub fn receive<R: Request>(&mut self, sent: Sent<R>) -> Result<R::Response> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = usize::try_from(u32::from_be_bytes(length))?;
        if length > FRAME_BYTES_MAX {
            bail!("a response of {length} bytes");
        }
        let mut buffer = self.buffers.take(length);
        self.stream.read_exact(&mut buffer.memory[..length])?;
        let mut frame = Bytes::from_owner(buffer);
        ensure!(frame.remaining() >= 4, "a response without a header");
        let version = R::Response::header_version(sent.version);
        let header = ResponseHeader::decode(&mut frame, version)?;
        ensure!(header.correlation_id == sent.id, "the response to another request");
        R::Response::decode(&mut frame, sent.version)
    }

    /// Sends a request, and reads its response.
    ///
    /// # Errors
    ///
    /// As [`Self::send`] and [`Self::receive`].
    pub fn ask<R: Request>(&mut self, request: &R) -> Result<R::Response> {
        let sent = self.send(request)?;
        self.receive(sent)
    }
}
