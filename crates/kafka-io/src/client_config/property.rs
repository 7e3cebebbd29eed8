//! One setting of `-X`: is it allowed, and does librdkafka take its value? Where something is wrong
//! with it, what stands in its place may be a secret: values are never repeated, and keys only if
//! they are those of settings, or nearly.

use std::fmt;

use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;

use super::allow_list::{self, Refusal, allowed_keys};

/// Most letters in which a key differs from the one that was meant.
const SLIP_LETTERS_MAX: usize = 3;

/// Longest part of a key that no list holds, in characters: `partition` in `queue.partition.x`.
const KEY_PART_CHARS_MAX: usize = 16;

/// Why a setting of `-X` cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PropertyError {
    /// It may not be set.
    Refused {
        /// Its key.
        key: String,
        /// Why.
        refusal: Refusal,
    },
    /// No setting has this key.
    Unknown {
        /// Which setting it is, counted from 1.
        number: usize,
        /// The key, where it surely is not a secret.
        key: Option<String>,
        /// The key that was meant, if one is near.
        meant: Option<&'static str>,
    },
    /// librdkafka refuses the value.
    BadValue {
        /// The key.
        key: String,
        /// The values that it takes, where that is known.
        takes: Option<String>,
    },
    /// The contents of a file stand where its name must.
    ContentsOfFile {
        /// The key.
        key: String,
    },
}

impl fmt::Display for PropertyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { key, refusal } => write!(f, "-X {key} is not allowed: {refusal}"),
            Self::Unknown { number, key, meant } => {
                match key {
                    Some(key) => write!(f, "-X {key} is not allowed: it is not on the list")?,
                    None => write!(
                        f,
                        "setting {number} of -X has an unknown key (not repeated here: it may be \
                         a secret)"
                    )?,
                }
                match meant {
                    Some(meant) => write!(f, "; did you mean {meant}?"),
                    None => Ok(()),
                }
            }
            Self::BadValue { key, takes } => {
                write!(f, "-X {key}: librdkafka does not accept this value")?;
                match takes {
                    Some(takes) => write!(f, "; it accepts {takes}"),
                    None => Ok(()),
                }
            }
            Self::ContentsOfFile { key } => {
                write!(f, "-X {key} must be the name of a file, not its contents")
            }
        }
    }
}

/// All problems in one sentence; what is allowed is listed once.
pub(super) fn sentence(problems: &[PropertyError]) -> String {
    let mut texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let is_about_keys = |p: &PropertyError| {
        matches!(p, PropertyError::Refused { .. } | PropertyError::Unknown { .. })
    };
    if problems.iter().any(is_about_keys) {
        texts.push(format!("allowed are {}", allowed_keys()));
    }
    texts.join("; ")
}

/// Checks one setting, the `number`th.
pub(super) fn check(number: usize, key: &str, value: &str) -> Result<(), PropertyError> {
    match allow_list::check(key) {
        Ok(()) => {}
        Err(Refusal::NotListed) => {
            let meant = meant_by(key);
            let is_key = meant.is_some_and(|meant| is_slip(key, meant)) || is_plainly_a_key(key);
            let key = is_key.then(|| key.to_owned());
            return Err(PropertyError::Unknown { number, key, meant });
        }
        Err(refusal) => return Err(PropertyError::Refused { key: shown(key), refusal }),
    }
    if key.ends_with(".location") && (value.contains("-----BEGIN") || value.contains('\n')) {
        return Err(PropertyError::ContentsOfFile { key: key.to_owned() });
    }
    ask_librdkafka(number, key, value)
}

/// Asks librdkafka itself, so that an unknown key or a bad value is found before anything connects.
fn ask_librdkafka(number: usize, key: &str, value: &str) -> Result<(), PropertyError> {
    if is_number(key) && value.trim().parse::<f64>().is_err() {
        // librdkafka would take the digits it begins with, 10 of 10s, for the number.
        let takes = Some("a number without a unit".to_owned());
        return Err(PropertyError::BadValue { key: key.to_owned(), takes });
    }
    let mut config = ClientConfig::new();
    config.set(key, value);
    let detail = match config.create_native_config() {
        Ok(_) => return Ok(()),
        Err(KafkaError::ClientConfig(_, detail, _, _)) => detail,
        Err(other) => other.to_string(),
    };
    if detail.contains("No such configuration property") {
        let meant = meant_by(key);
        let is_key = is_plainly_a_key(key) || meant.is_some_and(|meant| is_slip(key, meant));
        return Err(PropertyError::Unknown { number, key: is_key.then(|| key.to_owned()), meant });
    }
    Err(PropertyError::BadValue { key: key.to_owned(), takes: values_taken(key, &detail) })
}

/// Whether a setting is a number: its default is one.
fn is_number(key: &str) -> bool {
    let defaults = ClientConfig::new().create_native_config();
    let default = defaults.and_then(|defaults| defaults.get(key));
    default.is_ok_and(|default| default.trim_end_matches('\0').parse::<f64>().is_ok())
}

/// librdkafka repeats the value; what it says of a range is taken, and nothing else.
fn values_taken(key: &str, detail: &str) -> Option<String> {
    let choices = match key {
        "security.protocol" => "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
        "broker.address.family" => "any, v4 or v6",
        "compression.type" | "compression.codec" => "none, gzip, snappy, lz4 or zstd",
        "ssl.endpoint.identification.algorithm" => "none or https",
        _ => {
            let (_, range) = detail.split_once("outside allowed range ")?;
            let (low, high) = range.split_once("..")?;
            let (low, high) = (low.parse::<i64>().ok()?, high.trim().parse::<i64>().ok()?);
            return Some(format!("{low} to {high}"));
        }
    };
    Some(choices.to_owned())
}

/// The key of a setting that this one is most likely a slip of.
fn meant_by(key: &str) -> Option<&'static str> {
    const SIMILARITY_MIN: f64 = 0.8;
    allow_list::names()
        .map(|name| (strsim::jaro_winkler(key, name), strsim::osa_distance(key, name), name))
        .filter(|(similarity, letters, name)| {
            *similarity >= SIMILARITY_MIN && *letters <= name.len() / 2
        })
        .max_by(|(_, a, _), (_, b, _)| b.cmp(a))
        .map(|(_, _, name)| name)
}

fn is_slip(key: &str, meant: &str) -> bool {
    strsim::osa_distance(key, meant) <= SLIP_LETTERS_MAX
}

/// Whether it is built as keys are, from short parts of small letters with dots between them.
fn is_plainly_a_key(key: &str) -> bool {
    let is_part = |part: &str| {
        (1..=KEY_PART_CHARS_MAX).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    };
    key.contains('.') && key.split('.').all(is_part) && !allow_list::begins_like_a_secret(key)
}

/// The key of a refused setting: as written, or the pattern that refuses it.
fn shown(key: &str) -> String {
    if allow_list::names().any(|name| name == key) || is_plainly_a_key(key) {
        return key.to_owned();
    }
    allow_list::refusing_pattern(key).unwrap_or("with an unreadable key").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_named_with_the_key_that_was_meant() {
        for (slip, meant) in [
            ("sesion.timeout.ms", "session.timeout.ms"),
            ("session.timeout", "session.timeout.ms"),
            ("lingr.ms", "linger.ms"),
            ("Linger.ms", "linger.ms"),
            ("security_protocol", "security.protocol"),
            ("fetch.min.byts", "fetch.min.bytes"),
            ("fetch.mn.bytes", "fetch.min.bytes"),
            ("socket.timout.ms", "socket.timeout.ms"),
            ("batch.sizes", "batch.size"),
            ("sasl.pasword", "sasl.password"),
            ("acsk", "acks"),
        ] {
            let text = check(1, slip, "1").expect_err(slip).to_string();
            assert!(text.contains(&format!("did you mean {meant}?")), "{slip}: {text}");
        }
        let far = check(2, "no.such.key", "1").unwrap_err();
        assert!(!far.to_string().contains("did you mean"), "{far}");
    }

    #[test]
    fn every_key_that_is_suggested_is_one_that_librdkafka_knows() {
        let is_unknown = |error| matches!(error, PropertyError::Unknown { .. });
        for name in allow_list::names().filter(|name| allow_list::check(name).is_ok()) {
            assert!(!ask_librdkafka(1, name, "1").is_err_and(is_unknown), "{name}");
        }
    }

    #[test]
    fn neither_a_value_nor_what_stands_in_a_keys_place_is_repeated() {
        for (key, value) in [
            ("hunter2", "1"),
            ("aHVudGVyMg", "="),
            ("sasl.password:hunter2", "="),
            ("sasl.password hunter2", "1"),
            ("sasl.passwordhunter2", "1"),
            ("sasl.password.hunter2", "1"),
            ("ssl.engine.hunter2", "1"),
            ("socket.hunter2", "1"),
            ("fetch.hunter2", "1"),
            ("security.protocol", "SASL_SSL,sasl.password=hunter2"),
            ("security.protocol", "SASL_SSL\nsasl.password=hunter2"),
            ("debug", "all,hunter2"),
            ("linger.ms", "hunter2"),
            ("linger.ms", "5 hunter2"),
            ("compression.type", "hunter2"),
            ("session.timeout.ms", "99999999999"),
            ("ssl.key.location", "-----BEGIN PRIVATE KEY-----hunter2"),
            ("ssl.ca.location", "a\nhunter2"),
            ("sasl.password", "hunter2"),
        ] {
            let error = check(3, key, value).expect_err(key);
            let shown = format!("{error} {error:?} {}", sentence(std::slice::from_ref(&error)));
            assert!(!shown.contains("hunter2") && !shown.contains("aHVudGVyMg"), "{shown}");
            assert!(!shown.contains("99999999999"), "{shown}");
        }
    }

    #[test]
    fn a_bad_value_comes_with_those_that_are_taken() {
        let text = |key: &str, value: &str| check(1, key, value).unwrap_err().to_string();
        assert!(text("session.timeout.ms", "99999999").ends_with("it accepts 1 to 3600000"));
        assert!(text("security.protocol", "TLS").contains("SASL_SSL"));
        for (key, value) in [("session.timeout.ms", "10s"), ("linger.ms", ""), ("linger.ms", "x")] {
            assert!(text(key, value).ends_with("it accepts a number without a unit"), "{value}");
        }
        for (key, value) in [("linger.ms", "0.5"), ("compression.level", "-1"), ("client.id", "5x")]
        {
            assert_eq!(check(1, key, value), Ok(()), "{key}={value}");
        }
    }
}
