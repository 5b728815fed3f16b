//! What the parser has no place for, said in words it has: a pass over the tokens of a script.
//!
//! | written | parsed |
//! |---|---|
//! | `1_000` | `1000` |
//! | `LIMIT 10%`, `LIMIT 10 PERCENT` | `LIMIT limit_percent(10)` |
//! | `a ** b` | `a ^ b` |
//! | `* LIKE 'x%'` | `COLUMNS(lambda name: name LIKE 'x%')` |
//! | `f(*COLUMNS(…))` | `f(unpack_columns(…))` |
//! | `list_filter(l, x -> …)` | `list_filter(l, lambda x: …)` |
//! | `SELECT name: value` | `SELECT name := value` |
//! | `SET VARIABLE x = 1` | `SET variable.x = 1` |
//! | `DROP MACRO f` | `DROP FUNCTION f` |
//! | `CREATE FUNCTION f(a) AS a + 1` | `CREATE MACRO f(a) AS a + 1` |
//! | `INSERT INTO t BY NAME …` | `INSERT INTO t ("by name") …` |
//! | `SUMMARIZE t`, `(DESCRIBE t)` | `SELECT * FROM summarize((SELECT * FROM t))` |
//! | `FROM t SELECT a WHERE b` | `SELECT a FROM t WHERE b` |
//! | `FROM t WHERE b` | `SELECT * FROM t WHERE b` |
//! | `count(*) FILTER (a > 1)` | `count(*) FILTER (WHERE a > 1)` |
//! | `WITH t AS MATERIALIZED (…)` | `WITH t AS (…)` |
//! | `[x FOR x IN l]` | the bracket is a word of its own |
//! | `a.trim()` | `trim` is a name like others |
//!
//! A token that is put in has the place of the one it stands for, so errors point there.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use super::from_first;

/// What `LIMIT 10%` calls.
pub(super) const LIMIT_PERCENT: &str = "limit_percent";

/// What the column of `INSERT … BY NAME` is called.
pub(super) const BY_NAME: &str = "by name";

/// The bracket of `[x FOR x IN list]`, as a word that nobody can write.
pub(super) const COMPREHENSION: &str = "[";

/// What `*COLUMNS(…)` calls.
pub(super) const UNPACK_COLUMNS: &str = "unpack_columns";

/// Functions whose `x -> …` is a function; elsewhere the arrow is that of JSON.
const LAMBDA_FUNCTIONS: [&str; 35] = [
    "aggregate",
    "all_match",
    "any_match",
    "apply",
    "array_all_match",
    "array_any_match",
    "array_apply",
    "array_filter",
    "array_first",
    "array_none_match",
    "array_reduce",
    "array_sort_by",
    "array_transform",
    "columns",
    "filter",
    "forall",
    "list_all_match",
    "list_any_match",
    "list_apply",
    "list_filter",
    "list_fold",
    "list_none_match",
    "list_reduce",
    "list_sort_by",
    "list_transform",
    "map_filter",
    "map_transform",
    "map_transform_keys",
    "map_transform_values",
    "none_match",
    "reduce",
    "transform",
    "transform_keys",
    "transform_values",
    "unpack_columns",
];

/// The tokens without spaces and comments, rewritten.
pub(super) fn rewritten(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut tokens: Vec<TokenWithSpan> =
        tokens.into_iter().filter(|t| !matches!(t.token, Token::Whitespace(_))).collect();
    for token in &mut tokens {
        if let Token::Number(digits, _) = &mut token.token {
            digits.retain(|char| char != '_');
        }
    }
    plain_names(&mut tokens);
    from_first::select_first(&mut tokens);
    let mut pass = Pass { tokens: &tokens, output: Vec::new(), frames: vec![Frame::default()] };
    let mut at = 0;
    while at < tokens.len() {
        at += pass.step(at);
    }
    pass.output
}

/// What is called after a period is a function, whatever else the word may mean: `name.trim()`.
fn plain_names(tokens: &mut [TokenWithSpan]) {
    for at in 2..tokens.len() {
        let [before, name, after] = &mut tokens[at - 2..=at] else { continue };
        if let (Token::Period, Token::Word(word), Token::LParen) =
            (&before.token, &mut name.token, &after.token)
        {
            word.keyword = Keyword::NoKeyword;
        }
    }
}

/// Whether a word that is the name of a clause is one here, and not a name after AS or a period or
/// part of `WITHIN GROUP` or `IS DISTINCT FROM`. The tokens are without blanks.
pub(super) fn begins_clause(tokens: &[TokenWithSpan], at: usize) -> bool {
    let Some(before) = at.checked_sub(1) else { return true };
    match (&tokens[before].token, &tokens[at].token) {
        (Token::Period, _) => false,
        (Token::Word(before), Token::Word(word)) if before.quote_style.is_none() => {
            match before.keyword {
                Keyword::AS => false,
                Keyword::WITHIN => word.keyword != Keyword::GROUP,
                Keyword::DISTINCT => word.keyword != Keyword::FROM,
                _ => true,
            }
        }
        _ => true,
    }
}

/// What a pair of parentheses, or a statement, is.
#[derive(Debug, Default)]
struct Frame {
    /// The name before the parenthesis.
    function: Option<String>,
    /// Whether we are between SELECT and FROM.
    select_list: bool,
    /// Whether it is a bracket or a brace.
    literal: bool,
    /// Where the bracket is, if it is one.
    bracket: Option<usize>,
    /// The first words of a statement, in capitals.
    head: Vec<String>,
}

struct Pass<'a> {
    tokens: &'a [TokenWithSpan],
    output: Vec<TokenWithSpan>,
    frames: Vec<Frame>,
}

impl Pass<'_> {
    /// Handles the tokens at a place and says how many they were.
    fn step(&mut self, at: usize) -> usize {
        if let Some(taken) = self.statement(at).or_else(|| self.expression(at)) {
            return taken;
        }
        self.follow(at);
        self.output.push(self.tokens[at].clone());
        1
    }

    /// Keeps the frames.
    fn follow(&mut self, at: usize) {
        match &self.tokens[at].token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                let literal = self.tokens[at].token != Token::LParen;
                let function = match self.output.last().map(|last| &last.token) {
                    Some(Token::Word(word)) if !literal => Some(word.value.to_lowercase()),
                    _ => None,
                };
                let is_bracket = self.tokens[at].token == Token::LBracket;
                let bracket = is_bracket.then_some(self.output.len());
                self.frames.push(Frame { function, literal, bracket, ..Frame::default() });
            }
            Token::RParen | Token::RBracket | Token::RBrace if self.frames.len() > 1 => {
                self.frames.pop();
            }
            Token::SemiColon => self.frames = vec![Frame::default()],
            Token::Word(word) => {
                let keyword = word.keyword;
                let depth = self.frames.len();
                let frame = self.frames.last_mut().expect("one is always left");
                match keyword {
                    Keyword::SELECT => frame.select_list = true,
                    Keyword::FROM | Keyword::WHERE | Keyword::GROUP | Keyword::ORDER
                        if begins_clause(self.tokens, at) =>
                    {
                        frame.select_list = false;
                    }
                    Keyword::FOR => {
                        if let Some(bracket) = frame.bracket {
                            self.output[bracket].token = Token::make_word(COMPREHENSION, None);
                        }
                    }
                    _ => {}
                }
                if depth == 1 && frame.head.len() < 4 {
                    frame.head.push(word.value.to_uppercase());
                }
            }
            _ => {}
        }
    }

    /// Rewrites of statements.
    fn statement(&mut self, at: usize) -> Option<usize> {
        let word = self.word(at)?;
        let first = self.at_start();
        match word.as_str() {
            "VARIABLE" if self.head() == ["SET"] || self.head() == ["RESET"] => {
                let span = self.tokens[at].span;
                self.push_word("variable", span);
                self.push(Token::Period, span);
                Some(1)
            }
            "MACRO" if self.head() == ["DROP"] => {
                let span = self.tokens[at].span;
                self.push_word("FUNCTION", span);
                self.frames[0].head.push("FUNCTION".to_string());
                Some(if self.word(at + 1).as_deref() == Some("TABLE") { 2 } else { 1 })
            }
            "FUNCTION" if self.head_starts("CREATE") && self.is_macro(at) => {
                let span = self.tokens[at].span;
                self.push_word("MACRO", span);
                Some(1)
            }
            "BY" if self.head_starts("INSERT") && self.frames.len() == 1 => {
                let named = match self.word(at + 1)?.as_str() {
                    "NAME" => true,
                    "POSITION" => false,
                    _ => return None,
                };
                let before = self.previous_word();
                let clauses = ["UNION", "ALL", "DISTINCT", "ORDER", "GROUP", "PARTITION"];
                if before.is_some_and(|before| clauses.contains(&before.as_str())) {
                    return None;
                }
                if named {
                    let span = self.tokens[at].span;
                    self.push(Token::LParen, span);
                    self.push(Token::make_word(BY_NAME, Some('"')), span);
                    self.push(Token::RParen, span);
                }
                Some(2)
            }
            "SUMMARIZE" if first || self.opens_query() => self.relation(at, "summarize"),
            "DESCRIBE" if !first && self.opens_query() => self.relation(at, "describe"),
            _ => None,
        }
    }

    /// `SUMMARIZE` of a table or query, as a query.
    fn relation(&mut self, at: usize, function: &str) -> Option<usize> {
        let follows = self.tokens.get(at + 1)?;
        let query = match &follows.token {
            Token::LParen => true,
            Token::SingleQuotedString(_) => false,
            Token::Word(word) => matches!(
                word.keyword,
                Keyword::SELECT | Keyword::WITH | Keyword::FROM | Keyword::VALUES | Keyword::TABLE
            ),
            _ => return None,
        };
        let end = self.end(at + 1);
        let inner = rewritten(self.tokens[at + 1..end].to_vec());
        let span = self.tokens[at].span;
        for word in ["SELECT", "*", "FROM", function, "(", "(", "SELECT", "*", "FROM"] {
            self.push_any(word, span);
        }
        if query {
            self.push(Token::LParen, span);
        }
        self.output.extend(inner);
        let last = self.tokens[end - 1].span;
        (0..2 + usize::from(query)).for_each(|_| self.push(Token::RParen, last));
        Some(end - at)
    }

    /// Where the query that begins here ends.
    fn end(&self, from: usize) -> usize {
        let mut depth = 0;
        for (at, token) in self.tokens.iter().enumerate().skip(from) {
            match token.token {
                Token::LParen | Token::LBracket | Token::LBrace => depth += 1,
                Token::RParen | Token::RBracket | Token::RBrace if depth == 0 => return at,
                Token::RParen | Token::RBracket | Token::RBrace => depth -= 1,
                Token::SemiColon | Token::EOF => return at,
                _ => {}
            }
        }
        self.tokens.len()
    }

    /// Rewrites inside expressions and clauses.
    fn expression(&mut self, at: usize) -> Option<usize> {
        let span = self.tokens[at].span;
        match &self.tokens[at].token {
            Token::Mul => self.star(at),
            Token::Word(word) if word.keyword == Keyword::LIMIT => self.limit(at),
            Token::Word(word) if word.keyword == Keyword::AS => self.materialized(at),
            Token::LParen
                if self.previous_word().as_deref() == Some("FILTER")
                    && self.output.len() > 1
                    && self.output[self.output.len() - 2].token == Token::RParen
                    && self.word(at + 1).as_deref() != Some("WHERE") =>
            {
                self.follow(at);
                self.output.push(self.tokens[at].clone());
                self.push_word("WHERE", span);
                Some(1)
            }
            Token::Word(_)
                if self.begins_item() && self.token(at + 1) == &Token::Colon && {
                    let frame = self.frame();
                    frame.select_list && !frame.literal
                } =>
            {
                self.output.push(self.tokens[at].clone());
                self.push(Token::Assignment, self.tokens[at + 1].span);
                Some(2)
            }
            Token::Word(_) if self.begins_lambda() && self.token(at + 1) == &Token::Arrow => {
                self.push_word("lambda", span);
                self.output.push(self.tokens[at].clone());
                self.push(Token::Colon, self.tokens[at + 1].span);
                Some(2)
            }
            Token::LParen if self.begins_lambda() => {
                let mut close = at + 1;
                while matches!(self.token(close), Token::Word(_) | Token::Comma) {
                    close += 1;
                }
                if self.token(close) != &Token::RParen || self.token(close + 1) != &Token::Arrow {
                    return None;
                }
                self.push_word("lambda", span);
                self.output.extend_from_slice(&self.tokens[at + 1..close]);
                self.push(Token::Colon, self.tokens[close + 1].span);
                Some(close + 2 - at)
            }
            _ => None,
        }
    }

    fn star(&mut self, at: usize) -> Option<usize> {
        let span = self.tokens[at].span;
        if self.token(at + 1) == &Token::Mul && self.tokens[at + 1].span.start == span.end {
            self.push(Token::Caret, span);
            return Some(2);
        }
        if !self.begins_item() {
            return None;
        }
        if self.word(at + 1).as_deref() == Some("COLUMNS")
            && self.token(at + 2) == &Token::LParen
            && self.frame().function.is_some()
        {
            self.push_word(UNPACK_COLUMNS, span);
            return Some(2);
        }
        let mut end = at + 1;
        if self.word(end).as_deref() == Some("NOT") {
            end += 1;
        }
        end += match self.word(end)?.as_str() {
            "LIKE" | "ILIKE" | "GLOB" => 1,
            "SIMILAR" => 2,
            _ => return None,
        };
        if !matches!(self.token(end), Token::SingleQuotedString(_)) {
            return None;
        }
        for word in ["COLUMNS", "(", "lambda", "name", ":", "name"] {
            self.push_any(word, span);
        }
        self.output.extend_from_slice(&self.tokens[at + 1..=end]);
        self.push(Token::RParen, span);
        Some(end + 1 - at)
    }

    /// `AS [NOT] MATERIALIZED (`: what is used more than once is computed once in any case.
    fn materialized(&mut self, at: usize) -> Option<usize> {
        let not = usize::from(self.word(at + 1).as_deref() == Some("NOT"));
        if self.word(at + 1 + not).as_deref() != Some("MATERIALIZED")
            || self.token(at + 2 + not) != &Token::LParen
        {
            return None;
        }
        self.output.push(self.tokens[at].clone());
        Some(2 + not)
    }

    fn limit(&mut self, at: usize) -> Option<usize> {
        let percent = match self.token(at + 2) {
            Token::Mod => !matches!(self.token(at + 3), Token::Number(..) | Token::LParen),
            Token::Word(word) => word.keyword == Keyword::PERCENT,
            _ => false,
        };
        if !percent || !matches!(self.token(at + 1), Token::Number(..)) {
            return None;
        }
        let span = self.tokens[at + 1].span;
        self.follow(at);
        self.output.push(self.tokens[at].clone());
        self.push_word(LIMIT_PERCENT, span);
        self.push(Token::LParen, span);
        self.output.push(self.tokens[at + 1].clone());
        self.push(Token::RParen, span);
        Some(3)
    }

    /// Whether `FUNCTION f(a, b := 1) AS …` at this place is a macro: parameters have no types and
    /// the body is no text.
    fn is_macro(&self, at: usize) -> bool {
        let mut place = at + 2;
        while matches!(self.token(place), Token::Period | Token::Word(_)) {
            place += 1;
        }
        if self.token(place) != &Token::LParen {
            return false;
        }
        let close = self.end(place + 1);
        let typed = (place + 1..close).any(|at| {
            matches!((self.token(at), self.token(at + 1)), (Token::Word(_), Token::Word(_)))
        });
        !typed
            && self.word(close + 1).as_deref() == Some("AS")
            && !matches!(self.token(close + 2), Token::SingleQuotedString(_))
    }

    fn frame(&self) -> &Frame {
        self.frames.last().expect("one is always left")
    }

    fn head(&self) -> &[String] {
        &self.frames[0].head
    }

    fn head_starts(&self, word: &str) -> bool {
        self.head().first().is_some_and(|first| first == word)
    }

    fn at_start(&self) -> bool {
        self.output.last().is_none_or(|last| last.token == Token::SemiColon)
            || matches!(self.head(), [explain] if explain == "EXPLAIN")
            || matches!(self.head(), [explain, analyze] if explain == "EXPLAIN" && analyze == "ANALYZE")
    }

    /// Whether a query can begin here.
    fn opens_query(&self) -> bool {
        match self.output.last().map(|last| &last.token) {
            Some(Token::LParen) => true,
            Some(Token::Word(word)) => word.keyword == Keyword::AS && self.head_starts("CREATE"),
            _ => false,
        }
    }

    /// Whether an item of a list begins here.
    fn begins_item(&self) -> bool {
        match self.output.last().map(|last| &last.token) {
            Some(Token::Comma | Token::LParen) => true,
            Some(Token::Word(word)) => {
                matches!(word.keyword, Keyword::SELECT | Keyword::DISTINCT | Keyword::ALL)
            }
            _ => false,
        }
    }

    fn begins_lambda(&self) -> bool {
        let function = self.frame().function.as_deref();
        function.is_some_and(|function| LAMBDA_FUNCTIONS.contains(&function))
            && matches!(
                self.output.last().map(|last| &last.token),
                Some(Token::Comma | Token::LParen)
            )
    }

    fn token(&self, at: usize) -> &Token {
        self.tokens.get(at).map_or(&Token::EOF, |token| &token.token)
    }

    /// The word at a place in capitals, unless it is quoted.
    fn word(&self, at: usize) -> Option<String> {
        match self.token(at) {
            Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_uppercase()),
            _ => None,
        }
    }

    fn previous_word(&self) -> Option<String> {
        match &self.output.last()?.token {
            Token::Word(word) => Some(word.value.to_uppercase()),
            _ => None,
        }
    }

    fn push(&mut self, token: Token, span: Span) {
        self.output.push(TokenWithSpan { token, span });
    }

    fn push_word(&mut self, word: &str, span: Span) {
        self.push(Token::make_word(word, None), span);
    }

    fn push_any(&mut self, text: &str, span: Span) {
        match text {
            "*" => self.push(Token::Mul, span),
            "(" => self.push(Token::LParen, span),
            ":" => self.push(Token::Colon, span),
            word => self.push_word(word, span),
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;

    use super::*;
    use crate::sql::dialect::BrimfulDialect;

    fn parsed(sql: &str) -> String {
        let tokens = Tokenizer::new(&BrimfulDialect, sql).tokenize_with_location().unwrap();
        let words = rewritten(tokens).iter().map(|t| t.token.to_string()).collect::<Vec<_>>();
        words.join(" ")
    }

    #[test]
    fn what_is_marked_is_replaced() {
        for (written, expected) in [
            ("LIMIT 1_0 % ;", "LIMIT limit_percent ( 10 ) ;"),
            ("LIMIT 10 % 3", "LIMIT 10 % 3"),
            ("a ** b * *", "a ^ b * *"),
            ("f(*COLUMNS('a'))", "f ( unpack_columns ( 'a' ) )"),
            ("list_filter(l, x -> x)", "list_filter ( l , lambda x : x )"),
            ("reduce(l, (x, y) -> x)", "reduce ( l , lambda x , y : x )"),
            ("upper(j -> 'a')", "upper ( j -> 'a' )"),
            (
                "SELECT a: 1, {b: 2}, l[c:d] FROM t",
                "SELECT a := 1 , { b : 2 } , l [ c : d ] FROM t",
            ),
            ("INSERT INTO t BY NAME FROM u", "INSERT INTO t ( \"by name\" ) SELECT * FROM u"),
            ("INSERT INTO t FROM u ORDER BY name", "INSERT INTO t SELECT * FROM u ORDER BY name"),
            ("FROM t WHERE a", "SELECT * FROM t WHERE a"),
            ("a IN (FROM t)", "a IN ( SELECT * FROM t )"),
            ("FROM a UNION FROM b", "SELECT * FROM a UNION SELECT * FROM b"),
            ("WITH c AS (FROM t) FROM c", "WITH c AS ( SELECT * FROM t ) SELECT * FROM c"),
            ("DELETE FROM t WHERE a", "DELETE FROM t WHERE a"),
            ("extract(year FROM d)", "extract ( year FROM d )"),
            ("SELECT a IS DISTINCT FROM b FROM t", "SELECT a IS DISTINCT FROM b FROM t"),
            ("DROP MACRO TABLE f", "DROP FUNCTION f"),
            ("CREATE FUNCTION f(a INT) AS 1", "CREATE FUNCTION f ( a INT ) AS 1"),
            ("FROM t SELECT a LIMIT 1", "SELECT a FROM t LIMIT 1"),
            ("SELECT a FROM t UNION SELECT b", "SELECT a FROM t UNION SELECT b"),
            ("FROM a; FROM b", "SELECT * FROM a ; SELECT * FROM b"),
            ("FROM t SELECT a AS offset, b", "SELECT a AS offset , b FROM t"),
            (
                "FROM t SELECT f(1) WITHIN GROUP (ORDER BY a) GROUP BY b",
                "SELECT f ( 1 ) WITHIN GROUP ( ORDER BY a ) FROM t GROUP BY b",
            ),
            (
                "SELECT a IS DISTINCT FROM 2, y: b FROM t",
                "SELECT a IS DISTINCT FROM 2 , y := b FROM t",
            ),
        ] {
            assert_eq!(parsed(written), expected);
        }
    }
}
