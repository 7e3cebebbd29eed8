//! Completions as a shell asks for them, and manual pages.

use std::process::Command;
use std::time::{Duration, Instant};

use testkit::{Cluster, Process};

use crate::group::RUN_MAX;

/// What bash would offer at the end of a line.
fn offered(line: &str) -> Vec<String> {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_orders"));
    let folder = program.parent().expect("a folder").to_string_lossy();
    let script = r#"source <(orders completions bash)
        COMP_LINE="$1"; COMP_POINT=${#COMP_LINE}; read -ra COMP_WORDS <<< "${COMP_LINE//=/ = }"
        [[ $COMP_LINE == *" " ]] && COMP_WORDS+=(""); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _orders; printf '%s\n' "${COMPREPLY[@]}""#;
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("bash")
        .args(["--norc", "-c", script, "bash", line])
        .env("PATH", format!("{folder}:{path}"))
        .output()
        .expect("bash is there");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_completes_subcommands_flags_topics_and_groups_and_says_nothing_where_no_broker_is() {
    let pipeline = Cluster::shared().pipeline(1);
    crate::rig::Log::empty(pipeline.clone()).commit();
    let servers = &pipeline.servers.bootstrap_servers;
    assert_eq!(offered("orders dlq sta"), ["stats"]);
    assert_eq!(offered("orders audit --output=jsonl"), ["jsonl"]);
    let start = &pipeline.orders[..pipeline.orders.len() - 3];
    let topics = offered(&format!("orders audit -b {servers} --topic {start}"));
    assert!(topics.contains(&pipeline.orders), "{topics:?}");
    let groups = offered(&format!("orders replay -b {servers} --group {}", pipeline.group));
    assert_eq!(groups, [pipeline.group.as_str()]);
    let begun_at = Instant::now();
    assert_eq!(offered("orders audit -b 127.0.0.1:9 --topic "), Vec::<String>::new());
    assert!(begun_at.elapsed() < Duration::from_secs(8), "{:?}", begun_at.elapsed());
}

#[test]
fn each_shell_has_a_script_and_each_subcommand_a_manual_page() {
    let run = |args: &[&str]| Process::start("orders", args, &[]).wait(RUN_MAX);
    for (shell, text) in
        [("bash", "complete -o"), ("zsh", "#compdef orders"), ("fish", "complete -c")]
    {
        let script = run(&["completions", shell]);
        script.expect_code(0);
        assert!(script.stdout.contains(text), "{}", script.stdout);
    }
    for (args, text) in
        [(&["man"][..], "orders audit"), (&["man", "dlq", "redrive"], "fingerprint")]
    {
        let page = run(args);
        page.expect_code(0);
        assert!(page.stdout.contains(".TH") && page.stdout.contains(text), "{}", page.stdout);
    }
    let absent = run(&["man", "no-such"]);
    absent.expect_code(2);
    assert!(absent.stderr.contains("hint: "), "{}", absent.stderr);
}
