//! Schemas as a flat list of nodes: what the bytes look like, without names to look up.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::schema::{DecimalSchema, InnerDecimalSchema, RecordSchema, UuidSchema};

/// Most nodes of one schema, references included. The largest event schemas in the wild have
/// some thousands.
const NODES_MAX: usize = 20_000;

/// Position of a node in its [`Shapes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NodeId(usize);

/// The layout of a node's bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed { bytes: usize },
    Enum { symbols: Box<[String]>, default: Option<String> },
    Array { items: NodeId },
    Map { values: NodeId },
    Union { branches: Box<[NodeId]> },
    Record { fields: Box<[(String, NodeId)]> },
}

/// What the bytes stand for, where the schema says more than their layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logical {
    Date,
    TimeMillis,
    TimeMicros,
    TimestampMillis,
    TimestampMicros,
    TimestampNanos,
    LocalTimestampMillis,
    LocalTimestampMicros,
    LocalTimestampNanos,
    Decimal { precision: usize, scale: usize },
    BigDecimal,
    Uuid,
    Duration,
}

/// One type of a schema.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) shape: Shape,
    pub(crate) logical: Option<Logical>,
    /// Unqualified name of a record, enum or fixed: what resolution compares.
    pub(crate) name: Option<String>,
}

/// All types of a schema and of those that it refers to.
///
/// Invariant: every [`NodeId`] inside is a position of `nodes`, upheld by [`Shapes::of`].
#[derive(Debug, Clone)]
pub(crate) struct Shapes {
    nodes: Vec<Node>,
    root: NodeId,
}

impl Shapes {
    /// Flattens a schema; `references` are the schemas that it names without defining them.
    pub(crate) fn of(schema: &Schema, references: &[Schema]) -> Result<Self, String> {
        let mut builder = Builder::default();
        for reference in references {
            builder.add(reference, None)?;
        }
        let root = builder.add(schema, None)?;
        builder.finish(root)
    }

    pub(crate) const fn root(&self) -> NodeId {
        self.root
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }
}

#[derive(Default)]
pub(crate) struct Builder {
    /// `None` while a type is named but not yet defined.
    nodes: Vec<Option<Node>>,
    /// Full names of records, enums and fixed types.
    named: HashMap<String, NodeId>,
}

impl Builder {
    fn add(&mut self, schema: &Schema, namespace: Option<&str>) -> Result<NodeId, String> {
        if let Schema::Ref { name } = schema {
            return self.named_node(name.fullname(namespace));
        }
        let own = schema.name().map(|name| (name.name().to_owned(), name.fullname(namespace)));
        let (name, id) = match own {
            // References may bring the same definition twice; they are equal by name.
            Some((name, full)) => (Some(name), self.named_node(full)?),
            None => (None, self.reserve()?),
        };
        let inner = schema.name().map_or(namespace, |name| name.namespace().or(namespace));
        let (shape, logical) = self.describe(schema, inner)?;
        self.nodes[id.0] = Some(Node { shape, logical, name });
        Ok(id)
    }

    fn describe(
        &mut self,
        schema: &Schema,
        namespace: Option<&str>,
    ) -> Result<(Shape, Option<Logical>), String> {
        let plain = |shape| Ok((shape, None));
        match schema {
            Schema::Array(array) => {
                let items = self.add(&array.items, namespace)?;
                plain(Shape::Array { items })
            }
            Schema::Map(map) => {
                let values = self.add(&map.types, namespace)?;
                plain(Shape::Map { values })
            }
            Schema::Union(union) => {
                let branches = union.variants().iter().map(|branch| self.add(branch, namespace));
                plain(Shape::Union { branches: branches.collect::<Result<_, _>>()? })
            }
            Schema::Record(record) => plain(self.record(record, namespace)?),
            Schema::Enum(schema) => plain(Shape::Enum {
                symbols: schema.symbols.clone().into_boxed_slice(),
                default: schema.default.clone(),
            }),
            leaf => leaf_shape(leaf).ok_or_else(|| "a reference to itself".to_owned()),
        }
    }

    fn record(&mut self, record: &RecordSchema, namespace: Option<&str>) -> Result<Shape, String> {
        let fields = record
            .fields
            .iter()
            .map(|field| Ok((field.name.clone(), self.add(&field.schema, namespace)?)));
        Ok(Shape::Record { fields: fields.collect::<Result<_, String>>()? })
    }

    fn named_node(&mut self, full_name: String) -> Result<NodeId, String> {
        if let Some(id) = self.named.get(&full_name) {
            return Ok(*id);
        }
        let id = self.reserve()?;
        self.named.insert(full_name, id);
        Ok(id)
    }

    pub(crate) fn reserve(&mut self) -> Result<NodeId, String> {
        if self.nodes.len() >= NODES_MAX {
            return Err(format!("the schema has more than {NODES_MAX} types"));
        }
        self.nodes.push(None);
        Ok(NodeId(self.nodes.len() - 1))
    }

    /// Fills a reserved place.
    pub(crate) fn define(&mut self, id: NodeId, node: Node) {
        self.nodes[id.0] = Some(node);
    }

    pub(crate) fn finish(self, root: NodeId) -> Result<Shapes, String> {
        let undefined = self.named.iter().find(|(_, id)| self.nodes[id.0].is_none());
        if let Some((name, _)) = undefined {
            return Err(format!("the schema refers to {name}, which is not defined"));
        }
        // A gap would move the places of all that follows.
        let nodes: Option<Vec<Node>> = self.nodes.into_iter().collect();
        let nodes = nodes.ok_or("a type is named and not defined")?;
        Ok(Shapes { nodes, root })
    }
}

/// Shape of a type without parts; `None` for all others.
fn leaf_shape(schema: &Schema) -> Option<(Shape, Option<Logical>)> {
    let fixed = |bytes| Shape::Fixed { bytes };
    Some(match schema {
        Schema::Null => (Shape::Null, None),
        Schema::Boolean => (Shape::Boolean, None),
        Schema::Int => (Shape::Int, None),
        Schema::Date => (Shape::Int, Some(Logical::Date)),
        Schema::TimeMillis => (Shape::Int, Some(Logical::TimeMillis)),
        Schema::Long => (Shape::Long, None),
        Schema::TimeMicros => (Shape::Long, Some(Logical::TimeMicros)),
        Schema::TimestampMillis => (Shape::Long, Some(Logical::TimestampMillis)),
        Schema::TimestampMicros => (Shape::Long, Some(Logical::TimestampMicros)),
        Schema::TimestampNanos => (Shape::Long, Some(Logical::TimestampNanos)),
        Schema::LocalTimestampMillis => (Shape::Long, Some(Logical::LocalTimestampMillis)),
        Schema::LocalTimestampMicros => (Shape::Long, Some(Logical::LocalTimestampMicros)),
        Schema::LocalTimestampNanos => (Shape::Long, Some(Logical::LocalTimestampNanos)),
        Schema::Float => (Shape::Float, None),
        Schema::Double => (Shape::Double, None),
        Schema::Bytes => (Shape::Bytes, None),
        Schema::String => (Shape::String, None),
        Schema::BigDecimal => (Shape::Bytes, Some(Logical::BigDecimal)),
        Schema::Uuid(UuidSchema::String) => (Shape::String, Some(Logical::Uuid)),
        Schema::Uuid(UuidSchema::Bytes) => (Shape::Bytes, Some(Logical::Uuid)),
        Schema::Uuid(UuidSchema::Fixed(inner)) => (fixed(inner.size), Some(Logical::Uuid)),
        Schema::Fixed(inner) => (fixed(inner.size), None),
        Schema::Duration(inner) => (fixed(inner.size), Some(Logical::Duration)),
        Schema::Decimal(DecimalSchema { precision, scale, inner }) => {
            let shape = match inner {
                InnerDecimalSchema::Bytes => Shape::Bytes,
                InnerDecimalSchema::Fixed(inner) => fixed(inner.size),
            };
            (shape, Some(Logical::Decimal { precision: *precision, scale: *scale }))
        }
        _ => return None,
    })
}
