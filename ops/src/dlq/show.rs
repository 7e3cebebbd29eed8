//! `orders dlq show`: everything about one dead letter.

use std::fmt::Write as _;
use std::str::FromStr;

use service_kit::args::OutputFormat;
use service_kit::exit::AppError;
use service_kit::output::{note, text};
use service_kit::terminal::one_line;

use super::dead_letter::DeadLetter;
use super::dialect::Origin;
use super::error::DlqError;
use super::list::bytes_in_short;
use super::moment::Utc;
use super::printed::{Source, json_line, written};
use super::value::{Reading, ValueReader, hex};
use super::view::Whole;

/// Most bytes of a value that are shown in hexadecimal; JSON has all of them.
const HEX_BYTES_MAX: usize = 1024;

/// Bytes in a line of them.
const HEX_LINE_BYTES: usize = 16;

/// Columns of the names of what is shown.
const NAME_COLUMNS: usize = 12;

/// A place as it is written: `PARTITION:OFFSET`, or `TOPIC/PARTITION@OFFSET`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceArg {
    /// Topic, where it is written.
    pub topic: Option<String>,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
}

impl FromStr for PlaceArg {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str =
            "write PARTITION:OFFSET, as 'orders dlq list' prints it, or TOPIC/PARTITION@OFFSET";
        let (topic, place) = match text.rsplit_once('/') {
            Some(("", _)) => return Err(FORM),
            Some((topic, place)) => (Some(topic.trim().to_owned()), place),
            None => (None, text),
        };
        // kcat writes partition@offset.
        let (partition, offset) = place.split_once([':', '@']).ok_or(FORM)?;
        let place = Self {
            topic,
            partition: partition.trim().parse().map_err(|_| FORM)?,
            offset: offset.trim().parse().map_err(|_| FORM)?,
        };
        if place.partition < 0 || place.offset < 0 { Err(FORM) } else { Ok(place) }
    }
}

/// Prints one dead letter.
///
/// # Errors
///
/// As [`super::DlqTopic::one`]. A registry that is unavailable is none: the bytes are shown.
pub(super) fn run(source: &Source, place: &PlaceArg) -> Result<(), AppError> {
    let (settings, topic) = (&source.settings, &source.topic);
    let mut values = ValueReader::new(&settings.registry)?;
    let mut away = None;
    let shown = topic.one(place.partition, place.offset, |letter| {
        let reading = match values.read(letter.record.value) {
            Err(error @ DlqError::Registry { .. }) => {
                away = Some(error.to_string());
                Reading::Bytes("the schema registry is unavailable".to_owned())
            }
            reading => reading?,
        };
        match settings.output {
            OutputFormat::Table => Ok(page(topic.name(), letter, &reading)),
            _ => json_line(&Whole::of(topic.name(), letter, Some(reading))).map(|json| json + "\n"),
        }
    })?;
    if let Some(away) = away {
        note(&format!("orders: {away}: the value is shown as bytes"));
    }
    match settings.output {
        OutputFormat::Table => text(&shown),
        _ => written(|out| Ok(out.write_all(shown.as_bytes())?)).map(|_| ()),
    }
}

/// The page for people. No line of it is a control sequence of the record's.
fn page(topic: &str, letter: &DeadLetter<'_>, reading: &Reading) -> String {
    let (record, cause) = (&letter.record, &letter.cause);
    let mut page = String::new();
    let mut line = |name: &str, value: &str| {
        let line = format!("{name:NAME_COLUMNS$}{}", one_line(value));
        let _ = writeln!(page, "{}", line.trim_end()); // a String takes all
    };
    let none = "-";
    let place = format!("{topic} {}:{}", record.partition, record.offset);
    line("dead letter", &place);
    line("written", &Utc(record.written_ms).to_string());
    line("dialect", letter.dialect.as_str());
    line("class", cause.class.as_deref().unwrap_or(none));
    line("reason", cause.reason.as_deref().unwrap_or(none));
    line("detail", cause.detail.as_deref().unwrap_or(none));
    line("fingerprint", &format!("{:08x}", letter.fingerprint));
    line("attempts", &letter.attempts.map_or(none.to_owned(), |attempts| attempts.to_string()));
    line("redrives", &letter.redrives.to_string());
    line("origin", &letter.origin.as_ref().map_or_else(|| none.to_owned(), origin));
    line("schema id", &letter.schema_id.map_or(none.to_owned(), |id| id.to_string()));
    line("key", &bytes_in_short(record.key));
    line("value", &described(record.value, reading));
    page.push_str(&body(record.value.unwrap_or_default(), reading));
    page.push_str(if record.headers.is_empty() { "headers     -\n" } else { "headers\n" });
    for (name, value) in &record.headers {
        let name = String::from_utf8_lossy(name);
        let _ = writeln!(page, "    {} = {}", one_line(&name), header_value(*value));
    }
    page
}

fn origin(origin: &Origin<'_>) -> String {
    let number = |number: Option<String>| number.unwrap_or_else(|| "?".to_owned());
    let partition = number(origin.partition.map(|partition| partition.to_string()));
    let offset = number(origin.offset.map(|offset| offset.to_string()));
    let mut text = format!("{} {partition}:{offset}", origin.topic);
    if origin.timestamp_ms.is_some() {
        let _ = write!(text, ", written {}", Utc(origin.timestamp_ms));
    }
    if let Some(group) = &origin.group {
        let _ = write!(text, ", dead-lettered by {group}");
    }
    text
}

fn described(value: Option<&[u8]>, reading: &Reading) -> String {
    let bytes = value.map_or(0, <[u8]>::len);
    match reading {
        Reading::Null => "null (a tombstone)".to_owned(),
        Reading::Json(_) => format!("{bytes} bytes"),
        Reading::Text(_) => format!("{bytes} bytes of text"),
        Reading::Bytes(why) => format!("{bytes} bytes, not decoded: {why}"),
    }
}

/// The value, indented.
fn body(bytes: &[u8], reading: &Reading) -> String {
    let indented = |text: &str| {
        text.lines().fold(String::new(), |mut all, line| {
            let _ = writeln!(all, "    {}", one_line(line));
            all
        })
    };
    match reading {
        Reading::Null => String::new(),
        Reading::Json(json) => indented(&format!("{json:#}")),
        Reading::Text(text) => indented(text),
        Reading::Bytes(_) => hex_lines(bytes),
    }
}

/// Bytes in hexadecimal, with their offset and what of them is ASCII.
fn hex_lines(bytes: &[u8]) -> String {
    let mut lines = String::new();
    let shown = &bytes[..bytes.len().min(HEX_BYTES_MAX)];
    for (at, line) in (0..).step_by(HEX_LINE_BYTES).zip(shown.chunks(HEX_LINE_BYTES)) {
        let pairs: Vec<String> = line.chunks(2).map(hex).collect();
        let visible = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' };
        let ascii: String = line.iter().map(visible).collect();
        let _ = writeln!(lines, "    {at:06x}  {:39}  {ascii}", pairs.join(" "));
    }
    let rest = bytes.len() - shown.len();
    if rest > 0 {
        let _ = writeln!(lines, "    and {rest} bytes more: -o json has all of them, in base64");
    }
    lines
}

/// Text as it is, anything else in hexadecimal: Spring's numbers are UTF-8 by chance.
fn header_value(value: Option<&[u8]>) -> String {
    let Some(bytes) = value else { return "null".to_owned() };
    let is_text = |text: &&str| !text.chars().any(|c| c.is_control() && !c.is_ascii_whitespace());
    match std::str::from_utf8(bytes).ok().filter(is_text) {
        Some(text) => one_line(text),
        None => format!("0x{}", hex(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dlq::record::Record;

    fn letter() -> DeadLetter<'static> {
        DeadLetter::read(Record {
            partition: 2,
            offset: 133,
            written_ms: Some(1_795_256_952_843),
            key: Some(b"tea"),
            value: Some(&[0, 0, 0, 0, 7, 0xff]),
            headers: vec![
                (b"kafka_dlt-original-topic", Some(b"orders")),
                (b"kafka_dlt-original-partition", Some(&[0, 0, 0, 2])),
                (b"kafka_dlt-original-offset", Some(&[0, 0, 0, 0, 0, 0, 0, 9])),
                (b"kafka_dlt-original-consumer-group", Some(b"shop")),
                (b"kafka_dlt-exception-fqcn", Some(b"shop.Refused")),
                (b"kafka_dlt-exception-message", Some(b"no\nstock\x1b[2J")),
                (b"null", None),
            ],
        })
    }

    #[test]
    fn the_page_has_origin_cause_value_and_every_header() {
        let page = page("dlq", &letter(), &Reading::Json(json!({"orderId": "o\u{1b}-1"})));
        let print = letter().fingerprint;
        let expected = format!(
            "dead letter dlq 2:133\n\
             written     2026-11-21T10:29:12.843Z\n\
             dialect     spring\n\
             class       shop.Refused\n\
             reason      -\n\
             detail      no\\nstock\\x1b[2J\n\
             fingerprint {print:08x}\n\
             attempts    -\n\
             redrives    0\n\
             origin      orders 2:9, dead-lettered by shop\n\
             schema id   7\n\
             key         tea\n\
             value       6 bytes\n    {{\n      \"orderId\": \"o\\u001b-1\"\n    }}\n\
             headers\n    kafka_dlt-original-topic = orders\n    \
             kafka_dlt-original-partition = 0x00000002\n    \
             kafka_dlt-original-offset = 0x0000000000000009\n    \
             kafka_dlt-original-consumer-group = shop\n    \
             kafka_dlt-exception-fqcn = shop.Refused\n    \
             kafka_dlt-exception-message = 0x6e6f0a73746f636b1b5b324a\n    \
             null = null\n"
        );
        assert_eq!(page, expected);
    }

    #[test]
    fn a_value_that_cannot_be_read_is_shown_in_hexadecimal_with_the_reason() {
        let page = page("dlq", &letter(), &Reading::Bytes("avro-decode: too short".to_owned()));
        assert!(page.contains("6 bytes, not decoded: avro-decode: too short"), "{page}");
        assert!(page.contains("    000000  0000 0000 07ff "), "{page}");
        let long = hex_lines(&[b'a'; 5_000]);
        assert!(long.lines().all(|line| line.len() <= 80), "{long}");
        assert!(long.ends_with("and 3976 bytes more: -o json has all of them, in base64\n"));
    }

    #[test]
    fn a_place_is_written_as_it_is_printed_or_as_kcat_prints_it_with_or_without_its_topic() {
        let place = PlaceArg { topic: None, partition: 2, offset: 133 };
        assert_eq!("2:133".parse(), Ok(place.clone()));
        assert_eq!("2@133".parse(), Ok(place.clone()));
        let topic = Some("orders-dlq".to_owned());
        let with_topic = PlaceArg { topic, ..place };
        assert_eq!("orders-dlq/2@133".parse(), Ok(with_topic.clone()));
        assert_eq!("orders-dlq/2:133".parse(), Ok(with_topic));
        for text in ["", "2", "2:", ":1", "-1:0", "0:-1", "a:b", "1:2:3", "/2:1", "t/2"] {
            assert!(text.parse::<PlaceArg>().is_err(), "{text}");
        }
    }
}
