//! One connection through the proxy: two directions, each with a reader and a writer.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::trap::{Request, Verdict};
use super::{Cut, Shared, Way, end_with_reset};

/// Pieces that wait in one direction; then its reader waits as well.
const PIECES_MAX: usize = 64;

/// Bytes read from the broker at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Largest request; a broker takes 100 MB at most, if it is not told otherwise.
const REQUEST_BYTES_MAX: usize = 256 << 20;

/// A piece on its way, and when it arrives.
type Piece = (Instant, Vec<u8>);

/// See the module.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) id: u64,
    client: TcpStream,
    broker: TcpStream,
    is_cut: AtomicBool,
    /// What the broker answers is thrown away.
    pub(super) is_mute: AtomicBool,
    /// Its end towards the client is a reset, which a shutdown would spoil.
    ends_with_reset: AtomicBool,
}

impl Link {
    pub(super) fn new(id: u64, client: TcpStream, broker: TcpStream) -> Self {
        // Without it small requests wait for acknowledgements; with it they are just later.
        let _as_it_is = broker.set_nodelay(true);
        Self {
            id,
            client,
            broker,
            is_cut: AtomicBool::new(false),
            is_mute: AtomicBool::new(false),
            ends_with_reset: AtomicBool::new(false),
        }
    }

    pub(super) fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Acquire)
    }

    /// Ends both sides at once. What is on its way is lost.
    pub(super) fn cut(&self, how: Cut) {
        self.is_cut.store(true, Ordering::Release);
        match how {
            Cut::Close => self.cut_client(),
            Cut::Reset => {
                self.ends_with_reset.store(true, Ordering::Release);
                end_with_reset(&self.client);
                // Wakes the reader; the reset goes out when the last thread lets go of the socket.
                let _gone = self.client.shutdown(Shutdown::Read);
            }
        }
        let _gone = self.broker.shutdown(Shutdown::Both);
    }

    /// Ends the client's side only.
    pub(super) fn cut_client(&self) {
        if !self.ends_with_reset.load(Ordering::Acquire) {
            let _gone = self.client.shutdown(Shutdown::Both);
        }
    }
}

/// Starts the four threads of a connection.
pub(super) fn start(link: &Arc<Link>, shared: &Arc<Shared>) -> Vec<JoinHandle<()>> {
    let mut threads = Vec::new();
    for way in [Way::ToBroker, Way::ToClient] {
        let (sender, receiver) = sync_channel(PIECES_MAX);
        let (reading, writing) = (Flow::new(link, shared, way), Flow::new(link, shared, way));
        threads.push(spawn(move || match way {
            Way::ToBroker => reading.read_requests(&sender),
            Way::ToClient => reading.read_answers(&sender),
        }));
        threads.push(spawn(move || writing.write(&receiver)));
    }
    threads
}

fn spawn(work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    thread::Builder::new().name("proxied".to_owned()).spawn(work).expect("room for a thread")
}

/// One direction.
struct Flow {
    link: Arc<Link>,
    shared: Arc<Shared>,
    way: Way,
}

impl Flow {
    fn new(link: &Arc<Link>, shared: &Arc<Shared>, way: Way) -> Self {
        Self { link: Arc::clone(link), shared: Arc::clone(shared), way }
    }

    /// Reads whole requests, so that one can be caught.
    fn read_requests(&self, sender: &SyncSender<Piece>) {
        while let Some(frame) = self.read_frame() {
            let request = Request::of(&frame);
            match super::trap::judge(&self.shared, &self.link, request, &frame) {
                Verdict::Pass => {}
                Verdict::Gone => return,
            }
            if !self.pass(sender, frame) {
                return;
            }
        }
    }

    fn read_frame(&self) -> Option<Vec<u8>> {
        let mut length = [0; 4];
        (&self.link.client).read_exact(&mut length).ok()?;
        let bytes = usize::try_from(u32::from_be_bytes(length)).ok()?;
        if bytes > REQUEST_BYTES_MAX {
            return None; // not Kafka
        }
        let mut frame = vec![0; 4 + bytes];
        frame[..4].copy_from_slice(&length);
        (&self.link.client).read_exact(&mut frame[4..]).ok()?;
        Some(frame)
    }

    fn read_answers(&self, sender: &SyncSender<Piece>) {
        let mut buffer = vec![0; PIECE_BYTES];
        loop {
            match (&self.link.broker).read(&mut buffer) {
                Ok(0) => return,
                Ok(bytes) if !self.pass(sender, buffer[..bytes].to_vec()) => return,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    /// Sends a piece on its way; `false` when there is nobody to write it.
    fn pass(&self, sender: &SyncSender<Piece>, piece: Vec<u8>) -> bool {
        let due = Instant::now() + self.shared.weather().latency;
        sender.send((due, piece)).is_ok()
    }

    /// Writes what arrives, until the other side has ended; then ends the connection.
    fn write(&self, receiver: &Receiver<Piece>) {
        for (due, piece) in receiver {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            self.shared.wait_while(|weather| weather.stalls(self.way) && !self.link.is_cut());
            if self.link.is_cut() || self.write_piece(&piece).is_err() {
                break;
            }
        }
        self.link.cut_client();
        let _gone = self.link.broker.shutdown(Shutdown::Both);
        self.link.is_cut.store(true, Ordering::Release);
        self.shared.change(|weather| weather.links.remove(&self.link.id));
    }

    fn write_piece(&self, piece: &[u8]) -> std::io::Result<()> {
        let mut target = match self.way {
            Way::ToBroker => &self.link.broker,
            Way::ToClient => &self.link.client,
        };
        if self.way == Way::ToClient && self.link.is_mute.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut rest = piece;
        while !rest.is_empty() {
            let drip = self.shared.weather().drip;
            let bytes = drip.map_or(rest.len(), |drip| drip.bytes.clamp(1, rest.len()));
            target.write_all(&rest[..bytes])?;
            rest = &rest[bytes..];
            if let Some(drip) = drip {
                thread::sleep(drip.every);
            }
        }
        Ok(())
    }
}
