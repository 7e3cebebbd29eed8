//! The orders of a batch, cut out of its body: a JSON array, or JSON Lines.

use serde::de::IgnoredAny;
use service_kit::http::header::CONTENT_TYPE;
use service_kit::http::{HeaderMap, Problem, StatusCode};

use crate::limits::BATCH_ITEMS_MAX;

/// Content types of JSON Lines.
const LINES: [&str; 4] =
    ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"];

/// Form of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BatchForm {
    /// One JSON array.
    Array,
    /// One JSON object per line.
    Lines,
}

impl BatchForm {
    /// Reads it from the content type.
    ///
    /// # Errors
    ///
    /// 415 if it is missing or another.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let sent = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        let (essence, _) = sent.split_once(';').unwrap_or((sent, ""));
        match essence.trim().to_ascii_lowercase().as_str() {
            "application/json" => Ok(Self::Array),
            form if LINES.contains(&form) => Ok(Self::Lines),
            _ => {
                let detail = "send content-type application/json with an array of orders, or \
                              application/x-ndjson with one order per line";
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

    /// The items of a body, each as it was sent. Lines are not looked into: a broken one is the
    /// matter of its own item.
    ///
    /// # Errors
    ///
    /// 400 if the body is no JSON array, 413 if there are too many items, 422 if there is none.
    pub(crate) fn items(self, body: &[u8]) -> Result<Vec<&[u8]>, Problem> {
        let items = match self {
            Self::Array => of_array(body)?,
            Self::Lines => {
                let lines = body.split(|byte| *byte == b'\n');
                lines.filter(|line| !line.trim_ascii().is_empty()).collect()
            }
        };
        match items.len() {
            0 => {
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                Err(Problem::new(
                    status,
                    "empty-batch",
                    "The batch is empty",
                    "send at least one order",
                ))
            }
            1..=BATCH_ITEMS_MAX => Ok(items),
            _ => Err(too_many()),
        }
    }
}

fn too_many() -> Problem {
    let detail = format!("a batch has at most {BATCH_ITEMS_MAX} orders; none of them was placed");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "batch-too-large", "The batch is too large", detail)
}

fn no_array(detail: &str) -> Problem {
    let detail = format!("{detail}; send an array of orders; no order of the batch was placed");
    Problem::new(StatusCode::BAD_REQUEST, "invalid-json", "The body is not a JSON array", detail)
}

/// Cuts an array into its values.
fn of_array(body: &[u8]) -> Result<Vec<&[u8]>, Problem> {
    let mut items = Vec::new();
    let mut rest = body.trim_ascii();
    rest = rest.strip_prefix(b"[").ok_or_else(|| no_array("it does not start with ["))?;
    rest = rest.trim_ascii_start();
    if let Some(after) = rest.strip_prefix(b"]") {
        return if after.is_empty() { Ok(items) } else { Err(no_array("something follows ]")) };
    }
    loop {
        if items.len() == BATCH_ITEMS_MAX {
            return Err(too_many());
        }
        let number = items.len();
        let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<IgnoredAny>();
        match values.next() {
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                let text: String = error.to_string().chars().take(200).collect();
                return Err(no_array(&format!("item {number}: {text}")));
            }
            None => return Err(no_array("it ends too early")),
        }
        let (item, after) = rest.split_at(values.byte_offset());
        items.push(item);
        rest = after.trim_ascii_start();
        match rest.split_first() {
            Some((b',', after)) => rest = after.trim_ascii_start(),
            Some((b']', [])) => return Ok(items),
            Some((b']', _)) => return Err(no_array("something follows ]")),
            Some(_) => return Err(no_array(&format!("no comma after item {number}"))),
            None => return Err(no_array("it ends too early")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(form: BatchForm, body: &str) -> Result<Vec<&str>, u16> {
        let items = form.items(body.as_bytes()).map_err(|problem| problem.status().as_u16())?;
        Ok(items.into_iter().map(|item| std::str::from_utf8(item).unwrap().trim()).collect())
    }

    #[test]
    fn an_array_is_cut_into_its_values_whatever_they_are() {
        let items =
            cut(BatchForm::Array, r#" [ {"a":[1,{"b":"],"}]} , 1,"x" ,null,[ ] ] "#).unwrap();
        assert_eq!(items, [r#"{"a":[1,{"b":"],"}]}"#, "1", "\"x\"", "null", "[ ]"]);
    }

    #[test]
    fn what_is_no_array_is_the_clients_fault_as_a_whole() {
        for body in [
            "", "{}", "[", "[1", "[1,", "[1,]", "[1 2]", "[1]]", "[,]", "[tru]", "[{]", "x[1]",
            "[\"a]",
        ] {
            assert_eq!(cut(BatchForm::Array, body), Err(400), "{body}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(cut(BatchForm::Array, &deep), Err(400));
    }

    #[test]
    fn lines_are_cut_at_line_ends_and_empty_ones_do_not_count() {
        let items = cut(BatchForm::Lines, "{\"a\":1}\r\n\n{broken\n  \n{\"b\":2}").unwrap();
        assert_eq!(items, ["{\"a\":1}", "{broken", "{\"b\":2}"]);
    }

    #[test]
    fn a_batch_has_one_to_10000_orders() {
        let lines = |n: usize| "1\n".repeat(n);
        let array = |n: usize| format!("[{}]", vec!["1"; n].join(","));
        assert_eq!(cut(BatchForm::Array, "[ ]"), Err(422));
        assert_eq!(cut(BatchForm::Lines, " \n\n"), Err(422));
        assert_eq!(cut(BatchForm::Array, &array(10_000)).map(|items| items.len()), Ok(10_000));
        assert_eq!(cut(BatchForm::Lines, &lines(10_000)).map(|items| items.len()), Ok(10_000));
        assert_eq!(cut(BatchForm::Array, &array(10_001)), Err(413));
        assert_eq!(cut(BatchForm::Lines, &lines(10_001)), Err(413));
    }

    #[test]
    fn another_content_type_is_415() {
        let form = |sent: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, sent.parse().unwrap());
            BatchForm::of(&headers).map_err(|problem| problem.status().as_u16())
        };
        assert_eq!(form("Application/JSON; charset=utf-8"), Ok(BatchForm::Array));
        assert_eq!(form("application/x-ndjson"), Ok(BatchForm::Lines));
        assert_eq!(form("text/plain"), Err(415));
        assert_eq!(form("avro/binary"), Err(415));
    }
}
