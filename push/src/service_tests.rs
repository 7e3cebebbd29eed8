//! What becomes of a record, by what happens on the wire: a server of the test's own answers bytes.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use bytes::Bytes;
use relane::{FailureClass, Header};
use reqwest::Url;
use reqwest::header::HeaderMap;
use service_kit::clock::now_ms;

use super::*;
use crate::body::Content;

/// How long the handler of an attempt may take here.
const LIMIT: Duration = Duration::from_millis(600);

const ATTEMPTS_MAX: u32 = 4;

fn service(address: &str) -> Service {
    let place = Place {
        url: Url::parse(&format!("http://{address}/in?key=s3cret")).unwrap(),
        common: HeaderMap::new(),
        authorities: None,
        handler_timeout: LIMIT,
        attempts_max: ATTEMPTS_MAX,
        batch_max: None,
    };
    Service::new(&place).expect("a client")
}

/// Answers each connection with these bytes, once a whole request has come, and keeps it open for as long as is said.
fn server(answer: &'static [u8], open_for: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut request = Vec::new();
            let mut part = [0; 4096];
            while !request.ends_with(b"\r\n\r\n{}") {
                match stream.read(&mut part) {
                    Ok(bytes) if bytes > 0 => request.extend_from_slice(&part[..bytes]),
                    _ => break,
                }
            }
            let _ = stream.write_all(answer);
            // Holds the connection open until the client lets go, or this long.
            let _ = stream.set_read_timeout(Some(open_for.max(Duration::from_millis(1))));
            let _ = stream.read(&mut part);
        }
    });
    address
}

fn record(attempt: u32, headers: &[(&str, String)]) -> Record<Body> {
    let header = |(name, value): &(&str, String)| -> Header {
        (name.as_bytes().into(), Some(value.as_bytes().into()))
    };
    Record {
        value: Arc::new(Body { content: Content::Json, bytes: Bytes::from_static(b"{}") }),
        key: None,
        headers: headers.iter().map(header).collect(),
        topic: "t".to_owned(),
        partition: 0,
        offset: 1,
        idempotency_key: "t/0/1".to_owned(),
        timestamp_ms: 0,
        written_at_ms: 0,
        attempt,
        redrives: 0,
    }
}

fn handled(service: &Service, record: Record<Body>) -> Result<(), HandleError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(service.handle(record))
}

/// Kind and words of an outcome: `done`, `away`, `again`, `later`, or the class of a failure for good.
fn told(outcome: Result<(), HandleError>) -> (String, String) {
    match outcome {
        Ok(()) => ("done".to_owned(), String::new()),
        Err(HandleError::Away { detail, wait }) if wait.is_zero() => ("away".to_owned(), detail),
        Err(HandleError::Away { detail, wait }) => {
            (format!("away for {} s", wait.as_secs()), detail)
        }
        Err(HandleError::Downstream { failure, wait }) if wait.is_zero() => {
            ("again".to_owned(), failure.detail)
        }
        Err(HandleError::Downstream { failure, wait }) => {
            (format!("in {} s", wait.as_secs()), failure.detail)
        }
        Err(HandleError::Failed(failure)) => {
            assert_eq!(failure.class(), FailureClass::Refused);
            (failure.reason.as_str().to_owned(), failure.detail)
        }
    }
}

#[test]
fn what_happens_on_the_wire_decides_about_the_record() {
    const LONG: Duration = Duration::from_secs(20);
    const CLOSED: Duration = Duration::ZERO;
    let body_too_long: &'static [u8] = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-length: {}\r\n\r\n{}",
        ANSWER_BYTES_MAX + 100,
        "x".repeat(ANSWER_BYTES_MAX + 100)
    )
    .leak()
    .as_bytes();
    for (answer, open_for, kind, words) in [
        (&b"HTTP/1.1 204 No Content\r\n\r\n"[..], LONG, "done", ""),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}", CLOSED, "done", ""),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}", LONG, "done", ""),
        (b"HTTP/1.0 200 OK\r\n\r\nhello", CLOSED, "done", ""),
        (
            b"HTTP/1.1 503 x\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n",
            LONG,
            "in 7 s",
            "503 Service",
        ),
        (b"HTTP/1.1 500 x\r\ncontent-length: 0\r\n\r\n", LONG, "again", "answered: 500"),
        (
            b"HTTP/1.1 422 x\r\ncontent-length: 14\r\n\r\n{\"title\": \"no\"}",
            LONG,
            "http-422",
            "422 Unprocessable",
        ),
        (
            b"HTTP/1.1 422 x\r\ncontent-length: 15\r\n\r\n{\"title\": \"no\"}",
            LONG,
            "http-422",
            "no (422 Unprocessable Entity)",
        ),
        (body_too_long, LONG, "http-400", "400 Bad Request"),
        (
            b"HTTP/1.1 301 x\r\nlocation: /new\r\ncontent-length: 0\r\n\r\n",
            LONG,
            "http-301",
            "/new is not",
        ),
        (b"SSH-2.0-OpenSSH\r\n", LONG, "again", "gave no answer"),
        (b"\0\0\0", CLOSED, "again", "gave no answer"),
        (b"", CLOSED, "again", "gave no answer"),
        (b"HTTP/1.1 200", CLOSED, "again", "gave no answer"),
        (b"", LONG, "again", "within 540ms"),
        (b"HTTP/1.1 2", LONG, "again", "within 540ms"),
    ] {
        let service = service(&server(answer, open_for));
        let began_at = Instant::now();
        let (of, detail) = told(handled(&service, record(1, &[])));
        let shown = String::from_utf8_lossy(&answer[..answer.len().min(60)]).into_owned();
        assert_eq!(of, kind, "{shown:?}: {detail}");
        assert!(detail.contains(words) && !detail.contains("s3cret"), "{shown:?}: {detail}");
        assert!(began_at.elapsed() < Duration::from_secs(10), "{shown:?}");
    }
}

#[test]
fn a_service_that_nobody_can_reach_is_away_and_no_record_is_to_blame() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound").to_string();
    drop(listener);
    for address in [address.as_str(), "nobody.invalid"] {
        let (of, detail) = told(handled(&service(address), record(1, &[])));
        assert_eq!(of, "away", "{detail}");
        assert!(detail.starts_with(&format!("no connection to http://{address}/in: ")), "{detail}");
    }
}

#[test]
fn a_record_is_given_up_for_a_503_only_where_the_service_has_taken_others_since() {
    let service = service(&server(b"HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n", LIMIT));
    let failing_since = |ms: i64| [("x-first-failed-at-ms", ms.to_string())];
    let of =
        |attempt, since: i64| told(handled(&service, record(attempt, &failing_since(since)))).0;
    let now = now_ms();
    assert_eq!(of(1, now), "again", "nothing is decided at the first attempt");
    assert_eq!(of(ATTEMPTS_MAX - 1, now - 5_000), "again");
    assert_eq!(of(ATTEMPTS_MAX, now - 5_000), "away", "it has taken nothing");
    service.evidence.note_worked_at(now - 4_000);
    assert_eq!(of(ATTEMPTS_MAX, now - 5_000), "again", "it has taken another one");
    assert_eq!(of(ATTEMPTS_MAX, now - 3_000), "away", "that was before");
    let other = self::service(&server(b"HTTP/1.1 500 x\r\ncontent-length: 0\r\n\r\n", LIMIT));
    let (of, _) = told(handled(&other, record(ATTEMPTS_MAX, &failing_since(now - 5_000))));
    assert_eq!(of, "again", "500 speaks of the request");
}

#[test]
fn a_service_that_accepts_nothing_and_says_when_to_come_again_is_left_alone_until_then() {
    let answer = b"HTTP/1.1 503 x\r\nretry-after: 90\r\ncontent-length: 0\r\n\r\n";
    let service = service(&server(answer, LIMIT));
    let since = [("x-first-failed-at-ms", (now_ms() - 5_000).to_string())];
    let (of, detail) = told(handled(&service, record(ATTEMPTS_MAX, &since)));
    assert_eq!(of, "away for 90 s", "{detail}");
    assert!(detail.contains("nothing else was accepted") && detail.contains("again in 90s"));
    assert_eq!(told(handled(&service, record(1, &[]))).0, "in 90 s");
}

#[test]
fn a_record_that_was_redriven_fails_since_its_last_attempt_and_not_since_long_ago() {
    let service = service(&server(b"HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n", LIMIT));
    let now = now_ms();
    let headers = [
        ("x-first-failed-at-ms", (now - 9_000_000).to_string()),
        ("x-due-at-ms", (now - 10).to_string()),
    ];
    let redriven =
        || Record { redrives: 1, written_at_ms: now - 5_000, ..record(ATTEMPTS_MAX, &headers) };
    service.evidence.note_worked_at(now - 6_000);
    assert_eq!(told(handled(&service, redriven())).0, "away", "nothing was accepted since");
    service.evidence.note_worked_at(now - 4_000);
    assert_eq!(
        told(handled(&service, redriven())).0,
        "again",
        "before it was due, and since it failed"
    );
}

#[test]
fn a_body_above_the_limit_is_refused_without_a_call() {
    let mut large = record(1, &[]);
    let bytes = Bytes::from(vec![b'x'; BODY_BYTES_MAX + 1]);
    large.value = Arc::new(Body { content: Content::Bytes, bytes });
    let (of, detail) = told(handled(&service("127.0.0.1:1"), large));
    assert_eq!(of, "body-too-large");
    assert!(detail.contains("above the limit of 16777216"), "{detail}");
}

#[test]
fn a_service_behind_tls_and_a_login_is_called_by_whom_it_knows() {
    use testkit::security::{Authority, GuardedRegistry, Validity};

    let dir = tempfile::tempdir().expect("a directory");
    let (ours, theirs) = (Authority::new(dir.path(), "ours"), Authority::new(dir.path(), "theirs"));
    let identity = ours.issue("service", &["127.0.0.1"], Validity::Good);
    let behind = format!("http://{}/in", server(b"HTTP/1.1 204 x\r\n\r\n", LIMIT));
    let front = GuardedRegistry::start(&behind, identity, "Bearer s3cret");
    let token = dir.path().join("token");
    std::fs::write(&token, "s3cret\n").expect("a file");
    let called = |authority: Option<&Authority>, token: Option<&std::path::Path>| {
        let files = crate::access::Files { token, ..Default::default() };
        let place = Place {
            url: crate::access::address(front.url()).expect("an address"),
            common: crate::access::common_headers(files).expect("a token"),
            authorities: authority.map(|it| crate::access::authorities(it.file()).expect("one")),
            handler_timeout: Duration::from_secs(20),
            attempts_max: ATTEMPTS_MAX,
            batch_max: None,
        };
        told(handled(&Service::new(&place).expect("a client"), record(1, &[])))
    };
    assert_eq!(called(Some(&ours), Some(&token)).0, "done");
    assert_eq!(called(Some(&ours), None).0, "http-401");
    for authority in [Some(&theirs), None] {
        let (of, detail) = called(authority, Some(&token));
        assert_eq!(of, "away", "{detail}");
        assert!(detail.contains("its certificate is refused"), "{detail}");
    }
    assert_eq!(front.seen().let_in, 1);
}
