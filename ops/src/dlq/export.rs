//! `orders dlq export`: dead letters as JSON Lines.

use service_kit::exit::{AppError, ExitStatus};
use service_kit::output::note;

use super::printed::{Line, Source, json_line};
use super::source::Tally;
use super::value::{Reading, ValueReader};
use super::view::Whole;

/// What a line of an export has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// All of the record, its value decoded as well.
    Whole,
    /// All of the record, its value as bytes only: no registry is needed.
    Raw,
    /// The decoded value alone. What cannot be decoded is left out.
    Values,
}

/// Writes what is meant. Values that were left out are partial success.
///
/// # Errors
///
/// As [`super::DlqTopic::scan`]; also where the registry is unavailable, unless nothing is decoded.
pub(super) fn run(source: &Source, form: Form) -> Result<(Option<Tally>, ExitStatus), AppError> {
    let mut values = match form {
        Form::Raw => None,
        Form::Whole | Form::Values => Some(ValueReader::new(&source.settings.registry)?),
    };
    let mut left_out = 0_u64;
    let tally = source.each_written(
        |_| Ok(()),
        |out, Line { topic, letter, .. }| {
            let reading = values.as_mut().map(|v| v.read(letter.record.value)).transpose()?;
            match (form, reading) {
                (Form::Values, Some(Reading::Json(json))) => {
                    writeln!(out, "{}", json_line(&json)?)?;
                }
                (Form::Values, _) => left_out += 1,
                (Form::Whole | Form::Raw, reading) => {
                    writeln!(out, "{}", json_line(&Whole::of(topic, letter, reading))?)?;
                }
            }
            Ok(())
        },
        |_| Ok(()),
    )?;
    if left_out == 0 {
        return Ok((tally, ExitStatus::Done));
    }
    note(&format!(
        "orders: {left_out} values are not JSON and cannot be decoded: they were left out"
    ));
    Ok((tally, ExitStatus::Partial))
}
