//! ASOF joins, which become GLOBAL ones with a condition.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Join, JoinConstraint, JoinOperator, TableWithJoins,
};

use super::exact::{last_ident, same};
use super::using::qualified;
use super::{Named, Relation, Resolver};
use crate::error::{Error, Result};
use crate::sql::relations;

impl Resolver<'_> {
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
            let name = ident.value.clone();
            let of = |table: &str| Box::new(qualified(table, &name));
            let is_order = has_order && number == last;
            let op = if is_order { BinaryOperator::GtEq } else { BinaryOperator::Eq };
            let equal = Expr::BinaryOp { left: of(&left), op, right: of(&right) };
            condition = Some(match condition {
                Some(before) => both(before, equal),
                None => equal,
            });
            // The column is there once: that of the left side.
            let scope = self.scope_mut();
            for relation in &mut scope.relations[left_count..] {
                relation.hidden.push(name.clone());
            }
            scope.merged.retain(|merged| merged.name != name);
            scope.merged.push(Named { expr: qualified(&left, &name), name });
        }
        Ok(condition)
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
