//! `EXPLAIN` with a format of ours. The others are DataFusion's.

use datafusion::common::format::{ExplainFormat, ExplainStatementOptions};
use datafusion::error::Result as ParseResult;
use datafusion::sql::parser::{DFParser, ExplainStatement, Statement};
use datafusion::sql::sqlparser::ast::{
    DescribeAlias, Expr, Ident, Statement as Sql, UtilityOption, Value,
};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::PlanFormat;
use crate::error::{Error, Result};

/// A query to explain in a format of ours.
pub(crate) struct Explained {
    pub(crate) query: Statement,
    pub(crate) format: PlanFormat,
    /// Whether it is run first.
    pub(crate) analyze: bool,
}

/// Reads a statement that begins with `EXPLAIN`, with its options in parentheses or as words;
/// `None` if it begins with another word.
///
/// # Errors
/// Those of parsing the options or what follows them.
pub(crate) fn parse_explain(parser: &mut DFParser) -> ParseResult<Option<Statement>> {
    if !parser.parser.parse_keyword(Keyword::EXPLAIN) {
        return Ok(None);
    }
    let in_parentheses = parser.parser.peek_token().token == Token::LParen
        && !begins_query(&parser.parser.peek_nth_token(1).token);
    let mut options = match in_parentheses {
        true => options_in_parentheses(parser)?,
        false => options_as_words(parser)?,
    };
    let is = |option: &UtilityOption, name: &str| option.name.value.eq_ignore_ascii_case(name);
    // DataFusion calls it so.
    for format in options.iter_mut().filter(|option| is(option, "format")) {
        if word(format).is_some_and(|word| word.eq_ignore_ascii_case("text")) {
            format.arg = Some(Expr::Identifier(Ident::new("indent")));
        }
    }
    let is_theirs = |format: &str| {
        format.parse::<PlanFormat>().is_err() && format.parse::<ExplainFormat>().is_ok()
    };
    let format = options.iter().find(|option| is(option, "format")).and_then(word);
    if format.as_deref().is_none_or(is_theirs) {
        let options = ExplainStatementOptions::from_utility_options(&options)?;
        let statement = Box::new(parser.parse_statement()?);
        return Ok(Some(Statement::Explain(ExplainStatement { options, statement })));
    }
    let others: Vec<_> = options.iter().filter(|option| !is(option, "format")).cloned().collect();
    let analyze = ExplainStatementOptions::from_utility_options(&others)?.analyze;
    let statement = Box::new(parser.parser.parse_statement()?);
    Ok(Some(Statement::Statement(Box::new(Sql::Explain {
        describe_alias: DescribeAlias::Explain,
        analyze,
        verbose: false,
        query_plan: false,
        estimate: false,
        statement,
        format: None,
        options: Some(options),
    }))))
}

/// `(ANALYZE, FORMAT x)`, in any order.
fn options_in_parentheses(parser: &mut DFParser) -> ParseResult<Vec<UtilityOption>> {
    let parser = &mut parser.parser;
    let mut options = Vec::new();
    parser.expect_token(&Token::LParen)?;
    loop {
        let name = parser.parse_identifier()?;
        let has_value = !matches!(parser.peek_token().token, Token::Comma | Token::RParen);
        let arg = has_value.then(|| parser.parse_expr()).transpose()?;
        options.push(UtilityOption { name, arg });
        if !parser.consume_token(&Token::Comma) {
            parser.expect_token(&Token::RParen)?;
            return Ok(options);
        }
    }
}

/// `ANALYZE`, `VERBOSE` and `FORMAT x` before the statement.
fn options_as_words(parser: &mut DFParser) -> ParseResult<Vec<UtilityOption>> {
    let mut options = Vec::new();
    for keyword in [Keyword::ANALYZE, Keyword::VERBOSE] {
        if parser.parser.parse_keyword(keyword) {
            options.push(UtilityOption { name: Ident::new(format!("{keyword:?}")), arg: None });
        }
    }
    if let Some(format) = parser.parse_explain_format()? {
        let arg = Some(Expr::Identifier(Ident::new(format)));
        options.push(UtilityOption { name: Ident::new("FORMAT"), arg });
    }
    Ok(options)
}

fn begins_query(token: &Token) -> bool {
    let Token::Word(word) = token else { return *token == Token::LParen };
    matches!(
        word.keyword,
        Keyword::SELECT | Keyword::WITH | Keyword::FROM | Keyword::VALUES | Keyword::TABLE
    )
}

/// The word or text that an option is set to.
fn word(option: &UtilityOption) -> Option<String> {
    match option.arg.as_ref()? {
        Expr::Identifier(ident) => Some(ident.value.clone()),
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// What is to be explained, if a statement is an `EXPLAIN` with a format of ours.
///
/// # Errors
/// `Query` if the format is unknown, or what is to be explained is no query.
pub(crate) fn explained(statement: &Statement) -> Result<Option<Explained>> {
    let Statement::Statement(statement) = statement else { return Ok(None) };
    let Sql::Explain { analyze, statement, options: Some(options), .. } = statement.as_ref() else {
        return Ok(None);
    };
    let format = options.iter().find_map(|option| {
        option.name.value.eq_ignore_ascii_case("format").then(|| word(option).unwrap_or_default())
    });
    let format = format.unwrap_or_default().parse()?;
    if !matches!(statement.as_ref(), Sql::Query(_)) {
        return Err(Error::query("only queries can be explained in this format")
            .with_hint("leave FORMAT out, or explain the query that the statement holds"));
    }
    let query = Statement::Statement(statement.clone());
    Ok(Some(Explained { query, format, analyze: *analyze }))
}
