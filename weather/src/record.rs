//! The report as a record: what travels through Kafka and RabbitMQ.

use codec::decode::Decoder;
use codec::resolver::SchemaResolver;
use codec::scalar::{AvroRecord, Fields, OutOfRange, Scalar};
use relane::payload::{Decode, Payload};

use crate::report::{Broken, Report, check_message_id};

/// `com.example.weather.WeatherReport`, version 1.
pub const WEATHER_V1: &str = include_str!("../../schemas/weather/v1.avsc");

/// A report under its id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WeatherReport {
    /// The same at each retry.
    pub message_id: String,
    /// In words.
    pub description: String,
    /// Code of the country.
    pub country: String,
    /// Name of the kind.
    pub weather: String,
    /// When it was taken, in milliseconds since the Unix epoch.
    pub created_at_ms: Option<i64>,
}

impl WeatherReport {
    /// The record of a report.
    #[must_use]
    pub fn new(report: &Report, message_id: &str, created_at_ms: i64) -> Self {
        Self {
            message_id: message_id.to_owned(),
            description: report.description.clone(),
            country: report.country.as_str().to_owned(),
            weather: report.kind.as_str().to_owned(),
            created_at_ms: Some(created_at_ms),
        }
    }

    /// The report, where the record keeps the rules: anybody may write to a topic.
    ///
    /// # Errors
    ///
    /// The first rule that is broken.
    pub fn check(&self) -> Result<Report, Broken> {
        check_message_id(&self.message_id)?;
        Report::check(&self.description, &self.country, &self.weather)
    }
}

impl AvroRecord for WeatherReport {
    type Value = Self;

    const SCHEMA: &'static str = WEATHER_V1;

    fn blank() -> Self {
        Self::default()
    }

    fn set(record: &mut Self, index: usize, scalar: Scalar<'_>) -> Result<(), OutOfRange> {
        match (index, scalar) {
            (0, Scalar::String(value)) => value.clone_into(&mut record.message_id),
            (1, Scalar::String(value)) => value.clone_into(&mut record.description),
            (2, Scalar::String(value)) => value.clone_into(&mut record.country),
            (3, Scalar::String(value)) => value.clone_into(&mut record.weather),
            (4, Scalar::Null) => record.created_at_ms = None,
            (4, Scalar::Long(value)) => record.created_at_ms = Some(value),
            _ => return Err(OutOfRange("a field of another type than its schema")),
        }
        Ok(())
    }
}

impl Fields<Self> for WeatherReport {
    fn field(&self, index: usize) -> Scalar<'_> {
        match index {
            0 => Scalar::String(&self.message_id),
            1 => Scalar::String(&self.description),
            2 => Scalar::String(&self.country),
            3 => Scalar::String(&self.weather),
            _ => self.created_at_ms.map_or(Scalar::Null, Scalar::Long),
        }
    }
}

/// Values of the topic: the decoder is the one that reads the queue.
#[derive(Debug)]
pub(crate) struct Reports;

impl Payload for Reports {
    type Value = WeatherReport;

    fn has_schemas(&self) -> bool {
        true
    }

    fn decoder(&self, resolver: &SchemaResolver) -> Decode<WeatherReport> {
        let mut decoder = Decoder::<WeatherReport>::new(resolver.clone());
        Box::new(move |value| decoder.decode(value))
    }
}

#[cfg(test)]
mod tests {
    use codec::encode::Encoder;

    use super::*;

    #[test]
    fn a_report_is_read_as_it_was_written_and_keeps_the_rules() {
        let report = Report::check("está lloviendo", "gt", "Lluvioso").unwrap();
        let record = WeatherReport::new(&report, "m-1", 7);
        let resolver = SchemaResolver::offline();
        resolver.insert(3, WEATHER_V1).unwrap();
        let mut bytes = Vec::new();
        let encoder = Encoder::<WeatherReport>::with_schema(WEATHER_V1, 3).unwrap();
        encoder.encode_into(&mut bytes, &record);
        let read = Reports.decoder(&resolver)(Some(&bytes)).unwrap();
        assert_eq!(read, record);
        assert_eq!((read.country.as_str(), read.weather.as_str()), ("GT", "rainy"));
        assert_eq!(read.check(), Ok(report));
        let broken = WeatherReport { message_id: String::new(), ..read };
        assert_eq!(broken.check(), Err(Broken::BadMessageId));
    }
}
