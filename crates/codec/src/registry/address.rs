//! The addresses of a registry, taken apart at the edge: what leaves this module is an address
//! without user and password, and a login that no text shows.

use std::borrow::Cow;
use std::fmt;

use reqwest::Url;

use super::access::Login;

/// Where a registry is, and who asks it there.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// Without user and password.
    pub(super) url: Url,
    /// User and password that stood in the address.
    pub(super) login: Option<Login>,
}

impl Address {
    /// The address for messages.
    pub(super) fn shown(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.shown())
    }
}

/// A registry address that cannot be used: a mistake in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "schema registry address {which}: {reason}; give http://host:8081, several separated by commas"
)]
pub struct BadRegistryUrl {
    which: String,
    reason: String,
}

impl BadRegistryUrl {
    /// For addresses that were taken apart, as they are shown.
    pub(super) fn new(shown: &str, reason: impl Into<String>) -> Self {
        Self { which: format!("{shown:?}"), reason: reason.into() }
    }
}

/// Takes addresses apart that are separated by commas. A comma separates only where `http://` or
/// `https://` follows it, so that a password with a comma is one mistake and not two addresses.
pub(super) fn parse(text: &str) -> Result<Vec<Address>, BadRegistryUrl> {
    let mut written: Vec<String> = Vec::new();
    for piece in text.split(',') {
        match written.last_mut() {
            Some(last) if without_scheme(piece.trim_start()).is_none() => {
                last.push(',');
                last.push_str(piece);
            }
            _ => written.push(piece.to_owned()),
        }
    }
    let trimmed = written.iter().map(|address| address.trim_matches([' ', ',', '\t', '\r', '\n']));
    let addresses: Vec<&str> = trimmed.filter(|address| !address.is_empty()).collect();
    if addresses.is_empty() {
        return Err(BadRegistryUrl::new("", "the address is missing"));
    }
    // Where one address has a login, a part of another may be a part of its password.
    let has_login = text.contains('@');
    let one = |(index, address): (usize, &&str)| {
        parse_one(address).map_err(|reason| {
            let which = if !has_login && has_nothing_secret(address) {
                format!("{address:?}")
            } else {
                format!("number {} (not shown, since it may hold a password)", index + 1)
            };
            BadRegistryUrl { which, reason: reason.into_owned() }
        })
    };
    addresses.iter().enumerate().map(one).collect()
}

fn parse_one(text: &str) -> Result<Address, Cow<'static, str>> {
    let rest = without_scheme(text).ok_or("its scheme is neither http nor https")?;
    if text.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\\') {
        return Err("it holds a blank, a backslash or a control character".into());
    }
    if text.contains(',') {
        return Err("the text after a comma is not an \
                    address; in a user or password a comma is written as %2C"
            .into());
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if path.contains('@') {
        return Err("an '@' follows the host; in a user or password '/', '?' and '#' are written \
                    as %2F, %3F and %23"
            .into());
    }
    if path.contains(['?', '#']) {
        return Err("it has a query or a fragment".into());
    }
    if authority.rsplit('@').next().is_none_or(|host| host.is_empty() || host.starts_with(':')) {
        return Err("it has no host".into());
    }
    // The library's words are fixed and repeat nothing of the address.
    let mut url = Url::parse(text).map_err(|error| error.to_string())?;
    let decoded =
        |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let password = url.password().map(decoded);
    let has_login = !url.username().is_empty() || password.is_some();
    let login = has_login.then(|| Login::Basic { user: decoded(url.username()), password });
    let is_bare = url.set_username("").is_ok() && url.set_password(None).is_ok();
    if is_bare { Ok(Address { url, login }) } else { Err("it has no host".into()) }
}

/// What follows `http://` or `https://`.
fn without_scheme(text: &str) -> Option<&str> {
    ["http://", "https://"].iter().find_map(|scheme| {
        let (start, rest) = text.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

/// Whether an address surely has no user or password, complete or cut off.
fn has_nothing_secret(address: &str) -> bool {
    let Some((_, rest)) = address.split_once("://") else {
        // What is no address may be anything, but for a host and its port.
        let host_and_port = address.split_once(':');
        return host_and_port.is_some_and(|(host, port)| {
            let is_digit = |byte: u8| byte.is_ascii_digit();
            let is_hosts = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
            !port.is_empty() && port.bytes().all(is_digit) && host.bytes().all(is_hosts)
        });
    };
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let port = authority.split_once(':').map_or("", |(_, port)| port);
    !address.contains(['@', '%', '?', '#']) && port.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&[&str], &str>) {
        match (parse(text), expected) {
            (Ok(found), Ok(urls)) => {
                assert_eq!(found.iter().map(Address::shown).collect::<Vec<_>>(), urls);
            }
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (found, expected) => panic!("{text}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn several_addresses_are_separated_by_commas() {
        check("http://a:8081", Ok(&["http://a:8081"]));
        check("http://a:8081/, https://b/apis/v7,", Ok(&["http://a:8081", "https://b/apis/v7"]));
        check("http://me:x@a:1,HTTP://b:2", Ok(&["http://a:1", "http://b:2"]));
        check("http://a:1,http://me:x@b:2/v7", Ok(&["http://a:1", "http://b:2/v7"]));
    }

    #[test]
    fn an_address_that_is_none_is_named_with_what_to_do() {
        check("", Err("the address is missing"));
        check(" , ", Err("the address is missing"));
        check("localhost:8081", Err("\"localhost:8081\": its scheme is neither http nor https"));
        check("a b", Err("neither http nor https"));
        check("http://a b", Err("a blank"));
        check("http://a?x=1", Err("query"));
        check(
            "http://a:8081,b:8081",
            Err("number 1 (not shown, since it may hold a password): the text after a comma"),
        );
        check("http://:8081", Err("no host"));
        check("http:///v7", Err("no host"));
        check("http://a:99999", Err("\"http://a:99999\": invalid port number"));
    }

    #[test]
    fn user_and_password_are_taken_out_of_the_address_and_decoded() {
        let login = |text| parse(text).expect("an address").remove(0).login;
        let basic = |user: &str, password: &str| {
            Some(Login::Basic { user: user.to_owned(), password: Some(password.to_owned()) })
        };
        assert_eq!(login("http://a:1"), None);
        assert_eq!(login("http://me:pass%20word@a:1"), basic("me", "pass word"));
        assert_eq!(login("http://me:first%2Csecond%2F@a:1"), basic("me", "first,second/"));
        assert_eq!(login("http://me:x:y@z@a:1"), basic("me", "x:y@z"));
    }

    #[test]
    fn a_password_with_a_separator_is_refused_with_the_way_to_write_it_and_not_repeated() {
        for (text, advice) in [
            ("http://someuser:first,second77@127.0.0.1:9", "%2C"),
            ("http://someuser:123/second77@127.0.0.1:9", "%2F"),
            ("http://someuser:/second77@127.0.0.1:9", "%2F"),
            ("http://someuser:12?second77@127.0.0.1:9", "%3F"),
            ("http://someuser:12#second77@127.0.0.1:9", "%23"),
            ("http://someuser:12\\second77@127.0.0.1:9", "backslash"),
            ("http://a:1,http://someuser:1,second77@127.0.0.1:9", "number 2"),
            ("http://someuser:second77", "port"),
            ("someuser:second77@127.0.0.1:9", "neither http nor https"),
            ("http:someuser:second77@127.0.0.1:9", "neither http nor https"),
            ("http://someuser:second77@", "no host"),
            ("http://someuser:second77@:9", "no host"),
            ("http://someuser%3Asecond77%40127.0.0.1:9", "host"),
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains(advice), "{text}: {error}");
            for part in ["someuser", "first", "second", "77", "123", "12"] {
                assert!(!error.contains(part), "{text}: {error}");
            }
        }
    }

    proptest! {
        /// Whatever the password looks like, written as it is or escaped, no text shows it, and
        /// what is asked is the host that stands behind the last '@', or nobody.
        #[test]
        fn no_text_shows_a_password_and_no_part_of_it_becomes_a_host(
            before in "[a-z0-9,/?#@:%\\\\ \\[\\]\"'&+=;|<>^`{}~!$*()._-]{0,12}",
            after in "[a-z0-9,/?#@:%\\\\ \\[\\]\"'&+=;|<>^`{}~!$*()._-]{0,12}",
            shape in 0..6usize,
        ) {
            const CANARY: &str = "Kanarienvogel";
            let secret = format!("{before}{CANARY}{after}");
            let text = match shape {
                0 => format!("http://user:{secret}@registry.example:9"),
                1 => format!("https://{secret}@registry.example"),
                2 => format!("http://registry.example:1,http://user:{secret}@registry.example:9"),
                3 => format!("http://user:{secret}@registry.example:9,http://registry.example"),
                4 => format!("user:{secret}@registry.example:9"),
                _ => format!("{secret}:{secret}@registry.example:9/v7"),
            };
            match parse(&text) {
                Err(error) => prop_assert!(!format!("{error} {error:?}").contains(CANARY), "{error}"),
                Ok(addresses) => for address in &addresses {
                    prop_assert_eq!(address.url.host_str(), Some("registry.example"));
                    let shown = format!("{address:?} {:?} {}", address.login, address.url);
                    prop_assert!(!shown.contains(CANARY), "{shown}");
                }
            }
        }
    }
}
