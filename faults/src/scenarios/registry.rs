//! The schema registry misbehaves, or does not know what records name.

use std::time::Duration;

use order_schemas::ORDER_V2;
use rand::Rng as _;
use testkit::{Cluster, Input, OrderEncoder, Pipeline, Process, wait};

use crate::ending::{finish, settled, stop};
use crate::load;
use crate::registry_stub::{Mood, RegistryStub};
use crate::run::Run;
use crate::scenario::Scenario;

pub(super) const REGISTRY_MISBEHAVES: Scenario = Scenario {
    name: "registry-misbehaves",
    rows: &[15],
    does: "makes the registry refuse, stay silent, and answer 409, 422, 500, 429, 403, another 404, an HTML \
           page, a redirect to itself and 64 MB, each with a new schema id",
    expects: "records with known ids continue, the new one waits, nothing is dead-lettered; it is counted when the registry is available",
    full_max_s: 120,
    run: registry_misbehaves,
};

pub(super) const UNKNOWN_SCHEMA_IDS: Scenario = Scenario {
    name: "unknown-schema-ids",
    rows: &[16],
    does: "sends orders that name random schema ids which the registry does not have",
    expects: "each is dead-lettered as unknown-schema; the orders beside them are counted",
    full_max_s: 120,
    run: unknown_schema_ids,
};

/// Longest wait for anything.
const LIMIT: Duration = Duration::from_secs(60);

const MOODS: [Mood; 11] = [
    Mood::Status(409),
    Mood::Page,
    Mood::Status(422),
    Mood::Status(500),
    Mood::Redirects,
    Mood::Refuses,
    Mood::Status(429),
    Mood::Status(403),
    Mood::OtherNotFound,
    Mood::Silent,
    Mood::Huge,
];

/// An order under an id that nobody has asked for yet.
fn under_new_id(pipeline: &Pipeline, v2: &OrderEncoder, n: usize) -> Input {
    let mut schema: serde_json::Value = serde_json::from_str(ORDER_V2).expect("a schema");
    schema["doc"] = format!("{} {n}", pipeline.prefix).into();
    let id = pipeline.register(&schema.to_string());
    let mut input = v2.input(0, &format!("new-{n}"), "tea", 1.0);
    input.value.as_mut().expect("an order")[1..5].copy_from_slice(&id.to_be_bytes());
    input
}

fn registry_misbehaves(run: &mut Run) {
    let mut pipeline = Cluster::shared().pipeline(1);
    let (v1, v2) = (pipeline.orders_v1(), pipeline.orders_v2());
    let moods = &MOODS[..run.pick(3, MOODS.len())];
    let news: Vec<Input> = (0..moods.len()).map(|n| under_new_id(&pipeline, &v2, n)).collect();
    let stub = RegistryStub::start(&pipeline.servers.registry_url);
    let real = std::mem::replace(&mut pipeline.servers.registry_url, stub.url());
    let mut consumer = Process::consumer(&pipeline, &[]);
    pipeline.send(&pipeline.orders, &[v1.input(0, "first", "tea", 1.0)]);
    settled(&pipeline, LIMIT);
    let counted = "orders_processed_total{outcome=\"succeeded\"}";
    let mut expected = 1.0;
    for (mood, new) in moods.iter().zip(news) {
        stub.set(*mood);
        let known = (0..20).map(|n| v1.input(0, &format!("{mood:?}-{n}"), "tea", 1.0));
        pipeline.send(&pipeline.orders, &[new].into_iter().chain(known).collect::<Vec<_>>());
        expected += 20.0;
        wait::is_true(&format!("known ids going on with {mood:?}"), LIMIT, || {
            consumer.metric(counted) == Some(expected)
        });
        wait::is_true(&format!("{mood:?} being told"), LIMIT, || {
            let answer = consumer.get("/readyz");
            answer.status == 503 && answer.body.contains("registry")
        });
        stub.set(Mood::Honest);
        settled(&pipeline, LIMIT);
        expected += 1.0;
        run.step(format!("{mood:?}: held up, and counted when it was over"));
    }
    for topic in [&pipeline.retry, &pipeline.dlq] {
        assert_eq!(pipeline.ends(topic), [0], "{topic} holds records");
    }
    wait::is_true("being ready again", LIMIT, || consumer.get("/readyz").status == 200);
    stop(consumer);
    pipeline.servers.registry_url = real;
    finish(run, &pipeline, &[], &[]);
}

fn unknown_schema_ids(run: &mut Run) {
    let pipeline = Cluster::shared().pipeline(2);
    let encoder = pipeline.orders_v1();
    let mut inputs = Vec::new();
    let count = run.pick(20, 400);
    for n in 0..count {
        let mut input = encoder.input(n % 2, &format!("unknown-{n}"), "tea", 1.0);
        let id: u32 = run.random.random_range(1_000_000_000..2_000_000_000);
        input.value.as_mut().expect("an order")[1..5].copy_from_slice(&id.to_be_bytes());
        inputs.push(input);
    }
    pipeline.send(&pipeline.orders, &inputs);
    load::send(&pipeline, 0..1_000);
    let statistics = finish(run, &pipeline, &[], &[]);
    assert_eq!(statistics["dead_lettered"], count, "{statistics}");
    assert_eq!(statistics["succeeded"], 1_000, "{statistics}");
}
