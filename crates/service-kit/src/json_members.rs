//! The members of a JSON object as they are written: a number keeps its digits.

use std::collections::BTreeMap;

use serde::de::{DeserializeOwned, IgnoredAny};

/// One member of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<'a> {
    /// Its key, with escapes resolved.
    pub key: String,
    /// Its value as it is in the text.
    pub value: &'a str,
}

/// Reads the members of one object, in their order; a key that stands twice comes twice.
///
/// # Errors
///
/// If the text is not one JSON object; the parser says where.
pub fn json_members(text: &str) -> Result<Vec<Member<'_>>, serde_json::Error> {
    match members(text) {
        Some(members) => Ok(members),
        None => match serde_json::from_str::<BTreeMap<String, IgnoredAny>>(text) {
            Err(error) => Err(error),
            Ok(_) => Err(serde::de::Error::custom("the object cannot be read")),
        },
    }
}

fn members(text: &str) -> Option<Vec<Member<'_>>> {
    let mut rest = text.trim_ascii_start().strip_prefix('{')?.trim_ascii_start();
    let mut members = Vec::new();
    if let Some(behind) = rest.strip_prefix('}') {
        return behind.trim_ascii().is_empty().then_some(members);
    }
    loop {
        let (key, _, behind) = first::<String>(rest)?;
        rest = behind.trim_ascii_start().strip_prefix(':')?.trim_ascii_start();
        let (IgnoredAny, value, behind) = first::<IgnoredAny>(rest)?;
        members.push(Member { key, value });
        let behind = behind.trim_ascii_start();
        match behind.strip_prefix('}') {
            Some(end) => return end.trim_ascii().is_empty().then_some(members),
            None => rest = behind.strip_prefix(',')?.trim_ascii_start(),
        }
    }
}

/// Reads the first value of a text; returns it with its own text and what follows.
fn first<T: DeserializeOwned>(text: &str) -> Option<(T, &str, &str)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<T>();
    let value = values.next()?.ok()?;
    let (own, behind) = text.split_at_checked(values.byte_offset())?;
    Some((value, own, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, &str)> {
        json_members(text).unwrap().into_iter().map(|member| (member.key, member.value)).collect()
    }

    #[test]
    fn values_keep_the_text_they_are_written_in() {
        let text = " {\"a\" : 1.10000000000000000000000000000001 ,\"b\":[1,{\"c\":2}],\n\
                    \"\\u0063\":\"x\\\"y\",\"d\":{},\"e\":null,\"f\":-0,\"g\":1e3} ";
        let expected = [
            ("a", "1.10000000000000000000000000000001"),
            ("b", "[1,{\"c\":2}]"),
            ("c", "\"x\\\"y\""),
            ("d", "{}"),
            ("e", "null"),
            ("f", "-0"),
            ("g", "1e3"),
        ];
        let expected = expected.map(|(key, value)| (key.to_owned(), value));
        assert_eq!(read(text), expected);
        assert_eq!(read("{ }"), []);
    }

    #[test]
    fn a_key_that_stands_twice_comes_twice() {
        assert_eq!(read("{\"a\":1,\"a\":2}"), [("a".to_owned(), "1"), ("a".to_owned(), "2")]);
    }

    #[test]
    fn what_is_no_object_is_an_error_with_its_place() {
        let nested = format!("{{\"a\":{}", "[".repeat(100_000));
        for text in [
            "",
            "[]",
            "1",
            "{",
            "{\"a\"}",
            "{\"a\":1,}",
            "{\"a\":1} x",
            "{\"a\":1}{}",
            "{'a':1}",
            "{\"a\":01}",
            "{a:1}",
            "{\"a\":1 \"b\":2}",
            "{\"a\":nul}",
            "{\"a\":\"b}",
            &nested,
        ] {
            assert!(json_members(text).is_err(), "{text}");
        }
        let error = json_members("{\"a\":tru}").unwrap_err();
        assert!(error.to_string().contains("column"), "{error}");
    }
}
