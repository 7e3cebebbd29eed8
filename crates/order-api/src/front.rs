//! The HTTP front: the same for all three paradigms.

use codec::resolver::SchemaResolver;
use orders::Menu;
use service_kit::http::{Handler, HeaderValue, HttpRequest, Method, Problem, Reply, Route};

use crate::asked::Asked;
use crate::body::{self, BodyForm, ORDER_BYTES_MAX};
use crate::idempotency::{self, REPLAYED_HEADER, Running};
use crate::known::Orders;
use crate::metrics;
use crate::paradigm::Paradigm;
use crate::view;

/// Path of a new order.
const ORDER: &str = "/order";
/// Path of known orders, before their id.
const ORDERS: &str = "/orders/";
/// What is said to those who look elsewhere.
const PATHS: &str = "POST /order, GET /orders/{id}, /health, /livez, /readyz, /metrics";

/// The front of one paradigm.
#[derive(Debug)]
pub struct Front<P> {
    paradigm: P,
    orders: Orders,
    menu: Menu,
    resolver: SchemaResolver,
    running: Running,
}

impl<P: Paradigm> Front<P> {
    /// A front before `paradigm`, which shares `orders` with it. Framed orders are read with the
    /// schemas of `resolver`.
    pub fn new(paradigm: P, orders: Orders, menu: Menu, resolver: SchemaResolver) -> Self {
        Self { paradigm, orders, menu, resolver, running: Running::default() }
    }

    /// Places the order of a request, as `POST /order` does.
    ///
    /// # Errors
    ///
    /// Why it is not placed.
    async fn place(&self, request: &HttpRequest) -> Result<Reply, Problem> {
        let form = BodyForm::of(&request.headers)?;
        let key = idempotency::key(&request.headers)?;
        let asked = match form {
            BodyForm::Json => Asked::by_json(body::json_order(&request.body)?),
            BodyForm::Avro => {
                Asked::by_record(body::avro_order(&request.body, &self.resolver).await?)?
            }
        };
        let order_id = asked.order_id(key.as_deref());
        let _running = self.running.begin(&order_id)?;
        if let Some(known) = self.orders.look_up(&order_id, key.as_deref(), &asked.fingerprint())? {
            metrics::replayed();
            let mut reply = view::answer(&known, P::ANSWER);
            reply.headers_mut().insert(REPLAYED_HEADER, HeaderValue::from_static("true"));
            return Ok(reply);
        }
        let order = asked.into_new(order_id.clone(), &self.menu)?;
        let received_at = request.context.received_at;
        let placed = self.paradigm.place(&order, &request.context).await;
        let placed = placed.map_err(|problem| problem.with("order_id", order_id))?;
        let known = self.orders.placed(&order, placed, key.as_deref(), received_at).await?;
        Ok(view::answer(&known, P::ANSWER))
    }

    fn find(&self, order_id: &str) -> Result<Reply, Problem> {
        match self.orders.find(order_id)? {
            Some(known) => Ok(view::found(&known)),
            None => Err(view::not_found(order_id)),
        }
    }
}

impl<P: Paradigm> Handler for Front<P> {
    fn route(&self, method: &Method, path: &str) -> Route {
        if let Some(route) = self.paradigm.extra_route(method, path) {
            return route;
        }
        match path {
            ORDER => Route { name: ORDER, body_bytes_max: ORDER_BYTES_MAX },
            _ if path.starts_with(ORDERS) => Route { name: "/orders/{id}", body_bytes_max: 0 },
            _ => Route { name: "other", body_bytes_max: 0 },
        }
    }

    async fn handle(&self, request: HttpRequest) -> Reply {
        if self.paradigm.extra_route(&request.method, &request.path).is_some() {
            return self.paradigm.extra(request).await;
        }
        match (&request.method, request.path.as_str()) {
            (&Method::POST, ORDER) => match self.place(&request).await {
                Ok(reply) => reply,
                Err(problem) => {
                    metrics::rejected(problem.slug());
                    problem.reply()
                }
            },
            (method, ORDER) => Problem::no_such_method(method, "POST"),
            (&Method::GET, path) if path.starts_with(ORDERS) => {
                let found = self.find(&path[ORDERS.len()..]);
                found.unwrap_or_else(|problem| problem.reply())
            }
            (method, path) if path.starts_with(ORDERS) => Problem::no_such_method(method, "GET"),
            _ => Problem::no_such_path(PATHS).reply(),
        }
    }
}

#[cfg(test)]
#[path = "front_tests.rs"]
mod tests;
