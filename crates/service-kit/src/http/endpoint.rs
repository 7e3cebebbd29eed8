//! The paths of a program, as a table: what is not in it is answered before a byte of a body is read.

use hyper::header::{ALLOW, HeaderValue};
use hyper::{Method, StatusCode};

use super::Reply;
use super::problem::Problem;
use crate::admin_http;

/// One path of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// The path with its parameters named, such as `/orders/{id}`; a parameter is one part of a
    /// path and never empty. It is the label of metrics as well.
    pub path: &'static str,
    /// Methods that it takes, as `Allow` writes them: `GET, PUT`.
    pub methods: &'static str,
    /// Largest body that is read.
    pub body_bytes_max: usize,
}

/// What a table says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// It goes to the program.
    Endpoint(Endpoint),
    /// The path is there, for other methods.
    NoSuchMethod(Endpoint),
    /// Nothing is there.
    NoSuchPath,
}

impl Endpoint {
    /// A path that is only read.
    #[must_use]
    pub const fn get(path: &'static str) -> Self {
        Self { path, methods: "GET", body_bytes_max: 0 }
    }

    /// A path that takes a body of up to so many bytes.
    #[must_use]
    pub const fn post(path: &'static str, body_bytes_max: usize) -> Self {
        Self { path, methods: "POST", body_bytes_max }
    }

    /// Whether a path, as it was sent, is this one.
    #[must_use]
    pub fn is_at(&self, path: &str) -> bool {
        let (mut known, mut sent) = (self.path.split('/'), path.split('/'));
        loop {
            match (known.next(), sent.next()) {
                (None, None) => return true,
                (Some(known), Some(sent)) if known.starts_with('{') && !sent.is_empty() => {}
                (Some(known), Some(sent)) if known == sent => {}
                _ => return false,
            }
        }
    }

    fn takes(&self, method: &Method) -> bool {
        self.methods.split(", ").any(|known| known == method.as_str())
    }
}

impl Found {
    pub(super) fn among(all: &[Endpoint], method: &Method, path: &str) -> Self {
        match all.iter().find(|endpoint| endpoint.is_at(path)) {
            Some(endpoint) if endpoint.takes(method) => Self::Endpoint(*endpoint),
            Some(endpoint) => Self::NoSuchMethod(*endpoint),
            None => Self::NoSuchPath,
        }
    }

    /// Label of metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Endpoint(endpoint) | Self::NoSuchMethod(endpoint) => endpoint.path,
            Self::NoSuchPath => "other",
        }
    }
}

/// Answers for paths and methods that a service does not have.
impl Problem {
    /// Nothing is found at this path; `all` are those where something is, besides those that every
    /// service has.
    #[must_use]
    pub fn no_such_path(all: &[Endpoint]) -> Self {
        let own = all.iter().map(|endpoint| format!("{} {}", endpoint.methods, endpoint.path));
        let every = admin_http::PATHS.iter().map(|path| format!("GET {path}"));
        let known: Vec<String> = own.chain(every).collect();
        let detail = format!("nothing is here; there is {}", known.join("; "));
        Self::new(StatusCode::NOT_FOUND, "no-such-path", "No such path", detail)
    }

    /// The path has no such method; `allowed` are those that it has, as `Allow` writes them.
    #[must_use]
    pub fn no_such_method(method: &Method, allowed: &'static str) -> Reply {
        let detail = format!("{method} is not for this path; it takes {allowed}");
        let status = StatusCode::METHOD_NOT_ALLOWED;
        let mut reply = Self::new(status, "no-such-method", "No such method", detail).reply();
        reply.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
        reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Endpoint; 3] = [
        Endpoint::post("/order", 9),
        Endpoint::get("/orders/{id}"),
        Endpoint { path: "/reservations/{id}", methods: "GET, PUT, DELETE", body_bytes_max: 9 },
    ];

    #[test]
    fn a_path_is_its_parts_and_a_parameter_is_one_of_them() {
        let found = |method, path| Found::among(&ALL, &method, path);
        assert_eq!(found(Method::POST, "/order"), Found::Endpoint(ALL[0]));
        assert_eq!(found(Method::GET, "/orders/o-1"), Found::Endpoint(ALL[1]));
        assert_eq!(found(Method::DELETE, "/reservations/o-1"), Found::Endpoint(ALL[2]));
        for path in ["", "/", "*", "order", "/order/", "//order", "/Order", "/order/x", "/orders"] {
            assert_eq!(found(Method::POST, path), Found::NoSuchPath, "{path}");
        }
        for path in ["/orders/", "/orders/o-1/", "/orders/o-1/x", "/x/orders/o-1", "/orders//o-1"] {
            assert_eq!(found(Method::GET, path), Found::NoSuchPath, "{path}");
        }
    }

    #[test]
    fn a_known_path_says_which_methods_it_takes() {
        for method in ["GET", "PUT", "HEAD", "OPTIONS", "PATCH", "BREW"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(Found::among(&ALL, &method, "/order"), Found::NoSuchMethod(ALL[0]));
        }
        let reply = Problem::no_such_method(&Method::POST, ALL[2].methods);
        assert_eq!(
            (reply.status().as_u16(), &reply.headers()[ALLOW]),
            (405, &"GET, PUT, DELETE".parse().unwrap())
        );
    }

    #[test]
    fn who_looks_elsewhere_is_told_all_paths() {
        let problem = Problem::no_such_path(&ALL);
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
