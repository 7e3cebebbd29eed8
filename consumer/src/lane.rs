//! One lane: a thread that owns a slice of the partitions and everything it needs for them.
//!
//! A turn, again and again, in this order:
//!
//! ```text
//!  follow membership ─► restore ─► run what is due ─► fetch ─► wait for handlers ─► settle
//!  (assign, revoke)     (state)    (retries)          (main)   (simulated)         (commit)
//! ```
//!
//! Lanes share nothing but counters. Rebalances are served between turns only, so they never
//! meet an open transaction. State is changed while a turn is made and is right only once the
//! turn is committed: after a failure the same turn is redone, or everything is read back.

pub(crate) mod desk;
pub(crate) mod error;
pub(crate) mod gaps;
pub(crate) mod intake;
pub(crate) mod limits;
pub(crate) mod membership;
pub(crate) mod owned;
pub(crate) mod repark;
pub(crate) mod report;
pub(crate) mod restore;
pub(crate) mod settle;
pub(crate) mod turn;
pub(crate) mod write;

use std::ffi::CString;
use std::sync::Arc;
use std::time::{Duration, Instant};

use codec::decode::Decoder;
use codec::encode::Encoder;
use codec::resolver::SchemaResolver;
use codec::wire::{OrderOutcome, ProductAverage};
use kafka_io::ClientConfig;
use kafka_io::ends::Ends;
use kafka_io::member::Member;
use kafka_io::reader::Reader;
use kafka_io::writer::{Guarantee, Writer, topic_name};
use pipeline::completion::{Completion, METADATA_CHARS_MAX};
use pipeline::headers::Dialects;
use pipeline::retry::RetryPlan;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;

use crate::handler::Handler;
use crate::lane::desk::Desk;
pub(crate) use crate::lane::error::LaneError;
use crate::lane::turn::Turn;
use crate::metrics::LaneMetrics;
use crate::shared::{LaneView, Shared};

/// Names of the topics that a lane works with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Topics {
    pub(crate) main: String,
    pub(crate) retry: String,
    pub(crate) dead_letter: String,
    pub(crate) averages: String,
    pub(crate) outcomes: Option<String>,
}

/// Checked settings of a lane.
#[derive(Debug, Clone)]
pub(crate) struct LaneSettings {
    pub(crate) topics: Topics,
    pub(crate) group: String,
    /// Partitions of every topic.
    pub(crate) partitions: i32,
    pub(crate) guarantee: Guarantee,
    pub(crate) plan: RetryPlan,
    pub(crate) handler: Handler,
    pub(crate) simulate_latency: Duration,
    pub(crate) turn_records_max: usize,
    pub(crate) waiting_records_max: usize,
    pub(crate) accepts_gap: bool,
    pub(crate) dialects: Dialects,
    pub(crate) instance_id: Option<String>,
    /// Ends of the main partitions when an `--exit-at-end` run started.
    pub(crate) main_ends: Option<Vec<i64>>,
    pub(crate) bootstrap_servers: String,
}

impl LaneSettings {
    pub(crate) fn is_exactly_once(&self) -> bool {
        self.guarantee == Guarantee::ExactlyOnce
    }
}

/// Encoders of what a lane writes itself, made once at the start.
#[derive(Clone)]
pub(crate) struct Encoders {
    pub(crate) averages: Encoder<ProductAverage>,
    pub(crate) outcomes: Option<Encoder<OrderOutcome>>,
}

/// Connections of a lane, and the settings of its three handles.
#[derive(Clone)]
pub(crate) struct Connections {
    pub(crate) consumer: ClientConfig,
    pub(crate) producer: ClientConfig,
    /// Shared: it is only asked, and rarely.
    pub(crate) ends: Arc<Ends>,
}

struct TopicNames {
    retry: CString,
    dead_letter: CString,
    averages: CString,
    outcomes: Option<CString>,
}

/// Identities of topics inside librdkafka, learned from the first record.
#[derive(Default)]
struct TopicIds {
    main: usize,
}

/// See the module.
pub(crate) struct Lane {
    index: usize,
    settings: Arc<LaneSettings>,
    shared: Arc<Shared>,
    view: Arc<LaneView>,
    metrics: LaneMetrics,
    member: Member,
    ends: Arc<Ends>,
    reader: Reader,
    writer: Option<Writer>,
    writer_config: ClientConfig,
    transactional_id: String,
    encoders: Encoders,
    resolver: SchemaResolver,
    averages_decoder: Decoder<ProductAverage>,
    topic_names: TopicNames,
    topic_ids: TopicIds,
    desk: Desk,
    buffer: Vec<u8>,
    /// Longest offset metadata that the broker is known to take, in characters.
    metadata_chars: usize,
    has_assignment: bool,
    is_crowded: bool,
    ends_seen: bool,
    gap_seen: bool,
    resolver_generation: u64,
    unresolved_again_at: Instant,
    last_commit_at: Instant,
    writer_again_at: Instant,
    writer_pause: Duration,
    fenced_at: Option<Instant>,
    /// When to look next whether every partition has an owner, and which had none last time.
    coverage_at: Instant,
    unowned_before: Vec<i32>,
    /// Until then turns are small: a batch was refused whose records must be sent alone.
    careful_until: Option<Instant>,
    /// How long the next question for committed offsets may take.
    committed_ask: Duration,
    /// Why the brokers were found away when something was asked or written.
    away: Option<String>,
    /// Why they were found away when records were fetched, or when a quiet lane asked.
    reader_away: Option<String>,
    probed_at: Instant,
    reported_at: Instant,
}

impl Lane {
    /// Joins the group as lane number `index`.
    ///
    /// # Errors
    ///
    /// Fails for settings that librdkafka does not accept.
    pub(crate) fn join(
        index: usize,
        settings: &Arc<LaneSettings>,
        shared: &Arc<Shared>,
        connections: &Connections,
        encoders: Encoders,
        resolver: SchemaResolver,
    ) -> Result<Self, LaneError> {
        let failed = |error: kafka_io::KafkaError| LaneError::Failed(error.to_string());
        let topics = &settings.topics;
        let instance = settings.instance_id.as_ref().map(|id| format!("{id}-{index}"));
        let group = &settings.group;
        let member = Member::join(&connections.consumer, group, instance.as_deref(), &topics.main)
            .map_err(failed)?;
        let reader = Reader::new(&connections.consumer, group).map_err(failed)?;
        reader.look_up(&[&topics.main, &topics.retry, &topics.averages], limits::WRITER_OPEN);
        let name = settings.instance_id.as_deref().unwrap_or(&shared.process_id);
        let transactional_id = format!("{group}-{name}-{index}");
        let now = Instant::now();
        let lane = Self {
            index,
            view: shared.view(index),
            metrics: LaneMetrics::new(topics),
            member,
            ends: Arc::clone(&connections.ends),
            reader,
            writer: None,
            writer_config: connections.producer.clone(),
            transactional_id,
            encoders,
            averages_decoder: Decoder::new(resolver.clone()),
            topic_names: TopicNames {
                retry: topic_name(&topics.retry),
                dead_letter: topic_name(&topics.dead_letter),
                averages: topic_name(&topics.averages),
                outcomes: topics.outcomes.as_deref().map(topic_name),
            },
            topic_ids: TopicIds::default(),
            desk: Desk {
                owned: Vec::new(),
                turn: Turn::new(),
                decoder: Decoder::new(resolver.clone()),
                handler: settings.handler.clone(),
                plan: settings.plan.clone(),
                main_topic: topics.main.clone(),
                retry_topic: topics.retry.clone(),
                group: group.clone(),
                main_ends: settings.main_ends.clone(),
                keeps_outcomes: topics.outcomes.is_some(),
                unresolved_max: limits::unresolved_max(Completion::bytes_for_chars(
                    METADATA_CHARS_MAX,
                )),
                random: SmallRng::from_os_rng(),
                now_ms: crate::clock::now_ms(),
            },
            buffer: Vec::new(),
            metadata_chars: METADATA_CHARS_MAX,
            has_assignment: false,
            is_crowded: false,
            ends_seen: false,
            gap_seen: false,
            resolver_generation: resolver.generation(),
            unresolved_again_at: now,
            resolver,
            last_commit_at: now,
            writer_again_at: now,
            writer_pause: limits::AWAY_PAUSE,
            fenced_at: None,
            coverage_at: now + limits::COVERAGE_AGAIN,
            unowned_before: Vec::new(),
            careful_until: None,
            committed_ask: limits::COMMITTED_ASK,
            away: None,
            reader_away: None,
            probed_at: now,
            reported_at: now,
            settings: Arc::clone(settings),
            shared: Arc::clone(shared),
        };
        Ok(lane)
    }

    /// Turns until a stop is requested, then leaves the group.
    ///
    /// # Errors
    ///
    /// Fails when only an operator can help; nothing unsettled is committed then.
    pub(crate) fn run(mut self) -> Result<(), LaneError> {
        while !self.shared.stop.is_requested() {
            self.turn()?;
        }
        self.report_now();
        self.member.leave();
        Ok(())
    }

    fn turn(&mut self) -> Result<(), LaneError> {
        self.beat();
        self.desk.note_time();
        self.follow_membership()?;
        self.look_for_unowned();
        if self.ready_to_write()? {
            self.restore_step()?;
            self.desk.turn.restart();
            if self.has_new_partition() {
                self.settle_turn()?;
                self.report();
                return Ok(());
            }
            self.look_for_gaps()?;
            self.steer_main()?;
            self.repark();
            self.run_due();
            self.run_unresolved();
            self.fetch()?;
            self.advance_positions();
            self.wait_for_handlers();
            if !self.shared.must_abandon() {
                self.settle_turn()?;
            }
        }
        self.report();
        Ok(())
    }

    /// Name of this lane's member, as an operator gave it.
    fn instance(&self) -> String {
        let id = self.settings.instance_id.as_deref().unwrap_or(&self.shared.process_id);
        format!("{id}-{}", self.index)
    }

    fn note_away(&mut self, text: &str) {
        tracing::warn!(lane = self.index, "brokers away: {text}");
        self.away = Some(text.to_owned());
    }
}
