//! Servers that want to know who asks: TLS, logins, permissions.

mod acl;
mod certificates;
mod kafka;
mod registry;

pub use acl::{Grant, grant, revoke};
pub use certificates::{Authority, Identity, Validity};
pub use kafka::SecureKafka;
pub use registry::{GuardedRegistry, Seen};
