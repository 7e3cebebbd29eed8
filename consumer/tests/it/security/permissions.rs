//! The permissions of docs/security.md suffice, and each is needed: a run without it ends with an
//! error, or goes on with a warning where the document says so, that names it.

use std::path::Path;
use std::thread;
use std::time::Duration;

use kafka_io::client_config::{KafkaSettings, Role};
use kafka_io::ends::{Ends, GroupOffsets};
use kafka_io::member::AskError;
use kafka_io::reader::{Polled, Reader};
use pipeline::record::CommitPosition;
use testkit::security::{Grant, SecureKafka, revoke};
use testkit::{Finished, Pipeline, Process, machine, wait};

use super::{LIMIT, assert_refused, broker, mutual, over, start};

/// Runs at the same time.
const RUNS_MAX: usize = 2;

/// docs/security.md, "producer".
pub(super) fn producer_grants(pipeline: &Pipeline) -> Vec<Grant> {
    vec![Grant::topic("Write", &pipeline.orders)]
}

/// docs/security.md, "consumer".
pub(super) fn consumer_grants(pipeline: &Pipeline) -> Vec<Grant> {
    let Pipeline { orders, retry, dlq, averages, outcomes, group, .. } = pipeline;
    vec![
        Grant::topic("Read", orders),
        Grant::topic("DescribeConfigs", orders),
        Grant::topic("Read", retry),
        Grant::topic("Write", retry),
        Grant::topic("DescribeConfigs", retry),
        Grant::topic("Delete", retry),
        Grant::topic("Write", dlq),
        Grant::topic("DescribeConfigs", dlq),
        Grant::topic("Read", averages),
        Grant::topic("Write", averages),
        Grant::topic("DescribeConfigs", averages),
        Grant::topic("Write", outcomes),
        Grant::topic("DescribeConfigs", outcomes),
        Grant::group("Read", group),
        Grant::transactional_ids("Write", &format!("{group}-")),
    ]
}

/// docs/security.md, "orders audit": it reads, and belongs to no group.
fn audit_grants(pipeline: &Pipeline) -> Vec<Grant> {
    let Pipeline { orders, retry, dlq, averages, outcomes, group, .. } = pipeline;
    let topics = [orders, retry, dlq, averages, outcomes];
    let read = topics.map(|name| Grant::topic("Read", name));
    read.into_iter().chain([Grant::group("Describe", group)]).collect()
}

/// docs/security.md, "--create-topics".
fn create_grants(pipeline: &Pipeline) -> Vec<Grant> {
    let Pipeline { orders, retry, dlq, averages, outcomes, .. } = pipeline;
    [orders, retry, dlq, averages, outcomes].map(|name| Grant::topic("Create", name)).to_vec()
}

fn is_trimming(grant: &Grant) -> bool {
    grant.operation == "Delete"
}

/// What an error says about a permission; ids are named in full, not by their prefix.
fn words(grant: &Grant) -> String {
    let Grant { operation, kind, name, .. } = grant;
    format!("{operation} on {kind} '{name}")
}

/// A client certificate's name, and with what it runs.
struct Client<'a> {
    broker: &'a SecureKafka,
    pipeline: &'a Pipeline,
    name: String,
}

impl<'a> Client<'a> {
    /// A client with these permissions and no others.
    fn new(
        broker: &'a SecureKafka,
        pipeline: &'a Pipeline,
        name: &str,
        grants: impl IntoIterator<Item = Grant>,
    ) -> Self {
        let name = format!("{}-{name}", pipeline.prefix);
        let grants: Vec<(String, Grant)> =
            grants.into_iter().map(|grant| (format!("User:CN={name}"), grant)).collect();
        broker.grant(&grants);
        Self { broker, pipeline, name }
    }

    /// Runs `orders audit` with the outcome log.
    fn audit(&self) -> Finished {
        let pipeline = over(self.pipeline, self.broker.listener("MUTUAL"));
        let variables = mutual(self.broker, &self.broker.client(&self.name));
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Process::start("orders", &pipeline.audit_args(true), &variables).wait(LIMIT)
    }

    fn start(&self, program: &str, args: &[&str]) -> Process {
        let pipeline = over(self.pipeline, self.broker.listener("MUTUAL"));
        let variables = mutual(self.broker, &self.broker.client(&self.name));
        start(program, &pipeline, &variables, args)
    }
}

/// The grants of one program in the table of the document, sorted: resource and operations.
fn documented(program: &str) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/security.md"))
        .expect("the document");
    let row = format!("| `{program}` | ");
    let rows = text.lines().filter_map(|line| line.strip_prefix(&row));
    let mut found: Vec<_> = rows
        .flat_map(|row| {
            let mut cells = row.split(" | ");
            let resource = cells.next().unwrap_or_default().replace('`', "");
            let operations = cells.next().unwrap_or_default().replace('`', "");
            let operations: Vec<String> = operations.split(", ").map(str::to_owned).collect();
            operations.into_iter().map(move |operation| (resource.clone(), operation))
        })
        .collect();
    found.sort();
    found
}

#[test]
fn the_document_lists_exactly_the_permissions_that_are_tested() {
    let mut names = testkit::Cluster::shared().names(1);
    for (name, documented) in [
        (&mut names.orders, "orders"),
        (&mut names.retry, "orders-retry"),
        (&mut names.dlq, "orders-dlq"),
        (&mut names.averages, "orders-averages"),
        (&mut names.outcomes, "orders-outcomes"),
        (&mut names.group, "order-consumer"),
    ] {
        documented.clone_into(name);
    }
    let tested = |grants: Vec<Grant>| {
        let resource = |grant: &Grant| match grant.kind {
            "transactional id" => format!("transactional ids from {}", grant.name),
            kind => format!("{kind} {}", grant.name),
        };
        let mut tested: Vec<(String, String)> =
            grants.iter().map(|grant| (resource(grant), grant.operation.to_owned())).collect();
        tested.sort();
        tested
    };
    assert_eq!(documented("producer"), tested(producer_grants(&names)));
    assert_eq!(documented("consumer"), tested(consumer_grants(&names)));
    assert_eq!(documented("orders audit"), tested(audit_grants(&names)));
}

/// Flags with which the consumer uses every permission: retries, dead letters, outcomes.
const FLAGS: [&str; 10] = [
    "--simulate-failures",
    "0.5",
    "--max-retries",
    "1",
    "--retry-delay",
    "100ms",
    "--trim-retry",
    "200ms",
    "-o",
    "json",
];

fn finishing<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&FLAGS[..], &["--exit-at-end"], more].concat()
}

#[test]
fn the_documented_permissions_suffice() {
    let _machine = machine::shared();
    let broker = broker();
    let pipeline = broker.pipeline(2);
    let maker = Client::new(&broker, &pipeline, "maker", producer_grants(&pipeline));
    let args = ["--count", "60", "--interval", "0ms", "--quiet", "--seed", "7"];
    maker.start("producer", &args).wait(LIMIT).expect_code(0);

    let full = Client::new(&broker, &pipeline, "full", consumer_grants(&pipeline));
    let flags = [&FLAGS[..], &["--instance-id", "one"]].concat();
    let consumer = full.start("consumer", &flags);
    wait::is_true("settled retries being deleted", LIMIT, || {
        pipeline.starts(&pipeline.retry).into_iter().sum::<i64>() > 0
    });
    consumer.sigterm();
    let stopped = consumer.wait(LIMIT);
    stopped.expect_code(0);
    assert!(!stopped.stderr.contains("missing"), "{}", stopped.stderr);

    let finished = full.start("consumer", &finishing(&[])).wait(LIMIT);
    finished.expect_code(0);
    assert_eq!(pipeline.lag(), 0);
    assert!(pipeline.ends(&pipeline.dlq).into_iter().sum::<i64>() > 0, "some are dead letters");

    // Without trimming, and without transactions.
    maker.start("producer", &args).wait(LIMIT).expect_code(0);
    let fewer = consumer_grants(&pipeline).into_iter().filter(|g| !is_trimming(g));
    let fewer = fewer.filter(|grant| grant.kind != "transactional id");
    let fewer = Client::new(&broker, &pipeline, "fewer", fewer);
    let mut flags = finishing(&["--guarantee", "at-least-once"]);
    let trim = flags.iter().position(|flag| *flag == "200ms").expect("it is there");
    flags[trim] = "0";
    let finished = fewer.start("consumer", &flags).wait(LIMIT);
    finished.expect_code(0);
    assert!(!finished.stderr.contains("missing"), "{}", finished.stderr);
    assert_eq!(finished.stats()["consumed"], 60);
}

/// Everything that is read without belonging to the group: ends, committed offsets, records.
fn read_all(client: &Client<'_>) -> Result<(), String> {
    const ASK: Duration = Duration::from_secs(4);
    let Client { broker, pipeline, name } = client;
    let identity = broker.client(name);
    let path = |path: &Path| path.display().to_string();
    let settings = [
        ("security.protocol", "SSL".to_owned()),
        ("ssl.ca.location", broker.authority().location().to_owned()),
        ("ssl.certificate.location", path(&identity.certificate)),
        ("ssl.key.location", path(&identity.key)),
    ];
    let settings = settings.map(|(key, value)| (key.to_owned(), value)).to_vec();
    let config = KafkaSettings::new("audit", &broker.listener("MUTUAL"), settings)
        .expect("they are allowed")
        .base(Role::Consumer);
    let text = |error: AskError| error.to_string();
    let ends = Ends::new(&config).expect("settings are good");
    let group = GroupOffsets::new(&config, &pipeline.group).expect("settings are good");
    group.committed(&[(&pipeline.orders, 0), (&pipeline.retry, 0)], ASK).map_err(text)?;
    for role in testkit::Role::ALL {
        let topic = pipeline.topic(role);
        let (start, end) = ends.bounds(topic, 0, ASK).map_err(text)?;
        assert!(end > start, "{topic} is empty: nothing is shown");
        let reader = Reader::new(&config, "audit").expect("settings are good");
        reader.start(topic, 0, CommitPosition(start)).expect("it is not read yet");
        wait::until("a record or a refusal", ASK, || match reader.poll(ASK) {
            Polled::Record(_) => Some(Ok(())),
            Polled::Denied(text) => Some(Err(text)),
            _ => None,
        })?;
    }
    Ok(())
}

#[test]
fn what_an_audit_reads_needs_its_permissions_and_no_others() {
    let _machine = machine::shared();
    let broker = broker();
    let pipeline = broker.pipeline(1);
    let orders = pipeline.orders_v1();
    let order = |n: usize| orders.input(0, &format!("o-{n}"), "p", 1.0);
    pipeline.send(&pipeline.orders, &(0..30).map(order).collect::<Vec<_>>());
    Process::consumer(&pipeline, &finishing(&[])).wait(LIMIT).expect_code(0);
    let all = audit_grants(&pipeline);
    let auditor = Client::new(&broker, &pipeline, "auditor", all.clone());
    auditor.audit().expect_code(0);
    // What was trimmed is written again, so that there is something to read.
    pipeline.send(&pipeline.retry, &[testkit::Input::new(0, None, Some(b"left"))]);
    read_all(&auditor).expect("they suffice");
    let without = |missing: &Grant| {
        let others = all.iter().filter(|grant| *grant != missing).cloned();
        let name = format!("auditor-{}-{}", missing.kind, missing.name);
        let client = Client::new(&broker, &pipeline, &name, others);
        let audited = client.audit();
        assert_eq!(audited.code, Some(1), "{missing:?}: {}", audited.stderr);
        assert!(audited.stderr.contains(&missing.name), "{missing:?}: {}", audited.stderr);
        let refused = read_all(&client);
        let text = refused.expect_err("each is needed");
        // Read implies Describe, which the offsets need first.
        let described = words(&Grant::topic("Describe", &missing.name));
        let is_named = text.contains(&words(missing)) || text.contains(&described);
        assert!(is_named, "{missing:?}: {text}");
    };
    // Side by side: each waits for most of its time.
    thread::scope(|scope| {
        for missing in &all {
            scope.spawn(|| without(missing));
        }
    });
}

#[test]
fn without_any_one_of_them_a_run_fails_and_names_it() {
    let _machine = machine::shared();
    let broker = broker();
    let pipeline = broker.pipeline(1);
    let maker = Client::new(&broker, &pipeline, "nobody", []);
    let finished = maker.start("producer", &["--count", "1", "--interval", "0ms"]).wait(LIMIT);
    assert_refused("producer", &finished, 1, &[&words(&producer_grants(&pipeline)[0])]);

    let all = consumer_grants(&pipeline);
    let others = all.iter().filter(|grant| grant.operation != "DescribeConfigs").cloned();
    let blind = Client::new(&broker, &pipeline, "blind", others);
    let finished = blind.start("consumer", &finishing(&[])).wait(LIMIT);
    let lacks: Vec<String> =
        all.iter().filter(|grant| grant.operation == "DescribeConfigs").map(words).collect();
    let lacks: Vec<&str> = lacks.iter().map(String::as_str).collect();
    assert_refused("the settings of no topic", &finished, 1, &lacks);
    assert!(finished.stderr.contains("kafka-acls"), "{}", finished.stderr);

    let mut indices: Vec<usize> = (0..all.len()).collect();
    while !indices.is_empty() {
        let some: Vec<usize> = indices.drain(..indices.len().min(RUNS_MAX)).collect();
        let running: Vec<Process> = some
            .iter()
            .map(|missing| {
                let others = all.iter().enumerate().filter(|(index, _)| index != missing);
                let others = others.map(|(_, grant)| grant.clone());
                let client = Client::new(&broker, &pipeline, &format!("no-{missing}"), others);
                client.start("consumer", &finishing(&[]))
            })
            .collect();
        for (missing, process) in some.into_iter().zip(running) {
            let grant = &all[missing];
            let finished = process.wait(LIMIT);
            if is_trimming(grant) {
                assert_only_warned(grant, &finished);
            } else {
                assert_refused(&format!("{grant:?}"), &finished, 1, &[&words(grant)]);
                let is_alone = !finished.stderr.contains("these permissions are missing");
                assert!(is_alone, "{grant:?}: {}", finished.stderr);
            }
        }
    }
}

#[test]
fn a_permission_that_is_taken_away_from_a_running_consumer_ends_it_and_is_named() {
    let _machine = machine::shared();
    let broker = broker();
    let revoked = |grant: &Grant| match grant.kind {
        "topic" => ["Read", "Write"].contains(&grant.operation) && !grant.name.contains("averages"),
        _ => true,
    };
    let count = consumer_grants(&broker.names(1)).iter().filter(|grant| revoked(grant)).count();
    assert_eq!(count, 7);
    let pipelines: Vec<Pipeline> = (0..count).map(|_| broker.pipeline(1)).collect();
    let send = |pipeline: &Pipeline, from: usize| {
        let orders = pipeline.orders_v1();
        let order = |n: usize| orders.input(0, &format!("o-{n}"), "p", 1.0);
        pipeline.send(&pipeline.orders, &(from..from + 20).map(order).collect::<Vec<_>>());
    };
    let running: Vec<(&Pipeline, Grant, String, Process)> = pipelines
        .iter()
        .enumerate()
        .map(|(index, pipeline)| {
            let all = consumer_grants(pipeline);
            let client = Client::new(&broker, pipeline, "revoked", all.clone());
            let consumer = client.start("consumer", &FLAGS);
            send(pipeline, 0);
            let grant = all.into_iter().filter(|grant| revoked(grant)).nth(index);
            (pipeline, grant.expect("counted"), client.name, consumer)
        })
        .collect();
    for (pipeline, grant, name, _) in &running {
        wait::is_true("the first orders being settled", LIMIT, || pipeline.lag() == 0);
        revoke(&broker.plain(), &format!("User:CN={name}"), grant);
        send(pipeline, 20);
    }
    for (_, grant, _, consumer) in running {
        let finished = consumer.wait(LIMIT);
        finished.expect_code(1);
        let error = finished.stderr.lines().find(|line| line.contains(": error: "));
        let is_named = error.is_some_and(|line| line.contains(&words(&grant)));
        assert!(is_named, "{grant:?}: {}", finished.stderr);
    }
}

/// Without Delete everything works, but settled retries stay.
fn assert_only_warned(grant: &Grant, finished: &Finished) {
    finished.expect_code(0);
    let mut warnings = finished.stderr.lines().filter(|line| line.contains("WARN"));
    assert!(warnings.any(|line| line.contains(&words(grant))), "{}", finished.stderr);
}

#[test]
fn topics_are_made_with_the_permission_to_create_them_and_not_without() {
    let _machine = machine::shared();
    let broker = broker();
    let make = |name: &str, create: Vec<Grant>, pipeline: &Pipeline| {
        let grants = consumer_grants(pipeline).into_iter().chain(create);
        let client = Client::new(&broker, pipeline, name, grants);
        client.start("consumer", &finishing(&["--create-topics"])).wait(LIMIT)
    };
    for index in 0..create_grants(&broker.names(1)).len() {
        let pipeline = broker.names(1);
        let mut create = create_grants(&pipeline);
        let missing = create.remove(index);
        let finished = make("creator", create, &pipeline);
        assert_refused(&format!("{missing:?}"), &finished, 1, &[&words(&missing)]);
    }
    let pipeline = broker.names(1);
    make("topics", create_grants(&pipeline), &pipeline).expect_code(0);
    let pipeline = broker.names(1);
    make("cluster", vec![Grant::cluster("Create")], &pipeline).expect_code(0);
}
