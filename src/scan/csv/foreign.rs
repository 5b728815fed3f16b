//! Files that are no text, known by their first bytes.

use crate::error::{Error, Result};

/// What a file is that is no CSV.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Foreign {
    /// The name of a compression and the extension of its files.
    Compressed(&'static str, &'static str),
    Zip,
    Parquet,
    Arrow,
}

impl Foreign {
    /// What these first bytes of a file are those of. Text may begin with some of the letters, such
    /// as `PAR1` or `BZh`, so that the bytes after them are looked at, too.
    fn of(head: &[u8]) -> Option<Self> {
        Some(match head {
            [0x1f, 0x8b, 0x08, ..] => Foreign::Compressed("gzip", "gz"),
            // A frame, or one that is skipped.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
                Foreign::Compressed("zstd", "zst")
            }
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Foreign::Compressed("xz", "xz"),
            // A block, or the end of a file without any.
            [b'B', b'Z', b'h', b'1'..=b'9', b'1', b'A', b'Y', b'&', b'S', b'Y', ..]
            | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, b'r', b'E', b'8', b'P', 0x90, ..] => {
                Foreign::Compressed("bzip2", "bz2")
            }
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Foreign::Zip,
            [b'P', b'A', b'R', b'1', 0..=8 | 14..=31, ..] => Foreign::Parquet,
            [b'A', b'R', b'R', b'O', b'W', b'1', 0, 0, ..] => Foreign::Arrow,
            _ => return None,
        })
    }
}

/// Checks that the first bytes of a file that is to be read as plain CSV are not those of another
/// kind of file.
///
/// # Errors
/// `Input` with what it is and how to read it.
pub(super) fn check(path: &str, head: &[u8]) -> Result<()> {
    let Some(foreign) = Foreign::of(head) else { return Ok(()) };
    let error = |is: &str, hint: &str| {
        Err(Error::input(format!("\"{path}\" is {is}")).with_hint(hint.to_string()))
    };
    match foreign {
        Foreign::Compressed(name, extension) => {
            let file = path.rsplit('/').next().unwrap_or(path);
            let hint = format!("give compression = '{name}', or name it {file}.{extension}");
            error(&format!("compressed with {name}"), &hint)
        }
        Foreign::Zip => error(
            "a zip archive or a spreadsheet, not CSV",
            "unpack the archive, or save the spreadsheet as CSV",
        ),
        Foreign::Parquet => error("a Parquet file, not CSV", "use read_parquet"),
        Foreign::Arrow => error("an Arrow file, not CSV", "use read_arrow"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_by_their_first_bytes() {
        for (head, said) in [
            (&b"\x1f\x8b\x08\0rest"[..], "\"a/t.csv\" is compressed with gzip"),
            (b"\x28\xb5\x2f\xfdrest", "\"a/t.csv\" is compressed with zstd"),
            (b"\x5a\x2a\x4d\x18rest", "\"a/t.csv\" is compressed with zstd"),
            (b"\xfd7zXZ\0rest", "\"a/t.csv\" is compressed with xz"),
            (b"BZh91AY&SYrest", "\"a/t.csv\" is compressed with bzip2"),
            (b"PK\x03\x04rest", "\"a/t.csv\" is a zip archive or a spreadsheet, not CSV"),
            (b"PAR1\x15\x04rest", "\"a/t.csv\" is a Parquet file, not CSV"),
            (b"ARROW1\0\0rest", "\"a/t.csv\" is an Arrow file, not CSV"),
        ] {
            assert_eq!(check("a/t.csv", head).unwrap_err().to_string(), said);
        }
        let hint = check("a/t.csv", b"BZh91AY&SYrest").unwrap_err();
        assert_eq!(hint.hint(), Some("give compression = 'bzip2', or name it t.csv.bz2"));
        for text in
            ["PAR1,a\n", "PAR1\n1\n", "BZh9,x\n", "PK,id\n", "ARROW1,b\n", "id\n1\n", "", "P"]
        {
            assert!(check("t.csv", text.as_bytes()).is_ok(), "{text:?}");
        }
    }
}
