//! One lane: a thread that owns a slice of the partitions and everything it needs for them.
//!
//! A turn, again and again, in this order:
//!
//! ```text
//!  follow membership ─► restore ─► finish handlers ─► run what is due ─► fetch ─► settle
//!  (assign, revoke)     (state)    (that waited)      (retries)          (main)   (commit)
//! ```
//!
//! Lanes share nothing but counters. Rebalances are served between turns only, so they never
//! meet an open transaction. State is changed while a turn is made and is right only once the
//! turn is committed: after a failure the same turn is redone, or everything is read back.

pub(crate) mod committed_offsets;
mod attempt;
pub(crate) mod brokers;
pub(crate) mod processor;
pub(crate) mod duplicates;
pub(crate) mod error;
pub(crate) mod in_flight;
mod forwarding;
mod framing;
pub(crate) mod followers;
pub(crate) mod gaps;
pub(crate) mod held;
pub(crate) mod failure_gate;
pub(crate) mod handles;
pub(crate) mod hooks;
pub(crate) mod intake;
pub(crate) mod limits;
pub(crate) mod membership;
pub(crate) mod checkpoint;
pub(crate) mod order;
pub(crate) mod outcomes;
pub(crate) mod partition_state;
pub(crate) mod panics;
pub(crate) mod repark;
pub(crate) mod report;
pub(crate) mod restore;
pub(crate) mod runner;
pub(crate) mod settle;
pub(crate) mod shrink;
pub(crate) mod turn;
pub(crate) mod unread;
pub(crate) mod write;
#[cfg(test)]
mod simulation;

use std::ffi::CString;
use std::sync::Arc;
use std::time::Duration;

use codec::resolver::SchemaResolver;
use kafka_io::ClientConfig;
use kafka_io::writer::{Guarantee, topic_name};
use pipeline::completion::{Completion, METADATA_CHARS_MAX};
use pipeline::dead_letter_limit::DeadLetterLimits;
use pipeline::headers::Dialects;
use pipeline::retry::RetryPlan;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;

use crate::advice::Problem;
use crate::clock::Instant;
use crate::gaps::Missing;
pub(crate) use crate::lane::error::LaneError;
use crate::lane::failure_gate::FailureGate;
use crate::lane::handles::{Ends, Member, Reader, Writer};
use crate::lane::hooks::FailPoint;
use crate::lane::in_flight::InFlight;
use crate::lane::order::KeyOrdering;
use crate::lane::processor::{Processor, Room};
use crate::lane::runner::Runner;
use crate::lane::turn::Turn;
use crate::metrics::LaneMetrics;
use crate::settings::OnDeadLetterLimit;
use crate::shared::{LaneView, Shared};
use crate::stage::{Stage, Words};

/// Names of the topics that a lane works with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    /// What is read.
    pub main: String,
    /// Where failed records wait.
    pub retry: String,
    /// Where records are given up.
    pub dead_letter: String,
    /// Compacted topic of the state; one belongs to one group. Without it nothing is kept, and offsets
    /// that another tool sets cannot be checked.
    pub state: Option<String>,
    /// Outcome log.
    pub outcomes: Option<String>,
    /// Where the stage emits records.
    pub output: Option<String>,
}

/// Checked settings of a lane.
#[derive(Debug, Clone)]
pub(crate) struct LaneSettings {
    pub(crate) words: Words,
    pub(crate) topics: Topics,
    pub(crate) group: String,
    /// Partitions of every topic.
    pub(crate) partitions: i32,
    pub(crate) guarantee: Guarantee,
    pub(crate) plan: RetryPlan,
    pub(crate) order: KeyOrdering,
    /// Offsets over which duplicates are looked for.
    pub(crate) dedupe: Option<u32>,
    /// How long the handler of one attempt may take.
    pub(crate) handler_timeout: Duration,
    pub(crate) concurrency: usize,
    pub(crate) turn_records_max: usize,
    pub(crate) waiting_records_max: usize,
    pub(crate) dead_letter_limits: Option<DeadLetterLimits>,
    pub(crate) on_dead_letter_limit: OnDeadLetterLimit,
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

/// Connections of a lane, and the settings of its three handles.
#[derive(Clone)]
pub struct Connections {
    /// Of handles that read.
    pub consumer: ClientConfig,
    /// Of handles that write.
    pub producer: ClientConfig,
    /// Shared: it is only asked, and rarely.
    pub ends: Arc<Ends>,
}

struct TopicNames {
    retry: CString,
    dead_letter: CString,
    state: Option<CString>,
    outcomes: Option<CString>,
    output: Option<CString>,
}

/// Identities of topics inside librdkafka, learned from the first record.
#[derive(Default)]
struct TopicIds {
    main: usize,
}

/// See the module.
pub(crate) struct Lane<S: Stage> {
    index: usize,
    settings: Arc<LaneSettings>,
    shared: Arc<Shared<S::Summary>>,
    view: Arc<LaneView<S::Summary>>,
    metrics: LaneMetrics,
    member: Member,
    member_config: ClientConfig,
    ends: Arc<Ends>,
    reader: Reader,
    writer: Option<Writer>,
    writer_config: ClientConfig,
    transactional_id: String,
    resolver: SchemaResolver,
    topic_names: TopicNames,
    topic_ids: TopicIds,
    processor: Processor<S>,
    /// Records of a turn that looks whether an outage is over.
    probe_records_max: Option<usize>,
    /// Probes so far, and when the last one began.
    probes: u64,
    probe_began_at: Instant,
    buffer: Vec<u8>,
    /// Longest offset metadata that the broker is known to take, in characters.
    metadata_chars: usize,
    has_assignment: bool,
    is_backpressured: bool,
    ends_seen: bool,
    gap_seen: bool,
    resolver_generation: u64,
    unresolved_again_at: Instant,
    last_commit_at: Instant,
    writer_again_at: Instant,
    writer_pause: Duration,
    fenced_at: Option<Instant>,
    member_fenced_at: Option<Instant>,
    /// What is wrong with the partitions that were refused, and when the first one was.
    refusals: Vec<Problem>,
    refused_at: Option<Instant>,
    /// When to look next whether every partition has an owner, and which had none last time.
    coverage_at: Instant,
    unowned_before: Vec<i32>,
    /// Until then turns are small: a batch was refused whose records must be sent alone.
    careful_until: Option<Instant>,
    /// How long the next question for committed offsets may take.
    committed_ask: Duration,
    /// How long the next question for the ends of a partition may take.
    bounds_ask: Duration,
    /// Why the brokers were found away when something was asked or written.
    away: Option<String>,
    /// Why they were found away when a quiet lane asked, or one whose fetching had failed.
    reader_away: Option<String>,
    /// Fetching failed: the brokers are to be asked.
    is_doubtful: bool,
    /// When a broker answered last.
    heard_at: Instant,
    /// The member stands aside when nothing was heard for so long.
    aside_after: Duration,
    /// The member is not served: it leaves the group and joins anew when its coordinator answers.
    stands_aside: bool,
    /// When they were last found so.
    away_at: Option<Instant>,
    probed_at: Instant,
    /// When a probe that finds nothing asks next whether there is anything to find.
    ends_again_at: Instant,
    reported_at: Instant,
}

impl<S: Stage> Lane<S> {
    /// Joins the group as lane number `index`.
    ///
    /// # Errors
    ///
    /// Fails for settings that librdkafka does not accept.
    pub(crate) fn join(
        index: usize,
        settings: &Arc<LaneSettings>,
        shared: &Arc<Shared<S::Summary>>,
        connections: &Connections,
        resolver: SchemaResolver,
        stage: S,
        runner: Runner,
    ) -> Result<Self, LaneError> {
        let failed = |error: kafka_io::KafkaError| LaneError::Failed(error.to_string());
        let topics = &settings.topics;
        let instance = settings.instance_id.as_ref().map(|id| format!("{id}-{index}"));
        let group = &settings.group;
        let member = Member::join(&connections.consumer, group, instance.as_deref(), &topics.main)
            .map_err(failed)?;
        let reader = Reader::new(&connections.consumer, group).map_err(failed)?;
        let read = [&topics.main, &topics.retry].into_iter().chain(&topics.state);
        let read: Vec<&str> = read.map(String::as_str).collect();
        reader.look_up(&read, limits::WRITER_OPEN);
        let name = settings.instance_id.as_deref().unwrap_or(&shared.process_id);
        let transactional_id = format!("{group}-{name}-{index}");
        let now = Instant::now();
        let waits = stage.waits();
        let keeps_outcomes = topics.outcomes.is_some() || stage.hears_settled();
        let lane = Self {
            index,
            view: shared.view(index),
            metrics: LaneMetrics::new(topics),
            member,
            member_config: connections.consumer.clone(),
            ends: Arc::clone(&connections.ends),
            reader,
            writer: None,
            writer_config: connections.producer.clone(),
            transactional_id,
            topic_names: TopicNames {
                retry: topic_name(&topics.retry),
                dead_letter: topic_name(&topics.dead_letter),
                state: topics.state.as_deref().map(topic_name),
                outcomes: topics.outcomes.as_deref().map(topic_name),
                output: topics.output.as_deref().map(topic_name),
            },
            topic_ids: TopicIds::default(),
            processor: Processor {
                owned: Vec::new(),
                turn: Turn::new(),
                stage,
                gate: FailureGate::new(settings.dead_letter_limits),
                plan: settings.plan.clone(),
                main_topic: topics.main.clone(),
                retry_topic: topics.retry.clone(),
                group: group.clone(),
                main_ends: settings.main_ends.clone(),
                keeps_outcomes,
                keeps_state: topics.state.is_some(),
                order: settings.order,
                in_flight: InFlight::new(
                    waits,
                    settings.concurrency,
                    settings.handler_timeout,
                    runner,
                ),
                unresolved_max: limits::unresolved_max(Completion::bytes_for_chars(
                    METADATA_CHARS_MAX,
                )),
                unsettled_max: limits::unsettled_max(Completion::bytes_for_chars(
                    METADATA_CHARS_MAX,
                )),
                room: Room::ANY,
                held: 0,
                waits_before: 0,
                random: SmallRng::from_os_rng(),
                missing: Missing::default(),
                now_ms: crate::clock::now_ms(),
            },
            probe_records_max: None,
            probes: 0,
            probe_began_at: now,
            buffer: Vec::new(),
            metadata_chars: METADATA_CHARS_MAX,
            has_assignment: false,
            is_backpressured: false,
            ends_seen: false,
            gap_seen: false,
            resolver_generation: resolver.generation(),
            unresolved_again_at: now,
            resolver,
            last_commit_at: now,
            writer_again_at: now,
            writer_pause: limits::AWAY_PAUSE,
            fenced_at: None,
            member_fenced_at: None,
            refusals: Vec::new(),
            refused_at: None,
            coverage_at: now + limits::COVERAGE_AGAIN,
            unowned_before: Vec::new(),
            careful_until: None,
            committed_ask: limits::COMMITTED_ASK,
            bounds_ask: limits::BOUNDS_ASK,
            away: None,
            reader_away: None,
            is_doubtful: false,
            heard_at: now,
            aside_after: brokers::aside_after(&connections.consumer),
            stands_aside: false,
            away_at: None,
            probed_at: now,
            ends_again_at: now,
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
        self.end_if_refused()?;
        self.drain()?;
        self.report_now();
        self.member.leave();
        Ok(())
    }

    fn turn(&mut self) -> Result<(), LaneError> {
        self.heartbeat();
        self.processor.note_time();
        self.keep_place();
        self.follow_membership()?;
        self.check_coverage();
        if self.ready_to_write()? {
            self.restore_step()?;
            self.end_if_refused()?;
            self.processor.turn.restart();
            if self.has_new_partition() {
                self.settle_turn()?;
                self.report();
                return Ok(());
            }
            self.look_for_gaps()?;
            self.check_gate();
            self.apply_backpressure()?;
            if !self.processor.gate.is_held_up() {
                self.finish_handlers();
                self.repark();
                self.run_due();
                self.run_unresolved();
            }
            self.fetch()?;
            self.tell_strangers();
            self.advance_positions();
            self.fit_windows();
            hooks::pass(FailPoint::AfterPoll, self.processor.iter().any(|owned| owned.dirty));
            if !self.shared.must_abandon() && self.passes_gate()? {
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
}
