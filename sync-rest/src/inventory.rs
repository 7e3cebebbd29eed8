//! The inventory service: decides about each order once, and takes back what is released.

use std::time::Duration;

use order_api::stock;
use orders::{Order, check_wish};
use serde::Deserialize;
use service_kit::http::{
    Endpoint, Handler, HeaderMap, HttpRequest, Method, Problem, Reply, StatusCode,
};

use crate::answers::{self, OPENAPI_ENDPOINT};
use crate::reservations::{Answered, Ask, Reservations};
use crate::wire::{ATTEMPT_HEADER, RESERVATIONS};

/// Largest request.
const BODY_BYTES_MAX: usize = 4 * 1024;

/// The inventory service.
#[derive(Debug)]
pub(crate) struct Inventory {
    reservations: Reservations,
    /// Injected time before each decision.
    delay: Duration,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    item: String,
    quantity: i32,
}

impl Inventory {
    /// One that decides with these, after this delay.
    pub(crate) fn new(reservations: Reservations, delay: Duration) -> Self {
        Self { reservations, delay }
    }

    async fn reserve(&self, order_id: &str, request: &HttpRequest) -> Result<Reply, Problem> {
        let body: Body = answers::read_body(&request.body)?;
        let attempt = attempt(&request.headers)?;
        check_wish(None, &body.item, body.quantity)
            .map_err(|rule| answers::invalid(&rule.to_string()))?;
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        answers::check_time(&request.context)?;
        let Body { item, quantity } = body;
        let order = Order { quantity, ..Order::new(order_id, item, 0.0) };
        let ask = Ask { order, attempt };
        match self.reservations.reserve(ask).await.map_err(answers::failed)? {
            Answered::Decided(outcome, decided_for) => {
                answers::decided(order_id, outcome, decided_for)
            }
            Answered::TooLate => Err(answers::released(order_id)),
            Answered::Other => Err(answers::other_order(order_id)),
        }
    }
}

impl Inventory {
    async fn release(&self, order_id: &str, request: &HttpRequest) -> Result<Reply, Problem> {
        let attempt = attempt(&request.headers)?;
        let state = self.reservations.release(order_id, attempt).await.map_err(answers::failed)?;
        Ok(answers::reservation(order_id, state))
    }

    fn find(&self, order_id: &str) -> Result<Reply, Problem> {
        match self.reservations.find(order_id).map_err(answers::failed)? {
            Some(state) => Ok(answers::reservation(order_id, state)),
            None => Err(answers::nothing_known(order_id)),
        }
    }
}

/// Its paths.
const ENDPOINTS: [Endpoint; 4] = [
    Endpoint {
        path: "/reservations/{id}",
        methods: "GET, PUT, DELETE",
        body_bytes_max: BODY_BYTES_MAX,
    },
    stock::ENDPOINTS[0],
    stock::ENDPOINTS[1],
    OPENAPI_ENDPOINT,
];

impl Handler for Inventory {
    fn endpoints(&self) -> &[Endpoint] {
        &ENDPOINTS
    }

    async fn handle(&self, request: HttpRequest) -> Reply {
        let levels = || self.reservations.stock().map_err(answers::failed);
        if let Some(reply) = stock::answer(&request.path, levels) {
            return reply;
        }
        let order_id = match answers::order_id(&request.path, RESERVATIONS) {
            Ok(order_id) => order_id,
            Err(reply) => return *reply,
        };
        let answer = match request.method {
            Method::PUT => self.reserve(&order_id, &request).await,
            Method::DELETE => self.release(&order_id, &request).await,
            _ => self.find(&order_id),
        };
        answer.unwrap_or_else(|problem| problem.reply())
    }
}

/// Number of the attempt that asks; 0 where none is named.
fn attempt(headers: &HeaderMap) -> Result<u64, Problem> {
    let Some(sent) = headers.get(ATTEMPT_HEADER) else { return Ok(0) };
    sent.to_str().ok().and_then(|text| text.parse().ok()).ok_or_else(|| {
        let detail = format!("{ATTEMPT_HEADER} is not a number");
        let status = StatusCode::BAD_REQUEST;
        Problem::new(status, "bad-attempt", "The attempt cannot be read", detail)
    })
}
