//! A registry that is not well is away; only its own words say that something is not there.

use codec::registry::{Registry, RegistryError, RegistrySettings};
use order_schemas::ORDER_V1;

use crate::fault_injection::{
    Scripted, ScriptedRegistry, http, impatient, json, refused_url, schema,
};

/// The kind of error that asking for a schema id meets.
async fn fate_of_id(scripted: Scripted) -> RegistryError {
    let server = ScriptedRegistry::start([scripted]).await;
    impatient(&server.url).schema_by_id(1).await.unwrap_err()
}

#[tokio::test]
async fn a_registry_that_is_not_well_is_away() {
    let cut_off =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{\"sch";
    let huge = format!(r#"{{"schema":"{}"}}"#, "x".repeat(65 << 10));
    let table = [
        ("silence", Scripted::Silence),
        ("401", json("401 Unauthorized", r#"{"error_code":40101,"message":"Unauthorized"}"#)),
        ("403", json("403 Forbidden", r#"{"error_code":40301,"message":"no"}"#)),
        ("404 of a proxy", http("404 Not Found", "text/html", "<h1>404</h1>")),
        (
            "404 of another path",
            json("404 Not Found", r#"{"error_code":404,"message":"HTTP 404"}"#),
        ),
        ("404 of a subject", json("404 Not Found", r#"{"error_code":40401,"message":"Subject"}"#)),
        ("404 without a code", json("404 Not Found", r#"{"detail":"gone"}"#)),
        ("404 as html with a code", http("404 Not Found", "text/html", r#"{"error_code":40403}"#)),
        ("408", json("408 Request Timeout", "{}")),
        ("429", json("429 Too Many Requests", r#"{"error_code":429,"message":"slow down"}"#)),
        ("500", json("500 Internal Server Error", r#"{"error_code":50001,"message":"store"}"#)),
        ("503", http("503 Service Unavailable", "text/plain", "starting")),
        ("500 that says 40403", json("500 Internal Server Error", r#"{"error_code":40403}"#)),
        ("garbage", Scripted::Bytes(b"\x00\xff not http \r\n\r\n".to_vec())),
        ("html", http("200 OK", "text/html", "<h1>login</h1>")),
        ("json as html", http("200 OK", "text/html", r#"{"schema":"\"int\""}"#)),
        ("another service", json("200 OK", r#"{"status":"UP"}"#)),
        ("no schema text", json("200 OK", r#"{"schema":7}"#)),
        ("a redirect to itself", http("302 Found\r\nLocation: /schemas/ids/1", "text/plain", "")),
        ("a body cut off", Scripted::Bytes(cut_off.as_bytes().to_vec())),
        ("a huge body", json("200 OK", &huge)),
        ("nothing", Scripted::Bytes(Vec::new())),
    ];
    for (name, scripted) in table {
        let error = fate_of_id(scripted).await;
        assert!(error.is_away(), "{name}: {error}");
        assert!(error.to_string().contains("http://127.0.0.1:"), "{name} has no address: {error}");
    }
}

#[tokio::test]
async fn a_registry_that_refuses_connections_is_away() {
    let url = refused_url().await;
    let error = impatient(&url).schema_by_id(1).await.unwrap_err();
    assert!(error.is_away() && error.to_string().contains(&url), "{error}");
}

#[tokio::test]
async fn only_40403_says_that_a_schema_id_is_unknown() {
    let answer = json("404 Not Found", r#"{"error_code":40403,"message":"Schema not found"}"#);
    assert!(matches!(fate_of_id(answer).await, RegistryError::NotFound { .. }));
}

#[tokio::test]
async fn a_subject_look_up_knows_three_ways_of_not_found() {
    for code in [40401, 40402, 40403] {
        let body = format!(r#"{{"error_code":{code},"message":"not found"}}"#);
        let server = ScriptedRegistry::start([json("404 Not Found", &body)]).await;
        let error = impatient(&server.url).look_up("orders-value", ORDER_V1).await.unwrap_err();
        assert!(matches!(error, RegistryError::NotFound { .. }), "{code}: {error}");
    }
}

#[tokio::test]
async fn registering_tells_an_incompatible_schema_from_an_invalid_one() {
    let incompatible = json("409 Conflict", r#"{"error_code":409,"message":"incompatible"}"#);
    let invalid = json("422 Unprocessable Entity", r#"{"error_code":42201,"message":"invalid"}"#);
    let server = ScriptedRegistry::start([incompatible, invalid]).await;
    let registry = impatient(&server.url);
    let error = registry.register("orders-value", ORDER_V1).await.unwrap_err();
    assert!(matches!(error, RegistryError::Incompatible { .. }), "{error}");
    let error = registry.register("orders-value", ORDER_V1).await.unwrap_err();
    assert!(matches!(error, RegistryError::Rejected { .. }), "{error}");
}

#[tokio::test]
async fn the_next_address_is_asked_only_while_one_is_away() {
    let ill = ScriptedRegistry::start([json("503 Service Unavailable", "{}")]).await;
    let well = ScriptedRegistry::start([schema(ORDER_V1)]).await;
    let registry = impatient(&format!("{},{},{}", refused_url().await, ill.url, well.url));
    assert_eq!(registry.schema_by_id(1).await.unwrap().text, ORDER_V1);
    assert_eq!((ill.requests().len(), well.requests().len()), (1, 1));

    let without = json("404 Not Found", r#"{"error_code":40403,"message":"Schema not found"}"#);
    let without = ScriptedRegistry::start([without]).await;
    let registry = impatient(&format!("{},{}", without.url, well.url));
    let error = registry.schema_by_id(1).await.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
    assert_eq!(well.requests().len(), 1);
}

#[tokio::test]
async fn user_and_password_of_the_address_are_sent_and_never_shown() {
    let server = ScriptedRegistry::start([json("401 Unauthorized", r#"{"error_code":401}"#)]).await;
    let url = server.url.replace("http://", "http://me:pass%20word@");
    let registry = impatient(&url);
    let error = registry.schema_by_id(1).await.unwrap_err();
    // base64 of "me:pass word"
    let sent = server.requests()[0].to_lowercase();
    assert!(sent.contains("authorization: basic bwu6cgfzcyb3b3jk"), "{sent}");
    let shown = format!("{error} {registry:?}");
    assert!(!shown.contains("pass word") && !shown.contains("pass%20word"), "{shown}");
}

#[tokio::test]
async fn a_login_never_follows_a_redirect_to_another_host() {
    let other = ScriptedRegistry::start([schema(ORDER_V1)]).await;
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"] {
        let head = format!("{status}\r\nLocation: {}/schemas/ids/1", other.url);
        let server = ScriptedRegistry::start([http(&head, "text/plain", "")]).await;
        let settings = RegistrySettings::new(&server.url).unwrap();
        let settings = settings.read_credentials(|name| {
            (name == "SCHEMA_REGISTRY_TOKEN").then(|| "ticket-to-ride".to_owned())
        });
        let registry = Registry::new(settings.unwrap()).unwrap();
        let error = registry.schema_by_id(1).await.unwrap_err();
        assert!(error.is_away() && error.to_string().contains(&other.url), "{error}");
        assert!(error.start_hint().contains("redirects are not followed"));
        let sent = server.requests()[0].to_lowercase();
        assert!(sent.contains("authorization: bearer ticket-to-ride"), "{sent}");
        assert!(!format!("{error} {registry:?}").contains("ticket"), "{error} {registry:?}");
    }
    assert_eq!(other.requests().len(), 0);
}

#[tokio::test]
async fn a_path_of_the_address_is_kept_and_a_subject_is_escaped() {
    let server = ScriptedRegistry::start([json("200 OK", r#"{"id":7}"#)]).await;
    let registry = impatient(&format!("{}/apis/ccompat/v7/", server.url));
    assert_eq!(registry.register("a/b c-value", ORDER_V1).await, Ok(7));
    let request = server.requests().remove(0);
    assert!(
        request.starts_with("POST /apis/ccompat/v7/subjects/a%2Fb%20c-value/versions "),
        "{request}"
    );
}

#[tokio::test]
async fn references_are_followed_and_bounded() {
    let refers = |text: &str| {
        let body = serde_json::json!({
            "schema": text,
            "references": [{ "name": "com.example.Money", "subject": "money", "version": 3 }],
        });
        json("200 OK", &body.to_string())
    };
    let money = r#"{"type":"fixed","name":"com.example.Money","size":8}"#;
    let server = ScriptedRegistry::start([refers("\"com.example.Money\""), schema(money)]).await;
    let fetched = impatient(&server.url).schema_by_id(1).await.unwrap();
    assert_eq!(fetched.references, [money]);
    assert!(server.requests()[1].starts_with("GET /subjects/money/versions/3 "));

    // Each answer refers to yet another version: the chain must end.
    let chain = (0..100).map(|version| {
        let body = serde_json::json!({
            "schema": "\"int\"",
            "references": [{ "name": "n", "subject": "s", "version": version }],
        });
        json("200 OK", &body.to_string())
    });
    let server = ScriptedRegistry::start(chain.collect::<Vec<_>>()).await;
    let error = impatient(&server.url).schema_by_id(1).await.unwrap_err();
    assert!(error.is_away() && error.to_string().contains("REFERENCE_DEPTH_MAX"), "{error}");

    // A reference that is not there says nothing about the id.
    let gone = json("404 Not Found", r#"{"error_code":40401,"message":"Subject not found"}"#);
    let server = ScriptedRegistry::start([refers("\"com.example.Money\""), gone]).await;
    assert!(impatient(&server.url).schema_by_id(1).await.unwrap_err().is_away());
}
