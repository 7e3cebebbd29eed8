//! Reads the body of an order by hand, as the Avro specification says.

use order_schemas::OrderVersion;

/// The fields that decide about an order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct OrderBody {
    pub(super) order_id: String,
    pub(super) product: String,
    pub(super) price: f32,
}

/// Reads one order and leaves what follows it in `rest`.
pub(super) fn order(rest: &mut &[u8], version: OrderVersion) -> Option<OrderBody> {
    let order = OrderBody { order_id: text(rest)?, product: text(rest)?, price: float(rest)? };
    if version == OrderVersion::V2 {
        optional(rest, |rest| text(rest).map(drop))?; // userId
        i32::try_from(long(rest)?).ok()?; // quantity
        optional(rest, |rest| long(rest).map(drop))?; // createdAt
    }
    Some(order)
}

fn optional(rest: &mut &[u8], value: impl FnOnce(&mut &[u8]) -> Option<()>) -> Option<()> {
    match long(rest)? {
        0 => Some(()),
        1 => value(rest),
        _ => None,
    }
}

fn text(rest: &mut &[u8]) -> Option<String> {
    let len = usize::try_from(long(rest)?).ok()?;
    let (text, left) = rest.split_at_checked(len)?;
    *rest = left;
    String::from_utf8(text.to_vec()).ok()
}

fn float(rest: &mut &[u8]) -> Option<f32> {
    let (bytes, left) = rest.split_first_chunk::<4>()?;
    *rest = left;
    Some(f32::from_le_bytes(*bytes))
}

/// A zigzag number of at most ten bytes, seven bits each, the lowest first.
fn long(rest: &mut &[u8]) -> Option<i64> {
    let mut bits = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, left) = rest.split_first()?;
        *rest = left;
        bits |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((bits >> 1).cast_signed() ^ -(bits & 1).cast_signed());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_zigzag() {
        for (bytes, number) in
            [(&[0_u8][..], 0), (&[1], -1), (&[2], 1), (&[0x80, 1], 64), (&[0xff, 1], -128)]
        {
            assert_eq!(long(&mut &bytes[..]), Some(number), "{bytes:?}");
        }
        assert_eq!(long(&mut &[0x80][..]), None);
    }

    #[test]
    fn version_two_has_optional_fields() {
        let head = [2, b'i', 2, b'p', 0, 0, 0x80, 0x3f];
        for tail in [&[0, 2, 0][..], &[2, 2, b'u', 2, 2, 4]] {
            let bytes = [&head[..], tail].concat();
            let mut rest = &bytes[..];
            let order = order(&mut rest, OrderVersion::V2).expect("an order");
            assert_eq!((order.price, rest.len()), (1.0, 0));
        }
        assert_eq!(order(&mut &head[..], OrderVersion::V2), None);
    }
}
