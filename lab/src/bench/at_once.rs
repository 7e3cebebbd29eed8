//! Very many orders at once: as one batch where the paradigm takes one, else one by one over many connections. This is
//! a closed loop, and only the time for all of them says something.

use std::sync::Arc;

use reqwest::StatusCode;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::load::drain_of;
use super::{Bench, Rig};
use crate::asked::{Asks, Shares};
use crate::book::Answer;
use crate::generator::{Answered, Target as _};
use crate::measure::Window;
use crate::plan::Cell;
use crate::results::Run;
use crate::stopping::{STOPPED, unless_stopped};
use crate::workload::{Paradigm, Workload};

/// Requests under way at a time, where orders are sent one by one.
const AT_A_TIME: usize = 64;

impl Bench {
    pub(super) fn at_once(
        &mut self,
        run: &mut Run,
        workload: &Workload,
        cell: &Cell,
    ) -> Result<(), String> {
        let planned = vec![0; workload.orders as usize];
        let name = self.name_of(cell);
        let asks = Asks::new(&name, &planned, &self.items, Shares::default(), cell.seed);
        let mut rig = self.rig(workload, cell, asks)?;
        let watch = rig.processes.watch().map_err(|error| error.to_string())?;
        let begin_us = rig.book.clock().now_us();
        if cell.paradigm == Paradigm::Streaming {
            run.notes.push("one request with all orders".to_owned());
            let sent = unless_stopped(&self.runtime, &self.stop, self.as_one_batch(&rig, &name));
            sent.ok_or(STOPPED)??;
        } else {
            run.notes
                .push(format!("it takes no batch: one request an order, {AT_A_TIME} at a time"));
            unless_stopped(&self.runtime, &self.stop, one_by_one(&rig)).ok_or(STOPPED)?;
        }
        self.settle(&rig, workload, cell.paradigm, run);
        let cost = watch.end(rig.book.so_far().2);
        let to_us = rig.book.clock().now_us();
        let window = Window { from_us: 0, to_us, fault: None };
        self.fill_in(run, &mut rig, cell.paradigm, window);
        (run.cost, run.is_saturated, run.void) =
            (rig.services.is_some().then_some(cost), false, None);
        let (traces, _) = rig.book.read();
        run.drain = Some(drain_of(run, &traces, begin_us));
        Ok(())
    }

    async fn as_one_batch(&self, rig: &Rig, key: &str) -> Result<(), String> {
        let base = rig.addresses.order.first().ok_or("nobody says where the order service is")?;
        let body: String = rig.asks.orders.iter().map(|order| order.body.clone() + "\n").collect();
        (0..rig.asks.orders.len()).for_each(|order| rig.book.sent(order));
        let request = self.http.post(format!("{base}/orders")).header("idempotency-key", key);
        let request = request.header("content-type", "application/x-ndjson").body(body);
        let response = request.send().await.map_err(|error| error.to_string())?;
        let status = response.status();
        let answer: Value = response.json().await.map_err(|error| error.to_string())?;
        let items = answer["results"].as_array().cloned().unwrap_or_default();
        if items.len() != rig.asks.orders.len() {
            return Err(format!("the batch was answered {status} with {} results", items.len()));
        }
        for (order, item) in items.iter().enumerate() {
            let answer = match item["status"].as_str() {
                Some("accepted") => Answer::Accepted,
                Some("unknown") => Answer::Unknown,
                _ => Answer::Failed,
            };
            rig.book.answered(order, answer, false);
        }
        if status != StatusCode::ACCEPTED {
            let what = format!("batch {}", status.as_u16());
            rig.book.note(|others| *others.failures.entry(what).or_default() += 1);
        }
        Ok(())
    }
}

async fn one_by_one(rig: &Rig) {
    let room = Arc::new(Semaphore::new(AT_A_TIME));
    for order in 0..rig.asks.orders.len() {
        // It is never closed.
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { break };
        let (asks, book, client) = (rig.asks.clone(), rig.book.clone(), rig.client.clone());
        tokio::spawn(async move {
            book.sent(order);
            let Answered { answer, is_outcome, failure } = client.place(&asks.orders[order]).await;
            book.answered(order, answer, is_outcome);
            if let Some(failure) = failure {
                book.note(|others| *others.failures.entry(failure).or_default() += 1);
            }
            drop(place);
        });
    }
    let _all_answered = room.acquire_many(u32::try_from(AT_A_TIME).unwrap_or(u32::MAX)).await;
}
