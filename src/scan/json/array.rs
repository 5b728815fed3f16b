//! An array of objects as objects that follow one another.

use std::io::{BufRead, Error, ErrorKind, Read, Result};

/// How much is looked at at once.
const BLOCK_BYTES: usize = 64 << 10;

/// Reads the elements of an array: its brackets, and the commas between elements, are blanks.
pub(super) struct Elements<R> {
    reader: R,
    block: Vec<u8>,
    /// Bytes of the block that have been taken.
    taken: usize,
    place: Place,
}

/// Where the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Before,
    /// In the array, inside of so many brackets more.
    Inside(usize),
    /// In a text inside of so many brackets.
    Text(usize),
    /// After a backslash in such a text.
    Escape(usize),
    After,
}

impl<R: BufRead> Elements<R> {
    pub(super) fn new(reader: R) -> Self {
        Elements { reader, block: Vec::with_capacity(BLOCK_BYTES), taken: 0, place: Place::Before }
    }

    /// Blanks out what is not of an element.
    fn blank(&mut self) -> Result<()> {
        for byte in &mut self.block {
            let next = match (self.place, *byte) {
                (Place::Before, b'[') => Place::Inside(0),
                (place @ (Place::Before | Place::After), blank) if blank.is_ascii_whitespace() => {
                    place
                }
                (Place::Before, _) => return Err(invalid("it does not begin with [")),
                (Place::After, _) => return Err(invalid("something follows the array")),
                (Place::Inside(0), b']') => Place::After,
                (Place::Inside(0), b',') => Place::Inside(0),
                (Place::Inside(depth), byte) => {
                    self.place = match byte {
                        b'"' => Place::Text(depth),
                        b'{' | b'[' => Place::Inside(depth + 1),
                        b'}' | b']' => Place::Inside(depth.saturating_sub(1)),
                        _ => Place::Inside(depth),
                    };
                    continue;
                }
                (Place::Text(depth), byte) => {
                    self.place = match byte {
                        b'"' => Place::Inside(depth),
                        b'\\' => Place::Escape(depth),
                        _ => Place::Text(depth),
                    };
                    continue;
                }
                (Place::Escape(depth), _) => {
                    self.place = Place::Text(depth);
                    continue;
                }
            };
            self.place = next;
            *byte = b' ';
        }
        Ok(())
    }
}

fn invalid(why: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("not a JSON array: {why}"))
}

impl<R: BufRead> Read for Elements<R> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let count = self.fill_buf()?.read(into)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Elements<R> {
    fn fill_buf(&mut self) -> Result<&[u8]> {
        if self.taken == self.block.len() {
            self.block.clear();
            self.taken = 0;
            (&mut self.reader).take(BLOCK_BYTES as u64).read_to_end(&mut self.block)?;
            if self.block.is_empty() && !matches!(self.place, Place::Before | Place::After) {
                return Err(invalid("its ] is missing"));
            }
            self.blank()?;
        }
        Ok(&self.block[self.taken..])
    }

    fn consume(&mut self, count: usize) {
        self.taken = (self.taken + count).min(self.block.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(text: &str) -> std::result::Result<String, String> {
        let mut read = String::new();
        let result = Elements::new(text.as_bytes()).read_to_string(&mut read);
        result.map(|_| read).map_err(|err| err.to_string())
    }

    #[test]
    fn brackets_and_commas_of_the_array_are_blanks() {
        for (text, expected) in [
            ("", ""),
            (" [ ] ", "     "),
            ("[{\"a\":[1,2]},\n{}]\n", " {\"a\":[1,2]} \n{} \n"),
            (r#"[{"a":"],[\""},{}]"#, r#" {"a":"],[\""} {} "#),
            (r#"[{"\\":1},{}]"#, r#" {"\\":1} {} "#),
        ] {
            let expected = expected.replace('\n', " ");
            assert_eq!(elements(text).unwrap().replace('\n', " "), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_array() {
        for (text, why) in [
            ("{}", "does not begin with ["),
            ("[{}", "] is missing"),
            ("[{\"a\": \"]", "] is missing"),
            ("[{}] {}", "something follows"),
            ("[{}] []", "something follows"),
        ] {
            let error = elements(text).unwrap_err();
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }

    #[test]
    fn arrays_longer_than_a_block() {
        let objects = vec![format!("{{\"a\": \"{}\"}}", "],".repeat(5_000)); 50];
        let read = elements(&format!("[{}]", objects.join(","))).unwrap();
        assert_eq!(read.trim_ascii(), objects.join(" "));
    }
}
