//! Which store a service works with. Two inventories with stores of their own would give the same stock
//! away twice; so each store has a name, which its service tells, and the order service keeps to those
//! that it has met first.

use std::sync::{Mutex, MutexGuard, PoisonError};

use order_store::{Rows, Store, StoreError, Table};
use service_kit::http::{
    HeaderValue, IntoResponse as _, Next, Problem, Request, RequestContext, Response, Routes,
    State, StatusCode, from_fn_with_state,
};

/// Header with the name of a store: of an answer, the service's own; of a request, the one that is meant.
pub(crate) const STORE_HEADER: &str = "x-store-id";

/// Names of stores: the own one, and those of other services.
const IDENTITY: Table = Table::named("identity");
const OWN: &str = "own";

/// The name of a store; it is made with it, and never changes.
///
/// # Errors
///
/// If the store fails.
pub(crate) async fn name_of(store: &Store) -> Result<String, StoreError> {
    let made = RequestContext::internal().request_id;
    let step = move |rows: &Rows<'_>| match rows.get::<String>(IDENTITY, OWN)? {
        Some(known) => Ok(known),
        None => rows.put(IDENTITY, OWN, &made).map(|()| made),
    };
    store.change(step).await
}

/// Paths whose answers tell the store of their service, and that do nothing for who means another one.
pub(crate) fn named(routes: Routes, store_name: &str) -> Routes {
    // A name that is no header is none that anybody can mean.
    let Ok(name) = HeaderValue::from_str(store_name) else { return routes };
    routes.map(|handlers| handlers.layer(from_fn_with_state(name.clone(), keep_to_store)))
}

async fn keep_to_store(State(name): State<HeaderValue>, request: Request, next: Next) -> Response {
    let meant = request.headers().get(STORE_HEADER);
    let mut reply = if meant.is_some_and(|meant| meant != name) {
        other_store().into_response()
    } else {
        next.run(request).await
    };
    reply.headers_mut().insert(STORE_HEADER, name);
    reply
}

fn other_store() -> Problem {
    let detail = "this instance has another store than the one that is addressed; nothing was done";
    let status = StatusCode::MISDIRECTED_REQUEST;
    Problem::new(status, "other-store", "The request is for another store", detail)
}

/// The store that another service was met with.
#[derive(Debug)]
pub(crate) struct Met {
    store: Store,
    service: &'static str,
    name: Mutex<Option<String>>,
    /// Held while the service is met: who comes meanwhile waits for the answer.
    pub(crate) meeting: tokio::sync::Mutex<()>,
}

impl Met {
    /// What is known of a service from earlier runs; nothing where `forgets`.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub(crate) async fn load(
        store: Store,
        service: &'static str,
        forgets: bool,
    ) -> Result<Self, StoreError> {
        if forgets {
            let forget = move |rows: &Rows<'_>| {
                rows.remove(IDENTITY, service);
                Ok(())
            };
            store.change(forget).await?;
        }
        let name = Mutex::new(store.get(IDENTITY, service)?);
        Ok(Self { store, service, name, meeting: tokio::sync::Mutex::default() })
    }

    /// The name of its store.
    pub(crate) fn name(&self) -> Option<String> {
        self.lock().clone()
    }

    /// Keeps to this one from now on.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub(crate) async fn keep(&self, name: &str) -> Result<(), StoreError> {
        let (service, row) = (self.service, name.to_owned());
        self.store.change(move |rows: &Rows<'_>| rows.put(IDENTITY, service, &row)).await?;
        *self.lock() = Some(name.to_owned());
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
