//! Tests of the allow-list, the credentials and the start probe.

use std::time::Duration;

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use super::*;

fn with(key: &str, value: &str) -> Result<KafkaSettings, ConfigError> {
    KafkaSettings::new("test", "localhost:9092", vec![(key.to_owned(), value.to_owned())])
}

#[test]
fn what_the_contract_names_is_allowed() {
    for (key, value) in [
        ("session.timeout.ms", "6000"),
        ("heartbeat.interval.ms", "500"),
        ("max.poll.interval.ms", "60000"),
        ("fetch.min.bytes", "1"),
        ("fetch.wait.max.ms", "100"),
        ("queued.min.messages", "1000"),
        ("queue.buffering.max.messages", "1000"),
        ("socket.timeout.ms", "5000"),
        ("socket.keepalive.enable", "true"),
        ("linger.ms", "1"),
        ("batch.size", "100000"),
        ("compression.type", "zstd"),
        ("ssl.ca.location", "/etc/ssl/ca.pem"),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("sasl.username", "me"),
        ("security.protocol", "sasl_ssl"),
        ("client.id", "me"),
        ("client.rack", "a"),
        ("broker.address.family", "v4"),
    ] {
        if let Err(error) = with(key, value) {
            panic!("{key}: {error}");
        }
    }
}

#[test]
fn what_would_end_a_guarantee_is_refused_with_its_reason() {
    for (key, reason) in [
        ("acks", "delivery depends on it"),
        ("enable.idempotence", "delivery depends on it"),
        ("isolation.level", "delivery depends on it"),
        ("enable.auto.commit", "delivery depends on it"),
        ("transactional.id", "delivery depends on it"),
        ("auto.offset.reset", "delivery depends on it"),
        ("group.id", "delivery depends on it"),
        ("partitioner", "delivery depends on it"),
        ("plugin.library.paths", "loads or runs code"),
        ("ssl.engine.location", "loads or runs code"),
        ("sasl.kerberos.kinit.cmd", "loads or runs code"),
        ("sasl.oauthbearer.config", "read files or fetch tokens"),
        ("sasl.password", "KAFKA_SASL_PASSWORD_FILE"),
        ("bootstrap.servers", "--bootstrap-server"),
        ("no.such.key", "not on the list"),
    ] {
        let text = with(key, "1").expect_err(key).to_string();
        assert!(text.contains(key) && text.contains(reason), "{text}");
        assert!(text.contains("session.timeout.ms, "), "the allowed keys are named: {text}");
    }
}

#[test]
fn a_refused_secret_is_not_repeated() {
    let text = with("sasl.password", "hunter2").unwrap_err().to_string();
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn librdkafka_checks_the_values() {
    for (key, value, part) in [
        ("linger.ms", "soon", "does not accept this value"),
        ("fetch.no.such", "1", "fetch.no.such is not allowed"),
    ] {
        let error = with(key, value).expect_err(key).to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn all_settings_that_are_wrong_are_named_at_once() {
    let extra = [("acks", "1"), ("linger.ms", "5"), ("sesion.timeout.ms", "9"), ("debug", "x")];
    let extra = extra.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    let error = KafkaSettings::new("test", "a:1", extra).unwrap_err().to_string();
    for part in ["-X acks is not", "did you mean session.timeout.ms?", "-X debug: "] {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(error.matches("allowed are").count(), 1, "{error}");
}

#[test]
fn each_role_gets_only_what_concerns_it() {
    let extra = [("linger.ms", "7"), ("session.timeout.ms", "9000"), ("client.id", "me")];
    let extra = extra.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    let settings = KafkaSettings::new("test", " a:1, ,b:2 ", extra).unwrap();
    let keys = |role| {
        let config = settings.base(role);
        ["linger.ms", "session.timeout.ms", "client.id"].map(|key| config.get(key).is_some())
    };
    assert_eq!(keys(Role::Producer), [true, false, true]);
    assert_eq!(keys(Role::Consumer), [false, true, true]);
    assert_eq!(keys(Role::Admin), [false, false, true]);
    let config = settings.base(Role::Admin);
    assert_eq!(config.get("bootstrap.servers"), Some("a:1,b:2"));
    assert_eq!(config.get("client.id"), Some("me"));
}

#[test]
fn a_lost_broker_is_tried_again_within_a_second_unless_the_user_says_otherwise() {
    let pause = |extra: &[(&str, &str)]| {
        let extra = extra.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let settings = KafkaSettings::new("test", "a:1", extra.collect()).unwrap();
        settings.base(Role::Producer).get("reconnect.backoff.max.ms").map(str::to_owned)
    };
    assert_eq!(pause(&[]).as_deref(), Some("1000"));
    assert_eq!(pause(&[("reconnect.backoff.ms", "5000")]), None);
    assert_eq!(pause(&[("reconnect.backoff.max.ms", "200")]).as_deref(), Some("200"));
}

#[test]
fn an_empty_list_of_brokers_is_an_error() {
    assert!(matches!(KafkaSettings::new("test", " , ", vec![]), Err(ConfigError::NoBroker)));
}

#[test]
fn secrets_come_from_the_environment_and_stay_out_of_logs() {
    let settings = KafkaSettings::new("test", "a:1", vec![]).unwrap();
    let settings = settings
        .read_credentials(|name| {
            let is_secret = SECRET_VARIABLES.iter().any(|(variable, _)| *variable == name);
            is_secret.then(|| format!("hunter2-{name}"))
        })
        .unwrap();
    let config = settings.base(Role::Consumer);
    for (variable, key) in SECRET_VARIABLES {
        assert_eq!(config.get(key), Some(format!("hunter2-{variable}").as_str()));
    }
    assert!(!format!("{settings:?}").contains("hunter2"));
    let written = KafkaSettings::new("test", "a:1", vec![("client.id".into(), "hunter2".into())]);
    assert!(!format!("{written:?}").contains("hunter2"));
    assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
}

#[test]
fn each_secret_comes_from_a_variable_or_a_file_but_not_from_both() {
    let path = std::env::temp_dir().join(format!("kafka-secret-{}", std::process::id()));
    std::fs::write(&path, "from file\nsecond line\n").unwrap();
    let file = path.display().to_string();
    let plain = KafkaSettings::new("test", "a:1", vec![]).unwrap();
    for (name, key) in SECRET_VARIABLES {
        let file_variable = format!("{name}_FILE");
        let variable = |asked: &str| (asked == file_variable).then(|| file.clone());
        let read = plain.clone().read_credentials(variable).unwrap();
        assert_eq!(read.base(Role::Admin).get(key), Some("from file"));
        let both = |asked: &str| variable(asked).or((asked == name).then(|| "x".to_owned()));
        let error = plain.clone().read_credentials(both).unwrap_err();
        assert!(matches!(error, ConfigError::TwoSecrets { variable } if variable == name));
    }
    std::fs::write(&path, "\nnot this\n").unwrap();
    let variable = |name: &str| (name == "KAFKA_SASL_PASSWORD_FILE").then(|| file.clone());
    let empty = plain.clone().read_credentials(variable).unwrap_err().to_string();
    assert!(empty.contains("first line is empty") && !empty.contains("not this"), "{empty}");
    std::fs::remove_file(&path).unwrap();
    let missing = plain.read_credentials(variable).unwrap_err().to_string();
    assert!(missing.contains("KAFKA_SASL_PASSWORD_FILE cannot be used"), "{missing}");
    assert!(missing.contains("No such file"), "{missing}");
}

#[test]
fn a_secret_in_the_place_of_its_file_is_not_repeated() {
    for (name, _) in SECRET_VARIABLES {
        for secret in ["hunter2", "/hunter2", "/tmp/hunter2", "hunter2\n", "a/hunter2=="] {
            let variable = |asked: &str| (asked == format!("{name}_FILE")).then(|| secret.into());
            let plain = KafkaSettings::new("test", "a:1", vec![]).unwrap();
            let error = plain.read_credentials(variable).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }
}

#[test]
fn a_broker_that_refuses_is_named_with_its_reason() {
    // Port 1 is reserved and closed.
    let settings = KafkaSettings::new("test", "127.0.0.1:1", vec![]).unwrap();
    let limit = Duration::from_millis(700);
    let error = probe_brokers(&settings.base(Role::Admin), limit).unwrap_err();
    assert_eq!(error.addresses, "127.0.0.1:1");
    assert!(error.detail.contains("refused"), "{error}");
    assert_eq!((error.reason, error.hint()), (AwayReason::Silent, None));
}

#[test]
fn a_certificate_that_cannot_be_read_is_blamed_on_the_settings() {
    let extra = [("security.protocol", "SSL"), ("ssl.ca.location", "/no/such/ca.pem")];
    let extra = extra.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    let settings = KafkaSettings::new("test", "127.0.0.1:1", extra).unwrap();
    let error = probe_brokers(&settings.base(Role::Admin), Duration::from_secs(1)).unwrap_err();
    assert_eq!(error.reason, AwayReason::Settings, "{error}");
    assert!(error.to_string().contains("ssl.ca.location"), "{error}");
}

#[test]
fn a_broker_that_answers_passes_the_probe() {
    let cluster = MockCluster::<DefaultProducerContext>::new(1).unwrap();
    let settings = KafkaSettings::new("test", &cluster.bootstrap_servers(), vec![]).unwrap();
    probe_brokers(&settings.base(Role::Producer), Duration::from_secs(10)).unwrap();
}
