//! Tests of the settings: rank, unknown keys, wrong values, tables.

use std::io::Write as _;

use clap::Parser;
use serde::Deserialize;

use super::*;
use crate::args::KafkaArgs;
use crate::units::DurationArg;

#[derive(Debug, Default, Parser, Serialize, Deserialize)]
struct Flags {
    #[command(flatten)]
    #[serde(flatten)]
    kafka: KafkaArgs,
    #[arg(long)]
    topic: Option<String>,
    #[arg(long, env = "SETTINGS_TEST_COUNT")]
    count: Option<u64>,
    #[arg(long)]
    retry_delay: Option<DurationArg>,
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    quiet: Option<bool>,
}

fn flags(args: &[&str]) -> Flags {
    Flags::try_parse_from([&["test"], args].concat()).expect("the test's flags are right")
}

fn load_text(text: &str, args: &[&str]) -> Result<Flags, SettingsError> {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(text.as_bytes()).expect("written");
    load("test", Some(file.path()), flags(args))
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_nothing() {
    let settings = load_text("topic = 'a'\ncount = 5\n", &["--topic", "b"]).unwrap();
    assert_eq!((settings.topic.as_deref(), settings.count), (Some("b"), Some(5)));
    assert_eq!(settings.retry_delay, None);
}

#[test]
fn keys_may_be_written_like_the_flag_or_like_the_field() {
    for text in ["retry-delay = '2s'", "retry_delay = '2s'"] {
        let settings = load_text(text, &[]).unwrap();
        assert_eq!(settings.retry_delay, Some("2s".parse().unwrap()));
    }
    let twice = load_text("retry-delay = '2s'\nretry_delay = '3s'", &[]).unwrap_err();
    assert!(twice.to_string().contains("is given twice"), "{twice}");
}

#[test]
fn an_unknown_key_is_an_error_that_names_file_key_and_nearest_key() {
    let error = load_text("bootstrap_servr = 'x'", &[]).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("'bootstrap_servr'"), "{text}");
    assert!(text.contains("did you mean 'bootstrap_server'?"), "{text}");
    assert!(text.starts_with("settings file /"), "{text}");
    assert_eq!(AppError::from(error).status().code(), 2);
}

#[test]
fn a_key_like_no_other_gets_the_list_of_keys() {
    let text = load_text("zzz = 1", &[]).unwrap_err().to_string();
    assert!(text.contains("known keys are") && text.contains("retry_delay"), "{text}");
}

#[test]
fn all_problems_are_reported_in_one_run() {
    let text = load_text("count = 'ten'\nretry_delay = 5\ntopicc = 'x'", &[]).unwrap_err();
    let text = text.to_string();
    for key in ["'count'", "'retry_delay'", "'topicc'"] {
        assert!(text.contains(key), "{key} is missing in {text}");
    }
}

#[test]
fn a_file_that_was_asked_for_must_exist() {
    let error = load("test", Some(Path::new("/nonexistent/x.toml")), flags(&[])).unwrap_err();
    assert!(matches!(error, SettingsError::Unreadable { .. }), "{error}");
}

#[test]
fn the_default_file_is_optional() {
    let settings = load("no-such-program", None, flags(&["--count", "3"])).unwrap();
    assert_eq!(settings.count, Some(3));
}

#[test]
fn a_syntax_error_names_its_line() {
    let error = load_text("count = 5\ntopic = = 2\n", &[]).unwrap_err();
    assert!(matches!(error, SettingsError::Syntax { line: 2, .. }), "{error:?}");
}

#[test]
fn tables_of_file_and_flags_are_merged() {
    let text = "[librdkafka]\nlinger.ms = 5\n\"batch.size\" = 1000\n";
    let settings = load_text(text, &["-X", "linger.ms=7", "-X", "client.id=me"]).unwrap();
    let pairs = settings.kafka.librdkafka.unwrap();
    let written: Vec<String> =
        pairs.iter().map(|pair| format!("{}={}", pair.key, pair.value)).collect();
    assert_eq!(written, ["batch.size=1000", "linger.ms=7", "client.id=me"]);
}

#[test]
fn a_boolean_flag_can_be_set_in_the_file_and_unset_by_the_flag() {
    assert_eq!(load_text("quiet = true", &[]).unwrap().quiet, Some(true));
    assert_eq!(load_text("quiet = true", &["--quiet=false"]).unwrap().quiet, Some(false));
    assert_eq!(load_text("", &["--quiet"]).unwrap().quiet, Some(true));
}

#[test]
fn a_pair_needs_a_key_and_an_equals_sign() {
    assert!("=x".parse::<KeyValue>().is_err());
    let error = "secret".parse::<KeyValue>().unwrap_err();
    assert!(!error.contains("secret"));
    let pair: KeyValue = "a=b=c".parse().unwrap();
    assert_eq!((pair.key.as_str(), pair.value.as_str()), ("a", "b=c"));
}

#[test]
fn what_is_no_finite_number_is_an_error_and_not_a_setting_that_is_not_set() {
    for value in ["nan", "inf", "-inf", "[1.0, nan]"] {
        let error = load_text(&format!("count = {value}\n"), &[]).unwrap_err().to_string();
        assert!(error.contains("key 'count'") && error.contains("nan and inf"), "{error}");
    }
    let error = load_text("[librdkafka]\n'linger.ms' = nan\n", &[]).unwrap_err().to_string();
    assert!(error.contains("key 'librdkafka'"), "{error}");
}

#[test]
fn a_value_that_may_hold_a_secret_is_not_repeated_whatever_its_form() {
    for text in [
        "librdkafka = 'sasl.password=hunter2'",
        "librdkafka = ['sasl.password=hunter2']",
        "librdkafka = { 'sasl.password' = ['hunter2'] }",
        "bootstrap-server = ['me:hunter2@host']",
        "bootstrap-server = { hunter2 = 1 }",
        "sasl-password = 'hunter2'",
        "[librdkafka]\nsasl.password = hunter2",
        "[librdkafka]\nsasl.password: hunter2",
        "[librdkafka]\nsasl.password = 'hunter2",
        "[librdkafka]\nsasl.password = \"hunter2\\x\"",
        "bootstrap-server = 'a'\nbootstrap-server = 'hunter2'",
        "hunter2",
        "topic = 'a' hunter2",
        "[hunter2",
        "count = 0xhunter2",
        "count = 12hunter2",
    ] {
        let error = load_text(text, &[]).unwrap_err();
        let shown = error.to_string() + &AppError::from(error).render("test");
        assert!(!shown.contains("hunter2"), "{text}: {shown}");
    }
}
