//! Settings that are legal and leave the connection open to others. They are warned of, once.

use rdkafka::config::ClientConfig;

/// What is weak about a configuration, in words.
pub(super) fn of(config: &ClientConfig) -> Vec<&'static str> {
    let value = |key: &str| config.get(key).unwrap_or_default().to_ascii_lowercase();
    let protocol = value("security.protocol");
    let is_tls = protocol.ends_with("ssl");
    let mut found = Vec::new();
    if is_tls
        && matches!(value("enable.ssl.certificate.verification").as_str(), "false" | "f" | "0")
    {
        found.push("enable.ssl.certificate.verification is off: anyone can pose as the broker");
    } else if is_tls && value("ssl.endpoint.identification.algorithm") == "none" {
        found.push(
            "ssl.endpoint.identification.algorithm is none: whoever holds any certificate of the \
             same authority can pose as the broker",
        );
    }
    if protocol == "sasl_plaintext" {
        found.push("security.protocol is sasl_plaintext: the login crosses the network in clear");
    }
    let has_login = config.get("sasl.username").is_some() && config.get("sasl.password").is_some();
    if has_login && !protocol.starts_with("sasl") {
        found.push("user and password are set, but security.protocol does not use them");
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(settings: &[(&str, &str)], expected: &[&str]) {
        let mut config = ClientConfig::new();
        for (key, value) in settings {
            config.set(*key, *value);
        }
        let found = of(&config);
        assert_eq!(found.len(), expected.len(), "{settings:?}: {found:?}");
        for (found, part) in found.iter().zip(expected) {
            assert!(found.starts_with(part), "{found}");
        }
    }

    #[test]
    fn what_switches_verification_off_is_warned_of() {
        let login = [("sasl.username", "me"), ("sasl.password", "x")];
        check(&[], &[]);
        check(&[("security.protocol", "SSL")], &[]);
        check(&[("security.protocol", "sasl_ssl"), login[0], login[1]], &[]);
        let off = ("enable.ssl.certificate.verification", "false");
        check(&[("security.protocol", "SSL"), off], &["enable.ssl"]);
        check(&[off], &[]); // nothing to verify
        let any_host = ("ssl.endpoint.identification.algorithm", "none");
        check(&[("security.protocol", "sasl_ssl"), any_host], &["ssl.endpoint"]);
        check(&[("security.protocol", "SASL_PLAINTEXT"), login[0], login[1]], &["security.p"]);
        check(&login, &["user and password"]);
    }
}
