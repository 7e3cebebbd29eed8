//! Scenarios: to be written.
