//! A record of the averages topic, borrowed from wherever it lies: there may be as many of them as orders.

use kafka_io::reader::Fetched;
use pipeline::record::Timestamp;

/// What is looked at of a record besides its value.
#[derive(Debug, Clone)]
pub(crate) struct Borrowed<'a> {
    pub(crate) offset: i64,
    pub(crate) timestamp: Timestamp,
    /// Empty where there is none.
    pub(crate) key: &'a [u8],
    headers: Vec<(&'a [u8], Option<&'a [u8]>)>,
}

impl<'a> Borrowed<'a> {
    pub(crate) fn of(record: &'a Fetched<'_>) -> Self {
        Self {
            offset: record.offset().0,
            timestamp: record.timestamp(),
            key: record.key().unwrap_or_default(),
            headers: record.headers().collect(),
        }
    }

    #[cfg(test)]
    pub(crate) fn of_held(record: &'a kafka_io::reader::HeldRecord) -> Self {
        Self {
            offset: record.offset.0,
            timestamp: record.timestamp,
            key: record.key.as_deref().unwrap_or_default(),
            headers: record.headers.iter().flat_map(|headers| headers.iter()).collect(),
        }
    }

    /// Every value of a header.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = Option<&'a [u8]>> {
        let of_name = self.headers.iter().filter(move |(found, _)| *found == name.as_bytes());
        of_name.map(|(_, value)| *value)
    }

    /// The last value of a header by name; none where it is absent or null.
    pub(crate) fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.all(name).last().flatten()
    }
}
