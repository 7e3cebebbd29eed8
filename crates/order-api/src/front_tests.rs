//! Tests of the front before a paradigm that does as it is told.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::Method;
use http_body_util::BodyExt as _;
use order_store::Store;
use orders::{FailureReason, InventoryOutcome, MenuItem, Stock};
use service_kit::http::StatusCode;
use tower::ServiceExt as _;

use super::*;
use crate::{NewOrder, Placed, outcome_unknown};

/// Accepts orders, or fails; counts.
#[derive(Default)]
struct Told {
    fails: AtomicBool,
    placed: AtomicUsize,
}

impl Paradigm for &'static Told {
    async fn place(&self, _order: &NewOrder, _context: &RequestContext) -> Result<Placed, Problem> {
        self.placed.fetch_add(1, Ordering::Relaxed);
        if self.fails.load(Ordering::Relaxed) {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            let problem = Problem::new(status, "broker-away", "The broker is away", "no broker");
            return Err(outcome_unknown(problem));
        }
        Ok(Placed::Accepted)
    }
}

/// An answer, read to its end.
type Reply = axum::http::Response<Bytes>;

struct Rig {
    routes: Routes,
    told: &'static Told,
    orders: Orders,
    _folder: tempfile::TempDir,
}

fn rig() -> Rig {
    let folder = tempfile::tempdir().unwrap();
    let orders = Orders::new(Store::open(&folder.path().join("orders.redb")).unwrap());
    let told: &'static Told = Box::leak(Box::default());
    let item = MenuItem { price: 2.0, stock: Stock::Unlimited };
    let menu = Menu::new([("tea".to_owned(), item)]).unwrap();
    let front = Front::new(told, orders.clone(), menu, SchemaResolver::offline());
    let extra = Endpoint::at("/orders").taking(7).post(async |body: Bytes| body);
    let routes = front.routes().and(Routes::new([extra]));
    Rig { routes, told, orders, _folder: folder }
}

impl Rig {
    async fn send(&self, method: Method, path: &str, headers: &[(&'static str, &str)]) -> Reply {
        let mut all = HeaderMap::new();
        all.insert("content-type", HeaderValue::from_static("application/json"));
        for (name, value) in headers {
            all.insert(*name, value.parse().unwrap());
        }
        self.send_body(method, path, all, r#"{"user_id":"u1","item":"tea","quantity":3}"#).await
    }

    async fn send_body(&self, method: Method, path: &str, all: HeaderMap, body: &str) -> Reply {
        let mut request = Request::new(Body::from(body.to_owned()));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap();
        *request.headers_mut() = all;
        request.extensions_mut().insert(RequestContext::internal());
        let reply = Router::from(self.routes.clone()).oneshot(request).await.unwrap();
        let (head, body) = reply.into_parts();
        Reply::from_parts(head, body.collect().await.unwrap().to_bytes())
    }

    async fn post(&self, key: &str) -> Reply {
        self.send(Method::POST, "/order", &[("idempotency-key", key)]).await
    }

    async fn get(&self, order_id: &str) -> (StatusCode, serde_json::Value) {
        let reply = self.send(Method::GET, &format!("/orders/{order_id}"), &[]).await;
        (reply.status(), json(&reply))
    }
}

fn json(reply: &Reply) -> serde_json::Value {
    serde_json::from_slice(reply.body()).unwrap()
}

#[tokio::test]
async fn an_order_on_its_way_is_202_and_can_be_followed_to_its_outcome() {
    let rig = rig();
    let reply = rig.post("k").await;
    assert_eq!(reply.status(), StatusCode::ACCEPTED);
    let body = json(&reply);
    let id = body["order_id"].as_str().unwrap();
    assert_eq!((&body["status"], &body["price"]), (&"pending".into(), &6.0.into()));
    assert_eq!(reply.headers()["location"], format!("/orders/{id}"));
    assert_eq!(rig.get(id).await, (StatusCode::OK, body.clone()));
    let outcome = InventoryOutcome::Failed(FailureReason::OutOfStock);
    rig.orders.settle(id, outcome, None).await.unwrap();
    let (status, found) = rig.get(id).await;
    assert_eq!((status, &found["status"]), (StatusCode::OK, &"failed".into()));
    assert_eq!(found["reason"], "out-of-stock");
    assert_eq!(rig.get("another").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_retry_is_answered_from_memory_and_after_an_error_it_is_a_new_try() {
    let rig = rig();
    rig.told.fails.store(true, Ordering::Relaxed);
    let failed = rig.post("k").await;
    assert_eq!(failed.status(), StatusCode::SERVICE_UNAVAILABLE);
    let failed = json(&failed);
    assert_eq!((&failed["outcome"], failed["order_id"].is_string()), (&"unknown".into(), true));
    rig.told.fails.store(false, Ordering::Relaxed);
    let first = rig.post("k").await;
    assert_eq!(json(&first)["order_id"], failed["order_id"], "a key names one order");
    let again = rig.post("k").await;
    assert_eq!((again.status(), again.body()), (StatusCode::ACCEPTED, first.body()));
    assert_eq!(again.headers()[REPLAYED_HEADER], "true");
    assert_eq!(rig.told.placed.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn an_accepted_order_is_answered_202_however_soon_its_outcome_comes_and_at_each_retry() {
    for outcome in [InventoryOutcome::Reserved, InventoryOutcome::Failed(FailureReason::OutOfStock)]
    {
        let rig = rig();
        // The outcome is faster than the front: the paradigm has not returned yet.
        let id = crate::idempotency::order_id_of("k");
        rig.orders.settle(&id, outcome, None).await.unwrap();
        let first = rig.post("k").await;
        assert_eq!(first.status(), StatusCode::ACCEPTED);
        assert_eq!(first.headers()["location"], format!("/orders/{id}"));
        let again = rig.post("k").await;
        assert_eq!((again.status(), again.body()), (StatusCode::ACCEPTED, first.body()));
        assert_eq!(again.headers()[REPLAYED_HEADER], "true");
    }
}

#[tokio::test]
async fn a_paradigm_may_have_paths_of_its_own() {
    let rig = rig();
    let paths: Vec<&str> = rig.routes.iter().map(Endpoint::path).collect();
    assert_eq!(paths, ["/order", "/orders/{id}", "/orders"]);
    let reply = rig.send(Method::POST, "/orders", &[]).await;
    assert!(reply.body().starts_with(b"{\"user_id\""));
}

#[tokio::test]
async fn a_price_that_the_record_cannot_carry_is_told_in_every_answer() {
    let rig = rig();
    let post = async |price: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert("idempotency-key", price.parse().unwrap());
        let body = format!(r#"{{"user_id":"u1","item":"tea","quantity":1,"price":{price}}}"#);
        let reply = rig.send_body(Method::POST, "/order", headers, &body).await;
        assert_eq!(reply.status(), StatusCode::ACCEPTED, "{price}");
        json(&reply)
    };
    let body = post("12345678.91").await;
    let warning = "price 12345678.91 becomes 12345679: the record's price is a float of 32 bits";
    assert_eq!(body["warning"], warning);
    assert_eq!(post("12345678.91").await, body, "a retry has the same answer");
    assert_eq!(rig.get(body["order_id"].as_str().unwrap()).await.1, body);
    assert!(post("1000000001").await["warning"].is_string());
    assert_eq!(post("2.39").await.get("warning"), None);
}
