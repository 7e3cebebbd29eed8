//! Sends a few payments to try the handler with: Avro in Confluent's frame, with `payment.avsc` in the registry.

use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use codec::frame;
use codec::registry::{Registry, RegistrySettings, value_subject};
use kafka_io::client_config::KafkaSettings;
use kafka_io::publisher::{Delivery, DeliveryObserver, Publisher};
use service_kit::args::KafkaArgs;

const SCHEMA: &str = include_str!("../../payment.avsc");

/// Key, account, cents.
const PAYMENTS: [(&str, &str, i64); 4] =
    [("ada", "ada-1", 500), ("bob", "bob-7", 800), ("bob", "bob-2", 900), ("eve", "eve-3", -300)];

/// Longest wait for the brokers.
const LIMIT: Duration = Duration::from_secs(10);

/// Prints where each record lies.
struct Printed;

impl DeliveryObserver for Printed {
    fn delivered(&self, delivery: &Delivery<'_>) {
        match &delivery.outcome {
            Ok(placed) => println!("partition {} offset {}", placed.partition, placed.offset),
            Err(error) => eprintln!("send: {error}"),
        }
    }
}

/// A whole number as Avro writes it: zigzag, seven bits a byte.
fn long(number: i64, bytes: &mut Vec<u8>) {
    let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while rest > 0x7f {
        bytes.push(u8::try_from(rest & 0x7f).expect("seven bits") | 0x80);
        rest >>= 7;
    }
    bytes.push(u8::try_from(rest).expect("seven bits"));
}

fn value(schema_id: u32, account: &str, cents: i64) -> Vec<u8> {
    let mut bytes = frame::header(schema_id).to_vec();
    long(i64::try_from(account.len()).expect("it is short"), &mut bytes);
    bytes.extend_from_slice(account.as_bytes());
    long(cents, &mut bytes);
    bytes
}

const USAGE: &str = "send: sends four payments to the topic that TOPIC names (payments).
It takes no arguments. KAFKA_BOOTSTRAP_SERVERS and SCHEMA_REGISTRY_URL say where the servers are.";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    if let Some(argument) = env::args().nth(1) {
        let is_question = ["-h", "--help"].contains(&&*argument);
        eprintln!("{USAGE}");
        return if is_question { ExitCode::SUCCESS } else { ExitCode::from(2) };
    }
    match send().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("send: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn send() -> Result<(), Box<dyn Error>> {
    let topic = env::var("TOPIC").unwrap_or_else(|_| "payments".to_owned());
    let registry = env::var("SCHEMA_REGISTRY_URL");
    let registry = registry.unwrap_or_else(|_| "http://localhost:8081".to_owned());
    let registry = Registry::new(RegistrySettings::from_program(&registry, None)?)?;
    let found = registry.find_or_register(&value_subject(&topic), SCHEMA).await;
    let schema_id =
        found.map_err(|error| format!("{error}\nhint: name it with SCHEMA_REGISTRY_URL"))?;
    let kafka = KafkaArgs::from_variables(|name| env::var(name).ok());
    let kafka = KafkaSettings::new("send", kafka.bootstrap_servers(), kafka.properties())?;
    let publisher = Publisher::new(&kafka.with_credentials_from_env()?, LIMIT, Printed)?;
    for ((key, account, cents), number) in PAYMENTS.into_iter().zip(0..) {
        let value = value(schema_id, account, cents);
        publisher.try_publish(&topic, None, Some(key.as_bytes()), Some(&value), number)?;
    }
    publisher.flush(LIMIT);
    match publisher.counts().failed {
        0 => Ok(()),
        failed => Err(format!("{failed} payments were not delivered").into()),
    }
}
