//! Clauses that the parser does not know, rewritten token by token into ones that it knows. The
//! tokens keep their places in the text, so errors point at what was written.
//!
//! | written | parsed |
//! |---|---|
//! | `a ASOF LEFT JOIN b ON …` | `a GLOBAL LEFT JOIN b ON …` |
//! | `t TABLESAMPLE reservoir(5 ROWS)` | `t TABLESAMPLE ROW (5 ROWS)` |
//! | `SELECT … FROM a, b WHERE … USING SAMPLE 5%` | `… FROM a, b GLOBAL CROSS JOIN x TABLESAMPLE SYSTEM (5 PERCENT) WHERE …` |
//! | `PIVOT t ON a IN (1), b USING sum(x) GROUP BY g` | `SELECT * FROM t PIVOT (sum(x) FOR ((a IN (1)), (b)) IN (ANY) DEFAULT ON NULL (g))` |
//! | `t PIVOT (sum(x) FOR a IN (1) b IN (2) GROUP BY g)` | the same |
//! | `UNPIVOT t ON a, b INTO NAME n VALUE v` | `SELECT * FROM t UNPIVOT (v FOR n IN (a, b))` |

use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use super::sample::{self, SAMPLED};
use crate::error::{Error, Position, Result};
use crate::sql::tokens::begins_clause;

/// Rewrites all clauses of ours in a script.
///
/// # Errors
/// `Query` with a position for clauses that are not complete.
pub(crate) fn rewritten(tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>> {
    const OURS: [&str; 9] = [
        "ASOF",
        "GLOBAL",
        "POSITIONAL",
        "TABLESAMPLE",
        "SAMPLE",
        "PIVOT",
        "PIVOT_WIDER",
        "UNPIVOT",
        "PIVOT_LONGER",
    ];
    if !tokens.iter().any(|token| word_of(token).is_some_and(|word| is_one(word, &OURS))) {
        return Ok(tokens);
    }
    let is_blank = |token: &TokenWithSpan| matches!(token.token, Token::Whitespace(_));
    let tokens = tokens.into_iter().filter(|token| !is_blank(token)).collect();
    let mut script = Script { tokens };
    // From the end, so that what is inside of a clause is rewritten before it.
    for index in (0..script.tokens.len()).rev() {
        if script.is(index, &["ASOF", "GLOBAL"]) {
            script.asof(index)?;
        } else if script.is(index, &["POSITIONAL"]) && script.is(index + 1, &["JOIN"]) {
            // Else it would be the name of a table that is joined with every row.
            return Err(script.error(index, "POSITIONAL joins are not supported"));
        } else if script.is(index, &["TABLESAMPLE"]) {
            script.table_sample(index)?;
        } else if script.is(index, &["USING"]) && script.is(index + 1, &["SAMPLE"]) {
            script.using_sample(index)?;
        } else if script.is(index, &["PIVOT", "PIVOT_WIDER"]) {
            script.pivot(index)?;
        } else if script.is(index, &["UNPIVOT", "PIVOT_LONGER"]) {
            script.unpivot(index)?;
        }
    }
    Ok(script.tokens)
}

fn word_of(token: &TokenWithSpan) -> Option<&str> {
    match &token.token {
        Token::Word(word) if word.quote_style.is_none() => Some(&word.value),
        _ => None,
    }
}

fn is_one(word: &str, words: &[&str]) -> bool {
    words.iter().any(|one| word.eq_ignore_ascii_case(one))
}

/// Words that end a list in a query.
const CLAUSES: [&str; 11] = [
    "USING",
    "GROUP",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "INTO",
    "WHERE",
    "FETCH",
];

/// The tokens of a script without blanks, which are changed in place.
pub(super) struct Script {
    tokens: Vec<TokenWithSpan>,
}

impl Script {
    fn is(&self, index: usize, words: &[&str]) -> bool {
        self.tokens.get(index).and_then(word_of).is_some_and(|word| is_one(word, words))
    }

    pub(super) fn word(&self, index: usize) -> Option<&str> {
        self.tokens.get(index).and_then(word_of)
    }

    pub(super) fn token(&self, index: usize) -> &Token {
        self.tokens.get(index).map_or(&Token::EOF, |token| &token.token)
    }

    fn span(&self, index: usize) -> Span {
        self.tokens.get(index).map_or(Span::empty(), |token| token.span)
    }

    pub(super) fn error(&self, index: usize, message: &str) -> Error {
        let start = self.span(index).start;
        let error = Error::query(message);
        match start.line {
            0 => error,
            line => error.with_position(Position { line, column: start.column }),
        }
    }

    /// The index after the bracket that closes the one at `open`.
    fn after_bracket(&self, open: usize) -> usize {
        let mut depth = 0_usize;
        for index in open..self.tokens.len() {
            match self.token(index) {
                Token::LParen => depth += 1,
                Token::RParen if depth <= 1 => return index + 1,
                Token::RParen => depth -= 1,
                _ => {}
            }
        }
        self.tokens.len()
    }

    /// The first of these words that is outside of brackets which open after `from`; else where the
    /// bracket around it or the statement ends.
    fn next(&self, from: usize, words: &[&str]) -> usize {
        let mut index = from.min(self.tokens.len());
        while index < self.tokens.len() {
            match self.token(index) {
                Token::LParen => {
                    index = self.after_bracket(index);
                    continue;
                }
                Token::RParen | Token::SemiColon | Token::EOF => return index,
                _ if self.is(index, words) && begins_clause(&self.tokens, index) => return index,
                _ => index += 1,
            }
        }
        index
    }

    /// The ranges between the commas outside of brackets.
    fn items(&self, from: usize, to: usize) -> Vec<std::ops::Range<usize>> {
        let mut items = Vec::new();
        let (mut start, mut index) = (from, from);
        while index < to {
            match self.token(index) {
                Token::LParen => {
                    index = self.after_bracket(index);
                    continue;
                }
                Token::Comma => {
                    items.push(start..index);
                    start = index + 1;
                }
                _ => {}
            }
            index += 1;
        }
        items.push(start..to);
        items.retain(|item| !item.is_empty());
        items
    }

    fn copy(&self, range: std::ops::Range<usize>) -> Vec<TokenWithSpan> {
        // A clause that is cut off is left to the parser.
        self.tokens.get(range).map_or_else(Vec::new, <[TokenWithSpan]>::to_vec)
    }

    /// Tokens of a text, all at the place of another one.
    fn words(&self, at: usize, text: &str) -> Vec<TokenWithSpan> {
        let span = self.span(at);
        let token = |word: &str| match word {
            "(" => Token::LParen,
            ")" => Token::RParen,
            "," => Token::Comma,
            "*" => Token::Mul,
            word => Token::make_keyword(word),
        };
        text.split(' ').map(|word| TokenWithSpan::new(token(word), span)).collect()
    }

    /// Makes an ASOF join a GLOBAL one, which this engine has no other use for. That of MATCH_CONDITION
    /// is known to the parser.
    fn asof(&mut self, index: usize) -> Result<()> {
        const SIDES: [&str; 7] = ["INNER", "LEFT", "RIGHT", "FULL", "SEMI", "ANTI", "OUTER"];
        let mut join = index + 1;
        while self.is(join, &SIDES) {
            join += 1;
        }
        if !self.is(join, &["JOIN"]) {
            return Ok(());
        }
        if self.is(index, &["GLOBAL"]) {
            return Err(self.error(index, "GLOBAL joins are not supported"));
        }
        let condition = self.next(join + 1, &["ON", "USING", "MATCH_CONDITION"]);
        if !self.is(condition, &["MATCH_CONDITION"]) {
            self.tokens[index].token = Token::make_keyword("GLOBAL");
        }
        Ok(())
    }

    fn table_sample(&mut self, index: usize) -> Result<()> {
        if let Some((sample, after)) = sample::Written::parse(self, index + 1)? {
            let tokens = sample.tokens(self.span(index));
            self.tokens.splice(index..after, tokens);
        }
        Ok(())
    }

    /// Puts a sample of a query behind its tables.
    fn using_sample(&mut self, index: usize) -> Result<()> {
        let Some((sample, after)) = sample::Written::parse(self, index + 2)? else {
            return Ok(());
        };
        let Some(from) = self.place_of_from(index) else {
            return Err(self.error(index, "a sample of a query without FROM"));
        };
        const AFTER_TABLES: [&str; 7] =
            ["WHERE", "GROUP", "HAVING", "WINDOW", "QUALIFY", "SELECT", "USING"];
        let mut end = self.next(from + 1, &AFTER_TABLES);
        // USING of a join is followed by its columns.
        while end < index && self.is(end, &["USING"]) {
            end = self.next(end + 1, &AFTER_TABLES);
        }
        let mut tokens = self.words(index, &format!("GLOBAL CROSS JOIN {SAMPLED}"));
        tokens.extend(sample.tokens(self.span(index)));
        self.tokens.drain(index..after);
        self.tokens.splice(end..end, tokens);
        Ok(())
    }

    /// The FROM of the query that a place is in.
    fn place_of_from(&self, index: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for before in (0..index).rev() {
            match self.token(before) {
                Token::RParen => depth += 1,
                Token::LParen if depth == 0 => return None,
                Token::LParen => depth -= 1,
                Token::SemiColon => return None,
                _ if depth == 0
                    && self.is(before, &["FROM"])
                    && begins_clause(&self.tokens, before) =>
                {
                    return Some(before);
                }
                _ => {}
            }
        }
        None
    }

    /// Whether a query may begin here.
    fn begins_query(&self, index: usize) -> bool {
        const BEFORE: [&str; 10] = [
            "AS",
            "EXPLAIN",
            "ANALYZE",
            "VERBOSE",
            "UNION",
            "ALL",
            "EXCEPT",
            "INTERSECT",
            "SUMMARIZE",
            "DESCRIBE",
        ];
        let is_after = |words: [&str; 2]| {
            index >= 2 && self.is(index - 2, &words[..1]) && self.is(index - 1, &words[1..])
        };
        index == 0
            || matches!(self.token(index - 1), Token::SemiColon | Token::LParen | Token::RParen)
            || self.is(index - 1, &BEFORE)
            || is_after(["AS", "TABLE"])
            || is_after(["BY", "NAME"])
            || is_after(["BY", "POSITION"])
            || self.is_after_insert(index)
    }

    /// Whether `INSERT INTO name` is before a place.
    fn is_after_insert(&self, index: usize) -> bool {
        let mut start = index;
        while start >= 2
            && matches!(self.token(start - 1), Token::Word(_))
            && *self.token(start - 2) == Token::Period
        {
            start -= 2;
        }
        start >= 3
            && matches!(self.token(start - 1), Token::Word(_))
            && self.is(start - 2, &["INTO"])
            && self.is(start - 3, &["INSERT"])
    }

    /// Where ON is, if a clause is of the form `PIVOT t ON …`.
    fn on_of_statement(&self, index: usize) -> Option<usize> {
        if !self.begins_query(index) {
            return None;
        }
        if *self.token(index + 1) == Token::LParen {
            let for_ = self.next(index + 2, &["FOR"]);
            if self.is(for_, &["FOR"]) {
                return None;
            }
        }
        // A join has another ON: the word is the name of a table there.
        let on = self.next(index + 1, &["ON", "JOIN"]);
        self.is(on, &["ON"]).then_some(on)
    }

    fn pivot(&mut self, index: usize) -> Result<()> {
        let Some(on) = self.on_of_statement(index) else {
            self.standard_pivot(index);
            return Ok(());
        };
        let items_end = self.next(on + 1, &CLAUSES);
        let items = self.items(on + 1, items_end);
        if items.is_empty() {
            return Err(self.error(on, "PIVOT … ON without columns"));
        }
        let mut end = items_end;
        let mut aggregates = self.words(on, "count ( * )");
        if self.is(end, &["USING"]) {
            let aggregates_end = self.next(end + 1, &CLAUSES);
            aggregates = self.copy(end + 1..aggregates_end);
            end = aggregates_end;
        }
        let mut groups = None;
        if self.is(end, &["GROUP"]) {
            let groups_end = self.next(end + 2, &CLAUSES);
            groups = Some(self.copy(end + 2..groups_end));
            end = groups_end;
        }
        let mut tokens = self.words(index, "SELECT * FROM");
        tokens.extend(self.copy(index + 1..on));
        tokens.extend(self.words(index, "PIVOT ("));
        tokens.extend(aggregates);
        tokens.extend(self.values(on, &items));
        tokens.extend(self.groups(on, groups));
        tokens.extend(self.words(on, ")"));
        self.tokens.splice(index..end, tokens);
        Ok(())
    }

    /// `FOR ((a IN (1)), (b)) IN (ANY)`
    fn values(&self, at: usize, items: &[std::ops::Range<usize>]) -> Vec<TokenWithSpan> {
        let mut tokens = self.words(at, "FOR (");
        for (number, item) in items.iter().enumerate() {
            tokens.extend(self.words(at, if number == 0 { "(" } else { ", (" }));
            tokens.extend(self.copy(item.clone()));
            tokens.extend(self.words(at, ")"));
        }
        tokens.extend(self.words(at, ") IN ( ANY )"));
        tokens
    }

    /// `DEFAULT ON NULL (g)`: the columns to group by, in a clause that stands where they can be read.
    fn groups(&self, at: usize, groups: Option<Vec<TokenWithSpan>>) -> Vec<TokenWithSpan> {
        let Some(groups) = groups else { return Vec::new() };
        let mut tokens = self.words(at, "DEFAULT ON NULL ( (");
        tokens.extend(groups);
        tokens.extend(self.words(at, ") )"));
        tokens
    }

    /// `t PIVOT (… FOR a IN (…) b IN (…) GROUP BY g)`, if it has several columns or groups.
    fn standard_pivot(&mut self, index: usize) {
        let open = index + 1;
        if *self.token(open) != Token::LParen {
            return;
        }
        let close = self.after_bracket(open) - 1;
        let for_ = self.next(open + 1, &["FOR"]);
        if !self.is(for_, &["FOR"]) {
            return;
        }
        let mut columns = Vec::new();
        let mut start = for_ + 1;
        while start < close && !self.is(start, &["GROUP", "DEFAULT"]) {
            let in_ = self.next(start, &["IN"]);
            if !self.is(in_, &["IN"]) || *self.token(in_ + 1) != Token::LParen {
                return;
            }
            let end = self.after_bracket(in_ + 1);
            columns.push(start..end);
            start = end;
        }
        let groups = self.is(start, &["GROUP"]).then(|| self.copy(start + 2..close));
        let is_parsed = columns.len() == 1 && groups.is_none();
        if is_parsed || self.is(start, &["DEFAULT"]) {
            return;
        }
        let mut tokens = match columns.as_slice() {
            [one] => self.copy(for_..one.end),
            several => self.values(for_, several),
        };
        tokens.extend(self.groups(for_, groups));
        self.tokens.splice(for_..close, tokens);
    }

    fn unpivot(&mut self, index: usize) -> Result<()> {
        let Some(on) = self.on_of_statement(index) else { return Ok(()) };
        let items_end = self.next(on + 1, &CLAUSES);
        let items = self.items(on + 1, items_end);
        let mut end = items_end;
        let mut name = self.words(on, "name");
        let mut values = vec![self.words(on, "value")];
        if self.is(end, &["INTO"]) {
            if !self.is(end + 1, &["NAME"]) {
                return Err(self.error(end, "INTO is followed by NAME and the name of a column"));
            }
            name = self.copy(end + 2..(end + 3).min(self.tokens.len()));
            end = (end + 3).min(self.tokens.len());
            if self.is(end, &["VALUE", "VALUES"]) {
                let values_end = self.next(end + 1, &CLAUSES);
                let items = self.items(end + 1, values_end);
                values = items.into_iter().map(|item| self.copy(item)).collect();
                end = values_end;
            }
        }
        let includes_nulls =
            on > index + 3 && self.is(on - 2, &["INCLUDE"]) && self.is(on - 1, &["NULLS"]);
        let source_end = if includes_nulls { on - 2 } else { on };
        let mut tokens = self.words(index, "SELECT * FROM");
        tokens.extend(self.copy(index + 1..source_end));
        tokens.extend(self.words(index, "UNPIVOT"));
        if includes_nulls {
            tokens.extend(self.copy(on - 2..on));
        }
        tokens.extend(self.words(on, "("));
        if let [value] = values.as_slice() {
            tokens.extend(value.clone());
        } else {
            tokens.extend(self.words(on, "("));
            for (number, value) in values.into_iter().enumerate() {
                if number > 0 {
                    tokens.extend(self.words(on, ","));
                }
                tokens.extend(value);
            }
            tokens.extend(self.words(on, ")"));
        }
        tokens.extend(self.words(on, "FOR"));
        tokens.extend(name);
        tokens.extend(self.words(on, "IN ("));
        for (number, item) in items.into_iter().enumerate() {
            if number > 0 {
                tokens.extend(self.words(on, ","));
            }
            // All columns are an argument, which may have options.
            let is_all = *self.token(item.start) == Token::Mul;
            if is_all {
                tokens.extend(self.words(on, "COLUMNS ("));
            }
            tokens.extend(self.copy(item));
            if is_all {
                tokens.extend(self.words(on, ")"));
            }
        }
        tokens.extend(self.words(on, ") )"));
        self.tokens.splice(index..end, tokens);
        Ok(())
    }
}
