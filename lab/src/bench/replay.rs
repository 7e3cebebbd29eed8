//! What is in the log is counted once more, from its beginning, by a group that never read it before; twice, to see
//! whether the numbers are the same.

use std::time::{Duration, Instant};

use serde_json::Value;
use stack::OwnedProcess;

use super::{Bench, Home};
use crate::plan::Cell;
use crate::results::{Replayed, Run};

/// Longest replay.
const REPLAY_MAX: Duration = Duration::from_secs(300);
const LOOK_EVERY: Duration = Duration::from_millis(20);

impl Bench {
    pub(super) fn replay(&mut self, run: &mut Run, cell: &Cell) -> Result<(), String> {
        let begun = Instant::now();
        let first = self.count_all(cell, "first")?;
        let took_s = begun.elapsed().as_secs_f64();
        let second = self.count_all(cell, "second")?;
        let report: Value = serde_json::from_str(first.lines().last().unwrap_or_default())
            .map_err(|error| format!("the replay printed no report: {error}"))?;
        let orders = report["total"].as_u64().unwrap_or(0);
        run.replayed = Some(Replayed { orders, took_s, is_same_again: first == second });
        Ok(())
    }

    fn count_all(&self, cell: &Cell, which: &str) -> Result<String, String> {
        let Home::Own(_, around) = &self.home else {
            return Err("the services are not the lab's".to_owned());
        };
        let group = format!("{}-{}-{which}", self.id, self.began.elapsed().as_millis());
        let launch = around.streaming(&[
            "analytics",
            "--listen",
            "127.0.0.1:0",
            "--analytics-group",
            &group,
            "--exit-at-end",
            "-o",
            "json",
        ]);
        let logs = self.logs_of(cell);
        std::fs::create_dir_all(&logs).map_err(|error| format!("{}: {error}", logs.display()))?;
        let (log, out) = (logs.join("replay.log"), self.dir.join(format!("{group}.json")));
        let mut process =
            OwnedProcess::start(&launch, &log, Some(&out)).map_err(|error| error.to_string())?;
        let deadline = Instant::now() + REPLAY_MAX;
        loop {
            match process.ended() {
                Some(status) if status.success() => break,
                Some(status) => {
                    return Err(format!("the replay ended with {status}; see {}", log.display()));
                }
                None if Instant::now() > deadline || self.stop.is_requested() => {
                    return Err("the replay did not end in time".to_owned());
                }
                None => std::thread::sleep(LOOK_EVERY),
            }
        }
        std::fs::read_to_string(&out).map_err(|error| error.to_string())
    }
}
