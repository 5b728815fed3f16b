//! MERGE: as it is parsed, and the query it stands for.
//!
//! The query is a join of the table and the source, which is outer where rows without a match are
//! spoken of. It gives the number of the row and then, for each WHEN, its condition under the name of
//! what is to be done, and for UPDATE and INSERT a value for each column of the table. It is no
//! query to run: `planner` takes the values of the first WHEN whose condition is true.

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    Assignment, AssignmentTarget, BinaryOperator, Expr, Function, Ident, Join, JoinConstraint,
    JoinOperator, Merge as Parsed, MergeAction, MergeClause, MergeClauseKind, MergeInsertExpr,
    MergeInsertKind, MergeUpdateExpr, ObjectName, OutputClause, Parens, Query, SelectItem, SetExpr,
    Statement as Sql, TableAlias, TableFactor, TableWithJoins, UnaryOperator, Values, With,
};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::assign::{Assigned, assigned, check_count, check_no_aggregate};
use super::{Source, Target, boolean, item, query, quoted, refuse, unused};
use crate::error::{Error, Result};
use crate::sql::tokens::BY_NAME;
use MergeClauseKind::{Matched, NotMatched, NotMatchedBySource, NotMatchedByTarget};

/// What stands for the columns of the source in their order, as [`BY_NAME`] for those by name.
const BY_POSITION: &str = "by position";

/// What is done with a row, as the name of the condition for that.
pub(super) const NOTHING: &str = "nothing";
pub(super) const DELETE: &str = "delete";
pub(super) const UPDATE: &str = "update";
pub(super) const INSERT: &str = "insert";

/// Reads a MERGE, also after a WITH, with what DuckDB and Postgres have beyond the parser:
/// `USING (columns)`, `DO NOTHING`, and UPDATE and INSERT of all columns; `None` if it is another
/// statement.
///
/// # Errors
/// Those of the syntax.
pub(crate) fn parse_merge(parser: &mut Parser) -> Option<Result<Sql, ParserError>> {
    if parser.peek_keyword(Keyword::MERGE) {
        return Some(merge(parser));
    }
    is_merge_after_with(parser).then(|| merge_after_with(parser))
}

fn is_merge_after_with(parser: &Parser) -> bool {
    if !parser.peek_keyword(Keyword::WITH) {
        return false;
    }
    let mut depth = 0;
    for at in 1.. {
        match &parser.peek_nth_token_ref(at).token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            Token::Word(word) if depth == 0 => match word.keyword {
                Keyword::MERGE => return true,
                Keyword::SELECT | Keyword::INSERT | Keyword::UPDATE | Keyword::DELETE => break,
                _ => {}
            },
            Token::SemiColon | Token::EOF => break,
            _ => {}
        }
    }
    false
}

fn merge_after_with(parser: &mut Parser) -> Result<Sql, ParserError> {
    parser.expect_keyword_is(Keyword::WITH)?;
    let with_token = token(parser);
    let recursive = parser.parse_keyword(Keyword::RECURSIVE);
    let cte_tables = parser.parse_comma_separated(Parser::parse_cte)?;
    Ok(Sql::Query(Box::new(Query {
        with: Some(With { with_token, recursive, cte_tables }),
        body: Box::new(SetExpr::Merge(merge(parser)?)),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    })))
}

fn merge(parser: &mut Parser) -> Result<Sql, ParserError> {
    parser.expect_keyword_is(Keyword::MERGE)?;
    let merge_token = token(parser);
    let into = parser.parse_keyword(Keyword::INTO);
    let table = parser.parse_table_factor()?;
    parser.expect_keyword_is(Keyword::USING)?;
    let source = parser.parse_table_factor()?;
    let on = if parser.parse_keyword(Keyword::USING) {
        parser.expect_token(&Token::LParen)?;
        let columns = parser.parse_comma_separated(Parser::parse_identifier)?;
        parser.expect_token(&Token::RParen)?;
        Expr::Tuple(columns.into_iter().map(Expr::Identifier).collect())
    } else {
        parser.expect_keyword_is(Keyword::ON)?;
        parser.parse_expr()?
    };
    let mut clauses = Vec::new();
    while parser.parse_keyword(Keyword::WHEN) {
        clauses.push(clause(parser)?);
    }
    if clauses.is_empty() {
        return parser.expected_ref("WHEN", parser.peek_token_ref());
    }
    let output = match parser.parse_keyword(Keyword::RETURNING) {
        true => Some(OutputClause::Returning {
            returning_token: token(parser),
            select_items: parser.parse_projection()?,
        }),
        false => None,
    };
    let optimizer_hints = Vec::new();
    let on = Box::new(on);
    let merge = Parsed { merge_token, optimizer_hints, into, table, source, on, clauses, output };
    Ok(Sql::Merge(merge))
}

fn token(parser: &Parser) -> AttachedToken {
    AttachedToken(parser.get_current_token().clone())
}

/// A clause after its WHEN.
fn clause(parser: &mut Parser) -> Result<MergeClause, ParserError> {
    let when_token = token(parser);
    let is_matched = !parser.parse_keyword(Keyword::NOT);
    parser.expect_keyword_is(Keyword::MATCHED)?;
    let clause_kind = if is_matched {
        Matched
    } else if parser.parse_keywords(&[Keyword::BY, Keyword::SOURCE]) {
        NotMatchedBySource
    } else if parser.parse_keywords(&[Keyword::BY, Keyword::TARGET]) {
        NotMatchedByTarget
    } else {
        NotMatched
    };
    let predicate = match parser.parse_keyword(Keyword::AND) {
        true => Some(parser.parse_expr()?),
        false => None,
    };
    parser.expect_keyword_is(Keyword::THEN)?;
    let is_new = matches!(clause_kind, NotMatched | NotMatchedByTarget);
    let action = if parser.parse_keywords(&[Keyword::DO, Keyword::NOTHING]) {
        if is_new {
            insert(parser, Vec::new(), rows(Vec::new()))
        } else {
            update(parser, Vec::new())
        }
    } else if is_new {
        parser.expect_keyword_is(Keyword::INSERT)?;
        insert_action(parser)?
    } else if parser.parse_keyword(Keyword::DELETE) {
        MergeAction::Delete { delete_token: token(parser) }
    } else if parser.parse_keyword(Keyword::UPDATE) {
        update_action(parser)?
    } else {
        return parser.expected_ref("UPDATE, DELETE or DO NOTHING", parser.peek_token_ref());
    };
    Ok(MergeClause { when_token, clause_kind, predicate, action })
}

fn update_action(parser: &mut Parser) -> Result<MergeAction, ParserError> {
    if parser.parse_keyword(Keyword::SET) && !parser.consume_token(&Token::Mul) {
        let assignments = parser.parse_comma_separated(Parser::parse_assignment)?;
        return Ok(update(parser, assignments));
    }
    let value = Expr::Identifier(all_columns(parser)?);
    let all = Assignment { target: AssignmentTarget::Tuple(Vec::new()), value };
    Ok(update(parser, vec![all]))
}

fn insert_action(parser: &mut Parser) -> Result<MergeAction, ParserError> {
    if parser.parse_keywords(&[Keyword::DEFAULT, Keyword::VALUES]) {
        let none = Parens::with_empty_span(Vec::new());
        return Ok(insert(parser, Vec::new(), rows(vec![none])));
    }
    let starts_list = parser.peek_token_ref().token == Token::LParen;
    let columns = match starts_list {
        true => {
            parser.expect_token(&Token::LParen)?;
            let columns = parser.parse_comma_separated(|parser| parser.parse_object_name(false))?;
            parser.expect_token(&Token::RParen)?;
            columns
        }
        false => Vec::new(),
    };
    if starts_list || parser.peek_keyword(Keyword::VALUES) {
        parser.expect_keyword_is(Keyword::VALUES)?;
        let values = parser.parse_values(false, false)?;
        return Ok(insert(parser, columns, MergeInsertKind::Values(values)));
    }
    let all = all_columns(parser)?;
    Ok(insert(parser, vec![ObjectName::from(vec![all])], MergeInsertKind::Row))
}

/// `BY NAME`, `BY POSITION`, a star, ROW or nothing.
fn all_columns(parser: &mut Parser) -> Result<Ident, ParserError> {
    let mut how = BY_POSITION;
    if parser.parse_keyword(Keyword::BY) {
        let word = parser.parse_identifier()?;
        how = match word.value.to_lowercase().as_str() {
            "name" => BY_NAME,
            "position" => BY_POSITION,
            _ => return parser.expected_ref("NAME or POSITION", parser.get_current_token()),
        };
    }
    let _ = parser.consume_token(&Token::Mul) || parser.parse_keyword(Keyword::ROW);
    Ok(quoted(how))
}

fn rows(rows: Vec<Parens<Vec<Expr>>>) -> MergeInsertKind {
    MergeInsertKind::Values(Values { explicit_row: false, value_keyword: false, rows })
}

/// An INSERT; without rows it is DO NOTHING.
fn insert(parser: &Parser, columns: Vec<ObjectName>, kind: MergeInsertKind) -> MergeAction {
    MergeAction::Insert(MergeInsertExpr {
        insert_token: token(parser),
        columns,
        kind_token: token(parser),
        kind,
        insert_predicate: None,
    })
}

/// An UPDATE; of no columns it is DO NOTHING.
fn update(parser: &Parser, assignments: Vec<Assignment>) -> MergeAction {
    MergeAction::Update(MergeUpdateExpr {
        update_token: token(parser),
        assignments,
        update_predicate: None,
        delete_predicate: None,
    })
}

/// A MERGE but for its table.
pub(super) struct Merge {
    source: TableFactor,
    constraint: JoinConstraint,
    clauses: Vec<Clause>,
}

struct Clause {
    kind: MergeClauseKind,
    condition: Option<Expr>,
    action: Action,
}

enum Action {
    Nothing,
    Delete,
    Update(Vec<Assigned>),
    Insert { columns: Vec<ObjectName>, values: Vec<Expr> },
    UpdateAll { by_name: bool },
    InsertAll { by_name: bool },
}

impl Action {
    fn of(action: MergeAction) -> Result<Self> {
        Ok(match action {
            MergeAction::Delete { .. } => Action::Delete,
            MergeAction::Update(update) => {
                let conditions = (update.update_predicate, update.delete_predicate);
                refuse("WHERE in a MERGE", conditions != (None, None))?;
                match update.assignments.as_slice() {
                    [] => Action::Nothing,
                    [Assignment { target: AssignmentTarget::Tuple(none), value }]
                        if none.is_empty() =>
                    {
                        let by_name = *value == Expr::Identifier(quoted(BY_NAME));
                        Action::UpdateAll { by_name }
                    }
                    _ => Action::Update(assigned(update.assignments)?),
                }
            }
            MergeAction::Insert(insert) => {
                refuse("WHERE in a MERGE", insert.insert_predicate.is_some())?;
                match insert.kind {
                    MergeInsertKind::Row => {
                        let by_name = insert.columns == [ObjectName::from(vec![quoted(BY_NAME)])];
                        Action::InsertAll { by_name }
                    }
                    MergeInsertKind::Values(mut values) => {
                        match (values.rows.pop(), values.rows.is_empty()) {
                            (None, _) => Action::Nothing,
                            (Some(row), true) => {
                                Action::Insert { columns: insert.columns, values: row.content }
                            }
                            _ => {
                                return Err(Error::query(
                                    "a MERGE inserts one row for each of the source",
                                )
                                .with_hint("make the rows in the source"));
                            }
                        }
                    }
                }
            }
        })
    }
}

impl Merge {
    /// The table and the rest.
    pub(super) fn of(merge: Parsed) -> Result<(TableFactor, Self)> {
        let constraint = match *merge.on {
            Expr::Tuple(columns) => {
                let names = columns.into_iter().filter_map(|column| match column {
                    Expr::Identifier(column) => Some(ObjectName::from(vec![column])),
                    _ => None,
                });
                JoinConstraint::Using(names.collect())
            }
            on => JoinConstraint::On(on),
        };
        let clauses = merge.clauses.into_iter().map(|clause| {
            let action = Action::of(clause.action)?;
            Ok(Clause { kind: clause.clause_kind, condition: clause.predicate, action })
        });
        let clauses = clauses.collect::<Result<_>>()?;
        Ok((merge.table, Merge { source: merge.source, constraint, clauses }))
    }

    /// The source, if its columns have to be known.
    pub(super) fn wanted_source(&self) -> Option<&TableFactor> {
        let is_wanted = |clause: &Clause| {
            matches!(clause.action, Action::UpdateAll { .. } | Action::InsertAll { .. })
        };
        self.clauses.iter().any(is_wanted).then_some(&self.source)
    }

    /// See the module.
    pub(super) fn query(
        self,
        mut table: TableWithJoins,
        target: &Target,
        source: Option<Source>,
        is_aggregate: &dyn Fn(&Function) -> bool,
    ) -> Result<Query> {
        let is_there = |kinds: &[MergeClauseKind]| {
            self.clauses.iter().any(|clause| kinds.contains(&clause.kind))
        };
        let keeps_source = is_there(&[NotMatched, NotMatchedByTarget]);
        let keeps_table = is_there(&[NotMatchedBySource]);
        let mut relation = self.source;
        // A row of the table has no match where this is NULL.
        let mark = unused("row of the source", &target.columns);
        if keeps_table {
            relation = marked(relation, &mark)?;
        }
        let join_operator = match (keeps_table, keeps_source) {
            (true, true) => JoinOperator::FullOuter(self.constraint),
            (true, false) => JoinOperator::LeftOuter(self.constraint),
            (false, true) => JoinOperator::RightOuter(self.constraint),
            (false, false) => JoinOperator::Inner(self.constraint),
        };
        table.joins.push(Join { relation, global: false, join_operator });

        let has_row = Expr::IsNotNull(Box::new(target.column(&target.number)));
        let has_source = || {
            let mark = Expr::CompoundIdentifier(vec![quoted(MARK), quoted(&mark)]);
            Expr::IsNotNull(Box::new(mark))
        };
        let mut items = vec![target.number_item()];
        for Clause { kind, condition, action } in self.clauses {
            let mut conditions = match kind {
                Matched if keeps_table => vec![has_row.clone(), has_source()],
                Matched => vec![has_row.clone()],
                NotMatched | NotMatchedByTarget => vec![not(has_row.clone())],
                NotMatchedBySource => vec![not(has_source())],
            };
            if let Some(condition) = condition {
                check_no_aggregate(&condition, is_aggregate)?;
                conditions.push(Expr::Nested(Box::new(condition)));
            }
            let (name, values) = target.done(action, source.as_ref(), is_aggregate)?;
            items.push(item(all_of(conditions), name));
            items.extend(values);
        }
        query(items, vec![table], None)
    }
}

/// What the relation is called that marks the rows of the source.
const MARK: &str = "rows of the source";

/// The source with a column that is never NULL. The one row with it is on the left, where joins keep
/// their rows in memory.
fn marked(source: TableFactor, mark: &str) -> Result<TableFactor> {
    let one = TableFactor::Derived {
        lateral: false,
        subquery: Box::new(query(vec![item(boolean(true), mark)], Vec::new(), None)?),
        alias: Some(TableAlias {
            explicit: true,
            name: quoted(MARK),
            columns: Vec::new(),
            at: None,
        }),
        sample: None,
    };
    let join_operator = JoinOperator::CrossJoin(JoinConstraint::None);
    let joins = vec![Join { relation: source, global: false, join_operator }];
    let tables = Box::new(TableWithJoins { relation: one, joins });
    Ok(TableFactor::NestedJoin { table_with_joins: tables, alias: None })
}

fn not(expr: Expr) -> Expr {
    Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(expr) }
}

fn all_of(conditions: Vec<Expr>) -> Expr {
    let and = |left, right| Expr::BinaryOp {
        left: Box::new(left),
        op: BinaryOperator::And,
        right: Box::new(right),
    };
    conditions.into_iter().reduce(and).unwrap_or_else(|| boolean(true))
}

impl Target {
    /// What is done, and a value for each column if it is an UPDATE or an INSERT.
    fn done(
        &self,
        action: Action,
        source: Option<&Source>,
        is_aggregate: &dyn Fn(&Function) -> bool,
    ) -> Result<(&'static str, Vec<SelectItem>)> {
        let (name, values) = match action {
            Action::Nothing => return Ok((NOTHING, Vec::new())),
            Action::Delete => return Ok((DELETE, Vec::new())),
            Action::Update(assigned) => (UPDATE, self.values(assigned, is_aggregate)?),
            Action::UpdateAll { by_name } => (UPDATE, self.of_source(source, by_name)?),
            Action::InsertAll { by_name } => (INSERT, self.of_source(source, by_name)?),
            Action::Insert { mut columns, values } => {
                if columns.is_empty() && !values.is_empty() {
                    let all = self.columns.iter().map(|name| ObjectName::from(vec![quoted(name)]));
                    columns = all.collect();
                }
                check_count(columns.len(), values.len())?;
                let pairs = columns.into_iter().zip(values);
                let assigned = pairs.map(|(column, value)| Assigned { column, value }).collect();
                (INSERT, self.values(assigned, is_aggregate)?)
            }
        };
        let all = self.columns.iter().map(|column| {
            let value = values.iter().find(|(name, _)| name == column);
            let value = value.map(|(_, value)| value.clone());
            let value = value.unwrap_or_else(|| match name {
                INSERT => self.default(column),
                _ => self.column(column),
            });
            item(value, column)
        });
        Ok((name, all.collect()))
    }

    /// The columns of the source for those of the table.
    fn of_source(&self, source: Option<&Source>, by_name: bool) -> Result<Vec<(String, Expr)>> {
        let known = source.and_then(|source| Some((source, source.columns.as_ref()?)));
        let Some((source, columns)) = known else {
            return Err(Error::query("the columns of the source are not known")
                .with_hint("name them: UPDATE SET a = …, INSERT (a, …) VALUES (…)"));
        };
        if !by_name && columns.len() != self.columns.len() {
            return Err(Error::query(format!(
                "the source has {} columns, and the table {}",
                columns.len(),
                self.columns.len()
            ))
            .with_hint("say BY NAME for those that both have"));
        }
        let pairs = columns.iter().enumerate().map(|(place, column)| {
            let own = match by_name {
                true => self.find(&ObjectName::from(vec![Ident::new(column)]))?,
                false => self.columns[place].clone(),
            };
            let table = source.name.as_deref().map(quoted);
            let parts = table.into_iter().chain([quoted(column)]).collect();
            Ok((own, Expr::CompoundIdentifier(parts)))
        });
        pairs.collect()
    }
}
