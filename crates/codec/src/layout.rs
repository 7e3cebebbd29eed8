//! Writer schemas as a registry delivers them, read for their layout and nothing else.
//!
//! Own code, since every Avro library also judges what the bytes do not depend on: the spelling of
//! names, defaults,
//! aliases, unknown attributes. A record that lies in the topic was written with the schema as it
//! is; to refuse its
//! schema for a hyphen in a namespace loses the record. What is left out of the layout is left out
//! here: of defaults and
//! aliases nothing is read, names only serve to find definitions, and a logical type that does not
//! fit its type is
//! ignored, as the specification says. Readers' schemas, which are ours, are judged in full (`defaults`).

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::shape::{Builder, Logical, Node, NodeId, Shape, Shapes};

impl Shapes {
    /// Reads a schema; `references` define what it names without defining it, in any order.
    ///
    /// # Errors
    ///
    /// Says what keeps the layout from being read: no JSON, a type that is no type, a name that
    /// nothing defines or that
    /// two definitions fit, too many types.
    pub(crate) fn read(text: &str, references: &[String]) -> Result<Self, String> {
        let parse = |text: &str| -> Result<Value, String> {
            serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))
        };
        let schema = parse(text)?;
        let references: Vec<Value> =
            references.iter().map(|text| parse(text)).collect::<Result<_, _>>()?;
        let mut reader = Reader::default();
        for schema in references.iter().chain([&schema]) {
            reader.collect(schema, "")?;
        }
        for reference in &references {
            reader.add(reference, "")?;
        }
        let root = reader.add(&schema, "")?;
        reader.builder.finish(root)
    }
}

/// Where a name is defined.
struct Definition<'s> {
    node: NodeId,
    text: &'s Map<String, Value>,
    /// Another definition of the name is not the same.
    is_ambiguous: bool,
}

/// Walks twice: first for the definitions, since a name may be used before it, then for the types.
/// Each walk is as
/// deep as the JSON, which its parser bounds, however long a chain of names is.
#[derive(Default)]
struct Reader<'s> {
    builder: Builder,
    definitions: HashMap<String, Definition<'s>>,
}

impl<'s> Reader<'s> {
    fn collect(&mut self, schema: &'s Value, namespace: &str) -> Result<(), String> {
        match schema {
            Value::Array(branches) => {
                branches.iter().try_for_each(|branch| self.collect(branch, namespace))
            }
            Value::Object(object) => self.collect_object(object, namespace),
            _ => Ok(()),
        }
    }

    fn collect_object(
        &mut self,
        object: &'s Map<String, Value>,
        namespace: &str,
    ) -> Result<(), String> {
        match object.get("type") {
            Some(Value::String(name)) if is_named(name) => {
                let (full, inner) = names(object, namespace);
                if let Some(full) = full {
                    match self.definitions.get_mut(&full) {
                        Some(known) => known.is_ambiguous |= known.text != object,
                        None => {
                            let node = self.builder.reserve()?;
                            let definition = Definition { node, text: object, is_ambiguous: false };
                            self.definitions.insert(full, definition);
                        }
                    }
                }
                let fields = if is_record(name) { fields_of(object) } else { None };
                for of_field in fields.into_iter().flatten().filter_map(|field| field.get("type")) {
                    self.collect(of_field, &inner)?;
                }
                Ok(())
            }
            Some(inner @ (Value::Array(_) | Value::Object(_))) => self.collect(inner, namespace),
            Some(Value::String(name)) => {
                let part = match name.as_str() {
                    "array" => object.get("items"),
                    "map" => object.get("values"),
                    _ => None,
                };
                part.map_or(Ok(()), |part| self.collect(part, namespace))
            }
            _ => Ok(()),
        }
    }

    fn add(&mut self, schema: &Value, namespace: &str) -> Result<NodeId, String> {
        match schema {
            Value::String(name) => self.add_name(name, None, namespace),
            Value::Array(branches) => {
                let branches = branches.iter().map(|branch| self.add(branch, namespace));
                let branches = branches.collect::<Result<_, _>>()?;
                self.put(None, Shape::Union { branches }, None, None)
            }
            Value::Object(object) => match object.get("type") {
                Some(Value::String(name)) => self.add_object(name, object, namespace),
                Some(inner @ (Value::Array(_) | Value::Object(_))) => self.add(inner, namespace),
                _ => Err("an object has no \"type\"".to_owned()),
            },
            other => Err(format!("{other} is not a type")),
        }
    }

    fn add_object(
        &mut self,
        of_type: &str,
        object: &Map<String, Value>,
        namespace: &str,
    ) -> Result<NodeId, String> {
        let part =
            |name: &str| object.get(name).ok_or_else(|| format!("{of_type} has no \"{name}\""));
        match of_type {
            "array" => {
                let items = self.add(part("items")?, namespace)?;
                self.put(None, Shape::Array { items }, None, None)
            }
            "map" => {
                let values = self.add(part("values")?, namespace)?;
                self.put(None, Shape::Map { values }, None, None)
            }
            name if is_named(name) => self.add_definition(name, object, namespace),
            name => self.add_name(name, Some(object), namespace),
        }
    }

    fn add_definition(
        &mut self,
        of_type: &str,
        object: &Map<String, Value>,
        namespace: &str,
    ) -> Result<NodeId, String> {
        let (full, inner) = names(object, namespace);
        let (shape, logical) = match of_type {
            "fixed" => {
                let bytes = object.get("size").and_then(Value::as_u64);
                let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
                let bytes = bytes.ok_or("a fixed has no \"size\" in bytes")?;
                let shape = Shape::Fixed { bytes };
                let logical = logical_of(object, &shape);
                (shape, logical)
            }
            "enum" => (enum_shape(object)?, None),
            _ => (self.record_shape(object, &inner)?, None),
        };
        let unqualified =
            full.as_deref().map(|full| full.rsplit('.').next().unwrap_or(full).to_owned());
        // A second definition of a name that is another one stands for itself, where it stands.
        let known = full.and_then(|full| self.definitions.get(&full));
        let node = known.filter(|known| known.text == object).map(|known| known.node);
        self.put(node, shape, logical, unqualified)
    }

    fn record_shape(
        &mut self,
        object: &Map<String, Value>,
        namespace: &str,
    ) -> Result<Shape, String> {
        let fields = fields_of(object).ok_or("a record has no \"fields\"")?;
        let fields = fields.iter().map(|field| {
            let name = field.get("name").and_then(Value::as_str).unwrap_or_default();
            let of_type =
                field.get("type").ok_or_else(|| format!("field {name} has no \"type\""))?;
            let node =
                self.add(of_type, namespace).map_err(|error| format!("field {name}: {error}"))?;
            Ok((name.to_owned(), node))
        });
        Ok(Shape::Record { fields: fields.collect::<Result<_, String>>()? })
    }

    /// Adds a primitive type, or finds what a name stands for.
    fn add_name(
        &mut self,
        name: &str,
        attributes: Option<&Map<String, Value>>,
        namespace: &str,
    ) -> Result<NodeId, String> {
        if let Some(shape) = primitive(name) {
            let logical = attributes.and_then(|attributes| logical_of(attributes, &shape));
            return self.put(None, shape, logical, None);
        }
        let qualified = format!("{namespace}.{name}");
        let in_namespace = (!namespace.is_empty() && !name.contains('.'))
            .then(|| self.definitions.get(&qualified))
            .flatten();
        match in_namespace.or_else(|| self.definitions.get(name)) {
            None => Err(format!("the schema refers to {name}, which is not defined")),
            Some(definition) if definition.is_ambiguous => {
                Err(format!("the schema refers to {name}, which has two different definitions"))
            }
            Some(definition) => Ok(definition.node),
        }
    }

    fn put(
        &mut self,
        node: Option<NodeId>,
        shape: Shape,
        logical: Option<Logical>,
        name: Option<String>,
    ) -> Result<NodeId, String> {
        let node = node.map_or_else(|| self.builder.reserve(), Ok)?;
        self.builder.define(node, Node { shape, logical, name });
        Ok(node)
    }
}

/// Whether a type of this kind defines a name.
fn is_named(of_type: &str) -> bool {
    is_record(of_type) || matches!(of_type, "enum" | "fixed")
}

fn is_record(of_type: &str) -> bool {
    matches!(of_type, "record" | "error")
}

fn fields_of(object: &Map<String, Value>) -> Option<&Vec<Value>> {
    object.get("fields").and_then(Value::as_array)
}

/// The full name that a definition gives itself, and the namespace of what stands inside it.
fn names(object: &Map<String, Value>, namespace: &str) -> (Option<String>, String) {
    let text = |key: &str| object.get(key).and_then(Value::as_str);
    let Some(name) = text("name") else { return (None, namespace.to_owned()) };
    if let Some((before, _)) = name.rsplit_once('.') {
        return (Some(name.to_owned()), before.to_owned());
    }
    let own = text("namespace").unwrap_or(namespace);
    let full = if own.is_empty() { name.to_owned() } else { format!("{own}.{name}") };
    (Some(full), own.to_owned())
}

fn enum_shape(object: &Map<String, Value>) -> Result<Shape, String> {
    let symbols =
        object.get("symbols").and_then(Value::as_array).ok_or("an enum has no \"symbols\"")?;
    let symbols = symbols.iter().map(|symbol| symbol.as_str().map(str::to_owned));
    let symbols = symbols.collect::<Option<_>>().ok_or("a symbol of an enum is not a string")?;
    Ok(Shape::Enum { symbols, default: None })
}

fn primitive(name: &str) -> Option<Shape> {
    Some(match name {
        "null" => Shape::Null,
        "boolean" => Shape::Boolean,
        "int" => Shape::Int,
        "long" => Shape::Long,
        "float" => Shape::Float,
        "double" => Shape::Double,
        "bytes" => Shape::Bytes,
        "string" => Shape::String,
        _ => return None,
    })
}

/// The logical type of a type with this shape; `None` also for one that does not fit it.
fn logical_of(attributes: &Map<String, Value>, shape: &Shape) -> Option<Logical> {
    let name = attributes.get("logicalType")?.as_str()?;
    Some(match (name, shape) {
        ("date", Shape::Int) => Logical::Date,
        ("time-millis", Shape::Int) => Logical::TimeMillis,
        ("time-micros", Shape::Long) => Logical::TimeMicros,
        ("timestamp-millis", Shape::Long) => Logical::TimestampMillis,
        ("timestamp-micros", Shape::Long) => Logical::TimestampMicros,
        ("timestamp-nanos", Shape::Long) => Logical::TimestampNanos,
        ("local-timestamp-millis", Shape::Long) => Logical::LocalTimestampMillis,
        ("local-timestamp-micros", Shape::Long) => Logical::LocalTimestampMicros,
        ("local-timestamp-nanos", Shape::Long) => Logical::LocalTimestampNanos,
        ("big-decimal", Shape::Bytes) => Logical::BigDecimal,
        ("uuid", Shape::String | Shape::Bytes | Shape::Fixed { bytes: 16 }) => Logical::Uuid,
        ("duration", Shape::Fixed { bytes: 12 }) => Logical::Duration,
        ("decimal", Shape::Bytes) => decimal(attributes, u64::MAX)?,
        ("decimal", Shape::Fixed { bytes }) => decimal(attributes, digits_max(*bytes))?,
        _ => return None,
    })
}

/// A decimal with a precision that its type can hold, and a scale within it.
fn decimal(attributes: &Map<String, Value>, digits_max: u64) -> Option<Logical> {
    let precision = attributes.get("precision")?.as_u64()?;
    let scale = attributes.get("scale").map_or(Some(0), Value::as_u64)?;
    let fits = (1..=digits_max).contains(&precision) && scale <= precision;
    let count = |number: u64| usize::try_from(number).ok();
    fits.then_some(Logical::Decimal { precision: count(precision)?, scale: count(scale)? })
}

/// Decimal digits that every number of this many bytes in two's complement can have:
/// floor(log10(2^(8n - 1) - 1)).
fn digits_max(bytes: usize) -> u64 {
    // 2^k - 1 and 2^k have the same integer part of the logarithm, since 2^k is no power of 10.
    let bits = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(8).saturating_sub(1);
    // log10(2) to ten digits; exact for the sizes that there are.
    bits.saturating_mul(3_010_299_956) / 10_000_000_000
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
