//! Where the registry is, and how long to wait for it.

use std::fmt;
use std::time::Duration;

use reqwest::Url;

use super::access::Login;

/// Default wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Default wait for a whole answer, connection included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// Default limit of an answer. Registries themselves refuse schemas of this size.
const BODY_BYTES_MAX: usize = 1 << 20;

/// How to reach the registry; checked.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistrySettings {
    /// Base addresses, tried in turn while one is away. User and password in an address are
    /// sent as basic authentication.
    pub urls: Vec<Url>,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for an answer, connection and body included; per address.
    pub request_timeout: Duration,
    /// Largest answer that is read.
    pub body_bytes_max: usize,
    /// Authorities to trust in place of the system's, as PEM.
    pub(super) ca_pem: Option<String>,
    /// For addresses without a user of their own.
    pub(super) login: Option<Login>,
}

/// A registry address that cannot be used: a mistake in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "schema registry address {address:?}: {reason}; give http://host:8081, several separated by commas"
)]
pub struct BadRegistryUrl {
    address: String,
    reason: String,
}

impl BadRegistryUrl {
    pub(super) fn new(address: &str, reason: impl Into<String>) -> Self {
        // An address that does not parse may still hold a password.
        let address = address.rsplit_once('@').map_or(address, |(_, host)| host).to_owned();
        Self { address, reason: reason.into() }
    }
}

impl RegistrySettings {
    /// Reads one address or several separated by commas, with the default limits: 1 s to
    /// connect, 3 s for an answer, 1 MiB.
    ///
    /// # Errors
    ///
    /// If there is none, or one is not an http or https address.
    pub fn new(urls: &str) -> Result<Self, BadRegistryUrl> {
        let urls = urls
            .split(',')
            .map(str::trim)
            .filter(|url| !url.is_empty())
            .map(parse)
            .collect::<Result<Vec<_>, _>>()?;
        if urls.is_empty() {
            return Err(BadRegistryUrl::new("", "there is no address"));
        }
        Ok(Self {
            urls,
            connect_timeout: CONNECT_TIMEOUT,
            request_timeout: REQUEST_TIMEOUT,
            body_bytes_max: BODY_BYTES_MAX,
            ca_pem: None,
            login: None,
        })
    }
}

fn parse(address: &str) -> Result<Url, BadRegistryUrl> {
    let url =
        Url::parse(address).map_err(|error| BadRegistryUrl::new(address, error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(BadRegistryUrl::new(address, "its scheme is neither http nor https"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(BadRegistryUrl::new(address, "it has a query or a fragment"));
    }
    Ok(url)
}

/// Without user and password.
pub(super) fn redacted(url: &Url) -> String {
    let mut url = url.clone();
    // Both can only fail for addresses without a host, which have no user either.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.as_str().trim_end_matches('/').to_owned()
}

impl fmt::Debug for RegistrySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistrySettings")
            .field("urls", &self.urls.iter().map(redacted).collect::<Vec<_>>())
            .field("connect_timeout", &self.connect_timeout)
            .field("request_timeout", &self.request_timeout)
            .field("body_bytes_max", &self.body_bytes_max)
            .field("has_ca", &self.ca_pem.is_some())
            .field("login", &self.login)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&[&str], &str>) {
        match (RegistrySettings::new(text), expected) {
            (Ok(settings), Ok(urls)) => {
                assert_eq!(settings.urls.iter().map(redacted).collect::<Vec<_>>(), urls);
            }
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (found, expected) => panic!("{text}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn several_addresses_are_separated_by_commas() {
        check("http://a:8081", Ok(&["http://a:8081"]));
        check("http://a:8081/, https://b/apis/v7,", Ok(&["http://a:8081", "https://b/apis/v7"]));
    }

    #[test]
    fn an_address_that_is_none_is_named_with_what_to_do() {
        check("", Err("there is no address"));
        check("localhost:8081", Err("neither http nor https"));
        check("a b", Err("\"a b\""));
        check("http://a?x=1", Err("query"));
    }

    #[test]
    fn a_password_appears_in_no_text() {
        let settings = RegistrySettings::new("http://me:secret@a:1").unwrap();
        assert!(!format!("{settings:?}").contains("secret"));
        let error = RegistrySettings::new("ftp://me:secret@a:1").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
