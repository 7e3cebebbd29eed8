//! Values for people and programs: Avro of any schema as JSON, JSON and text as they are, all else as
//! bytes.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use codec::any::{AnyDecoder, AsJson, JsonForm};
use codec::decode::DecodeError;
use codec::registry::{Registry, RegistrySettings};
use codec::resolver::SchemaResolver;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::error::DlqError;

/// Longest wait for the registry's answer about one schema.
const SCHEMA_MAX: Duration = Duration::from_millis(3500);

/// Pause between two looks whether it has come.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// What the bytes of a value stand for.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// There is no value.
    Null,
    /// Avro in Confluent's frame, or JSON, as JSON.
    Json(Value),
    /// Text that is no JSON.
    Text(String),
    /// Nothing that can be read, and why not.
    Bytes(String),
}

/// Reads values; asks the registry for the schemas that it meets, once each.
pub struct ValueReader {
    decoder: AnyDecoder<Json>,
    registry: String,
    // Last: what asks the registry ends after what is asked.
    _runtime: Runtime,
}

impl ValueReader {
    /// A reader that asks this registry; nothing is asked yet.
    ///
    /// # Errors
    ///
    /// Fails for an address that is none.
    pub fn new(settings: &RegistrySettings) -> Result<Self, DlqError> {
        let unusable = |detail: String| DlqError::Settings(detail);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| unusable(format!("no runtime: {error}")))?;
        let registry =
            Registry::new(settings.clone()).map_err(|error| unusable(error.to_string()))?;
        let address = registry.address().to_owned(); // without the password that it may carry
        let resolver = SchemaResolver::new(registry, runtime.handle().clone());
        Ok(Self { decoder: AnyDecoder::new(resolver), registry: address, _runtime: runtime })
    }

    /// Reads a value. Blocks while the registry is asked for a schema that is not known yet.
    ///
    /// # Errors
    ///
    /// Fails where the registry is unavailable: that says nothing about the value.
    pub fn read(&mut self, value: Option<&[u8]>) -> Result<Reading, DlqError> {
        let Some(bytes) = value else { return Ok(Reading::Null) };
        if codec::frame::schema_id(value).is_none() {
            return Ok(unframed(bytes));
        }
        let mut give_up_at = None;
        loop {
            match self.decoder.decode(value) {
                Ok(datum) => return Ok(Reading::Json(datum.into_value())),
                Err(DecodeError::Failed(failure)) => {
                    let reason = failure.reason.as_str();
                    return Ok(Reading::Bytes(format!("{reason}: {}", failure.detail)));
                }
                Err(DecodeError::Unresolved { schema_id, away }) => {
                    let now = Instant::now();
                    if now >= *give_up_at.get_or_insert(now + SCHEMA_MAX) {
                        let detail = away.unwrap_or_else(|| "no answer".to_owned());
                        let registry = self.registry.clone();
                        return Err(DlqError::Registry { schema_id, detail, registry });
                    }
                    std::thread::sleep(LOOK_EVERY);
                }
            }
        }
    }

    /// The order id of a value; none where it cannot be read, or has none.
    ///
    /// # Errors
    ///
    /// As [`Self::read`].
    pub fn order_id(&mut self, value: Option<&[u8]>) -> Result<Option<String>, DlqError> {
        let Reading::Json(json) = self.read(value)? else { return Ok(None) };
        let named = ["orderId", "order_id"].iter().find_map(|name| json.get(name));
        Ok(named.and_then(Value::as_str).map(str::to_owned))
    }
}

/// A value without a frame.
fn unframed(bytes: &[u8]) -> Reading {
    let is_json = matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'['));
    if is_json && let Ok(json) = serde_json::from_slice(bytes) {
        return Reading::Json(json);
    }
    let is_text = |text: &&str| {
        !text.is_empty() && !text.chars().any(|c| c.is_control() && !c.is_ascii_whitespace())
    };
    match std::str::from_utf8(bytes).ok().filter(is_text) {
        Some(text) => Reading::Text(text.to_owned()),
        None => Reading::Bytes("it is neither framed Avro, JSON nor text".to_owned()),
    }
}

/// Bytes as pairs of hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // a String takes all
        text
    })
}

/// A datum as JSON: bytes become hexadecimal text, numbers that are not finite words.
type Json = AsJson<Form>;

#[derive(Debug)]
enum Form {}

impl JsonForm for Form {
    fn bytes(bytes: &[u8]) -> String {
        hex(bytes)
    }

    fn not_finite(number: f64) -> String {
        number.to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const CLICK: &str = r#"{"type": "record", "name": "Click", "fields": [
        {"name": "url", "type": "string"}, {"name": "price", "type": "float"},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
        {"name": "sum", "type": {"type": "bytes", "logicalType": "decimal", "precision": 38}},
        {"name": "parent", "type": ["null", "long"]}, {"name": "score", "type": "double"}]}"#;

    fn reader() -> AnyDecoder<Json> {
        let resolver = SchemaResolver::offline();
        resolver.insert(7, CLICK).expect("a schema");
        AnyDecoder::new(resolver)
    }

    #[test]
    fn a_datum_of_any_schema_becomes_json() {
        let mut datum = vec![0, 0, 0, 0, 7, 2, b'/'];
        datum.extend(12.3_f32.to_le_bytes());
        datum.extend([2, 4, b'e', b'u', 0, 4, 0xff, 0x01, 2, 0x54]);
        datum.extend(f64::NAN.to_le_bytes());
        let json = reader().decode(Some(&datum)).expect("a datum").into_value();
        let expected = json!({
            "url": "/", "price": 12.3, "tags": ["eu"], "sum": "ff01", "parent": 42, "score": "NaN"
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn what_has_no_frame_is_json_text_or_bytes() {
        assert_eq!(unframed(b" {\"a\": 1}"), Reading::Json(json!({"a": 1})));
        assert_eq!(unframed(b"{\"a\": "), Reading::Text("{\"a\": ".to_owned()));
        assert_eq!(unframed("Zürich\n".as_bytes()), Reading::Text("Zürich\n".to_owned()));
        for bytes in [&b""[..], b"\x01\x02", b"a\x1b[2J", &[0xff, 0xfe]] {
            assert!(matches!(unframed(bytes), Reading::Bytes(_)), "{bytes:?}");
        }
        assert_eq!(hex(&[0, 255, 16]), "00ff10");
    }
}
