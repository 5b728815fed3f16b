//! `FROM t SELECT a WHERE b` → `SELECT a FROM t WHERE b`, in tokens.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

/// Puts the SELECT of `FROM … SELECT …` first.
pub(super) fn select_first(tokens: &mut [TokenWithSpan]) {
    for from in 0..tokens.len() {
        if keyword(tokens, from) != Keyword::FROM {
            continue;
        }
        let Some(select) = at_same_depth(tokens, from + 1, |word| word == Keyword::SELECT) else {
            continue;
        };
        let end = at_same_depth(tokens, select + 1, |word| {
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
        });
        let end = end.unwrap_or_else(|| end_of_query(tokens, select + 1));
        tokens[from..end].rotate_left(select - from);
    }
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
        depth == 0 && wanted(keyword(tokens, *at))
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
