//! When a statement is complete, and how a text is cut into statements and dot commands.

use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Completer, Helper, Highlighter, Hinter};

/// What the line editor asks while a line is typed.
#[derive(Debug, Default, Completer, Helper, Highlighter, Hinter)]
pub(super) struct ShellHelper {}

impl Validator for ShellHelper {
    fn validate(&self, context: &mut ValidationContext) -> rustyline::Result<ValidationResult> {
        Ok(if is_complete(context.input()) {
            ValidationResult::Valid(None)
        } else {
            ValidationResult::Incomplete
        })
    }
}

/// Whether the text can be run: empty, a dot command, or ending with `;`.
fn is_complete(text: &str) -> bool {
    let text = text.trim();
    let is_comment = |line: &str| line.trim().is_empty() || line.trim().starts_with("--");
    text.starts_with('.') || split(text).1.lines().all(is_comment)
}

/// The statements and dot commands of a text, the last of which may lack its `;`.
pub(super) fn parts(text: &str) -> Vec<&str> {
    let (mut parts, rest) = split(text);
    parts.extend((!rest.is_empty()).then_some(rest));
    parts
}

/// Cuts a text after each `;` that ends a statement and after each line with a dot command, and
/// gives these parts and what follows them. Semicolons in strings, quoted names and comments end
/// nothing.
fn split(text: &str) -> (Vec<&str>, &str) {
    let bytes = text.as_bytes();
    let mut parts = Vec::new();
    let mut start = 0;
    let mut index = 0;
    while index < bytes.len() {
        let rest = &bytes[index..];
        let at_start = text[start..index].trim().is_empty();
        index += match bytes[index] {
            b'.' if at_start => {
                let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                parts.push(&text[start..index + end]);
                start = index + end;
                end
            }
            quote @ (b'\'' | b'"') => {
                // A doubled quote closes and opens again at once.
                memchr::memchr(quote, &rest[1..]).map_or(rest.len(), |end| end + 2)
            }
            b'-' if rest.starts_with(b"--") => memchr::memchr(b'\n', rest).unwrap_or(rest.len()),
            b'/' if rest.starts_with(b"/*") => {
                memchr::memmem::find(rest, b"*/").map_or(rest.len(), |end| end + 2)
            }
            b';' => {
                parts.push(&text[start..=index]);
                start = index + 1;
                1
            }
            _ => 1,
        };
    }
    (parts, text[start..].trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trimmed(text: &str) -> Vec<&str> {
        parts(text).into_iter().map(str::trim).collect()
    }

    #[test]
    fn statements_end_at_semicolons_outside_quotes() {
        assert_eq!(trimmed("select ';'; select 2;"), ["select ';';", "select 2;"]);
        assert_eq!(trimmed("select 1 -- ; no\n;"), ["select 1 -- ; no\n;"]);
        assert_eq!(trimmed("select /* ; */ 'it''s;' ;"), ["select /* ; */ 'it''s;' ;"]);
    }

    #[test]
    fn dot_commands_are_lines() {
        assert_eq!(trimmed(".timer on\nselect 1.5;\n.quit"), [".timer on", "select 1.5;", ".quit"]);
    }

    #[test]
    fn a_statement_is_complete_at_its_semicolon() {
        for text in ["", "  ", ".help", "select 1;", "select 1; ", "select 1; -- one"] {
            assert!(is_complete(text), "{text:?}");
        }
        for text in ["select 1", "select ';", "select 1 -- ;", "select 1; select 2"] {
            assert!(!is_complete(text), "{text:?}");
        }
    }
}
