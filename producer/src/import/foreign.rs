//! Files that are no text of rows, told by their first bytes.

/// What a file is, and how it becomes one that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Foreign {
    pub(super) what: &'static str,
    pub(super) advice: &'static str,
}

const WORKBOOK: &str = "open it in a spreadsheet program and save the sheet as CSV (UTF-8)";
const CONVERT: &str = "export it as CSV or JSON Lines with the tool that made it";
const UTF_16: &str =
    "convert it with 'iconv -f UTF-16 -t UTF-8 FILE > new.csv', or save it as UTF-8";

const EXCEL: Foreign = Foreign { what: "an Excel workbook", advice: WORKBOOK };
const OPEN_DOCUMENT: Foreign = Foreign { what: "an OpenDocument spreadsheet", advice: WORKBOOK };
const ZIP: Foreign = Foreign {
    what: "a zip archive",
    advice: "unpack it: unzip -p FILE.zip | producer --input - --input-format csv",
};
const GZIP: Foreign = Foreign {
    what: "a gzip file",
    advice: "unpack it: gunzip -c FILE.gz | producer --input - --input-format csv",
};
const ZSTD: Foreign = Foreign {
    what: "a zstd file",
    advice: "unpack it: zstd -dc FILE.zst | producer --input - --input-format csv",
};
const BZIP2: Foreign = Foreign {
    what: "a bzip2 file",
    advice: "unpack it: bzip2 -dc FILE.bz2 | producer --input - --input-format csv",
};
const XZ: Foreign = Foreign {
    what: "an xz file",
    advice: "unpack it: xz -dc FILE.xz | producer --input - --input-format csv",
};
const SEVEN_ZIP: Foreign = Foreign { what: "a 7z archive", advice: "unpack it first" };
const PARQUET: Foreign = Foreign { what: "a Parquet file", advice: CONVERT };
const ORC: Foreign = Foreign { what: "an ORC file", advice: CONVERT };
const ARROW: Foreign = Foreign { what: "an Arrow file", advice: CONVERT };
const AVRO: Foreign = Foreign { what: "an Avro file", advice: CONVERT };
const PDF: Foreign = Foreign { what: "a PDF document", advice: CONVERT };
const SQLITE: Foreign = Foreign { what: "an SQLite database", advice: CONVERT };
const RTF: Foreign = Foreign { what: "an RTF document", advice: CONVERT };
const UTF_16_TEXT: Foreign = Foreign { what: "text in UTF-16 or UTF-32", advice: UTF_16 };
const BINARY: Foreign = Foreign {
    what: "not text: it has zero bytes in its first line",
    advice: "export it as CSV or JSON Lines in UTF-8",
};
const MARKUP: Foreign = Foreign {
    what: "an HTML or XML page",
    advice: "look into it: a download that needs a login often returns a page instead of the file",
};

/// First bytes that tell a kind of file.
const MAGIC: [(&[u8], Foreign); 17] = [
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", EXCEL),
    (b"\x1f\x8b", GZIP),
    (b"\x28\xb5\x2f\xfd", ZSTD),
    (b"BZh", BZIP2),
    (b"\xfd7zXZ\0", XZ),
    (b"7z\xbc\xaf\x27\x1c", SEVEN_ZIP),
    (b"PAR1", PARQUET),
    (b"PARE", PARQUET),
    (b"ORC\x01", ORC),
    (b"ORC\x0a", ORC),
    (b"ARROW1", ARROW),
    (b"Obj\x01", AVRO),
    (b"%PDF-", PDF),
    (b"SQLite format 3\0", SQLITE),
    (b"{\\rtf", RTF),
    (b"\xff\xfe", UTF_16_TEXT),
    (b"\xfe\xff", UTF_16_TEXT),
];

/// Looks at the start of an input.
pub(super) fn by_content(start: &[u8]) -> Option<Foreign> {
    if [b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"].iter().any(|magic| start.starts_with(*magic)) {
        return Some(zip(start));
    }
    if let Some((_, foreign)) = MAGIC.iter().find(|(magic, _)| start.starts_with(magic)) {
        return Some(*foreign);
    }
    let line_end = start.iter().position(|byte| b"\r\n".contains(byte)).unwrap_or(start.len());
    let line = &start[..line_end];
    if line.contains(&0) {
        // In UTF-16 every other byte of English text is zero, and after the line feed comes one.
        let zeros = line.iter().filter(|byte| **byte == 0).count();
        return Some(if zeros * 3 > line.len() { UTF_16_TEXT } else { BINARY });
    }
    let text = start.trim_ascii_start();
    let is_markup = ["<!doctype", "<html", "<?xml", "<head", "<table", "<workbook"]
        .iter()
        .any(|tag| text.get(..tag.len()).is_some_and(|t| t.eq_ignore_ascii_case(tag.as_bytes())));
    is_markup.then_some(MARKUP)
}

/// What a file of this name is, whose form is not given.
pub(crate) fn by_extension(extension: &str) -> Option<(&'static str, &'static str)> {
    let foreign = match extension {
        "xlsx" | "xlsm" | "xlsb" | "xls" => EXCEL,
        "ods" => OPEN_DOCUMENT,
        "zip" => ZIP,
        "gz" | "gzip" | "tgz" => GZIP,
        "zst" => ZSTD,
        "bz2" => BZIP2,
        "xz" => XZ,
        "7z" => SEVEN_ZIP,
        "parquet" => PARQUET,
        "orc" => ORC,
        "arrow" | "feather" => ARROW,
        "avro" => AVRO,
        "pdf" => PDF,
        "sqlite" | "db" => SQLITE,
        "html" | "htm" | "xml" => MARKUP,
        _ => return None,
    };
    Some((foreign.what, foreign.advice))
}

/// Workbooks are zip archives, told by the names of their first entries.
fn zip(start: &[u8]) -> Foreign {
    let has = |name: &[u8]| start.windows(name.len()).any(|window| window == name);
    if has(b"opendocument.spreadsheet") {
        OPEN_DOCUMENT
    } else if has(b"[Content_Types].xml") || has(b"xl/") {
        EXCEL
    } else {
        ZIP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_kind_is_named() {
        let rows: [(&[u8], &str); 14] = [
            (b"PK\x03\x04\x14\0\x06\0\x08\0\0\0!\0[Content_Types].xml", "an Excel workbook"),
            (b"PK\x03\x04\x14\0\0\0\0\0docProps/PK\x03\x04xl/workbook.xml", "an Excel workbook"),
            (
                b"PK\x03\x04\x14\0mimetypeapplication/vnd.oasis.opendocument.spreadsheet",
                "an OpenDocument spreadsheet",
            ),
            (b"PK\x03\x04\x14\0orders.csv", "a zip archive"),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0", "an Excel workbook"),
            (b"\x1f\x8b\x08\0", "a gzip file"),
            (b"PAR1\x15\x04", "a Parquet file"),
            (b"\xff\xfeo\0r\0", "text in UTF-16 or UTF-32"),
            (b"\xfe\xff\0o\0r", "text in UTF-16 or UTF-32"),
            (b"o\0r\0d\0e\0r\0I\0d\0,\0p\0\r\0\n\0", "text in UTF-16 or UTF-32"),
            (b"orderId,prod\0uct", "not text: it has zero bytes in its first line"),
            (b"<!DOCTYPE html><html>", "an HTML or XML page"),
            (b" \n<?xml version=\"1.0\"?>", "an HTML or XML page"),
            (b"%PDF-1.7", "a PDF document"),
        ];
        for (start, expected) in rows {
            assert_eq!(by_content(start).map(|foreign| foreign.what), Some(expected), "{start:?}");
        }
    }

    #[test]
    fn rows_are_none_of_them() {
        for start in
            ["", "orderId,product,price\n1,a\0b,2", "{\"a\":1}", "PK,product,price\n", "<x>;b\n"]
        {
            assert_eq!(by_content(start.as_bytes()), None, "{start}");
        }
    }
}
