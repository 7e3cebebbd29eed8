//! Defaults and refusals.

use clap::Parser as _;
use kafka_io::writer::Guarantee;
use relane::settings::KeyOrdering;
use service_kit::exit::ExitStatus;
use testkit::settings_file;

use super::*;
use crate::body::Form;

const TO: &str = "http://127.0.0.1:9000/payments?key=hunter2";

fn check(arguments: &[&str]) -> Result<Settings, AppError> {
    let arguments = std::iter::once("push").chain(arguments.iter().copied());
    Settings::check(&Flags::try_parse_from(arguments).expect("clap takes it"))
}

#[test]
fn defaults_are_those_of_the_contract() {
    let settings = check(&["--topic", "payments", "--to", TO]).unwrap();
    let engine = &settings.engine;
    assert_eq!(engine.topics.main, "payments");
    assert_eq!(engine.topics.retry, "payments-retry");
    assert_eq!(engine.topics.dead_letter, "payments-dlq");
    assert_eq!((&engine.topics.state, &engine.topics.outcomes), (&None, &None));
    assert_eq!(engine.group, "push-payments");
    assert_eq!(engine.guarantee, Guarantee::ExactlyOnce);
    assert_eq!((engine.concurrency, engine.order), (64, KeyOrdering::None));
    assert_eq!(engine.handler_timeout, Duration::from_secs(30));
    assert_eq!(engine.plan.attempts_max(), 4);
    assert_eq!(engine.plan.delay_after(1, 0.9), Some(Duration::from_secs(2)));
    assert!(!engine.creates_topics && !engine.exits_at_end && engine.dedupe.is_none());
    assert_eq!(settings.bodies.0, None);
    assert_eq!(settings.place.attempts_max, 4);
    let named = check(&["--topic", "t", "--to", TO, "--as", "raw", "--dlq-topic", "d"]).unwrap();
    assert_eq!((named.bodies.0, named.engine.topics.dead_letter), (Some(Form::Raw), "d".into()));
}

#[test]
fn a_setting_that_cannot_work_is_a_usage_error_that_names_it_and_no_secret() {
    let long = "x".repeat(250);
    for (arguments, named) in [
        (&["--to", TO][..], "--topic is missing"),
        (&["--topic", "", "--to", TO], "--topic is missing"),
        (&["--topic", "t"], "--to is missing"),
        (&["--topic", "t", "--to", ""], "--to is missing"),
        (&["--topic", "a b", "--to", TO], "--topic"),
        (&["--topic", &long[..244], "--to", TO], "--topic"),
        (&["--topic", "t", "--to", TO, "--dlq-topic", "t"], "two roles"),
        (&["--topic", "t", "--to", TO, "--group-id", ""], "--group-id"),
        (&["--topic", "t", "--to", TO, "--concurrency", "0"], "--concurrency"),
        (&["--topic", "t", "--to", TO, "--handler-timeout", "0s"], "--handler-timeout"),
        (&["--topic", "t", "--to", TO, "--token-file", "/hunter2"], "--token-file"),
        (&["--topic", "t", "--to", TO, "--ca", "/gone"], "--ca"),
        (&["--topic", "t", "--to", "http://me:hunter2@a"], "login"),
        (&["--topic", "t", "--to", "hunter2"], "--to"),
    ] {
        let error = check(arguments).expect_err(named);
        assert_eq!(error.status(), ExitStatus::Usage, "{arguments:?}");
        let told = error.render("push");
        assert!(told.contains(named) && !told.contains("hunter2"), "{told}");
    }
}

#[test]
fn no_text_of_the_flags_shows_the_address() {
    let flags = Flags::try_parse_from(["push", "--topic", "t", "--to", TO]).unwrap();
    assert!(!format!("{flags:?}").contains("hunter2"), "{flags:?}");
}

#[test]
fn the_settings_file_that_is_shipped_has_every_key_and_is_read() {
    let load = |file: &std::path::Path| {
        service_kit::settings::load("push", Some(file), Flags::default()).expect("it is right")
    };
    let flags = settings_file::shipped("push", load);
    assert_eq!(flags.topic.as_deref(), Some("payments"));
}
