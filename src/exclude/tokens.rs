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

fn is_word(token: &TokenWithSpan, text: &str) -> bool {
    match &token.token {
        Token::Word(word) => word.quote_style.is_none() && word.value.eq_ignore_ascii_case(text),
        _ => false,
    }
}

fn is_space(token: &TokenWithSpan) -> bool {
    matches!(token.token, Token::Whitespace(_))
}
