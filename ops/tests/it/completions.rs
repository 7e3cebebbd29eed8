//! Completions as a shell asks for them, and manual pages.

use std::process::Command;
use std::time::{Duration, Instant};

use testkit::{Cluster, Process};

use crate::group::RUN_MAX;

/// A shell, how it is started without anybody's settings, and how it is asked what it offers at the end of a line.
struct Shell {
    name: &'static str,
    args: &'static [&'static str],
    script: &'static str,
}

const BASH: Shell = Shell {
    name: "bash",
    args: &["--norc"],
    script: r#"source <(orders completions bash)
        COMP_LINE="$1"; COMP_POINT=${#COMP_LINE}; read -ra COMP_WORDS <<< "${COMP_LINE//=/ = }"
        [[ $COMP_LINE == *" " ]] && COMP_WORDS+=(""); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _orders; printf '%s\n' "${COMPREPLY[@]}""#,
};

/// The parts of zsh's completion that need a terminal print what they are given.
const ZSH: Shell = Shell {
    name: "zsh",
    args: &["-f"],
    script: r#"compdef() { : }
        _describe() { print -rl -- "${(P@)2}" }
        _files() { : }
        source <(orders completions zsh)
        words=("${(@s: :)1}"); CURRENT=$#words; PREFIX=$words[CURRENT]; _orders"#,
};

const FISH: Shell = Shell {
    name: "fish",
    args: &["--no-config"],
    script: "orders completions fish | source; complete -C $argv[1]",
};

/// What a shell offers at the end of a line, with help.
fn told(shell: &Shell, line: &str) -> Vec<String> {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_orders"));
    let folder = program.parent().expect("a folder").to_string_lossy();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(shell.name);
    command.args(shell.args).args(["-c", shell.script]);
    // The others take the word behind the script for their own name.
    if shell.name != "fish" {
        command.arg(shell.name);
    }
    let output = command.arg(line).env("PATH", format!("{folder}:{path}")).output();
    let output = output.unwrap_or_else(|error| {
        panic!("{} cannot be started ({error}): scripts/setup.sh all installs it", shell.name)
    });
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// What bash offers.
fn offered(line: &str) -> Vec<String> {
    told(&BASH, line)
}

#[test]
fn zsh_and_fish_offer_the_same_words_each_with_its_help() {
    for (line, expected) in [
        ("orders dlq sta", "stats Dead letters by cause"),
        ("orders audit --output=jsonl", "--output=jsonl One JSON object per line"),
        ("orders completions z", "zsh Z shell"),
    ] {
        let (word, help) = expected.split_once(' ').expect("a word and its help");
        for (shell, between) in [(&ZSH, ':'), (&FISH, '\t')] {
            let all = told(shell, line);
            assert_eq!(all.len(), 1, "{}: {line}: {all:?}", shell.name);
            let start = format!("{word}{between}{help}");
            assert!(all[0].starts_with(&start), "{}: {all:?}", shell.name);
        }
    }
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
