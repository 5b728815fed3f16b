//! SQL text → statements with exact names, which DataFusion then plans.

mod catalog;
mod copy;
pub(crate) mod names;
mod settings;
mod variables;

use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::dialect::GenericDialect;

use crate::error::Result;

pub(crate) use catalog::{is_show_tables, list_of_tables};
pub(crate) use settings::{SettingStatement, setting_statement};
pub(crate) use variables::substitute;

/// Deepest nesting of expressions the parser follows; the default of 50 is met by generated SQL.
const RECURSION_LIMIT: usize = 200;

/// Splits a script into its statements.
///
/// # Errors
/// `Query` with the position of the first syntax error; then no statement is run.
pub(crate) fn parse(sql: &str) -> Result<Vec<Statement>> {
    let statements = DFParserBuilder::new(sql)
        .with_dialect(&GenericDialect {})
        .with_recursion_limit(RECURSION_LIMIT)
        .build()?
        .parse_statements()?;
    Ok(statements.into())
}
