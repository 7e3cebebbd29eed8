//! Logs: on stderr, one line per event, whatever bytes the fields carry.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::args::LogFormat;
use crate::live::Stderr;
use crate::terminal::{Escapes, LineGuard};

/// What is logged when `RUST_LOG` is not set: librdkafka speaks only when something is wrong, and
/// lapin not at all, because it logs as an error what it also returns.
const FILTER_DEFAULT: &str = "info,librdkafka=warn,rdkafka=warn,lapin=off";

/// Installs the process-wide logger. A second call changes nothing.
///
/// `RUST_LOG` sets what is logged; a part of it that cannot be read is reported and ignored.
/// Colors appear only on a terminal and never when `NO_COLOR` is set and not empty.
pub fn init(format: LogFormat) {
    let written = std::env::var("RUST_LOG").ok().filter(|filter| !filter.trim().is_empty());
    let filter = written.as_deref().unwrap_or(FILTER_DEFAULT);
    let parsed = EnvFilter::try_new(filter);
    let problem = parsed.as_ref().err().map(ToString::to_string);
    let filter = parsed.unwrap_or_else(|_| EnvFilter::new(FILTER_DEFAULT));
    let is_colored = colors_wanted();
    let escapes = escapes(format, is_colored);
    let make_stderr = move || LineGuard::new(Stderr, escapes);
    install(format, filter, is_colored, make_stderr);
    if let Some(problem) = problem {
        tracing::warn!(
            problem,
            default = FILTER_DEFAULT,
            "RUST_LOG cannot be read, using the default"
        );
    }
}

const fn escapes(format: LogFormat, is_colored: bool) -> Escapes {
    match (format, is_colored) {
        (LogFormat::Json, _) => Escapes::Json,
        (LogFormat::Text, true) => Escapes::ColoredText,
        (LogFormat::Text, false) => Escapes::Text,
    }
}

/// Returns whether stderr is a terminal and colors are not switched off (`NO_COLOR`).
#[must_use]
pub fn colors_wanted() -> bool {
    let is_switched_off = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !is_switched_off && io::stderr().is_terminal()
}

fn install<W>(format: LogFormat, filter: EnvFilter, is_colored: bool, writer: W)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // An error means that a logger is there already, such as a test's.
    let _ = tracing::dispatcher::set_global_default(dispatch(format, filter, is_colored, writer));
}

fn dispatch<W>(
    format: LogFormat,
    filter: EnvFilter,
    is_colored: bool,
    writer: W,
) -> tracing::Dispatch
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match format {
        LogFormat::Text => tracing::Dispatch::new(builder.with_ansi(is_colored).finish()),
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true).with_current_span(true);
            tracing::Dispatch::new(builder.with_span_list(false).finish())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

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
    fn logged(format: LogFormat, filter: &str, log: impl FnOnce()) -> String {
        let sink = Sink::default();
        let inner = sink.clone();
        let writer = move || LineGuard::new(inner.clone(), escapes(format, false));
        let dispatch = dispatch(format, EnvFilter::new(filter), false, writer);
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
        let text = logged(LogFormat::Json, "info", hostile);
        let event: serde_json::Value = serde_json::from_str(&text).expect(&text);
        assert_eq!(event["order_id"], HOSTILE);
    }

    #[test]
    fn a_field_cannot_fake_a_line_or_drive_the_terminal() {
        for format in [LogFormat::Text, LogFormat::Json] {
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
        let text = logged(LogFormat::Json, "info", || tracing::info!(port = 9464, "listening"));
        let event: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(event["message"], "listening");
        assert_eq!(event["port"], 9464);
        assert_eq!(event["level"], "INFO");
    }

    #[test]
    fn librdkafka_is_quiet_by_default() {
        let text = logged(LogFormat::Text, FILTER_DEFAULT, || {
            tracing::info!(target: "librdkafka", "broker connected");
            tracing::info!("ours");
            tracing::warn!(target: "librdkafka", "broker lost");
        });
        assert!(!text.contains("broker connected") && text.contains("ours"), "{text}");
        assert!(text.contains("broker lost"), "{text}");
    }
}
