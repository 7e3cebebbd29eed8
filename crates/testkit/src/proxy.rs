//! A TCP proxy in front of a broker, with bad weather at will.
//!
//! ```text
//! client ─► KafkaProxy ─► broker       requests are read as frames: length, API key, version, …
//!                                      answers pass as bytes
//! ```
//!
//! It understands of the protocol just what it takes to catch a request of a given kind: keep it,
//! cut the connection that it came over, and deliver it to the broker later. The broker has to
//! advertise the proxy's address, so the proxy is bound first and led to the broker once it runs;
//! [`crate::Cluster::behind_proxy`] does both.
//!
//! It stays own: proxies for bad networks, such as toxiproxy, hold and cut bytes, and do not know
//! one request of Kafka's protocol from another.

mod link;
#[cfg(test)]
mod tests;
mod trap;

use std::collections::HashMap;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};

pub use self::trap::{Answer, Api, Caught, Trap};

use crate::cluster::Servers;
use crate::pipeline::Pipeline;

use self::link::Link;
use self::trap::Armed;

/// Connections at the same time; more are refused.
const LINKS_MAX: usize = 256;

/// Pause between two looks for a new connection.
const ACCEPT_EVERY: Duration = Duration::from_millis(5);

/// Longest wait for the broker's side of a new connection.
const CONNECT_MAX: Duration = Duration::from_secs(20);

/// Direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From clients to the broker.
    ToBroker,
    /// From the broker to clients.
    ToClient,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// In order, as by a process that ends.
    Close,
    /// With a reset, as by a machine that knows nothing of the connection.
    Reset,
}

/// How a slow line passes bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drip {
    /// Bytes that pass at once.
    pub bytes: usize,
    /// Pause before the next ones.
    pub every: Duration,
}

/// What the line is like at this moment.
#[derive(Debug, Default)]
struct Weather {
    upstream: Option<String>,
    latency: Duration,
    stalls_to_broker: bool,
    stalls_to_client: bool,
    drip: Option<Drip>,
    refuses: bool,
    ended: bool,
    traps: Vec<Armed>,
    traps_made: u64,
    links: HashMap<u64, Arc<Link>>,
    links_made: u64,
    seen: HashMap<i16, u64>,
}

impl Weather {
    const fn stalls(&self, way: Way) -> bool {
        match way {
            Way::ToBroker => self.stalls_to_broker,
            Way::ToClient => self.stalls_to_client,
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    weather: Mutex<Weather>,
    changed: Condvar,
}

impl Shared {
    fn weather(&self) -> MutexGuard<'_, Weather> {
        self.weather.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Weather) -> T) -> T {
        let result = change(&mut self.weather());
        self.changed.notify_all();
        result
    }

    /// Waits while this holds, or until the proxy ends.
    fn wait_while(&self, goes_on: impl Fn(&Weather) -> bool) {
        let weather = self.weather();
        let waits = |weather: &mut Weather| !weather.ended && goes_on(weather);
        drop(self.changed.wait_while(weather, waits).unwrap_or_else(PoisonError::into_inner));
    }
}

/// See the module. All connections and threads end with it.
#[derive(Debug)]
pub struct KafkaProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl KafkaProxy {
    /// Takes a free port. Until [`Self::lead_to`] connections are refused.
    ///
    /// # Panics
    ///
    /// Panics when there is no free port.
    pub fn bind() -> Self {
        let port = stack::ports::free().expect("a free port");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let shared = Arc::new(Shared::default());
        let acceptor = Acceptor { address, shared: Arc::clone(&shared), threads: Vec::new() };
        let thread = thread::Builder::new().name("proxy".to_owned());
        let acceptor = thread.spawn(move || acceptor.run()).expect("room for a thread");
        Self { address, shared, acceptor: Some(acceptor) }
    }

    /// Its address, `host:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// A pipeline as its clients see it who go through this proxy.
    #[must_use]
    pub fn before(&self, pipeline: &Pipeline) -> Pipeline {
        before(std::slice::from_ref(self), pipeline)
    }

    /// Names the broker, `host:port`.
    pub fn lead_to(&self, broker: &str) {
        self.shared.change(|weather| weather.upstream = Some(broker.to_owned()));
    }

    /// Everything takes this much longer, in each direction.
    pub fn delay(&self, latency: Duration) {
        self.shared.change(|weather| weather.latency = latency);
    }

    /// Bytes pass in this rhythm only; `None` for freely.
    pub fn drip(&self, drip: Option<Drip>) {
        self.shared.change(|weather| weather.drip = drip);
    }

    /// Lets nothing pass in a direction; connections stay open, and what waits is not lost.
    pub fn stall(&self, way: Way) {
        self.shared.change(|weather| match way {
            Way::ToBroker => weather.stalls_to_broker = true,
            Way::ToClient => weather.stalls_to_client = true,
        });
    }

    /// Lets nothing pass at all, as [`Self::stall`] for both directions.
    pub fn freeze(&self) {
        self.stall(Way::ToBroker);
        self.stall(Way::ToClient);
    }

    /// Ends all connections. New ones are taken.
    pub fn disconnect(&self, how: Cut) {
        let links: Vec<Arc<Link>> =
            self.shared.change(|weather| weather.links.drain().map(|(_, link)| link).collect());
        links.iter().for_each(|link| link.cut(how));
    }

    /// Ends all connections with a reset and refuses new ones, until [`Self::heal`].
    pub fn cut(&self) {
        self.shared.change(|weather| weather.refuses = true);
        self.disconnect(Cut::Reset);
    }

    /// The line is as good as new: nothing is late, stalled or refused. Traps stay.
    pub fn heal(&self) {
        self.shared.change(|weather| {
            weather.latency = Duration::ZERO;
            weather.drip = None;
            weather.refuses = false;
            (weather.stalls_to_broker, weather.stalls_to_client) = (false, false);
        });
    }

    /// Catches the next request of a kind; see [`Trap`].
    pub fn trap(&self, api: Api, trap: Trap) -> Caught {
        Caught::arm(&self.shared, api, trap)
    }

    /// Requests of a kind that came from clients so far.
    pub fn seen(&self, api: Api) -> u64 {
        self.shared.weather().seen.get(&api.key()).copied().unwrap_or(0)
    }

    /// Connections that are open.
    pub fn connections(&self) -> usize {
        self.shared.weather().links.len()
    }
}

/// A pipeline as its clients see it who go through these proxies, one for each broker.
pub fn before(proxies: &[KafkaProxy], pipeline: &Pipeline) -> Pipeline {
    let addresses: Vec<String> = proxies.iter().map(KafkaProxy::address).collect();
    let bootstrap_servers = addresses.join(",");
    let servers = Servers { bootstrap_servers, ..pipeline.servers.clone() };
    Pipeline { servers, ..pipeline.clone() }
}

impl Drop for KafkaProxy {
    fn drop(&mut self) {
        self.shared.change(|weather| weather.ended = true);
        self.disconnect(Cut::Close);
        if let Some(acceptor) = self.acceptor.take() {
            // It has panicked only if a test saw that.
            let _ended = acceptor.join();
        }
    }
}

/// Takes connections until the proxy ends, and joins their threads.
struct Acceptor {
    address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Acceptor {
    fn run(mut self) {
        let mut listener = None;
        loop {
            let (ended, upstream) = {
                let weather = self.shared.weather();
                let is_full = weather.links.len() >= LINKS_MAX;
                let refuses = weather.refuses || is_full;
                (weather.ended, weather.upstream.clone().filter(|_| !refuses))
            };
            if ended {
                break;
            }
            self.threads.retain(|thread| !thread.is_finished());
            let Some(upstream) = upstream else {
                listener = None; // a closed port refuses
                thread::sleep(ACCEPT_EVERY);
                continue;
            };
            if listener.is_none() {
                listener = TcpListener::bind(self.address).ok();
            }
            match listener.as_ref().map(accept) {
                Some(Some(client)) => self.connect(client, &upstream),
                _ => thread::sleep(ACCEPT_EVERY),
            }
        }
        for thread in self.threads {
            let _ended = thread.join();
        }
    }

    fn connect(&mut self, client: TcpStream, upstream: &str) {
        let broker = upstream
            .parse()
            .ok()
            .and_then(|address| TcpStream::connect_timeout(&address, CONNECT_MAX).ok());
        let Some(broker) = broker else {
            let _gone = client.shutdown(Shutdown::Both);
            return;
        };
        let (link, ended) = self.shared.change(|weather| {
            weather.links_made += 1;
            let link = Arc::new(Link::new(weather.links_made, client, broker));
            weather.links.insert(link.id, Arc::clone(&link));
            (link, weather.ended)
        });
        if ended {
            link.cut(Cut::Close);
        }
        self.threads.extend(link::start(&link, &self.shared));
    }
}

fn accept(listener: &TcpListener) -> Option<TcpStream> {
    listener.set_nonblocking(true).ok()?;
    let (client, _) = listener.accept().ok()?;
    client.set_nonblocking(false).ok()?;
    client.set_nodelay(true).ok()?;
    Some(client)
}

/// Makes the end of a connection a reset.
fn end_with_reset(stream: &TcpStream) {
    let at_once = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    setsockopt(stream, sockopt::Linger, &at_once).expect("an open socket takes it");
}
