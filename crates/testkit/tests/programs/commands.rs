//! Every command of every program, as the programs' own help tells: none can be left out.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use crate::run::{PROGRAMS, run};

/// A command that does something by itself, and has no subcommands.
pub(crate) struct Known {
    pub(crate) program: &'static str,
    /// What comes before its flags: subcommands, and the arguments that it cannot do without.
    pub(crate) before: Vec<&'static str>,
    pub(crate) help: String,
}

/// What stands for an argument that a command cannot do without, by its name in the usage.
const ARGUMENTS: [(&str, &str); 11] = [
    ("FILE", "order.avsc"),
    ("NAME", "kafka"),
    ("NEW", "new.json"),
    ("OLD", "old.json"),
    ("PARTITION:OFFSET", "0:0"),
    ("POINT", "earliest"),
    ("RESULTS", "results.json"),
    ("SERVICE", "all"),
    ("SHELL", "bash"),
    ("SUBJECT", "orders-value"),
    ("TOOL", "kafka-topics"),
];

static KNOWN: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let (mut left, mut found) = (PROGRAMS.map(|program| (program, Vec::new())).to_vec(), vec![]);
    while let Some((program, path)) = left.pop() {
        let help = run(program, &[&path[..], &["--help"]].concat(), &[]).stdout;
        let below = subcommands(&help);
        if below.is_empty() {
            let before = [&path[..], &arguments(program, &help)].concat();
            found.push(Known { program, before, help });
        }
        left.extend(below.into_iter().map(|name| {
            let name: &'static str = name.leak();
            (program, [&path[..], &[name]].concat())
        }));
    }
    found
});

/// Every command of every program.
pub(crate) fn commands() -> &'static [Known] {
    &KNOWN
}

/// Names of the subcommands that a help text lists.
pub(crate) fn subcommands(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| !line.trim().starts_with("Commands:")).skip(1);
    let lines = lines.take_while(|line| !line.trim().is_empty());
    let is_a_name = |line: &&str| line.starts_with("  ") && !line[2..].starts_with(' ');
    let names = lines.filter(is_a_name).filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// Arguments without which a command ends with its usage (`--to <POINT>`, `<FILE>`), and those that it may want
/// instead of a flag (`[FILE]`).
fn arguments(program: &str, help: &str) -> Vec<&'static str> {
    let usage = help.lines().find(|line| line.starts_with("Usage:")).unwrap_or_default();
    let known = |name: &str| ARGUMENTS.iter().find(|(known, _)| *known == name);
    let argument = |word: &str| -> Option<&'static str> {
        if word.starts_with("--") {
            return Some(word.to_owned().leak());
        }
        let word = word.trim_end_matches('.');
        if let Some(name) = word.strip_prefix('[').and_then(|word| word.strip_suffix(']')) {
            return known(name).map(|(_, value)| *value);
        }
        let name = word.strip_prefix('<')?.strip_suffix('>')?;
        let (_, value) = known(name).unwrap_or_else(|| panic!("{program}: what is a {name}?"));
        Some(value)
    };
    usage.split_whitespace().filter_map(argument).collect()
}

/// Topics that a help text names as defaults of its flags.
fn topics_of(help: &str) -> BTreeSet<String> {
    let mut topics = BTreeSet::new();
    let mut lines = help.lines().peekable();
    while let Some(line) = lines.next() {
        if !line.trim_start().starts_with('-') || !line.ends_with(" <TOPIC>") {
            continue;
        }
        let mut told = String::new();
        while let Some(words) = lines.next_if(|next| !next.trim_start().starts_with('-')) {
            told.push_str(words.trim());
            told.push(' ');
        }
        let default = told.split("[default: ").nth(1).and_then(|after| after.split(']').next());
        let is_name = |name: &&str| !name.contains(' ') && *name != "none";
        topics.extend(default.map(str::trim).filter(is_name).map(str::to_owned));
    }
    topics
}

/// Examples of a help text, without what follows a pipe or a comment; those of other programs are left out.
fn examples<'a>(program: &str, help: &'a str) -> Vec<Vec<&'a str>> {
    let start = format!("  {program} ");
    let after = help.split("Examples:").nth(1).unwrap_or_default();
    let lines = after.lines().filter(|line| line.starts_with(&start));
    let ends = |word: &&str| !matches!(*word, "|" | ">" | ">>" | "#" | "\\" | "&&" | ";");
    lines.map(|line| line.split_whitespace().skip(1).take_while(ends).collect()).collect()
}

/// Whether a help text has a flag by this name, as one of its own or as another name of one.
fn has_flag(help: &str, flag: &str) -> bool {
    let is_it = |word: &str| word.trim_matches([',', '[', ']']) == flag;
    help.lines().any(|line| line.split_whitespace().any(is_it))
}

#[test]
fn every_topic_that_the_pipeline_names_by_itself_is_declared() {
    let mut named = BTreeSet::new();
    // The topics of `streaming` are its own to make.
    let of_pipeline = ["producer", "consumer", "orders"];
    for known in commands().iter().filter(|known| of_pipeline.contains(&known.program)) {
        named.extend(topics_of(&known.help));
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/topics.toml");
    let text = std::fs::read_to_string(file).expect("the file stands");
    let names = text.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    let declared: BTreeSet<String> =
        names.filter(|name| !name.starts_with("ecommerce.")).map(str::to_owned).collect();
    assert!(named.len() >= 6, "{named:?}");
    assert_eq!(named, declared, "what programs name, and what config/topics.toml declares");
}

#[test]
fn every_command_of_orders_is_known_and_its_examples_are_of_flags_that_it_has() {
    let named = |path: &[&str]| {
        commands().iter().find(|known| known.program == "orders" && known.before.starts_with(path))
    };
    for path in [
        &["audit"][..],
        &["averages"],
        &["completions"],
        &["dlq", "discard"],
        &["ecommerce"],
        &["lag", "check"],
        &["man"],
        &["monitor"],
        &["replay", "--to", "earliest"],
        &["schema", "diff"],
        &["topics", "apply"],
    ] {
        assert!(named(path).is_some(), "{path:?}");
    }
    let mut flags_seen = 0;
    for Known { program, before, help } in commands() {
        for example in examples(program, help) {
            let path: Vec<&str> =
                example.iter().take_while(|word| before.contains(*word)).copied().collect();
            let is_of_it = before.starts_with(&path) && !path.is_empty() || before.is_empty();
            for word in example.iter().filter(|word| word.starts_with('-') && is_of_it) {
                let flag = word.split('=').next().unwrap_or_default();
                let is_number = flag[1..].starts_with(|c: char| c.is_ascii_digit());
                if flag == "-" || flag == "--" || is_number {
                    continue;
                }
                flags_seen += 1;
                assert!(has_flag(help, flag), "{program} {before:?}: {flag} of {example:?}");
            }
        }
    }
    assert!(flags_seen > 40, "{flags_seen} flags in examples");
}
