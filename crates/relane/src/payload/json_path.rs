//! The path to the field of a JSON value that does not fit a type: `items[3].price`.
//!
//! Only a value that has failed is read so, a second time. `serde_path_to_error` does the like, but it takes the names out of the
//! value, where a map may have secrets for keys. Here names are those that the type's own code asks for.

use std::cell::RefCell;
use std::fmt::Write as _;

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Value};

/// A larger value is not read a second time, so that a topic full of them costs no more memory.
const BYTES_MAX: usize = 1 << 20;

/// One step of the path.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A field that the type has.
    Field(&'static str),
    /// An element, counted from 0.
    Item(usize),
    /// The value of a key that is no field of the type.
    Key,
}

/// The steps to what has failed, from within.
type Steps = RefCell<Vec<Step>>;

/// The path to what does not fit; empty if that is the value as a whole, or if the second reading does not fail in the
/// same words as the first one, which are `told`.
pub(super) fn of<T: DeserializeOwned>(json: &[u8], told: &str) -> String {
    let steps = Steps::default();
    let failed = || {
        let value = serde_json::from_slice(json).ok()?;
        T::deserialize(Place { value: &value, steps: &steps }).err()
    };
    let is_small = json.len() <= BYTES_MAX;
    if is_small && failed().is_some_and(|error| error.to_string() == told) {
        text(&steps.into_inner())
    } else {
        String::new()
    }
}

fn text(steps: &[Step]) -> String {
    let mut path = String::new();
    for step in steps.iter().rev() {
        let dot = if path.is_empty() { "" } else { "." };
        let _ = match step {
            Step::Field(name) => write!(path, "{dot}{name}"),
            Step::Item(index) => write!(path, "[{index}]"),
            Step::Key => write!(path, "{dot}*"),
        }; // a String takes all
    }
    path
}

/// A part of the value, which notes the step to it where it does not fit.
#[derive(Clone, Copy)]
struct Place<'v> {
    value: &'v Value,
    steps: &'v Steps,
}

impl<'v> Place<'v> {
    fn read<S: DeserializeSeed<'v>>(self, seed: S, step: Step) -> Result<S::Value, Error> {
        let read = seed.deserialize(self);
        let mut steps = self.steps.borrow_mut();
        match read {
            Ok(_) => steps.clear(), // a type may have passed over what failed within
            Err(_) => steps.push(step),
        }
        read
    }
}

impl<'de> Deserializer<'de> for Place<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Self { value, steps } = self;
        match value {
            Value::Array(items) => {
                visitor.visit_seq(Items { items: items.iter().enumerate(), steps })
            }
            Value::Object(_) => self.deserialize_struct("", &[], visitor),
            scalar => scalar.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let Self { value, steps } = self;
        match value {
            Value::Object(entries) => {
                visitor.visit_map(Entries { entries: entries.iter(), next: None, fields, steps })
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    /// What an enum holds has no path of its own.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.value.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

struct Items<'v> {
    items: std::iter::Enumerate<std::slice::Iter<'v, Value>>,
    steps: &'v Steps,
}

impl<'v> SeqAccess<'v> for Items<'v> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'v>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        let Some((index, value)) = self.items.next() else { return Ok(None) };
        Place { value, steps: self.steps }.read(seed, Step::Item(index)).map(Some)
    }
}

struct Entries<'v> {
    entries: serde_json::map::Iter<'v>,
    /// The value of the key that was read last, and the step to it.
    next: Option<(&'v Value, Step)>,
    fields: &'static [&'static str],
    steps: &'v Steps,
}

impl<'v> MapAccess<'v> for Entries<'v> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'v>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        let field = self.fields.iter().copied().find(|field| field == key);
        self.next = Some((value, field.map_or(Step::Key, Step::Field)));
        seed.deserialize(StrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'v>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let (value, step) = self.next.take().expect("serde reads a key before its value");
        Place { value, steps: self.steps }.read(seed, step)
    }
}
