//! Requests that are caught on their way.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::link::Link;
use super::{Cut, Shared, Weather};
use crate::wait;

/// Longest wait for the broker's answer to a request that is delivered late.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// Longest answer that is read.
const ANSWER_BYTES_MAX: u32 = 1 << 20;

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// Records.
    Produce,
    /// A producer takes its transactional id.
    InitProducerId,
    /// The group's offsets become part of a transaction.
    AddOffsetsToTxn,
    /// The end of a transaction.
    EndTxn,
    /// The coordinator tells a leader how a transaction ended.
    WriteTxnMarkers,
    /// Offsets within a transaction.
    TxnOffsetCommit,
}

impl Api {
    pub(super) const fn key(self) -> i16 {
        match self {
            Self::Produce => 0,
            Self::InitProducerId => 22,
            Self::AddOffsetsToTxn => 25,
            Self::EndTxn => 26,
            Self::WriteTxnMarkers => 27,
            Self::TxnOffsetCommit => 28,
        }
    }

    /// First version whose answer has tags in its header, of those whose answer begins with its
    /// error code.
    const fn tags_since(self) -> Option<i16> {
        match self {
            Self::InitProducerId => Some(2),
            Self::AddOffsetsToTxn | Self::EndTxn => Some(3),
            Self::Produce | Self::WriteTxnMarkers | Self::TxnOffsetCommit => None,
        }
    }
}

/// What becomes of a request that is caught.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trap {
    /// The first one is kept, and its connection is cut: the client connects anew and sends it
    /// again. [`Caught::deliver`] brings it to the broker.
    KeepAndCut,
    /// The first one is kept, and its connection stays open and silent: the client waits for an
    /// answer in vain. [`Caught::deliver`] brings the request to the broker.
    KeepSilent,
    /// All wait on their connections, and what comes behind them, until [`Caught::let_go`] or
    /// [`Caught::release`].
    Keep,
    /// The first one reaches the broker; nothing comes back over its connection any more.
    Mute,
    /// The first one reaches the broker; its connection is cut before the answer.
    CutAnswer,
}

/// A trap that was set.
#[derive(Debug)]
pub(super) struct Armed {
    id: u64,
    api: Api,
    trap: Trap,
    caught: u64,
    /// As many of the caught ones, the first, go on.
    let_go: u64,
    kept: Option<(i16, Vec<u8>)>,
    is_released: bool,
}

impl Armed {
    fn catches(&self, key: i16) -> bool {
        self.api.key() == key && !self.is_released && (self.trap == Trap::Keep || self.caught == 0)
    }
}

/// What a request says in its first bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    key: i16,
    version: i16,
}

impl Request {
    pub(super) fn of(frame: &[u8]) -> Option<Self> {
        let number = |at: usize| Some(i16::from_be_bytes(frame.get(at..at + 2)?.try_into().ok()?));
        Some(Self { key: number(4)?, version: number(6)? })
    }
}

/// Whether a request goes on to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Pass,
    Gone,
}

/// Counts a request, and catches it if a trap is set; waits while it is to be kept.
pub(super) fn judge(
    shared: &Shared,
    link: &Arc<Link>,
    request: Option<Request>,
    frame: &[u8],
) -> Verdict {
    let Some(request) = request else { return Verdict::Pass };
    let caught = shared.change(|weather| {
        *weather.seen.entry(request.key).or_default() += 1;
        let armed = weather.traps.iter_mut().find(|armed| armed.catches(request.key))?;
        armed.caught += 1;
        match armed.trap {
            Trap::KeepAndCut | Trap::KeepSilent => {
                armed.kept = Some((request.version, frame.to_vec()))
            }
            Trap::Mute | Trap::CutAnswer => link.is_mute.store(true, Ordering::Release),
            Trap::Keep => {}
        }
        Some((armed.id, armed.caught, armed.trap))
    });
    let Some((id, number, trap)) = caught else { return Verdict::Pass };
    match trap {
        Trap::KeepAndCut => {
            link.cut(Cut::Close);
            return Verdict::Gone;
        }
        Trap::KeepSilent => {
            shared.wait_while(|weather| holds(weather, id, number) && !link.is_cut());
            link.cut(Cut::Close);
            return Verdict::Gone;
        }
        Trap::CutAnswer => link.cut_client(),
        Trap::Mute => {}
        Trap::Keep => {
            shared.wait_while(|weather| holds(weather, id, number) && !link.is_cut());
        }
    }
    Verdict::Pass
}

fn holds(weather: &Weather, id: u64, number: u64) -> bool {
    let keeps = |armed: &Armed| armed.id == id && !armed.is_released && number > armed.let_go;
    weather.traps.iter().any(keeps)
}

/// A trap, and what it has caught. With it ends what it keeps: requests of [`Trap::Keep`] go on,
/// a silent connection is closed, and what was not delivered never is.
#[derive(Debug)]
pub struct Caught {
    shared: Arc<Shared>,
    id: u64,
    api: Api,
}

impl Caught {
    pub(super) fn arm(shared: &Arc<Shared>, api: Api, trap: Trap) -> Self {
        let id = shared.change(|weather| {
            weather.traps_made += 1;
            let id = weather.traps_made;
            let (caught, let_go, kept, is_released) = (0, 0, None, false);
            weather.traps.push(Armed { id, api, trap, caught, let_go, kept, is_released });
            id
        });
        Self { shared: Arc::clone(shared), id, api }
    }

    fn armed<T>(&self, look: impl FnOnce(&mut Armed) -> T) -> T {
        self.shared.change(|weather| {
            let armed = weather.traps.iter_mut().find(|armed| armed.id == self.id);
            look(armed.expect("it stays until this is dropped"))
        })
    }

    /// Requests caught so far.
    pub fn count(&self) -> u64 {
        self.armed(|armed| armed.caught)
    }

    /// Waits until a request is caught.
    ///
    /// # Panics
    ///
    /// Panics when none comes within `limit`.
    #[track_caller]
    pub fn wait(&self, limit: Duration) {
        wait::is_true(&format!("catching {:?}", self.api), limit, || self.count() > 0);
    }

    /// Lets go on what is kept now. What comes next is caught as well.
    pub fn let_go(&self) {
        self.armed(|armed| armed.let_go = armed.caught);
    }

    /// Lets go on what is kept. Nothing more is caught.
    pub fn release(&self) {
        self.armed(|armed| armed.is_released = true);
    }

    /// Brings the request that was kept to the broker over a connection of its own, and returns
    /// the answer.
    ///
    /// # Panics
    ///
    /// Panics when nothing was kept, or the broker does not answer.
    pub fn deliver(&self) -> Answer {
        let (version, frame) = self.armed(|armed| armed.kept.take()).expect("a request was kept");
        let upstream = self.shared.weather().upstream.clone().expect("there is a broker");
        let mut stream = TcpStream::connect(upstream).expect("the broker takes connections");
        stream.set_read_timeout(Some(ANSWER_MAX)).expect("a time above zero");
        stream.write_all(&frame).expect("the broker reads");
        let mut length = [0; 4];
        stream.read_exact(&mut length).expect("the broker answers in time");
        let length = u32::from_be_bytes(length);
        assert!(length <= ANSWER_BYTES_MAX, "an answer of {length} bytes");
        let mut bytes = vec![0; length as usize];
        stream.read_exact(&mut bytes).expect("the broker answers in full");
        Answer { api: self.api, version, bytes }
    }
}

impl Drop for Caught {
    fn drop(&mut self) {
        self.shared.change(|weather| weather.traps.retain(|armed| armed.id != self.id));
    }
}

/// What a broker answered to a request that came late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    api: Api,
    version: i16,
    /// Everything behind the length.
    pub bytes: Vec<u8>,
}

impl Answer {
    /// Kafka's error code; 0 for none.
    ///
    /// # Panics
    ///
    /// Panics for a kind of request whose answer has several.
    pub fn error_code(&self) -> i16 {
        let tags_since = self.api.tags_since().expect("its answer begins with its error code");
        // Correlation id, tags (none: one byte), throttle time.
        let at = 4 + usize::from(self.version >= tags_since) + 4;
        let code = self.bytes.get(at..at + 2).expect("the answer is long enough");
        i16::from_be_bytes(code.try_into().expect("two bytes"))
    }
}
