//! Which fields of delimited text need quotes, and how they get them.

use crate::output::cells::Form;
use crate::scan::csv::BYTE_ORDER_MARK;

/// The bytes that have a meaning, and the words that stand for NULL.
///
/// A field needs quotes if a reader that knows the bytes could otherwise take it for something else:
/// if it is empty or a word for NULL, or holds a delimiter, a quote, an escape or the end of a line;
/// in the first column also if it begins like a comment or a byte order mark. Blanks at its ends are
/// quoted too, because some readers trim them.
#[derive(Debug)]
pub(super) struct Quoting {
    pub(super) delimiter: u8,
    /// `None`: nothing can be quoted.
    pub(super) quote: Option<u8>,
    /// What stands before a quote inside of quotes, if it is not another quote.
    pub(super) escape: Option<u8>,
    /// Bytes with which a line must not begin.
    comments: [u8; 2],
    /// Not empty ones.
    null_words: Vec<Vec<u8>>,
    special: [bool; 256],
}

/// What begins a comment in most dialects that have any.
const USUAL_COMMENT: u8 = b'#';

impl Quoting {
    pub(super) fn new(
        delimiter: u8,
        quote: Option<u8>,
        escape: Option<u8>,
        comment: Option<u8>,
        null_words: impl IntoIterator<Item = Vec<u8>>,
    ) -> Self {
        let mut special = [false; 256];
        for byte in [delimiter, b'\n', b'\r'].into_iter().chain(quote).chain(escape) {
            special[usize::from(byte)] = true;
        }
        let comments = [USUAL_COMMENT, comment.unwrap_or(USUAL_COMMENT)];
        let null_words = null_words.into_iter().filter(|word| !word.is_empty()).collect();
        Quoting { delimiter, quote, escape, comments, null_words, special }
    }

    /// Whether no text of this form needs quotes, unless it is empty.
    pub(super) fn leaves(&self, form: Form) -> bool {
        fn is_of_values(byte: u8) -> bool {
            byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b':' | b' ')
        }
        /// Whether a word could be a number, a boolean, a moment or hexadecimal digits.
        fn is_value(word: &[u8]) -> bool {
            const WORDS: [&[u8]; 5] = [b"true", b"false", b"nan", b"inf", b"-inf"];
            word.iter().any(u8::is_ascii_digit)
                || word.iter().all(u8::is_ascii_hexdigit)
                || WORDS.iter().any(|value| word.eq_ignore_ascii_case(value))
        }
        let mut marks = [self.delimiter].into_iter().chain(self.quote).chain(self.escape);
        form.is_tame()
            && !marks.any(is_of_values)
            && !self.comments.into_iter().any(is_of_values)
            && !self.null_words.iter().any(|word| is_value(word))
    }

    /// Whether the field is only read back as it is from inside of quotes.
    #[inline]
    pub(super) fn must_quote(&self, field: &[u8], is_first: bool) -> bool {
        field.is_empty()
            || self.holds_special(field)
            || is_first && (self.comments.contains(&field[0]) || field.starts_with(BYTE_ORDER_MARK))
            || self.null_words.iter().any(|word| word == field)
    }

    /// Whether a word is one without quotes as well, though it may be one for NULL.
    pub(super) fn leaves_word(&self, word: &[u8]) -> bool {
        word.first().is_some_and(|first| !self.comments.contains(first))
            && !word.starts_with(BYTE_ORDER_MARK)
            && !self.holds_special(word)
    }

    /// Whether the field gets quotes.
    #[inline]
    pub(super) fn needs_quotes(&self, field: &[u8], is_first: bool) -> bool {
        let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
        self.must_quote(field, is_first) || is_blank(field.first()) || is_blank(field.last())
    }

    /// Without an early end, so that sixteen bytes are compared at once.
    #[inline]
    fn holds_special(&self, field: &[u8]) -> bool {
        let delimiter = self.delimiter;
        let quote = self.quote.unwrap_or(delimiter);
        let escape = self.escape.unwrap_or(delimiter);
        let (chunks, rest) = field.as_chunks::<16>();
        let found = chunks.iter().fold(false, |found, chunk| {
            chunk.iter().fold(found, |found, &byte| {
                let mark = (byte == delimiter) | (byte == quote) | (byte == escape);
                found | mark | (byte == b'\n') | (byte == b'\r')
            })
        });
        rest.iter().fold(found, |found, &byte| found | self.special[usize::from(byte)])
    }

    /// Puts the field that begins at `start` and ends the text into quotes, those inside of it
    /// behind an escape or doubled.
    pub(super) fn enclose(&self, quote: u8, start: usize, out: &mut Vec<u8>) {
        let escape = self.escape.unwrap_or(quote);
        let is_escaped = |byte: u8| byte == quote || byte == escape;
        let end = out.len();
        let escapes = out[start..].iter().filter(|byte| is_escaped(**byte)).count();
        out.resize(end + escapes + 2, quote);
        // From its end on, as each byte goes to a place behind its own.
        let mut place = end + escapes + 1;
        if escapes == 0 {
            out.copy_within(start..end, start + 1);
        } else {
            for from in (start..end).rev() {
                let byte = out[from];
                place -= 1;
                out[place] = byte;
                if is_escaped(byte) {
                    place -= 1;
                    out[place] = escape;
                }
            }
        }
        out[start] = quote;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual() -> Quoting {
        Quoting::new(b',', Some(b'"'), None, None, [])
    }

    fn enclosed(quoting: &Quoting, field: &str) -> String {
        let mut out = b"a,".to_vec();
        out.extend_from_slice(field.as_bytes());
        quoting.enclose(b'"', 2, &mut out);
        String::from_utf8(out).unwrap().split_off(2)
    }

    #[test]
    fn what_needs_quotes() {
        let quoting = Quoting::new(b';', Some(b'"'), Some(b'\\'), Some(b'!'), [b"NA".to_vec()]);
        for (field, first, other) in [
            ("", true, true),
            ("plain text, with a comma", false, false),
            ("a;b", true, true),
            ("a\"b", true, true),
            ("a\\b", true, true),
            ("a\nb", true, true),
            ("a\r", true, true),
            (" a", true, true),
            ("a\t", true, true),
            ("a b", false, false),
            ("#1", true, false),
            ("!1", true, false),
            ("1#!", false, false),
            ("\u{feff}a", true, false),
            ("NA", true, true),
            ("NAN", false, false),
            ("NULL", false, false),
        ] {
            assert_eq!(quoting.needs_quotes(field.as_bytes(), true), first, "{field:?}");
            assert_eq!(quoting.needs_quotes(field.as_bytes(), false), other, "{field:?}");
            let blank = field.trim_matches([' ', '\t']) != field;
            assert_eq!(quoting.must_quote(field.as_bytes(), false), other && !blank, "{field:?}");
        }
    }

    #[test]
    fn a_special_byte_is_found_at_every_place() {
        let quoting = Quoting::new(b'|', Some(b'\''), Some(b'\\'), None, []);
        for len in 1..70 {
            let plain = vec![b'"'; len];
            assert!(!quoting.must_quote(&plain, false), "{len}");
            for place in 0..len {
                for special in *b"|'\\\n\r" {
                    let mut field = plain.clone();
                    field[place] = special;
                    assert!(quoting.must_quote(&field, false), "{special} at {place} of {len}");
                }
            }
        }
    }

    #[test]
    fn quotes_inside_of_quotes() {
        assert_eq!(enclosed(&usual(), ""), "\"\"");
        assert_eq!(enclosed(&usual(), "ab"), "\"ab\"");
        assert_eq!(enclosed(&usual(), "\"a\"\"b"), "\"\"\"a\"\"\"\"b\"");
        assert_eq!(enclosed(&usual(), "\\"), "\"\\\"");
        let escaping = Quoting { escape: Some(b'\\'), ..usual() };
        assert_eq!(enclosed(&escaping, "a\"b\\"), "\"a\\\"b\\\\\"");
    }

    #[test]
    fn values_that_cannot_need_quotes() {
        let forms = [Form::Bare, Form::Float, Form::Word];
        let quoting = |delimiter, word: &str| {
            Quoting::new(delimiter, Some(b'"'), None, None, [word.as_bytes().to_vec()])
        };
        for word in ["", "NULL", "NA", "-", "\\N", "none"] {
            assert!(forms.iter().all(|form| quoting(b'\t', word).leaves(*form)), "{word}");
        }
        for word in ["0", "-1", "true", "NaN", "-inf", "2015-01-15", "ff"] {
            assert!(!forms.iter().any(|form| quoting(b',', word).leaves(*form)), "{word}");
        }
        for delimiter in *b":- .1e" {
            assert!(!forms.iter().any(|form| quoting(delimiter, "").leaves(*form)));
        }
        assert!(!usual().leaves(Form::Text) && !usual().leaves(Form::Nested));
    }
}
