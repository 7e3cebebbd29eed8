//! Scenes on a broker that is alone and is stopped or killed while it decides transactions.
//!
//! Kafka 4 takes a partition without a leader for one that was deleted: the coordinator then leaves its marker out, and
//! the transaction stays open there for good, or ends as the next one of its producer does. A broker that is alone gives
//! up all leaders when it stops in order, and when it comes back after a kill, with its coordinator at work. No client
//! can do anything about it (`KRaftMetadataCache.getPartitionLeaderEndpoint`, seen with 4.3.1 at one of eight stops). The
//! broker logs it: such a scene shows nothing about the product, and is played again.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};

use stack::{KafkaServer, Server as _};

/// Scenes that are played at most before the test fails. The busier the machine the longer a broker takes to decide and to
/// stop, and the more often it leaves markers out: beside three builds, in six scenes of six.
const SCENES_MAX: u32 = 16;

/// What the coordinator logs when it leaves markers out.
const LEFT_OUT: &str = "Couldn't find leader endpoint for partitions";

/// Why a scene shows nothing.
struct MarkersLeftOut(String);

/// Plays a scene that calls [`expect_markers`] after each start, until Kafka has kept all markers.
///
/// # Panics
///
/// Panics as the scene does, and when Kafka has left markers out in so many scenes in a row.
pub fn play(mut scene: impl FnMut()) {
    for _ in 0..SCENES_MAX {
        let Err(panic) = catch_unwind(AssertUnwindSafe(&mut scene)) else { return };
        match panic.downcast::<MarkersLeftOut>() {
            Ok(why) => eprintln!("Kafka left the markers of a transaction out; again: {}", why.0),
            Err(panic) => resume_unwind(panic),
        }
    }
    panic!("Kafka has left markers out in {SCENES_MAX} scenes");
}

/// Ends the scene, to be played again, if the broker has left markers out since it was made.
pub fn expect_markers(kafka: &KafkaServer) {
    for broker in kafka.nodes() {
        let log = fs::read_to_string(broker.log_path()).expect("a broker logs");
        if let Some(line) = log.lines().find(|line| line.contains(LEFT_OUT)) {
            panic_any(MarkersLeftOut(line.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scene_is_played_again_for_left_out_markers_only() {
        let mut played = 0;
        play(|| {
            played += 1;
            if played < 3 {
                panic_any(MarkersLeftOut("Set(orders-0)".to_owned()));
            }
        });
        assert_eq!(played, 3);
        let failed = catch_unwind(|| play(|| panic!("the product is wrong")));
        assert_eq!(failed.unwrap_err().downcast_ref(), Some(&"the product is wrong"));
        assert!(catch_unwind(|| play(|| panic_any(MarkersLeftOut(String::new())))).is_err());
    }
}
