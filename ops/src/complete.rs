//! What may stand at the end of a command line: subcommands, flags, their values, topics and groups.
//!
//! A shell hands over the line up to the cursor, and gets one candidate a line, with its help behind a tab.
//! Whatever fails, there are just no candidates.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValue;
use clap::{Arg, Command, Parser, ValueEnum};
use kafka_io::admin::Admin;
use kafka_io::client_config::Role;
use service_kit::args::KafkaArgs;
use service_kit::settings;

use crate::audit::{self, Settings};

/// Longest time that brokers are asked for names.
const ASK_MAX: Duration = Duration::from_secs(1);

/// Shells that are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// GNU Bash.
    Bash,
    /// Z shell.
    Zsh,
    /// Friendly interactive shell.
    Fish,
}

impl Shell {
    /// What the shell reads to complete this program's lines.
    pub(crate) const fn script(self) -> &'static str {
        match self {
            Self::Bash => include_str!("complete/orders.bash"),
            Self::Zsh => include_str!("complete/orders.zsh"),
            Self::Fish => include_str!("complete/orders.fish"),
        }
    }
}

/// A word that may stand there, and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Candidate {
    word: String,
    help: String,
}

/// Names that only brokers know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    Topics,
    Groups,
}

/// Candidates for the last word of a line, one a line.
pub(crate) fn lines(root: &Command, line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().skip(1).collect();
    let is_begun = !line.ends_with(char::is_whitespace);
    let (before, word) = match words.split_last() {
        Some((last, before)) if is_begun => (before, *last),
        _ => (&words[..], ""),
    };
    let found = candidates(root, before, word, |names| ask(names, before).unwrap_or_default());
    let line = |one: &Candidate| match one.help.is_empty() {
        true => format!("{}\n", one.word),
        false => format!("{}\t{}\n", one.word, one.help),
    };
    found.iter().map(line).collect()
}

fn candidates(
    root: &Command,
    before: &[&str],
    word: &str,
    ask: impl FnOnce(Names) -> Vec<String>,
) -> Vec<Candidate> {
    let mut root = root.clone();
    root.build();
    let (mut command, mut pending, mut position) = (&root, None, 0);
    for word in before {
        if pending.take().is_some() {
            continue; // the value of a flag
        }
        if let Some(arg) = flag(command, word) {
            pending = Some(arg).filter(|arg| wants_value(arg));
        } else if let Some(found) = command.find_subcommand(word) {
            (command, position) = (found, 0);
        } else if !word.starts_with('-') {
            position += 1;
        }
    }
    let mut found = match (pending, word.split_once('=')) {
        (Some(arg), _) => values(arg, ask),
        (None, Some((name, _))) if name.starts_with("--") => {
            let all = flag(command, name).map(|arg| values(arg, ask)).unwrap_or_default();
            let whole = |one: Candidate| Candidate { word: format!("{name}={}", one.word), ..one };
            all.into_iter().map(whole).collect()
        }
        (None, _) if word.starts_with('-') => flags(command),
        (None, _) => {
            let positional = command.get_positionals().nth(position);
            let mut all = subcommands(command);
            all.extend(positional.map(|arg| values(arg, ask)).unwrap_or_default());
            all
        }
    };
    found.retain(|one| one.word.starts_with(word));
    found
}

/// The flag that a word names; none where its value stands in the same word.
fn flag<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    let long = word.strip_prefix("--").filter(|name| !name.is_empty());
    let mut letters = word.strip_prefix('-').unwrap_or_default().chars();
    let short = letters.next().filter(|_| long.is_none() && letters.next().is_none());
    command.get_arguments().find(|arg| {
        let names = arg.get_long_and_visible_aliases().unwrap_or_default();
        long.is_some_and(|long| names.contains(&long))
            || short.is_some_and(|short| {
                arg.get_short_and_visible_aliases().unwrap_or_default().contains(&short)
            })
    })
}

fn wants_value(arg: &Arg) -> bool {
    arg.get_action().takes_values() && !arg.is_require_equals_set()
}

fn flags(command: &Command) -> Vec<Candidate> {
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    shown
        .filter_map(|arg| {
            let help = arg.get_help().map(ToString::to_string);
            Some(Candidate { word: format!("--{}", arg.get_long()?), help: in_short(help) })
        })
        .collect()
}

fn subcommands(command: &Command) -> Vec<Candidate> {
    let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    shown
        .map(|sub| Candidate {
            word: sub.get_name().to_owned(),
            help: in_short(sub.get_about().map(ToString::to_string)),
        })
        .collect()
}

fn values(arg: &Arg, ask: impl FnOnce(Names) -> Vec<String>) -> Vec<Candidate> {
    let listed = arg.get_possible_values();
    if !listed.is_empty() {
        let shown = listed.iter().filter(|value| !value.is_hide_set());
        let candidate = |value: &PossibleValue| Candidate {
            word: value.get_name().to_owned(),
            help: in_short(value.get_help().map(ToString::to_string)),
        };
        return shown.map(candidate).collect();
    }
    let names = match arg.get_id().as_str() {
        "group_id" => Names::Groups,
        id if id == "topic" || id.ends_with("_topic") => Names::Topics,
        _ => return Vec::new(),
    };
    ask(names).into_iter().map(|word| Candidate { word, help: String::new() }).collect()
}

/// The first line of a help.
fn in_short(help: Option<String>) -> String {
    help.unwrap_or_default().lines().next().unwrap_or_default().replace('\t', " ")
}

/// The flags of a line that say where brokers are.
#[derive(Parser)]
struct Where {
    #[command(flatten)]
    kafka: KafkaArgs,
    #[arg(long, env = "ORDERS_CONFIG")]
    config: Option<PathBuf>,
}

/// Flags of [`Where`], as they may be written.
const WHERE: [&str; 6] = ["-b", "--bootstrap-server", "--brokers", "-X", "--property", "--config"];

fn connection_flags<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let mut flags = vec!["orders"];
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let name = word.split_once('=').map_or(*word, |(name, _)| name);
        if !WHERE.contains(&name) {
            continue;
        }
        flags.push(word);
        if name == *word {
            flags.extend(words.next());
        }
    }
    flags
}

/// Asks the brokers; nothing where anything fails.
fn ask(names: Names, words: &[&str]) -> Option<Vec<String>> {
    let Where { kafka, config } = Where::try_parse_from(connection_flags(words)).ok()?;
    let flags = audit::Flags { kafka, ..audit::Flags::default() };
    let mut flags = settings::load("orders", config.as_deref(), flags).ok()?;
    (flags.order, flags.dedupe) = (None, None);
    let admin = Admin::new(&Settings::check(&flags).ok()?.kafka.base(Role::Admin)).ok()?;
    match names {
        Names::Topics => admin.topic_names(ASK_MAX).ok(),
        Names::Groups => admin.group_names(ASK_MAX).ok(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::Cli;

    fn words(before: &[&str], word: &str) -> Vec<String> {
        let named = |names| match names {
            Names::Topics => vec!["orders".to_owned(), "orders-dlq".to_owned()],
            Names::Groups => vec!["order-consumer".to_owned()],
        };
        let found = candidates(&Cli::command(), before, word, named);
        found.into_iter().map(|one| one.word).collect()
    }

    #[test]
    fn subcommands_flags_values_topics_and_groups_are_completed() {
        assert_eq!(words(&[], "au"), ["audit"]);
        assert_eq!(words(&["dlq"], "re"), ["redrive"]);
        assert_eq!(words(&["completions"], ""), ["bash", "zsh", "fish"]);
        assert_eq!(words(&["audit"], "--group"), ["--group-id"]);
        assert_eq!(words(&["audit", "-o"], ""), ["table", "json", "jsonl"]);
        assert_eq!(words(&["audit"], "--output=js"), ["--output=json", "--output=jsonl"]);
        assert_eq!(words(&["audit", "--group-id"], ""), ["order-consumer"]);
        assert_eq!(words(&["replay", "--group"], "order"), ["order-consumer"]);
        assert_eq!(words(&["audit", "--topic", "x", "--dlq-topic"], "orders-"), ["orders-dlq"]);
        assert_eq!(words(&["dlq", "list", "-t"], ""), ["orders", "orders-dlq"]);
        assert_eq!(words(&["audit", "--dedupe"], ""), Vec::<String>::new());
        assert_eq!(words(&["no-such-thing"], "--x"), Vec::<String>::new());
    }

    #[test]
    fn what_is_hidden_is_not_offered() {
        assert!(!words(&[], "").iter().any(|word| word.starts_with('_')));
        assert!(words(&[], "").contains(&"help".to_owned()));
    }

    #[test]
    fn help_stands_behind_a_tab_and_the_first_word_is_the_program() {
        let found = lines(&Cli::command(), "target/debug/orders dlq sho");
        assert_eq!(found.split('\t').next(), Some("show"), "{found}");
        assert_eq!(found.lines().count(), 1, "{found}");
    }

    #[test]
    fn brokers_are_those_of_the_line() {
        let line = ["audit", "-b", "a:1", "--topic", "x", "--brokers=b:2", "-X", "k=v", "--dedupe"];
        let expected = ["orders", "-b", "a:1", "--brokers=b:2", "-X", "k=v"];
        assert_eq!(connection_flags(&line), expected);
        assert_eq!(connection_flags(&["-b"]), ["orders", "-b"], "its value is missing");
    }
}
