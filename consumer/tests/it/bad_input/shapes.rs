//! Keys and headers of any shape, and large values, on their way through retry to the dead
//! letters.

use testkit::{Cluster, Input, OrderEncoder, machine};

use super::{check_dead_letter, consume, coordinates, dead_letters};

/// Bytes of a value near the usual limit of a record, 1 MB.
const LARGE_BYTES: usize = 900 * 1024;

/// Orders with keys and headers as no tool of ours would write them.
fn odd_orders(encoder: &OrderEncoder) -> Vec<Input> {
    let order = |n: usize| encoder.input(0, &format!("odd-{n}"), "tea", 1.0);
    let with_key =
        |n: usize, key: Option<&[u8]>| Input { key: key.map(<[u8]>::to_vec), ..order(n) };
    let large = encoder.input(0, &"x".repeat(LARGE_BYTES), "tea", 1.0);
    vec![
        order(0),
        order(1).with_header(b"\xff\xfe\x80", Some(b"name is not UTF-8")),
        order(2).with_header("value is not UTF-8", Some(b"\xc3\x28\xff\x00\x01")),
        order(3).with_header("null", None).with_header("empty", Some(b"")),
        order(4).with_header("", Some(b"no name")),
        order(5)
            .with_header("twice", Some(b"1"))
            .with_header("between", Some(b"2"))
            .with_header("twice", Some(b"1"))
            .with_header("twice", None),
        order(6).with_header("X-Attempt", Some(b"names are case-sensitive")),
        order(7).with_header("x-attempts", Some(b"not ours")).with_header("x-", None),
        order(8).with_header("long", Some(&[7; 20_000])),
        (0..500).fold(order(9), |input, n| input.with_header(format!("h{n}"), Some(b"v"))),
        with_key(10, None),
        with_key(11, Some(b"")),
        with_key(12, Some(b"\xff\x00\xfe")),
        large.with_header(b"\xff", None),
    ]
}

#[test]
fn odd_keys_and_headers_and_large_values_come_through_retries_byte_for_byte() {
    let _guard = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    let encoder = pipeline.orders_v1();
    let inputs = odd_orders(&encoder);
    pipeline.send(&pipeline.orders, &inputs);
    let arguments = ["--simulate-failures", "1.0", "--max-retries", "2", "--retry-delay", "50ms"];
    let stats = consume(&pipeline, &arguments);

    let dead = dead_letters(&pipeline);
    let verdict = ("transient", "simulated", Some(encoder.schema_id));
    for (at, input) in coordinates(&inputs).iter().zip(&inputs) {
        check_dead_letter(&dead[at], input, verdict, "3");
    }
    let count = inputs.len();
    assert_eq!(dead.len(), count);
    assert_eq!((&stats["retried"], &stats["dead_lettered"]), (&(2 * count).into(), &count.into()));
    // On the way, each hop carried them, too.
    for (n, record) in pipeline.records(&pipeline.retry).iter().enumerate() {
        let (_, offset) = record.origin();
        let input = &inputs[usize::try_from(offset).expect("an offset")];
        assert!(record.key == input.key && record.value == input.value, "retry record {n}");
        assert!(record.headers.starts_with(&input.headers), "retry record {n}: {record:?}");
    }
}

#[test]
fn records_of_900_kb_are_counted_or_dead_lettered_like_any_other() {
    let _guard = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    let encoder = pipeline.orders_v1();
    let id = |c: &str| c.repeat(LARGE_BYTES);
    let garbage: Vec<u8> = (1..=u8::MAX).cycle().take(LARGE_BYTES).collect();
    let inputs = [
        encoder.input(0, &id("a"), "tea", 1.5),
        encoder.input(0, &id("b"), "tea", -1.5),
        Input::new(0, Some(b"key"), Some(&garbage)),
        encoder.input(0, &id("c"), "tea", 2.25),
        encoder.input(0, "small", "tea", 0.25),
    ];
    pipeline.send(&pipeline.orders, &inputs);
    let stats = consume(&pipeline, &[]);
    assert_eq!(
        (&stats["overall"]["count"], &stats["overall"]["sum"]),
        (&3.into(), &"4.0000".into())
    );
    let dead = dead_letters(&pipeline);
    assert_eq!(dead.len(), 2);
    let negative = ("invalid", "negative-price", Some(encoder.schema_id));
    check_dead_letter(&dead[&(0, 1)], &inputs[1], negative, "1");
    check_dead_letter(&dead[&(0, 2)], &inputs[2], ("malformed", "bad-magic", None), "1");
}
