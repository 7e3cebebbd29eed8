//! How much the server takes, and for how long.

use std::time::Duration;

/// Bounds of a server. The defaults suit a service whose requests and answers are small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time; one more is answered 503 and closed.
    pub connections_max: usize,
    /// Requests worked on at a time; one more is answered 503 at once, never queued.
    pub in_flight_max: usize,
    /// Bytes of large bodies in memory at a time; what comes beyond is answered 503. More than the
    /// largest body of a path.
    pub large_bodies_bytes_max: usize,
    /// Longest time from the first byte of a request, or from the connection, to its last header.
    pub header_read_timeout: Duration,
    /// Longest time for a whole body, however it trickles.
    pub body_read_timeout: Duration,
    /// Longest time between two requests of a connection, and for taking an answer.
    pub idle_timeout: Duration,
    /// When a stop was requested, what is still worked on after this is left behind.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            in_flight_max: 256,
            large_bodies_bytes_max: 64 << 20,
            header_read_timeout: Duration::from_secs(5),
            body_read_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(8),
        }
    }
}

/// A body up to this long is small: as many as there may be connections fit into memory.
const SMALL_BODY_BYTES_MAX: usize = 64 << 10;

/// Bytes that one permit for a large body stands for.
const BYTES_PER_PERMIT: usize = 1 << 10;

/// Permits for so many bytes.
pub(super) const fn body_permits(bytes: usize) -> usize {
    bytes.div_ceil(BYTES_PER_PERMIT)
}

/// Permits that a body of so many bytes holds; none for a small one.
pub(super) const fn permits_for(bytes: usize) -> usize {
    if bytes > SMALL_BODY_BYTES_MAX { body_permits(bytes) } else { 0 }
}

/// Share of the connections, in quarters, from which on silent ones are closed early.
const PRESSURE_QUARTERS: usize = 3;

/// How long a connection may be silent while connections are scarce.
const IDLE_TIMEOUT_UNDER_PRESSURE: Duration = Duration::from_secs(1);

impl Limits {
    /// How long a connection may be silent while this many are open: idle ones make room for new
    /// clients before those are turned away.
    pub(super) fn idle_timeout_at(&self, open: usize) -> Duration {
        if open.saturating_mul(4) >= self.connections_max.saturating_mul(PRESSURE_QUARTERS) {
            self.idle_timeout.min(IDLE_TIMEOUT_UNDER_PRESSURE)
        } else {
            self.idle_timeout
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silent_connections_are_closed_early_when_connections_are_scarce() {
        let limits = Limits { connections_max: 100, ..Limits::default() };
        assert_eq!(limits.idle_timeout_at(74), limits.idle_timeout);
        assert_eq!(limits.idle_timeout_at(75), IDLE_TIMEOUT_UNDER_PRESSURE);
        let short = Limits { idle_timeout: Duration::from_millis(5), ..limits };
        assert_eq!(short.idle_timeout_at(100), short.idle_timeout);
    }
}
