//! `EXCLUDE` at the end of a window frame, which sqlparser does not know.
//!
//! It is taken out, and becomes a constant to partition by. That changes no partition, gets through
//! all of the planning, and the rule finds it there.

use datafusion::sql::sqlparser::ast::{Expr, Value};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::Exclusion;

/// The tokens of a script without `EXCLUDE`.
pub(crate) fn with_exclusions(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    // From the end, so that places before stay as they are.
    for place in (0..tokens.len()).rev() {
        if let Some((exclusion, end)) = exclusion_at(&tokens, place)
            && let Some(open) = open_before(&tokens, place)
        {
            tokens.drain(place..end);
            insert(&mut tokens, open, exclusion);
        }
    }
    tokens
}

/// What is excluded at a place, and where that ends: after a frame and before `)`.
fn exclusion_at(tokens: &[TokenWithSpan], place: usize) -> Option<(Exclusion, usize)> {
    if !is_word(&tokens[place], "EXCLUDE") {
        return None;
    }
    let before = tokens[..place].iter().rev().find(|token| !is_space(token))?;
    if !["ROW", "PRECEDING", "FOLLOWING"].iter().any(|word| is_word(before, word)) {
        return None;
    }
    let mut words = Vec::new();
    for (end, token) in tokens.iter().enumerate().skip(place + 1) {
        match &token.token {
            Token::Whitespace(_) => {}
            Token::Word(word) => words.push(word.value.to_uppercase()),
            Token::RParen => {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                return Exclusion::of(&words).map(|exclusion| (exclusion, end));
            }
            _ => return None,
        }
    }
    None
}

/// The parenthesis around a place.
fn open_before(tokens: &[TokenWithSpan], place: usize) -> Option<usize> {
    let mut depth = 0;
    for (at, token) in tokens[..place].iter().enumerate().rev() {
        match token.token {
            Token::RParen => depth += 1,
            Token::LParen if depth == 0 => return Some(at),
            Token::LParen => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Puts the constant into the window that begins at a parenthesis.
fn insert(tokens: &mut Vec<TokenWithSpan>, open: usize, exclusion: Exclusion) {
    let next = |from: usize| (from..tokens.len()).find(|at| !is_space(&tokens[*at]));
    let Some(mut first) = next(open + 1) else { return };
    let words = ["PARTITION", "ORDER", "ROWS", "RANGE", "GROUPS"];
    let begins = |at: usize| words.iter().any(|word| is_word(&tokens[at], word));
    if !begins(first) {
        // The name of the window that this one goes on from.
        first = next(first + 1).unwrap_or(first);
    }
    let span = tokens[first].span;
    let with_span = |token| TokenWithSpan { token, span };
    let word = |text: &str, keyword| {
        Token::Word(Word { value: text.to_string(), quote_style: None, keyword })
    };
    // A plain constant would be left out by the planner.
    let constant = [
        word("CAST", Keyword::CAST),
        Token::LParen,
        Token::SingleQuotedString(exclusion.mark().to_string()),
        word("AS", Keyword::AS),
        word("VARCHAR", Keyword::VARCHAR),
        Token::RParen,
    ];
    if is_word(&tokens[first], "PARTITION")
        && let Some(by) = next(first + 1)
    {
        let more = constant.into_iter().chain([Token::Comma]);
        tokens.splice(by + 1..by + 1, more.map(with_span));
        return;
    }
    let by = [word("PARTITION", Keyword::PARTITION), word("BY", Keyword::BY)];
    tokens.splice(first..first, by.into_iter().chain(constant).map(with_span));
}

/// Whether a parsed expression to partition by is such a constant.
pub(crate) fn is_mark(expr: &Expr) -> bool {
    let Expr::Cast { expr, .. } = expr else { return false };
    let Expr::Value(value) = expr.as_ref() else { return false };
    let Value::SingleQuotedString(text) = &value.value else { return false };
    Exclusion::ALL.iter().any(|exclusion| exclusion.mark() == text)
}

/// The text of an expression with the words in the place of the constants.
pub(crate) fn as_written(text: &str) -> String {
    let mut text = text.to_string();
    for exclusion in Exclusion::ALL {
        let constant = format!("CAST('{}' AS VARCHAR)", exclusion.mark());
        while let Some(place) = text.find(&constant) {
            let mut start = place;
            let mut end = place + constant.len();
            if text[end..].starts_with(", ") {
                end += 2;
            } else {
                start -= if text[..start].ends_with(PARTITION_BY) { PARTITION_BY.len() } else { 0 };
                end += usize::from(text[end..].starts_with(' '));
            }
            text.replace_range(start..end, "");
            let close = start + close_after(&text[start..]);
            text.insert_str(close, &format!(" {}", exclusion.mark()));
        }
    }
    text
}

/// What comes before the constant, if there is no other expression to partition by.
const PARTITION_BY: &str = "PARTITION BY ";

/// Where the parenthesis around a text is closed.
fn close_after(text: &str) -> usize {
    let (mut depth, mut quote) = (0, None);
    for (place, char) in text.char_indices() {
        match (char, quote) {
            (char, Some(open)) if char == open => quote = None,
            (_, Some(_)) => {}
            ('\'' | '"', None) => quote = Some(char),
            ('(', None) => depth += 1,
            (')', None) if depth == 0 => return place,
            (')', None) => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

fn is_word(token: &TokenWithSpan, text: &str) -> bool {
    match &token.token {
        Token::Word(word) => word.quote_style.is_none() && word.value.eq_ignore_ascii_case(text),
        _ => false,
    }
}

fn is_space(token: &TokenWithSpan) -> bool {
    matches!(token.token, Token::Whitespace(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_an_expression_is_what_was_written() {
        for (text, written) in [
            ("a + 1", "a + 1"),
            (
                "sum(a) OVER (PARTITION BY CAST('EXCLUDE TIES' AS VARCHAR) ORDER BY b ROWS CURRENT ROW)",
                "sum(a) OVER (ORDER BY b ROWS CURRENT ROW EXCLUDE TIES)",
            ),
            (
                "sum(a) OVER (PARTITION BY CAST('EXCLUDE GROUP' AS VARCHAR), k ORDER BY f(b, ')') ROWS CURRENT ROW) + 1",
                "sum(a) OVER (PARTITION BY k ORDER BY f(b, ')') ROWS CURRENT ROW EXCLUDE GROUP) + 1",
            ),
            (
                "f(sum(a) OVER (w PARTITION BY CAST('EXCLUDE CURRENT ROW' AS VARCHAR) ROWS CURRENT ROW), \
                 sum(b) OVER (PARTITION BY CAST('EXCLUDE CURRENT ROW' AS VARCHAR) ROWS CURRENT ROW))",
                "f(sum(a) OVER (w ROWS CURRENT ROW EXCLUDE CURRENT ROW), \
                 sum(b) OVER (ROWS CURRENT ROW EXCLUDE CURRENT ROW))",
            ),
        ] {
            assert_eq!(as_written(text), written, "{text}");
        }
    }
}
