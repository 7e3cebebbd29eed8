//! Limits of a lane, each with its reason.

use std::time::Duration;

/// A transaction in a backlog takes in records for this long: the broker's cost is per
/// transaction, so few large ones are cheap, and readers of the outcome wait no longer.
pub(crate) const TURN_MAX: Duration = Duration::from_millis(100);

/// When nearly idle, a turn waits this long for company before it is written.
pub(crate) const TURN_LINGER: Duration = Duration::from_millis(3);

/// Records of one transaction at most: more than a lane takes in within [`TURN_MAX`], so that time is the
/// limit. Fewer would write the changed values of the state more often.
pub(crate) const TURN_RECORDS_MAX: usize = 250_000;

/// Waiting records of one transaction at most: nothing looks at the time between them.
pub(crate) const DUE_RECORDS_MAX: usize = 50_000;

/// Bytes of values in one transaction at most.
pub(crate) const TURN_BYTES_MAX: usize = 32 << 20;

/// Longest wait for a record before the group, due times and the stop signal are looked at.
pub(crate) const IDLE_WAIT_MAX: Duration = Duration::from_millis(50);

/// Waits between two looks for what handlers have answered: an eighth of the time since the last one,
/// within these.
pub(crate) const ANSWER_LOOK_MIN: Duration = Duration::from_millis(1);
pub(crate) const ANSWER_LOOK_MAX: Duration = Duration::from_millis(20);

/// Handlers that stand ready at most, beside those that work: so many may end while a lane
/// commits, and the next ones begin without it.
pub(crate) const READY_MAX: usize = 64;

/// Work is handed over to the runtime when there is so much of it, or when the lane has no more.
pub(crate) const HAND_OVER_MAX: usize = 64;

/// After a restore of so many keys, the memory of what they were read from is returned to the system.
pub(crate) const MANY_KEYS_MIN: usize = 100_000;

/// A position that moved over markers only is committed after this much idleness.
pub(crate) const MARKER_COMMIT_AFTER: Duration = Duration::from_secs(1);

/// Offsets are committed again after this long at the latest: brokers forget offsets of topics
/// that a group does not subscribe to, and the retry topic is one. They do so after a minute at
/// the earliest (`offsets.retention.minutes`), so that this is soon enough for any of them.
pub(crate) const OFFSET_REFRESH: Duration = Duration::from_secs(20);

/// Bytes that a waiting record takes in memory beyond its own: each header by itself, and its
/// places in window and indexes. Measured: 2.5 KB in all for an order of 60 bytes.
pub(crate) const WAITING_OVERHEAD_BYTES: usize = 1_500;

/// Bytes of them in memory, and of what is held until its schema is known, at which main is not
/// read.
pub(crate) const WAITING_BYTES_MAX: usize = 256 << 20;

/// Bytes that the headers of a hop take in memory, about.
pub(crate) const HOP_BYTES: usize = 1_024;

/// Main is read again below this share of the limits, in percent: each pause costs what
/// librdkafka has fetched ahead.
pub(crate) const WAITING_RESUME_PERCENT: usize = 80;

/// Records of one partition whose schema is not known yet, at most.
const UNRESOLVED_MAX: usize = 256;

/// Bytes of a completion that one such record may cost: a run, and the one between.
const UNRESOLVED_BYTES: usize = 8;

/// Main records of one partition that may be unsettled at once when a completion has room for
/// `limit_bytes`: for their schema, behind one of their key, or with their handler.
pub(crate) const fn unsettled_max(limit_bytes: usize) -> usize {
    let most = limit_bytes / UNRESOLVED_BYTES;
    if most < 2 { 2 } else { most }
}

/// Records that may wait for their schema when a completion has room for `limit_bytes`.
pub(crate) fn unresolved_max(limit_bytes: usize) -> usize {
    (limit_bytes / UNRESOLVED_BYTES).clamp(2, UNRESOLVED_MAX)
}

/// Main records whose schema is not known are looked at again this often, even if the registry
/// has said nothing new.
pub(crate) const UNRESOLVED_EVERY: Duration = Duration::from_millis(250);

/// Wait before a retry whose schema is not known is looked at again, in milliseconds.
pub(crate) const UNRESOLVED_PAUSE_MS: i64 = 100;

/// Records that one turn moves to the tail of a retry partition, unless more must go.
pub(crate) const REPARK_RECORDS_MAX: usize = 10_000;

/// Retries start to be moved when their completion takes this share of the limit, in percent.
pub(crate) const REPARK_ABOVE_PERCENT: usize = 75;

/// Retries are moved until their completion takes this share of the limit, in percent.
pub(crate) const REPARK_DOWN_TO_PERCENT: usize = 25;

/// Time that the questions of a restore may take of one turn while other partitions are active or
/// read back: these stand still meanwhile.
pub(crate) const ASK_BUDGET: Duration = Duration::from_millis(300);

/// The same while none is. The beat that `/livez` looks for comes after each question.
pub(crate) const ASK_BUDGET_IDLE: Duration = Duration::from_secs(2);

/// First wait for the committed offsets of all new partitions at once.
pub(crate) const COMMITTED_ASK_ALL: Duration = Duration::from_millis(150);

/// First wait for those of one partition: what is decided is told at once. Doubled with each turn
/// of questions that have no answer, up to [`COMMITTED_ASK_MAX`], and then from here again.
pub(crate) const COMMITTED_ASK: Duration = Duration::from_millis(20);

/// Longest wait for those of one partition: of the first question of a turn only.
pub(crate) const COMMITTED_ASK_MAX: Duration = Duration::from_secs(1);

/// After questions that took long the pause is so many times as long.
pub(crate) const ASK_PAUSE_SHARE: u32 = 2;

/// Pause before committed offsets are asked for again.
pub(crate) const COMMITTED_PAUSE: Duration = Duration::from_millis(200);

/// First wait for the ends of a partition's three topics, within the budget; asked again in a later
/// turn. The first partition of a turn has twice the time when it had no answer, up to
/// [`BOUNDS_ASK_MAX`].
pub(crate) const BOUNDS_ASK: Duration = Duration::from_secs(1);

/// Longest wait for them: six round trips of 400 ms. Below the 3 s after which a lane is told not to
/// turn.
pub(crate) const BOUNDS_ASK_MAX: Duration = Duration::from_millis(2800);

/// Longest wait for a new writer in one go, between looks at the stop signal: it needs five round
/// trips, of 400 ms and more. Below the 3 s after which a lane is told not to turn.
pub(crate) const WRITER_OPEN: Duration = Duration::from_millis(2800);

/// Pause after an attempt at a new writer failed; doubled up to [`AWAY_PAUSE_MAX`].
pub(crate) const AWAY_PAUSE: Duration = Duration::from_millis(100);

/// Longest pause while the brokers are away.
pub(crate) const AWAY_PAUSE_MAX: Duration = Duration::from_secs(2);

/// Share of such a pause that the spread may add, so that lanes do not come back in step.
pub(crate) const AWAY_JITTER: f64 = 0.2;

/// How often a probe that finds no record asks for the ends of main.
pub(crate) const ENDS_EVERY: Duration = Duration::from_secs(1);

/// Longest wait for the answer.
pub(crate) const ENDS_ASK: Duration = Duration::from_millis(500);

/// A turn is redone at most this often; every refusal makes it smaller.
pub(crate) const REDO_MAX: usize = 24;

/// A stale member may come right by itself within this time.
pub(crate) const STALE_MEMBER_MAX: Duration = Duration::from_secs(5);

/// A second fence within this time means another instance uses the id.
pub(crate) const FENCE_AGAIN: Duration = Duration::from_secs(60);

/// Time between a fence and the next producer with the same id: longer than it takes to open one, so that of two
/// instances with one id the older meets the second fence.
pub(crate) const FENCE_PAUSE: Duration = Duration::from_secs(1);

/// A static member that is fenced within this time after the brokers were away may have fenced
/// itself: a session, and the waits before librdkafka asks again.
pub(crate) const OWN_FENCE_WITHIN: Duration = Duration::from_secs(60);

/// Retries that a probe tries at most, of the [`pipeline::breaker::PROBE_KEYS`]: all that are due
/// may be poisonous.
pub(crate) const PROBE_RETRIES_MAX: usize = 3;

/// Every other probe tries no retry for so long: it gives main the time to be fetched.
pub(crate) const PROBE_MAIN_FIRST: Duration = Duration::from_secs(1);

/// Retries that are due among which a probe chooses.
pub(crate) const PROBE_CHOICE_MAX: usize = 256;

/// A restore that takes longer than this waits for something an operator should know of:
/// longer than a transaction of a dead writer stays open.
pub(crate) const RESTORE_OVERDUE: Duration = Duration::from_secs(30);

/// A lane that has refused a partition waits so long for the others of its process to be restored or
/// refused: all that an operator has to mend is told at once. Then it is told as far as it is known.
pub(crate) const REFUSALS_MAX: Duration = Duration::from_secs(5);

/// Records that may be sent one by one in a turn after their batch was refused for its size.
pub(crate) const SUSPECTS_MAX: usize = 500;

/// Turns stay small for this long after such a batch.
pub(crate) const CAREFUL_FOR: Duration = Duration::from_secs(60);

/// A lane without commits asks this often whether a broker is there.
pub(crate) const PROBE_EVERY: Duration = Duration::from_secs(2);

/// Longest wait for the answer.
pub(crate) const PROBE: Duration = Duration::from_millis(500);

/// Session of a member where nothing else is set.
pub(crate) const SESSION_DEFAULT: Duration = Duration::from_secs(10);

/// A member whose brokers do not answer stands aside so long before its session ends: longer than
/// the waits of a turn, and the second since the last heartbeat.
pub(crate) const ASIDE_BEFORE_SESSION_ENDS: Duration = Duration::from_millis(2500);

/// Longest wait for the group's coordinator before a member stands aside, and before it comes back.
pub(crate) const COORDINATOR_ASK: Duration = Duration::from_millis(300);

/// How often one lane of a process looks whether every partition has an owner.
pub(crate) const COVERAGE_EVERY: Duration = Duration::from_secs(5);

/// Pause before a partition without an owner is looked at again: longer than a rebalance.
pub(crate) const COVERAGE_AGAIN: Duration = Duration::from_secs(3);

/// Longest wait for the answer.
pub(crate) const COVERAGE_ASK: Duration = Duration::from_millis(500);
