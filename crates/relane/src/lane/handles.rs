//! The handles through which a lane speaks to Kafka. The engine's own unit tests put a model
//! broker in their place, so that a lane meets schedules which no real broker makes on demand.

#[cfg(not(test))]
pub(crate) use kafka_io::ends::Ends;
#[cfg(not(test))]
pub(crate) use kafka_io::member::Member;
#[cfg(not(test))]
pub(crate) use kafka_io::reader::{Fetched, Polled, Reader};
#[cfg(not(test))]
pub(crate) use kafka_io::writer::Writer;

#[cfg(test)]
pub(crate) use crate::lane::simulation::handles::{Ends, Fetched, Member, Polled, Reader, Writer};
