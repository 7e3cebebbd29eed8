//! Judges `--on-dead-letter hold`: what waits in the retry topic behind a record that is given up is
//! given up in the same transaction, and nothing else is.

use std::collections::{BTreeMap, BTreeSet};

use pipeline::headers::FAILURE_REASON;

use crate::lane::simulation::judge::{Judge, Placed, lineage};
use crate::model::log::{Topic, Txn};

/// How a record came to be a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Death {
    txn: Txn,
    is_follower: bool,
}

/// When the records of a partition came to wait and ended, by their origins. The committed
/// transactions of a partition follow each other as their numbers do.
#[derive(Debug, Default)]
struct Lives {
    waits_from: BTreeMap<i64, Txn>,
    counted: BTreeMap<i64, Txn>,
    dead: BTreeMap<i64, Death>,
}

impl Lives {
    fn waits_when(&self, origin: i64, txn: Txn) -> bool {
        let has_begun = self.waits_from.get(&origin).is_some_and(|from| *from < txn);
        let ended = self.counted.get(&origin).copied();
        let ended = ended.or_else(|| self.dead.get(&origin).map(|death| death.txn));
        has_begun && ended.is_none_or(|ended| ended >= txn)
    }
}

impl Judge<'_> {
    pub(crate) fn look_at_followers(
        &self,
        partition: i32,
        placed: &[&Placed],
    ) -> Result<(), String> {
        let lives = self.lives(partition, placed)?;
        let mut by_key: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        for of in placed {
            if let Some(key) = of.key.as_deref() {
                by_key.entry(key).or_default().push(of.offset);
            }
        }
        for (key, origins) in by_key {
            let deaths = origins.iter().filter_map(|at| Some((*at, *lives.dead.get(at)?)));
            let deaths: Vec<(i64, Death)> = deaths.collect();
            let predecessors = || deaths.iter().filter(|(_, death)| !death.is_follower);
            for (origin, Death { txn, .. }) in predecessors() {
                let goes_with_it = Death { txn: *txn, is_follower: true };
                let stays = origins.iter().find(|at| {
                    *at > origin
                        && lives.waits_when(**at, *txn)
                        && lives.dead.get(at) != Some(&goes_with_it)
                });
                if let Some(stays) = stays {
                    return Err(format!(
                        "of key {key} in partition {partition}, {stays} waited when {origin} was \
                         given up, and did not go with it"
                    ));
                }
            }
            for (origin, death) in deaths.iter().filter(|(_, death)| death.is_follower) {
                let leads = |(first, of): &(i64, Death)| first < origin && of.txn == death.txn;
                if !predecessors().any(leads) {
                    return Err(format!(
                        "of key {key} in partition {partition}, {origin} followed nobody"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Origins of those that follow a record that the retry topic refuses: like itself, they cannot
    /// wait for those before it.
    pub(crate) fn followers_of_refused(
        &self,
        partition: i32,
        placed: &[&Placed],
    ) -> Result<BTreeSet<i64>, String> {
        let lives = self.lives(partition, placed)?;
        let death = |of: &Placed| lives.dead.get(&of.offset).copied();
        let follows = |of: &&&Placed| {
            death(of).is_some_and(|death| death.is_follower)
                && placed.iter().any(|first| {
                    first.key == of.key
                        && first.offset < of.offset
                        && self.may_be_refused(first)
                        && death(first).map(|death| death.txn) == death(of).map(|death| death.txn)
                })
        };
        Ok(placed.iter().filter(follows).map(|of| of.offset).collect())
    }

    fn lives(&self, partition: i32, placed: &[&Placed]) -> Result<Lives, String> {
        let written = |topic| self.broker.logs[&(topic, partition)].committed_in();
        let mut lives = Lives::default();
        for (record, txn) in written(Topic::Retry) {
            let origin = lineage(&record)?.origin.offset;
            let from = lives.waits_from.entry(origin).or_insert(txn);
            *from = txn.min(*from);
        }
        for (record, txn) in written(Topic::DeadLetter) {
            let is_follower = record.header(FAILURE_REASON) == Some(b"predecessor-dead");
            lives.dead.insert(lineage(&record)?.origin.offset, Death { txn, is_follower });
        }
        let serials: BTreeMap<String, i64> =
            placed.iter().map(|of| (of.order.serial.to_string(), of.offset)).collect();
        for (record, txn) in written(Topic::Output) {
            let serial = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default());
            let origin = serials.get(&*serial).ok_or("an output that nobody ordered")?;
            lives.counted.insert(*origin, txn);
        }
        Ok(lives)
    }
}
