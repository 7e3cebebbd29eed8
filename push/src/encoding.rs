//! Text in the value of a header, as CloudEvents writes it over HTTP: what is no visible ASCII is percent-encoded,
//! and so are the space, `"` and `%`.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use reqwest::header::HeaderValue;

const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// The value of a header that says this text, whatever it is; `None` where it takes more than `bytes_max`.
pub(crate) fn header_value(text: &str, bytes_max: usize) -> Option<HeaderValue> {
    let encoded = utf8_percent_encode(text, ENCODED).to_string();
    HeaderValue::from_str(&encoded).ok().filter(|value| value.len() <= bytes_max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_becomes_visible_ascii_that_reads_back() {
        for (text, encoded) in [
            ("", ""),
            ("tea-1", "tea-1"),
            ("a b", "a%20b"),
            ("100% \"x\"", "100%25%20%22x%22"),
            ("\u{e9}\u{20ac}", "%C3%A9%E2%82%AC"),
            ("a\r\nhost: b", "a%0D%0Ahost:%20b"),
            ("\u{0}\u{7f}", "%00%7F"),
            ("~!#$&'()*+,/:;<=>?@[\\]^`{|}", "~!#$&'()*+,/:;<=>?@[\\]^`{|}"),
        ] {
            let value = header_value(text, 100).expect("it is short");
            assert_eq!(value.to_str().unwrap(), encoded);
            let decoded = percent_encoding::percent_decode_str(encoded).decode_utf8().unwrap();
            assert_eq!(decoded, text);
        }
        assert_eq!(header_value("12345", 4), None);
        assert_eq!(header_value("\u{20ac}", 8), None, "it takes nine");
    }
}
