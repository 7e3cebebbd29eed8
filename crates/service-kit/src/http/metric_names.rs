//! Names of what every server measures; docs/paradigms.md explains them.

/// Requests answered, by service, route and status.
pub(super) const REQUESTS: &str = "http_requests_total";
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
