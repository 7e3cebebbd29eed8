use apache_avro::Schema;

use super::*;

/// Writes a layout out, definitions once and then by name.
fn told(shapes: &Shapes) -> String {
    fn node(shapes: &Shapes, id: NodeId, depth: u32) -> String {
        if depth > 6 {
            return "…".to_owned();
        }
        let one = shapes.node(id);
        let of = |id: NodeId| node(shapes, id, depth + 1);
        let text = match &one.shape {
            Shape::Array { items } => format!("array of {}", of(*items)),
            Shape::Map { values } => format!("map of {}", of(*values)),
            Shape::Union { branches } => {
                let branches: Vec<_> = branches.iter().map(|branch| of(*branch)).collect();
                format!("[{}]", branches.join(", "))
            }
            Shape::Record { fields } => {
                let fields: Vec<_> =
                    fields.iter().map(|(name, field)| format!("{name}: {}", of(*field))).collect();
                format!("{{{}}}", fields.join(", "))
            }
            Shape::Enum { symbols, .. } => format!("enum {}", symbols.join("|")),
            plain => format!("{plain:?}"),
        };
        let logical = one.logical.map(|logical| format!(" as {logical:?}")).unwrap_or_default();
        let name = one.name.as_ref().map(|name| format!("{name} ")).unwrap_or_default();
        format!("{name}{text}{logical}")
    }
    node(shapes, shapes.root(), 0)
}

#[track_caller]
fn check(schema: &str, expected: &str) {
    assert_eq!(
        Shapes::read(schema, &[]).map(|shapes| told(&shapes)),
        Ok(expected.to_owned()),
        "{schema}"
    );
}

#[track_caller]
fn check_refused(schema: &str, expected: &str) {
    let error = Shapes::read(schema, &[]).map(|shapes| told(&shapes)).unwrap_err();
    assert!(error.contains(expected), "{schema}: {error}");
}

/// Where apache-avro takes a schema, its layout is the one that is read here.
#[test]
fn a_valid_schema_has_the_layout_that_apache_avro_reads() {
    let valid = [
        r#""string""#,
        r#"{"type":"string"}"#,
        r#"["null","int",{"type":"array","items":{"type":"map","values":"bytes"}}]"#,
        r#"{"type":"record","name":"a.B","fields":[{"name":"next","type":["null","B"]},{"name":"f",
            "type":{"type":"fixed","name":"F","size":16}},{"name":"g","type":"a.F"}]}"#,
        r#"{"type":"record","name":"R","namespace":"n","fields":[{"name":"e","type":{"type":"enum","name":"E",
            "namespace":"other","symbols":["A","B"],"default":"B"}},{"name":"again","type":"other.E"}]}"#,
        r#"{"type":"record","name":"R","fields":[
            {"name":"a","type":{"type":"int","logicalType":"date"}},
            {"name":"b","type":{"type":"long","logicalType":"timestamp-millis"}},
            {"name":"c","type":{"type":"bytes","logicalType":"decimal","precision":38,"scale":4}},
            {"name":"d","type":{"type":"fixed","name":"D","size":8,"logicalType":"decimal","precision":18}},
            {"name":"e","type":{"type":"string","logicalType":"uuid"}},
            {"name":"f","type":{"type":"fixed","name":"T","size":12,"logicalType":"duration"}},
            {"name":"g","type":{"type":"long","logicalType":"local-timestamp-nanos"}}]}"#,
    ];
    for schema in valid {
        let theirs = Shapes::of(&Schema::parse_str(schema).unwrap(), &[]).unwrap();
        let ours = Shapes::read(schema, &[]).unwrap();
        // An enum's default is the reader's affair: it is no part of the layout.
        assert_eq!(told(&ours), told(&theirs), "{schema}");
    }
}

#[test]
fn names_are_not_judged() {
    let record = |name: &str, rest: &str| {
        format!(
            r#"{{"type":"record","name":"{name}"{rest},"fields":[{{"name":"f","type":"int"}}]}}"#
        )
    };
    for namespace in ["shop-1.public-orders.table", "1st", "", "a..b", ".", "größe", "a b"] {
        let rest = format!(r#","namespace":"{namespace}""#);
        check(&record("Order", &rest), "Order {f: Int}");
    }
    check(&record("my-topic.Order", ""), "Order {f: Int}");
    check(&record("2nd", ""), "2nd {f: Int}");
    check(r#"{"type":"record","fields":[]}"#, "{}");
    check(
        r#"{"type":"record","name":"R","fields":[{"name":"a-b","type":"int"},{"name":"a-b","type":"int"},{"type":"int"}]}"#,
        "R {a-b: Int, a-b: Int, : Int}",
    );
    check(
        r#"{"type":"enum","name":"E","symbols":["a-b","1","","a-b"],"default":"none"}"#,
        "E enum a-b|1||a-b",
    );
    check(
        r#"{"type":"record","name":"R","aliases":["a b",7],"doc":3,"fields":[{"name":"f","type":"int","order":"up","aliases":"g"}]}"#,
        "R {f: Int}",
    );
    check(r#"{"type":"error","name":"R","fields":[]}"#, "R {}");
}

#[test]
fn defaults_are_not_judged() {
    let with = |of_type: &str, default: &str| {
        format!(
            r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":{of_type},"default":{default}}}]}}"#
        )
    };
    check(&with(r#""int""#, r#""0""#), "R {f: Int}");
    check(&with(r#"["string","null"]"#, "null"), "R {f: [String, Null]}");
    check(
        &with(r#"{"type":"record","name":"A","fields":[{"name":"c","type":"string"}]}"#, "{}"),
        "R {f: A {c: String}}",
    );
    check(&with(r#"{"type":"array","items":"int"}"#, r#"{"a":1}"#), "R {f: array of Int}");
    check(
        &with(r#"{"type":"fixed","name":"F","size":2}"#, r#""three""#),
        "R {f: F Fixed { bytes: 2 }}",
    );
}

#[test]
fn a_logical_type_that_does_not_fit_is_ignored() {
    for attributes in [
        r#""logicalType":"decimal""#,
        r#""logicalType":"decimal","precision":0"#,
        r#""logicalType":"decimal","precision":"9""#,
        r#""logicalType":"decimal","precision":4,"scale":5"#,
        r#""logicalType":"date""#,
        r#""logicalType":"our-own""#,
        r#""logicalType":7"#,
    ] {
        check(&format!(r#"{{"type":"bytes",{attributes}}}"#), "Bytes");
    }
    check(
        r#"{"type":"fixed","name":"F","size":4,"logicalType":"decimal","precision":10}"#,
        "F Fixed { bytes: 4 }",
    );
    check(
        r#"{"type":"fixed","name":"F","size":3,"logicalType":"duration"}"#,
        "F Fixed { bytes: 3 }",
    );
    check(r#"{"type":"string","logicalType":"timestamp-millis"}"#, "String");
}

#[test]
fn layouts_that_the_specification_forbids_and_the_bytes_allow_are_read() {
    check(r#"[]"#, "[]");
    check(r#"["int","int"]"#, "[Int, Int]");
    check(r#"["null",["int","string"]]"#, "[Null, [Int, String]]");
    check(r#"{"type":{"type":{"type":"int"}}}"#, "Int");
    check(r#"{"type":["null","int"]}"#, "[Null, Int]");
    // The same definition twice, as some generators write it.
    let twice = r#"{"type":"record","name":"R","fields":[
        {"name":"a","type":{"type":"fixed","name":"F","size":2}},
        {"name":"b","type":{"type":"fixed","name":"F","size":2}},{"name":"c","type":"F"}]}"#;
    let fixed = "F Fixed { bytes: 2 }";
    check(twice, &format!("R {{a: {fixed}, b: {fixed}, c: {fixed}}}"));
    // Two definitions of a name are each read where they stand; only the bare name says nothing.
    let other = twice.replacen("\"size\":2", "\"size\":3", 1);
    check_refused(&other, "two different definitions");
    let unused = other.replace(r#",{"name":"c","type":"F"}"#, "");
    check(&unused, "R {a: F Fixed { bytes: 3 }, b: F Fixed { bytes: 2 }}");
}

#[test]
fn references_are_found_in_any_order_and_by_namespace() {
    let schema = r#"{"type":"record","name":"x.R","fields":[{"name":"a","type":"A"},{"name":"b","type":"y-1.B"}]}"#;
    let a = r#"{"type":"record","name":"x.A","fields":[{"name":"b","type":"y-1.B"}]}"#.to_owned();
    let b = r#"{"type":"enum","name":"B","namespace":"y-1","symbols":["S"]}"#.to_owned();
    for references in [[a.clone(), b.clone()], [b, a]] {
        let shapes = Shapes::read(schema, &references).unwrap();
        assert_eq!(told(&shapes), "R {a: A {b: B enum S}, b: B enum S}");
    }
    check_refused(schema, "refers to A, which is not defined");
}

#[test]
fn what_has_no_layout_is_refused_with_the_reason() {
    for (schema, reason) in [
        ("", "not JSON"),
        ("syntax = \"proto3\";", "not JSON"),
        ("7", "7 is not a type"),
        ("null", "null is not a type"),
        ("{}", "no \"type\""),
        (
            r#"{"$schema":"http://json-schema.org/draft-07/schema#","type":"object"}"#,
            "refers to object, which is not defined",
        ),
        (r#""unheard""#, "refers to unheard, which is not defined"),
        (r#"{"type":"record","name":"R"}"#, "no \"fields\""),
        (r#"{"type":"record","name":"R","fields":[{"name":"f"}]}"#, "field f has no \"type\""),
        (r#"{"type":"array"}"#, "no \"items\""),
        (r#"{"type":"fixed","name":"F","size":-1}"#, "no \"size\""),
        (r#"{"type":"enum","name":"E","symbols":[1]}"#, "is not a string"),
    ] {
        check_refused(schema, reason);
    }
}

#[test]
fn a_hostile_schema_ends_in_an_error_or_a_bounded_layout() {
    let deep =
        format!("{}\"int\"{}", r#"{"type":"array","items":"#.repeat(5_000), "}".repeat(5_000));
    check_refused(&deep, "not JSON");
    let wide = format!("[{}]", vec!["\"int\""; 30_000].join(","));
    check_refused(&wide, "more than");
    // A chain of names is no nesting: nothing recurses along it.
    let chain: Vec<String> = (0..5_000)
        .map(|index| {
            format!(
                r#"{{"type":"record","name":"R{index}","fields":[{{"name":"f","type":"R{}"}}]}}"#,
                (index + 1) % 5_000
            )
        })
        .collect();
    assert!(Shapes::read(&format!("[{}]", chain.join(",")), &[]).is_ok());
}
