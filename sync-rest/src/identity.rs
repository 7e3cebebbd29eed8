//! Which store a service works with. Two inventories with stores of their own would give the same stock
//! away twice; so each store has a name, which its service tells, and the order service keeps to those
//! that it has met first.

use std::sync::{Mutex, MutexGuard, PoisonError};

use order_store::{Rows, Store, StoreError, Table};
use service_kit::http::{
    Endpoint, Handler, HeaderValue, HttpRequest, Problem, Reply, RequestContext, StatusCode,
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

/// A service whose answers tell its store, and that does nothing for who means another one.
#[derive(Debug)]
pub(crate) struct Named<H> {
    handler: H,
    store_name: String,
}

impl<H> Named<H> {
    pub(crate) fn new(handler: H, store_name: String) -> Self {
        Self { handler, store_name }
    }
}

impl<H: Handler> Handler for Named<H> {
    fn endpoints(&self) -> &[Endpoint] {
        self.handler.endpoints()
    }

    async fn handle(&self, request: HttpRequest) -> Reply {
        let meant = request.headers.get(STORE_HEADER);
        let mut reply = if meant.is_some_and(|meant| meant != self.store_name.as_str()) {
            other_store().reply()
        } else {
            self.handler.handle(request).await
        };
        if let Ok(name) = HeaderValue::from_str(&self.store_name) {
            reply.headers_mut().insert(STORE_HEADER, name);
        }
        reply
    }
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
