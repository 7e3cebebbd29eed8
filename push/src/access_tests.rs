//! Logins from files, and what is refused without being repeated.

use std::io::Write as _;
use std::path::PathBuf;

use service_kit::exit::ExitStatus;
use tempfile::NamedTempFile;

use super::*;

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("it is written");
    file
}

#[derive(Default)]
struct Given {
    token: Option<NamedTempFile>,
    basic: Option<NamedTempFile>,
    headers: Option<NamedTempFile>,
}

impl Given {
    fn read(&self) -> Result<HeaderMap, AppError> {
        let path = |file: &Option<NamedTempFile>| file.as_ref().map(|it| it.path().to_owned());
        let paths: [Option<PathBuf>; 3] = [&self.token, &self.basic, &self.headers].map(path);
        let [token, basic, headers] = &paths;
        let (token, basic, headers) = (token.as_deref(), basic.as_deref(), headers.as_deref());
        common_headers(Files { token, basic, headers })
    }
}

#[test]
fn an_address_is_http_or_https_without_a_login() {
    for (text, part) in [
        ("http://127.0.0.1:9000/payments", ""),
        ("https://service.example/hook?tenant=7", ""),
        ("http://[::1]:9000", ""),
        ("ftp://a/x", "--to needs http:// or https:// in front"),
        ("a:9000", "--to needs http:// or https:// in front"),
        ("", "--to needs http:// or https:// in front"),
        ("http://me:hunter2@a/x", "login"),
        ("http://hunter2@a/x", "login"),
        ("http://@a/x", "login"),
        ("http://me:hunter2/x@a", "percent-encoded"),
        ("http://a/x#hunter2", "'#'"),
        ("http://a b/hunter2", "blank"),
        ("http://a:0/hunter2", "port"),
        ("http:///hunter2", "no host"),
    ] {
        match (address(text), part) {
            (Ok(_), "") => {}
            (Err(error), part) if !part.is_empty() => {
                let told = error.render("push");
                assert_eq!(error.status(), ExitStatus::Usage);
                assert!(told.contains(part) && told.contains("--to"), "{text}: {told}");
                assert!(!told.contains("hunter2"), "{told}");
            }
            (found, _) => panic!("{text}: {found:?}"),
        }
    }
}

#[test]
fn a_login_and_headers_come_from_files_and_no_text_shows_them() {
    let bearer = Given { token: Some(file("hunter2\nmore")), ..Given::default() };
    let basic = Given { basic: Some(file("me:hunter2:x")), ..Given::default() };
    let text =
        "# for the proxy\n\nX-Api-Key: hunter2\nx-api-key:  second \nAuthorization: Key hunter2\n";
    let named = Given { headers: Some(file(text)), ..Given::default() };
    for (given, name, values) in [
        (&bearer, "authorization", &["Bearer hunter2"][..]),
        (&basic, "authorization", &["Basic bWU6aHVudGVyMjp4"]),
        (&named, "x-api-key", &["hunter2", "second"]),
        (&named, "authorization", &["Key hunter2"]),
        (&Given::default(), "authorization", &[]),
    ] {
        let headers = given.read().expect("it is right");
        let found: Vec<_> = headers.get_all(name).iter().map(|it| it.to_str().unwrap()).collect();
        assert_eq!(found, values);
        assert!(!format!("{headers:?}").contains("hunter2"), "{headers:?}");
    }
}

#[test]
fn what_a_file_may_not_say_is_refused_with_its_line_and_not_repeated() {
    let headers = |text: &str| Given { headers: Some(file(text)), ..Given::default() };
    let token = |text: &str| Given { token: Some(file(text)), ..Given::default() };
    let basic = |text: &str| Given { basic: Some(file(text)), ..Given::default() };
    for (given, part) in [
        (headers("a: 1\nhunter2"), "line 2: not Name: value"),
        (headers("hunt er2: 1"), "line 1: the text before the colon"),
        (headers("Connection: hunter2"), "connection is set by"),
        (headers("HOST: hunter2"), "host is set by"),
        (headers("Content-Length: 2"), "content-length is set by"),
        (headers("Transfer-Encoding: chunked"), "transfer-encoding is set by"),
        (headers("ce-id: hunter2"), "ce-id is set by"),
        (headers("Kafka-Topic: hunter2"), "kafka-topic is set by"),
        (headers("Idempotency-Key: hunter2"), "idempotency-key is set by"),
        (headers("a: hunter2\u{1}"), "line 1: its value has characters"),
        (headers(&"a: hunter2\n".repeat(FILE_HEADERS_MAX + 1)), "line 65: more than 64 headers"),
        (token(""), "--token-file: the first line"),
        (token("hunter2 x"), "--token-file: its first line is not a token"),
        (basic("hunter2"), "--basic-file: its first line is not user:password"),
        (Given { basic: Some(file("a:hunter2")), ..token("hunter2") }, "both give a login"),
        (Given { headers: Some(file("authorization: a")), ..token("hunter2") }, "both give"),
    ] {
        let error = given.read().expect_err(part);
        assert_eq!(error.status(), ExitStatus::Usage);
        assert!(error.message().contains(part), "{part}: {}", error.message());
        assert!(!error.message().contains("hunter2"), "{}", error.message());
    }
    let gone = Path::new("/hunter2");
    let error = common_headers(Files { token: Some(gone), ..Files::default() }).unwrap_err();
    assert!(error.message().starts_with("--token-file: its file cannot be read"), "{error}");
    assert!(!error.message().contains("hunter2"), "{error}");
}

#[test]
fn a_file_of_authorities_holds_a_certificate() {
    let error = authorities(file("no certificate").path()).unwrap_err();
    assert!(error.message().contains("holds no PEM certificate"), "{error}");
}
