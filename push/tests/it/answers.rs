//! What becomes of a record, by what the service answers.

use std::time::Duration;

use testkit::machine;

use crate::receiver::{Call, Receiver, Reply};
use crate::rig::Rig;

/// Seconds that the service asks to be left alone.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Does what the body says: a status for good, or one for the first attempt only.
fn obey(call: &Call, number: usize) -> Reply {
    let text = call.text();
    let words: Vec<&str> = text.split(' ').collect();
    match (words[0], number) {
        ("well", _) | ("once", 2..) => Reply::status(200),
        ("once", _) => {
            let lines = match words.get(2) {
                Some(seconds) => format!("retry-after: {seconds}\r\n"),
                None => String::new(),
            };
            Reply::Status(words[1].parse().expect("a status"), lines, Duration::ZERO)
        }
        ("problem", _) => {
            Reply::Problem(words[1].parse().expect("a status"), "No such user".into())
        }
        ("moved", _) => Reply::Status(
            308,
            "location: https://b.example/new?key=s3cret\r\n".into(),
            Duration::ZERO,
        ),
        (status, _) => Reply::status(status.parse().expect("a status")),
    }
}

#[test]
fn the_answer_decides_what_becomes_of_its_record() {
    // What the body asks for; how often it is called; class, reason and detail of the dead letter.
    let rows: [(&str, usize, Option<[&str; 3]>); 17] = [
        ("well", 1, None),
        ("204", 1, None),
        ("299", 1, None),
        ("once 408", 2, None),
        ("once 425", 2, None),
        ("once 429 2", 2, None),
        ("once 500", 2, None),
        ("once 503 2", 2, None),
        ("once 599", 2, None),
        ("400", 1, Some(["refused", "http-400", "400 Bad Request"])),
        ("401", 1, Some(["refused", "http-401", "401 Unauthorized"])),
        ("404", 1, Some(["refused", "http-404", "404 Not Found"])),
        ("409", 1, Some(["refused", "http-409", "409 Conflict"])),
        (
            "problem 422",
            1,
            Some(["refused", "http-422", "No such user (422 Unprocessable Entity)"]),
        ),
        ("moved", 1, Some(["refused", "http-308", "a redirect to https://b.example/new is not"])),
        ("500", 3, Some(["transient", "handler", "answered: 500 Internal Server Error"])),
        ("well", 1, None),
    ];
    let _machine = machine::shared();
    let rig = Rig::new(1);
    rig.send(rows.iter().map(|(body, ..)| ("k", (*body).to_owned())));
    let receiver = Receiver::start(obey);
    let finished = rig.push_all(&receiver.url(), &["--max-retries", "2"]);
    let stats = finished.stats();
    assert_eq!((stats["succeeded"].as_u64(), stats["dead_lettered"].as_u64()), (Some(10), Some(7)));
    assert!(finished.stderr.contains("the service refuses push's login"), "{}", finished.stderr);
    assert!(!finished.stderr.contains("s3cret"), "{}", finished.stderr);
    let (calls, letters) = (receiver.calls(), rig.dead_letters());
    for (offset, (body, times, letter)) in rows.into_iter().enumerate() {
        let of: Vec<&Call> = calls.iter().filter(|call| call.id() == rig.id(offset)).collect();
        assert_eq!(of.len(), times, "{body}");
        for (call, attempt) in of.iter().zip(1..) {
            assert_eq!(call.header("ce-attempt"), Some(attempt.to_string().as_str()), "{body}");
        }
        if body.ends_with(" 2") {
            let waited = of[1].at - of[0].at;
            assert!(waited >= RETRY_AFTER, "{body}: asked again after {waited:?}");
        }
        let at = i64::try_from(offset).expect("few");
        let found = letters.iter().find(|found| found.origin() == (0, at));
        assert_eq!(found.is_some(), letter.is_some(), "{body}");
        let Some((found, [class, reason, detail])) = found.zip(letter) else { continue };
        assert_eq!(found.header_text("x-failure-class"), class, "{body}");
        assert_eq!(found.header_text("x-failure-reason"), reason, "{body}");
        let told = found.header_text("x-failure-detail");
        assert!(told.contains(detail) && !told.contains("s3cret"), "{body}: {told}");
    }
}
