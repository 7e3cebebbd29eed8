//! A datum of any schema as JSON.
//!
//! A record is an object with its fields in their order, a union the value of its branch, an enum its symbol; times are
//! the number that was written. What JSON has no form for is written as a [`JsonForm`] says.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How a program writes what JSON has no form for, as text.
pub trait JsonForm {
    /// `bytes` and `fixed`, decimals among them.
    fn bytes(bytes: &[u8]) -> String;

    /// A number that is not finite.
    fn not_finite(number: f64) -> String;
}

/// A datum, read as JSON of this form.
#[derive(Debug, Clone, PartialEq)]
pub struct AsJson<F> {
    value: Value,
    form: PhantomData<fn() -> F>,
}

impl<F> AsJson<F> {
    /// The JSON.
    #[must_use]
    pub fn into_value(self) -> Value {
        self.value
    }
}

impl<'de, F: JsonForm> Deserialize<'de> for AsJson<F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = deserializer.deserialize_any(AnyValue::<F>(PhantomData))?;
        Ok(Self { value, form: PhantomData })
    }
}

struct AnyValue<F>(PhantomData<fn() -> F>);

fn number<F: JsonForm>(number: f64) -> Value {
    Number::from_f64(number).map_or_else(|| F::not_finite(number).into(), Value::Number)
}

impl<'de, F: JsonForm> Visitor<'de> for AnyValue<F> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    /// As the shortest decimal that reads back to the same float: 12.3, and not 12.300000190734863.
    fn visit_f32<E>(self, value: f32) -> Result<Value, E> {
        Ok(number::<F>(value.to_string().parse().unwrap_or_else(|_| f64::from(value))))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(number::<F>(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        Ok(F::bytes(value).into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new(); // nobody believes how many are announced
        while let Some(item) = items.next_element::<AsJson<F>>()? {
            list.push(item.value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, item)) = entries.next_entry::<String, AsJson<F>>()? {
            object.insert(name, item.value);
        }
        Ok(Value::Object(object))
    }
}
