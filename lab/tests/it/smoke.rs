//! All three paradigms on real servers, for a few seconds.

use std::path::Path;
use std::process::{Command, Stdio};

use lab::results::{Results, Run};
use lab::workload::Paradigm;
use tempfile::TempDir;

fn of<'a>(results: &'a Results, workload: &str, paradigm: Paradigm) -> &'a Run {
    let found =
        results.runs.iter().find(|run| run.workload == workload && run.paradigm == paradigm);
    found.unwrap_or_else(|| panic!("{workload} {paradigm:?} was not run"))
}

#[test]
fn a_comparison_on_real_servers_accounts_for_every_order_and_shows_what_an_outage_does() {
    let dir = TempDir::with_prefix("lab-").unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/workloads/smoke.toml");
    let output = Command::new(env!("CARGO_BIN_EXE_lab"))
        .args([Path::new("run"), &file, Path::new("--out"), dir.path()])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let results = Results::read(&dir.path().join("results.json")).unwrap();
    assert!(results.is_complete, "{stderr}");
    for paradigm in Paradigm::ALL {
        let outage = of(&results, "inventory-away", paradigm);
        let audit = outage.audit.unwrap();
        assert!(audit.is_green(), "{paradigm:?}: {audit:?}");
        match paradigm {
            Paradigm::SyncRest => assert!(audit.failed + audit.unknown > 0, "{audit:?}"),
            _ => assert_eq!(audit.accepted, audit.planned, "{paradigm:?}: {audit:?}"),
        }
        assert_eq!(audit.done_once, audit.accepted, "{paradigm:?}: {audit:?}");
        assert!(
            audit.planned > 70 && outage.outcome.quantiles.count > 20,
            "{paradigm:?}: {audit:?}"
        );
        assert!(outage.accept.quantiles.p50_us <= outage.outcome.quantiles.p50_us, "{paradigm:?}");
        assert!(outage.cost.unwrap().services_peak_bytes > 1 << 20);
        assert!(outage.fault.as_ref().is_some_and(|fault| fault.to_s > fault.from_s));
        assert!(!outage.timeline.is_empty());
    }
    for name in ["report.html", "summary.md", "csv/audit.csv"] {
        assert!(dir.path().join(name).is_file(), "{name}");
    }
    assert!(!dir.path().join("work").exists(), "what was only needed meanwhile is gone");
}
