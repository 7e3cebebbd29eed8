//! Services that the lab has not started.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use kafka_io::mock::MockKafka;
use lab::results::Results;
use lab::workload::Paradigm;
use stack::OwnedProcess;
use stack::process::Launch;
use tempfile::TempDir;

const START_MAX: Duration = Duration::from_secs(60);

const WORKLOADS: &str = "name = 'elsewhere'\nwarm-up = '200ms'\n[[workload]]\nname = 'baseline'\nrate = 40\nfor = '1s'\n\
                         [[workload]]\nname = 'away'\nrate = 40\nfor = '1s'\ndown = 'inventory'\ndown-at = '0s'\n\
                         down-for = '500ms'\n";

/// Runs these workloads against these targets.
fn run(dir: &Path, targets: &str) -> Output {
    let write = |name: &str, text: &str| {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (file, targets) = (write("workloads.toml", WORKLOADS), write("targets.toml", targets));
    let flags: [&Path; 7] = [
        "run".as_ref(),
        &file,
        "--targets".as_ref(),
        &targets,
        "--out".as_ref(),
        dir,
        "--seed=3".as_ref(),
    ];
    Command::new(env!("CARGO_BIN_EXE_lab")).args(flags).stdin(Stdio::null()).output().unwrap()
}

/// A program of the workspace, beside the lab.
fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_lab")).with_file_name(name)
}

/// The address that a service's log names.
fn address_of(log: &Path, service: &str) -> String {
    let deadline = Instant::now() + START_MAX;
    loop {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let name = format!("service=\"{service}\"");
        let line = text.lines().find(|line| line.contains("listening on") && line.contains(&name));
        if let Some(address) = line.and_then(|line| line.split("http://").nth(1)?.split(' ').next())
        {
            return address.to_owned();
        }
        assert!(Instant::now() < deadline, "{service} does not listen: {text}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn services_that_run_elsewhere_are_driven_and_audited_and_nothing_of_them_is_broken() {
    let dir = TempDir::with_prefix("lab-elsewhere-").unwrap();
    let any = "127.0.0.1:0";
    let data = dir.path().join("data").display().to_string();
    let args = ["all", "--data-dir", &data, "--order-listen", any, "--inventory-listen", any];
    let args = [&args[..], &["--notification-listen", any]].concat();
    let log = dir.path().join("sync-rest.log");
    let launch = Launch::new(program("sync-rest"), args, dir.path());
    let mut services = OwnedProcess::start(&launch, &log, None).unwrap();
    let (order, notification) = (address_of(&log, "order"), address_of(&log, "notification"));
    let targets = format!(
        "items = ['burger', 'fries']\n[sync-rest]\norder = ['http://{order}/']\nnotification = 'http://{notification}'\n"
    );
    let output = run(dir.path(), &targets);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let results = Results::read(&dir.path().join("results.json")).unwrap();
    let [calm, away] = &results.runs[..] else { panic!("{stderr}") };
    let audit = calm.audit.unwrap();
    assert!(audit.planned > 20 && audit.done_once == audit.planned, "{audit:?}");
    assert_eq!((calm.paradigm, calm.cost), (Paradigm::SyncRest, None));
    assert!(away.not_possible.as_deref().is_some_and(|why| why.contains("elsewhere")), "{away:?}");
    assert!(services.ended().is_none(), "nobody may have ended them");
}

#[test]
fn a_cluster_that_only_pretends_is_refused_before_anything_is_run() {
    let mock = MockKafka::start(1).unwrap();
    let dir = TempDir::with_prefix("lab-mock-").unwrap();
    let targets = format!(
        "items = ['burger']\n[streaming]\norder = ['http://127.0.0.1:1']\nbootstrap-servers = '{}'\n",
        mock.bootstrap_servers()
    );
    let output = run(dir.path(), &targets);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("was a mock"), "{stderr}");
    assert!(!dir.path().join("results.json").exists());
}
