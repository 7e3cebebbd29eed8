use super::*;

const SMALL: &str =
    "name = \"small\"\n[[workload]]\nname = \"baseline\"\nrate = 10\nfor = \"2s\"\n";

fn problem(text: &str) -> String {
    WorkloadFile::parse(text).expect_err("it is wrong")
}

#[test]
fn a_small_file_has_defaults_for_the_rest() {
    let file = WorkloadFile::parse(SMALL).unwrap();
    assert_eq!((file.seed, file.kafka_brokers, file.rabbitmq_nodes), (42, 1, 1));
    assert_eq!(file.paradigms, Paradigm::ALL);
    let workload = &file.workloads[0];
    assert_eq!((workload.rounds, workload.arrivals), (1, Arrivals::Poisson));
    let segment = Segment { rate_per_s: 10.0, length: Duration::from_secs(2) };
    assert_eq!(workload.segments(10.0), [segment]);
}

#[test]
fn a_key_that_nobody_knows_is_refused_with_its_line() {
    assert!(problem("name = \"x\"\nsede = 1\n").starts_with("line 2: unknown field `sede`"));
    let of_workload = problem(&format!("{SMALL}rat = 1\n"));
    assert!(of_workload.contains("unknown field `rat`"), "{of_workload}");
}

#[test]
fn what_cannot_be_run_is_refused_with_its_workload() {
    for (lines, words) in [
        ("rate = 10", "needs 'for'"),
        ("for = '2s'", "needs 'rate'"),
        ("rate = 0\nfor = '2s'", "a rate is 0"),
        ("rate = 90000\nfor = '2s'", "at most 20000"),
        ("rate = 20000\nfor = '1m'", "more than 200000 orders"),
        ("rate = 20000\nfor = '9s'", "its warm-up included"),
        ("rate = 1\nfor = '2s'\npoison = 1.5", "poison is 1.5"),
        ("rate = 1\nfor = '2s'\npoison = 0.5\nbroker-restart-at = '1s'", "do not go together"),
        ("rate = 1\nfor = '2s'\nrounds = 0", "rounds is 0"),
        ("rate = 1\nfor = '2s'\norder-replicas = 9", "order-replicas is 9"),
        ("rate = 1\nfor = '2s'\nburst-factor = 10", "go together"),
        (
            "rate = 1\nfor = '2s'\nburst-factor = 2\nburst-at = '1s'\nburst-for = '2s'",
            "ends within",
        ),
        ("rate = 1\nfor = '2s'\ndown = 'inventory'", "give down, down-at"),
        ("rate = 1\nfor = '2s'\nbroker-restart-at = '3s'", "ends within 'for'"),
        ("kind = 'sweep'\nrates = [1]\nfor = '2s'", "two or more"),
        ("kind = 'backlog'\nrate = 10", "both need it"),
        ("kind = 'batch'\norders = 10\nrate = 1", "has no 'rate'"),
        ("kind = 'replay'\nfor = '2s'", "has no 'for'"),
        ("for = '2s'\nrate = 1\nrate-of = { rabbit = 1 }", "in the place of 'rate'"),
        ("for = '2s'\nrate-of = { rabbit = 0 }", "a rate is 0"),
        ("for = '2s'\nrate-of = {}", "names no paradigm"),
        ("rate = 1\nfor = '2s'\nsimulate-failures = 2", "simulate-failures is 2"),
    ] {
        let text = format!("name = 'x'\n[[workload]]\nname = 'a'\n{lines}\n");
        let found = problem(&text);
        assert!(found.starts_with("workload a: ") && found.contains(words), "{lines}: {found}");
    }
    assert!(problem(&SMALL.replace("baseline", "Base line")).contains("lower-case"));
    let second = "[[workload]]\nname = \"baseline\"\nrate = 1\nfor = \"1s\"\n";
    assert!(problem(&format!("{SMALL}{second}")).contains("two workloads"));
    assert!(problem("name = 'x'").contains("no [[workload]]"));
    assert!(problem(&format!("kafka-brokers = 2\n{SMALL}")).contains("give 1 or 3"));
    assert!(problem(&format!("rabbitmq-nodes = 2\n{SMALL}")).contains("give 1 or 3"));
}

#[test]
fn paradigms_may_have_rates_of_their_own() {
    let text = "name = 'x'\n[[workload]]\nname = 'a'\nfor = '2s'\n\
                rate-of = { sync-rest = 30, rabbit = 10, streaming = 30 }\n";
    let file = WorkloadFile::parse(text).unwrap();
    let workload = &file.workloads[0];
    assert_eq!(workload.rates_per_s, [10.0, 30.0]);
    let met = |rate| Paradigm::ALL.map(|paradigm| workload.meets(rate, paradigm));
    assert_eq!((met(0), met(1)), ([false, true, false], [true, false, true]));
    let small = WorkloadFile::parse(SMALL).unwrap();
    assert!(Paradigm::ALL.iter().all(|paradigm| small.workloads[0].meets(0, *paradigm)));
}

#[test]
fn a_burst_is_three_parts_with_the_same_rate_around_it() {
    let lines = "burst-factor = 10\nburst-at = \"1s\"\nburst-for = \"500ms\"\n";
    let file = WorkloadFile::parse(&format!("{SMALL}{lines}")).unwrap();
    let parts: Vec<(f64, u128)> = file.workloads[0]
        .segments(10.0)
        .iter()
        .map(|part| (part.rate_per_s, part.length.as_millis()))
        .collect();
    assert_eq!(parts, [(10.0, 1_000), (100.0, 500), (10.0, 500)]);
}

#[test]
fn every_file_that_the_project_brings_can_be_run() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/workloads");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        WorkloadFile::read(&entry.unwrap().path()).unwrap();
        seen += 1;
    }
    assert!(seen >= 3, "{seen} files");
}
