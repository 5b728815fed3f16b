//! The tables of a FROM, which make the scope of its SELECT.

use datafusion::sql::sqlparser::ast::{
    Ident, Join, JoinConstraint, JoinOperator, TableAlias, TableFactor, TableWithJoins,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::exact::{at, idents, keep_case, last_ident, one_spelling, same, set_exact};
use super::lateral;
use super::tables::{Column, Columns};
use super::{Relation, Resolver, Scope};
use crate::error::{Error, Result};
use crate::scan::TableCall;
use crate::scan::looks_like_path;

impl Resolver {
    pub(super) fn from(&mut self, from: &mut [TableWithJoins]) -> Result<()> {
        from.iter_mut().try_for_each(|table| self.table_with_joins(table))
    }

    pub(super) fn table_with_joins(&mut self, table: &mut TableWithJoins) -> Result<()> {
        self.relation(&mut table.relation)?;
        for join in &mut table.joins {
            let left_count = self.scope().relations.len();
            self.relation(&mut join.relation)?;
            self.join(join, left_count)?;
        }
        Ok(())
    }

    pub(super) fn join(&mut self, join: &mut Join, left_count: usize) -> Result<()> {
        let keeps_right = matches!(
            join.join_operator,
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) | JoinOperator::FullOuter(_)
        );
        let constraint = match &mut join.join_operator {
            JoinOperator::Join(c)
            | JoinOperator::Inner(c)
            | JoinOperator::Left(c)
            | JoinOperator::LeftOuter(c)
            | JoinOperator::Right(c)
            | JoinOperator::RightOuter(c)
            | JoinOperator::FullOuter(c)
            | JoinOperator::CrossJoin(c)
            | JoinOperator::Semi(c)
            | JoinOperator::LeftSemi(c)
            | JoinOperator::RightSemi(c)
            | JoinOperator::Anti(c)
            | JoinOperator::LeftAnti(c)
            | JoinOperator::RightAnti(c)
            | JoinOperator::StraightJoin(c) => c,
            JoinOperator::AsOf { match_condition, constraint } => {
                self.expr(match_condition)?;
                constraint
            }
            _ => return Ok(()),
        };
        match constraint {
            JoinConstraint::On(expr) => self.expr(expr),
            JoinConstraint::Using(_) | JoinConstraint::Natural if keeps_right => {
                // DataFusion would give the left key, NULL for rows that are only on the right.
                Err(Error::query("USING and NATURAL are not supported in RIGHT and FULL joins")
                    .with_hint("write ON, and coalesce(a.key, b.key) for the key of either side"))
            }
            JoinConstraint::Using(names) => {
                for name in names {
                    let Some(ident) = last_ident(name) else { continue };
                    self.using(ident, left_count)?;
                }
                Ok(())
            }
            JoinConstraint::Natural | JoinConstraint::None => Ok(()),
        }
    }

    /// `USING (id)`: both sides must spell the column the same.
    pub(super) fn using(&mut self, ident: &mut Ident, left_count: usize) -> Result<()> {
        let relations = &self.scope().relations;
        let side = |relations: &[Relation]| {
            let columns = relations.iter().filter_map(|r| r.columns.as_ref()).flatten();
            one_spelling(ident, columns.map(|c| c.name.clone()).filter(|name| same(ident, name)))
        };
        let (left, right) = (side(&relations[..left_count])?, side(&relations[left_count..])?);
        match (left, right) {
            (Some(left), Some(right)) if left != right => {
                let error = Error::query(format!(
                    "USING ({}) matches \"{left}\" on one side and \"{right}\" on the other",
                    ident.value
                ))
                .with_hint(format!("write ON with both names: ON a.\"{left}\" = b.\"{right}\""));
                Err(at(error, ident.span))
            }
            (Some(exact), _) | (_, Some(exact)) => {
                set_exact(ident, &exact);
                Ok(())
            }
            (None, None) => Ok(()),
        }
    }

    pub(super) fn relation(&mut self, factor: &mut TableFactor) -> Result<()> {
        lateral::unnest_call(factor);
        match factor {
            TableFactor::Table { name, alias, args, sample, .. } => {
                if sample.is_some() {
                    let span = idents(name).map_or(Span::empty(), |parts| parts[0].span);
                    let error = Error::query("TABLESAMPLE is not supported")
                        .with_hint("sample by a condition: WHERE random() < 0.01");
                    return Err(at(error, span));
                }
                if let Some(args) = args {
                    for arg in &mut args.args {
                        self.visit(arg)?;
                    }
                    return self.add_relation(None, None, alias);
                }
                let columns = self.table(name)?;
                let written = idents(name)
                    .and_then(|parts| parts.last().map(|part| part.value.clone()))
                    .unwrap_or_default();
                if alias.is_none() && name.0.len() == 1 {
                    *alias = match TableCall::parse(&written) {
                        Some(call) => self.stem_alias(call.alias()),
                        None if looks_like_path(&written) => self.stem_alias(&written),
                        None => None,
                    };
                }
                self.add_relation(Some(written), columns, alias)
            }
            TableFactor::Derived { subquery, alias, .. } => {
                let columns = self.query(subquery)?;
                self.add_relation(None, columns, alias)
            }
            TableFactor::NestedJoin { table_with_joins, alias } => match alias {
                None => self.table_with_joins(table_with_joins),
                Some(_) => {
                    self.scopes.push(Scope::default());
                    let result = self.table_with_joins(table_with_joins);
                    let inner = self.scopes.pop().expect("pushed above");
                    result?;
                    let columns: Option<Vec<Vec<Column>>> =
                        inner.relations.into_iter().map(|relation| relation.columns).collect();
                    self.add_relation(None, columns.map(|c| c.concat()), alias)
                }
            },
            TableFactor::UNNEST { alias, array_exprs, .. } => {
                for expr in array_exprs {
                    self.expr(expr)?;
                }
                self.add_relation(None, None, alias)
            }
            TableFactor::Function { args, alias, .. } => {
                for arg in args {
                    self.visit(arg)?;
                }
                self.add_relation(None, None, alias)
            }
            TableFactor::TableFunction { expr, alias } => {
                self.expr(expr)?;
                self.add_relation(None, None, alias)
            }
            _ => {
                self.scope_mut().relations.push(Relation { name: None, columns: None });
                Ok(())
            }
        }
    }

    /// The stem of a file as its alias, unless a relation beside it has that name.
    pub(super) fn stem_alias(&self, path: &str) -> Option<TableAlias> {
        let file = path.trim_end_matches('/').rsplit('/').next()?;
        let stem = file.split('.').next()?;
        let plain = stem.chars().all(|c| c.is_alphanumeric() || c == '_');
        let taken =
            self.scope().relations.iter().any(|relation| {
                relation.name.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(stem))
            });
        if stem.is_empty() || !plain || taken {
            return None;
        }
        Some(TableAlias {
            explicit: true,
            name: Ident::with_quote('"', stem),
            columns: Vec::new(),
            at: None,
        })
    }

    pub(super) fn add_relation(
        &mut self,
        name: Option<String>,
        columns: Columns,
        alias: &mut Option<TableAlias>,
    ) -> Result<()> {
        let relation = match alias {
            None => Relation { name, columns },
            Some(alias) => {
                keep_case(&mut alias.name);
                let name = Some(alias.name.value.clone());
                let columns = match (alias_columns(alias), columns) {
                    // Fewer aliases than columns rename the first ones.
                    (Some(aliases), Some(columns)) => {
                        let rest = columns.into_iter().skip(aliases.len());
                        Some(aliases.iter().cloned().chain(rest).collect())
                    }
                    (aliases, columns) => aliases.or(columns),
                };
                Relation { name, columns }
            }
        };
        self.scope_mut().relations.push(relation);
        Ok(())
    }
}

pub(super) fn alias_columns(alias: &mut TableAlias) -> Columns {
    if alias.columns.is_empty() {
        return None;
    }
    alias.columns.iter_mut().for_each(|column| keep_case(&mut column.name));
    let column = |name: &Ident| Column { name: name.value.clone(), data_type: None };
    Some(alias.columns.iter().map(|alias| column(&alias.name)).collect())
}
