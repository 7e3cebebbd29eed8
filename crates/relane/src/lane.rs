//! One lane: a thread that owns a slice of the partitions and everything it needs for them.
//!
//! A turn, again and again, in this order; while as many handlers work as may, from *finish handlers* on several times:
//!
//! ```text
//!  follow membership ─► restore ─► finish handlers ─► run what is due ─► fetch ─► settle
//!  (assign, revoke)     (state)    (that waited)      (retries)          (main)   (commit)
//! ```
//!
//! Lanes share nothing but counters. Rebalances are served between turns only, so they never
//! meet an open transaction. State is changed while a turn is made and is right only once the
//! turn is committed: after a failure the same turn is redone, or everything is read back.
//!
//! A lane has six parts, each with fields and clocks of its own. Modules stand in reading order, and each
//! may use only those above it.

pub(crate) mod limits;
pub(crate) mod settings;
pub(crate) mod checkpoint;
pub(crate) mod bare_handles;
#[cfg(any(test, feature = "failpoints"))]
pub(crate) mod faulty;
pub(crate) mod handles;
// What a turn is made of.
pub(crate) mod attempt_span;
pub(crate) mod pending;
pub(crate) mod outbound;
pub(crate) mod outcomes;
pub(crate) mod turn;
pub(crate) mod settled;
pub(crate) mod ages;
// What is kept of a partition.
pub(crate) mod unread;
pub(crate) mod partition_state;
pub(crate) mod metadata_limit;
pub(crate) mod state_headers;
mod state_reader;
// The processor, which works on records and knows no connection.
pub(crate) mod failure_gate;
pub(crate) mod panics;
pub(crate) mod runner;
pub(crate) mod in_flight;
pub(crate) mod processor;
mod traced;
mod framing;
mod attempt;
pub(crate) mod key_order;
pub(crate) mod followers;
mod forwarding;
pub(crate) mod held;
mod waiting;
mod handlers;
mod due;
pub(crate) mod duplicates;
pub(crate) mod take;
mod repark;
// What all parts work with.
pub(crate) mod error;
pub(crate) mod broker_watch;
pub(crate) mod lane_core;
mod gate_check;
// The parts with connections.
pub(crate) mod membership;
pub(crate) mod query_budget;
mod check_state;
pub(crate) mod restore;
mod committed_offsets;
pub(crate) mod intake;
mod gaps;
pub(crate) mod topic_names;
pub(crate) mod committer;
mod write;
mod shrink;
mod count;
mod settle;
pub(crate) mod report;
#[cfg(test)]
mod simulation;

use std::sync::Arc;

use codec::resolver::SchemaResolver;
use fail::fail_point;
use kafka_io::ClientConfig;

use crate::lane::broker_watch::BrokerWatch;
use crate::lane::committer::Committer;
pub(crate) use crate::lane::error::LaneError;
use crate::lane::handles::{Ends, Reader};
use crate::lane::intake::Intake;
use crate::lane::lane_core::{Core, failed};
use crate::lane::limits::{SUSPECTS_MAX, TURN_LINGER, WRITER_OPEN};
use crate::lane::membership::Membership;
use crate::lane::processor::Processor;
use crate::lane::report::{Parts, Reporter};
use crate::lane::restore::Restorer;
use crate::lane::runner::Runner;
use crate::lane::settings::LaneSettings;
use crate::metrics::LaneMetrics;
use crate::settings::Topics;
use crate::shared::Shared;
use crate::stage::Stage;

/// How the lanes of a pipeline reach Kafka, as [`crate::connect`] has made it. Its settings serve a program's own clients as well.
#[derive(Clone)]
pub struct Connections {
    /// Settings of librdkafka for clients that read, with what the user has set.
    pub consumer: ClientConfig,
    /// Settings of librdkafka for clients that write, with what the user has set.
    pub producer: ClientConfig,
    /// Shared: it is only asked, and rarely.
    pub(crate) ends: Arc<Ends>,
}

/// See the module.
pub(crate) struct Lane<S: Stage> {
    pub(crate) core: Core<S>,
    membership: Membership,
    restorer: Restorer,
    intake: Intake,
    committer: Committer,
    reporter: Reporter,
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
        let membership = Membership::join(&connections.consumer, settings, index)?;
        let core = Core {
            index,
            view: shared.view(index),
            metrics: LaneMetrics::new(&settings.name, &settings.topics),
            ends: Arc::clone(&connections.ends),
            reader: open_reader(&connections.consumer, settings)?,
            brokers: BrokerWatch::new(&connections.consumer),
            processor: Processor::new(settings, stage, runner),
            settings: Arc::clone(settings),
            shared: Arc::clone(shared),
        };
        Ok(Self {
            core,
            membership,
            restorer: Restorer::new(),
            intake: Intake::new(resolver),
            committer: Committer::new(&connections.producer, settings, &shared.process_id, index),
            reporter: Reporter::new(),
        })
    }

    /// Turns until a stop is requested, then leaves the group.
    ///
    /// # Errors
    ///
    /// Fails when only an operator can help; nothing unsettled is committed then.
    pub(crate) fn run(mut self) -> Result<(), LaneError> {
        while !self.core.shared.stop.is_requested() {
            self.turn()?;
        }
        self.restorer.end_if_refused(&self.core)?;
        self.drain()?;
        self.report_now();
        self.membership.leave();
        Ok(())
    }

    pub(crate) fn turn(&mut self) -> Result<(), LaneError> {
        let core = &mut self.core;
        core.heartbeat();
        core.processor.note_time();
        self.membership.keep_place(core);
        self.membership.follow(core)?;
        self.membership.check_coverage(core);
        if self.committer.is_ready(core)? {
            self.restore()?;
            self.core.processor.turn.restart();
            if self.core.processor.has_new_partition() {
                self.settle()?;
            } else {
                self.fill()?;
                if !self.core.shared.must_abandon() && self.core.passes_gate()? {
                    self.settle()?;
                }
            }
        }
        self.report();
        Ok(())
    }

    /// Moves restores on. Partitions that are refused are told at once, and end the lane when all are
    /// known.
    fn restore(&mut self) -> Result<(), LaneError> {
        if self.restorer.step(&mut self.core, self.membership.member())? {
            self.report_now();
        }
        self.restorer.end_if_refused(&self.core)
    }

    /// Fills the turn: what handlers have answered, what is due, what was held, what is fetched. While as many
    /// handlers work as may, it is a backlog, and the turn goes on with what they answer, as long as it comes quickly.
    fn fill(&mut self) -> Result<(), LaneError> {
        let (core, intake) = (&mut self.core, &mut self.intake);
        intake.look_for_gaps(core)?;
        core.check_gate();
        let records_max = records_max(core, &self.committer);
        intake.apply_backpressure(core)?;
        loop {
            let processor = &mut core.processor;
            if !processor.gate.is_held_up() {
                processor.finish_handlers(records_max);
                if processor.turn.reparked == 0 {
                    processor.repark(); // it has a limit for each turn
                }
                processor.run_due(records_max);
                intake.run_unresolved(processor);
            }
            intake.fetch(core, records_max)?;
            core.processor.in_flight.hand_over();
            if !core.processor.expects_answers(records_max)
                || !core.processor.in_flight.waits_for_more(TURN_LINGER)
            {
                break;
            }
        }
        core.tell_strangers();
        intake.advance_positions(core);
        core.processor.fit_windows();
        fail_point!("after-poll", core.processor.has_settled(), |_| std::process::abort());
        Ok(())
    }

    fn settle(&mut self) -> Result<(), LaneError> {
        self.committer.settle(&mut self.core, &mut self.membership)
    }

    /// After a stop was requested: finishes what is in flight, and starts nothing.
    fn drain(&mut self) -> Result<(), LaneError> {
        self.core.processor.take_back_ready();
        while !self.core.processor.in_flight.is_empty() && !self.core.shared.must_abandon() {
            self.core.heartbeat();
            self.membership.follow(&mut self.core)?;
            if !self.committer.is_ready(&mut self.core)? {
                continue;
            }
            let processor = &mut self.core.processor;
            processor.turn.restart();
            processor.finish_handlers(usize::MAX);
            if !processor.in_flight.is_working() && processor.turn.records == 0 {
                break; // those that are late find no room before others are settled
            }
            processor.wait_for_room();
            processor.fit_windows();
            if self.core.passes_gate()? {
                self.settle()?;
            }
        }
        Ok(())
    }

    fn report(&mut self) {
        let Self { core, membership, intake, committer, reporter, .. } = self;
        reporter.report(core, &Parts { membership, intake, committer });
    }

    fn report_now(&mut self) {
        let Self { core, membership, intake, committer, reporter, .. } = self;
        reporter.report_now(core, &Parts { membership, intake, committer });
    }
}

/// A reader that has looked its topics up.
fn open_reader(config: &ClientConfig, settings: &LaneSettings) -> Result<Reader, LaneError> {
    let Topics { main, retry, state, .. } = &settings.topics;
    let reader = Reader::new(config, &settings.group).map_err(failed)?;
    let read: Vec<&str> = [main, retry].into_iter().chain(state).map(String::as_str).collect();
    reader.look_up(&read, WRITER_OPEN);
    Ok(reader)
}

/// Records of a turn, once it is known whether it is a probe.
fn records_max<S: Stage>(core: &Core<S>, committer: &Committer) -> usize {
    let most = core.settings.turn_records_max;
    let careful = if committer.is_careful() { most.min(SUSPECTS_MAX) } else { most };
    core.processor.gate.probe_records_max().unwrap_or(careful)
}
