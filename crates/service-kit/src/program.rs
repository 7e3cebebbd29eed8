//! The way into every program: its version, its flags, its environment, its exit code.
//!
//! ```no_run
//! use service_kit::exit::ExitStatus;
//! use service_kit::program::Program;
//!
//! #[derive(clap::Parser)]
//! #[command(name = "echo")]
//! struct Flags {}
//!
//! fn main() -> std::process::ExitCode {
//!     Program::new("echo", "0123456789ab").run(|_program, _flags: Flags| Ok(ExitStatus::Done))
//! }
//! ```

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::iter;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, Parser};

use crate::environment;
use crate::exit::{AppError, run_main};
use crate::output::note;
use crate::settings::nearest;
use crate::telemetry::colors_wanted;

/// Stands for what was written where that may be a secret.
const NOT_SHOWN: &str = "(not shown: it may be a secret)";

/// Begins the variables of flags that several programs share.
const OF_THE_PROGRAM: &str = "PROGRAM_";

/// What a program says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// Version of the workspace.
    pub version: &'static str,
    /// Commit that it was built from, or `unknown`.
    pub commit: &'static str,
}

impl Program {
    /// Returns the program of this name, built from this commit.
    #[must_use]
    pub const fn new(name: &'static str, commit: &'static str) -> Self {
        Self { name, version: env!("CARGO_PKG_VERSION"), commit }
    }

    /// Reads flags and environment and runs the program. Wrong ones end it with code 2; nothing
    /// that may be a secret is repeated.
    pub fn run<C: Parser, S: Into<ExitCode>>(
        self,
        run: impl FnOnce(&Self, C) -> Result<S, AppError>,
    ) -> ExitCode {
        let flags = match self.parse::<C>(std::env::args_os()) {
            Ok(flags) => flags,
            Err(error) => {
                print(&error);
                return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
            }
        };
        run_main(self.name, || {
            environment::check(self.name, &self.command::<C>())?;
            run(&self, flags)
        })
    }

    fn command<C: Parser>(&self) -> Command {
        with_own_variables(C::command(), &self.name.to_uppercase().replace('-', "_"))
    }

    fn parse<C: Parser>(
        &self,
        args: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> Result<C, clap::Error> {
        // As long-lived as the process.
        let version: &'static str =
            Box::leak(format!("{} ({})", self.version, self.commit).into_boxed_str());
        let mut command = self.command::<C>().version(version);
        let parsed = command.try_get_matches_from_mut(args).and_then(|mut matches| {
            C::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
        });
        parsed.map_err(|error| {
            // Flags of the subcommands that were not meant have no form yet.
            command.build();
            without_secrets(error, &command)
        })
    }
}

/// Gives flags that several programs share, whose variable is `PROGRAM_…`, a variable of this program.
fn with_own_variables(command: Command, prefix: &str) -> Command {
    let own_variable = |arg: Arg| {
        let shared = arg.get_env().and_then(OsStr::to_str);
        let Some(name) = shared.and_then(|name| name.strip_prefix(OF_THE_PROGRAM)) else {
            return arg;
        };
        // As long-lived as the process.
        let name: &'static str = Box::leak(format!("{prefix}_{name}").into_boxed_str());
        arg.env(name)
    };
    command
        .mut_args(own_variable)
        .mut_subcommands(|subcommand| with_own_variables(subcommand, prefix))
}

/// Prints the answer to `--help` and `--version`, and errors folded to the terminal's width. Neither needs
/// a reader.
fn print(error: &clap::Error) {
    if !error.use_stderr() {
        let _ = error.print();
        return;
    }
    let text = error.render();
    let text = if colors_wanted() { text.ansi().to_string() } else { text.to_string() };
    note(text.trim_end());
}

/// Takes out of an error what the user may have meant as a secret: values of flags that may hold
/// one (those whose environment `--help` hides), and words that belong to no flag, such as a
/// password after `-X sasl.password=` and a blank.
fn without_secrets(mut error: clap::Error, command: &Command) -> clap::Error {
    let text = |error: &clap::Error, kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let replace = |error: &mut clap::Error, kind| {
        error.insert(kind, ContextValue::String(NOT_SHOWN.to_owned()));
    };
    let arg = text(&error, ContextKind::InvalidArg);
    match error.kind() {
        ErrorKind::UnknownArgument => {
            if let Some(word) = arg.filter(|word| !is_a_flag(word)) {
                replace(&mut error, ContextKind::InvalidArg);
                drop_suggestions_of(&mut error, &word);
            }
        }
        ErrorKind::InvalidSubcommand => {
            if let Some(word) = text(&error, ContextKind::InvalidSubcommand)
                && !is_a_slip(&word, subcommands(command))
            {
                replace(&mut error, ContextKind::InvalidSubcommand);
                drop_suggestions_of(&mut error, &word);
            }
        }
        _ => {
            let shows_value = text(&error, ContextKind::InvalidValue);
            let of_a_flag = arg.as_deref().is_some_and(|arg| arg.starts_with('-'));
            let is_hidden = arg.as_ref().is_some_and(|arg| hidden_args(command).contains(arg));
            if let Some(value) = shows_value
                && !value.is_empty()
                && (is_hidden || !(of_a_flag || is_a_slip(&value, valid_values(&error))))
            {
                replace(&mut error, ContextKind::InvalidValue);
            }
        }
    }
    error
}

/// Whether it is written as a flag and nothing else: `--topik`, `-q`.
fn is_a_flag(word: &str) -> bool {
    let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-'));
    name.is_some_and(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
        || (word.len() == 2 && word.starts_with('-'))
}

fn is_a_slip<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> bool {
    const LETTERS_MAX: usize = 3;
    nearest(word, names).is_some_and(|name| strsim::osa_distance(word, name) <= LETTERS_MAX)
}

/// Names of all subcommands, those of subcommands included: the error does not say of which one it is.
fn subcommands(command: &Command) -> Vec<&str> {
    let all = |each| iter::once(Command::get_name(each)).chain(subcommands(each));
    command.get_subcommands().flat_map(all).collect()
}

fn valid_values(error: &clap::Error) -> Vec<&str> {
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) => values.iter().map(String::as_str).collect(),
        _ => Vec::new(),
    }
}

fn drop_suggestions_of(error: &mut clap::Error, word: &str) {
    if let Some(ContextValue::StyledStrs(texts)) = error.get(ContextKind::Suggested) {
        let kept = texts.iter().filter(|text| !text.to_string().contains(word)).cloned().collect();
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(kept));
    }
}

/// Arguments whose values may hold a secret, as errors name them.
fn hidden_args(command: &Command) -> BTreeSet<String> {
    let mut hidden = BTreeSet::new();
    let mut commands = vec![command];
    while let Some(command) = commands.pop() {
        let args = command.get_arguments().filter(|arg| arg.is_hide_env_values_set());
        hidden.extend(args.map(ToString::to_string));
        commands.extend(command.get_subcommands());
    }
    hidden
}

#[cfg(test)]
mod tests {
    use clap::{Subcommand, ValueEnum};

    use super::*;
    use crate::args::KafkaArgs;
    use crate::units::DurationArg;

    #[derive(Debug, Parser)]
    #[command(name = "test")]
    struct Cli {
        #[command(subcommand)]
        command: Task,
    }

    #[derive(Debug, Subcommand)]
    enum Task {
        /// Runs.
        Audit(Flags),
        /// Has a subcommand.
        #[command(subcommand)]
        Letters(Letters),
    }

    #[derive(Debug, Subcommand)]
    enum Letters {
        Stats,
    }

    #[derive(Debug, clap::Args)]
    struct Flags {
        #[command(flatten)]
        _kafka: KafkaArgs,
        #[arg(long)]
        _interval: Option<DurationArg>,
        #[arg(long, hide_env_values = true)]
        _number: Option<u8>,
        _what: Option<What>,
    }

    #[derive(Debug, Clone, ValueEnum)]
    enum What {
        Inventory,
    }

    const PROGRAM: Program = Program::new("test", "0123456789ab");

    fn error(args: &[&str]) -> String {
        let error = PROGRAM.parse::<Cli>([&["test"], args].concat()).expect_err("it is wrong");
        assert_eq!(error.exit_code(), 2, "{args:?}");
        error.to_string()
    }

    #[test]
    fn nothing_that_may_be_a_secret_is_repeated() {
        for args in [
            &["audit", "-X", "hunter2"][..],
            &["audit", "-X", "sasl.password:hunter2"],
            &["audit", "-X", "sasl.password", "=hunter2"],
            &["audit", "-X", "sasl.password=", "hunter2"],
            &["audit", "-X=", "hunter2"],
            &["audit", "inventory", "http://me:hunter2@host"],
            &["audit", "http://me:hunter2@host"],
            &["audit", "--number", "hunter2"],
            &["audit", "--sasl-password=hunter2"],
            &["audit", "--sasl-password:hunter2"],
            &["audit", "--hunter2"],
            &["audit", "-phunter2"],
            &["http://me:hunter2@host"],
            &["hunter2"],
            &["letters", "hunter2"],
        ] {
            let text = error(args);
            assert!(!text.contains("hunter2"), "{args:?}: {text}");
        }
    }

    #[test]
    fn a_slip_is_still_named_with_what_was_meant() {
        for (args, parts) in [
            (&["audti"][..], ["'audti'", "'audit'"]),
            (&["letters", "stat"], ["'stat'", "'stats'"]),
            (&["audit", "inventroy"], ["'inventroy'", "'inventory'"]),
            (&["audit", "--intervall", "2s"], ["'--intervall'", "--interval"]),
            (&["audit", "--interval", "2x"], ["'2x'", "is not a duration"]),
        ] {
            let text = error(args);
            assert!(parts.iter().all(|part| text.contains(part)), "{args:?}: {text}");
        }
    }

    #[test]
    fn a_flag_that_programs_share_has_a_variable_of_the_program() {
        let shared = Command::new("x").subcommand(
            Command::new("run")
                .arg(Arg::new("lanes").long("lanes").env("PROGRAM_LANES"))
                .arg(Arg::new("kafka").long("kafka").env("KAFKA_BOOTSTRAP_SERVERS")),
        );
        let own = with_own_variables(shared, "SYNC_REST");
        let run = own.find_subcommand("run").expect("it is there");
        let variables: Vec<_> = run.get_arguments().filter_map(Arg::get_env).collect();
        assert_eq!(variables, ["SYNC_REST_LANES", "KAFKA_BOOTSTRAP_SERVERS"]);
    }

    #[test]
    fn the_version_names_the_commit() {
        let shown = PROGRAM.parse::<Cli>(["test", "--version"]).unwrap_err();
        let expected = format!("test {} (0123456789ab)\n", env!("CARGO_PKG_VERSION"));
        assert_eq!((shown.to_string(), shown.exit_code()), (expected, 0));
    }
}
