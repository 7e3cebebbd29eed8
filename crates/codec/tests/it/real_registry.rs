//! The same rules against a real registry.

use std::time::{SystemTime, UNIX_EPOCH};

use codec::decode::Decoder;
use codec::encode::Encoder;
use codec::registry::{Registration, Registry, RegistrySettings, value_subject};
use codec::resolver::{Lookup, SchemaResolver};
use order_schemas::{ORDER_V1, OrderRecord};
use orders::Order;

use crate::evolution::check_registry;

fn url() -> String {
    std::env::var("SCHEMA_REGISTRY_URL").expect(
        "SCHEMA_REGISTRY_URL is not set and this test needs a real registry: \
         start one with `cargo run --bin stack -- up --only registry` and source the env file it names",
    )
}

/// Tells this run's subjects from those of earlier ones.
fn suffix() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    format!("-{}-{}", std::process::id(), since.as_nanos())
}

#[tokio::test]
async fn a_real_registry_keeps_to_backward() {
    check_registry(&url(), &suffix()).await;
}

#[tokio::test]
async fn an_order_passes_through_a_real_registry() {
    let registry = Registry::new(RegistrySettings::new(&url()).unwrap()).unwrap();
    let subject = value_subject(&format!("orders{}", suffix()));
    let register = Registration::Register;
    let encoder =
        Encoder::<OrderRecord>::connect_as(&registry, &subject, ORDER_V1, register).await.unwrap();
    let order = Order::new("o-1", "tea", 1.5);
    let mut value = Vec::new();
    encoder.encode_into(&mut value, &order);

    let resolver = SchemaResolver::new(registry, tokio::runtime::Handle::current());
    let lookup = resolver.resolve(encoder.schema_id()).await;
    assert!(matches!(lookup, Lookup::Ready(_)), "{lookup:?}");
    assert_eq!(Decoder::<OrderRecord>::new(resolver.clone()).decode(Some(&value)), Ok(order));
    for unknown in [0, 2_000_000_000] {
        assert!(matches!(resolver.resolve(unknown).await, Lookup::NotFound));
    }
}
