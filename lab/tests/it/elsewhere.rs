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

pub(crate) const START_MAX: Duration = Duration::from_secs(60);

const WORKLOADS: &str = "name = 'elsewhere'\nwarm-up = '200ms'\n[[workload]]\nname = 'baseline'\nrate = 40\nfor = '1s'\n\
                         [[workload]]\nname = 'away'\nrate = 40\nfor = '1s'\ndown = 'inventory'\ndown-at = '0s'\n\
                         down-for = '500ms'\n";

/// Runs these workloads against these targets.
fn run(dir: &Path, targets: &str) -> Output {
    command(dir, targets).output().unwrap()
}

fn command(dir: &Path, targets: &str) -> Command {
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
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    command.args(flags).stdin(Stdio::null());
    command
}

/// A program of the workspace, beside the lab.
pub(crate) fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_lab")).with_file_name(name)
}

/// The address that a service's log names.
pub(crate) fn address_of(log: &Path, service: &str) -> String {
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
        "items = ['burger', 'fries']\n[sync-rest]\norder = ['http://{order}/']\nnotification = 'http://{notification}'\n\
         durability = ['our own three disks']\n"
    );
    let output = run(dir.path(), &targets);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let results = Results::read(&dir.path().join("results.json")).unwrap();
    let [calm, away, ..] = &results.runs[..] else { panic!("{stderr}") };
    // Nothing of the lab's own is claimed for them, and the command is the one that was given.
    assert_eq!(results.paradigms[0].durability, ["our own three disks"]);
    assert!(
        results.command.contains(" --targets ") && results.is_elsewhere(),
        "{}",
        results.command
    );
    let audit = calm.audit.unwrap();
    assert!(audit.planned > 20 && audit.done_once == audit.planned, "{audit:?}");
    assert_eq!((calm.paradigm, calm.cost), (Paradigm::SyncRest, None));
    assert!(away.not_possible.as_deref().is_some_and(|why| why.contains("elsewhere")), "{away:?}");
    assert!(services.ended().is_none(), "nobody may have ended them");
}

/// Longest time from ctrl-C to the end.
const STOP_MAX: Duration = Duration::from_secs(10);

#[test]
fn ctrl_c_ends_the_wait_for_a_broker_that_hangs() {
    // It takes connections, and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = TempDir::with_prefix("lab-stop-").unwrap();
    let url = dir.path().join("url");
    let address = silent.local_addr().unwrap();
    std::fs::write(&url, format!("amqp://guest:guest@{address}/%2f\n")).unwrap();
    let targets = format!(
        "items = ['burger']\n[rabbit]\norder = ['http://127.0.0.1:1']\nurl-file = '{}'\n",
        url.display()
    );
    let mut running = command(dir.path(), &targets).stderr(Stdio::piped()).spawn().unwrap();
    silent.set_nonblocking(true).unwrap();
    let deadline = Instant::now() + START_MAX;
    let _connection = loop {
        match silent.accept() {
            Ok(connection) => break connection,
            Err(_) if running.try_wait().unwrap().is_some() => {
                let output = running.wait_with_output().unwrap();
                panic!("it has ended: {}", String::from_utf8_lossy(&output.stderr));
            }
            Err(_) => assert!(Instant::now() < deadline, "it does not connect"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let begun = Instant::now();
    let pid = running.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let status = running.wait().unwrap();
    assert!(begun.elapsed() < STOP_MAX, "{:?}", begun.elapsed());
    assert_eq!(status.code(), Some(1), "nothing was made");
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
