//! The least of an HTTP client: one request, one answer, one connection.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// Longest wait for a read or a write.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// Status code.
    pub status: u16,
    /// Headers, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body as text.
    pub body: String,
}

impl HttpAnswer {
    /// Value of the first header of this name, which is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Body as JSON.
    ///
    /// # Panics
    ///
    /// Panics when it is not.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Asks for a path.
///
/// # Errors
///
/// If there is no connection, or no answer of HTTP in time.
pub fn get(address: &str, path: &str) -> io::Result<HttpAnswer> {
    request(address, "GET", path, &[], b"")
}

/// Sends a JSON body with a POST.
///
/// # Errors
///
/// As [`get`].
pub fn post_json(
    address: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> io::Result<HttpAnswer> {
    let mut all = vec![("content-type", "application/json")];
    all.extend_from_slice(headers);
    request(address, "POST", path, &all, body.as_bytes())
}

/// Sends any request.
///
/// # Errors
///
/// As [`get`]; the connection may break before the whole answer has come.
pub fn request(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<HttpAnswer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_write_timeout(Some(ANSWER_MAX))?;
    let mut text = format!("{method} {path} HTTP/1.0\r\nhost: {address}\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    stream.write_all(&bytes)?;
    read_answer(&mut stream)
}

/// Reads one answer, to the end of the connection.
///
/// # Errors
///
/// As [`request`].
pub fn read_answer(stream: &mut TcpStream) -> io::Result<HttpAnswer> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    parse(&text)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("no answer: {text:?}")))
}

fn parse(text: &str) -> Option<HttpAnswer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    let headers: Vec<_> = lines.map(header).collect::<Option<_>>()?;
    let declared = headers.iter().find(|(name, _)| name == "content-length");
    let declared: Option<usize> = match declared {
        Some((_, value)) => Some(value.parse().ok()?),
        None => None,
    };
    // A body that was cut off is no answer.
    declared.is_none_or(|length| length == body.len()).then_some(())?;
    Some(HttpAnswer { status, headers, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_status_headers_and_a_body() {
        let answer = parse("HTTP/1.0 503 Service Unavailable\r\nA: b\r\n\r\n{}\r\n\r\nx").unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (503, "{}\r\n\r\nx"));
        assert_eq!((answer.header("a"), answer.header("c")), (Some("b"), None));
        assert_eq!(parse("SSH-2.0"), None);
    }

    #[test]
    fn half_an_answer_is_none() {
        assert_eq!(parse("HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\n{}"), None);
        assert!(parse("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}").is_some());
    }
}
