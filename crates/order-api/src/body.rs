//! Bodies to orders, whatever clients send.

use std::time::Duration;

use codec::decode::{DecodeError, Decoder};
use codec::frame;
use codec::resolver::{Lookup, SchemaResolver};
use order_schemas::OrderRecord;
use orders::{Order, Price, PriceFormat};
use serde::Deserialize;
use serde::de::IgnoredAny;
use service_kit::http::header::CONTENT_TYPE;
use service_kit::http::{HeaderMap, Problem, StatusCode};
use service_kit::json_members::json_members;

/// Largest body of one order, in bytes.
pub const ORDER_BYTES_MAX: usize = 16 * 1024;

/// Longest wait for a schema that is not known yet.
const SCHEMA_WAIT_MAX: Duration = Duration::from_secs(2);

/// When to come again while the schema registry is away.
const REGISTRY_RETRY_AFTER: Duration = Duration::from_secs(2);

/// Longest text of a parser that is handed on: it may repeat what the client sent.
const DETAIL_CHARS_MAX: usize = 200;

/// Form of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyForm {
    /// One JSON object.
    Json,
    /// One framed Avro `Order`.
    Avro,
}

impl BodyForm {
    /// Reads it from the content type.
    ///
    /// # Errors
    ///
    /// 415 if it is missing or another.
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let sent = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        let (essence, _) = sent.split_once(';').unwrap_or((sent, ""));
        match essence.trim().to_ascii_lowercase().as_str() {
            "application/json" => Ok(Self::Json),
            "avro/binary" => Ok(Self::Avro),
            _ => {
                let detail =
                    "send content-type application/json, or avro/binary with a framed Order";
                let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
                Err(Problem::new(
                    status,
                    "unsupported-media-type",
                    "Unsupported content type",
                    detail,
                ))
            }
        }
    }
}

/// An order as JSON.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct JsonOrder {
    pub(crate) user_id: String,
    pub(crate) item: String,
    pub(crate) quantity: i32,
    /// The float nearest to the number in the body; one beyond all floats is infinite.
    pub(crate) price: Option<f32>,
    /// What became of it, if it is worth another amount.
    pub(crate) price_loss: Option<String>,
}

/// The fields of a body. A field that nobody knows is an error: a mistyped `price` must not become
/// the price of the catalogue.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with user_id, item and quantity")]
struct JsonFields {
    user_id: String,
    item: String,
    quantity: i32,
    /// Only checked: a float of 64 bits between the text and that of 32 bits would round twice.
    price: Option<f64>,
}

/// Reads one JSON order.
///
/// # Errors
///
/// 400 for what is no JSON, 422 for JSON that is no order.
pub(crate) fn json_order(body: &[u8]) -> Result<JsonOrder, Problem> {
    let is_json = || serde_json::from_slice::<IgnoredAny>(body).is_ok();
    if body.trim_ascii_start().starts_with(b"[") && is_json() {
        // serde would take the values of an array for the fields, in their order.
        return Err(invalid_order("the body is an array; send one object"));
    }
    let fields: JsonFields = serde_json::from_slice(body).map_err(|error| {
        let detail: String = error.to_string().chars().take(DETAIL_CHARS_MAX).collect();
        if error.is_data() && is_json() {
            invalid_order(detail)
        } else {
            Problem::new(StatusCode::BAD_REQUEST, "invalid-json", "The body is not JSON", detail)
        }
    })?;
    let JsonFields { user_id, item, quantity, price } = fields;
    let price = price.and_then(|_| price_as_written(body));
    let price_loss =
        price.as_ref().and_then(|(price, text)| (!price.is_exact).then(|| price.loss(text)));
    let price = price.map(|(price, _)| price.value);
    Ok(JsonOrder { user_id, item, quantity, price, price_loss })
}

/// The price of a body that was read before, from its own digits.
fn price_as_written(body: &[u8]) -> Option<(Price, &str)> {
    let members = json_members(std::str::from_utf8(body).ok()?).ok()?;
    let text = members.iter().find(|member| member.key == "price")?.value;
    let beyond = Price { value: f32::INFINITY, is_exact: true };
    Some((Price::parse(text, PriceFormat::Plain).unwrap_or(beyond), text))
}

/// The client's order is none that can be placed.
pub(crate) fn invalid_order(detail: impl Into<String>) -> Problem {
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    Problem::new(status, "invalid-order", "The order is not valid", detail)
}

/// Reads one framed Avro order; waits a moment for a schema that is not known yet.
///
/// # Errors
///
/// 400 if the bytes are at fault, 503 while the registry is away.
pub(crate) async fn avro_order(body: &[u8], resolver: &SchemaResolver) -> Result<Order, Problem> {
    if let Ok(frame) = frame::split(Some(body)) {
        let known = tokio::time::timeout(SCHEMA_WAIT_MAX, resolver.resolve(frame.schema_id)).await;
        match known {
            Ok(Lookup::Away(detail)) => return Err(registry_away(&detail)),
            Err(_elapsed) => return Err(registry_away("it did not answer in time")),
            Ok(_) => {}
        }
    }
    match Decoder::<OrderRecord>::new(resolver.clone()).decode(Some(body)) {
        Ok(order) => Ok(order),
        Err(DecodeError::Failed(failure)) => {
            let detail = format!("{}: {}", failure.reason.as_str(), failure.detail);
            let detail: String = detail.chars().take(DETAIL_CHARS_MAX).collect();
            let status = StatusCode::BAD_REQUEST;
            Err(Problem::new(status, "invalid-avro", "The body is not a framed Order", detail))
        }
        Err(DecodeError::Unresolved { away, .. }) => {
            Err(registry_away(away.as_deref().unwrap_or("it did not answer in time")))
        }
    }
}

fn registry_away(detail: &str) -> Problem {
    let detail = format!("the schema registry, which knows the schema of this body: {detail}");
    let status = StatusCode::SERVICE_UNAVAILABLE;
    Problem::new(status, "registry-away", "The schema registry is unavailable", detail)
        .retry_after(REGISTRY_RETRY_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &[u8], status: u16) {
        let problem = json_order(body).expect_err("it is no order");
        assert_eq!(problem.status().as_u16(), status, "{problem:?}");
        assert!(problem.detail().len() <= 4 * DETAIL_CHARS_MAX);
    }

    #[test]
    fn an_order_needs_three_fields_and_takes_a_price() {
        let order = json_order(br#"{"user_id":"u1","item":"burger","quantity":2}"#).unwrap();
        assert_eq!((order.quantity, order.price), (2, None));
        let order = json_order(br#"{"price":9.5,"quantity":1,"item":"b","user_id":"u"}"#).unwrap();
        assert_eq!(order.price, Some(9.5));
    }

    #[test]
    fn a_price_is_read_from_its_own_digits_and_what_it_loses_is_said() {
        let read = |price: &str| {
            let body = format!(r#"{{"user_id":"u","item":"b","quantity":1,"price":{price}}}"#);
            let order = json_order(body.as_bytes()).unwrap();
            (order.price, order.price_loss)
        };
        assert_eq!(read("0.1"), (Some(0.1), None));
        assert_eq!(read("null"), (None, None));
        // By way of a float of 64 bits it would be 1000000.
        let (price, loss) = read("1000000.03125000000000000001");
        assert_eq!(price, Some(1_000_000.06));
        assert!(loss.unwrap().starts_with("price 1000000.03125000000000000001 becomes 1000000.06"));
        let (price, loss) = read("-1e39");
        assert_eq!((price.map(f32::is_infinite), loss), (Some(true), None));
    }

    #[test]
    fn what_is_no_json_is_400() {
        let nested = "[".repeat(10_000);
        let hidden = format!(r#"{{"user_id":{}"#, "{\"a\":".repeat(5_000));
        for body in [
            "",
            "{",
            "null x",
            "{'user_id':1}",
            "{\"user_id\":\"u\",}",
            &nested,
            &hidden,
            "\u{feff}{\"user_id\":\"u\",\"item\":\"b\",\"quantity\":1}",
            r#"{"user_id":"u","item":"b","quantity":1,"price":1e400}"#,
            r#"{"user_id":"u","item":"b","quantity":1,"price":NaN}"#,
            r#"{"user_id":"\ud800","item":"b","quantity":1}"#,
            r#"{"user_id":"u","item":"b","quantity":1} {}"#,
        ] {
            check(body.as_bytes(), 400);
        }
        check(b"{\"user_id\":\"\xff\",\"item\":\"b\",\"quantity\":1}", 400);
    }

    #[test]
    fn json_that_is_no_order_is_422() {
        for body in [
            "null",
            "[]",
            "1",
            "{}",
            r#""order""#,
            r#"{"user_id":"u","item":"b"}"#,
            r#"{"user_id":"u","item":"b","quantity":"1"}"#,
            r#"{"user_id":"u","item":"b","quantity":1.5}"#,
            r#"{"user_id":"u","item":"b","quantity":4294967297}"#,
            r#"["u","b",1,null]"#,
            r#"{"user_id":7,"item":"b","quantity":1}"#,
            r#"{"user_id":"u","item":null,"quantity":1}"#,
            r#"{"user_id":"u","item":"b","quantity":1,"quantity":2}"#,
            r#"{"user_id":"u","item":"b","quantity":1,"prcie":2}"#,
        ] {
            check(body.as_bytes(), 422);
        }
    }

    #[test]
    fn another_content_type_is_415() {
        let form = |sent: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, sent.parse().unwrap());
            BodyForm::of(&headers)
        };
        assert_eq!(form("application/json; charset=utf-8"), Ok(BodyForm::Json));
        assert_eq!(form("Avro/Binary"), Ok(BodyForm::Avro));
        for sent in ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"] {
            assert_eq!(form(sent).unwrap_err().status().as_u16(), 415, "{sent}");
        }
        assert_eq!(BodyForm::of(&HeaderMap::new()).unwrap_err().status().as_u16(), 415);
    }

    #[tokio::test]
    async fn avro_bytes_at_fault_are_400_and_good_ones_are_an_order() {
        let resolver = SchemaResolver::offline();
        resolver.insert(7, order_schemas::ORDER_V1).unwrap();
        let encoder = codec::encode::Encoder::<order_schemas::OrderRecord>::with_schema(
            order_schemas::ORDER_V1,
            7,
        )
        .unwrap();
        let mut bytes = Vec::new();
        encoder.encode_into(&mut bytes, &Order::new("o-1", "burger", 12.5));
        assert_eq!(avro_order(&bytes, &resolver).await.unwrap().order_id, "o-1");
        for wrong in [&bytes[..3], &bytes[..9], &[1, 0, 0, 0, 7, 0], &[0, 0, 0, 0, 8, 0], b""] {
            let problem = avro_order(wrong, &resolver).await.unwrap_err();
            assert_eq!(problem.status().as_u16(), 400, "{wrong:?}");
        }
    }
}
