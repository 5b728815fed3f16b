//! ASOF joins, which become GLOBAL ones with a condition.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Join, JoinConstraint, JoinOperator, TableWithJoins,
};

use super::exact::{last_ident, same};
use super::using::{Sides, qualified};
use super::{Relation, Resolver};
use crate::error::{Error, Result};
use crate::sql::dialect::{and, binary};
use crate::sql::relations;

impl Resolver<'_> {
    /// Gives an ASOF join the form that the planner of relations knows.
    pub(super) fn asof(&mut self, join: &mut Join, sides: Sides) -> Result<()> {
        if let JoinOperator::AsOf { match_condition, constraint } = &join.join_operator {
            // Of the form with MATCH_CONDITION the rows of the left side are all there.
            let matching = match_condition.clone();
            let keys = self.asof_condition(&mut constraint.clone(), sides, false)?;
            join.join_operator = JoinOperator::LeftOuter(JoinConstraint::On(and(keys, matching)));
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
        match self.asof_condition(constraint, sides, true)? {
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
        sides: Sides,
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
                (qualifier(&relations[sides.left()]), qualifier(&relations[sides.right()]));
            let (Some(left), Some(right)) = (left, right) else {
                let message = format!(
                    "USING ({}) needs the column in named tables of both sides",
                    ident.value
                );
                return Err(Error::query(message)
                    .with_hint("give subqueries a name, or write ON with both columns"));
            };
            let name = ident.value.clone();
            let left = qualified(&left, &name);
            let is_order = has_order && number == last;
            let op = if is_order { BinaryOperator::GtEq } else { BinaryOperator::Eq };
            let matching = binary(left.clone(), op, qualified(&right, &name));
            condition = Some(and(condition, matching));
            // The column is there once: that of the left side.
            let scope = self.scope_mut();
            for relation in &mut scope.relations[sides.right()] {
                relation.hidden.push(name.clone());
            }
            scope.merge(&name, left, sides.both());
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
