//! Names of what every server measures; docs/paradigms.md explains them.

use axum::http::StatusCode;

use super::routes::Routes;

/// Requests answered, by service, route and status.
pub const REQUESTS: &str = "http_requests_total";
/// Time from the first byte of a request to its answer, by service and route.
pub(super) const REQUEST_SECONDS: &str = "http_request_seconds";
/// Requests turned away because too many were worked on, by service.
pub(super) const SHED: &str = "http_shed_total";
/// Time from the first byte of such a request to its answer, by service.
pub(super) const SHED_SECONDS: &str = "http_shed_seconds";
/// Requests worked on now, by service.
pub(super) const IN_FLIGHT: &str = "http_requests_in_flight";
/// Connections open now, by service.
pub(super) const CONNECTIONS: &str = "http_connections";
/// Connections accepted so far, by service: few where clients use theirs again.
pub(super) const CONNECTIONS_OPENED: &str = "http_connections_opened_total";
/// Connections cut off, by service and reason.
pub(super) const CUT_OFF: &str = "http_cut_off_total";

/// Route of a request for a path that is not there.
pub(super) const ELSEWHERE: &str = "other";

/// Why a connection may be cut off.
const CUT_OFF_REASONS: [&str; 6] =
    ["header-timeout", "body-timeout", "body-too-large", "idle", "silent", "connections-max"];

/// What a server answers by itself on any path: broken or too slow, too large, no such method, a
/// panic, no room, too late.
const OWN_ANSWERS: [StatusCode; 7] = [
    StatusCode::BAD_REQUEST,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::GATEWAY_TIMEOUT,
];

/// Describes what is measured, and lets the counters of a service begin at 0.
pub(super) fn start(service: &'static str, routes: &Routes) {
    metrics::describe_counter!(REQUESTS, "requests answered, by service, route and status");
    metrics::describe_histogram!(REQUEST_SECONDS, "first byte of a request to its answer");
    metrics::describe_counter!(SHED, "requests turned away because too many were worked on");
    metrics::describe_histogram!(SHED_SECONDS, "first byte of a request turned away to its answer");
    metrics::describe_gauge!(IN_FLIGHT, "requests worked on now");
    metrics::describe_gauge!(CONNECTIONS, "connections open now");
    metrics::describe_counter!(CONNECTIONS_OPENED, "connections accepted");
    metrics::describe_counter!(CUT_OFF, "connections cut off, by service and reason");
    metrics::counter!(SHED, "service" => service).increment(0);
    metrics::counter!(CONNECTIONS_OPENED, "service" => service).increment(0);
    metrics::gauge!(CONNECTIONS, "service" => service).increment(0.0);
    metrics::gauge!(IN_FLIGHT, "service" => service).increment(0.0);
    for reason in CUT_OFF_REASONS {
        metrics::counter!(CUT_OFF, "service" => service, "reason" => reason).increment(0);
    }
    for endpoint in routes.iter() {
        for status in endpoint.answers.iter().chain(&OWN_ANSWERS) {
            begin(service, endpoint.path(), *status);
        }
    }
    begin(service, ELSEWHERE, StatusCode::NOT_FOUND);
}

/// A counter that comes into being with its first request hides that request from a rate.
fn begin(service: &'static str, route: &'static str, status: StatusCode) {
    let status = status.as_str().to_owned();
    metrics::counter!(REQUESTS, "service" => service, "route" => route, "status" => status)
        .increment(0);
}

/// One more in a gauge, until it is dropped.
pub(super) struct OneMore(metrics::Gauge);

impl OneMore {
    pub(super) fn of(gauge: metrics::Gauge) -> Self {
        gauge.increment(1);
        Self(gauge)
    }
}

impl Drop for OneMore {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}
