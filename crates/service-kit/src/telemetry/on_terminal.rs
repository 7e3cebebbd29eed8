//! The form of an event on a terminal: `14:12:46 WARN  the broker is unavailable address=…`.
//!
//! Who looks at a terminal knows the day and the program: the time is short and local, and the place in
//! the program is named from `debug` on. Everything else is that of the full form.

use std::fmt::{self, Debug};

use jiff::Zoned;
use tracing::field::Field;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::{self, FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use crate::terminal::one_line;

/// Where the message begins, and a line that is too long goes on.
const MESSAGE_AT: usize = 15;

/// On a narrower terminal the rest of a line needs that room.
const COLUMNS_TO_ALIGN: usize = 60;

const DIM: &str = "\x1b[2m";
const RESET: &str = "\x1b[0m";

/// Returns how far the rest of a line that is too long is indented.
pub(super) const fn indent(columns: usize) -> usize {
    if columns < COLUMNS_TO_ALIGN { 4 } else { MESSAGE_AT }
}

/// See the module.
pub(super) struct OnTerminal;

impl<S, N> FormatEvent<S, N> for OnTerminal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        let is_colored = writer.has_ansi_escapes();
        let paint = |text: &str, code: &str| match is_colored {
            true => format!("{code}{text}{RESET}"),
            false => text.to_owned(),
        };
        let time = Zoned::now().strftime("%H:%M:%S").to_string();
        let word = format!("{level:<5}");
        write!(writer, "{} {} ", paint(&time, DIM), paint(&word, color(level)))?;
        if level >= Level::DEBUG {
            write!(writer, "{} ", paint(&format!("{}:", event.metadata().target()), DIM))?;
        }
        context.format_fields(writer.by_ref(), event)?;
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                write!(writer, " {fields}")?;
            }
        }
        writeln!(writer)
    }
}

fn color(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        _ => "\x1b[34m",
    }
}

/// The message, then `name=value`; what a value holds is no color and no line break.
pub(super) fn fields() -> impl for<'a> FormatFields<'a> + 'static {
    format::debug_fn(|writer: &mut Writer<'_>, field: &Field, value: &dyn Debug| {
        let value = one_line(&format!("{value:?}"));
        match (field.name(), writer.has_ansi_escapes()) {
            ("message", _) => write!(writer, "{value}"),
            (name, true) => write!(writer, "{DIM}{name}={RESET}{value}"),
            (name, false) => write!(writer, "{name}={value}"),
        }
    })
    .delimited(" ")
}
