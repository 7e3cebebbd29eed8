//! The handles through which a lane speaks to Kafka. Where tests may plant bugs, a decorator stands around
//! those that write and commit.

pub(crate) use crate::lane::bare_handles::{Ends, Fetched, Polled, Reader};
#[cfg(not(any(test, feature = "failpoints")))]
pub(crate) use crate::lane::bare_handles::{Member, Writer};

#[cfg(any(test, feature = "failpoints"))]
pub(crate) use crate::lane::faulty::handles::{Member, Writer};
