//! `FROM t SELECT a WHERE b` → `SELECT a FROM t WHERE b`, and `FROM t` → `SELECT * FROM t`, in
//! tokens without blanks.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

/// Puts the SELECT of `FROM … SELECT …` first, and one of all columns where there is none.
pub(super) fn select_first(tokens: &mut Vec<TokenWithSpan>) {
    let mut from = 0;
    while from < tokens.len() {
        if keyword(tokens, from) == Keyword::FROM {
            from += select_before(tokens, from);
        }
        from += 1;
    }
}

/// Puts a SELECT before this FROM if it begins a query, and gives how many tokens were added.
fn select_before(tokens: &mut Vec<TokenWithSpan>, from: usize) -> usize {
    if let Some(select) = at_same_depth(tokens, from + 1, |word| word == Keyword::SELECT) {
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
        return 0;
    }
    if !begins_query(tokens, from) {
        return 0;
    }
    let span = tokens[from].span;
    let all = [Token::make_keyword("SELECT"), Token::Mul];
    tokens.splice(from..from, all.map(|token| TokenWithSpan::new(token, span)));
    2
}

/// Whether nothing is selected, or taken out of something, before this FROM.
fn begins_query(tokens: &[TokenWithSpan], from: usize) -> bool {
    let mut depth = 0;
    let mut start = from;
    // Back to where the query begins.
    while start > 0 {
        let before = &tokens[start - 1].token;
        match before {
            Token::RParen | Token::RBracket | Token::RBrace => depth += 1,
            Token::LParen | Token::LBracket | Token::LBrace if depth == 0 => break,
            Token::LParen | Token::LBracket | Token::LBrace => depth -= 1,
            Token::SemiColon => break,
            Token::Word(word) if depth == 0 => match word.keyword {
                Keyword::UNION | Keyword::INTERSECT | Keyword::EXCEPT => break,
                // That of a common table expression is followed by a parenthesis.
                Keyword::AS if start == from => break,
                _ => {}
            },
            _ => {}
        }
        start -= 1;
    }
    let mut words = (start..from).filter_map(|at| match keyword(tokens, at) {
        Keyword::ALL | Keyword::DISTINCT | Keyword::BY | Keyword::NAME => None,
        word => Some(word),
    });
    match words.next() {
        None => true,
        Some(Keyword::WITH | Keyword::EXPLAIN | Keyword::INSERT | Keyword::DESCRIBE) => {
            at_same_depth(tokens, start, |word| word == Keyword::FROM) == Some(from)
                && !words.any(|word| word == Keyword::SELECT)
        }
        Some(_) => false,
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
