use bytes::BytesMut;
use kafka_protocol::messages::ProducerId;
use kafka_protocol::messages::fetch_response::AbortedTransaction;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{
    Compression, Record as Written, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};

use super::*;
use crate::batch;
use crate::record::last_header;

/// A record of a producer; `None` is one without transactions.
fn record(offset: i64, producer: Option<i64>, value: &str) -> Written {
    Written {
        transactional: producer.is_some(),
        control: false,
        delete_horizon: false,
        partition_leader_epoch: 0,
        producer_id: producer.unwrap_or(-1),
        producer_epoch: 0,
        timestamp_type: TimestampType::Creation,
        offset,
        sequence: i32::try_from(offset).expect("small"),
        timestamp: 1_000 + offset,
        key: None,
        value: Some(value.to_owned().into()),
        headers: [(StrBytes::from_static_str("n"), Some(Bytes::from_static(b"1")))]
            .into_iter()
            .collect(),
    }
}

/// The marker of a transaction's end.
fn marker(offset: i64, producer: i64, is_commit: bool) -> Written {
    let key = Bytes::copy_from_slice(&[0, 0, 0, is_commit.into()]);
    Written { control: true, key: Some(key), ..record(offset, Some(producer), "") }
}

fn batch_of(records: &[Written], compression: Compression) -> Bytes {
    let mut bytes = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression };
    RecordBatchEncoder::encode(&mut bytes, records, &options).expect("it can be written");
    bytes.freeze()
}

/// Each record as a batch of its own.
fn batches(records: &[Written]) -> Bytes {
    records.iter().flat_map(|it| batch_of(std::slice::from_ref(it), Compression::None)).collect()
}

fn chunk(batches: Bytes, aborted: &[(i64, i64)], from: i64) -> Chunk {
    let transaction = |(producer, first): &(i64, i64)| {
        AbortedTransaction::default()
            .with_producer_id(ProducerId(*producer))
            .with_first_offset(*first)
    };
    let aborted: Vec<_> = aborted.iter().map(transaction).collect();
    let partition =
        Partition { topic: "t".into(), topic_id: 0, partition: 0, position: None.into() };
    Chunk::new(Rc::new(partition), batches, Aborted::new(&aborted), from)
}

/// Offsets of all records, or the fault after them.
fn offsets(mut chunk: Chunk) -> (Vec<i64>, Option<Fault>) {
    let mut offsets = Vec::new();
    loop {
        match chunk.next() {
            Ok(Some(record)) => offsets.push(record.offset),
            Ok(None) => return (offsets, None),
            Err(fault) => return (offsets, Some(fault)),
        }
    }
}

#[test]
fn a_record_is_what_was_written_in_every_compression() {
    let written: Vec<_> = (5..105).map(|at| record(at, None, &format!("value {at}"))).collect();
    use Compression::{Gzip, Lz4, Snappy, Zstd};
    for compression in [Compression::None, Gzip, Snappy, Lz4, Zstd] {
        let mut chunk = chunk(batch_of(&written, compression), &[], 0);
        for expected in &written {
            let it = chunk.next().expect("no fault").expect("a record");
            let bytes = &chunk.records.bytes;
            assert_eq!((it.offset, it.timestamp), (expected.offset, expected.timestamp));
            assert_eq!(it.value.map(|value| &bytes[value]), expected.value.as_deref());
            assert_eq!((it.key, last_header(&bytes[it.headers], b"n")), (None, Some(&b"1"[..])));
        }
        assert!(matches!(chunk.next(), Ok(None)), "{compression:?}");
    }
}

#[test]
fn records_that_are_not_compressed_are_not_copied() {
    let bytes = batch_of(&[record(0, None, "here")], Compression::None);
    let mut chunk = chunk(bytes.clone(), &[], 0);
    let value = chunk.next().expect("no fault").and_then(|it| it.value).expect("a value");
    let at = chunk.records.bytes[value].as_ptr();
    assert!(bytes.as_ptr_range().contains(&at));
}

#[test]
fn a_batch_may_begin_below_what_was_asked_for_and_have_gaps() {
    let written = [record(3, None, "a"), record(7, None, "b"), record(9, None, "c")];
    let mut whole = written.to_vec();
    for it in &mut whole {
        it.sequence = i32::try_from(it.offset).expect("small"); // one batch
    }
    let bytes = batch_of(&whole, Compression::None);
    assert_eq!(batch::end(&bytes), Ok(Some(10)));
    assert_eq!(offsets(chunk(bytes.clone(), &[], 0)), (vec![3, 7, 9], None));
    assert_eq!(offsets(chunk(bytes, &[], 5)), (vec![7, 9], None));
}

#[test]
fn what_was_aborted_is_passed_over_and_what_was_committed_is_not() {
    let log = [
        record(0, Some(1), "aborted"),
        record(1, Some(2), "committed"),
        record(2, Some(1), "aborted"),
        record(3, None, "outside of transactions"),
        marker(4, 1, false),
        record(5, Some(1), "committed: the next transaction of the same producer"),
        marker(6, 2, true),
        marker(7, 1, true),
        record(8, Some(2), "aborted"),
        marker(9, 2, false),
    ];
    let seen = offsets(chunk(batches(&log), &[(2, 8), (1, 0)], 0));
    assert_eq!(seen, (vec![1, 3, 5], None));
    let in_the_middle = offsets(chunk(batches(&log[2..]), &[(1, 0), (2, 8)], 2));
    assert_eq!(in_the_middle, (vec![3, 5], None));
}

#[test]
fn a_marker_whose_records_are_compacted_away_ends_its_transaction_and_no_later_one() {
    let log = [marker(4, 1, false), record(5, Some(1), "committed"), marker(6, 1, true)];
    assert_eq!(offsets(chunk(batches(&log), &[(1, 2)], 0)), (vec![5], None));
}

#[test]
fn a_batch_that_is_cut_off_is_left_and_one_that_is_changed_is_a_fault() {
    let bytes = batches(&[record(0, None, "first"), record(1, None, "second")]);
    let first = Header::read(&bytes).expect("no fault").expect("a header").bytes;
    for cut in first..bytes.len() {
        assert_eq!(offsets(chunk(bytes.slice(..cut), &[], 0)), (vec![0], None), "cut at {cut}");
    }
    for changed in 21..first {
        let mut bytes = bytes.to_vec();
        bytes[changed] ^= 0x40;
        let seen = offsets(chunk(bytes.into(), &[], 0));
        assert!(seen.0.is_empty() && seen.1.is_some(), "byte {changed}: {seen:?}");
    }
}

#[test]
fn no_bytes_make_it_panic_even_with_the_right_checksum() {
    let whole = batches(&[record(0, Some(1), "a value"), marker(1, 1, false)]);
    for at in 0..whole.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bytes = whole.to_vec();
            bytes[at] = value;
            let sum =
                Header::read(&bytes).ok().flatten().map(|it| crc32c::crc32c(&bytes[21..it.bytes]));
            if let Some(sum) = sum {
                bytes[17..21].copy_from_slice(&sum.to_be_bytes());
            }
            _ = batch::end(&bytes);
            _ = offsets(chunk(bytes.into(), &[(1, 0)], 0));
        }
    }
}
