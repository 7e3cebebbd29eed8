//! What is left of each item, told by inventory; the same in all three paradigms.

use order_store::inventory::StockLevel;
use service_kit::http::{Endpoint, JsonLine, PathEnd, Problem, Routes, State, StatusCode};

/// `/stock` and `/stock/{item}`, answered with these levels.
pub fn routes<S: Clone + Send + Sync + 'static>(
    levels: fn(&S) -> Result<Vec<StockLevel>, Problem>,
) -> Routes<S> {
    Routes::new([
        Endpoint::at("/stock")
            .get(async move |State(state): State<S>| levels(&state).map(JsonLine)),
        Endpoint::at("/stock/{item}").answering(&[StatusCode::OK, StatusCode::NOT_FOUND]).get(
            async move |State(state): State<S>, PathEnd(item)| {
                levels(&state).and_then(|levels| one(levels, &item)).map(JsonLine)
            },
        ),
    ])
}

fn one(levels: Vec<StockLevel>, item: &str) -> Result<StockLevel, Problem> {
    let item = percent_encoding::percent_decode_str(item).decode_utf8_lossy();
    levels.into_iter().find(|level| level.item == item).ok_or_else(unknown_item)
}

fn unknown_item() -> Problem {
    let detail = "the menu has no such item; GET /stock has all of them";
    Problem::new(StatusCode::NOT_FOUND, "unknown-item", "The item is unknown", detail)
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::extract::Request;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    fn level(item: &str) -> StockLevel {
        StockLevel { item: item.to_owned(), initial: Some(3), reserved: 1, left: Some(2) }
    }

    async fn ask(path: &str) -> Option<(u16, serde_json::Value)> {
        let levels = |(): &()| Ok(vec![level("tea"), level("last one")]);
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let reply = Router::from(routes(levels)).oneshot(request).await.unwrap();
        let status = reply.status().as_u16();
        let body = reply.into_body().collect().await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        (body["type"] != "urn:orders:problem:no-such-path").then_some((status, body))
    }

    #[tokio::test]
    async fn all_items_or_one_are_told_and_an_unknown_one_is_404() {
        let (status, all) = ask("/stock").await.unwrap();
        assert_eq!((status, all.as_array().unwrap().len()), (200, 2));
        let (status, one) = ask("/stock/last%20one").await.unwrap();
        assert_eq!((status, &one["item"], &one["left"]), (200, &"last one".into(), &2.into()));
        let (status, none) = ask("/stock/ham").await.unwrap();
        assert_eq!((status, &none["type"]), (404, &"urn:orders:problem:unknown-item".into()));
        assert_eq!(ask("/stocks").await, None);
    }
}
