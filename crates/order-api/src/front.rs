//! The HTTP front: the same for all three paradigms.

use std::sync::Arc;

use codec::resolver::SchemaResolver;
use orders::Menu;
use service_kit::http::{
    Bytes, Endpoint, Extension, HeaderMap, HeaderValue, PathEnd, Problem, RequestContext, Response,
    Routes, State, StatusCode,
};

use crate::asked::Asked;
use crate::body::{self, BodyForm, ORDER_BYTES_MAX};
use crate::idempotency::{self, REPLAYED_HEADER, Running};
use crate::known::Orders;
use crate::metrics;
use crate::paradigm::Paradigm;
use crate::view;

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
        metrics::start(P::REJECTS);
        Self { paradigm, orders, menu, resolver, running: Running::default() }
    }

    /// Its paths.
    #[must_use]
    pub fn routes(self) -> Routes {
        routes().with_state(Arc::new(self))
    }

    /// Places the order of a request, as `POST /order` does.
    ///
    /// # Errors
    ///
    /// Why it is not placed.
    async fn place(
        &self,
        context: &RequestContext,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Response, Problem> {
        let form = BodyForm::of(headers)?;
        let key = idempotency::key(headers)?;
        let asked = match form {
            BodyForm::Json => Asked::by_json(body::json_order(body)?),
            BodyForm::Avro => Asked::by_record(body::avro_order(body, &self.resolver).await?)?,
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
        let received_at = context.received_at;
        let placed = self.paradigm.place(&order, context).await;
        let placed = placed.map_err(|problem| problem.with("order_id", order_id))?;
        let known = self.orders.placed(&order, placed, key.as_deref(), received_at).await?;
        Ok(view::answer(&known, P::ANSWER))
    }
}

/// Paths of every front.
#[must_use]
pub fn routes<P: Paradigm>() -> Routes<Arc<Front<P>>> {
    let order = Endpoint::at("/order").taking(ORDER_BYTES_MAX).answering(view::answers(P::ANSWER));
    let known = Endpoint::at("/orders/{id}").answering(&[StatusCode::OK, StatusCode::NOT_FOUND]);
    Routes::new([order.post(place::<P>), known.get(find::<P>)])
}

async fn place<P: Paradigm>(
    State(front): State<Arc<Front<P>>>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let placed = front.place(&context, &headers, &body).await;
    placed.inspect_err(|problem| metrics::rejected(problem.slug()))
}

async fn find<P: Paradigm>(
    State(front): State<Arc<Front<P>>>,
    PathEnd(order_id): PathEnd,
) -> Result<Response, Problem> {
    match front.orders.find(&order_id)? {
        Some(known) => Ok(view::found(&known)),
        None => Err(view::not_found(&order_id)),
    }
}

#[cfg(test)]
#[path = "front_tests.rs"]
mod tests;
