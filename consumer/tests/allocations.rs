//! The steady path of a record (decode, validate, aggregate) allocates nothing: an order is read into the memory of
//! the one before.

use allocations::allocations;
use codec::decode::Decoder;
use codec::encode::Encoder;
use codec::resolver::SchemaResolver;
use codec::scalar::AvroRecord as _;
use order_schemas::{ORDER_V1, ORDER_V2, OrderRecord};
use orders::{Amount, Order};
use pipeline::record::{CommitPosition, Offset};
use pipeline::window::{Fetched, Window};
use relane::table::Table;

/// Records that are measured.
const RECORDS: usize = 10_000;

/// Records that come first: every product is known then, and every buffer has its size.
const WARM_UP: usize = 1_000;

const PRODUCTS: usize = 50;

/// The path of a lane without its connections.
struct Path {
    decoder: Decoder<OrderRecord>,
    window: Window,
    averages: Table<Box<str>, (u64, Amount)>,
    spare: Order,
    next: i64,
}

impl Path {
    fn new() -> Self {
        let resolver = SchemaResolver::offline();
        resolver.insert(1, ORDER_V1).unwrap();
        resolver.insert(2, ORDER_V2).unwrap();
        Self {
            decoder: Decoder::new(resolver),
            window: Window::new(CommitPosition(0)),
            averages: Table::default(),
            spare: OrderRecord::blank(),
            next: 0,
        }
    }

    fn run(&mut self, values: &[Vec<u8>]) {
        for value in values {
            let offset = Offset(self.next);
            self.next += 1;
            assert_eq!(self.window.fetched(offset), Fetched::New);
            let order = &mut self.spare;
            self.decoder.decode_into(Some(value), order).unwrap();
            let amount = orders::validate(order).unwrap();
            let (count, sum) = self.averages.entry(&*order.product);
            *count += 1;
            *sum += amount;
            self.window.settle_new(offset);
        }
    }
}

/// Encoded orders.
fn values(schema: &str, schema_id: u32, count: usize) -> Vec<Vec<u8>> {
    let encoder = Encoder::<OrderRecord>::with_schema(schema, schema_id).unwrap();
    let encode = |n: usize| {
        let price = 0.01 * f32::from(u16::try_from(n % 10_000).unwrap());
        let order = Order {
            user_id: Some(format!("user-{n:08}")),
            quantity: 2,
            created_at_ms: Some(1_700_000_000_000),
            ..Order::new(format!("order-{n:08}"), format!("product-{:02}", n % PRODUCTS), price)
        };
        let mut value = Vec::new();
        encoder.encode_into(&mut value, &order);
        value
    };
    (0..count).map(encode).collect()
}

#[track_caller]
fn check(path: &mut Path, records: &[Vec<u8>]) {
    path.run(&records[..WARM_UP]);
    let measured = &records[WARM_UP..];
    let found = allocations(|| path.run(measured));
    assert_eq!(found, 0);
}

#[test]
fn an_order_of_version_1_allocates_nothing() {
    check(&mut Path::new(), &values(ORDER_V1, 1, WARM_UP + RECORDS));
}

#[test]
fn an_order_of_version_2_allocates_nothing() {
    check(&mut Path::new(), &values(ORDER_V2, 2, WARM_UP + RECORDS));
}

#[test]
fn with_writers_of_both_versions_in_turn_only_the_user_that_one_of_them_lacks_is_allocated() {
    let (v1, v2) = (values(ORDER_V1, 1, WARM_UP + RECORDS), values(ORDER_V2, 2, WARM_UP + RECORDS));
    let mut path = Path::new();
    for both in [&v1, &v2] {
        path.run(&both[..WARM_UP]);
    }
    let mixed: Vec<Vec<u8>> = v1.into_iter().zip(v2).flat_map(|(a, b)| [a, b]).collect();
    let found = allocations(|| path.run(&mixed));
    assert_eq!(found, mixed.len() / 2);
}

#[test]
fn records_that_pass_one_that_waits_allocate_nothing() {
    let mut path = Path::new();
    path.window.hold(Offset(0));
    path.next = 1;
    check(&mut path, &values(ORDER_V1, 1, WARM_UP + RECORDS));
    assert_eq!(path.window.position(), CommitPosition(0));
}
