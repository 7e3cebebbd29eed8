//! The file of rejected rows.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use super::RejectedRow;

/// A CSV file with the columns `line`, `reason` and `row`.
#[derive(Debug)]
pub struct RejectsFile {
    path: PathBuf,
    writer: csv::Writer<BufWriter<File>>,
}

impl RejectsFile {
    /// Creates the file, or empties it, and writes its header.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut writer = csv::Writer::from_writer(BufWriter::new(File::create(path)?));
        writer.write_record(["line", "reason", "row"])?;
        writer.flush()?;
        Ok(Self { path: path.to_owned(), writer })
    }

    /// Returns where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a row, byte for byte as it was.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be written.
    pub fn write(&mut self, row: &RejectedRow) -> io::Result<()> {
        let line = row.line.to_string();
        self.writer.write_record([line.as_bytes(), row.reason.as_bytes(), &row.raw])?;
        Ok(())
    }

    /// Hands everything to the operating system.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejected_row_is_kept_byte_for_byte() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rejects.csv");
        let mut file = RejectsFile::create(&path).unwrap();
        let raw = b"a,\"b\xe9,1".to_vec();
        file.write(&RejectedRow { line: 7, reason: "broken, it is".into(), raw: raw.clone() })
            .unwrap();
        file.flush().unwrap();
        let mut reader = csv::Reader::from_path(&path).unwrap();
        assert_eq!(reader.headers().unwrap(), vec!["line", "reason", "row"]);
        let row = reader.byte_records().next().unwrap().unwrap();
        assert_eq!((&row[0], &row[1], &row[2]), (&b"7"[..], &b"broken, it is"[..], &raw[..]));
    }
}
