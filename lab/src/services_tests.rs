use super::*;

/// Services whose program says nothing, and never ends by itself.
fn silent(dir: &std::path::Path) -> Services {
    use std::os::unix::fs::PermissionsExt as _;
    let program = dir.join("sync-rest");
    std::fs::write(&program, "#!/bin/sh\necho started\nexec sleep 600\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let around = Surroundings {
        dir: dir.to_owned(),
        logs: dir.join("logs"),
        stop: Shutdown::new(),
        programs: Programs::in_dir(dir),
        rabbit_urls: vec![String::new()],
        bootstrap_servers: String::new(),
        registry_url: String::new(),
        prefix: String::new(),
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    Services {
        paradigm: Paradigm::SyncRest,
        around,
        extra: Vec::new(),
        of_inventory: Vec::new(),
        running: Vec::new(),
        down: BTreeMap::new(),
        starts: BTreeMap::new(),
        are_up: false,
        processes: Processes::default(),
        http: reqwest::Client::new(),
        runtime: runtime.handle().clone(),
    }
}

#[test]
fn a_stop_ends_the_wait_for_a_service_that_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut services = silent(dir.path());
    services.spawn("inventory", Service::Inventory).unwrap();
    let (stop, begun) = (services.around.stop.clone(), Instant::now());
    let asking = std::thread::spawn(move || stop.request());
    assert_eq!(services.find(&[Service::Inventory]), Err(STOPPED.to_owned()));
    drop(services);
    assert!(begun.elapsed() < START_MAX / 3, "{:?}", begun.elapsed());
    asking.join().unwrap();
}

#[test]
fn what_a_service_has_printed_stays_when_it_is_started_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut services = silent(dir.path());
    services.spawn("inventory", Service::Inventory).unwrap();
    let log = |name: &str| std::fs::read_to_string(dir.path().join("logs").join(name));
    let wait_for = |name: &str| {
        let deadline = Instant::now() + START_MAX;
        while !log(name).is_ok_and(|text| text == "started\n") {
            assert!(Instant::now() < deadline, "{name}");
            std::thread::sleep(LOOK_EVERY);
        }
    };
    wait_for("inventory.log");
    services.end(Service::Inventory, true);
    services.start_again(Service::Inventory).unwrap();
    wait_for("inventory-again-2.log");
    assert_eq!(log("inventory.log").unwrap(), "started\n");
}

#[test]
fn only_inventory_fails_on_request() {
    let dir = tempfile::tempdir().unwrap();
    let workload = Workload {
        simulate_failures: 0.01,
        ..Workload::plain("fails", 10.0, Duration::from_secs(1))
    };
    let mut services = silent(dir.path());
    services.of_inventory = failures_of(&workload);
    for service in Service::ALL {
        let args = services.args_of(service.name(), service, "127.0.0.1:1").join(" ");
        let fails = args.contains("--simulate-failures 0.01");
        assert_eq!(fails, service == Service::Inventory, "{args}");
    }
}

#[test]
fn an_address_is_read_from_the_line_of_its_service() {
    let log = "2026 INFO x listening on http://127.0.0.1:1 service=\"metrics\"\n\
               2026 INFO x listening on http://127.0.0.1:2 service=\"order\"\n";
    assert_eq!(listening_at(log, "order").as_deref(), Some("127.0.0.1:2"));
    assert_eq!(listening_at(log, "inventory"), None);
}
