//! A dead letter in the same words, whichever tool wrote it.

use std::borrow::Cow;

use pipeline::failure::fingerprint;
use pipeline::headers as own;

use super::dialect::{Cause, Dialect, Origin};
use super::record::{Named, Record};

/// Longest part of a message that tells causes apart, in characters.
const MESSAGE_CHARS_MAX: usize = 120;

/// A record of a dead-letter topic, read by the headers of the tool that gave it up last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter<'a> {
    /// The record itself.
    pub record: Record<'a>,
    /// By whose headers it is read.
    pub dialect: Dialect,
    /// Where it came from; none where no header says so.
    pub origin: Option<Origin<'a>>,
    /// Why it was given up.
    pub cause: Cause<'a>,
    /// Attempts that were made; none where no header says so.
    pub attempts: Option<u32>,
    /// How often it has come back from a dead-letter topic.
    pub redrives: u32,
    /// Schema of its value, where that has Confluent's frame.
    pub schema_id: Option<u32>,
    /// The same for all dead letters of one cause.
    pub fingerprint: u32,
}

impl<'a> DeadLetter<'a> {
    /// Reads a record. There is no record that cannot be read: what no header says is left open.
    #[must_use]
    pub fn read(record: Record<'a>) -> Self {
        let headers = record.named();
        let dialect = Dialect::of(&headers);
        let cause = dialect.cause(&headers);
        let schema_id = codec::frame::schema_id(record.value);
        let redrives = headers.decimal(own::REDRIVE_COUNT).and_then(|n| u32::try_from(n).ok());
        Self {
            dialect,
            origin: dialect.origin(&headers),
            attempts: dialect.attempts(&headers),
            redrives: redrives.unwrap_or(0),
            schema_id,
            fingerprint: noted_fingerprint(dialect, &headers)
                .unwrap_or_else(|| fingerprint_of(dialect, &cause, schema_id)),
            cause,
            record,
        }
    }

    /// The cause in a few words: the reason, or else the class, or else the message; exceptions without
    /// their packages.
    #[must_use]
    pub fn cause_in_short(&self) -> &str {
        let Cause { class, reason, detail } = &self.cause;
        let named = reason.as_deref().or(class.as_deref()).map(simple_name);
        named.or(detail.as_deref()).unwrap_or("-")
    }
}

/// The name of a Java class without package and outer class; any other text as it is.
#[must_use]
pub fn simple_name(class: &str) -> &str {
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '$' | '_');
    let is_nested = class.contains(['.', '$']);
    if !is_nested || !class.chars().all(is_name) {
        return class;
    }
    class.rsplit(['.', '$']).next().filter(|name| !name.is_empty()).unwrap_or(class)
}

/// What this pipeline has noted itself.
fn noted_fingerprint(dialect: Dialect, headers: &Named<'_, '_>) -> Option<u32> {
    let noted = (dialect == Dialect::Orders).then(|| headers.last(own::FINGERPRINT))??;
    let digits = std::str::from_utf8(noted).ok().filter(|digits| digits.len() == 8)?;
    u32::from_str_radix(digits, 16).ok()
}

/// Other tools note none. Their messages often tell causes apart, and often name the record.
fn fingerprint_of(dialect: Dialect, cause: &Cause<'_>, schema_id: Option<u32>) -> u32 {
    let class = cause.class.as_deref().unwrap_or("-");
    let reason = cause.reason.as_deref().unwrap_or("-");
    if dialect == Dialect::Orders {
        return fingerprint(class, reason, schema_id);
    }
    let message = cause.detail.as_deref().map(without_particulars).unwrap_or_default();
    fingerprint(&format!("{dialect} {class}"), &format!("{reason}: {message}"), schema_id)
}

/// A message without what differs from record to record: words with digits, and what is quoted.
fn without_particulars(message: &str) -> Cow<'_, str> {
    let end = message.char_indices().nth(MESSAGE_CHARS_MAX).map_or(message.len(), |(at, _)| at);
    let message = &message[..end];
    let is_particular = |c: char| c.is_ascii_digit() || matches!(c, '"' | '\'' | '`');
    if !message.contains(is_particular) {
        return Cow::Borrowed(message);
    }
    let (mut general, mut quote) = (String::with_capacity(message.len()), None);
    for word in message.split_inclusive([' ', '\n', ',', ';', ':', '=', '(', ')', '[', ']']) {
        match quote {
            Some(mark) if word.contains(mark) => quote = None,
            Some(_) => {}
            None if word.contains(is_particular) => {
                general.push('#');
                quote = open_quote(word);
            }
            None => general.push_str(word),
        }
    }
    Cow::Owned(general)
}

/// The mark of a quote that begins in a word and does not end in it.
fn open_quote(word: &str) -> Option<char> {
    let mark = word.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'))?;
    (word.matches(mark).count() == 1).then_some(mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_a_record_does_not_tell_causes_apart() {
        for (message, expected) in [
            ("size of data is not right", "size of data is not right"),
            ("size of data is 7, not 4", "size of data is # not #"),
            ("no product 'black tea' in shop 12", "no product #in shop #"),
            ("no product 'tea' in shop", "no product #in shop"),
            ("order id=3f2a-11 failed", "order id=#failed"),
        ] {
            assert_eq!(without_particulars(message), expected, "{message}");
        }
        assert_eq!(without_particulars(&"é".repeat(500)).chars().count(), 120);
    }

    #[test]
    fn a_class_is_named_without_its_package() {
        for (class, expected) in [
            ("java.lang.IllegalStateException", "IllegalStateException"),
            ("shop.Orders$Refused", "Refused"),
            ("transient", "transient"),
            ("Not a class. At all", "Not a class. At all"),
            ("ends.", "ends."),
        ] {
            assert_eq!(simple_name(class), expected);
        }
    }

    #[test]
    fn a_record_without_headers_is_a_dead_letter_of_which_little_is_known() {
        let record = Record { value: Some(&[0, 0, 0, 0, 9, 2]), ..Record::default() };
        let letter = DeadLetter::read(record);
        assert_eq!((letter.dialect, letter.origin.as_ref()), (Dialect::Unknown, None));
        assert_eq!((letter.schema_id, letter.attempts, letter.redrives), (Some(9), None, 0));
        assert_eq!(letter.cause_in_short(), "-");
    }
}
