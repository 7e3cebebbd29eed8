//! The resolver asks once, believes only what counts, and lets nobody crowd out the others.

use std::sync::Arc;
use std::time::Duration;

use codec::registry::{Registry, RegistrySettings};
use codec::resolver::{Lookup, ResolverLimits, SchemaResolver};
use order_schemas::{ORDER_V1, ORDER_V2};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::fault_injection::{Scripted, ScriptedRegistry, http, impatient, json, schema};

/// Longest that a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

fn resolver(registry: Registry, limits: ResolverLimits) -> SchemaResolver {
    SchemaResolver::with_limits(registry, Handle::current(), limits)
}

fn not_found() -> Scripted {
    json("404 Not Found", r#"{"error_code":40403,"message":"Schema not found"}"#)
}

fn hasty() -> ResolverLimits {
    ResolverLimits {
        retry_delay_min: Duration::from_millis(1),
        retry_delay_max: Duration::from_millis(20),
        not_found_ttl: Duration::from_millis(1),
        ..ResolverLimits::default()
    }
}

/// Asks until the answer is as wanted.
async fn until(resolver: &SchemaResolver, id: u32, is_wanted: impl Fn(&Lookup) -> bool) -> Lookup {
    let asking = async {
        loop {
            let lookup = resolver.resolve(id).await;
            if is_wanted(&lookup) {
                return lookup;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, asking).await.expect("the answer comes in time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_lanes_that_miss_one_id_ask_once() {
    let server = ScriptedRegistry::start([schema(ORDER_V1)]).await;
    let resolver = resolver(impatient(&server.url), ResolverLimits::default());
    let lanes: Vec<_> = (0..100)
        .map(|_| {
            let resolver = resolver.clone();
            tokio::spawn(async move { resolver.resolve(1).await })
        })
        .collect();
    for lane in lanes {
        assert!(matches!(lane.await.unwrap(), Lookup::Ready(_)));
    }
    assert_eq!(server.requests().len(), 1);
    assert!(matches!(resolver.get(1), Lookup::Ready(_)));
}

#[tokio::test]
async fn an_outage_is_never_remembered_as_an_answer() {
    for (name, trouble) in [
        ("401", json("401 Unauthorized", "{}")),
        ("404", http("404 Not Found", "text/html", "no")),
        ("429", json("429 Too Many Requests", "{}")),
        ("500", json("500 Internal Server Error", "{}")),
        ("garbage", Scripted::Bytes(b"garbage".to_vec())),
    ] {
        let server = ScriptedRegistry::start([trouble]).await;
        let resolver = resolver(impatient(&server.url), hasty());
        assert!(matches!(resolver.resolve(1).await, Lookup::Away(_)), "{name}");
        assert!(resolver.is_away().is_some(), "{name}");
        server.then(schema(ORDER_V2));
        until(&resolver, 1, |lookup| matches!(lookup, Lookup::Ready(_))).await;
        assert_eq!(resolver.is_away(), None, "{name}");
    }
}

#[tokio::test]
async fn during_an_outage_requests_come_at_growing_distance() {
    let server = ScriptedRegistry::start([json("503 Service Unavailable", "{}")]).await;
    let limits = ResolverLimits {
        retry_delay_min: Duration::from_secs(3600),
        retry_delay_max: Duration::from_secs(3600),
        ..ResolverLimits::default()
    };
    let resolver = resolver(impatient(&server.url), limits);
    resolver.resolve(1).await;
    for _ in 0..10_000 {
        assert!(matches!(resolver.get(1), Lookup::Away(_)));
    }
    assert_eq!(server.requests().len(), 1);

    resolver.forget_transient();
    let since = resolver.generation();
    resolver.get(1);
    timeout(PATIENCE, resolver.changed(since)).await.unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn when_one_id_heals_the_others_need_not_wait_out_their_delay() {
    let server = ScriptedRegistry::start([json("503 Service Unavailable", "{}")]).await;
    let limits = ResolverLimits {
        retry_delay_min: Duration::from_secs(3600),
        retry_delay_max: Duration::from_secs(3600),
        ..ResolverLimits::default()
    };
    let resolver = resolver(impatient(&server.url), limits);
    for id in [1, 2] {
        assert!(matches!(resolver.resolve(id).await, Lookup::Away(_)));
    }
    server.then(schema(ORDER_V1));
    resolver.forget_transient();
    until(&resolver, 1, |lookup| matches!(lookup, Lookup::Ready(_))).await;
    until(&resolver, 2, |lookup| matches!(lookup, Lookup::Ready(_))).await;
}

#[tokio::test]
async fn not_found_is_believed_for_a_while_and_then_asked_again() {
    let server = ScriptedRegistry::start([not_found()]).await;
    let believing = resolver(impatient(&server.url), ResolverLimits::default());
    assert!(matches!(believing.resolve(1).await, Lookup::NotFound));
    assert!(matches!(believing.resolve(1).await, Lookup::NotFound));
    assert_eq!(server.requests().len(), 1);
    assert_eq!(believing.is_away(), None);

    let forgetful = resolver(impatient(&server.url), hasty());
    assert!(matches!(forgetful.resolve(1).await, Lookup::NotFound));
    server.then(schema(ORDER_V1));
    until(&forgetful, 1, |lookup| matches!(lookup, Lookup::Ready(_))).await;
}

#[tokio::test]
async fn who_waits_for_an_id_in_its_grace_gets_it_when_it_appears_or_is_believed_missing() {
    let limits =
        ResolverLimits { absent_retry: Duration::from_millis(10), ..ResolverLimits::for_records() };
    let server = ScriptedRegistry::start([not_found(), not_found(), schema(ORDER_V1)]).await;
    let lagging = resolver(impatient(&server.url), limits);
    let lookup = timeout(PATIENCE, lagging.resolve(1)).await.expect("it is asked for again");
    assert!(matches!(lookup, Lookup::Ready(_)), "{lookup:?}");

    let limits = ResolverLimits { not_found_grace: Duration::from_millis(100), ..limits };
    let server = ScriptedRegistry::start([not_found()]).await;
    let missing = resolver(impatient(&server.url), limits);
    let lookup = timeout(PATIENCE, missing.resolve(1)).await.expect("it is believed in the end");
    assert!(matches!(lookup, Lookup::NotFound), "{lookup:?}");
    assert!(server.requests().len() >= 2, "{:?}", server.requests());
}

#[tokio::test]
async fn an_id_that_no_registry_can_give_is_not_asked_for() {
    let server = ScriptedRegistry::start([json("500 Internal Server Error", "{}")]).await;
    let resolver = resolver(impatient(&server.url), hasty());
    assert!(matches!(resolver.get(1 << 31), Lookup::NotFound));
    assert!(matches!(resolver.get(u32::MAX), Lookup::NotFound));
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_schema_that_is_not_avro_is_unusable() {
    let protobuf = r#"{"schemaType":"PROTOBUF","schema":"syntax = \"proto3\";"}"#;
    for answer in [json("200 OK", protobuf), schema("not avro"), schema(r#""com.example.Nowhere""#)]
    {
        let server = ScriptedRegistry::start([answer]).await;
        let resolver = resolver(impatient(&server.url), hasty());
        assert!(matches!(resolver.resolve(1).await, Lookup::Unusable(_)));
        resolver.resolve(1).await;
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_invented_ids_neither_grows_memory_nor_pushes_out_a_real_one() {
    let server = ScriptedRegistry::start([schema(ORDER_V1)]).await;
    let limits = ResolverLimits { ids_max: 10, ..ResolverLimits::default() };
    let resolver = resolver(impatient(&server.url), limits);
    assert!(matches!(resolver.resolve(1).await, Lookup::Ready(_)));
    server.then(not_found());
    for id in 1_000..1_200 {
        assert!(matches!(until(&resolver, id, |_| true).await, Lookup::NotFound));
    }
    assert!(matches!(resolver.get(1), Lookup::Ready(_)));
    // The latest ones are kept, the earliest gone: asking for one again is a new request.
    let before = server.requests().len();
    assert!(matches!(resolver.get(1_199), Lookup::NotFound));
    assert!(matches!(resolver.get(1_000), Lookup::Pending));
    until(&resolver, 1_000, |lookup| matches!(lookup, Lookup::NotFound)).await;
    assert_eq!(server.requests().len(), before + 1);
}

#[tokio::test]
async fn ids_beyond_the_limit_wait_while_all_others_are_being_asked_for() {
    let server = ScriptedRegistry::start([Scripted::Silence]).await;
    let limits = ResolverLimits { ids_max: 2, ..hasty() };
    let resolver = resolver(impatient(&server.url), limits);
    for id in 1..=100 {
        assert!(matches!(resolver.get(id), Lookup::Pending));
    }
    server.then(schema(ORDER_V1));
    until(&resolver, 100, |lookup| matches!(lookup, Lookup::Ready(_))).await;
}

#[test]
fn lanes_without_a_runtime_of_their_own_can_ask() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(ScriptedRegistry::start([schema(ORDER_V1)]));
    let registry = Registry::new(RegistrySettings::new(&server.url).unwrap()).unwrap();
    let resolver = SchemaResolver::new(registry, runtime.handle().clone());
    let lane = {
        let resolver = resolver.clone();
        std::thread::spawn(move || matches!(resolver.get(1), Lookup::Pending))
    };
    assert!(lane.join().unwrap());
    assert!(matches!(runtime.block_on(resolver.resolve(1)), Lookup::Ready(_)));
    let resolver = Arc::new(resolver);
    assert!(matches!(resolver.get(1), Lookup::Ready(_)));
}
