//! The paths of a program as axum routes them, and what axum does not say: which there are (404),
//! and which methods a path takes, as `Allow` writes them (405).

use std::convert::Infallible;

use axum::Router;
use axum::body::HttpBody as _;
use axum::extract::{FromRequestParts, Request};
use axum::handler::Handler;
use axum::http::header::{ALLOW, CONNECTION};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, MethodRouter, any, on};

use super::problem::Problem;
use crate::admin_http;

/// One path of a program, and what answers there.
#[derive(Debug, Clone)]
pub struct Endpoint<S = ()> {
    /// It is the label of metrics as well.
    pub(super) path: &'static str,
    /// As `Allow` writes them: `GET, PUT`.
    pub(super) methods: String,
    /// The same methods; `None` before the first.
    filter: Option<MethodFilter>,
    /// Largest body that is read.
    pub(super) body_bytes_max: usize,
    /// What its handlers answer: labels of a counter, which begin at 0.
    pub(super) answers: &'static [StatusCode],
    handlers: MethodRouter<S>,
}

impl<S: Clone + Send + Sync + 'static> Endpoint<S> {
    /// A path with its parameters named, such as `/orders/{id}`; a parameter is one part of a path
    /// and never empty. No body is read until [`taking`](Self::taking) says how long it may be.
    #[must_use]
    pub fn at(path: &'static str) -> Self {
        let (methods, handlers) = (String::new(), MethodRouter::new());
        let answers = &[StatusCode::OK];
        Self { path, methods, filter: None, body_bytes_max: 0, answers, handlers }
    }

    /// The same for bodies of up to so many bytes.
    #[must_use]
    pub fn taking(self, body_bytes_max: usize) -> Self {
        Self { body_bytes_max, ..self }
    }

    /// Names the statuses that its handlers answer; without, it is 200 alone. Those that every
    /// server gives by itself, such as 413 and 503, need no mention.
    #[must_use]
    pub fn answering(self, answers: &'static [StatusCode]) -> Self {
        Self { answers, ..self }
    }

    /// Answers `GET`, and no `HEAD`: what answers a `HEAD` here would do the work for nothing.
    #[must_use]
    pub fn get<T: 'static>(self, handler: impl Handler<T, S>) -> Self {
        self.on("GET", MethodFilter::GET, handler)
    }

    /// Answers `GET` and `HEAD`.
    #[must_use]
    pub fn read<T: 'static>(self, handler: impl Handler<T, S>) -> Self {
        self.on("GET, HEAD", MethodFilter::GET, handler)
    }

    /// Answers `POST`.
    #[must_use]
    pub fn post<T: 'static>(self, handler: impl Handler<T, S>) -> Self {
        self.on("POST", MethodFilter::POST, handler)
    }

    /// Answers `PUT`.
    #[must_use]
    pub fn put<T: 'static>(self, handler: impl Handler<T, S>) -> Self {
        self.on("PUT", MethodFilter::PUT, handler)
    }

    /// Answers `DELETE`.
    #[must_use]
    pub fn delete<T: 'static>(self, handler: impl Handler<T, S>) -> Self {
        self.on("DELETE", MethodFilter::DELETE, handler)
    }

    fn on<T: 'static>(
        mut self,
        methods: &str,
        filter: MethodFilter,
        handler: impl Handler<T, S>,
    ) -> Self {
        if !self.methods.is_empty() {
            self.methods.push_str(", ");
        }
        self.methods.push_str(methods);
        let all = self.filter.map_or(filter, |before| before.or(filter));
        Self { filter: Some(all), handlers: self.handlers.on(filter, handler), ..self }
    }

    /// What answers at the path: 405 to each method that it does not take, of which axum takes
    /// `HEAD` for a `GET`.
    pub(super) fn handlers(&self) -> MethodRouter<S> {
        let methods = self.methods.clone();
        let refuse = move |request: Request| async move {
            let reply = Problem::no_such_method(request.method(), &methods);
            over_unread_body(&request, reply)
        };
        let handlers = self.handlers.clone().fallback(refuse.clone());
        if takes(&self.methods, &Method::HEAD) { handlers } else { handlers.head(refuse) }
    }
}

/// Whether a method is among these, which stand as `Allow` writes them.
pub(super) fn takes(methods: &str, method: &Method) -> bool {
    methods.split(", ").any(|known| known == method.as_str())
}

/// The paths of a program. What is not among them is answered 404, or 405 with `Allow`, before a
/// byte of a body is read.
///
/// What answers behind a [`Server`](super::Server) runs in a task of its own and is never dropped
/// half-way, also when the client has gone; a panic is answered 500. It finds the whole body in
/// memory, and the [`RequestContext`](super::RequestContext) as an `Extension`.
#[derive(Debug, Clone)]
pub struct Routes<S = ()>(Vec<Endpoint<S>>);

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// Exactly these.
    pub fn new(endpoints: impl IntoIterator<Item = Endpoint<S>>) -> Self {
        Self(endpoints.into_iter().collect())
    }

    /// These, and others beside them.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// The same paths with their handlers changed, such as by a layer around each.
    pub fn map<T>(self, change: impl Fn(MethodRouter<S>) -> MethodRouter<T>) -> Routes<T> {
        self.change(|_methods, handlers| change(handlers))
    }

    /// The same paths and methods with one answer to all.
    pub fn answered_by<T: 'static>(self, handler: impl Handler<T, ()>) -> Routes {
        self.change(|methods, _| {
            methods.map_or_else(MethodRouter::new, |methods| on(methods, handler.clone()))
        })
    }

    fn change<T>(
        self,
        change: impl Fn(Option<MethodFilter>, MethodRouter<S>) -> MethodRouter<T>,
    ) -> Routes<T> {
        let changed = self.0.into_iter().map(|endpoint| {
            let Endpoint { path, methods, filter, body_bytes_max, answers, handlers } = endpoint;
            let handlers = change(filter, handlers);
            Endpoint { path, methods, filter, body_bytes_max, answers, handlers }
        });
        Routes(changed.collect())
    }

    /// The same with what its handlers share.
    pub fn with_state(self, state: S) -> Routes {
        self.map(|handlers| handlers.with_state(state.clone()))
    }

    /// One by one.
    pub fn iter(&self) -> impl Iterator<Item = &Endpoint<S>> {
        self.0.iter()
    }
}

impl<S> Endpoint<S> {
    /// The path with its parameters named.
    #[must_use]
    pub fn path(&self) -> &'static str {
        self.path
    }
}

impl Routes {
    /// What answers on every other path.
    pub(crate) fn elsewhere(&self) -> MethodRouter {
        let problem = Problem::no_such_path(&self.0);
        any(
            move |request: Request| async move { over_unread_body(&request, problem.into_response()) },
        )
    }
}

/// A router that answers these alone, with nothing around them.
impl From<Routes> for Router {
    fn from(routes: Routes) -> Self {
        let route =
            |router: Self, endpoint: &Endpoint| router.route(endpoint.path, endpoint.handlers());
        routes.iter().fold(Self::new(), route).fallback_service(routes.elsewhere())
    }
}

/// An answer that is given before the body was read: the connection cannot be used again.
fn over_unread_body(request: &Request, mut reply: Response) -> Response {
    if !request.body().is_end_stream() {
        reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    reply
}

/// Answers for paths and methods that a service does not have.
impl Problem {
    /// Nothing is found at this path; `all` are those where something is, besides those that every
    /// service has.
    fn no_such_path(all: &[Endpoint]) -> Self {
        let own = all.iter().map(|endpoint| format!("{} {}", endpoint.methods, endpoint.path));
        let every = admin_http::PATHS.iter().map(|path| format!("GET {path}"));
        let known: Vec<String> = own.chain(every).collect();
        let detail = format!("nothing is here; there is {}", known.join("; "));
        Self::new(StatusCode::NOT_FOUND, "no-such-path", "No such path", detail)
    }

    /// The path has no such method; `allowed` are those that it has, as `Allow` writes them.
    fn no_such_method(method: &Method, allowed: &str) -> Response {
        let detail = format!("{method} is not for this path; it takes {allowed}");
        let status = StatusCode::METHOD_NOT_ALLOWED;
        let mut reply =
            Self::new(status, "no-such-method", "No such method", detail).into_response();
        if let Ok(allowed) = HeaderValue::from_str(allowed) {
            reply.headers_mut().insert(ALLOW, allowed);
        }
        reply
    }
}

/// The last part of a path as it was sent. Ids are compared byte by byte; axum's `Path` would decode
/// them, and answer in plain text where that fails.
#[derive(Debug, Clone)]
pub struct PathEnd(pub String);

impl<S: Send + Sync> FromRequestParts<S> for PathEnd {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let end = parts.uri.path().rsplit('/').next().unwrap_or_default();
        Ok(Self(end.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;

    use super::*;

    fn routes() -> Routes {
        Routes::new([
            Endpoint::at("/order").taking(9).post(async || "order"),
            Endpoint::at("/orders/{id}").get(async |PathEnd(id): PathEnd| id),
            Endpoint::at("/reservations/{id}")
                .get(async || "found")
                .put(async || "reserved")
                .delete(async || "released"),
            Endpoint::at("/metrics").read(async || "metrics"),
        ])
    }

    async fn ask(method: &str, path: &str) -> (u16, Response) {
        ask_of(routes(), method, path).await
    }

    async fn ask_of(routes: Routes, method: &str, path: &str) -> (u16, Response) {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let reply = TowerToHyperService::new(Router::from(routes)).call(request).await.unwrap();
        (reply.status().as_u16(), reply)
    }

    #[tokio::test]
    async fn a_path_is_its_parts_and_a_parameter_is_one_of_them() {
        for (method, path) in [
            ("POST", "/order"),
            ("GET", "/orders/o-1"),
            ("GET", "/orders/%ff"),
            ("DELETE", "/reservations/o-1"),
        ] {
            assert_eq!(ask(method, path).await.0, 200, "{path}");
        }
        for path in ["/", "*", "/order/", "//order", "/Order", "/order/x", "/orders"] {
            assert_eq!(ask("POST", path).await.0, 404, "{path}");
        }
        for path in ["/orders/", "/orders/o-1/", "/orders/o-1/x", "/x/orders/o-1", "/orders//o-1"] {
            assert_eq!(ask("GET", path).await.0, 404, "{path}");
        }
        let (_, reply) = ask("GET", "/orders/a%2Db").await;
        let sent = axum::body::to_bytes(reply.into_body(), 99).await.unwrap();
        assert_eq!(sent, "a%2Db", "an id is as it was sent");
    }

    #[tokio::test]
    async fn a_known_path_says_which_methods_it_takes() {
        for (path, allowed) in [
            ("/order", "POST"),
            ("/orders/o-1", "GET"),
            ("/reservations/o-1", "GET, PUT, DELETE"),
            ("/metrics", "GET, HEAD"),
        ] {
            for method in ["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH", "BREW"] {
                let (status, reply) = ask(method, path).await;
                let is_allowed = allowed.split(", ").any(|known| known == method);
                assert_eq!(status, if is_allowed { 200 } else { 405 }, "{method} {path}");
                if !is_allowed {
                    assert_eq!(reply.headers()[ALLOW], allowed, "{method} {path}");
                }
            }
        }
    }

    #[tokio::test]
    async fn one_answer_to_all_is_one_to_each_method_of_each_path_and_to_no_other() {
        let waits = routes().answered_by(async || StatusCode::SERVICE_UNAVAILABLE);
        for (method, path, expected) in [
            ("POST", "/order", 503),
            ("GET", "/orders/o-1", 503),
            ("DELETE", "/reservations/o-1", 503),
            ("HEAD", "/metrics", 503),
            ("GET", "/order", 405),
            ("HEAD", "/orders/o-1", 405),
            ("GET", "/nothing", 404),
        ] {
            assert_eq!(ask_of(waits.clone(), method, path).await.0, expected, "{method} {path}");
        }
    }

    #[test]
    fn who_looks_elsewhere_is_told_all_paths() {
        let problem = Problem::no_such_path(&routes().0);
        for path in [
            "POST /order;",
            "GET /orders/{id};",
            "PUT, DELETE /reservations/{id};",
            "GET /readyz",
            "GET /metrics",
        ] {
            assert!(problem.detail().contains(path), "{path}: {}", problem.detail());
        }
    }
}
