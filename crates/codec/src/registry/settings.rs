//! Where the registry is, and how long to wait for it.

use std::fmt;
use std::time::Duration;

use super::access::Login;
use super::address::{self, Address, BadRegistryUrl};

/// Default wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Default wait for a whole answer, connection included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// Default limit of an answer. Registries themselves refuse schemas of this size. What is larger
/// counts as an outage that names this limit.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// How to reach the registry; checked.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistrySettings {
    /// Where it is, asked in turn while one is unavailable. User and password of an address are
    /// sent as basic authentication.
    pub(super) addresses: Vec<Address>,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for an answer, connection and body included; per address.
    pub request_timeout: Duration,
    /// Largest answer that is read.
    pub answer_bytes_max: usize,
    /// Authorities to trust in place of the system's, as PEM.
    pub(super) ca_pem: Option<String>,
    /// For addresses without a login of their own.
    pub(super) login: Option<Login>,
}

impl RegistrySettings {
    /// Reads one address or several separated by commas, with the default limits: 1 s to
    /// connect, 3 s for an answer, 1 MiB.
    ///
    /// # Errors
    ///
    /// If there is none, or one is not an http or https address.
    pub fn new(urls: &str) -> Result<Self, BadRegistryUrl> {
        Ok(Self {
            addresses: address::parse(urls)?,
            connect_timeout: CONNECT_TIMEOUT,
            request_timeout: REQUEST_TIMEOUT,
            answer_bytes_max: ANSWER_BYTES_MAX,
            ca_pem: None,
            login: None,
        })
    }
}

impl fmt::Debug for RegistrySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistrySettings")
            .field("addresses", &self.addresses)
            .field("connect_timeout", &self.connect_timeout)
            .field("request_timeout", &self.request_timeout)
            .field("answer_bytes_max", &self.answer_bytes_max)
            .field("has_ca", &self.ca_pem.is_some())
            .field("login", &self.login)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_appears_in_no_text() {
        let settings = RegistrySettings::new("http://me:secret@a:1").unwrap();
        assert!(!format!("{settings:?}").contains("secret"));
        let error = RegistrySettings::new("ftp://me:secret@a:1").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
