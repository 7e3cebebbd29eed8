//! The Locust files, run without a browser against the three order APIs and the weather API, with Locust from PyPI.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use stack::process::Launch;
use stack::{OwnedProcess, RedisConfig, RedisServer};
use tempfile::TempDir;

use crate::elsewhere::{START_MAX, address_of, program};

/// Locust was late itself: on a busy machine that is as right an answer as another one.
const BOTTLENECK_EXIT: i32 = 4;
const LASTS: &str = "3s";
const ORDERS_PER_S: u64 = 25;
/// Time that inventory takes for an order over HTTP.
const SLOW_MS: f64 = 500.0;
/// Orders that must have been sent in that time, by whatever chance.
const ORDERS_MIN: u64 = 15;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// All services of a flow, on ports of their own, with names of their own on the servers of the stack.
fn start(flow: &str, dir: &Path) -> (OwnedProcess, String) {
    let name = format!("locust-{}", std::process::id());
    let menu = root().join("config/menu.toml").display().to_string();
    let data = dir.join(flow).display().to_string();
    let mut args: Vec<String> =
        ["all", "--data-dir", &data, "--menu", &menu].map(String::from).into();
    let mut add = |flag: &str, value: &str| args.extend([flag.to_owned(), value.to_owned()]);
    for service in ["order", "inventory", "notification"] {
        add(&format!("--{service}-listen"), "127.0.0.1:0");
    }
    match flow {
        "rabbit" => add("--prefix", &name),
        "streaming" => {
            add("--analytics-listen", "127.0.0.1:0");
            for part in ["order", "inventory", "notification"] {
                add(&format!("--{part}-topic"), &format!("{name}-{part}"));
            }
            for part in ["inventory", "analytics", "notification"] {
                add(&format!("--{part}-group"), &format!("{name}-{part}"));
            }
            args.push("--create-topics".to_owned());
        }
        // Slow answers: what is sent meanwhile shows that nobody waits for them.
        _ => add("--inventory-delay", &format!("{SLOW_MS}ms")),
    }
    let log = dir.join(format!("{flow}.log"));
    let services = OwnedProcess::start(&Launch::new(program(flow), args, dir), &log, None).unwrap();
    let base = format!("http://{}", address_of(&log, "order"));
    let (http, runtime) = (reqwest::Client::new(), tokio::runtime::Runtime::new().unwrap());
    let deadline = Instant::now() + START_MAX;
    while !runtime.block_on(lab::flow::is_ready(&http, &base)) {
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        assert!(Instant::now() < deadline, "{flow} is not ready: {log}");
        std::thread::sleep(Duration::from_millis(50));
    }
    (services, base)
}

/// Runs Locust: its exit code, its results, and what else it said.
fn locust(file: &str, args: &[&str], env: &[(&str, String)]) -> (Option<i32>, String, String) {
    let output = Command::new(root().join("deploy/locust/run"))
        .args([file, "--headless", "--run-time", LASTS, "--json"])
        .args(args)
        .envs(env.iter().map(|(name, value)| (*name, value)))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// All services of the weather system in one process, with stores of their own.
fn start_weather(dir: &Path) -> (OwnedProcess, [RedisServer; 2], [String; 2]) {
    let stores =
        [RedisConfig::in_dir(dir.join("redis")), RedisConfig::valkey_in_dir(dir.join("valkey"))]
            .map(|config| RedisServer::start(config).unwrap());
    let name = format!("locust-weather-{}", std::process::id());
    let (redis, valkey) = (stores[0].url(), stores[1].url());
    let mut args = vec!["all", "--topic", &name, "--queue", &name, "--group-id", &name];
    args.extend(["--redis-url", &redis, "--valkey-url", &valkey]);
    for flag in ["--api-listen", "--publisher-listen", "--grpc-listen", "--metrics-addr"] {
        args.extend([flag, "127.0.0.1:0"]);
    }
    let log = dir.join("weather.log");
    let launch = Launch::new(program("weather"), args, dir);
    let services = OwnedProcess::start(&launch, &log, None).unwrap();
    let fronts = ["api", "publisher"].map(|service| address_of(&log, service));
    (services, stores, fronts)
}

#[test]
fn locust_sends_the_reports_of_people_who_wait_to_each_weather_api_in_turn() {
    let dir = TempDir::with_prefix("lab-locust-weather-").unwrap();
    let (_services, _stores, fronts) = start_weather(dir.path());
    let hosts = fronts.each_ref().map(|front| format!("http://{front}"));
    let env = [("HOSTS", hosts.join(",")), ("PAUSE_S", "0,0.05".to_owned())];
    let (code, text, stderr) = locust("weather.py", &["--users", "4", "--spawn-rate", "4"], &env);
    assert_eq!(code, Some(0), "{stderr}");
    let lines: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let reports = lines.iter().find(|line| line["name"] == "/weather").unwrap();
    assert_eq!(reports["num_failures"], 0, "{text}");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for (front, host) in ["api", "publisher"].into_iter().zip(&hosts) {
        let metrics = runtime.block_on(async {
            reqwest::get(format!("{host}/metrics")).await.unwrap().text().await.unwrap()
        });
        let sample = format!("weather_reports_total{{front=\"{front}\",result=\"published\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&*sample));
        assert!(line.is_some_and(|count| count != "0"), "{front} was not asked: {metrics}");
    }
}

#[test]
fn locust_sends_orders_at_planned_times_to_each_of_the_three_apis() {
    let dir = TempDir::with_prefix("lab-locust-").unwrap();
    for (flow, file) in
        [("sync-rest", "sync_rest.py"), ("rabbit", "rabbit.py"), ("streaming", "streaming.py")]
    {
        let (_services, base) = start(flow, dir.path());
        let rate = ("ORDERS_PER_S", ORDERS_PER_S.to_string());
        let (code, text, stderr) = locust(file, &["--host", &base], &[rate]);
        assert!(code == Some(0) || code == Some(BOTTLENECK_EXIT), "{flow} {code:?}: {stderr}");
        assert_eq!(code == Some(0), !stderr.contains("was the bottleneck"), "{flow}: {stderr}");
        let lines: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        let of = |name: &str| lines.iter().find(|line| line["name"] == name).unwrap().clone();
        let (orders, delays) = (of("/order"), of("send delay"));
        let count = |line: &serde_json::Value, field: &str| line[field].as_u64().unwrap();
        assert_eq!(count(&orders, "num_failures"), 0, "{flow}: {text}");
        assert!(count(&orders, "num_requests") >= ORDERS_MIN, "{flow}: {text}");
        assert!(count(&delays, "num_requests") >= count(&orders, "num_requests"), "{flow}: {text}");
        if flow == "sync-rest" {
            // One user that waited for its answers would have sent six in that time.
            let least = orders["min_response_time"].as_f64().unwrap();
            assert!(least >= SLOW_MS, "{text}");
        }
    }
}
