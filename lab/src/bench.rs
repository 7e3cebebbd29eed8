//! Makes one run after the other.
//!
//! ```text
//! cell ─► possible here? ─► services start, ready ─► reader of outcomes at the end of what there is
//!            │ no                                              │
//!            ▼                                                 ▼
//!      said in the results      generator ∥ fault ∥ looks at /proc ─► settle ─► ask who was told ─► measured
//! ```

mod at_once;
mod load;
mod replay;
mod settle;
pub(crate) mod warm;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lapin::options::ConfirmSelectOptions;
use service_kit::shutdown::Shutdown;
use tokio::runtime::Handle;

use crate::asked::Asks;
use crate::book::{Book, Trace};
use crate::client::OrderClient;
use crate::flow::{Addresses, Brokers, dead_letters};
use crate::listen::Listener;
use crate::past::Past;
use crate::plan::{Cell, never};
use crate::poison::Poison;
use crate::proc::Processes;
use crate::results::Run;
use crate::servers::Servers;
use crate::services::{Services, Surroundings};
use crate::stopping::{STOPPED, unless_stopped};
use crate::words;
use crate::workload::{Fault, Kind, Paradigm, Service, Workload, WorkloadFile};

/// Longest wait for the dead letters of invalid messages, after everything else of a run has ended.
const DEAD_LETTER_MAX: Duration = Duration::from_secs(5);
const DEAD_LETTER_LOOK_EVERY: Duration = Duration::from_millis(100);

/// Who runs the services.
#[derive(Debug)]
pub enum Home {
    /// The lab.
    Own(Box<Servers>, Box<Surroundings>),
    /// Somebody else: the lab starts and breaks nothing.
    Elsewhere(BTreeMap<Paradigm, Addresses>),
}

/// Everything that runs need.
#[derive(Debug)]
pub struct Bench {
    /// Who runs the services.
    pub home: Home,
    /// The brokers.
    pub brokers: Brokers,
    /// Items of the menu.
    pub items: Vec<String>,
    /// The client of all requests.
    pub http: reqwest::Client,
    /// Where it runs.
    pub runtime: Handle,
    /// What is run.
    pub file: WorkloadFile,
    /// Ends it.
    pub stop: Shutdown,
    /// Begins the names of all orders of this comparison.
    pub id: String,
    /// When it began.
    pub began: Instant,
    /// Folder for the data of programs.
    pub dir: PathBuf,
    /// Folder for what programs print, one for each run in it.
    pub logs: PathBuf,
    /// Orders of earlier runs.
    pub past: Past,
    /// Whose outcomes were read so far.
    pub listened: BTreeSet<Paradigm>,
    /// What became of the orders of the last run.
    pub last: Option<(Arc<Asks>, Vec<Trace>)>,
}

/// What one run uses; it ends with it.
struct Rig {
    services: Option<Services>,
    addresses: Addresses,
    processes: Processes,
    book: Arc<Book>,
    asks: Arc<Asks>,
    /// Dropped before the services: it reads what they write.
    listener: Option<Listener>,
    client: Arc<OrderClient>,
    /// Dead letters that were counted before; nothing where nobody tells.
    dead_before: Option<u64>,
    /// The connection that poison goes through, where that is RabbitMQ's.
    _connection: Option<lapin::Connection>,
}

impl Bench {
    /// Makes a run. One that is stopped in the middle is an error.
    ///
    /// # Errors
    ///
    /// Fails with what did not work.
    pub fn run(&mut self, cell: &Cell) -> Result<Run, String> {
        let workload = self.file.workloads[cell.workload].clone();
        let (rate, began_s) = (workload.rates_per_s[cell.rate], self.began.elapsed().as_secs_f64());
        let mut run = Run::new(&workload.name, cell.paradigm, cell.round, rate, began_s);
        self.last = None;
        if let Some(why) = self.impossible(&workload, cell.paradigm) {
            run.not_possible = Some(why);
            return Ok(run);
        }
        match workload.kind {
            Kind::Load | Kind::Sweep => self.load(&mut run, &workload, cell)?,
            Kind::Backlog => self.backlog(&mut run, &workload, cell)?,
            Kind::Batch => self.at_once(&mut run, &workload, cell)?,
            Kind::Replay => self.replay(&mut run, cell)?,
        }
        if self.stop.is_requested() {
            return Err(STOPPED.to_owned());
        }
        Ok(run)
    }

    /// Remembers the orders of the run that was made last, which stands at this place among the results.
    pub fn remember(&mut self, run: usize) {
        if let Some((asks, traces)) = self.last.take() {
            self.past.remember(run, &asks, &traces);
        }
    }

    /// Folder for what programs print in a run.
    #[must_use]
    pub fn logs_of(&self, cell: &Cell) -> PathBuf {
        let workload = &self.file.workloads[cell.workload];
        let rate = match workload.kind {
            Kind::Sweep => format!("-{}", workload.rates_per_s[cell.rate]),
            _ => String::new(),
        };
        let (paradigm, round) = (cell.paradigm.name(), cell.round + 1);
        self.logs.join(format!("{}{rate}-{paradigm}-{round}", workload.name))
    }

    /// Why a paradigm cannot do this; nothing where it can.
    fn impossible(&self, workload: &Workload, paradigm: Paradigm) -> Option<String> {
        let is_elsewhere = matches!(self.home, Home::Elsewhere(_));
        let needs_own = workload.fault.is_some()
            || workload.order_replicas > 1
            || !workload.inventory_delay.is_zero()
            || workload.inventory_failure_rate > 0.0
            || workload.simulate_failures > 0.0
            || matches!(workload.kind, Kind::Backlog | Kind::Replay);
        if is_elsewhere && needs_own {
            return Some(
                "the services run elsewhere: the lab starts, slows and kills only its own"
                    .to_owned(),
            );
        }
        never(workload, paradigm).map(str::to_owned)
    }

    /// Name of a run, the beginning of the keys of its orders.
    fn name_of(&self, cell: &Cell) -> String {
        let Cell { workload, rate, paradigm, round, .. } = cell;
        format!("{}-{workload}-{rate}-{}-{round}", self.id, paradigm.name())
    }

    /// Starts what a run needs.
    fn rig(&mut self, workload: &Workload, cell: &Cell, asks: Asks) -> Result<Rig, String> {
        let paradigm = cell.paradigm;
        let logs = self.logs_of(cell);
        let processes = Processes::default();
        let (services, addresses) = match &mut self.home {
            Home::Elsewhere(addresses) => {
                let known = addresses.get(&paradigm).cloned();
                (None, known.ok_or_else(|| format!("nobody says where {} is", paradigm.name()))?)
            }
            Home::Own(servers, around) => {
                servers.add_to(&processes, paradigm, false);
                let around = Surroundings { logs, ..around.as_ref().clone() };
                let (http, runtime) = (&self.http, &self.runtime);
                let services =
                    Services::start(paradigm, workload, around, &processes, http, runtime)?;
                let addresses = services.addresses();
                (Some(services), addresses)
            }
        };
        let book = Arc::new(Book::new(&asks, self.past.clone()));
        let listener = Listener::start(paradigm, &self.brokers, &book, &self.runtime, &self.stop)?;
        self.listened.insert(paradigm);
        let (poison, connection) = self.poison(workload, paradigm)?;
        let is_told_by_answer = paradigm == Paradigm::SyncRest;
        let client =
            OrderClient::new(self.http.clone(), &addresses.order, is_told_by_answer, poison)?;
        let rig = Rig {
            services,
            addresses,
            processes,
            book,
            asks: Arc::new(asks),
            listener: Some(listener),
            client: Arc::new(client),
            dead_before: None,
            _connection: connection,
        };
        let dead_before = self.dead_letters(&rig, paradigm);
        Ok(Rig { dead_before, ..rig })
    }

    fn poison(
        &self,
        workload: &Workload,
        paradigm: Paradigm,
    ) -> Result<(Poison, Option<lapin::Connection>), String> {
        match paradigm {
            Paradigm::Rabbit if workload.poison > 0.0 => {
                let open = async {
                    let properties = lapin::ConnectionProperties::default();
                    let connection =
                        lapin::Connection::connect(&self.brokers.rabbit_url, properties).await?;
                    let channel = connection.create_channel().await?;
                    channel.confirm_select(ConfirmSelectOptions::default()).await?;
                    Ok::<_, lapin::Error>((connection, channel))
                };
                let opened = unless_stopped(&self.runtime, &self.stop, open).ok_or(STOPPED)?;
                let (connection, channel) = opened.map_err(|error| error.to_string())?;
                let exchange = self.brokers.rabbit_prefix.clone();
                Ok((Poison::Rabbit(channel, exchange), Some(connection)))
            }
            Paradigm::Streaming if workload.poison > 0.0 => {
                Ok((Poison::into_topic(&self.brokers.kafka, &self.brokers.order_topic)?, None))
            }
            _ => Ok((Poison::over_http(), None)),
        }
    }

    /// Dead letters of inventory so far; nothing where nobody tells.
    fn dead_letters(&self, rig: &Rig, paradigm: Paradigm) -> Option<u64> {
        if paradigm == Paradigm::SyncRest {
            return Some(0); // what is invalid never comes as far
        }
        let base = rig.addresses.inventory.as_ref()?;
        let asked = dead_letters(&self.http, base, paradigm);
        unless_stopped(&self.runtime, &self.stop, asked).flatten()
    }

    /// Dead letters of this run; waits a little for those that are missing.
    fn dead_letters_since(&self, rig: &Rig, paradigm: Paradigm) -> Option<u64> {
        let before = rig.dead_before?;
        let (_, others) = rig.book.read();
        let missing = others.poison - others.poison_turned_away - others.poison_unknown;
        let deadline = Instant::now() + DEAD_LETTER_MAX;
        loop {
            let found = self.dead_letters(rig, paradigm)?.saturating_sub(before);
            let is_over = found >= missing || Instant::now() >= deadline;
            if is_over || self.stop.wait(DEAD_LETTER_LOOK_EVERY) {
                return Some(found);
            }
        }
    }

    /// Lets a fault happen at its time, on the clock of the run; returns when it began and when it was ended.
    fn break_and_mend(
        &mut self,
        fault: Fault,
        zero_us: u64,
        paradigm: Paradigm,
        rig: &mut Rig,
    ) -> Result<(u64, u64), String> {
        let at_us = |at: Duration| zero_us + u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
        match fault {
            Fault::ServiceDown { service, at, length } => {
                let services = rig.services.as_mut().ok_or("the services are not the lab's")?;
                if !self.sleep_until(&rig.book, at_us(at)) {
                    return Err(STOPPED.to_owned());
                }
                let from_us = rig.book.clock().now_us();
                services.end(service, true);
                // A stop ends the wait early; what was killed is started all the same.
                self.sleep_until(&rig.book, at_us(at + length));
                let to_us = rig.book.clock().now_us();
                services.start_again(service)?;
                Ok((from_us, to_us))
            }
            Fault::BrokerRestart { at } => {
                let Home::Own(servers, _) = &mut self.home else {
                    return Err("the broker is not the lab's".to_owned());
                };
                let moment = rig.book.clock().moment(at_us(at));
                if self.stop.wait(moment.saturating_duration_since(Instant::now())) {
                    return Err(STOPPED.to_owned());
                }
                let from_us = rig.book.clock().now_us();
                servers.restart_broker(paradigm)?;
                let to_us = rig.book.clock().now_us();
                servers.add_to(&rig.processes, paradigm, true);
                Ok((from_us, to_us))
            }
        }
    }

    /// Sleeps until a moment of a run; returns false when a stop was asked for.
    fn sleep_until(&self, book: &Book, at_us: u64) -> bool {
        let left = book.clock().moment(at_us).saturating_duration_since(Instant::now());
        !self.stop.wait(left)
    }
}

/// What a fault is called.
fn label_of(fault: Fault) -> String {
    match fault {
        Fault::ServiceDown { service, length, .. } => {
            format!("{} killed, started again after {}", service.name(), words::seconds(length))
        }
        Fault::BrokerRestart { .. } => "broker stopped and started".to_owned(),
    }
}

/// The service that a backlog waits for.
const BEHIND: Service = Service::Inventory;
