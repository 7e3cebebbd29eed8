//! One connection with one channel that comes back by itself.
//!
//! ```text
//! connect, declare, open ─► Up ◄──► Blocked (the broker is short of memory or disk)
//!      ▲                     │
//!      └── back-off, jitter ─┴──► Away (refused, reset, silent, channel closed)
//! ```
//!
//! Publishing and consuming have connections of their own: a broker that blocks publishers still
//! delivers and takes acknowledgements.

use std::fmt;
use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::options::{BasicQosOptions, ConfirmSelectOptions};
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties, Event};
use service_kit::shutdown::Shutdown;
use service_kit::unavailable::{Reporter, Thing, of_process};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

use crate::declare::{DeclareError, claim, declare};
use crate::limits::{
    BACKOFF_MAX, BACKOFF_MIN, CLOSE_MAX, CONNECT_MAX, DECLARE_MAX, HEARTBEAT_S, LOOK_EVERY,
    RECOVER_LOOK_EVERY, RECOVER_MAX,
};
use crate::metrics;
use crate::topology::{Declared, QueuePlan};

/// The broker.
const RABBITMQ: Thing = Thing { label: "rabbitmq", name: "RabbitMQ" };

/// What the channel is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Publishing, with confirmations.
    Publish,
    /// Consuming, so many messages at a time.
    Consume {
        /// Messages that are not answered.
        prefetch: u16,
    },
    /// Sending dead letters back, with confirmations; it declares nothing.
    Redrive,
}

impl Purpose {
    /// What `/readyz` says while there is no channel.
    const fn condition(self) -> &'static str {
        match self {
            Self::Publish | Self::Redrive => "rabbitmq-publish",
            Self::Consume { .. } => "rabbitmq-consume",
        }
    }
}

/// How to reach the broker, and what it must have.
#[derive(Clone)]
pub struct Target {
    /// Where it is, and the login.
    pub uri: AMQPUri,
    /// What it must have.
    pub declared: Declared,
    /// Of connections, as the management interface shows it.
    pub name: &'static str,
    /// What says which store has the service's state, where only one may work with it.
    pub owner: Option<QueuePlan>,
}

/// State of a link.
#[derive(Clone)]
pub enum State {
    /// There is no connection, and why.
    Away(String),
    /// The broker takes no messages, and why.
    Blocked(String),
    /// All is well.
    Up(Live),
}

/// A channel, and which of all the channels of its link it is.
#[derive(Clone)]
pub struct Live {
    /// The channel.
    pub channel: Channel,
    /// Its number among them, from 1.
    pub generation: u64,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address carries a password.
        let address = address(&self.uri);
        f.debug_struct("Target").field("address", &address).finish_non_exhaustive()
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("generation", &self.generation).finish_non_exhaustive()
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away(why) => write!(f, "away: {why}"),
            Self::Blocked(why) => write!(f, "blocked: {why}"),
            Self::Up(live) => write!(f, "up, generation {}", live.generation),
        }
    }
}

/// A connection that comes back by itself. Clones share it.
#[derive(Debug, Clone)]
pub struct Link {
    state: watch::Receiver<State>,
    broken: mpsc::Sender<u64>,
}

/// The broker does not let us in.
#[derive(Debug, Clone, thiserror::Error)]
#[error("RabbitMQ at {address}: {detail}")]
pub struct ConnectError {
    /// Host and port.
    pub address: String,
    /// What the broker or the system said.
    pub detail: String,
    /// The broker knows another store that has the service's state.
    pub is_other_owner: bool,
    /// The broker knows a queue that it does not yet serve, as just after its start.
    pub is_recovering: bool,
}

/// Connection, channel, and what is heard of them.
struct Opened {
    connection: Connection,
    channel: Channel,
}

impl Link {
    /// Connects, and keeps it so until `stop`.
    ///
    /// # Errors
    ///
    /// If the first connection does not come about.
    pub async fn open(
        target: Target,
        purpose: Purpose,
        stop: Shutdown,
    ) -> Result<Self, ConnectError> {
        let opened = connect(&target, purpose).await?;
        let live = Live { channel: opened.channel.clone(), generation: 1 };
        let (state, seen) = watch::channel(State::Up(live));
        let (broken, reports) = mpsc::channel(16);
        tokio::spawn(keep(target, purpose, opened, state, reports, stop));
        Ok(Self { state: seen, broken })
    }

    /// State of this moment.
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Waits until this channel is gone. One that is blocked still delivers.
    pub async fn is_lost(&self, generation: u64) {
        let is_lost = |state: &State| match state {
            State::Away(_) => true,
            State::Blocked(_) => false,
            State::Up(live) => live.generation != generation,
        };
        self.when(is_lost).await;
    }

    /// Waits until the channel is another than this, or takes no messages.
    pub async fn leaves(&self, generation: u64) -> State {
        let is_left =
            |state: &State| !matches!(state, State::Up(live) if live.generation == generation);
        self.when(is_left).await
    }

    /// Waits until there is a connection, perhaps one that is blocked.
    pub async fn is_there(&self) {
        self.when(|state| !matches!(state, State::Away(_))).await;
    }

    /// Waits until there is a channel.
    pub async fn up(&self) -> Option<Live> {
        match self.when(|state| matches!(state, State::Up(_))).await {
            State::Up(live) => Some(live),
            _ => None,
        }
    }

    /// Waits for a state; the last one when the link has ended.
    async fn when(&self, is_it: impl FnMut(&State) -> bool) -> State {
        let mut state = self.state.clone();
        match state.wait_for(is_it).await {
            Ok(state) => state.clone(),
            Err(_ended) => State::Away("stopped".to_owned()),
        }
    }

    /// Says that a channel is of no use; the link makes a new one.
    pub fn report_broken(&self, generation: u64) {
        // When the queue is full, somebody has said so already.
        let _ = self.broken.try_send(generation);
    }
}

/// Address without user and password.
pub fn address(uri: &AMQPUri) -> String {
    format!("{}:{}", uri.authority.host, uri.authority.port)
}

/// Opens one connection with one channel, once; for commands that do one thing and end.
pub async fn open_once(
    target: &Target,
    purpose: Purpose,
) -> Result<(Connection, Channel), ConnectError> {
    let Opened { connection, channel } = connect(target, purpose).await?;
    Ok((connection, channel))
}

/// Connects and declares; a broker that was just started, and has not all its queues yet, is given
/// [`RECOVER_MAX`].
async fn connect(target: &Target, purpose: Purpose) -> Result<Opened, ConnectError> {
    let recovered_by = Instant::now() + RECOVER_MAX;
    loop {
        match connect_now(target, purpose).await {
            Err(error) if error.is_recovering && Instant::now() < recovered_by => {
                tracing::debug!(%error, "the broker does not have all queues yet");
                sleep(RECOVER_LOOK_EVERY).await;
            }
            done => return done,
        }
    }
}

async fn connect_now(target: &Target, purpose: Purpose) -> Result<Opened, ConnectError> {
    let failed = |detail: String| ConnectError {
        address: address(&target.uri),
        detail,
        is_other_owner: false,
        is_recovering: false,
    };
    let within = |limit: Duration| move |_elapsed| failed(format!("no answer within {limit:?}"));
    let opened = timeout(CONNECT_MAX, open(target)).await.map_err(within(CONNECT_MAX))?;
    let opened = opened.map_err(|error| failed(error.to_string()))?;
    let set_up = set_up(&opened, target, purpose);
    let set_up = timeout(DECLARE_MAX, set_up).await.map_err(within(DECLARE_MAX))?;
    set_up.map_err(|error| ConnectError {
        is_other_owner: matches!(error, DeclareError::OtherOwner(_)),
        is_recovering: error.is_recovering(),
        ..failed(error.to_string())
    })?;
    Ok(opened)
}

async fn open(target: &Target) -> lapin::Result<Opened> {
    let mut uri = target.uri.clone();
    uri.query.heartbeat.get_or_insert(HEARTBEAT_S);
    let properties = ConnectionProperties::default().with_connection_name(target.name.into());
    let connection = Connection::connect_uri(uri, properties).await?;
    let channel = connection.create_channel().await?;
    Ok(Opened { connection, channel })
}

async fn set_up(opened: &Opened, target: &Target, purpose: Purpose) -> Result<(), DeclareError> {
    let Opened { connection, channel } = opened;
    if let Some(owner) = &target.owner {
        claim(owner, channel).await?;
    }
    if purpose != Purpose::Redrive {
        declare(&target.declared, connection, channel).await?;
    }
    match purpose {
        Purpose::Publish | Purpose::Redrive => {
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
        }
        Purpose::Consume { prefetch } => {
            channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
        }
    }
    Ok(())
}

/// Keeps the link until a stop is asked for and nobody uses it any more.
async fn keep(
    target: Target,
    purpose: Purpose,
    first: Opened,
    state: watch::Sender<State>,
    mut reports: mpsc::Receiver<u64>,
    stop: Shutdown,
) {
    let mut opened = Some(first);
    let reporter = of_process().reporter(RABBITMQ, purpose.condition());
    for generation in 1_u64.. {
        let Some(now) = opened.take() else { return };
        let live = Live { channel: now.channel.clone(), generation };
        state.send_replace(State::Up(live.clone()));
        metrics::connected(target.name, true);
        reporter.available();
        let why = watch_over(&now, live, &state, &mut reports, &reporter).await;
        let goodbye = now.connection.close(200, "stopping".into());
        let is_over = why.is_none();
        if let Some(why) = why {
            metrics::connected(target.name, false);
            reporter.unavailable(format!("{}: {why}", address(&target.uri)));
            state.send_replace(State::Away(why));
        }
        // A connection that is lost has nothing to say.
        let _ = timeout(CLOSE_MAX, goodbye).await;
        if is_over {
            return;
        }
        opened = reconnect(&target, purpose, &state, &stop).await;
    }
}

/// Returns why the channel is of no use any more; `None` when everybody has let go of the link.
async fn watch_over(
    opened: &Opened,
    live: Live,
    state: &watch::Sender<State>,
    reports: &mut mpsc::Receiver<u64>,
    reporter: &Reporter,
) -> Option<String> {
    let mut events = std::pin::pin!(opened.connection.events_listener());
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Event::ConnectionBlocked(reason)) => {
                    reporter.unavailable(format!("it accepts no messages: {reason}"));
                    metrics::blocked(true);
                    state.send_replace(State::Blocked(reason));
                }
                Some(Event::ConnectionUnblocked) => {
                    reporter.available();
                    metrics::blocked(false);
                    state.send_replace(State::Up(live.clone()));
                }
                Some(Event::Error(error)) => return Some(error.to_string()),
                Some(_) => {}
                None => return Some("the connection has ended".to_owned()),
            },
            report = reports.recv() => match report {
                Some(generation) if generation == live.generation => {
                    return Some("its channel is closed".to_owned());
                }
                Some(_) => {}
                None => return None,
            },
            () = sleep(LOOK_EVERY) => {
                let is_connected =
                    opened.connection.status().connected() && opened.channel.status().connected();
                if !is_connected {
                    return Some("the connection was lost".to_owned());
                }
            }
        }
    }
}

async fn reconnect(
    target: &Target,
    purpose: Purpose,
    state: &watch::Sender<State>,
    stop: &Shutdown,
) -> Option<Opened> {
    let mut wait = BACKOFF_MIN;
    while !stop.is_requested() {
        match connect(target, purpose).await {
            Ok(opened) => {
                metrics::reconnected(target.name);
                return Some(opened);
            }
            Err(error) => {
                tracing::debug!(%error, "no connection yet");
                state.send_replace(State::Away(error.to_string()));
            }
        }
        tokio::select! {
            () = sleep(jittered(wait)) => {}
            () = stop.requested() => {}
        }
        wait = (wait * 2).min(BACKOFF_MAX);
    }
    None
}

/// Between half of it and all of it, so that many services do not come back at once.
pub fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(rand::random_range(0.5..=1.0))
}
