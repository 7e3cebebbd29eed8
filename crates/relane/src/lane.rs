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
mod ages;
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
pub(crate) mod outbound;
pub(crate) mod outcomes;
pub(crate) mod partition_state;
pub(crate) mod panics;
pub(crate) mod repark;
pub(crate) mod report;
pub(crate) mod restore;
pub(crate) mod runner;
pub(crate) mod settings;
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
use kafka_io::writer::topic_name;
use pipeline::completion::METADATA_CHARS_MAX;

use crate::advice::Problem;
use crate::clock::Instant;
pub(crate) use crate::lane::error::LaneError;
use crate::lane::handles::{Ends, Member, Reader, Writer};
use crate::lane::hooks::FailPoint;
use crate::lane::processor::Processor;
use crate::lane::runner::Runner;
use crate::lane::settings::LaneSettings;
use crate::metrics::LaneMetrics;
use crate::settings::Topics;
use crate::shared::{LaneView, Shared};
use crate::stage::Stage;

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

impl TopicNames {
    fn of(topics: &Topics) -> Self {
        Self {
            retry: topic_name(&topics.retry),
            dead_letter: topic_name(&topics.dead_letter),
            state: topics.state.as_deref().map(topic_name),
            outcomes: topics.outcomes.as_deref().map(topic_name),
            output: topics.output.as_deref().map(topic_name),
        }
    }
}

/// A reader that has looked its topics up.
fn open_reader(config: &ClientConfig, settings: &LaneSettings) -> Result<Reader, LaneError> {
    let Topics { main, retry, state, .. } = &settings.topics;
    let reader = Reader::new(config, &settings.group)
        .map_err(|error| LaneError::Failed(error.to_string()))?;
    let read: Vec<&str> = [main, retry].into_iter().chain(state).map(String::as_str).collect();
    reader.look_up(&read, limits::WRITER_OPEN);
    Ok(reader)
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
        let topics = &settings.topics;
        let instance = settings.instance_id.as_ref().map(|id| format!("{id}-{index}"));
        let group = &settings.group;
        let member = Member::join(&connections.consumer, group, instance.as_deref(), &topics.main)
            .map_err(|error| LaneError::Failed(error.to_string()))?;
        let reader = open_reader(&connections.consumer, settings)?;
        let name = settings.instance_id.as_deref().unwrap_or(&shared.process_id);
        let transactional_id = format!("{group}-{name}-{index}");
        let now = Instant::now();
        Ok(Self {
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
            topic_names: TopicNames::of(topics),
            topic_ids: TopicIds::default(),
            processor: Processor::new(settings, stage, runner),
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
        })
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
