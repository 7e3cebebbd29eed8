//! Text that must not be printed, and addresses that may hold a login.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Text that is, or may hold, a secret. It cannot be printed: its debug form is fixed, and it has
/// no other. It is written out where a program's settings are laid over its file, and nowhere else.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Returns the text, for the library that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// Any text is taken: a parser that refuses one would repeat it.
impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

/// What is wrong with an address. It never repeats the address: that may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressFault {
    /// It does not begin with a scheme.
    #[error("it does not begin with one of the schemes that are read, such as {0}://")]
    Scheme(&'static str),
    /// A character of the login would end it.
    #[error("user and password must be percent-encoded: / is %2F, ? is %3F, # is %23, @ is %40")]
    LoginNotEncoded,
    /// A blank or control character.
    #[error("it holds a blank or a control character")]
    Blank,
    /// A `%` without two hexadecimal digits.
    #[error("it contains a % without two hexadecimal digits; a % itself is written %25")]
    Percent,
    /// No host.
    #[error("it has no host")]
    NoHost,
    /// A host with characters that no host has.
    #[error("its host is not a name or an address; write an IPv6 address in brackets")]
    Host,
    /// A port that is none.
    #[error("its port is not a number from 1 to 65535")]
    Port,
}

/// Checks an address `scheme://[user[:password]@]host[:port][/…]` before another parser sees it:
/// one that takes a part of an unencoded password for host and port would look it up and name it.
///
/// # Errors
///
/// Fails if it is not of that form, or if it is not plain which part of it is the login.
pub fn check_address(text: &str, schemes: &[&'static str]) -> Result<(), AddressFault> {
    let fault = AddressFault::Scheme(schemes.first().copied().unwrap_or_default());
    let (scheme, rest) = text.split_once("://").ok_or(fault)?;
    if !schemes.iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(fault);
    }
    let authority_end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (authority, after) = rest.split_at(authority_end);
    if after.contains('@') {
        return Err(AddressFault::LoginNotEncoded);
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(AddressFault::Blank);
    }
    if !is_percent_encoded(rest) {
        return Err(AddressFault::Percent);
    }
    let place = authority.rsplit_once('@').map_or(authority, |(_login, place)| place);
    check_place(place)
}

/// Whether each `%` begins an escape.
fn is_percent_encoded(text: &str) -> bool {
    let mut parts = text.split('%');
    parts.next();
    parts.all(|part| part.len() >= 2 && part.bytes().take(2).all(|b| b.is_ascii_hexdigit()))
}

fn check_place(place: &str) -> Result<(), AddressFault> {
    let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, after)) => (host, Some(after.strip_prefix(':').ok_or(AddressFault::Host)?)),
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    if host.is_empty() {
        return Err(AddressFault::NoHost);
    }
    let is_host = |c: char| c.is_alphanumeric() || "-._~".contains(c);
    let is_bracketed = place.starts_with('[');
    if is_bracketed && host.parse::<std::net::Ipv6Addr>().is_err() {
        return Err(AddressFault::Host);
    }
    if !is_bracketed && !host.chars().all(is_host) {
        return Err(AddressFault::Host);
    }
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|n| n > 0) && !port.starts_with('+');
    if port.is_some_and(|port| !is_port(port)) {
        return Err(AddressFault::Port);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed_and_is_kept_whole() {
        let secret: Secret = "hunter2".parse().unwrap();
        assert!(!format!("{secret:?} {:?}", Some(&secret)).contains("hunter2"));
        let json = serde_json::to_value(&secret).unwrap();
        assert_eq!(serde_json::from_value::<Secret>(json).unwrap().expose(), "hunter2");
    }

    #[test]
    fn an_address_is_taken_where_it_is_plain_which_part_is_the_login() {
        for right in [
            "amqp://localhost",
            "amqp://guest:guest@localhost:5672/%2f",
            "AMQPS://me:p%2Fq%40r@[::1]:5671/shop?heartbeat=5",
            "amqp://me:first,second@host.example:5672",
            "amqp://me:a@b@host/x",
            "amqp://me:p:q@host",
        ] {
            assert_eq!(check_address(right, &["amqp", "amqps"]), Ok(()), "{right}");
        }
    }

    #[test]
    fn an_address_that_could_be_read_in_two_ways_is_refused_and_not_repeated() {
        use AddressFault::*;
        for (wrong, fault) in [
            ("me:hunter2@host", Scheme("amqp")),
            ("amqp:me:hunter2@host", Scheme("amqp")),
            ("http://me:hunter2@host", Scheme("amqp")),
            ("hunter2", Scheme("amqp")),
            ("amqp://me:12/hunter2@host:5672", LoginNotEncoded),
            ("amqp://me:/hunter2@host", LoginNotEncoded),
            ("amqp://me:a?hunter2@host", LoginNotEncoded),
            ("amqp://me:a#hunter2@host", LoginNotEncoded),
            ("amqp://me:a\\hunter2@host", LoginNotEncoded),
            ("amqp://me:hunter 2@host", Blank),
            ("amqp://me:hunter2@host\n", Blank),
            ("amqp://me:100%hunter2@host", Percent),
            ("amqp://me:hunter2@", NoHost),
            ("amqp://", NoHost),
            ("amqp://me:hunter2", Port),
            ("amqp://me:hunter2@host:99999", Port),
            ("amqp://host:0", Port),
            ("amqp://host:", Port),
            ("amqp://[::1:5672", Host),
            ("amqp://me:hunter2@ho,st", Host),
        ] {
            let error = check_address(wrong, &["amqp", "amqps"]).expect_err(wrong);
            assert_eq!(error, fault, "{wrong}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }
}
