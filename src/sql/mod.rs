//! SQL text → statements with exact names, which DataFusion then plans.

mod catalog;
mod change;
mod copy;
mod dialect;
mod from_first;
mod macros;
pub(crate) mod names;
pub(crate) mod relations;
mod settings;
mod summarize;
mod tokens;
mod types;
mod variable;
mod variables;

use datafusion::error::DataFusionError;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use crate::error::Result;
use crate::exclude::with_exclusions;
use crate::explain::parse_explain;
use dialect::BrimfulDialect;

pub(crate) use catalog::{is_show_tables, list_of_tables, shown_table};
pub(crate) use change::ChangePlanner;
pub(crate) use macros::{Macros, macro_statement};
pub(crate) use settings::{SettingStatement, setting_statement};
pub(crate) use summarize::SummaryPlanner;
pub(crate) use types::DuckTypes;
pub(crate) use variable::{VariableStatement, Variables, variable_statement};
pub(crate) use variables::substitute;

/// Deepest nesting of expressions the parser follows; the default of 50 is met by generated SQL.
const RECURSION_LIMIT: usize = 200;

/// Splits a script into its statements.
///
/// # Errors
/// `Query` with the position of the first syntax error; then no statement is run.
pub(crate) fn parse(sql: &str) -> Result<Vec<Statement>> {
    let tokens = Tokenizer::new(&BrimfulDialect, sql)
        .tokenize_with_location()
        .map_err(|err| DataFusionError::SQL(Box::new(ParserError::from(err)), None))?;
    let mut parser =
        DFParserBuilder::new(tokens::rewritten(with_exclusions(relations::rewritten(tokens)?)))
            .with_dialect(&BrimfulDialect)
            .with_recursion_limit(RECURSION_LIMIT)
            .build()?;
    let mut statements = Vec::new();
    loop {
        while parser.parser.consume_token(&Token::SemiColon) {}
        if parser.parser.peek_token().token == Token::EOF {
            return Ok(statements);
        }
        let statement = match parse_explain(&mut parser)? {
            Some(explain) => explain,
            None => parser.parse_statement()?,
        };
        statements.push(statement);
        let next = parser.parser.peek_token();
        if !matches!(next.token, Token::SemiColon | Token::EOF) {
            parser.parser.expected("end of statement", next).map_err(DataFusionError::from)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    /// Looking ahead for what a bracket begins would take minutes for each of these.
    #[test]
    fn lists_are_read_once() {
        let numbers: Vec<String> = (0..60_000).map(|number| number.to_string()).collect();
        let list = numbers.join(", ");
        let start = Instant::now();
        parse(&format!("SELECT 7 IN [{list}]; SELECT [x FOR x IN [{list}]]")).unwrap();
        assert!(start.elapsed() < Duration::from_secs(30));
    }
}
