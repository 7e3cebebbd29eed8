//! What a run did.

use std::io::{self, Write};

use serde::Serialize;

/// What a run did; `waiting` is what it left in retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Records of the main topic that are settled.
    pub consumed: u64,
    /// Records that the service has taken.
    pub succeeded: u64,
    /// Failed attempts whose record was sent to retry.
    pub retried: u64,
    /// Records that were given up.
    pub dead_lettered: u64,
    /// Records that wait in retry.
    pub waiting: u64,
    /// Records that `--dedupe` has found to be duplicates; left out where there are none.
    #[serde(skip_serializing_if = "is_none")]
    pub duplicates: u64,
}

/// Whether a count is 0. Serde asks with a reference.
const fn is_none(count: &u64) -> bool {
    *count == 0
}

impl Tally {
    /// Writes it as one JSON object.
    ///
    /// # Errors
    ///
    /// Fails as `out` does.
    pub fn write_json(&self, mut out: impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut out, self)?;
        writeln!(out)
    }

    /// The same for people, in two lines.
    pub fn text(&self) -> String {
        let Self { consumed, succeeded, retried, dead_lettered, waiting, duplicates } = self;
        let skipped = match duplicates {
            0 => String::new(),
            duplicates => format!(", {duplicates} duplicates"),
        };
        // A record that came to its end without being consumed was in retry before.
        let earlier = match (succeeded + duplicates + dead_lettered).saturating_sub(*consumed) {
            0 => String::new(),
            earlier => format!(" ({earlier} of them retries from earlier runs or redrives)"),
        };
        format!(
            "this run: {consumed} consumed, {succeeded} succeeded{skipped}, {retried} sent to retry, \
             {dead_lettered} dead-lettered{earlier}\nleft in retry: {waiting}\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_one_object_or_two_lines() {
        let tally = Tally {
            consumed: 9,
            succeeded: 7,
            retried: 3,
            dead_lettered: 1,
            waiting: 1,
            duplicates: 0,
        };
        let mut json = Vec::new();
        tally.write_json(&mut json).unwrap();
        assert_eq!(
            String::from_utf8(json).unwrap(),
            "{\"consumed\":9,\"succeeded\":7,\"retried\":3,\"dead_lettered\":1,\"waiting\":1}\n"
        );
        assert!(tally.text().starts_with("this run: 9 consumed, 7 succeeded, 3 sent to retry"));
        assert!(tally.text().ends_with("1 dead-lettered\nleft in retry: 1\n"));
    }

    #[test]
    fn every_record_that_ended_is_accounted_for() {
        let run = Tally {
            consumed: 4,
            succeeded: 5,
            retried: 0,
            dead_lettered: 0,
            waiting: 0,
            duplicates: 1,
        };
        let line = "this run: 4 consumed, 5 succeeded, 1 duplicates, 0 sent to retry, 0 dead-lettered \
                    (2 of them retries from earlier runs or redrives)\n";
        assert!(run.text().starts_with(line), "{}", run.text());
        let mut json = Vec::new();
        run.write_json(&mut json).unwrap();
        assert!(String::from_utf8(json).unwrap().ends_with("\"waiting\":0,\"duplicates\":1}\n"));
    }
}
