//! The encoding of a file, and samples as UTF-8.

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::scan::csv::encoding::{Decoder, Encoding};
use crate::scan::csv::sample::Sample;

/// Finds the encoding of a sampled file.
///
/// A byte order mark decides. Otherwise zeros in every other byte make UTF-16. Bytes that are not
/// UTF-8 make Windows-1252, which has all printable characters of Latin-1 and more, which may come
/// late; but if there is more text that is valid UTF-8 than text that is not, the file is UTF-8 with
/// errors.
pub(super) fn find_encoding(sample: &Sample) -> Encoding {
    if let Some(encoding) = Encoding::of_mark(&sample.head) {
        return encoding;
    }
    if let Some(encoding) = utf16_without_mark(&sample.head) {
        return encoding;
    }
    let mut counts = Utf8Counts::default();
    counts.add(&sample.head);
    sample.pieces.iter().for_each(|piece| counts.add(piece));
    if counts.invalid <= counts.valid { Encoding::Utf8 } else { Encoding::Windows1252 }
}

/// UTF-16 by the zeros that half of the bytes of most texts are.
fn utf16_without_mark(head: &[u8]) -> Option<Encoding> {
    const LOOKED_AT: usize = 4 << 10;
    let pairs = head[..head.len().min(LOOKED_AT)].chunks_exact(2);
    let count = pairs.len();
    let (first, second) = pairs.fold((0, 0), |(first, second), pair| {
        (first + usize::from(pair[0] == 0), second + usize::from(pair[1] == 0))
    });
    // Text of other alphabets still has ASCII delimiters and newlines.
    let many = |zeros: usize| zeros >= 2 && zeros * 4 >= count;
    match (first, second) {
        (0, zeros) if many(zeros) => Some(Encoding::Utf16Le),
        (zeros, 0) if many(zeros) => Some(Encoding::Utf16Be),
        _ => None,
    }
}

/// Characters outside ASCII.
#[derive(Default)]
struct Utf8Counts {
    /// Whole ones.
    valid: usize,
    /// Bytes that belong to none.
    invalid: usize,
}

impl Utf8Counts {
    fn add(&mut self, bytes: &[u8]) {
        // Both ends may be in the middle of a character.
        const LONGEST: usize = 4;
        let continues = |byte: &&u8| **byte & 0xc0 == 0x80;
        let start = bytes.iter().take(LONGEST - 1).take_while(continues).count();
        let mut rest = &bytes[start..];
        loop {
            let (valid, error) = match str::from_utf8(rest) {
                Ok(text) => (text, None),
                Err(err) => {
                    let (valid, _) = rest.split_at(err.valid_up_to());
                    (str::from_utf8(valid).expect("valid so far"), Some(err))
                }
            };
            self.valid += valid.chars().filter(|character| !character.is_ascii()).count();
            let Some(length) = error.and_then(|err| err.error_len()) else { return };
            self.invalid += length;
            rest = &rest[valid.len() + length..];
        }
    }
}

/// The sample as UTF-8, without a byte order mark.
///
/// # Errors
/// `Input` with the place of bytes that are no text in this encoding.
pub(super) fn decoded(path: &str, sample: &Sample, encoding: Encoding) -> Result<Sample> {
    let mut head = Vec::with_capacity(sample.head.len());
    let mut decoder = Decoder::new(encoding);
    decoder.decode(&sample.head, &mut head).map_err(|bad| {
        Error::input(format!("\"{path}\" byte {} is not {}", bad.offset, encoding.name()))
            .with_hint("name the encoding of the file: OPTIONS (encoding '…')")
    })?;
    if sample.whole {
        // A character that the file's end cuts is the scan's to report.
        let _ = decoder.finish(&mut head);
    }
    let pieces = match encoding {
        Encoding::Utf8 => sample.pieces.clone(),
        // Pieces begin at any byte.
        Encoding::Utf16Le | Encoding::Utf16Be => Vec::new(),
        Encoding::Latin1 | Encoding::Windows1252 => {
            sample.pieces.iter().map(|piece| one_byte_text(piece, encoding)).collect()
        }
    };
    Ok(Sample { head, whole: sample.whole, pieces })
}

fn one_byte_text(bytes: &[u8], encoding: Encoding) -> Bytes {
    let mut text = Vec::with_capacity(bytes.len());
    let decoded = Decoder::new(encoding).decode(bytes, &mut text);
    debug_assert!(decoded.is_ok(), "every byte is a character");
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(head: impl Into<Vec<u8>>) -> Sample {
        Sample { head: head.into(), whole: true, pieces: vec![] }
    }

    #[test]
    fn encodings() {
        let text = "name,größe\nä,1\n";
        let utf16 = |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect();
        let little: Vec<u8> = utf16(u16::to_le_bytes);
        let big: Vec<u8> = utf16(u16::to_be_bytes);
        let found = |head: &[u8]| find_encoding(&sample(head));
        assert_eq!(found(text.as_bytes()), Encoding::Utf8);
        assert_eq!(found(&little), Encoding::Utf16Le);
        assert_eq!(found(&big), Encoding::Utf16Be);
        assert_eq!(found(&[b"\xff\xfe", &little[..]].concat()), Encoding::Utf16Le);
        assert_eq!(found(b"caf\xe9,1\n"), Encoding::Windows1252);
        assert_eq!(found(b"\x93caf\xe9\x94,1\n"), Encoding::Windows1252);
        // A zero byte is not UTF-16, and one wrong byte is not Windows-1252.
        assert_eq!(found(b"a,b\n\0,2\n"), Encoding::Utf8);
        assert_eq!(found("äöüß\n".as_bytes().split_last().expect("not empty").1), Encoding::Utf8);
        assert_eq!(found(&[text.as_bytes(), b"\xe9\n"].concat()), Encoding::Utf8);
    }

    #[test]
    fn samples_are_utf8() {
        let pieces = vec![Bytes::from_static(b"\xe9,2\n")];
        let latin = Sample { head: b"caf\xe9".to_vec(), whole: false, pieces };
        let text = decoded("x", &latin, Encoding::Latin1).expect("every byte is a character");
        assert_eq!(text.head, "café".as_bytes());
        assert_eq!(text.pieces[0], "é,2\n".as_bytes());
        let bad = sample([0x61, 0, 0, 0xdc]);
        assert!(decoded("x", &bad, Encoding::Utf16Le).is_err());
    }
}
