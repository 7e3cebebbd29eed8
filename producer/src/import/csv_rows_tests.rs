//! Tests of the CSV reader, beside the `csv` crate's where both must agree.

use proptest::prelude::*;

use super::*;

/// Each row as its first line with its fields, or with the reason why it has none.
fn rows(text: &[u8], width: Option<usize>) -> Vec<(u64, Result<Vec<String>, String>)> {
    let mut rows = CsvRows::new(Lines::new(text), b',');
    if let Some(width) = width {
        rows.set_width(width);
    }
    let mut fields = Fields::default();
    let mut seen = Vec::new();
    while let Some(row) = rows.next(&mut fields).unwrap() {
        let field = |index| String::from_utf8_lossy(fields.get(index).unwrap()).into_owned();
        let result = match row.broken {
            Some(reason) => Err(reason),
            None => Ok((0..fields.len()).map(field).collect()),
        };
        seen.push((row.line, result));
    }
    seen
}

fn row(line: u64, fields: &[&str]) -> (u64, Result<Vec<String>, String>) {
    (line, Ok(fields.iter().map(|&field| field.to_owned()).collect()))
}

fn broken_row(line: u64, reason: &str) -> (u64, Result<Vec<String>, String>) {
    (line, Err(reason.to_owned()))
}

#[test]
fn fields_may_be_quoted_and_line_ends_may_be_of_either_kind() {
    let text = b"a,b\r\n\"x, y\",\"say \"\"hi\"\"\"\n,\n\r\n\"\",z";
    let expected = [
        row(1, &["a", "b"]),
        row(2, &["x, y", "say \"hi\""]),
        row(3, &["", ""]),
        row(5, &["", "z"]),
    ];
    assert_eq!(rows(text, None), expected);
}

#[test]
fn a_quoted_field_may_span_lines_and_the_row_has_the_number_of_its_first() {
    let text = b"a,\"one\r\ntwo\"\nb,c\n";
    assert_eq!(rows(text, Some(2)), [row(1, &["a", "one\r\ntwo"]), row(3, &["b", "c"])]);
}

#[test]
fn a_quote_inside_an_unquoted_field_is_a_character() {
    assert_eq!(rows(b"PIPE 6\",1\n", None), [row(1, &["PIPE 6\"", "1"])]);
}

#[test]
fn a_quote_that_is_never_closed_costs_its_own_row_only() {
    let text = b"1,\"BROKEN,2\n2,good,3\n3,\"also, good\",4\n4,good,5\n";
    let expected = [
        broken_row(1, "text after a closing quote"),
        row(2, &["2", "good", "3"]),
        row(3, &["3", "also, good", "4"]),
        row(4, &["4", "good", "5"]),
    ];
    assert_eq!(rows(text, Some(3)), expected);
    let text = b"1,\"BROKEN,2\n2,good,3\n";
    let expected =
        [broken_row(1, "a quote is opened and never closed"), row(2, &["2", "good", "3"])];
    assert_eq!(rows(text, Some(3)), expected);
}

#[test]
fn an_open_quote_does_not_look_ahead_for_ever() {
    let mut text = b"1,\"BROKEN\n".to_vec();
    for line in 2..=1_000 {
        text.extend_from_slice(format!("{line},good\n").as_bytes());
    }
    let rows = rows(&text, Some(2));
    assert_eq!(rows.len(), 1_000);
    assert_eq!(rows.iter().filter(|(_, row)| row.is_err()).count(), 1);
}

#[test]
fn a_row_with_too_few_or_too_many_fields_is_broken() {
    let expected = [broken_row(1, "1 fields instead of 2"), broken_row(2, "3 fields instead of 2")];
    assert_eq!(rows(b"a\na,b,c\n", Some(2)), expected);
}

#[test]
fn a_row_that_is_too_long_is_broken_and_the_next_one_is_read() {
    let mut text = vec![b'x'; ROW_BYTES_MAX + 10];
    text.extend_from_slice(b"\na,b\n");
    let rows = rows(&text, Some(2));
    assert!(rows[0].1.as_ref().unwrap_err().contains("longer than 1048576 bytes"), "{rows:?}");
    assert_eq!(rows[1], row(2, &["a", "b"]));
}

proptest! {
    /// Whatever a standard writer writes is read back as it was.
    #[test]
    fn what_the_csv_crate_writes_is_read_back(
        table in prop::collection::vec(prop::collection::vec("[a-z\",\r\n é]{0,6}", 3), 1..20),
    ) {
        let mut writer = csv::Writer::from_writer(Vec::new());
        for row in &table {
            writer.write_record(row).unwrap();
        }
        let text = writer.into_inner().unwrap();
        let read: Vec<Vec<String>> =
            rows(&text, Some(3)).into_iter().map(|(_, row)| row.unwrap()).collect();
        prop_assert_eq!(read, table);
    }

    /// No bytes make it panic, and every line is accounted for.
    #[test]
    fn any_bytes_are_rows_or_broken_rows(text in prop::collection::vec(
        prop::sample::select(b"\",\n\rab\xff".to_vec()), 0..200)) {
        for (line, _) in rows(&text, Some(2)) {
            prop_assert!(line >= 1);
        }
    }
}
