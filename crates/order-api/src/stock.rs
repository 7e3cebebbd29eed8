//! What is left of each item, told by inventory; the same in all three paradigms.

use order_store::inventory::StockLevel;
use serde::Serialize;
use service_kit::http::header::CONTENT_TYPE;
use service_kit::http::{Endpoint, HeaderValue, Problem, Reply, Response, StatusCode};

/// Path of all items.
const STOCK: &str = "/stock";

/// Its paths.
pub const ENDPOINTS: [Endpoint; 2] = [Endpoint::get(STOCK), Endpoint::get("/stock/{item}")];

/// The answer to a request to one of [`ENDPOINTS`]; `None` for any other path.
pub fn answer(
    path: &str,
    levels: impl FnOnce() -> Result<Vec<StockLevel>, Problem>,
) -> Option<Reply> {
    let item = path.strip_prefix(STOCK)?;
    if item.is_empty() {
        return Some(levels().map_or_else(|problem| problem.reply(), |levels| json(&levels)));
    }
    let item = percent_encoding::percent_decode_str(item.strip_prefix('/')?).decode_utf8_lossy();
    let level = levels().and_then(|levels| {
        levels.into_iter().find(|level| level.item == item).ok_or_else(unknown_item)
    });
    Some(level.map_or_else(|problem| problem.reply(), |level| json(&level)))
}

fn unknown_item() -> Problem {
    let detail = "the menu has no such item; GET /stock has all of them";
    Problem::new(StatusCode::NOT_FOUND, "unknown-item", "The item is unknown", detail)
}

fn json(value: &impl Serialize) -> Reply {
    let text = serde_json::to_string(value).unwrap_or_else(|error| format!("\"{error}\""));
    let mut reply = Response::new((text + "\n").into());
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(item: &str) -> StockLevel {
        StockLevel { item: item.to_owned(), initial: Some(3), reserved: 1, left: Some(2) }
    }

    fn ask(path: &str) -> Option<(u16, serde_json::Value)> {
        let reply = answer(path, || Ok(vec![level("tea"), level("last one")]))?;
        Some((reply.status().as_u16(), serde_json::from_slice(reply.body()).unwrap()))
    }

    #[test]
    fn all_items_or_one_are_told_and_an_unknown_one_is_404() {
        let (status, all) = ask("/stock").unwrap();
        assert_eq!((status, all.as_array().unwrap().len()), (200, 2));
        let (status, one) = ask("/stock/last%20one").unwrap();
        assert_eq!((status, &one["item"], &one["left"]), (200, &"last one".into(), &2.into()));
        let (status, none) = ask("/stock/ham").unwrap();
        assert_eq!((status, &none["type"]), (404, &"urn:orders:problem:unknown-item".into()));
        assert_eq!(ask("/stocks"), None);
    }
}
