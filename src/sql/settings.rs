//! `SET` and `SHOW` of Brimful's own settings, by the names of the command-line flags.
//!
//! `SET memory_limit = '2GB'`, `SHOW threads`, `RESET threads`. Other names are DataFusion's and are
//! left to it, except those that would put another memory pool or other temporary files in the place
//! of ours.

use datafusion::sql::parser::{ResetStatement, Statement};
use datafusion::sql::sqlparser::ast::{Expr, Ident, ObjectName, Set, Statement as Sql, Value};

use crate::error::{Error, Result};

/// Names of the settings and what they mean.
pub(crate) const SETTINGS: [&str; 3] = ["memory_limit", "threads", "max_temp_size"];

/// A statement about one of our settings.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SettingStatement {
    /// `SET name = value`
    Set { name: &'static str, value: String },
    /// `SHOW name`
    Show { name: &'static str },
    /// `RESET name`
    Reset { name: &'static str },
}

/// What DataFusion builds new temporary files for.
const FIXED: [&str; 2] =
    ["datafusion.runtime.temp_directory", "datafusion.runtime.max_spill_merge_fan_in"];

/// The statement, if it is about one of our settings.
///
/// # Errors
/// `Config` if the value is not a literal, and for what cannot change in a session.
pub(crate) fn setting_statement(statement: &Statement) -> Result<Option<SettingStatement>> {
    let statement = match statement {
        Statement::Statement(statement) => statement,
        Statement::Reset(ResetStatement::Variable(variable)) => {
            let words = words(variable);
            check_not_fixed(&words)?;
            return Ok(own_name(&words).map(|name| SettingStatement::Reset { name }));
        }
        _ => return Ok(None),
    };
    match statement.as_ref() {
        Sql::Set(Set::SingleAssignment { variable, values, .. }) => {
            check_not_fixed(&words(variable))?;
            let Some(name) = own_name(&words(variable)) else { return Ok(None) };
            let [value] = values.as_slice() else {
                return Err(Error::config(format!("SET {name} takes one value")));
            };
            Ok(Some(SettingStatement::Set { name, value: literal(name, value)? }))
        }
        Sql::ShowVariable { variable } => {
            let words: Vec<String> = variable.iter().map(|ident| ident.value.clone()).collect();
            Ok(own_name(&words).map(|name| SettingStatement::Show { name }))
        }
        _ => Ok(None),
    }
}

fn words(name: &ObjectName) -> Vec<String> {
    name.0.iter().filter_map(|part| part.as_ident()).map(|ident| ident.value.clone()).collect()
}

fn own_name(words: &[String]) -> Option<&'static str> {
    let name = words.join(".").to_lowercase();
    match name.as_str() {
        "datafusion.runtime.memory_limit" => Some("memory_limit"),
        "datafusion.runtime.max_temp_directory_size" => Some("max_temp_size"),
        "datafusion.execution.target_partitions" => Some("threads"),
        _ => SETTINGS.into_iter().find(|setting| *setting == name),
    }
}

fn check_not_fixed(words: &[String]) -> Result<()> {
    let name = words.join(".").to_lowercase();
    if !FIXED.contains(&name.as_str()) {
        return Ok(());
    }
    Err(Error::config(format!("{name} cannot be changed inside a session"))
        .with_hint("where temporary files are is said when Brimful is started: --temp-dir"))
}

fn literal(name: &str, value: &Expr) -> Result<String> {
    match value {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => Ok(text.clone()),
            other => Ok(other.to_string()),
        },
        Expr::Identifier(Ident { value, .. }) => Ok(value.clone()),
        other => Err(Error::config(format!("SET {name} takes a value, not {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(sql: &str) -> Option<SettingStatement> {
        setting_statement(&crate::sql::parse(sql).unwrap()[0]).unwrap()
    }

    #[test]
    fn own_settings_are_found() {
        let set = |name, value: &str| Some(SettingStatement::Set { name, value: value.into() });
        assert_eq!(parsed("SET memory_limit = '2GB'"), set("memory_limit", "2GB"));
        assert_eq!(parsed("set THREADS = 4"), set("threads", "4"));
        assert_eq!(parsed("SET datafusion.runtime.memory_limit = '1G'"), set("memory_limit", "1G"));
        assert_eq!(parsed("SHOW threads"), Some(SettingStatement::Show { name: "threads" }));
        let reset = |name| Some(SettingStatement::Reset { name });
        assert_eq!(parsed("RESET threads"), reset("threads"));
        assert_eq!(parsed("RESET datafusion.runtime.memory_limit"), reset("memory_limit"));
        assert_eq!(parsed("RESET datafusion.execution.batch_size"), None);
        assert_eq!(parsed("SET datafusion.execution.batch_size = 100"), None);
        assert_eq!(parsed("SHOW TABLES"), None);
    }
}
