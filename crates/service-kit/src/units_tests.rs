use super::*;

#[track_caller]
fn check_duration(text: &str, expected: Duration) {
    assert_eq!(text.parse::<DurationArg>().map(DurationArg::get), Ok(expected), "{text}");
}

#[test]
fn durations_are_numbers_with_units() {
    check_duration("200ms", Duration::from_millis(200));
    check_duration("2s", Duration::from_secs(2));
    check_duration("5m", Duration::from_secs(300));
    check_duration("5min", Duration::from_secs(300));
    check_duration("1h30m", Duration::from_secs(5_400));
    check_duration("1h 30m", Duration::from_secs(5_400));
    check_duration("1.5s", Duration::from_millis(1_500));
    check_duration("7d", Duration::from_secs(7 * 86_400));
    check_duration("0ms", Duration::ZERO);
    check_duration("0", Duration::ZERO);
    check_duration("250us", Duration::from_micros(250));
}

#[test]
fn anything_else_is_refused_with_the_reason() {
    let parse = |text: &str| text.parse::<DurationArg>().unwrap_err();
    assert_eq!(parse("5"), UnitError::UnitMissing("5".into()));
    assert_eq!(parse("-2s"), UnitError::Negative("-2s".into()));
    for text in ["", "s", "2x", "two seconds", "1..5s", ".5s", "1.5.5s", "2s!"] {
        assert_eq!(parse(text), UnitError::NotADuration(text.into()), "{text:?}");
    }
    for text in ["99999999999999999999999999999999999999999s", "1000000000d"] {
        assert_eq!(parse(text), UnitError::TooLarge(text.into()));
    }
}

#[test]
fn the_library_for_durations_takes_other_texts_than_these_flags() {
    for text in ["7d", "1.5d", "30m1h", "1s1s", "1.5m30s"] {
        assert!(text.parse::<DurationArg>().is_ok(), "{text}");
        assert!(text.parse::<jiff::SignedDuration>().is_err(), "{text}");
    }
    for text in ["1:30:00", "PT1H", "2s ago"] {
        assert!(text.parse::<DurationArg>().is_err(), "{text}");
        assert!(text.parse::<jiff::SignedDuration>().is_ok(), "{text}");
    }
}

#[test]
fn a_duration_reads_back_as_it_is_written() {
    for nanos in [0, 1, 999, 1_000, 1_000_001, 61_000_000_000, 90_061_001_002_003] {
        let written = DurationArg(Duration::from_nanos(nanos)).to_string();
        check_duration(&written, Duration::from_nanos(nanos));
    }
}

#[test]
fn rates_count_per_second_minute_or_hour() {
    let parse = |text: &str| text.parse::<RateArg>().map(|r| (r.count(), r.period()));
    assert_eq!(parse("100/s"), Ok((100, Duration::from_secs(1))));
    assert_eq!(parse("100"), Ok((100, Duration::from_secs(1))));
    assert_eq!(parse("6000/m"), Ok((6_000, Duration::from_secs(60))));
    assert_eq!(parse("1/h"), Ok((1, Duration::from_secs(3_600))));
    for text in ["", "/s", "0/s", "1.5/s", "10/d", "ten/s", "+5/s"] {
        assert_eq!(parse(text), Err(UnitError::NotARate(text.into())), "{text:?}");
    }
    assert_eq!(parse("-1/s"), Err(UnitError::Negative("-1/s".into())));
    assert_eq!(parse("5000000000/s"), Err(UnitError::TooLarge("5000000000/s".into())));
}

#[test]
fn a_number_is_finite() {
    assert_eq!(finite("0.25"), Ok(0.25));
    assert_eq!(finite(" 1e-3 "), Ok(0.001));
    for text in ["nan", "NaN", "-nan", "inf", "-inf", "infinity", "1e999", "", "x"] {
        assert!(finite(text).is_err(), "{text:?}");
    }
}

#[test]
fn a_number_without_a_unit_is_seconds_only_where_a_setting_says_so() {
    let seconds = |text: &str| text.parse::<SecondsArg>().map(|arg| arg.get().as_millis());
    for (text, ms) in
        [("1", 1_000), (" 2 ", 2_000), ("0.5", 500), ("0", 0), ("3ms", 3), ("1m", 60_000)]
    {
        assert_eq!(seconds(text), Ok(ms), "{text}");
    }
    for text in ["", "-1", "x", "1x", "1 2", "1s2", "1e3"] {
        assert!(seconds(text).is_err(), "{text}");
    }
    assert!("1".parse::<DurationArg>().is_err());
}

#[test]
fn both_are_text_in_a_settings_file() {
    let delay: DurationArg = serde_json::from_str("\"30s\"").unwrap();
    assert_eq!(serde_json::to_string(&delay).unwrap(), "\"30s\"");
    let rate: RateArg = serde_json::from_str("\"100/s\"").unwrap();
    assert_eq!(serde_json::to_string(&rate).unwrap(), "\"100/s\"");
}
