//! The handles through which a lane speaks to Kafka. The engine's own unit tests put a model
//! broker in their place, so that a lane meets schedules which no real broker makes on demand. Where
//! tests may plant bugs, a decorator stands around the handles that write and commit.

#[cfg(not(test))]
pub(crate) use kafka_io::ends::Ends;
#[cfg(not(test))]
pub(crate) use kafka_io::reader::{Fetched, Polled, Reader};
#[cfg(not(any(test, feature = "failpoints")))]
pub(crate) use kafka_io::{member::Member, writer::Writer};

#[cfg(any(test, feature = "failpoints"))]
pub(crate) use crate::lane::faulty::handles::{Member, Writer};
#[cfg(test)]
pub(crate) use crate::lane::simulation::handles::{Ends, Fetched, Polled, Reader};
