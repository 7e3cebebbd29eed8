//! Tests of the way from a row to an order.

use orders::PriceFormat;

use super::*;
use crate::import::{FieldMapError, Input, InputFormat};

fn settings(map: &[(&str, &str)], format: InputFormat) -> ImportSettings {
    ImportSettings {
        input: Input::File("orders.csv".into()),
        format,
        map: FieldMap::new(map.iter().copied()).unwrap(),
        delimiter: None,
        prices: PriceRules::default(),
        skip_rows: 0,
    }
}

/// Reads `text` and returns each row as `order` or `line! reason`.
fn imported_with(settings: &ImportSettings, text: &[u8]) -> Result<Vec<String>, InputError> {
    let (sender, receiver) = std::sync::mpsc::sync_channel(2_000);
    let parcels = Parcels::new(sender);
    let rows = Rows::new(settings, &parcels);
    match settings.format {
        InputFormat::Csv => rows.send_csv(Lines::new(text))?,
        InputFormat::Jsonl => rows.send_jsonl(Lines::new(text))?,
    }
    parcels.dispatch().unwrap();
    drop(parcels);
    let written = |message| match message {
        Message::Row(ImportedRow { order, loss, .. }) => {
            let loss = if loss.is_some() { " (inexact)" } else { "" };
            Some(format!("{}|{}|{}{loss}", order.order_id, order.product, order.price))
        }
        Message::Rejected(row) => Some(format!("{}! {}", row.line, row.reason)),
        Message::Opened | Message::Failed(_) => None,
    };
    Ok(receiver.into_iter().flatten().filter_map(written).collect())
}

fn imported(text: &str, map: &[(&str, &str)], is_csv: bool) -> Result<Vec<String>, InputError> {
    let format = if is_csv { InputFormat::Csv } else { InputFormat::Jsonl };
    imported_with(&settings(map, format), text.as_bytes())
}

#[test]
fn columns_are_found_by_name_in_any_order() {
    let text = "\u{feff}Price,Other,Invoice,Description\r\n2.55,x,536365,\"HEART, WHITE\"\r\n";
    let map = [("orderId", "Invoice"), ("product", "Description"), ("price", "Price")];
    assert_eq!(imported(text, &map, true).unwrap(), ["536365|HEART, WHITE|2.55"]);
}

#[test]
fn what_can_be_an_order_is_sent_even_if_it_makes_no_sense() {
    let text = "orderId,product,price\n,a,1\nb,,-2.5\nc,d, 1e3 \ne,f,NaN\n";
    let expected = ["|a|1", "b||-2.5", "c|d|1000", "e|f|NaN"];
    assert_eq!(imported(text, &[], true).unwrap(), expected);
}

#[test]
fn what_cannot_be_an_order_is_rejected_with_line_and_reason() {
    let text =
        "orderId,product,price\na,b\nc,d,\ne,f,\"1,50\"\ng,h,free\ni,j,1e99\nk,l,m,n\no,p,1\n";
    let expected = [
        "2! 2 fields instead of 3",
        "3! price is empty",
        "4! price is not a number: \"1,50\" (--price-format comma reads 1.5)",
        "5! price is not a number: \"free\"",
        "6! price does not fit a float: \"1e99\"",
        "7! 4 fields instead of 3",
        "o|p|1",
    ];
    assert_eq!(imported(text, &[], true).unwrap(), expected);
}

#[test]
fn text_that_is_not_utf8_is_rejected_only_where_it_matters() {
    let text = b"orderId,product,price,note\na,caf\xe9,1,x\na,cafe,1,\xe9\n";
    let rows = imported_with(&settings(&[], InputFormat::Csv), text).unwrap();
    assert_eq!(rows, ["2! product is not UTF-8", "a|cafe|1"]);
}

#[test]
fn an_order_that_no_broker_would_take_is_rejected() {
    let long = |bytes| "x".repeat(bytes);
    let text = format!("orderId,product,price\na,{},1\n{},b,1\n", long(400_001), long(999_000));
    let expected = [
        "2! product has 400001 bytes, more than 400000",
        "3! orderId and product have 999001 bytes, more than 999000",
    ];
    assert_eq!(imported(&text, &[], true).unwrap(), expected);
}

#[test]
fn a_header_that_does_not_fit_is_an_error_that_helps() {
    let map = [("orderId", "Invoise")];
    let error = imported("Invoice,product,price\n", &map, true).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("no column 'Invoise' for orderId"), "{text}");
    assert!(text.contains("did you mean 'Invoice'?"), "{text}");
    assert!(text.contains("the columns are Invoice, product, price"), "{text}");
    assert!(error.is_usage());
    let twice = imported("orderId,price,price,product\n", &[], true).unwrap_err();
    assert!(twice.to_string().contains("occurs more than once"), "{twice}");
    let empty = imported("\n", &[], true).unwrap_err();
    assert!(empty.to_string().contains("has no header line"), "{empty}");
}

#[test]
fn json_lines_take_texts_and_numbers() {
    let text = concat!(
        "{\"id\": 17, \"product\": \"a\", \"price\": 2.5}\n\n",
        "{\"id\": \"x\", \"product\": \"b\", \"price\": \"-3\", \"more\": [1]}\r\n",
    );
    let imported = imported(text, &[("orderId", "id")], false).unwrap();
    assert_eq!(imported, ["17|a|2.5", "x|b|-3"]);
}

#[test]
fn json_lines_that_are_no_orders_are_rejected() {
    let text = concat!(
        "{\"orderId\": 1, \"product\": \"a\"}\n",
        "{\"orderId\": 1.5, \"product\": \"a\", \"price\": 1}\n",
        "{\"orderId\": \"a\", \"product\": null, \"price\": 1}\n",
        "{\"orderId\": \"a\", \"product\": \"b\", \"price\": true}\n",
        "[1, 2]\n",
        "{\"orderId\": \n",
    );
    let imported = imported(text, &[], false).unwrap();
    assert_eq!(
        &imported[..4],
        [
            "1! price is missing (no key 'price')",
            "2! orderId is neither a text nor an integer: 1.5",
            "3! product is missing (no key 'product')",
            "4! price is not a number: true",
        ]
    );
    assert!(imported[4].starts_with("5! not a JSON object"), "{imported:?}");
    assert!(imported[5].starts_with("6! not a JSON object"), "{imported:?}");
}

#[test]
fn a_mapping_names_fields_that_an_order_has() {
    let error = FieldMap::new([("orderid", "x")]).unwrap_err();
    assert_eq!(error, FieldMapError::UnknownField("orderid".into()));
    assert_eq!(FieldMap::new([("price", "")]), Err(FieldMapError::EmptyColumn("price".into())));
}

/// A file of `tests/data`.
fn found(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn files_that_broke_something_are_read_as_people_mean_them() {
    let rows: [(&str, InputFormat, &[&str]); 7] = [
        ("long-quoted-cell.csv", InputFormat::Csv, &["1|tea|2", "2|milk|3"]),
        ("cr-only-extra-column.csv", InputFormat::Csv, &["1|tea|2.5", "2|milk|3"]),
        ("semicolon.csv", InputFormat::Csv, &["1|tea|2.5"]),
        ("sep-first-line.csv", InputFormat::Csv, &["1|tea|2.5"]),
        ("tab-separated.tsv", InputFormat::Csv, &["1|tea|2.5"]),
        (
            "beyond-float.csv",
            InputFormat::Csv,
            &["1|yacht|12345679 (inexact)", "2|coin|1000000000 (inexact)"],
        ),
        (
            "json-number-and-text.jsonl",
            InputFormat::Jsonl,
            &["1|num|1000000.06 (inexact)", "2|txt|1000000.06 (inexact)"],
        ),
    ];
    for (name, format, expected) in rows {
        assert_eq!(
            imported_with(&settings(&[], format), &found(name)).unwrap(),
            expected,
            "{name}"
        );
    }
}

#[test]
fn a_json_array_or_objects_over_lines_are_errors_that_say_what_is_read() {
    let pretty = "{\n  \"orderId\": \"1\",\n  \"product\": \"a\",\n  \"price\": 1\n}\n";
    let one_line = "[{\"orderId\":\"1\",\"product\":\"a\",\"price\":1}]";
    for text in [&found("array-over-lines.jsonl")[..], pretty.as_bytes(), one_line.as_bytes()] {
        let error = imported_with(&settings(&[], InputFormat::Jsonl), text).unwrap_err();
        assert!(error.to_string().contains("give JSON Lines: one object per line"), "{error}");
        assert!(error.is_usage() && error.hint().unwrap().contains("jq -c"), "{error:?}");
    }
    let error = imported(one_line, &[], true).unwrap_err();
    assert!(error.hint().unwrap().contains("--input-format jsonl"), "{error:?}");
}

#[test]
fn the_delimiter_is_the_one_with_which_the_header_has_all_columns() {
    let rows: [(&str, &[&str]); 9] = [
        ("orderId;product;price\r\n1;tea, green;2\r\n", &["1|tea, green|2"]),
        ("orderId|product|price\n1|tea|2\n", &["1|tea|2"]),
        ("orderId\tproduct\tprice\r1\ttea\t2\r", &["1|tea|2"]),
        ("\u{feff}sep=;\r\norderId;product;price\r\n1;tea;2\r\n", &["1|tea|2"]),
        ("\"sep=\t\"\norderId\tproduct\tprice\n1\ttea\t2\n", &["1|tea|2"]),
        ("SEP=^\norderId^product^price\n1^tea\n", &["3! 2 fields instead of 3"]),
        ("note;x,orderId,product,price\nn,1,tea,2\n", &["1|tea|2"]),
        ("\"a\nb\";orderId;product;price\nn;1;tea;2\n", &["1|tea|2"]),
        ("orderId;product;price", &[]),
    ];
    for (text, expected) in rows {
        assert_eq!(imported(text, &[], true).unwrap(), expected, "{text:?}");
    }
}

#[test]
fn a_delimiter_that_is_given_counts_and_a_better_one_is_named() {
    let with = |delimiter, text: &str| {
        let settings =
            ImportSettings { delimiter: Some(delimiter), ..settings(&[], InputFormat::Csv) };
        imported_with(&settings, text.as_bytes())
    };
    let text = "sep=,\norderId;product;price\n1;tea;2\n";
    assert_eq!(with(b';', text).unwrap(), ["1|tea|2"]);
    let error = with(b',', text).unwrap_err();
    assert!(error.hint().unwrap().contains("--delimiter ';'"), "{error:?}");
}

#[test]
fn a_file_of_another_kind_is_named_and_no_byte_of_it_is_shown() {
    let workbook = b"PK\x03\x04\x14\0\x06\0\x08\0\0\0!\0secret[Content_Types].xml\xff\xfe\n1,2,3\n";
    for format in [InputFormat::Csv, InputFormat::Jsonl] {
        let error = imported_with(&settings(&[], format), workbook).unwrap_err();
        let text = format!("{error} {}", error.hint().unwrap());
        assert!(
            text.contains("an Excel workbook") && text.contains("save the sheet as CSV"),
            "{text}"
        );
        assert!(!text.contains("secret") && error.is_usage(), "{text}");
    }
    let garbage = b"\x01\x02secret\x7f\xff,\x03\n1,2\n";
    let error = imported_with(&settings(&[], InputFormat::Csv), garbage).unwrap_err();
    assert!(error.to_string().ends_with("the first line is not UTF-8 text"), "{error}");
}

#[test]
fn an_empty_file_is_an_error_and_a_header_alone_has_no_rows() {
    for text in ["", "\n", "\u{feff}", "\r\n\r\n"] {
        let error = imported(text, &[], true).unwrap_err();
        assert!(error.to_string().contains("has no header line"), "{text:?}: {error}");
    }
    for text in ["orderId,product,price", "orderId,product,price\r", "orderId,product,price\r\n"] {
        assert!(imported(text, &[], true).unwrap().is_empty(), "{text:?}");
    }
    assert!(imported("", &[], false).unwrap().is_empty());
}

#[test]
fn a_price_that_no_float_holds_is_marked_or_rejected_if_prices_are_strict() {
    let prices = PriceRules { is_strict: true, ..PriceRules::default() };
    let strict = ImportSettings { prices, ..settings(&[], InputFormat::Csv) };
    let rows = imported_with(&strict, &found("beyond-float.csv")).unwrap();
    assert_eq!(
        rows,
        [
            "2! price 12345678.91 becomes 12345679: the record's price is a float of 32 bits \
         (--strict-prices)",
            "3! price 1000000001 becomes 1000000000: the record's price is a float of 32 bits \
         (--strict-prices)",
        ]
    );
    let exact = "orderId,product,price\n1,a,0.1\n2,b,19.99\n3,c,1e9\n4,d,-0\n5,e,NaN\n";
    assert_eq!(imported_with(&strict, exact.as_bytes()).unwrap().len(), 5);
}

#[test]
fn prices_are_read_in_the_format_that_was_asked_for() {
    let with = |format, delimiter, text: &str| {
        let prices = PriceRules { format, is_strict: false };
        let settings = ImportSettings { prices, delimiter, ..settings(&[], InputFormat::Csv) };
        imported_with(&settings, text.as_bytes()).unwrap()
    };
    let text = "orderId,product,price\n1,a,$2.39\n2,b,\"$1,234.50\"\n3,c,\"2,39\"\n";
    assert_eq!(
        with(PriceFormat::Currency, None, text),
        [
            "1|a|2.39",
            "2|b|1234.5",
            "4! price is not a number: \"2,39\" (--price-format comma reads 2.39)",
        ]
    );
    let text = "orderId;product;price\n1;a;€ 2,39\n2;b;1.234,50\n3;c;1,234.50\n";
    assert_eq!(
        with(PriceFormat::Comma, None, text),
        [
            "1|a|2.39",
            "2|b|1234.5",
            "4! price is not a number: \"1,234.50\" (--price-format currency reads 1234.5)",
        ]
    );
    let text = "orderId,product,price\n1,a,$2.39\n2,b,\"1,234\"\n";
    assert_eq!(
        with(PriceFormat::Plain, None, text),
        [
            "2! price is not a number: \"$2.39\" (--price-format currency reads 2.39)",
            "3! price is not a number: \"1,234\" (--price-format currency reads 1234, --price-format \
         comma reads 1.234)",
        ]
    );
    // A number in JSON is written as JSON writes numbers.
    let prices = PriceRules { format: PriceFormat::Comma, is_strict: false };
    let settings = ImportSettings { prices, ..settings(&[], InputFormat::Jsonl) };
    let text = "{\"orderId\":1,\"product\":\"a\",\"price\":2.5}\n{\"orderId\":2,\"product\":\"a\",\"price\":\"2,5\"}\n";
    assert_eq!(imported_with(&settings, text.as_bytes()).unwrap(), ["1|a|2.5", "2|a|2.5"]);
}

#[test]
fn json_and_csv_give_the_same_price() {
    for price in [
        "0.1",
        "1e3",
        "-0",
        "1.000000059604644775390625",
        "16777217.0000001",
        "1E-7",
        "0.333333333333333333333333333333",
    ] {
        let csv = imported(&format!("orderId,product,price\n1,a,{price}\n"), &[], true).unwrap();
        for price in [price.to_owned(), format!("\"{price}\"")] {
            let line = format!("{{\"orderId\":1,\"product\":\"a\",\"price\":{price}}}\n");
            assert_eq!(imported(&line, &[], false).unwrap(), csv, "{price}");
        }
    }
}

#[test]
fn a_json_line_may_nest_what_is_not_asked_for_but_not_say_a_field_twice() {
    let order = |more: &str| format!("{{\"orderId\":1,\"product\":\"a\",\"price\":1,{more}}}\n");
    let nested = format!("\"note\":{}1{}", "[".repeat(500), "]".repeat(500));
    for (more, expected) in [
        (nested.as_str(), "1|a|1"),
        ("\"note\":{\"price\":\"x\"}", "1|a|1"),
        ("\"note\":null,\"note\":1e999", "1|a|1"),
        ("\"price\":2", "1! price occurs more than once (key \"price\")"),
        ("\"pric\\u0065\":2", "1! price occurs more than once (key \"price\")"),
        ("\"product\":null", "1! product occurs more than once (key \"product\")"),
    ] {
        assert_eq!(imported(&order(more), &[], false).unwrap(), [expected], "{more:.60}");
    }
    let cr = "{\"orderId\":1,\"product\":\"a\",\"price\":1}\r{\"orderId\":2,\"product\":\"b\",\"price\":1}\r";
    assert_eq!(imported(cr, &[], false).unwrap(), ["1|a|1", "2|b|1"]);
}

#[test]
fn rows_that_are_skipped_are_counted_whatever_they_are() {
    let text = "orderId,product,price\n1,a,1\n\n2,b,free\n3,\"c\nd\",1\n4,e,1\n";
    let skipping = |skip_rows| {
        let settings = ImportSettings { skip_rows, ..settings(&[], InputFormat::Csv) };
        imported_with(&settings, text.as_bytes())
    };
    assert_eq!(skipping(0).unwrap().len(), 4);
    assert_eq!(skipping(2).unwrap(), ["3|c\nd|1", "4|e|1"]);
    assert!(skipping(4).unwrap().is_empty());
    let error = skipping(5).unwrap_err();
    assert!(error.to_string().contains("has only 4 rows, but --skip-rows is 5"), "{error}");
    assert!(error.is_usage());
}
