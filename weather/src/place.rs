//! Where a store is, and how it is entered. Secrets stand in the address or in a file, and in no text.

use std::fmt;
use std::path::Path;

use native_tls::{Certificate, TlsConnector};
use redis::{IntoConnectionInfo as _, RedisConnectionInfo};
use service_kit::exit::{AppError, require};
use service_kit::flag_file::{first_line, read};
use service_kit::secret::check_address;

/// A store, by its name in messages, metrics and flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brand {
    /// Where the consumer of Kafka counts.
    Redis,
    /// Where the consumer of RabbitMQ counts.
    Valkey,
}

impl Brand {
    /// In messages.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Redis => "Redis",
            Self::Valkey => "Valkey",
        }
    }

    /// In metrics, and in names of flags.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Valkey => "valkey",
        }
    }
}

/// A store, and how it is entered.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) brand: Brand,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) login: RedisConnectionInfo,
    /// For `rediss://`.
    pub(crate) tls: Option<TlsConnector>,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("address", &self.address()).finish_non_exhaustive()
    }
}

impl Place {
    /// Checks an address, and reads the files that belong to it.
    ///
    /// # Errors
    ///
    /// Fails with exit code 2 and names the flag; what may be a secret is not repeated.
    pub(crate) fn check(
        brand: Brand,
        url: &str,
        password_file: Option<&Path>,
        authorities: Option<&Path>,
    ) -> Result<Self, AppError> {
        let label = brand.label();
        let wrong = |why: &str| {
            AppError::usage(format!("--{label}-url is not an address of {}: {why}", brand.name()))
                .hint("write redis://[USER:PASSWORD@]HOST:6379[/DB], or rediss:// for TLS")
        };
        check_address(url, &["redis", "rediss"]).map_err(|fault| wrong(&fault.to_string()))?;
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let is_tls = scheme.eq_ignore_ascii_case("rediss");
        // TLS is ours: the library's takes no authorities with OpenSSL.
        let info = format!("redis://{rest}").into_connection_info();
        let info = info.map_err(|_| wrong("its database or its parameters cannot be read"))?;
        let redis::ConnectionAddr::Tcp(host, port) = info.addr() else {
            return Err(wrong("it has no host"));
        };
        let mut login = info.redis_settings().clone().set_skip_set_lib_name();
        if let Some(file) = password_file {
            let flag = format!("--{label}-password-file");
            require(login.password().is_none(), || {
                format!("--{label}-url and {flag} both give a password; leave one of them out")
            })?;
            login = login.set_password(first_line(&flag, file)?);
        }
        let ca = format!("--{label}-ca");
        require(is_tls || authorities.is_none(), || {
            format!("{ca} is for TLS; write --{label}-url rediss://…")
        })?;
        let tls = is_tls.then(|| connector(&ca, authorities)).transpose()?;
        if login.password().is_some() && !is_tls && !is_of_this_machine(host) {
            tracing::warn!(
                store = brand.name(),
                "the password goes over an open connection, which everyone on the way can read"
            );
        }
        Ok(Self { brand, host: host.clone(), port: *port, login, tls })
    }

    /// Host and port.
    pub(crate) fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

fn is_of_this_machine(host: &str) -> bool {
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn connector(flag: &str, authorities: Option<&Path>) -> Result<TlsConnector, AppError> {
    let mut builder = TlsConnector::builder();
    if let Some(file) = authorities {
        let pem = read(flag, file)?;
        let all = Certificate::stack_from_pem(pem.as_bytes()).unwrap_or_default();
        require(!all.is_empty(), || format!("{flag} {} holds no PEM certificate", file.display()))?;
        builder.disable_built_in_roots(true);
        for authority in all {
            builder.add_root_certificate(authority);
        }
    }
    builder.build().map_err(|error| AppError::failed(format!("no TLS: {error}")))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use service_kit::exit::ExitStatus;
    use tempfile::NamedTempFile;

    use super::*;

    fn file(text: &str) -> NamedTempFile {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn an_address_has_a_host_and_perhaps_a_login_a_database_and_tls() {
        let place = |url: &str| Place::check(Brand::Redis, url, None, None).unwrap();
        assert_eq!(place("redis://localhost").address(), "localhost:6379");
        let all = place("rediss://me:hunter2@store.example:7000/3");
        assert_eq!((all.address().as_str(), all.tls.is_some()), ("store.example:7000", true));
        assert_eq!(all.login.username(), Some("me"));
        assert_eq!(all.login.password(), Some("hunter2"));
        assert!(!format!("{all:?}").contains("hunter2"), "{all:?}");
        let secret = file("hunter2\nmore");
        let entered = Place::check(Brand::Valkey, "redis://a", Some(secret.path()), None).unwrap();
        assert_eq!(entered.login.password(), Some("hunter2"));
    }

    #[test]
    fn what_cannot_be_used_is_a_usage_error_that_names_the_flag_and_no_secret() {
        let (secret, empty) = (file("hunter2"), file(""));
        let gone = Path::new("/hunter2");
        for (url, password, ca, part) in [
            ("http://:hunter2@a", None, None, "--valkey-url"),
            ("hunter2", None, None, "--valkey-url"),
            ("redis://me:hunter2/x@a", None, None, "percent-encoded"),
            ("redis://a/hunter2", None, None, "--valkey-url"),
            ("redis://:hunter2@a", Some(secret.path()), None, "both give a password"),
            ("redis://a", Some(empty.path()), None, "--valkey-password-file"),
            ("redis://a", Some(gone), None, "--valkey-password-file"),
            ("rediss://a", None, Some(secret.path()), "holds no PEM certificate"),
            ("redis://a", None, Some(secret.path()), "--valkey-ca is for TLS"),
        ] {
            let error = Place::check(Brand::Valkey, url, password, ca).expect_err(part);
            assert_eq!(error.status(), ExitStatus::Usage, "{part}");
            let told = error.render("weather");
            assert!(told.contains(part) && !told.contains("hunter2"), "{part}: {told}");
        }
    }
}
