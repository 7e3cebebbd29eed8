//! Handles a topic of JSON: bad records become dead letters, a slow service is waited for, and nothing is
//! lost or skipped when it is stopped, killed or rebalanced.
//!
//! ```text
//! KAFKA_BOOTSTRAP_SERVERS=localhost:9092 cargo run -p relane --example clicks
//! echo '{"url": "/orders"}' | kcat -P -b localhost:9092 -t clicks
//! ```

use std::process::ExitCode;
use std::time::Duration;

use relane::{HandleError, Kafka, Pipeline, ReasonName, Record, payload};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Click {
    url: String,
}

const NO_URL: ReasonName = ReasonName::of("no-url");

async fn index(click: Record<Click>) -> Result<(), HandleError> {
    if click.value.url.is_empty() {
        return Err(HandleError::permanent(NO_URL, "a click has an address"));
    }
    // The call of a service; it is to take the idempotency key once only.
    tokio::time::sleep(Duration::from_millis(20)).await;
    println!("{} {} (attempt {})", click.idempotency_key, click.value.url, click.attempt);
    Ok(())
}

fn main() -> ExitCode {
    let run = Kafka::from_env().and_then(|kafka| {
        Pipeline::builder("clicks", kafka)
            .group("click-indexer")
            .create_topics(true)
            .retries(3, [Duration::from_secs(1), Duration::from_secs(10)])
            .run(payload::json::<Click>(), index)
    });
    match run {
        Ok(report) => {
            eprintln!(
                "{} handled, {} sent to retry, {} dead letters",
                report.succeeded, report.retried, report.dead_lettered
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("clicks: {error}");
            ExitCode::FAILURE
        }
    }
}
