#![doc = "Charges each payment of a topic, through a bank that is busy now and then."]

#[cfg(test)]
mod tests;

use std::process::ExitCode;
use std::time::Duration;

use relane::{HandleError, Kafka, OnDeadLetter, Pipeline, ReasonName, Record, payload};

/// What the handler reads of a record. `payment.avsc` is the schema that it is written with.
#[derive(Debug, serde::Deserialize)]
struct Payment {
    account: String,
    cents: i64,
}

const NEGATIVE: ReasonName = ReasonName::of("negative-amount");

/// Stands for a call over the network; an account that ends in 7 finds the bank busy at first.
async fn bank(account: &str, attempt: u32) -> Result<(), &'static str> {
    tokio::time::sleep(Duration::from_millis(5)).await;
    if account.ends_with('7') && attempt == 1 { Err("the bank is busy") } else { Ok(()) }
}

async fn charge(payment: Record<Payment>) -> Result<(), HandleError> {
    let Payment { account, cents } = &*payment.value;
    if *cents < 0 {
        return Err(HandleError::permanent(NEGATIVE, format!("{cents} cents"))); // dead-lettered
    }
    bank(account, payment.attempt).await.map_err(HandleError::unavailable)?; // retried
    // A real bank gets the key, and charges a payment once that it is asked for twice.
    println!("{account} {cents} {} attempt={}", payment.idempotency_key, payment.attempt);
    Ok(())
}

fn main() -> ExitCode {
    // Without a subscriber the engine says nothing: not what is unavailable, and not why it waits.
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let topic = std::env::var("TOPIC").unwrap_or_else(|_| "payments".to_owned());
    let report = Kafka::from_env().and_then(|kafka| {
        Pipeline::builder(topic, kafka)
            .group("charging")
            .create_topics(true)
            .retries(3, [Duration::from_millis(500), Duration::from_secs(10)])
            .order_by_key(OnDeadLetter::Release)
            .exit_at_end(std::env::args().any(|argument| argument == "--exit-at-end"))
            .run(payload::avro::<Payment>(), charge)
    });
    match report {
        Ok(report) => {
            eprintln!("{} charged, {} dead letters", report.succeeded, report.dead_lettered)
        }
        Err(error) => {
            eprintln!("payments: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
