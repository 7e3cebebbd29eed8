//! The lane under schedules that no real broker makes on demand.
//!
//! Lanes are the real ones, from joining the group to the commit; what is a model is the broker
//! (logs, transactions, markers, group), the network, the clock and the business. A seed chooses
//! settings, orders and what goes wrong: processes that die or stand still at any call, zombies
//! that go on after they lost their partitions, requests that are late, sent twice or never
//! answered, markers that are late, rebalances. Everything that happens follows from the seed.
//!
//! ```text
//! SIMULATION_SCHEDULES=100000 cargo test -p relane --lib simulation     # more of them
//! SIMULATION_SEED=17 cargo test -p relane --lib simulation              # one, step by step
//! ```

pub(crate) mod business;
mod followers;
mod judge;
mod outside;
mod plan;
pub(crate) mod planted;
mod process;
mod schedule;
mod tests;
