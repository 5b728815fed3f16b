//! ASOF joins, which become GLOBAL ones with a condition.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, ExcludeSelectItem, Expr, Ident, Join, JoinConstraint, JoinOperator, SelectItem,
    TableWithJoins,
};

use super::exact::{last_ident, same};
use super::{Relation, Resolver};
use crate::error::{Error, Result};
use crate::sql::relations;

/// A column of USING, which is there once: that of the left side.
#[derive(Debug, Clone)]
pub(super) struct Merged {
    column: String,
    left: String,
    right: String,
}

impl Resolver {
    /// Gives an ASOF join the form that the planner of relations knows.
    pub(super) fn asof(&mut self, join: &mut Join, left_count: usize) -> Result<()> {
        if let JoinOperator::AsOf { match_condition, constraint } = &join.join_operator {
            // Of the form with MATCH_CONDITION the rows of the left side are all there.
            let matching = match_condition.clone();
            let keys = self.asof_condition(&mut constraint.clone(), left_count, false)?;
            join.join_operator = JoinOperator::LeftOuter(JoinConstraint::On(match keys {
                Some(keys) => both(keys, matching),
                None => matching,
            }));
            join.global = true;
            return Ok(());
        }
        let (JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::Semi(constraint)
        | JoinOperator::LeftSemi(constraint)
        | JoinOperator::Anti(constraint)
        | JoinOperator::LeftAnti(constraint)) = &mut join.join_operator
        else {
            return Err(Error::query("ASOF joins are INNER, LEFT, SEMI or ANTI"));
        };
        match self.asof_condition(constraint, left_count, true)? {
            Some(condition) => *constraint = JoinConstraint::On(condition),
            None => {
                return Err(Error::query("an ASOF join without ON or USING")
                    .with_hint("write ON a.key = b.key AND a.time >= b.time"));
            }
        }
        Ok(())
    }

    /// The condition of ON, or the one that USING stands for; the last of its columns is that of the
    /// order, if it has one.
    fn asof_condition(
        &mut self,
        constraint: &mut JoinConstraint,
        left_count: usize,
        has_order: bool,
    ) -> Result<Option<Expr>> {
        let columns = match constraint {
            JoinConstraint::On(condition) => return Ok(Some(condition.clone())),
            JoinConstraint::Using(columns) => columns,
            JoinConstraint::Natural | JoinConstraint::None => return Ok(None),
        };
        let mut condition = None;
        let last = columns.len() - 1;
        for (number, column) in columns.iter_mut().enumerate() {
            let Some(ident) = last_ident(column) else { continue };
            let relations = &self.scope().relations;
            let qualifier = |relations: &[Relation]| {
                let has = |relation: &&Relation| {
                    let columns = relation.columns.iter().flatten();
                    columns.into_iter().any(|column| same(ident, &column.name))
                };
                relations.iter().find(has).and_then(|relation| relation.name.clone())
            };
            let (left, right) =
                (qualifier(&relations[..left_count]), qualifier(&relations[left_count..]));
            let (Some(left), Some(right)) = (left, right) else {
                let message = format!(
                    "USING ({}) needs the column in named tables of both sides",
                    ident.value
                );
                return Err(Error::query(message)
                    .with_hint("give subqueries a name, or write ON with both columns"));
            };
            let merged = Merged { column: ident.value.clone(), left, right };
            let of = |table: &str| {
                let parts = [table, &merged.column].map(|name| Ident::with_quote('"', name));
                Box::new(Expr::CompoundIdentifier(parts.into()))
            };
            let is_order = has_order && number == last;
            let op = if is_order { BinaryOperator::GtEq } else { BinaryOperator::Eq };
            let equal = Expr::BinaryOp { left: of(&merged.left), op, right: of(&merged.right) };
            condition = Some(match condition {
                Some(before) => both(before, equal),
                None => equal,
            });
            self.scope_mut().merged.push(merged);
        }
        Ok(condition)
    }

    /// Qualifies the name of a column that USING has made one of two.
    pub(super) fn qualify_merged(&self, expr: &mut Expr) {
        let Expr::Identifier(ident) = expr else { return };
        let has_column = |relation: &Relation| {
            relation.columns.iter().flatten().any(|column| column.name == ident.value)
        };
        let scope = self.scopes.iter().rev().find(|scope| scope.relations.iter().any(has_column));
        let Some(scope) = scope else { return };
        if let Some(merged) = scope.merged.iter().find(|merged| merged.column == ident.value) {
            let table = Ident::with_quote('"', &merged.left);
            *expr = Expr::CompoundIdentifier(vec![table, ident.clone()]);
        }
    }

    /// Replaces `*` by the columns, without the second ones of those that USING has merged.
    pub(super) fn expand_merged(&self, items: &mut Vec<SelectItem>) -> Result<()> {
        if self.scope().merged.is_empty() {
            return Ok(());
        }
        let mut expanded = Vec::new();
        for item in items.drain(..) {
            let SelectItem::Wildcard(options) = item else {
                expanded.push(item);
                continue;
            };
            if options.opt_replace.is_some()
                || options.opt_rename.is_some()
                || options.opt_except.is_some()
                || options.opt_ilike.is_some()
            {
                return Err(Error::query(
                    "options of * other than EXCLUDE after ASOF JOIN … USING",
                )
                .with_hint("write ON instead of USING, or the columns instead of *"));
            }
            let excluded: Vec<&Ident> = match &options.opt_exclude {
                None => Vec::new(),
                Some(ExcludeSelectItem::Single(name)) => {
                    name.0.last().and_then(|part| part.as_ident()).into_iter().collect()
                }
                Some(ExcludeSelectItem::Multiple(names)) => names
                    .iter()
                    .filter_map(|name| name.0.last().and_then(|part| part.as_ident()))
                    .collect(),
            };
            for relation in &self.scope().relations {
                let (Some(table), Some(columns)) = (&relation.name, &relation.columns) else {
                    return Err(Error::query("* after ASOF JOIN … USING needs named tables")
                        .with_hint("write ON instead of USING, or the columns instead of *"));
                };
                for column in columns {
                    let is_second = self
                        .scope()
                        .merged
                        .iter()
                        .any(|merged| merged.right == *table && merged.column == column.name);
                    if is_second || excluded.iter().any(|ident| same(ident, &column.name)) {
                        continue;
                    }
                    let parts = [table, &column.name].map(|name| Ident::with_quote('"', name));
                    expanded.push(SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts.into())));
                }
            }
        }
        *items = expanded;
        Ok(())
    }

    /// Puts ASOF joins into brackets.
    pub(super) fn fold_asof(tables: &mut TableWithJoins) {
        if tables.joins.iter().any(|join| join.global) {
            *tables = relations::fold_asof(tables.clone());
        }
    }
}

fn both(left: Expr, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op: BinaryOperator::And, right: Box::new(right) }
}
