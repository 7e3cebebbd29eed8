use proptest::prelude::*;

use super::*;

fn sample() -> Completion {
    let mut completion = Completion::at(CommitPosition(1000)).with_averages(true).with_shared(true);
    completion.unsettled_to(1003);
    completion.settled_to(1300);
    completion.unsettled_to(1301);
    completion.settled_to(1302);
    completion
}

#[test]
fn a_completion_survives_its_text_form() {
    let completion = sample();
    let text = completion.encode();
    assert_eq!(
        text.len(),
        completion.encoded_len().div_ceil(3) * 4 - (3 - completion.encoded_len() % 3) % 3
    );
    assert_eq!(Completion::decode(&text, CommitPosition(1000)), Ok(completion));
}

/// As versions before this one have written them.
#[test]
fn recorded_texts_are_read_as_they_were_meant_and_written_as_they_were() {
    let tally = Tally::new(300, 1_000, 400);
    for (text, recorded) in [
        ("AQPoBwOpAgEB", sample()),
        ("AgPoB6wC6AeQAwOpAgEB", sample().with_tally(tally, usize::MAX)),
        ("AQAA", Completion::at(CommitPosition(0))),
    ] {
        assert_eq!(Completion::decode(text, CommitPosition(1000)), Ok(recorded.clone()), "{text}");
        assert_eq!(recorded.encode(), text);
    }
}

#[test]
fn settled_ranges_are_first_and_last() {
    assert_eq!(sample().settled_ranges(CommitPosition(1000)), [(1003, 1299), (1301, 1301)]);
}

#[test]
fn a_completion_of_another_position_says_nothing() {
    assert_eq!(sample().settled_ranges(CommitPosition(999)), []);
}

#[test]
fn foreign_metadata_is_an_error_and_empty_metadata_is_not() {
    let at = |text: &str| Completion::decode(text, CommitPosition(5));
    assert_eq!(at(""), Ok(Completion::at(CommitPosition(5))));
    assert!(matches!(at("hello world!"), Err(CompletionError::Malformed(_))));
    let newer = URL_SAFE_NO_PAD.encode([9, 0, 5]);
    assert_eq!(at(&newer), Err(CompletionError::Version(9)));
    let cut = URL_SAFE_NO_PAD.encode([1, 0, 5, 3, 0x80]);
    assert!(matches!(at(&cut), Err(CompletionError::Malformed("cut-off run"))));
    let odd = URL_SAFE_NO_PAD.encode([1, 0, 5, 3]);
    assert!(matches!(at(&odd), Err(CompletionError::Malformed("odd number of runs"))));
    let endless = URL_SAFE_NO_PAD.encode([1, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
    assert!(at(&endless).is_err());
}

#[test]
fn a_tally_makes_version_2_and_without_one_no_byte_changes() {
    let plain = sample();
    let tally = Tally::new(300, 1_000, 400);
    let carrying = plain.clone().with_tally(tally, 3_072);
    let bytes = |completion: &Completion| URL_SAFE_NO_PAD.decode(completion.encode()).unwrap();
    let (plain_bytes, mut carrying_bytes) = (bytes(&plain), bytes(&carrying));
    assert_eq!((plain_bytes[0], carrying_bytes[0]), (1, 2));
    let numbers: Vec<u8> = carrying_bytes.drain(4..10).collect();
    assert_eq!(numbers, [0xac, 2, 0xe8, 7, 0x90, 3]);
    assert_eq!(carrying_bytes[1..], plain_bytes[1..]);
    for says_nothing in [None, Tally::new(0, 0, 0), Tally::new(0, 1_000, 0)] {
        assert_eq!(bytes(&plain.clone().with_tally(says_nothing, 3_072)), plain_bytes);
    }
}

#[test]
fn a_tally_that_does_not_fit_is_left_out() {
    let tally = Tally::new(1, 1, 1);
    let needed = sample().with_tally(tally, usize::MAX).encoded_len();
    let carried = |limit| sample().with_tally(tally, limit).tally(CommitPosition(1000));
    assert_eq!([carried(needed), carried(needed - 1)], [tally, None]);
}

#[test]
fn a_tally_of_another_position_says_nothing() {
    let completion = sample().with_tally(Tally::new(1, 1, 1), usize::MAX);
    assert_eq!(completion.tally(CommitPosition(999)), None);
}

#[test]
fn a_damaged_tally_is_refused() {
    let at = |bytes: &[u8]| Completion::decode(&URL_SAFE_NO_PAD.encode(bytes), CommitPosition(5));
    assert!(at(&[2, 0, 5, 1, 2, 1]).is_ok());
    for (damaged, why) in [
        (&[2, 0, 5][..], "cut-off run"),
        (&[2, 0, 5, 1, 2], "cut-off run"),
        (&[2, 0, 5, 0, 9, 0], "impossible tally"),
        (&[2, 0, 5, 2, 2, 1], "impossible tally"),
        (&[2, 0, 5, 1, 1, 2], "impossible tally"),
        (&[2, 0, 5, 1, 0xe9, 7, 1], "impossible tally"),
        (&[2, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x1f, 0xe8, 7, 0xe8, 7], "impossible tally"),
        (&[2, 0, 5, 1, 2, 1, 3], "odd number of runs"),
    ] {
        assert_eq!(at(damaged), Err(CompletionError::Malformed(why)), "{damaged:?}");
    }
}

proptest! {
    #[test]
    fn any_completion_survives_its_text_form(
        base in 0..i64::MAX / 4,
        flags in any::<(bool, bool)>(),
        runs in prop::collection::vec((1..10_000_i64, 1..10_000_i64), 0..40),
        window in (0..=1_000_usize, 0..=1_000_usize),
        consecutive in 0..2_000_u32,
        limit_bytes in 0..200_usize,
    ) {
        let position = CommitPosition(base);
        let mut completion =
            Completion::at(position).with_averages(flags.0).with_shared(flags.1);
        let mut end = base;
        for (unsettled, settled) in runs {
            completion.unsettled_to(end + unsettled);
            end += unsettled + settled;
            completion.settled_to(end);
        }
        let without_bytes = completion.encoded_len();
        let tally = Tally::new(consecutive, window.0, window.1);
        let completion = completion.with_tally(tally, limit_bytes);
        let text = completion.encode();
        prop_assert_eq!(URL_SAFE_NO_PAD.decode(&text).unwrap().len(), completion.encoded_len());
        prop_assert!(completion.encoded_len() <= limit_bytes.max(without_bytes));
        prop_assert_eq!(Completion::decode(&text, position), Ok(completion));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let text = URL_SAFE_NO_PAD.encode([&[2, 0][..], &bytes].concat());
        if let Ok(completion) = Completion::decode(&text, CommitPosition(0)) {
            let again = Completion::decode(&completion.encode(), CommitPosition(0));
            prop_assert_eq!(again, Ok(completion));
        }
    }
}

#[test]
fn varint_length_is_the_number_of_bytes_written() {
    for value in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), i64::MAX as u64] {
        let mut bytes = Vec::new();
        push_varint(&mut bytes, value);
        assert_eq!(bytes.len(), varint_len(value), "{value}");
        assert_eq!(take_varint(&mut bytes.as_slice()).map(i64::unsigned_abs), Ok(value));
    }
}
