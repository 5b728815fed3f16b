//! JSON text read from left to right without building anything: what is passed is checked, and
//! values are given as the parts of the text they are in.

use std::borrow::Cow;

/// How deep arrays and objects may be inside each other.
const MAX_DEPTH: usize = 512;

/// Why and where a text is not JSON.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) at: usize,
    pub(super) what: &'static str,
}

/// What a value is, by its first letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Boolean,
    Number,
    Text,
    Array,
    Object,
}

/// The kind of a value that has been checked.
pub(super) fn kind(value: &str) -> Kind {
    match value.as_bytes().first() {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        Some(b'"') => Kind::Text,
        Some(b't' | b'f') => Kind::Boolean,
        Some(b'n') => Kind::Null,
        _ => Kind::Number,
    }
}

/// The one value that is the text, without blanks around it.
pub(super) fn document(text: &str) -> Result<&str, Malformed> {
    let mut reader = Reader::new(text);
    let value = reader.value()?;
    reader.end()?;
    Ok(value)
}

/// A place in a text.
#[derive(Clone)]
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Reader { text, at: 0, depth: 0 }
    }

    fn fail<T>(&self, what: &'static str) -> Result<T, Malformed> {
        let what = if self.at >= self.text.len() { "unexpected end" } else { what };
        Err(Malformed { at: self.at, what })
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Passes blanks and the byte if it is next.
    fn next_is(&mut self, expected: u8) -> bool {
        self.blanks();
        let found = self.byte() == Some(expected);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, expected: u8, what: &'static str) -> Result<(), Malformed> {
        if self.next_is(expected) { Ok(()) } else { self.fail(what) }
    }

    /// Nothing but blanks may follow.
    pub(super) fn end(&mut self) -> Result<(), Malformed> {
        self.blanks();
        if self.at < self.text.len() { self.fail("text after the value") } else { Ok(()) }
    }

    /// The kind of the next value.
    pub(super) fn kind(&mut self) -> Kind {
        self.blanks();
        kind(&self.text[self.at..])
    }

    /// Passes a value.
    pub(super) fn value(&mut self) -> Result<&'a str, Malformed> {
        self.blanks();
        let start = self.at;
        match self.byte() {
            Some(b'{') => self.members(|reader, _| reader.value().map(drop))?,
            Some(b'[') => self.elements(|reader| reader.value().map(drop))?,
            Some(b'"') => self.string().map(drop)?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word("true")?,
            Some(b'f') => self.word("false")?,
            Some(b'n') => self.word("null")?,
            _ => return self.fail("unexpected character"),
        }
        Ok(&self.text[start..self.at])
    }

    /// Passes an object; `visit` gets each key, as it is between the quotes, and passes the value.
    pub(super) fn members(
        &mut self,
        mut visit: impl FnMut(&mut Self, &'a str) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.enter(b'{', "expected an object")?;
        if !self.next_is(b'}') {
            loop {
                self.blanks();
                let key = self.string()?;
                self.expect(b':', "expected a colon")?;
                visit(self, key)?;
                if !self.next_is(b',') {
                    break;
                }
            }
            self.expect(b'}', "expected a comma or the end of the object")?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// Passes an array; `visit` passes each element.
    pub(super) fn elements(
        &mut self,
        mut visit: impl FnMut(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.enter(b'[', "expected an array")?;
        if !self.next_is(b']') {
            loop {
                visit(self)?;
                if !self.next_is(b',') {
                    break;
                }
            }
            self.expect(b']', "expected a comma or the end of the array")?;
        }
        self.depth -= 1;
        Ok(())
    }

    fn enter(&mut self, bracket: u8, what: &'static str) -> Result<(), Malformed> {
        if self.depth == MAX_DEPTH {
            return self.fail("too many levels");
        }
        self.depth += 1;
        self.expect(bracket, what)
    }

    fn word(&mut self, word: &str) -> Result<(), Malformed> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return self.fail("unexpected word");
        }
        self.at += word.len();
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        if !matches!(self.byte(), Some(b'0'..=b'9')) {
            return self.fail("expected a digit");
        }
        while matches!(self.byte(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Malformed> {
        self.at += usize::from(self.byte() == Some(b'-'));
        if self.byte() == Some(b'0') {
            self.at += 1;
            if matches!(self.byte(), Some(b'0'..=b'9')) {
                return self.fail("a number with a leading zero");
            }
        } else {
            self.digits()?;
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(())
    }

    /// Passes a string and gives what is between its quotes.
    fn string(&mut self) -> Result<&'a str, Malformed> {
        if self.byte() != Some(b'"') {
            return self.fail("expected a string");
        }
        self.at += 1;
        let start = self.at;
        loop {
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(&self.text[start..self.at - 1]);
                }
                Some(b'\\') => self.escape()?,
                None | Some(0..0x20) => return self.fail("a control character in a string"),
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<(), Malformed> {
        self.at += 1;
        match self.byte() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                let unit = self.unit()?;
                if (0xDC00..0xE000).contains(&unit) {
                    return self.fail("half of a surrogate pair");
                }
                if (0xD800..0xDC00).contains(&unit) {
                    if !self.text.as_bytes()[self.at..].starts_with(b"\\u") {
                        return self.fail("half of a surrogate pair");
                    }
                    self.at += 1;
                    if !(0xDC00..0xE000).contains(&self.unit()?) {
                        return self.fail("half of a surrogate pair");
                    }
                }
            }
            _ => return self.fail("an unknown escape"),
        }
        Ok(())
    }

    /// Passes `u` and four hexadecimal digits.
    fn unit(&mut self) -> Result<u32, Malformed> {
        let digits = self.text.as_bytes().get(self.at + 1..self.at + 5);
        let unit = digits
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let Some(unit) = unit else {
            return self.fail("expected four hexadecimal digits");
        };
        self.at += 5;
        Ok(unit)
    }
}

/// What a checked string means, from what is between its quotes.
pub(super) fn unescaped(raw: &str) -> Cow<'_, str> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    match serde_json::from_str::<String>(&format!("\"{raw}\"")) {
        Ok(text) => Cow::Owned(text),
        Err(_) => Cow::Borrowed(raw),
    }
}

/// The text of a checked value: what a string means, the JSON of anything else.
pub(super) fn text_of(value: &str) -> Cow<'_, str> {
    match kind(value) {
        Kind::Text => unescaped(&value[1..value.len() - 1]),
        _ => minified(value),
    }
}

/// A checked value without blanks between its parts and with the shortest escapes. Numbers keep
/// their digits.
pub(super) fn minified(value: &str) -> Cow<'_, str> {
    if !value.bytes().any(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\\')) {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find(['"', ' ', '\t', '\n', '\r']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with('"') {
            let mut reader = Reader::new(rest);
            let raw = reader.string().unwrap_or_default();
            push_string(&unescaped(raw), &mut out);
            rest = &rest[reader.at..];
        } else {
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Appends a JSON string.
pub(super) fn push_string(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_json_and_what_is_not() {
        for text in [
            "null",
            " true ",
            "-0",
            "0.5e-3",
            "1E9",
            r#""""#,
            r#""\ud83d\ude00\n""#,
            "[]",
            "{}",
            r#"[1, [2, {"a" : []}]]"#,
            r#"{"a":1,"a":2}"#,
        ] {
            assert!(document(text).is_ok(), "{text}");
        }
        for (text, at) in [
            ("", 0),
            ("{", 1),
            (r#"{"a":1"#, 6),
            ("[1,]", 3),
            ("01", 1),
            ("1.", 2),
            ("nul", 0),
            ("1 2", 2),
            (r#""\x""#, 2),
            ("\"\n\"", 1),
            (r#""\ud800""#, 7),
            (r#"{"a" 1}"#, 5),
            ("+1", 0),
            ("'a'", 0),
            ("NaN", 0),
        ] {
            assert_eq!(document(text).map_err(|err| err.at), Err(at), "{text}");
        }
    }

    #[test]
    fn depth_is_limited_not_the_stack() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(document(&nested(MAX_DEPTH)).is_ok());
        assert!(document(&nested(MAX_DEPTH + 1)).is_err());
        assert!(document(&"[".repeat(1 << 20)).is_err());
    }

    #[test]
    fn minified_keeps_digits_and_blanks_of_strings() {
        assert_eq!(minified("[ 1.10 , \"a b\" ]"), r#"[1.10,"a b"]"#);
        assert_eq!(minified(r#"{"\u0041" :"\/\""}"#), r#"{"A":"/\""}"#);
        assert_eq!(text_of(r#""é\t\u20ac""#), "é\t€");
    }
}
