//! Logs: on stderr, one line per event, whatever bytes the fields carry.
//!
//! | stderr is | an event |
//! |---|---|
//! | a terminal | short time, level, message, fields; folded to the width |
//! | anything else | date and time in UTC, level, target, message, fields; one line |
//! | either, with `--log-format json` | a JSON object on one line |

mod on_terminal;

use std::io::{self, IsTerminal as _};

use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::args::LogFormat;
use crate::fold::{self, Stream};
use crate::live::Stderr;
use crate::terminal::{Escapes, Fold, LineGuard};
use on_terminal::OnTerminal;

/// What is logged when `RUST_LOG` is not set: librdkafka speaks only when something is wrong, and
/// lapin not at all, because it logs as an error what it also returns.
const FILTER_DEFAULT: &str = "info,librdkafka=warn,rdkafka=warn,lapin=off";

/// Installs the process-wide logger. A second call changes nothing.
///
/// `RUST_LOG` sets what is logged, as levels of targets; one that cannot be read is reported and
/// the default used.
/// Colors appear only on a terminal and never when `NO_COLOR` is set and not empty.
pub fn init(format: LogFormat) {
    let written = std::env::var("RUST_LOG").ok().filter(|filter| !filter.trim().is_empty());
    let filter = written.as_deref().map_or_else(|| FILTER_DEFAULT.to_owned(), quieted);
    let parsed = read(&filter);
    let problem = parsed.as_ref().err().map(ToString::to_string);
    let filter = parsed.or_else(|_| read(FILTER_DEFAULT)).expect("the default can be read");
    let (form, is_colored) = (Form::of(format), colors_wanted());
    let escapes = form.escapes(is_colored);
    let make_stderr = move || LineGuard::new(Stderr, escapes).folded(form.fold());
    // An error means that a logger is there already, such as a test's.
    let dispatch = dispatch(form, filter, is_colored, make_stderr);
    let _ = tracing::dispatcher::set_global_default(dispatch);
    if let Some(problem) = problem {
        tracing::warn!(
            problem,
            default = FILTER_DEFAULT,
            "RUST_LOG cannot be read, using the default"
        );
    }
}

/// A filter that says nothing about the client libraries leaves them as they are by default: what they
/// log as an error is returned as well, and reported in our own words.
fn quieted(filter: &str) -> String {
    let of_libraries =
        FILTER_DEFAULT.split(',').filter_map(|part| Some((part.split_once('=')?.0, part)));
    let unnamed = of_libraries.filter(|(library, _)| {
        let directives =
            filter.split(',').filter_map(|directive| directive.split(['=', '[']).next());
        !directives.map(str::trim).any(|target| target.split("::").next() == Some(*library))
    });
    unnamed.fold(filter.to_owned(), |all, (_, part)| format!("{all},{part}"))
}

/// Reads levels of targets, separated by commas: `info,librdkafka=warn`.
fn read(filter: &str) -> Result<Targets, ParseError> {
    let parts: Vec<&str> =
        filter.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    parts.join(",").parse()
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Text for who looks at a terminal now.
    OnTerminal,
    /// Text that is kept.
    Full,
    Json,
}

impl Form {
    /// The form for what stderr is.
    fn of(format: LogFormat) -> Self {
        match format {
            LogFormat::Json => Self::Json,
            LogFormat::Text if io::stderr().is_terminal() => Self::OnTerminal,
            LogFormat::Text => Self::Full,
        }
    }

    const fn escapes(self, is_colored: bool) -> Escapes {
        match (self, is_colored) {
            (Self::Json, _) => Escapes::Json,
            (_, true) => Escapes::ColoredText,
            (_, false) => Escapes::Text,
        }
    }

    /// Asked for each event: a window may have another size by now.
    fn fold(self) -> Option<Fold> {
        let columns = (self == Self::OnTerminal).then(|| fold::columns(Stream::Stderr)).flatten();
        columns.map(|columns| Fold { columns, indent: on_terminal::indent(columns) })
    }
}

/// Returns whether stderr is a terminal and colors are not switched off (`NO_COLOR`).
#[must_use]
pub fn colors_wanted() -> bool {
    let is_switched_off = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !is_switched_off && io::stderr().is_terminal()
}

fn dispatch<W>(form: Form, filter: Targets, is_colored: bool, writer: W) -> tracing::Dispatch
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // What is logged is the filter's to say.
    let builder = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_writer(writer)
        .with_ansi(is_colored);
    match form {
        Form::Full => tracing::Dispatch::new(builder.finish().with(filter)),
        Form::OnTerminal => {
            let builder = builder.fmt_fields(on_terminal::fields());
            tracing::Dispatch::new(builder.event_format(OnTerminal).finish().with(filter))
        }
        Form::Json => {
            let builder = builder.json().flatten_event(true).with_current_span(true);
            tracing::Dispatch::new(builder.with_span_list(false).finish().with(filter))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::live;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Logs one hostile event and returns what a terminal would be sent.
    fn logged(form: Form, filter: &str, log: impl FnOnce()) -> String {
        logged_at(form, None, false, filter, log)
    }

    fn logged_at(
        form: Form,
        columns: Option<usize>,
        is_colored: bool,
        filter: &str,
        log: impl FnOnce(),
    ) -> String {
        let sink = Sink::default();
        let inner = sink.clone();
        let fold = columns.map(|columns| Fold { columns, indent: on_terminal::indent(columns) });
        let escapes = form.escapes(is_colored);
        let writer = move || LineGuard::new(inner.clone(), escapes).folded(fold);
        let dispatch = dispatch(form, read(filter).unwrap(), is_colored, writer);
        tracing::dispatcher::with_default(&dispatch, log);
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    const HOSTILE: &str = "o-1\n2026 ERROR fake\r\x1b[2J\u{9b}31m\x07\x7f\u{202e}";

    fn hostile() {
        let id = HOSTILE;
        tracing::info!(order_id = %id, debugged = ?id, "event with {id}");
    }

    #[test]
    fn a_json_event_stays_json_whatever_its_fields_hold() {
        let text = logged(Form::Json, "info", hostile);
        let event: serde_json::Value = serde_json::from_str(&text).expect(&text);
        assert_eq!(event["order_id"], HOSTILE);
    }

    #[test]
    fn a_field_cannot_fake_a_line_or_drive_the_terminal() {
        for format in [Form::OnTerminal, Form::Full, Form::Json] {
            let text = logged(format, "info", hostile);
            assert_eq!(text.matches('\n').count(), 1, "{format:?}: {text:?}");
            assert!(text.ends_with('\n'));
            let body = text.trim_end_matches('\n');
            let is_wild = |c: char| c.is_control() || c == '\u{202e}';
            assert!(!body.chars().any(is_wild), "{format:?}: {text:?}");
            assert!(text.contains("o-1"), "{format:?}: {text:?}");
        }
    }

    #[test]
    fn a_json_event_is_an_object_with_its_fields() {
        let text = logged(Form::Json, "info", || tracing::info!(port = 9464, "listening"));
        let event: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(event["message"], "listening");
        assert_eq!(event["port"], 9464);
        assert_eq!(event["level"], "INFO");
    }

    #[test]
    fn a_filter_that_does_not_name_the_client_libraries_leaves_them_quiet() {
        for (written, effective) in [
            ("info", "info,librdkafka=warn,rdkafka=warn,lapin=off"),
            ("debug,librdkafka=debug", "debug,librdkafka=debug,rdkafka=warn,lapin=off"),
            (
                "lapin::channel=info,rdkafka,librdkafka=off",
                "lapin::channel=info,rdkafka,librdkafka=off",
            ),
        ] {
            assert_eq!(quieted(written), effective);
        }
        let text = logged(Form::Full, &quieted("info"), || {
            tracing::error!(target: "lapin::channel", "Channel closed");
            tracing::info!("ours");
        });
        assert!(text.contains("ours") && !text.contains("Channel closed"), "{text}");
    }

    #[test]
    fn librdkafka_is_quiet_by_default() {
        let text = logged(Form::Full, FILTER_DEFAULT, || {
            tracing::info!(target: "librdkafka", "broker connected");
            tracing::info!("ours");
            tracing::warn!(target: "librdkafka", "broker lost");
        });
        assert!(!text.contains("broker connected") && text.contains("ours"), "{text}");
        assert!(text.contains("broker lost"), "{text}");
    }

    fn broker_away() {
        tracing::warn!(
            address = "127.0.0.1:9092",
            reason = "connection refused",
            waited_ms = 5_000,
            "the broker is unavailable"
        );
    }

    #[test]
    fn on_a_terminal_a_line_has_a_short_time_and_no_target() {
        let text = logged_at(Form::OnTerminal, Some(200), false, "info", broker_away);
        let (time, rest) = text.split_at(8);
        assert!(time.bytes().all(|b| b.is_ascii_digit() || b == b':'), "{text}");
        let expected = " WARN  the broker is unavailable address=\"127.0.0.1:9092\" \
                        reason=\"connection refused\" waited_ms=5000\n";
        assert_eq!(rest, expected);
    }

    #[test]
    fn on_a_terminal_a_line_goes_on_indented_within_the_width_whatever_the_colors() {
        for (columns, indent, lines) in [(80, 15, 2), (40, 4, 4), (200, 15, 1)] {
            for is_colored in [false, true] {
                let text =
                    logged_at(Form::OnTerminal, Some(columns), is_colored, "info", broker_away);
                assert_eq!(text.contains('\x1b'), is_colored);
                assert_eq!(text.lines().count(), lines, "{columns}: {text}");
                assert!(text.lines().all(|line| live::width(line) <= columns), "{text}");
                let blanks = " ".repeat(indent);
                assert!(text.lines().skip(1).all(|line| line.starts_with(&blanks)), "{text}");
            }
        }
    }

    #[test]
    fn on_a_terminal_the_place_is_named_from_debug_on_and_spans_at_the_end() {
        let text = logged(Form::OnTerminal, "debug", || {
            let span = tracing::info_span!("request", request_id = "r-1");
            let _in_span = span.enter();
            tracing::debug!(records = 3, "a turn");
            tracing::info!("answered");
        });
        let lines: Vec<&str> = text.lines().map(|line| &line[8..]).collect();
        let target = module_path!();
        assert_eq!(lines[0], format!(" DEBUG {target}: a turn records=3 request_id=\"r-1\""));
        assert_eq!(lines[1], " INFO  answered request_id=\"r-1\"");
    }

    #[test]
    fn where_no_terminal_reads_a_line_has_the_date_and_the_target_and_stays_a_line() {
        let text = logged(Form::Full, "info", broker_away);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.starts_with("20") && text.contains("Z  WARN service_kit::"), "{text}");
    }

    #[test]
    fn a_filter_may_have_blanks_and_empty_parts_and_one_that_is_none_is_found_out() {
        let text = logged(Form::Full, " warn, ,librdkafka=debug,", || {
            tracing::info!("ours");
            tracing::debug!(target: "librdkafka", "broker connected");
            tracing::trace!(target: "librdkafka", "a byte");
        });
        assert!(!text.contains("ours") && text.contains("broker connected"), "{text}");
        assert!(!text.contains("a byte"), "{text}");
        assert!(read("librdkafka=loud").is_err());
    }
}
