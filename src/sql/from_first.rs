//! `FROM t SELECT a WHERE b` → `SELECT a FROM t WHERE b`, and `FROM t` → `SELECT * FROM t`, in
//! tokens.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::tokens::begins_clause;

/// Puts the SELECT of `FROM … SELECT …` first, and one before a FROM that has none.
pub(super) fn select_first(tokens: &mut Vec<TokenWithSpan>) {
    let mut without_select = Vec::new();
    for from in 0..tokens.len() {
        if keyword(tokens, from) != Keyword::FROM {
            continue;
        }
        if let Some(select) = at_same_depth(tokens, from + 1, |word| word == Keyword::SELECT) {
            let end = at_same_depth(tokens, select + 1, ends_select_list);
            let end = end.unwrap_or_else(|| end_of_query(tokens, select + 1));
            tokens[from..end].rotate_left(select - from);
        } else if begins_query(tokens, from) {
            without_select.push(from);
        }
    }
    if without_select.is_empty() {
        return;
    }
    let mut without_select = without_select.into_iter().peekable();
    let mut output = Vec::with_capacity(tokens.len() + 2 * without_select.len());
    for (at, token) in std::mem::take(tokens).into_iter().enumerate() {
        if without_select.next_if_eq(&at).is_some() {
            let all = [Token::make_keyword("SELECT"), Token::Mul];
            output.extend(all.map(|all| TokenWithSpan { token: all, span: token.span }));
        }
        output.push(token);
    }
    *tokens = output;
}

fn ends_select_list(word: Keyword) -> bool {
    matches!(
        word,
        Keyword::WHERE
            | Keyword::GROUP
            | Keyword::HAVING
            | Keyword::WINDOW
            | Keyword::QUALIFY
            | Keyword::ORDER
            | Keyword::LIMIT
            | Keyword::OFFSET
            | Keyword::FETCH
            | Keyword::USING
    )
}

/// Whether a FROM that no SELECT follows has none before it either, and belongs to no DELETE or
/// expression.
fn begins_query(tokens: &[TokenWithSpan], from: usize) -> bool {
    let Some(last) = from.checked_sub(1) else { return true };
    match &tokens[last].token {
        Token::LParen | Token::SemiColon => return true,
        Token::Word(word) => match word.keyword {
            Keyword::UNION | Keyword::INTERSECT | Keyword::EXCEPT => return true,
            Keyword::DELETE | Keyword::DISTINCT => return false,
            _ => {}
        },
        _ => {}
    }
    // The words before it at the same depth, back to where its query or statement begins.
    let mut depth = 0;
    let mut first = Keyword::NoKeyword;
    for at in (0..from).rev() {
        match &tokens[at].token {
            Token::RParen | Token::RBracket | Token::RBrace => depth += 1,
            Token::LParen | Token::LBracket | Token::LBrace if depth == 0 => break,
            Token::LParen | Token::LBracket | Token::LBrace => depth -= 1,
            Token::SemiColon => break,
            Token::Word(word) if depth == 0 => match word.keyword {
                Keyword::SELECT | Keyword::VALUES => return false,
                Keyword::UNION | Keyword::INTERSECT => return true,
                keyword => first = keyword,
            },
            _ => {}
        }
    }
    let is_summary = |token: &TokenWithSpan| matches!(&token.token, Token::Word(word) if word.value.eq_ignore_ascii_case("summarize"));
    is_summary(&tokens[last])
        || matches!(
            first,
            Keyword::WITH
                | Keyword::INSERT
                | Keyword::CREATE
                | Keyword::EXPLAIN
                | Keyword::DESCRIBE
                | Keyword::PREPARE
        )
}

fn keyword(tokens: &[TokenWithSpan], at: usize) -> Keyword {
    match &tokens[at].token {
        Token::Word(word) => word.keyword,
        _ => Keyword::NoKeyword,
    }
}

/// Where a keyword of this query is.
fn at_same_depth(
    tokens: &[TokenWithSpan],
    from: usize,
    wanted: impl Fn(Keyword) -> bool,
) -> Option<usize> {
    let end = end_of_query(tokens, from);
    let mut depth = 0;
    (from..end).find(|at| {
        match tokens[*at].token {
            Token::LParen | Token::LBracket | Token::LBrace => depth += 1,
            Token::RParen | Token::RBracket | Token::RBrace => depth -= 1,
            _ => {}
        }
        depth == 0 && wanted(keyword(tokens, *at)) && begins_clause(tokens, *at)
    })
}

/// Where the query that begins here ends: at a parenthesis, a semicolon or a set operation.
fn end_of_query(tokens: &[TokenWithSpan], from: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(from) {
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => depth += 1,
            Token::RParen | Token::RBracket | Token::RBrace if depth == 0 => return at,
            Token::RParen | Token::RBracket | Token::RBrace => depth -= 1,
            Token::SemiColon | Token::EOF => return at,
            Token::Word(word) if depth == 0 => {
                let star = at > from && tokens[at - 1].token == Token::Mul;
                match word.keyword {
                    Keyword::UNION | Keyword::INTERSECT => return at,
                    // `* EXCEPT (a)` leaves out a column.
                    Keyword::EXCEPT if !star => return at,
                    _ => {}
                }
            }
            _ => {}
        }
    }
    tokens.len()
}
