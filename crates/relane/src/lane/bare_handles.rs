//! The handles through which a lane speaks to Kafka, with nothing around them: those of `kafka_io`, or the
//! model's, where a lane is simulated. Which ones is known when they are made.

#[cfg(not(any(test, feature = "testing")))]
pub(crate) use kafka_io::{
    ends::Ends,
    member::Member,
    reader::{Fetched, Polled, Reader},
    writer::Writer,
};

#[cfg(any(test, feature = "testing"))]
pub(crate) use either::{Ends, Fetched, Member, Polled, Reader, Writer};

#[cfg(any(test, feature = "testing"))]
mod either;
