//! The SQL that is accepted: sqlparser's generic dialect, with operators and literals of DuckDB.
//!
//! To the parser this is the generic dialect, which much of its code asks for by type; only the
//! flags have to be repeated. What a hook needs to know of its surroundings, `tokens` has marked.

use std::any::TypeId;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, LambdaFunction, LambdaFunctionParameter, LambdaSyntax, ObjectName,
    OneOrManyWithParens, OrderByExpr, Query, SelectItem, SetExpr, Statement, TableAlias,
    TableFactor, TableWithJoins, UnaryOperator, Value, WindowSpec, WindowType,
};
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::change::parse_merge;
use super::tokens::COMPREHENSION;
use crate::error::{Error, Result};

/// Power binds closer than multiplication and AT TIME ZONE, and a minus sign closer still:
/// `-2 ^ 2` is 4.
const POWER: u8 = 42;
const MINUS_SIGN: u8 = 43;

type Parsed<T> = Result<T, ParserError>;

/// See the module.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BrimfulDialect;

/// Methods that say yes.
macro_rules! supported {
    ($($name:ident)*) => {
        $(fn $name(&self) -> bool {
            true
        })*
    };
}

impl Dialect for BrimfulDialect {
    fn dialect(&self) -> TypeId {
        TypeId::of::<GenericDialect>()
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        GenericDialect.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        GenericDialect.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        GenericDialect.is_identifier_part(ch)
    }

    // Those of the generic dialect, but for `/*! … */` as anything else than a comment.
    supported! {
        supports_unicode_string_literal
        supports_partition_by_after_order_by
        supports_array_join_syntax
        supports_group_by_expr
        supports_group_by_with_modifier
        supports_left_associative_joins_without_parens
        supports_connect_by
        supports_match_recognize
        supports_pipe_operator
        supports_start_transaction_modifier
        supports_window_function_null_treatment_arg
        supports_dictionary_syntax
        supports_window_clause_named_window_reference
        supports_parenthesized_set_variables
        supports_select_wildcard_except
        support_map_literal_syntax
        allow_extract_custom
        allow_extract_single_quotes
        supports_extract_comma_syntax
        supports_create_view_comment_syntax
        supports_parens_around_table_factor
        supports_values_as_table_factor
        supports_create_index_with_clause
        supports_explain_with_utility_options
        supports_limit_comma
        supports_update_order_by
        supports_from_first_select
        supports_projection_trailing_commas
        supports_asc_desc_in_column_definition
        supports_try_convert
        supports_bitwise_shift_operators
        supports_comment_on
        supports_load_extension
        supports_named_fn_args_with_assignment_operator
        supports_struct_literal
        supports_empty_projections
        supports_nested_comments
        supports_user_host_grantee
        supports_string_escape_constant
        supports_array_typedef_with_brackets
        supports_match_against
        supports_set_names
        supports_comma_separated_set_assignments
        supports_filter_during_aggregation
        supports_select_wildcard_exclude
        supports_data_type_signed_suffix
        supports_interval_options
        supports_quote_delimited_string
        supports_select_wildcard_replace
        supports_select_wildcard_ilike
        supports_select_wildcard_rename
        supports_optimize_table
        supports_install
        supports_detach
        supports_prewhere
        supports_with_fill
        supports_limit_by
        supports_interpolate
        supports_settings
        supports_select_format
        supports_comment_optimizer_hint
        supports_constraint_keyword_without_name
        supports_key_column_option
        supports_comma_separated_trim
        supports_cte_without_as
        supports_select_item_multi_column_alias
        supports_xml_expressions
    }

    // Those of DuckDB beyond it.
    supported! {
        supports_numeric_literal_underscores
        supports_notnull_operator
        supports_order_by_all
        supports_trailing_commas
        supports_factorial_operator
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Parsed<u8>> {
        let token = parser.peek_token_ref();
        match &token.token {
            Token::Caret => Some(Ok(POWER)),
            Token::Word(_) if is_glob(parser, 0) => Some(Ok(self.prec_value(Precedence::Like))),
            Token::Word(word) if word.keyword == Keyword::NOT && is_glob(parser, 1) => {
                Some(Ok(self.prec_value(Precedence::Like)))
            }
            Token::Word(word)
                if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("isnull") =>
            {
                Some(Ok(self.prec_value(Precedence::Is)))
            }
            _ => None,
        }
    }

    fn parse_statement(&self, parser: &mut Parser) -> Option<Parsed<Statement>> {
        parse_merge(parser)
    }

    fn parse_prefix(&self, parser: &mut Parser) -> Option<Parsed<Expr>> {
        match &parser.peek_token_ref().token {
            Token::Minus => {
                parser.next_token();
                let expr = parser.parse_subexpr(MINUS_SIGN);
                let minus = |expr| Expr::UnaryOp { op: UnaryOperator::Minus, expr: Box::new(expr) };
                Some(expr.map(minus))
            }
            Token::Word(word) if word.value == COMPREHENSION => Some(comprehension(parser)),
            Token::Word(word) if word.keyword == Keyword::LAMBDA && is_lambda(parser) => {
                Some(lambda(parser))
            }
            _ => None,
        }
    }

    fn parse_infix(
        &self,
        parser: &mut Parser,
        expr: &Expr,
        _precedence: u8,
    ) -> Option<Parsed<Expr>> {
        let negated = matches!(&parser.peek_token_ref().token,
            Token::Word(word) if word.keyword == Keyword::NOT);
        let at = usize::from(negated);
        match &parser.peek_nth_token_ref(at).token {
            Token::Caret => {
                parser.next_token();
                let right = parser.parse_subexpr(POWER);
                Some(right.map(|right| binary(expr.clone(), BinaryOperator::BitwiseXor, right)))
            }
            // `name: value` of a select list, which `tokens` has marked.
            Token::Assignment if !negated => {
                let Expr::Identifier(name) = expr else { return None };
                parser.next_token();
                let name = name.clone();
                Some(parser.parse_expr().map(|expr| Expr::Named { expr: Box::new(expr), name }))
            }
            Token::Word(word) if word.keyword == Keyword::IN => {
                let list = match &parser.peek_nth_token_ref(at + 1).token {
                    Token::LParen => false,
                    Token::Word(next) => next.keyword != Keyword::UNNEST,
                    _ => true,
                };
                if !list {
                    return None;
                }
                (0..=at).for_each(|_| drop(parser.next_token()));
                let list = parser.parse_subexpr(self.prec_value(Precedence::Between));
                Some(list.map(|list| Expr::InUnnest {
                    expr: Box::new(expr.clone()),
                    array_expr: Box::new(list),
                    negated,
                }))
            }
            Token::Word(_) if is_glob(parser, at) => {
                (0..=at).for_each(|_| drop(parser.next_token()));
                Some(parser.parse_literal_string().map(|pattern| Expr::RLike {
                    negated,
                    expr: Box::new(expr.clone()),
                    pattern: Box::new(text(glob_as_regex(&pattern))),
                    regexp: true,
                }))
            }
            Token::Word(word)
                if !negated
                    && word.quote_style.is_none()
                    && word.value.eq_ignore_ascii_case("isnull") =>
            {
                parser.next_token();
                Some(Ok(Expr::IsNull(Box::new(expr.clone()))))
            }
            _ => None,
        }
    }
}

/// Whether `GLOB 'pattern'` follows.
fn is_glob(parser: &Parser, at: usize) -> bool {
    let Token::Word(word) = &parser.peek_nth_token_ref(at).token else { return false };
    word.quote_style.is_none()
        && word.value.eq_ignore_ascii_case("glob")
        && matches!(parser.peek_nth_token_ref(at + 1).token, Token::SingleQuotedString(_))
}

/// A pattern of `*`, `?` and `[…]` as a regular expression for whole texts.
fn glob_as_regex(pattern: &str) -> String {
    let mut regex = String::from("(?s)^");
    let mut chars = pattern.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            '[' => {
                regex.push('[');
                if chars.next_if(|next| matches!(next, '!' | '^')).is_some() {
                    regex.push('^');
                }
                for inside in chars.by_ref() {
                    if matches!(inside, '[' | '\\' | '&' | '~') {
                        regex.push('\\');
                    }
                    regex.push(inside);
                    if inside == ']' {
                        break;
                    }
                }
            }
            '\\' => escape(&mut regex, chars.next().unwrap_or('\\')),
            other => escape(&mut regex, other),
        }
    }
    regex.push('$');
    regex
}

fn escape(regex: &mut String, char: char) {
    // `\<` and `\>` are the ends of words.
    if char.is_ascii_punctuation() && !matches!(char, '<' | '>') {
        regex.push('\\');
    }
    regex.push(char);
}

/// `[result FOR x IN list IF condition]`
fn comprehension(parser: &mut Parser) -> Parsed<Expr> {
    parser.next_token();
    let result = parser.parse_expr()?;
    parser.expect_keyword_is(Keyword::FOR)?;
    let param = parser.parse_identifier()?;
    parser.expect_keyword_is(Keyword::IN)?;
    let mut list = parser.parse_expr()?;
    if parser.parse_keyword(Keyword::IF) {
        let condition = parser.parse_expr()?;
        list = call("array_filter", vec![list, lambda_of(vec![param.clone()], condition)]);
    }
    parser.expect_token(&Token::RBracket)?;
    Ok(call("array_transform", vec![list, lambda_of(vec![param], result)]))
}

/// Whether `LAMBDA x, y :` follows.
fn is_lambda(parser: &Parser) -> bool {
    for at in (1..).step_by(2) {
        if !matches!(parser.peek_nth_token_ref(at).token, Token::Word(_)) {
            return false;
        }
        match parser.peek_nth_token_ref(at + 1).token {
            Token::Colon => return true,
            Token::Comma => {}
            _ => return false,
        }
    }
    false
}

fn lambda(parser: &mut Parser) -> Parsed<Expr> {
    parser.next_token();
    let params = parser.parse_comma_separated(Parser::parse_identifier)?;
    parser.expect_token(&Token::Colon)?;
    Ok(lambda_of(params, parser.parse_expr()?))
}

/// A lambda with these parameters.
pub(super) fn lambda_of(params: Vec<Ident>, body: Expr) -> Expr {
    let params = params.into_iter().map(|name| LambdaFunctionParameter { name, data_type: None });
    Expr::Lambda(LambdaFunction {
        params: OneOrManyWithParens::Many(params.collect()),
        body: Box::new(body),
        syntax: LambdaSyntax::LambdaKeyword,
    })
}

/// A call of a function.
pub(super) fn call(name: &str, args: Vec<Expr>) -> Expr {
    let args = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)));
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: args.collect(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// An operator between two expressions.
pub(super) fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

/// A condition that holds beside those before it.
pub(super) fn and(before: Option<Expr>, condition: Expr) -> Expr {
    match before {
        None => condition,
        Some(before) => binary(before, BinaryOperator::And, condition),
    }
}

/// A text.
pub(super) fn text(value: impl Into<String>) -> Expr {
    Expr::Value(Value::SingleQuotedString(value.into()).into())
}

/// A number.
pub(super) fn number(value: impl ToString) -> Expr {
    Expr::Value(Value::Number(value.to_string(), false).into())
}

/// `SELECT items FROM table`
pub(super) fn select(items: Vec<SelectItem>, from: Option<TableFactor>) -> Result<Query> {
    let parsed = Parser::new(&BrimfulDialect).try_with_sql("SELECT 1");
    let mut query = *parsed
        .and_then(|mut parser| parser.parse_query())
        .map_err(|err| Error::internal(format!("a query was not understood: {err}")))?;
    let SetExpr::Select(select) = query.body.as_mut() else {
        return Err(Error::internal("a SELECT became another query"));
    };
    select.projection = items;
    select.from.extend(from.map(|relation| TableWithJoins { relation, joins: Vec::new() }));
    Ok(query)
}

/// A query of no more than this body, which is taken out of its place.
pub(super) fn taken(body: &mut SetExpr) -> Result<Query> {
    let mut query = select(Vec::new(), None)?;
    std::mem::swap(query.body.as_mut(), body);
    Ok(query)
}

/// `function OVER (PARTITION BY … ORDER BY …)`
pub(super) fn over(function: Expr, partition_by: Vec<Expr>, order_by: Vec<OrderByExpr>) -> Expr {
    match function {
        Expr::Function(mut function) => {
            let window_name = None;
            let window_frame = None;
            let window = WindowSpec { window_name, partition_by, order_by, window_frame };
            function.over = Some(WindowType::WindowSpec(window));
            Expr::Function(function)
        }
        other => other,
    }
}

/// `(query) AS name`
pub(super) fn derived(query: Query, name: &str) -> TableFactor {
    let name = Ident::with_quote('"', name);
    let alias = TableAlias { explicit: true, name, columns: Vec::new(), at: None };
    let subquery = Box::new(query);
    TableFactor::Derived { lateral: false, subquery, alias: Some(alias), sample: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_become_regular_expressions() {
        assert_eq!(glob_as_regex("a*b?.csv"), "(?s)^a.*b.\\.csv$");
        assert_eq!(glob_as_regex("[!a-c]x"), "(?s)^[^a-c]x$");
        assert_eq!(glob_as_regex(r"\*"), r"(?s)^\*$");
        assert_eq!(glob_as_regex("<a>.b"), r"(?s)^<a>\.b$");
    }

    #[test]
    fn power_binds_closer_than_times_and_less_than_minus() {
        let text = |sql: &str| {
            let mut parser = Parser::new(&BrimfulDialect).try_with_sql(sql).unwrap();
            let expr = parser.parse_expr().unwrap();
            fn shape(expr: &Expr) -> String {
                match expr {
                    Expr::BinaryOp { left, op, right } => {
                        format!("({} {op} {})", shape(left), shape(right))
                    }
                    Expr::UnaryOp { op, expr } => format!("({op}{})", shape(expr)),
                    other => other.to_string(),
                }
            }
            shape(&expr)
        };
        assert_eq!(text("2 * 3 ^ 2"), "(2 * (3 ^ 2))");
        assert_eq!(text("2 ^ 3 ^ 2"), "((2 ^ 3) ^ 2)");
        assert_eq!(text("-2 ^ 2"), "((-2) ^ 2)");
        assert_eq!(text("-a * b"), "((-a) * b)");
    }
}
