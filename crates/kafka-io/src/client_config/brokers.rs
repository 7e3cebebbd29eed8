//! The list of brokers to start from. librdkafka takes what it can of it: port 99999 becomes another
//! one, and what it cannot read it leaves out.

/// Security protocols that may stand before a broker, as librdkafka reads them.
const PROTOCOLS: [&str; 4] = ["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"];

/// What is wrong with an entry of the list. What may be a secret is not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadBroker {
    /// It has a user or password.
    #[error(
        "the list of brokers contains an '@': user and password do not belong there; \
         use KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"
    )]
    Login,
    /// A scheme that is no security protocol.
    #[error("broker {0} of the list: write HOST:PORT, without http:// or the like")]
    Scheme(usize),
    /// A host that is none.
    #[error(
        "broker {0} of the list: its host is not a name or an address; write HOST:PORT, an IPv6 \
         address in brackets"
    )]
    Host(usize),
    /// A port that is none.
    #[error("broker {0} of the list ({1}): its port is not a number from 1 to 65535")]
    Port(usize, String),
}

/// Returns the list without blanks and empty entries; `None` if nothing is left.
///
/// # Errors
///
/// Fails if an entry is not `HOST`, `HOST:PORT` or `PROTOCOL://HOST:PORT`.
pub(super) fn checked(list: &str) -> Result<Option<String>, BadBroker> {
    if list.contains('@') {
        return Err(BadBroker::Login);
    }
    let mut brokers = Vec::new();
    for broker in list.split(',').map(str::trim).filter(|broker| !broker.is_empty()) {
        check(broker, brokers.len() + 1)?;
        brokers.push(broker);
    }
    Ok((!brokers.is_empty()).then(|| brokers.join(",")))
}

fn check(broker: &str, number: usize) -> Result<(), BadBroker> {
    let place = match broker.split_once("://") {
        Some((protocol, place)) if PROTOCOLS.contains(&&*protocol.to_ascii_lowercase()) => place,
        Some(_) => return Err(BadBroker::Scheme(number)),
        None => broker,
    };
    let (host, port, is_host) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']'))
    {
        Some((host, port)) => (host, port, host.parse::<std::net::Ipv6Addr>().is_ok()),
        None => {
            let (host, port) = place.split_at(place.find(':').unwrap_or(place.len()));
            (host, port, is_host_name(host))
        }
    };
    if !is_host || port.matches(':').count() > 1 {
        return Err(BadBroker::Host(number));
    }
    let is_port = |port: &str| {
        let is_number = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        is_number && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
        // A few digits are no secret.
        let is_short_number = (2..=6).contains(&port.len())
            && port.starts_with(':')
            && port.bytes().skip(1).all(|b| b.is_ascii_digit());
        let shown = if is_short_number { format!("{host}{port}") } else { host.to_owned() };
        return Err(BadBroker::Port(number, shown));
    }
    Ok(())
}

fn is_host_name(host: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    !host.is_empty() && host.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_a_host_and_a_port() {
        for (list, checked_list) in [
            ("localhost:9092", "localhost:9092"),
            (" a:1, ,b_c-d.example:65535 ", "a:1,b_c-d.example:65535"),
            ("a", "a"),
            ("[::1]:9092,[fe80::1]", "[::1]:9092,[fe80::1]"),
            ("SASL_SSL://a:9093,plaintext://b:1", "SASL_SSL://a:9093,plaintext://b:1"),
        ] {
            assert_eq!(checked(list), Ok(Some(checked_list.to_owned())), "{list}");
        }
        assert_eq!(checked(" , "), Ok(None));
    }

    #[test]
    fn a_port_that_is_none_is_an_error_and_not_another_port() {
        for port in ["99999", "65536", "0", "", "-1", "+1", "9092x", "x", "9092/", " 9092", "0x1"] {
            let error = checked(&format!("a:1,127.0.0.1:{port}")).unwrap_err();
            let BadBroker::Port(2, shown) = error else { panic!("{port:?}: {error}") };
            let is_number = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
            let whole = format!("127.0.0.1:{port}");
            assert_eq!(shown, if is_number { whole.as_str() } else { "127.0.0.1" });
        }
        for host in ["", ":1", "::1", "::1:9092", "a b:1", "[x]:1", "a:1:2", "[::1", "a/b:1"] {
            let error = checked(&format!("a:1,{host}")).err();
            assert_eq!(error, (!host.is_empty()).then_some(BadBroker::Host(2)), "{host:?}");
        }
        assert_eq!(checked("http://a:1"), Err(BadBroker::Scheme(1)));
    }

    #[test]
    fn a_login_in_the_list_is_refused_and_not_repeated() {
        for list in [
            "me:hunter2@a:1",
            "SASL_SSL://me:hunter2@a:1",
            "me:hun,hunter2@a:1",
            "b:1,me:hunter2@a",
            "me:hunter2",
            "hunter2://a:1",
            "hunter2 x:1",
            "me:9092/hunter2",
        ] {
            let error = checked(list).expect_err(list);
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }
}
