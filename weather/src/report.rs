//! A weather report: its rules, and the id of its message.

use relane::ReasonName;
use sha2::{Digest as _, Sha256};

use crate::country::Country;
use crate::kind::Kind;
use crate::limits::{DESCRIPTION_CHARS_MAX, MESSAGE_ID_BYTES_MAX};

/// Separates the ids made of keys from anything else that is hashed.
const KEY_CONTEXT: &[u8] = b"weather report of idempotency key\0";

/// A report that keeps the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// In words.
    pub description: String,
    /// Where.
    pub country: Country,
    /// What.
    pub kind: Kind,
}

/// The rule that a report breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Too many characters.
    #[error("description has more than {DESCRIPTION_CHARS_MAX} characters")]
    LongDescription,
    /// No country has the code.
    #[error("country is not a code of ISO 3166-1 alpha-2, such as GT")]
    UnknownCountry,
    /// No kind has the name.
    #[error("weather is not one of sunny, cloudy, rainy, stormy, snowy, foggy, windy")]
    UnknownWeather,
    /// It is no id.
    #[error("message id is not 1 to {MESSAGE_ID_BYTES_MAX} letters, digits and any of _ . : - ")]
    BadMessageId,
}

impl Broken {
    /// Why a message that breaks it is a dead letter.
    #[must_use]
    pub const fn reason(self) -> ReasonName {
        match self {
            Self::LongDescription => ReasonName::of("long-description"),
            Self::UnknownCountry => ReasonName::of("unknown-country"),
            Self::UnknownWeather => ReasonName::of("unknown-weather"),
            Self::BadMessageId => ReasonName::of("bad-message-id"),
        }
    }
}

impl Report {
    /// Checks what a client or a message says.
    ///
    /// # Errors
    ///
    /// The first rule that is broken.
    pub fn check(description: &str, country: &str, weather: &str) -> Result<Self, Broken> {
        if description.chars().count() > DESCRIPTION_CHARS_MAX {
            return Err(Broken::LongDescription);
        }
        let country = Country::parse(country).ok_or(Broken::UnknownCountry)?;
        let kind = Kind::parse(weather).ok_or(Broken::UnknownWeather)?;
        Ok(Self { description: description.to_owned(), country, kind })
    }

    /// Id of the message that a client sends under this key: the same at each retry of the same report. Another report
    /// under the same key has another id: the two stores may meet the two in any order, and must count the same.
    #[must_use]
    pub fn message_id(&self, key: &str) -> String {
        let Self { description, country, kind } = self;
        let mut hash = Sha256::new().chain_update(KEY_CONTEXT);
        for part in [key, country.as_str(), kind.as_str(), description] {
            hash = hash.chain_update(part.len().to_be_bytes()).chain_update(part);
        }
        hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Checks the id of a message.
///
/// # Errors
///
/// [`Broken::BadMessageId`].
pub fn check_message_id(id: &str) -> Result<(), Broken> {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"_.:-".contains(&b);
    let is_id = (1..=MESSAGE_ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(is_allowed);
    if is_id { Ok(()) } else { Err(Broken::BadMessageId) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_a_country_a_kind_and_a_bounded_description() {
        let long = "é".repeat(DESCRIPTION_CHARS_MAX);
        assert!(Report::check(&long, "GT", "Lluvioso").is_ok());
        for (description, country, weather, broken) in [
            (format!("{long}é"), "GT", "rainy", Broken::LongDescription),
            (String::new(), "XX", "rainy", Broken::UnknownCountry),
            (String::new(), "", "rainy", Broken::UnknownCountry),
            (String::new(), "GT", "", Broken::UnknownWeather),
            (String::new(), "GT", "plague", Broken::UnknownWeather),
        ] {
            assert_eq!(Report::check(&description, country, weather), Err(broken));
        }
    }

    #[test]
    fn a_key_and_a_report_are_one_message_and_another_report_is_another() {
        let report = |description, country| Report::check(description, country, "rainy").unwrap();
        let id = report("it rains", "GT").message_id("k");
        assert_eq!(id.len(), 32);
        assert_eq!(check_message_id(&id), Ok(()));
        assert_eq!(report("it rains", "gt").message_id("k"), id);
        for other in [
            report("it rains", "GT").message_id("k2"),
            report("it rains", "MX").message_id("k"),
            report("it pours", "GT").message_id("k"),
        ] {
            assert_ne!(other, id);
        }
    }

    #[test]
    fn an_id_is_short_and_plain() {
        for id in ["", "a b", "ä", "a\n", &"x".repeat(65), "{a}"] {
            assert_eq!(check_message_id(id), Err(Broken::BadMessageId), "{id:?}");
        }
        assert_eq!(check_message_id("9b-1_d.7:x"), Ok(()));
    }
}
