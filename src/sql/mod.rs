//! SQL text → statements with exact names, which DataFusion then plans.

mod catalog;
mod copy;
pub(crate) mod names;
mod settings;
mod variables;

use datafusion::error::DataFusionError;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::Tokenizer;

use crate::error::Result;
use crate::exclude::with_exclusions;

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
    let tokens = Tokenizer::new(&GenericDialect {}, sql)
        .tokenize_with_location()
        .map_err(|err| DataFusionError::SQL(Box::new(ParserError::from(err)), None))?;
    let statements = DFParserBuilder::new(with_exclusions(tokens))
        .with_dialect(&GenericDialect {})
        .with_recursion_limit(RECURSION_LIMIT)
        .build()?
        .parse_statements()?;
    Ok(statements.into())
}
