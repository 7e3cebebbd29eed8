//! Transactions that a broker leaves open for good.
//!
//! A coordinator that decides a transaction while a partition of it has no leader takes that
//! partition for deleted: it writes no marker there, then or later. A lone broker that was frozen
//! for longer than its session does so to itself, if the moment is right; here the moment is made.

use kafka_io::client_config::{KafkaSettings, Role as Client};
use kafka_io::writer::{Guarantee, Writer};
use testkit::proxy::{Api, Caught, Trap};
use testkit::{Cluster, Pipeline, Process, Role, machine, wait};

use super::brokers::coordinating_partition;
use super::{BATCH, LIMIT, Rig, audit, direct, send};

const TRANSACTIONS: &str = "org.apache.kafka.tools.TransactionsCommand";

const COORDINATORS: &str = "__transaction_state";

/// No coordinator gives a transaction up by itself: the test says when.
const PATIENT: &str = "transaction.abort.timed.out.transaction.cleanup.interval.ms=600000";

const NAME: [&str; 2] = ["--instance-id", "one"];

/// Takes the consumer's transactional id, as the next owner does: what is open is aborted.
fn take_id(pipeline: &Pipeline) {
    let settings = KafkaSettings::new("next", &pipeline.servers.bootstrap_servers, Vec::new());
    let config = settings.expect("brokers are named").base(Client::Producer);
    let id = format!("{}-{}-0", pipeline.group, NAME[1]);
    Writer::open(&config, Guarantee::ExactlyOnce, &id, LIMIT).expect("the coordinator answers");
}

/// The pipeline as one broker describes it, the first of three being 1.
fn as_known_to(pipeline: &Pipeline, broker: usize) -> Pipeline {
    let mut asked = pipeline.clone();
    let address = pipeline.servers.bootstrap_servers.split(',').nth(broker - 1);
    asked.servers.bootstrap_servers = address.expect("one of three").to_owned();
    asked
}

/// A consumer died with its commit on the way, and the commit is decided in this way while the
/// broker that alone holds the averages is away.
fn left_open(decide: impl FnOnce(&Pipeline, &Caught)) -> Rig {
    let (cluster, proxies) = Cluster::three_behind_proxies(&[PATIENT]);
    let pipeline = cluster.pipeline(1);
    let encoder = pipeline.orders_v1();
    let mut rig = Rig { cluster, proxies, pipeline, encoder, sent: 0 };
    take_id(&rig.pipeline); // from now on there are coordinators
    let partition = coordinating_partition(&rig.pipeline, NAME[1]);
    let coordinator = rig.pipeline.leader(COORDINATORS, partition).expect("all brokers are there");
    let alone = coordinator % 3 + 1;
    rig.pipeline.move_to(Role::Averages, &alone.to_string(), &[]);

    send(&rig.pipeline, &rig.encoder, 0..BATCH);
    let mut victim = rig.consumer(&NAME);
    victim.wait_ready(LIMIT);
    wait::is_true("everything being settled", LIMIT, || rig.pipeline.lag() == 0);
    let commit = rig.proxies[coordinator - 1].trap(Api::EndTxn, Trap::KeepSilent);
    send(&rig.pipeline, &rig.encoder, BATCH..2 * BATCH);
    commit.wait(LIMIT);
    victim.kill_9();
    rig.cluster.kafka().broker_mut(alone).kill_9();
    // The coordinator decides by what it knows itself.
    let asked = as_known_to(&rig.pipeline, coordinator);
    wait::is_true("no leader", LIMIT, || asked.leader(&asked.averages, 0).is_none());
    decide(&rig.pipeline, &commit);
    rig.cluster.kafka().broker_mut(alone).restart().expect("it starts again");
    rig
}

/// A consumer that cannot restore until the transaction is aborted with the commands that its
/// log and the runbook name.
fn wait_and_abort(pipeline: &Pipeline) -> Process {
    let mut consumer = direct(pipeline, &NAME);
    let line = consumer.wait_for_log("a transaction may have been left open", LIMIT);
    assert!(line.contains(&format!("of {}/0, which ends at", pipeline.averages)), "{line}");
    let readiness = consumer.get("/readyz");
    assert!(readiness.status == 503 && readiness.body.contains("restoring"), "{readiness:?}");
    let command = format!("describe-producers --topic {} --partition 0", pipeline.averages);
    wait::is_true("the command in /readyz", LIMIT, || {
        consumer.get("/readyz").body.contains(&command)
    });
    let start = start_of_the_open_transaction(pipeline, &line);
    let at = ["--topic", &pipeline.averages, "--partition", "0", "--start-offset", &start];
    pipeline.java(TRANSACTIONS, &[&["abort"], &at[..]].concat());
    consumer.wait_ready(LIMIT);
    consumer
}

/// Runs the command that a line of the log names.
fn start_of_the_open_transaction(pipeline: &Pipeline, line: &str) -> String {
    let start =
        format!("kafka-transactions --bootstrap-server {} ", pipeline.servers.bootstrap_servers);
    let (_, args) = line.split_once(&start).expect("a command");
    // The fields of the line are behind it.
    let args: Vec<&str> = args.split_whitespace().filter(|arg| !arg.contains('=')).collect();
    let output = pipeline.java(TRANSACTIONS, &args);
    let last_columns = output.lines().filter_map(|line| line.split_whitespace().last());
    let open: Vec<&str> = last_columns.filter(|start| start.parse::<i64>().is_ok()).collect();
    assert_eq!(open.len(), 1, "{output}");
    open[0].to_owned()
}

#[test]
fn a_transaction_that_a_broker_leaves_open_is_told_after_30_s_and_aborted_by_an_operator() {
    let _machine = machine::shared();
    let rig = left_open(|pipeline, _| take_id(pipeline));
    let consumer = wait_and_abort(&rig.pipeline);
    rig.finish(consumer);
}

/// Kafka has no command that commits one partition of a transaction.
#[test]
fn of_a_committed_transaction_that_a_broker_leaves_open_the_audit_tells_what_the_abort_loses() {
    let _machine = machine::shared();
    let rig = left_open(|_, commit| assert_eq!(commit.deliver().error_code(), 0));
    let pipeline = &rig.pipeline;
    assert_eq!(pipeline.committed(&pipeline.orders), [Some(i64::from(2 * BATCH))]);
    let consumer = wait_and_abort(pipeline);
    wait::is_true("everything being settled", LIMIT, || pipeline.lag() == 0);
    consumer.sigterm();
    consumer.wait(LIMIT).expect_code(0);
    let audited = audit(pipeline);
    audited.expect_code(4);
    for words in ["should be counted; the averages count", "the averages have"] {
        assert!(audited.stdout.contains(words), "{}", audited.stdout);
    }
}
