//! Permissions, granted over the wire: Kafka's own tool takes a second for each.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::wait;

/// Longest wait for the broker's answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Keys of the requests.
const DESCRIBE_ACLS: i16 = 29;
const CREATE_ACLS: i16 = 30;
const DELETE_ACLS: i16 = 31;

/// Version of all: the last without tagged fields.
const VERSION: i16 = 1;

/// Stands for any permission type in a filter.
const ANY: i8 = 1;

const TOPIC: i8 = 2;
const GROUP: i8 = 3;
const CLUSTER: i8 = 4;
const TRANSACTIONAL_ID: i8 = 5;
const LITERAL: i8 = 3;
const PREFIXED: i8 = 4;
const ALLOW: i8 = 3;

/// One permission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The operation as Kafka's documentation names it.
    pub operation: &'static str,
    /// The kind of resource in the words of the product's errors.
    pub kind: &'static str,
    /// Name of the resource.
    pub name: String,
    pattern: i8,
}

impl Grant {
    /// An operation on a topic.
    pub fn topic(operation: &'static str, name: &str) -> Self {
        Self { operation, kind: "topic", name: name.to_owned(), pattern: LITERAL }
    }

    /// An operation on a consumer group.
    pub fn group(operation: &'static str, name: &str) -> Self {
        Self { operation, kind: "group", name: name.to_owned(), pattern: LITERAL }
    }

    /// An operation on all transactional ids that start with `prefix`.
    pub fn transactional_ids(operation: &'static str, prefix: &str) -> Self {
        let kind = "transactional id";
        Self { operation, kind, name: prefix.to_owned(), pattern: PREFIXED }
    }

    /// An operation on the cluster.
    pub fn cluster(operation: &'static str) -> Self {
        Self { operation, kind: "cluster", name: "kafka-cluster".to_owned(), pattern: LITERAL }
    }

    /// Permission or filter: their forms are alike.
    fn write(&self, principal: &str, permission: i8, bytes: &mut Vec<u8>) {
        let kind = match self.kind {
            "topic" => TOPIC,
            "group" => GROUP,
            "cluster" => CLUSTER,
            _ => TRANSACTIONAL_ID,
        };
        let operation: i8 = match self.operation {
            "Read" => 3,
            "Write" => 4,
            "Create" => 5,
            "Delete" => 6,
            "Describe" => 8,
            "DescribeConfigs" => 10,
            other => panic!("{other} is no operation that a test grants"),
        };
        bytes.extend(kind.to_be_bytes());
        write_string(&self.name, bytes);
        bytes.extend(self.pattern.to_be_bytes());
        write_string(principal, bytes);
        write_string("*", bytes); // from any host
        bytes.extend(operation.to_be_bytes());
        bytes.extend(permission.to_be_bytes());
    }
}

/// Grants permissions to principals such as `User:alice`, in one request, and waits until the
/// broker heeds them.
///
/// # Panics
///
/// Panics when the broker does not do so.
pub fn grant(broker: &str, grants: &[(String, Grant)]) {
    let Some((last_principal, last)) = grants.last() else { return };
    let mut request = head(CREATE_ACLS);
    request.extend(length(grants.len()).to_be_bytes());
    for (principal, grant) in grants {
        grant.write(principal, ALLOW, &mut request);
    }
    let answer = ask(broker, &request).expect("the broker answers");
    // Correlation, throttle time, count; then per grant an error code and a nullable text.
    let mut rest = &answer[12..];
    for (principal, grant) in grants {
        let (code, text) = read_result(&mut rest).expect("an answer for each grant");
        assert_eq!(code, 0, "{principal}, {grant:?}: {text}");
    }
    // The controller knows them; the broker takes them over in their order.
    let mut question = head(DESCRIBE_ACLS);
    last.write(last_principal, ANY, &mut question);
    wait::is_true("the broker heeding a permission", ANSWER_MAX, || {
        let answer = ask(broker, &question).expect("the broker answers");
        let mut rest = &answer[8..]; // correlation, throttle time
        read_result(&mut rest).expect("a result");
        rest.first_chunk::<4>().is_some_and(|count| i32::from_be_bytes(*count) > 0)
    });
}

/// Takes one permission away.
///
/// # Panics
///
/// Panics when the broker does not do so.
pub fn revoke(broker: &str, principal: &str, grant: &Grant) {
    let mut request = head(DELETE_ACLS);
    request.extend(length(1).to_be_bytes());
    grant.write(principal, ANY, &mut request);
    let answer = ask(broker, &request).expect("the broker answers");
    let (code, text) = read_result(&mut &answer[12..]).expect("an answer for the filter");
    assert_eq!(code, 0, "{principal}, {grant:?}: {text}");
}

fn head(key: i16) -> Vec<u8> {
    let mut request = Vec::new();
    request.extend(key.to_be_bytes());
    request.extend(VERSION.to_be_bytes());
    request.extend(1_i32.to_be_bytes()); // correlation
    write_string("testkit", &mut request);
    request
}

fn ask(broker: &str, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(broker)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.write_all(&length(request.len()).to_be_bytes())?;
    stream.write_all(request)?;
    let mut size = [0; 4];
    stream.read_exact(&mut size)?;
    let mut answer = vec![0; usize::try_from(i32::from_be_bytes(size)).expect("a length")];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

fn length(count: usize) -> i32 {
    i32::try_from(count).expect("a test's request is small")
}

fn write_string(text: &str, bytes: &mut Vec<u8>) {
    bytes.extend(i16::try_from(text.len()).expect("a name").to_be_bytes());
    bytes.extend(text.as_bytes());
}

fn read_result(rest: &mut &[u8]) -> Option<(i16, String)> {
    let (code, after) = rest.split_first_chunk::<2>()?;
    let (size, after) = after.split_first_chunk::<2>()?;
    let size = usize::try_from(i16::from_be_bytes(*size)).unwrap_or(0); // -1 is null
    let (text, after) = after.split_at_checked(size)?;
    *rest = after;
    Some((i16::from_be_bytes(*code), String::from_utf8_lossy(text).into_owned()))
}
