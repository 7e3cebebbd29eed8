//! Tests of flags and settings: defaults, contradictions, checks.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use orders::PriceFormat;

use super::*;
use crate::import::{InputFormat, PriceRules};

fn load(args: &[&str]) -> Result<Settings, AppError> {
    let flags = Flags::try_parse_from([&["producer"], args].concat());
    Settings::load(flags.expect("clap takes the test's flags"))
}

/// The message of a usage error.
fn refused(args: &[&str]) -> String {
    let error = load(args).expect_err("must be refused");
    assert_eq!(error.status().code(), 2, "{error}");
    error.message().to_owned()
}

#[test]
fn flags_are_consistent() {
    use clap::CommandFactory as _;
    Flags::command().debug_assert();
}

#[test]
fn every_flag_has_an_environment_name() {
    use clap::CommandFactory as _;
    for argument in Flags::command().get_arguments() {
        let id = argument.get_id().as_str();
        assert!(argument.get_env().is_some() || id == "help" || id == "version", "{id}");
    }
}

#[test]
fn defaults_are_those_of_the_contract() {
    let settings = load(&[]).unwrap();
    // Not from `load`: the environment of the tests names real servers.
    assert_eq!(KafkaArgs::default().bootstrap_servers(), "localhost:9092");
    assert_eq!(RegistryArgs::default().url(), "http://localhost:8081");
    assert_eq!(settings.send.topic, "orders");
    assert_eq!(settings.send.key, Key::Product);
    assert_eq!(settings.send.count_max, Some(20));
    assert_eq!(settings.send.speed, Speed::from("2s".parse::<DurationArg>().unwrap()));
    assert_eq!(settings.send.delivery_timeout, Duration::from_secs(300));
    assert_eq!(settings.metrics, Some(Listen::Default(([127, 0, 0, 1], 9465).into())));
    assert_eq!(settings.schema_version, OrderVersion::V1);
}

#[test]
fn an_import_takes_everything_at_full_speed() {
    let settings = load(&["--input", "sales.csv"]).unwrap();
    assert_eq!((settings.send.count_max, settings.send.speed), (None, Speed::Unlimited));
    let settings = load(&["--input", "sales.csv", "--count", "5", "--rate", "9/s"]).unwrap();
    assert_eq!(settings.send.count_max, Some(5));
    assert_eq!(settings.send.speed, Speed::Paced("9/s".parse().unwrap()));
}

#[test]
fn a_count_of_zero_goes_on_until_stopped() {
    assert_eq!(load(&["--count", "0"]).unwrap().send.count_max, None);
}

#[test]
fn a_metrics_address_that_was_asked_for_is_explicit() {
    let settings = load(&["--metrics-addr", "127.0.0.1:0"]).unwrap();
    assert_eq!(settings.metrics, Some(Listen::Explicit(([127, 0, 0, 1], 0).into())));
    assert_eq!(load(&["--metrics-addr", "off"]).unwrap().metrics, None);
}

#[test]
fn a_run_without_a_seed_gets_one_of_its_own() {
    let seed = || match load(&[]).unwrap().origin {
        Origin::Generated(settings) => settings.seed,
        Origin::Imported { .. } => panic!("nothing is imported"),
    };
    assert_ne!(seed(), seed());
}

#[test]
fn the_form_of_an_input_follows_from_its_name_or_the_flag() {
    let format = |args: &[&str]| match load(args).unwrap().origin {
        Origin::Imported { settings, .. } => settings.format,
        Origin::Generated(_) => panic!("something is imported"),
    };
    assert_eq!(format(&["--input", "a.CSV"]), InputFormat::Csv);
    assert_eq!(format(&["--input", "a.jsonl"]), InputFormat::Jsonl);
    assert_eq!(format(&["--input", "-", "--input-format", "jsonl"]), InputFormat::Jsonl);
    assert_eq!(format(&["--input", "a.TAB"]), InputFormat::Csv);
    assert!(refused(&["--input", "-"]).contains("cannot be told from its name"));
    assert!(refused(&["--input", "a.json"]).contains("cannot be told from its name"));
    for (name, what) in [("a.xlsx", "an Excel workbook"), ("a.csv.gz", "a gzip file")] {
        assert!(refused(&["--input", name]).contains(what), "{name}");
    }
}

#[test]
fn contradictions_are_refused() {
    assert!(refused(&["--interval", "1s", "--rate", "1/s"]).contains("--rate"));
    assert!(refused(&["--input", "a.csv", "--seed", "1"]).contains("--seed"));
    for flag in ["--rejects=r.csv", "--price-format=comma", "--strict-prices", "--skip-rows=1"] {
        assert!(refused(&[flag]).contains("needs --input"), "{flag}");
    }
}

#[test]
fn values_out_of_range_are_refused() {
    assert!(refused(&["--negative-rate", "1.5"]).contains("--negative-rate"));
    assert!(refused(&["--malformed-rate", "-0.1"]).contains("--malformed-rate"));
    assert!(refused(&["--topic", "a b"]).contains("'a b'"));
    assert!(refused(&["--input", "a.csv", "--delimiter", "::"]).contains("--delimiter"));
    assert!(refused(&["--input", "a.csv", "--map", "name=x"]).contains("'name'"));
    assert!(refused(&["-X", "acks=0"]).contains("delivery depends on it"));
    assert!(refused(&["--delivery-timeout", "0"]).contains("more than zero"));
    // An address is not repeated: it may hold a password.
    let refused = refused(&["--schema-registry-url", "nonsense"]);
    assert!(
        refused.contains("neither http nor https") && !refused.contains("nonsense"),
        "{refused}"
    );
}

#[test]
fn the_file_of_rejects_must_not_be_the_input() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.csv");
    std::fs::write(&path, "orderId,product,price\n").unwrap();
    let path = path.to_str().unwrap();
    assert!(refused(&["--input", path, "--rejects", path]).contains("the input file itself"));
}

#[test]
fn an_import_is_told_how_prices_are_written_and_where_it_goes_on() {
    let settings =
        |args: &[&str]| match load(&[&["--input", "a.csv"], args].concat()).unwrap().origin {
            Origin::Imported { settings, .. } => settings,
            Origin::Generated(_) => panic!("something is imported"),
        };
    assert_eq!(settings(&[]).prices, PriceRules::default());
    assert_eq!((settings(&[]).delimiter, settings(&[]).skip_rows), (None, 0));
    let args = ["--price-format", "comma", "--strict-prices", "--skip-rows", "7"];
    let expected = PriceRules { format: PriceFormat::Comma, is_strict: true };
    assert_eq!((settings(&args).prices, settings(&args).skip_rows), (expected, 7));
    assert_eq!(settings(&["--delimiter", "\\t"]).delimiter, Some(b'\t'));
}

#[test]
fn a_flag_for_the_rate_outranks_the_interval_of_the_file() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"interval = \"5s\"\n[map]\norderId = \"Invoice\"\n").unwrap();
    let path = file.path().to_str().unwrap();
    let settings = load(&["--config", path, "--rate", "7/s", "--input", "a.csv"]).unwrap();
    assert_eq!(settings.send.speed, Speed::Paced("7/s".parse().unwrap()));
}

#[test]
fn the_file_that_is_shipped_can_be_read() {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/producer.toml");
    let text = std::fs::read_to_string(shipped).unwrap();
    // Every key is there, commented out: with the comments taken off, all of them must be known.
    let uncommented: String = text
        .lines()
        .filter_map(|line| line.strip_prefix("#: "))
        .map(|line| format!("{line}\n"))
        .collect();
    let mut file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    file.write_all(uncommented.as_bytes()).unwrap();
    let flags: Flags = settings::load(PROGRAM, Some(file.path()), Flags::default()).unwrap();
    assert_eq!(flags.topic.as_deref(), Some("orders"));
    assert_eq!(
        serde_json::to_value(&flags)
            .unwrap()
            .as_object()
            .unwrap()
            .values()
            .filter(|value| value.is_null())
            .count(),
        0,
        "a key is missing in {shipped}"
    );
    settings::load(PROGRAM, Some(Path::new(shipped)), Flags::default()).unwrap();
}
