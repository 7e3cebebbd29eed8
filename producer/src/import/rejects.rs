//! The file of rejected rows.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, BufWriter, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{Input, RejectedRow};

const HEADER: [&str; 3] = ["line", "reason", "row"];

/// How the file begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectsMode {
    /// It is emptied: its rows are those of this run.
    New,
    /// What an earlier part of the import wrote stays.
    GoOn,
}

/// A CSV file with the columns `line`, `reason` and `row`.
#[derive(Debug)]
pub struct RejectsFile {
    path: PathBuf,
    writer: csv::Writer<BufWriter<File>>,
    rows: u64,
}

impl RejectsFile {
    /// Opens the file and sees to its header. To be called when nothing else of the start can fail:
    /// with [`RejectsMode::New`] the rows of the run before are gone.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be written, or is to be gone on with and has another header.
    pub fn open(path: &Path, mode: RejectsMode) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = match mode {
            RejectsMode::New => options.write(true).create(true).truncate(true).open(path)?,
            RejectsMode::GoOn => options.read(true).append(true).create(true).open(path)?,
        };
        let is_new = mode == RejectsMode::New || file.metadata()?.len() == 0;
        if !is_new {
            check_header(&file)?;
        }
        // Rows have three columns each, whatever stands before them.
        let writer = BufWriter::new(file);
        let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(writer);
        if is_new {
            writer.write_record(HEADER)?;
            writer.flush()?;
        }
        Ok(Self { path: path.to_owned(), writer, rows: 0 })
    }

    /// Returns where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns how many rows were added.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds a row, byte for byte as it was.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be written.
    pub fn write(&mut self, row: &RejectedRow) -> io::Result<()> {
        let line = row.line.to_string();
        self.writer.write_record([line.as_bytes(), row.reason.as_bytes(), &row.raw])?;
        self.rows += 1;
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

fn check_header(file: &File) -> io::Result<()> {
    let header = format!("{}\n", HEADER.join(","));
    let mut start = Vec::new();
    file.take(header.len() as u64).read_to_end(&mut start)?;
    if start == header.as_bytes() {
        return Ok(());
    }
    let text =
        "it is not a file of rejected rows, and --skip-rows would append to it; choose another";
    Err(io::Error::new(io::ErrorKind::InvalidData, text))
}

/// Whether `path` is the input itself, under this name or another: writing to it would destroy it.
#[must_use]
pub fn is_input(input: &Input, path: &Path) -> bool {
    let of_input = match input {
        Input::Stdin => io::stdin()
            .as_fd()
            .try_clone_to_owned()
            .and_then(|descriptor| File::from(descriptor).metadata()),
        Input::File(path) => path.metadata(),
    };
    // What is no file, such as /dev/null, loses nothing.
    let identity = |file: Metadata| file.is_file().then(|| (file.dev(), file.ino()));
    let (input, rejects) =
        (of_input.ok().and_then(identity), path.metadata().ok().and_then(identity));
    input.is_some() && input == rejects
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(line: u64, reason: &str, raw: &[u8]) -> RejectedRow {
        RejectedRow { line, reason: reason.to_owned(), raw: raw.to_vec() }
    }

    fn write(path: &Path, mode: RejectsMode, row: &RejectedRow) {
        let mut file = RejectsFile::open(path, mode).unwrap();
        file.write(row).unwrap();
        file.flush().unwrap();
    }

    fn lines(path: &Path) -> Vec<String> {
        let mut reader = csv::Reader::from_path(path).unwrap();
        assert_eq!(reader.headers().unwrap(), vec!["line", "reason", "row"]);
        reader
            .byte_records()
            .map(|row| String::from_utf8(row.unwrap()[0].to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn a_rejected_row_is_kept_byte_for_byte() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rejects.csv");
        let raw = b"a,\"b\xe9,1";
        write(&path, RejectsMode::New, &row(7, "broken, it is", raw));
        let mut reader = csv::Reader::from_path(&path).unwrap();
        let kept = reader.byte_records().next().unwrap().unwrap();
        assert_eq!((&kept[0], &kept[1], &kept[2]), (&b"7"[..], &b"broken, it is"[..], &raw[..]));
    }

    #[test]
    fn an_import_that_goes_on_adds_to_the_file_and_a_new_one_empties_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rejects.csv");
        write(&path, RejectsMode::GoOn, &row(7, "a", b"x"));
        write(&path, RejectsMode::GoOn, &row(9, "b", b"y\nz"));
        assert_eq!(lines(&path), ["7", "9"]);
        write(&path, RejectsMode::New, &row(8, "c", b"z"));
        assert_eq!(lines(&path), ["8"]);
        std::fs::write(&path, "orderId,product,price\n1,a,2\n").unwrap();
        let error = RejectsFile::open(&path, RejectsMode::GoOn).unwrap_err();
        assert!(error.to_string().contains("not a file of rejected rows"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "orderId,product,price\n1,a,2\n");
    }

    #[test]
    fn a_file_is_the_input_under_whatever_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("in.csv"), "x").unwrap();
        std::fs::write(path("other.csv"), "x").unwrap();
        std::fs::hard_link(path("in.csv"), path("hard.csv")).unwrap();
        std::os::unix::fs::symlink(path("in.csv"), path("soft.csv")).unwrap();
        let input = Input::File(path("in.csv"));
        for (name, expected) in [
            ("in.csv", true),
            ("./in.csv", true),
            ("hard.csv", true),
            ("soft.csv", true),
            ("other.csv", false),
            ("new.csv", false),
        ] {
            assert_eq!(is_input(&input, &path(name)), expected, "{name}");
        }
        assert!(is_input(&Input::File(path("soft.csv")), &path("hard.csv")));
        let null = Path::new("/dev/null");
        assert!(!is_input(&Input::File(null.to_owned()), null));
    }
}
