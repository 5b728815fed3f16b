//! Encodings of text files, and their translation to UTF-8 as the bytes come.

use serde::{Deserialize, Serialize};

/// What may stand before the text of a file in UTF-8.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// How a file's characters are written as bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Encoding {
    /// With or without a byte order mark.
    Utf8,
    /// UTF-16, the low byte first.
    Utf16Le,
    /// UTF-16, the high byte first.
    Utf16Be,
    /// ISO 8859-1: each byte is the character of that number.
    Latin1,
    /// Windows' variant of Latin-1, with characters such as `€` and `“` where that has controls.
    Windows1252,
}

impl Encoding {
    /// Names that users give, in lower case, and what they mean; the first of each is the one shown.
    const NAMES: [(&'static str, Encoding); 17] = [
        ("utf-8", Encoding::Utf8),
        ("utf-16", Encoding::Utf16Le),
        ("utf-16-be", Encoding::Utf16Be),
        ("latin-1", Encoding::Latin1),
        ("windows-1252", Encoding::Windows1252),
        ("utf8", Encoding::Utf8),
        ("utf-8-sig", Encoding::Utf8),
        ("ascii", Encoding::Utf8),
        ("utf16", Encoding::Utf16Le),
        ("utf-16-le", Encoding::Utf16Le),
        ("utf-16le", Encoding::Utf16Le),
        ("utf-16be", Encoding::Utf16Be),
        ("latin1", Encoding::Latin1),
        ("iso-8859-1", Encoding::Latin1),
        ("iso8859-1", Encoding::Latin1),
        ("cp1252", Encoding::Windows1252),
        ("windows1252", Encoding::Windows1252),
    ];

    /// The encoding of this name, in any case. `utf-16` has the low byte first unless the file
    /// begins with a mark that says otherwise.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let lower = name.trim().to_lowercase().replace('_', "-");
        Self::NAMES.iter().find(|(name, _)| *name == lower).map(|(_, encoding)| *encoding)
    }

    /// The usual name.
    pub(crate) fn name(self) -> &'static str {
        let found = Self::NAMES.iter().find(|(_, encoding)| *encoding == self);
        found.map_or("utf-8", |(name, _)| name)
    }

    /// Whether each byte is a character, and those of ASCII are the same.
    pub(crate) fn is_one_byte(self) -> bool {
        matches!(self, Encoding::Latin1 | Encoding::Windows1252)
    }

    /// What a file's first bytes say, if they are a byte order mark.
    pub(crate) fn of_mark(head: &[u8]) -> Option<Self> {
        match head {
            [0xef, 0xbb, 0xbf, ..] => Some(Encoding::Utf8),
            [0xff, 0xfe, ..] => Some(Encoding::Utf16Le),
            [0xfe, 0xff, ..] => Some(Encoding::Utf16Be),
            _ => None,
        }
    }
}

/// Bytes that are no text in the encoding of their file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadText {
    /// Place of the first of them in the (decompressed) file.
    pub(crate) offset: u64,
}

/// Translates a file to UTF-8, piece by piece. A byte order mark is left out. UTF-8 itself goes
/// through unchecked.
#[derive(Debug)]
pub(crate) struct Decoder {
    encoding: Encoding,
    /// Bytes taken so far, with those in `rest`.
    taken: u64,
    /// First bytes of a character that was cut: of a mark, of a UTF-16 unit or of a pair of them.
    rest: Vec<u8>,
    /// Whether no character has been seen yet, so that a mark may come.
    at_start: bool,
}

impl Decoder {
    /// A decoder for the first byte of a file.
    pub(crate) fn new(encoding: Encoding) -> Self {
        Decoder { encoding, taken: 0, rest: Vec::with_capacity(4), at_start: true }
    }

    /// Appends the text of these bytes to `output`. What a character lacks is awaited from the
    /// next call.
    ///
    /// # Errors
    /// [`BadText`] with the place of a surrogate without its other half; `output` then holds the
    /// text before it.
    pub(crate) fn decode(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<(), BadText> {
        self.taken += input.len() as u64;
        match self.encoding {
            Encoding::Utf8 => {
                let input = self.without_mark(input, BYTE_ORDER_MARK, output);
                output.extend_from_slice(input);
                Ok(())
            }
            Encoding::Latin1 => {
                input.iter().for_each(|byte| push(output, char::from(*byte)));
                Ok(())
            }
            Encoding::Windows1252 => {
                input.iter().for_each(|byte| push(output, windows_1252(*byte)));
                Ok(())
            }
            Encoding::Utf16Le | Encoding::Utf16Be => self.decode_utf16(input, output),
        }
    }

    /// Ends the file.
    ///
    /// # Errors
    /// [`BadText`] if it ends within a character.
    pub(crate) fn finish(&mut self, output: &mut Vec<u8>) -> Result<(), BadText> {
        if self.encoding == Encoding::Utf8 {
            output.append(&mut self.rest);
        }
        match self.rest.len() as u64 {
            0 => Ok(()),
            left => Err(BadText { offset: self.taken - left }),
        }
    }

    /// `input` without the mark at the start of the file, which may come in pieces.
    fn without_mark<'a>(&mut self, input: &'a [u8], mark: &[u8], output: &mut Vec<u8>) -> &'a [u8] {
        if !self.at_start {
            return input;
        }
        for (index, byte) in input.iter().enumerate() {
            if mark.get(self.rest.len()) != Some(byte) {
                self.at_start = false;
                output.append(&mut self.rest);
                return &input[index..];
            }
            self.rest.push(*byte);
            if self.rest.len() == mark.len() {
                self.at_start = false;
                self.rest.clear();
                return &input[index + 1..];
            }
        }
        &[]
    }

    fn decode_utf16(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<(), BadText> {
        let mut input = input;
        // A character that an earlier piece began.
        while !self.rest.is_empty() {
            let Some((first, after)) = input.split_first() else { return Ok(()) };
            self.rest.push(*first);
            input = after;
            let rest = std::mem::take(&mut self.rest);
            let offset = self.taken - input.len() as u64 - rest.len() as u64;
            let used = self.whole_characters(&rest, offset, output)?;
            self.rest.extend_from_slice(&rest[used..]);
        }
        let offset = self.taken - input.len() as u64;
        let used = self.whole_characters(input, offset, output)?;
        self.rest.extend_from_slice(&input[used..]);
        Ok(())
    }

    /// Translates the characters that are whole; gives the number of their bytes. At most three
    /// bytes are left.
    fn whole_characters(
        &mut self,
        input: &[u8],
        offset: u64,
        output: &mut Vec<u8>,
    ) -> Result<usize, BadText> {
        const MARK: u16 = 0xfeff;
        let unit = |at: usize| -> Option<u16> {
            let pair = [*input.get(at)?, *input.get(at + 1)?];
            Some(match self.encoding {
                Encoding::Utf16Be => u16::from_be_bytes(pair),
                _ => u16::from_le_bytes(pair),
            })
        };
        let mut used = 0;
        while let Some(first) = unit(used) {
            let bad = BadText { offset: offset + used as u64 };
            match first {
                MARK if self.at_start => used += 2,
                0xd800..=0xdbff => {
                    let Some(second) = unit(used + 2) else { break };
                    let pair = char::decode_utf16([first, second]).next();
                    push(output, pair.and_then(Result::ok).ok_or(bad)?);
                    used += 4;
                }
                _ => {
                    push(output, char::from_u32(u32::from(first)).ok_or(bad)?);
                    used += 2;
                }
            }
            self.at_start = false;
        }
        Ok(used)
    }
}

fn push(output: &mut Vec<u8>, character: char) {
    let mut bytes = [0; 4];
    output.extend_from_slice(character.encode_utf8(&mut bytes).as_bytes());
}

/// The character of a byte in Windows-1252. The five bytes that it does not define are controls,
/// as browsers read them.
fn windows_1252(byte: u8) -> char {
    const HIGH: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž',
        '\u{8f}', '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}',
        'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9f => HIGH[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(encoding: Encoding, bytes: &[u8], step: usize) -> Result<String, BadText> {
        let mut decoder = Decoder::new(encoding);
        let mut output = Vec::new();
        for piece in bytes.chunks(step) {
            decoder.decode(piece, &mut output)?;
        }
        decoder.finish(&mut output)?;
        Ok(String::from_utf8(output).unwrap())
    }

    #[test]
    fn utf16_in_pieces_of_any_size() {
        let text = "a,ü\r\n😀,€\n";
        let units: Vec<u16> = std::iter::once(0xfeff).chain(text.encode_utf16()).collect();
        let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        for step in 1..=little.len() {
            assert_eq!(decoded(Encoding::Utf16Le, &little, step).unwrap(), text, "{step}");
            assert_eq!(decoded(Encoding::Utf16Be, &big, step).unwrap(), text, "{step}");
            // Without the mark; one that comes later is a character.
            assert_eq!(decoded(Encoding::Utf16Le, &little[2..], step).unwrap(), text, "{step}");
        }
        let twice = [&little[..2], &little[..]].concat();
        assert_eq!(decoded(Encoding::Utf16Le, &twice, 3).unwrap(), format!("\u{feff}{text}"));
    }

    #[test]
    fn utf16_that_is_none() {
        let unit = |units: &[u16]| -> Vec<u8> {
            units.iter().flat_map(|unit| unit.to_le_bytes()).collect()
        };
        for step in 1..8 {
            let lone_high = unit(&[0x61, 0xd83d, 0x62]);
            assert_eq!(decoded(Encoding::Utf16Le, &lone_high, step), Err(BadText { offset: 2 }));
            let lone_low = unit(&[0x61, 0x62, 0xde00]);
            assert_eq!(decoded(Encoding::Utf16Le, &lone_low, step), Err(BadText { offset: 4 }));
            let cut_pair = unit(&[0x61, 0xd83d]);
            assert_eq!(decoded(Encoding::Utf16Le, &cut_pair, step), Err(BadText { offset: 2 }));
            let odd = &unit(&[0x61, 0x62])[..3];
            assert_eq!(decoded(Encoding::Utf16Le, odd, step), Err(BadText { offset: 2 }));
        }
    }

    #[test]
    fn one_byte_encodings() {
        assert_eq!(decoded(Encoding::Latin1, b"caf\xe9 \x80", 2).unwrap(), "café \u{80}");
        assert_eq!(decoded(Encoding::Windows1252, b"\x80 \x93x\x94 \xe9", 2).unwrap(), "€ “x” é");
        // What Latin-1 has besides controls is the same there, and so are the controls that
        // Windows-1252 does not define.
        let same: Vec<u8> = (0..0x80).chain(0xa0..=0xff).collect();
        let undefined = [0x81, 0x8d, 0x8f, 0x90, 0x9d];
        for bytes in [&same[..], &undefined] {
            let latin = decoded(Encoding::Latin1, bytes, 7).unwrap();
            assert_eq!(decoded(Encoding::Windows1252, bytes, 7).unwrap(), latin);
        }
    }

    #[test]
    fn utf8_loses_its_mark_only() {
        for step in 1..6 {
            assert_eq!(decoded(Encoding::Utf8, b"\xef\xbb\xbfa\xc3\xa9", step).unwrap(), "aé");
            assert_eq!(decoded(Encoding::Utf8, "ï»a".as_bytes(), step).unwrap(), "ï»a");
            assert_eq!(decoded(Encoding::Utf8, "\u{fec0}".as_bytes(), step).unwrap(), "\u{fec0}");
        }
    }

    #[test]
    fn names() {
        for encoding in [
            Encoding::Utf8,
            Encoding::Utf16Le,
            Encoding::Utf16Be,
            Encoding::Latin1,
            Encoding::Windows1252,
        ] {
            assert_eq!(Encoding::parse(encoding.name()), Some(encoding));
        }
        assert_eq!(Encoding::parse("UTF_8"), Some(Encoding::Utf8));
        assert_eq!(Encoding::parse("ISO_8859-1"), Some(Encoding::Latin1));
        assert_eq!(Encoding::parse("klingon"), None);
    }
}
