//! Errors for people: what, where, what to do.

use std::io::IsTerminal;

use crate::error::{Error, ErrorKind};

/// Where a piece of SQL comes from, to show the place of an error in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Script<'a> {
    /// Name of the file, or a word for standard input and `-c`.
    pub(super) name: &'a str,
    pub(super) text: &'a str,
}

impl Script<'_> {
    /// Moves the place of an error in `part`, a piece of the text, to where it is in the whole.
    pub(super) fn place(&self, part: &str, err: Error) -> Error {
        let offset = part.as_ptr() as usize - self.text.as_ptr() as usize;
        let before = &self.text[..offset];
        let Some(mut place) = err.position() else { return err };
        if place.line == 1 {
            let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
            place.column += before[line_start..].chars().count() as u64;
        }
        place.line += before.matches('\n').count() as u64;
        err.with_position(place)
    }
}

/// Prints an error on standard error and gives it back.
pub(super) fn reported(err: Error, script: Option<Script<'_>>) -> Error {
    if !err.is_broken_pipe() {
        eprint!("{}", message(&err, script, std::io::stderr().is_terminal()));
    }
    err
}

/// Says on standard error how many records were left out because they could not be read, if any.
pub(super) fn report_rejected(count: u64) {
    if count > 0 {
        let (records, they) =
            if count == 1 { ("record was", "it") } else { ("records were", "they") };
        eprintln!("{count} {records} left out because {they} could not be read (ignore_errors)");
    }
}

/// The message with its place and hint, one line each:
///
/// ```text
/// query error: no column "amount"
///   at trips.sql:3:12
///     | SELECT sum(amount)
///     |            ^
///   hint: did you mean "total_amount"?
/// ```
fn message(err: &Error, script: Option<Script<'_>>, colour: bool) -> String {
    let (red, dim, reset) =
        if colour { ("\x1b[1;31m", "\x1b[2m", "\x1b[0m") } else { ("", "", "") };
    let mut text = if err.kind() == ErrorKind::Cancelled {
        format!("{red}{err}{reset}\n")
    } else {
        format!("{red}{}{reset}: {err}\n", err.kind().label())
    };
    if let (Some(place), Some(script)) = (err.position(), script) {
        text.push_str(&format!(
            "  {dim}at{reset} {}:{}:{}\n",
            script.name, place.line, place.column
        ));
        let line = script.text.lines().nth((place.line as usize).saturating_sub(1));
        if let Some(line) = line {
            let before: String = line
                .chars()
                .take((place.column as usize).saturating_sub(1))
                .map(|c| if c == '\t' { '\t' } else { ' ' })
                .collect();
            text.push_str(&format!("    {dim}|{reset} {line}\n    {dim}|{reset} {before}^\n"));
        }
    }
    if let Some(hint) = err.hint() {
        text.push_str(&format!("  {dim}hint:{reset} {hint}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Position;

    #[test]
    fn the_place_is_shown_under_the_line() {
        let err = Error::query("no column \"amount\"")
            .with_position(Position { line: 2, column: 12 })
            .with_hint("did you mean \"total_amount\"?");
        let script = Script { name: "t.sql", text: "-- x\nSELECT sum(amount)\nFROM t" };
        assert_eq!(
            message(&err, Some(script), false),
            "query error: no column \"amount\"\n  at t.sql:2:12\n    | SELECT sum(amount)\n    \
             |            ^\n  hint: did you mean \"total_amount\"?\n"
        );
    }
}
