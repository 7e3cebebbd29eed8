//! Flags that every program with a public HTTP server has.

use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::limits::Limits;
use crate::exit::AppError;
use crate::units::DurationArg;

/// Most connections, or requests in flight, that can be asked for.
const HTTP_COUNT_MAX: usize = 100_000;

/// How much a public HTTP server takes, and for how long.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
pub struct HttpArgs {
    /// Requests worked on at a time; one more is answered 503 at once [default: 256]
    #[arg(long, env = "HTTP_MAX_IN_FLIGHT", value_name = "N", help_heading = "HTTP")]
    pub http_max_in_flight: Option<usize>,

    /// Connections at a time; one more is answered 503 and closed [default: 1024]
    #[arg(long, env = "HTTP_MAX_CONNECTIONS", value_name = "N", help_heading = "HTTP")]
    pub http_max_connections: Option<usize>,

    /// Longest time for the request line and headers [default: 5s]
    #[arg(long, env = "HTTP_HEADER_TIMEOUT", value_name = "DURATION", help_heading = "HTTP")]
    pub http_header_timeout: Option<DurationArg>,

    /// Longest time for a body [default: 10s]
    #[arg(long, env = "HTTP_BODY_TIMEOUT", value_name = "DURATION", help_heading = "HTTP")]
    pub http_body_timeout: Option<DurationArg>,

    /// Longest silence between two requests of a connection [default: 1m]
    #[arg(long, env = "HTTP_IDLE_TIMEOUT", value_name = "DURATION", help_heading = "HTTP")]
    pub http_idle_timeout: Option<DurationArg>,
}

impl HttpArgs {
    /// Checks them and fills in the defaults.
    ///
    /// # Errors
    ///
    /// Fails (exit code 2) if a number or a time is zero, or a number is absurd.
    pub fn limits(&self) -> Result<Limits, AppError> {
        let count = |name: &str, given: Option<usize>, default: usize| match given {
            Some(n) if !(1..=HTTP_COUNT_MAX).contains(&n) => {
                Err(AppError::usage(format!("{name} {n} is not between 1 and {HTTP_COUNT_MAX}")))
            }
            given => Ok(given.unwrap_or(default)),
        };
        let time = |name: &str, given: Option<DurationArg>, default: Duration| {
            let time = given.map_or(default, DurationArg::get);
            if time.is_zero() {
                return Err(AppError::usage(format!("{name} must be longer than 0")));
            }
            Ok(time)
        };
        let base = Limits::default();
        Ok(Limits {
            in_flight_max: count(
                "--http-max-in-flight",
                self.http_max_in_flight,
                base.in_flight_max,
            )?,
            connections_max: count(
                "--http-max-connections",
                self.http_max_connections,
                base.connections_max,
            )?,
            header_read_timeout: time(
                "--http-header-timeout",
                self.http_header_timeout,
                base.header_read_timeout,
            )?,
            body_read_timeout: time(
                "--http-body-timeout",
                self.http_body_timeout,
                base.body_read_timeout,
            )?,
            idle_timeout: time("--http-idle-timeout", self.http_idle_timeout, base.idle_timeout)?,
            large_bodies_bytes_max: base.large_bodies_bytes_max,
            drain_timeout: base.drain_timeout,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_limits_are_checked_and_have_defaults() {
        assert_eq!(HttpArgs::default().limits(), Ok(Limits::default()));
        let given = HttpArgs { http_max_in_flight: Some(7), ..HttpArgs::default() };
        assert_eq!(given.limits().unwrap().in_flight_max, 7);
        let none = HttpArgs { http_max_connections: Some(0), ..HttpArgs::default() };
        assert_eq!(none.limits().unwrap_err().status().code(), 2);
        let now = DurationArg::default();
        let never = HttpArgs { http_body_timeout: Some(now), ..HttpArgs::default() };
        assert!(never.limits().unwrap_err().message().contains("--http-body-timeout"));
    }
}
