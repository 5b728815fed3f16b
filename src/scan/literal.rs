//! SQL literals → values of options.

use datafusion::sql::sqlparser::ast::{Expr, UnaryOperator, Value};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::options::OptionValue;

/// The value that a text such as `['a', 'b']` or `{'id': 'BIGINT'}` writes; `None` if it is no
/// literal.
pub(crate) fn parse_value(text: &str) -> Option<OptionValue> {
    let mut parser = Parser::new(&GenericDialect {}).try_with_sql(text).ok()?;
    let expr = parser.parse_expr().ok()?;
    let whole = parser.peek_token_ref().token == datafusion::sql::sqlparser::tokenizer::Token::EOF;
    value_of(&expr).filter(|_| whole)
}

/// The value of an expression that is a literal, or made of literals.
pub(crate) fn value_of(expr: &Expr) -> Option<OptionValue> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Null => Some(OptionValue::Null),
            Value::Boolean(yes) => Some(OptionValue::Boolean(*yes)),
            Value::Number(number, _) => Some(OptionValue::Number(number.to_string())),
            Value::SingleQuotedString(text)
            | Value::EscapedStringLiteral(text)
            | Value::DoubleQuotedString(text) => Some(OptionValue::Text(text.clone())),
            Value::DollarQuotedString(text) => Some(OptionValue::Text(text.value.clone())),
            _ => None,
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match value_of(expr)? {
            OptionValue::Number(number) => Some(OptionValue::Number(format!("-{number}"))),
            _ => None,
        },
        Expr::Nested(expr) => value_of(expr),
        Expr::Array(array) => {
            let values: Option<Vec<OptionValue>> = array.elem.iter().map(value_of).collect();
            values.map(OptionValue::List)
        }
        Expr::Dictionary(fields) => {
            let entry = |name: String, value: &Expr| Some((name, value_of(value)?));
            let entries = fields.iter().map(|field| entry(field.key.value.clone(), &field.value));
            entries.collect::<Option<Vec<_>>>().map(OptionValue::Struct)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_of_every_kind() {
        for text in [
            "NULL",
            "true",
            "-1",
            "1.5",
            "'it''s'",
            "[]",
            "['a', 'b']",
            "{'a': 'DECIMAL(10, 2)', 'b c': ['x', 1]}",
        ] {
            assert_eq!(parse_value(text).expect(text).to_sql(), text);
        }
        let unquoted = parse_value("{a: 'INTEGER'}").expect("keys may be words");
        assert_eq!(unquoted.to_sql(), "{'a': 'INTEGER'}");
        for text in ["a", "[a]", "1 + 1", "{'a'}", "['a'", "'a' 'b'", ""] {
            assert_eq!(parse_value(text), None, "{text:?}");
        }
    }
}
