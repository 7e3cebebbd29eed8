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
            Some(reason) if row.raw.len() > 100 => {
                Err(format!("{reason} ({} bytes)", row.raw.len()))
            }
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
fn what_follows_a_quote_that_is_never_closed_is_one_broken_row() {
    for (text, line, last) in [
        ("1,\"BROKEN,2\n2,good,3\n3,good,4\n", 1, 3),
        ("1,a,2\n2,\"BROKEN,3\n3,good,4", 2, 3),
        ("1,a,2\n2,b,\"\n3,good,4\n\n", 2, 4),
        ("1,a,2\n2,b,\"x\"\"\n3,good,4\n", 2, 3),
        ("1,a,2\n2,b,\"x\" \"y\n3,good,4\n", 2, 3),
        ("1,a,2\r2,b,\"x\r3,good,4\r", 2, 3),
    ] {
        let reason = format!(
            "a quote is opened and never closed: lines {line} to {last} all belong to this row"
        );
        let rows = rows(text.as_bytes(), Some(3));
        assert_eq!(rows.last(), Some(&broken_row(line, &reason)), "{text}");
        assert_eq!(rows.len() as u64, line, "{text}");
    }
    let expected = [broken_row(1, "a quote is opened and never closed")];
    assert_eq!(rows(b"1,\"BROKEN,2\n", Some(3)), expected);
}

#[test]
fn a_row_that_is_never_closed_keeps_its_first_line() {
    let text = format!("1,\"BROKEN\r\n{}", "2,good\r\n".repeat(200_000));
    let mut rows = CsvRows::new(Lines::new(text.as_bytes()), b',');
    let row = rows.next(&mut Fields::default()).unwrap().unwrap();
    assert_eq!((row.line, row.raw.as_slice()), (1, &b"1,\"BROKEN"[..]));
    assert_eq!(rows.next(&mut Fields::default()).unwrap(), None);
}

#[test]
fn text_behind_a_closing_quote_breaks_its_row_and_no_other() {
    let reason = "text after a closing quote";
    let text = b"1,\"a\" b,2\n2,\"a\"b\",3\n3\",c,4\n4,good,5\n";
    let expected = [broken_row(1, reason), broken_row(2, reason), row(4, &["4", "good", "5"])];
    assert_eq!(rows(text, Some(3)), expected);
}

#[test]
fn inner_lines_of_a_cell_are_no_rows_however_its_quotes_stand() {
    for cell in [
        "two\n9,phantom,1\nend",
        "say \"\"hi\"\"\n9,phantom,1\nend",
        // Quotes that should have been doubled.
        "say \"hi\"\n9,phantom,1\nend",
        "say \"hi\", he said\n9,phantom,1\nend",
        "\"hi\"\n9,phantom,1\n\"end\"",
        &"9,phantom,1\n".repeat(150),
        &"9,phantom,1\r\n".repeat(200_000),
        &format!("{}\n9,phantom,1\n", "x".repeat(2 * ROW_BYTES_MAX)),
    ] {
        let text = format!("1,\"{cell}\",2\n2,good,3\n");
        let rows = rows(text.as_bytes(), Some(3));
        assert_eq!(rows.len(), 2, "{cell:.50}");
        assert_eq!(rows[1].1.as_ref().unwrap(), &["2", "good", "3"]);
    }
}

#[test]
fn a_row_over_many_lines_that_is_too_long_is_broken_and_keeps_its_start() {
    let cell = "9,phantom,1\n".repeat(100_000);
    let text = format!("1,\"{cell}\",2\n2,good,3\n");
    let reason = format!("the row is longer than 1048576 bytes ({HEAD_BYTES} bytes)");
    let expected = [broken_row(1, &reason), row(100_002, &["2", "good", "3"])];
    assert_eq!(rows(text.as_bytes(), Some(3)), expected);
}

#[test]
fn a_row_of_exactly_the_limit_is_read() {
    let cell = "x".repeat(ROW_BYTES_MAX - 2);
    for (text, is_read) in
        [(format!("{cell},b\nc,d\n"), true), (format!("{cell}x,b\nc,d\n"), false)]
    {
        let rows = rows(text.as_bytes(), Some(2));
        assert_eq!(rows[0].1.is_ok(), is_read);
        assert_eq!(rows[1], row(2, &["c", "d"]));
    }
}

#[test]
fn a_carriage_return_ends_rows_where_it_ends_the_header() {
    let mut text = Rows::of(b"a,b,n\r1,x,\"two\nlines\"\r\r2,y,z");
    assert_eq!(text.next(), Some(row(1, &["a", "b", "n"])));
    assert_eq!(text.next(), Some(row(2, &["1", "x", "two\nlines"])));
    assert_eq!(text.next(), Some(row(5, &["2", "y", "z"])));
    let mut quoted = Rows::of(b"\"a\nb\",c,d\r1,x,y\r");
    assert_eq!(quoted.next(), Some(row(1, &["a\nb", "c", "d"])));
    assert_eq!(quoted.next(), Some(row(3, &["1", "x", "y"])));
}

#[test]
fn a_carriage_return_in_a_file_of_line_feeds_is_named() {
    let expected = [broken_row(
        1,
        "5 fields instead of 3; a carriage return in it does not end the line, because the header \
         ends with a line feed",
    )];
    let mut rows = CsvRows::new(Lines::new(&b"a,b,c\n1,x,2\r2,y,3\r"[..]), b',');
    let mut fields = Fields::default();
    rows.next(&mut fields).unwrap();
    rows.set_width(3);
    let broken = rows.next(&mut fields).unwrap().unwrap().broken.unwrap();
    assert_eq!(broken_row(1, &broken), expected[0]);
}

/// Rows of a file whose header is not known yet.
struct Rows<'a>(CsvRows<&'a [u8]>);

impl<'a> Rows<'a> {
    fn of(text: &'a [u8]) -> Self {
        Self(CsvRows::new(Lines::new(text), b','))
    }

    fn next(&mut self) -> Option<(u64, Result<Vec<String>, String>)> {
        let mut fields = Fields::default();
        let read = self.0.next(&mut fields).unwrap()?;
        self.0.set_width(fields.len());
        let field = |index| String::from_utf8(fields.get(index).unwrap().to_vec()).unwrap();
        Some((read.line, read.broken.map_or(Ok((0..fields.len()).map(field).collect()), Err)))
    }
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
        // The first line end of a file says what ends its lines.
        let text = [b"a,b,c\n", &writer.into_inner().unwrap()[..]].concat();
        let table: Vec<Vec<String>> =
            std::iter::once(["a", "b", "c"].map(str::to_owned).to_vec()).chain(table).collect();
        let read: Vec<Vec<String>> =
            rows(&text, Some(3)).into_iter().map(|(_, row)| row.unwrap()).collect();
        prop_assert_eq!(read, table);
    }

    /// However the bytes come in pieces, the rows are the same.
    #[test]
    fn pieces_do_not_matter(text in prop::collection::vec(
        prop::sample::select(b"\",\n\rab\xff".to_vec()), 0..200), capacity in 3..20_usize) {
        let read = |capacity| {
            let mut rows = CsvRows::new(Lines::with_capacity(&text[..], capacity), b',');
            let mut fields = Fields::default();
            let mut seen = Vec::new();
            while let Some(row) = rows.next(&mut fields).unwrap() {
                rows.set_width(2);
                let field = |index| fields.get(index).map(<[u8]>::to_vec);
                seen.push((row, (0..fields.len()).map(field).collect::<Vec<_>>()));
            }
            seen
        };
        prop_assert_eq!(read(capacity), read(1_000));
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
