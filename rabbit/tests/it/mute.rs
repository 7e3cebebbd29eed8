//! A broker that takes messages and never says so, or says that it takes none: a proxy that keeps
//! confirmations to itself, and puts in words of its own.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock, RwLockWriteGuard};

/// Bytes before the payload of a frame: type, channel, size.
const HEAD_BYTES: usize = 7;
/// Frame type of a method.
const METHOD: u8 = 1;
/// Class and method of `basic.ack` and `basic.nack`.
const CONFIRMATIONS: [[u8; 4]; 2] = [[0, 60, 0, 80], [0, 60, 0, 120]];

/// `connection.blocked` for the reason "memory", and `connection.unblocked`, as frames.
const BLOCKED: &[u8] = b"\x01\0\0\0\0\0\x0b\0\x0a\0\x3c\x06memory\xce";
const UNBLOCKED: &[u8] = b"\x01\0\0\0\0\0\x04\0\x0a\0\x3d\xce";

/// Stands between the services and the broker.
pub(crate) struct MuteProxy {
    address: String,
    is_over: Arc<AtomicBool>,
    /// Whether connections to come keep confirmations back as well.
    is_mute: Arc<AtomicBool>,
    /// Held while nothing of the broker gets through.
    frozen: Arc<RwLock<()>>,
    /// All connections so far.
    connections: Arc<Mutex<Vec<Arc<Connection>>>>,
}

/// The way from the broker to one client.
struct Connection {
    /// Locked for one frame.
    client: Mutex<TcpStream>,
    /// Whether confirmations are kept back.
    is_muted: AtomicBool,
    /// Shared for one frame.
    frozen: Arc<RwLock<()>>,
}

impl MuteProxy {
    /// In front of the broker at `HOST:PORT`.
    pub(crate) fn start(broker: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let (is_over, connections) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let is_mute = Arc::new(AtomicBool::new(false));
        let frozen = Arc::new(RwLock::new(()));
        let proxy = Self {
            address,
            is_over: Arc::clone(&is_over),
            is_mute: Arc::clone(&is_mute),
            frozen: Arc::clone(&frozen),
            connections: Arc::clone(&connections),
        };
        let broker = broker.to_owned();
        std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept()
                && !is_over.load(Ordering::Relaxed)
            {
                // A broker that is away shows as a connection that ends at once.
                if let Ok(connection) = connect(client, &broker, &is_mute, &frozen) {
                    connections.lock().expect("not poisoned").push(connection);
                }
            }
        });
        proxy
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// From now on, connections that are open now carry no confirmation any more.
    pub(crate) fn mute(&self) {
        for connection in self.connections.lock().expect("not poisoned").iter() {
            connection.is_muted.store(true, Ordering::Relaxed);
        }
    }

    /// From now on, no connection carries a confirmation, of those to come neither.
    pub(crate) fn mute_for_good(&self) {
        self.is_mute.store(true, Ordering::Relaxed);
        self.mute();
    }

    /// Until the guard is dropped nothing of the broker gets through, on connections to come neither:
    /// to its clients it stands still, with its port open.
    pub(crate) fn freeze(&self) -> RwLockWriteGuard<'_, ()> {
        self.frozen.write().expect("not poisoned")
    }

    /// Says on all open connections that the broker takes no messages.
    pub(crate) fn block(&self) {
        self.say(BLOCKED);
    }

    /// Says on all open connections that it takes messages again.
    pub(crate) fn unblock(&self) {
        self.say(UNBLOCKED);
    }

    fn say(&self, frame: &[u8]) {
        for connection in self.connections.lock().expect("not poisoned").iter() {
            // Nobody hears it on one that has ended.
            let _ = connection.client.lock().expect("not poisoned").write_all(frame);
        }
    }
}

impl Drop for MuteProxy {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // It wakes the listener, which then ends.
        let _ = TcpStream::connect(&self.address);
    }
}

fn connect(
    client: TcpStream,
    broker: &str,
    is_mute: &AtomicBool,
    frozen: &Arc<RwLock<()>>,
) -> io::Result<Arc<Connection>> {
    let server = TcpStream::connect(broker)?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Both);
    });
    let is_muted = AtomicBool::new(is_mute.load(Ordering::Relaxed));
    let connection =
        Arc::new(Connection { client: Mutex::new(client), is_muted, frozen: Arc::clone(frozen) });
    let passing = Arc::clone(&connection);
    std::thread::spawn(move || {
        let _ = passing.pass_frames(server);
        let _ = passing.client.lock().expect("not poisoned").shutdown(Shutdown::Both);
    });
    Ok(connection)
}

impl Connection {
    fn pass_frames(&self, mut server: TcpStream) -> io::Result<()> {
        loop {
            let mut frame = vec![0; HEAD_BYTES];
            server.read_exact(&mut frame)?;
            let size = u32::from_be_bytes([frame[3], frame[4], frame[5], frame[6]]) as usize;
            // The payload, and the byte that ends it.
            frame.resize(HEAD_BYTES + size + 1, 0);
            server.read_exact(&mut frame[HEAD_BYTES..])?;
            let is_confirmation = frame[0] == METHOD
                && CONFIRMATIONS.iter().any(|kind| frame[HEAD_BYTES..].starts_with(kind));
            let _passes = self.frozen.read().expect("not poisoned");
            if !(is_confirmation && self.is_muted.load(Ordering::Relaxed)) {
                self.client.lock().expect("not poisoned").write_all(&frame)?;
            }
        }
    }
}
