//! Tests of the way from a row to an order.

use std::sync::mpsc::channel;

use super::*;

/// Converts `text` and returns each row as `line: order` or `line! reason`.
fn imported(text: &str, map: &[(&str, &str)], is_csv: bool) -> Result<Vec<String>, InputError> {
    let (sender, receiver) = std::sync::mpsc::sync_channel(1_000);
    let map = FieldMap::new(map.iter().copied()).unwrap();
    let lines = Lines::new(text.as_bytes());
    if is_csv {
        from_csv("orders.csv", CsvRows::new(lines, b','), &map, &sender)?;
    } else {
        from_jsonl("orders.jsonl", lines, &map, &sender)?;
    }
    drop(sender);
    let written = |message| match message {
        Message::Order(order) => {
            Some(format!("{}|{}|{}", order.order_id, order.product, order.price))
        }
        Message::Rejected(row) => Some(format!("{}! {}", row.line, row.reason)),
        Message::Opened | Message::Failed(_) => None,
    };
    Ok(receiver.into_iter().filter_map(written).collect())
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
        "4! price is not a number: \"1,50\"",
        "5! price is not a number: \"free\"",
        "6! price does not fit a float: \"1e99\"",
        "7! 4 fields instead of 3",
        "o|p|1",
    ];
    assert_eq!(imported(text, &[], true).unwrap(), expected);
}

#[test]
fn text_that_is_not_utf8_is_rejected_only_where_it_matters() {
    let (sender, receiver) = channel();
    let columns = Columns { order_id: 0, product: 1, price: 2 };
    for bytes in [b"a,caf\xe9,1,x".as_slice(), b"a,cafe,1,\xe9".as_slice()] {
        let mut fields = Fields::default();
        CsvRows::new(Lines::new(bytes), b',').next(&mut fields).unwrap();
        sender.send(order_from_fields(&fields, &columns)).unwrap();
    }
    assert_eq!(receiver.recv().unwrap(), Err("product is not UTF-8".to_owned()));
    assert!(receiver.recv().unwrap().is_ok());
}

#[test]
fn an_order_that_no_broker_would_take_is_rejected() {
    let text = format!("orderId,product,price\na,{},1\n", "x".repeat(TEXT_BYTES_MAX));
    assert_eq!(
        imported(&text, &[], true).unwrap(),
        ["2! orderId and product have 999001 bytes, more than 999000"]
    );
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
    assert!(twice.to_string().contains("stands more than once"), "{twice}");
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
