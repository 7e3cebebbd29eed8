//! The HTTP front: the same for all three paradigms.

use codec::resolver::SchemaResolver;
use orders::Menu;
use service_kit::http::{Endpoint, Handler, HeaderValue, HttpRequest, Problem, Reply};

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
/// Paths of every front.
pub const ENDPOINTS: [Endpoint; 2] =
    [Endpoint::post(ORDER, ORDER_BYTES_MAX), Endpoint::get("/orders/{id}")];

/// The front of one paradigm.
#[derive(Debug)]
pub struct Front<P> {
    paradigm: P,
    endpoints: Vec<Endpoint>,
    orders: Orders,
    menu: Menu,
    resolver: SchemaResolver,
    running: Running,
}

impl<P: Paradigm> Front<P> {
    /// A front before `paradigm`, which shares `orders` with it. Framed orders are read with the
    /// schemas of `resolver`.
    pub fn new(paradigm: P, orders: Orders, menu: Menu, resolver: SchemaResolver) -> Self {
        metrics::start(P::REJECTS);
        let endpoints = [&ENDPOINTS[..], paradigm.extra_endpoints()].concat();
        Self { paradigm, endpoints, orders, menu, resolver, running: Running::default() }
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
    fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    async fn handle(&self, request: HttpRequest) -> Reply {
        if self.paradigm.extra_endpoints().iter().any(|extra| extra.is_at(&request.path)) {
            return self.paradigm.extra(request).await;
        }
        if let Some(order_id) = request.path.strip_prefix(ORDERS) {
            return self.find(order_id).unwrap_or_else(|problem| problem.reply());
        }
        self.place(&request).await.unwrap_or_else(|problem| {
            metrics::rejected(problem.slug());
            problem.reply()
        })
    }
}

#[cfg(test)]
#[path = "front_tests.rs"]
mod tests;
