//! Joins within a subquery, for all outer values at once.

use datafusion::common::{NullEquality, not_impl_err};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, Join, JoinType, LogicalPlan, when};

use super::domain::{Condition, Domain, columns, named, projected};
use super::push::keyless;

/// Which sides of a join are given the domain.
struct Sides {
    left: bool,
    right: bool,
}

impl Domain<'_> {
    /// A side that depends on outer values is given the domain, and so is one whose rows without a
    /// match are kept: whether there is a match depends on the value.
    fn sides(&self, join: &Join) -> Result<Sides> {
        use JoinType::{Full, Left, LeftAnti, LeftMark, LeftSemi};
        use JoinType::{Right, RightAnti, RightMark, RightSemi};
        let keeps_left = matches!(join.join_type, Left | LeftSemi | LeftAnti | LeftMark | Full);
        let keeps_right =
            matches!(join.join_type, Right | RightSemi | RightAnti | RightMark | Full);
        let right = keeps_right || self.is_used_by(&join.right)?;
        let left = keeps_left || self.is_used_by(&join.left)? || !right;
        Ok(Sides { left, right })
    }

    pub(super) fn join(&self, join: &Join) -> Result<LogicalPlan> {
        if join.null_aware {
            return not_impl_err!("a reference to an outer query from within an anti join");
        }
        let Sides { left, right } = self.sides(join)?;
        let both = left && right;
        let twin = if both { Some(self.renamed()?) } else { None };
        let other = twin.as_ref().unwrap_or(self);
        let left_rows = if left { keyless(&self.push(&join.left)?)? } else { keyless(&join.left)? };
        let right_rows =
            if right { keyless(&other.push(&join.right)?)? } else { keyless(&join.right)? };

        let bind = |expr: &Expr| self.bind(expr.clone());
        let equal = join.on.iter().map(|(left, right)| Ok((bind(left)?, bind(right)?)));
        let condition = Condition {
            same: if both {
                self.keys().into_iter().zip(other.keys()).collect()
            } else {
                Vec::new()
            },
            equal: equal.collect::<Result<_>>()?,
            nulls: join.null_equality,
            filter: join.filter.as_ref().map(bind).transpose()?,
        };
        let joined = LogicalPlan::Join(condition.join(left_rows, right_rows, join.join_type)?);
        if join.join_type == JoinType::Inner || !both {
            return self.with_columns_of(joined, join, self.keys());
        }
        let keys: Vec<Expr> = self
            .key_names()
            .zip(other.key_names())
            .map(|(left, right)| {
                use JoinType::{Full, Right, RightAnti, RightMark, RightSemi};
                Ok(match join.join_type {
                    Right | RightSemi | RightAnti | RightMark => named(right).alias(left),
                    Full => when(named(left).is_null(), named(right))
                        .otherwise(named(left))?
                        .alias(left),
                    _ => named(left),
                })
            })
            .collect::<Result<_>>()?;
        self.with_columns_of(joined, join, keys)
    }

    /// The columns of the original join beside these.
    fn with_columns_of(
        &self,
        joined: LogicalPlan,
        join: &Join,
        keys: Vec<Expr>,
    ) -> Result<LogicalPlan> {
        let mut exprs = keys;
        let has_mark = matches!(join.join_type, JoinType::LeftMark | JoinType::RightMark);
        let last = join.schema.fields().len() - usize::from(has_mark);
        exprs.extend(columns(&join.schema).take(last));
        if has_mark {
            // Its table is that of the first column of a side, which may be another one now.
            let mark = joined.schema().columns().pop().map(Expr::Column);
            let (qualifier, field) = join.schema.qualified_field(last);
            let aliased = mark.map(|mark| mark.alias_qualified(qualifier.cloned(), field.name()));
            exprs.extend(aliased);
        }
        projected(joined, exprs)
    }
}

/// The condition of a join as it is written.
pub(super) fn condition_of(join: &Join) -> Condition {
    Condition {
        same: Vec::new(),
        equal: join.on.clone(),
        nulls: join.null_equality,
        filter: join.filter.clone(),
    }
}

/// The condition of an inner join as one expression.
pub(super) fn filters_of(join: &Join) -> Vec<Expr> {
    let equal = |(left, right): &(Expr, Expr)| match join.null_equality {
        NullEquality::NullEqualsNothing => left.clone().eq(right.clone()),
        NullEquality::NullEqualsNull => datafusion::logical_expr::binary_expr(
            left.clone(),
            datafusion::logical_expr::Operator::IsNotDistinctFrom,
            right.clone(),
        ),
    };
    join.on.iter().map(equal).chain(join.filter.clone()).collect()
}
