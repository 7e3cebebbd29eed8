//! Compressed batches, by the decoders that `kafka-protocol` brings. They copy, into one buffer for each batch, and have
//! no limit: a batch of a hostile producer may become as large as it likes.

use bytes::Bytes;
use kafka_protocol::compression::{Decompressor, Gzip, Lz4, Snappy, Zstd};

use crate::batch::{Fault, Header};

/// The records of a batch, uncompressed; those that are not compressed are not copied.
pub(crate) fn uncompressed(header: &Header, records: Bytes) -> Result<Bytes, Fault> {
    match header.compression() {
        0 => Ok(records),
        1 => by::<Gzip>(records),
        2 => by::<Snappy>(records),
        3 => by::<Lz4>(records),
        4 => by::<Zstd>(records),
        _ => Err(Fault::Compression),
    }
}

fn by<D: Decompressor<Bytes, Buf: Into<Bytes> + Default>>(
    mut records: Bytes,
) -> Result<Bytes, Fault> {
    let whole = D::decompress(&mut records, |buffer| Ok(std::mem::take(buffer).into()));
    whole.map_err(|_| Fault::Compression)
}
