//! Tests of written prices.

use proptest::prelude::*;

use super::PriceFormat::{Comma, Currency, Plain};
use super::*;
use crate::Amount;

/// The price and whether it is exact, as text.
fn read(text: &str, format: PriceFormat) -> String {
    match Price::parse(text, format) {
        Ok(Price { value, is_exact: true }) => value.to_string(),
        Ok(Price { value, is_exact: false }) => format!("about {value}"),
        Err(error) => error.to_string(),
    }
}

#[track_caller]
fn check(format: PriceFormat, rows: &[(&str, &str)]) {
    for (text, expected) in rows {
        assert_eq!(read(text, format), *expected, "{text}");
    }
}

#[test]
fn a_plain_price_is_what_programs_write() {
    let rows = [
        ("2.39", "2.39"),
        (" 1e3 ", "1000"),
        ("-0", "-0"),
        ("+.5", "0.5"),
        ("5.", "5"),
        ("NaN", "NaN"),
        ("inf", "inf"),
        ("1e99", "price does not fit a float"),
        ("-1e9999999999999999999", "price does not fit a float"),
        ("1e-9999999999999999999", "0"),
        ("", "price is empty"),
        ("free", "price is not a number"),
        ("1,50", "price is not a number"),
        ("$2.39", "price is not a number"),
        ("0x10", "price is not a number"),
        ("1_000", "price is not a number"),
    ];
    check(Plain, &rows);
}

#[test]
fn a_price_is_exact_if_it_is_worth_what_its_text_says() {
    let rows = [
        ("0.1", "0.1"),
        ("0.10000000000000000000000000000000", "0.1"),
        ("16777216", "16777216"),
        ("16777217", "about 16777216"),
        ("12345678.91", "about 12345679"),
        ("1000000001", "about 1000000000"),
        ("1000000000", "1000000000"),
        ("-12345678.91", "about -12345679"),
        // Below an amount's four decimals nothing is kept anyway.
        ("0.333333333333333333333333333333", "0.33333334"),
        ("0.00001", "0.00001"),
        ("1e-50", "0"),
        ("1e38", "100000000000000000000000000000000000000"),
        ("123456789e25", "about 1234567900000000000000000000000000"),
        ("1.00000000000000000000000000000000000000000001", "1"),
        (
            "100000000000000000000000000000000000001",
            "about 100000000000000000000000000000000000000",
        ),
        ("1000000.03125000000000000001", "about 1000000.06"),
        // A tie of the text that the float does not keep.
        ("0.00005000000000000000000000001", "about 0.00005"),
    ];
    check(Plain, &rows);
}

#[test]
fn a_text_becomes_the_nearest_float_in_one_step() {
    // By way of a double it would be 1000000.
    let price = Price::parse("1000000.03125000000000000001", Plain).unwrap();
    assert_eq!(price.value.to_bits(), 1_000_000.06_f32.to_bits());
}

#[test]
fn a_currency_price_has_commas_between_thousands() {
    let rows = [
        ("$2.39", "2.39"),
        ("1,234.50", "1234.5"),
        ("$1,234,567", "1234567"),
        ("-$2.39", "-2.39"),
        ("$-2.39", "-2.39"),
        ("\u{2212}2.39 USD", "-2.39"),
        ("EUR 2.39", "2.39"),
        ("US$2.39", "2.39"),
        ("2.39€", "2.39"),
        ("$.99", "0.99"),
        ("Fr.9.50", "9.5"),
        ("CHF 1'234.50", "1234.5"),
        ("2.39", "2.39"),
        ("7", "7"),
        ("1,50", "price is not a number"),
        ("1,2345", "price is not a number"),
        ("0,123", "price is not a number"),
        ("1,234,56", "price is not a number"),
        ("1.234,50", "price is not a number"),
        ("1.234.567", "price is not a number"),
        ("$2.39 USD", "price is not a number"),
        ("($2.39)", "price is not a number"),
        ("2.39 pieces", "price is not a number"),
        ("$", "price is not a number"),
        ("$5.", "price is not a number"),
        ("--1", "price is not a number"),
        ("1e3", "price is not a number"),
        ("NaN", "price is not a number"),
        ("$12,345,678.91", "about 12345679"),
    ];
    check(Currency, &rows);
}

#[test]
fn a_comma_price_has_its_decimals_behind_a_comma() {
    let rows = [
        ("2,39", "2.39"),
        ("€ 2,39", "2.39"),
        ("2,39 €", "2.39"),
        ("1.234,50", "1234.5"),
        ("1 234,50 kr", "1234.5"),
        ("1\u{202f}234\u{202f}567,5\u{a0}€", "1234567.5"),
        ("-1.234", "-1234"),
        (",99", "0.99"),
        ("1,234.50", "price is not a number"),
        ("2.39", "price is not a number"),
        ("1.23,50", "price is not a number"),
        ("1.234 567,50", "price is not a number"),
        ("1,2,3", "price is not a number"),
        ("2,", "price is not a number"),
    ];
    check(Comma, &rows);
}

#[test]
fn what_becomes_of_a_price_is_said_in_one_line() {
    let price = Price::parse("12345678.91", Plain).unwrap();
    let text = "price 12345678.91 becomes 12345679: the record's price is a float of 32 bits";
    assert_eq!(price.loss(" 12345678.91"), text);
    assert!(price.loss(&"1".repeat(10_000)).chars().count() < 120);
}

proptest! {
    /// Whatever amount a pipeline can hold: written out, it is exact just if the float counts as it.
    #[test]
    fn a_price_is_exact_just_if_the_amount_of_its_float_is_the_same(
        ten_thousandths in prop_oneof![0..=10_000_000_000_000_i128, 0..=1_000_000_i128],
    ) {
        let amount = Amount::from_ten_thousandths(ten_thousandths);
        let price = Price::parse(&amount.to_string(), Plain).unwrap();
        prop_assert_eq!(price.is_exact, Amount::from_price(price.value) == Ok(amount));
    }

    #[test]
    fn no_text_makes_it_panic(text in "[-+0-9.,eE$€ a\u{a0}]{0,50}") {
        for format in [Plain, Currency, Comma] {
            let _ = Price::parse(&text, format);
        }
    }

    #[test]
    fn the_three_formats_read_the_same_amount(cents in 0..100_000_000_u32) {
        let (whole, part) = (cents / 100, cents % 100);
        let grouped = |separator: &str| {
            let digits = whole.to_string();
            let first = (digits.len() - 1) % 3 + 1;
            let mut text = digits[..first].to_owned();
            for group in digits.as_bytes()[first..].chunks(3) {
                text = format!("{text}{separator}{}", std::str::from_utf8(group).unwrap());
            }
            text
        };
        let plain = Price::parse(&format!("{whole}.{part:02}"), Plain);
        let currency = Price::parse(&format!("${}.{part:02}", grouped(",")), Currency);
        prop_assert_eq!(currency, plain);
        let comma = Price::parse(&format!("{},{part:02} €", grouped(".")), Comma);
        prop_assert_eq!(comma, plain);
    }
}
