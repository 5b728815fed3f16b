//! `${name}` and `${name:-default}` in a script → the value given on the command line.
//!
//! This is how a query that runs on small test data as it stands is run on other files. A `$` that
//! is not followed by a name in braces stands for itself.

use std::collections::HashMap;

use crate::error::{Error, Position, Result};

/// Replaces the variables of a script.
///
/// # Errors
/// `Query` with its position for a variable that has neither a value nor a default; `Config` for a
/// value that the script does not use.
pub(crate) fn substitute(script: &str, values: &HashMap<String, String>) -> Result<String> {
    let mut output = String::with_capacity(script.len());
    let mut unused: Vec<&String> = values.keys().collect();
    let mut rest = script;
    while let Some(start) = rest.find("${") {
        let (before, from) = rest.split_at(start);
        output.push_str(before);
        let Some((name, default, length)) = variable(from) else {
            output.push_str("${");
            rest = &from[2..];
            continue;
        };
        unused.retain(|given| *given != name);
        match values.get(name).map(String::as_str).or(default) {
            Some(value) => output.push_str(value),
            None => {
                let offset = script.len() - from.len();
                return Err(Error::query(format!("the variable \"{name}\" has no value"))
                    .with_hint(format!("give it one: --define {name}=…"))
                    .with_position(position(script, offset)));
            }
        }
        rest = &from[length..];
    }
    output.push_str(rest);
    unused.sort();
    match unused.first() {
        None => Ok(output),
        Some(name) => {
            Err(Error::config(format!("the script has no variable \"{name}\" to define")))
        }
    }
}

/// Name, default and length of the variable at the beginning of a text.
fn variable(text: &str) -> Option<(&str, Option<&str>, usize)> {
    let end = text.find('}')?;
    let inside = &text[2..end];
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let mut chars = name.chars();
    let starts = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    let plain = chars.all(|c| c.is_ascii_alphanumeric() || c == '_');
    (starts && plain).then_some((name, default, end + 1))
}

fn position(text: &str, offset: usize) -> Position {
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Position {
        line: before.matches('\n').count() as u64 + 1,
        column: before[line_start..].chars().count() as u64 + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(script: &str, values: &[(&str, &str)]) -> Result<String> {
        let values = values.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        substitute(script, &values)
    }

    #[test]
    fn values_come_before_defaults() {
        let script = "select * from '${trips:-a.csv}', '${trips}x'";
        assert_eq!(with(script, &[("trips", "b.csv")]).unwrap(), "select * from 'b.csv', 'b.csvx'");
        assert_eq!(with("'${trips:-a.csv}'", &[]).unwrap(), "'a.csv'");
        assert_eq!(with("'^a${2}$'", &[]).unwrap(), "'^a${2}$'");
    }

    #[test]
    fn missing_and_useless_values_are_errors() {
        let err = with("select 1,\n  ${x}", &[]).unwrap_err();
        assert_eq!(err.position(), Some(Position { line: 2, column: 3 }));
        assert!(with("select 1", &[("x", "1")]).unwrap_err().to_string().contains("\"x\""));
    }
}
