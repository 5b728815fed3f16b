//! Joins: their conditions, and which columns they leave in sight.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Ident, Join, JoinConstraint, JoinOperator,
};

use super::exact::{at, last_ident, one_spelling, same, set_exact};
use super::{Named, Relation, Resolver};
use crate::error::{Error, Result};
use crate::sql::dialect::call;

/// The rows of which side a join keeps, and which side's columns it gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Left,
    Right,
    Full,
    /// Columns of the left side only.
    LeftOnly,
    RightOnly,
}

impl Resolver<'_> {
    pub(super) fn join(&mut self, join: &mut Join, left_count: usize) -> Result<()> {
        // DataFusion knows these by their longer names.
        let operator = std::mem::replace(
            &mut join.join_operator,
            JoinOperator::CrossJoin(JoinConstraint::None),
        );
        join.join_operator = match operator {
            JoinOperator::Semi(constraint) => JoinOperator::LeftSemi(constraint),
            JoinOperator::Anti(constraint) => JoinOperator::LeftAnti(constraint),
            other => other,
        };
        let kind = match join.join_operator {
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) => Kind::Right,
            JoinOperator::FullOuter(_) => Kind::Full,
            JoinOperator::LeftSemi(_) | JoinOperator::LeftAnti(_) => Kind::LeftOnly,
            JoinOperator::RightSemi(_) | JoinOperator::RightAnti(_) => Kind::RightOnly,
            _ => Kind::Left,
        };
        let is_asof = join.global || matches!(join.join_operator, JoinOperator::AsOf { .. });
        let constraint = match &mut join.join_operator {
            JoinOperator::Join(c)
            | JoinOperator::Inner(c)
            | JoinOperator::Left(c)
            | JoinOperator::LeftOuter(c)
            | JoinOperator::Right(c)
            | JoinOperator::RightOuter(c)
            | JoinOperator::FullOuter(c)
            | JoinOperator::CrossJoin(c)
            | JoinOperator::LeftSemi(c)
            | JoinOperator::RightSemi(c)
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
            JoinConstraint::On(expr) => self.expr(expr)?,
            JoinConstraint::Using(names) => {
                let mut keys = Vec::new();
                for name in names {
                    let Some(ident) = last_ident(name) else { continue };
                    self.using(ident, left_count)?;
                    keys.push(ident.clone());
                }
                if !is_asof {
                    self.keys(constraint, keys, kind, left_count)?;
                }
            }
            JoinConstraint::Natural if is_asof => {}
            JoinConstraint::Natural => match self.common(left_count) {
                Some(keys) => self.keys(constraint, keys, kind, left_count)?,
                None if kind == Kind::Left || kind == Kind::LeftOnly => {}
                None => return Err(unknown_columns("NATURAL")),
            },
            JoinConstraint::None => {}
        }
        if is_asof {
            self.asof(join, left_count)?;
        }
        let relations = &mut self.scope_mut().relations;
        match kind {
            Kind::LeftOnly => relations.truncate(left_count),
            Kind::RightOnly => drop(relations.drain(..left_count)),
            _ => {}
        }
        Ok(())
    }

    /// `USING (id)`: both sides must spell the column the same.
    fn using(&mut self, ident: &mut Ident, left_count: usize) -> Result<()> {
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

    /// The columns that both sides have, in the order of the left one.
    fn common(&self, left_count: usize) -> Option<Vec<Ident>> {
        let relations = &self.scope().relations;
        let mut right = Vec::new();
        for relation in &relations[left_count..] {
            right.extend(relation.columns.as_ref()?.iter().map(|column| &column.name));
        }
        let mut keys: Vec<Ident> = Vec::new();
        for relation in &relations[..left_count] {
            for column in relation.columns.as_ref()? {
                let known = keys.iter().any(|key| key.value == column.name);
                if right.contains(&&column.name) && !known {
                    keys.push(Ident::with_quote('"', &column.name));
                }
            }
        }
        Some(keys)
    }

    /// Keys of USING and NATURAL: `*` gives them once. Where DataFusion would give the key of the
    /// left side, which is NULL for rows that are only on the right, they become conditions, and
    /// the name an expression of both.
    fn keys(
        &mut self,
        constraint: &mut JoinConstraint,
        keys: Vec<Ident>,
        kind: Kind,
        left_count: usize,
    ) -> Result<()> {
        let merged = &self.scope().merged;
        let has_merged = keys.iter().any(|key| merged.iter().any(|m| m.name == key.value));
        let rewrite = matches!(kind, Kind::Right | Kind::Full) || has_merged;
        if rewrite && !keys.is_empty() {
            let mut condition: Option<Expr> = None;
            for key in &keys {
                let left = self.left_key(key, left_count)?;
                let right = self.key_of(key, left_count..self.scope().relations.len())?;
                let equal = binary(left.clone(), BinaryOperator::Eq, right.clone());
                condition = Some(match condition {
                    None => equal,
                    Some(others) => binary(others, BinaryOperator::And, equal),
                });
                let expr = match kind {
                    Kind::Full => call("coalesce", vec![left, right]),
                    Kind::Right => right,
                    _ => left,
                };
                let merged = &mut self.scope_mut().merged;
                merged.retain(|merged| merged.name != key.value);
                merged.push(Named { name: key.value.clone(), expr });
            }
            *constraint = condition.map_or(JoinConstraint::None, JoinConstraint::On);
        }
        for relation in &mut self.scope_mut().relations[left_count..] {
            relation.hidden.extend(keys.iter().map(|key| key.value.clone()));
        }
        Ok(())
    }

    fn left_key(&self, key: &Ident, left_count: usize) -> Result<Expr> {
        match self.scope().merged.iter().find(|merged| merged.name == key.value) {
            Some(merged) => Ok(merged.expr.clone()),
            None => self.key_of(key, 0..left_count),
        }
    }

    /// The column of this name on one side.
    fn key_of(&self, key: &Ident, side: std::ops::Range<usize>) -> Result<Expr> {
        let relations = &self.scope().relations[side];
        let has = |relation: &&Relation| {
            let columns = relation.columns.iter().flatten();
            !relation.hidden.contains(&key.value)
                && columns.into_iter().any(|column| column.name == key.value)
        };
        let mut found = relations.iter().filter(has);
        let (first, second) = (found.next(), found.next());
        let Some(relation) = first else {
            if relations.iter().any(|relation| relation.columns.is_none()) {
                return Err(unknown_columns("USING"));
            }
            let error = Error::query(format!("USING: no column \"{}\" on one side", key.value));
            return Err(at(error, key.span));
        };
        if second.is_some() {
            let error = Error::query(format!("\"{}\" is ambiguous in USING", key.value))
                .with_hint("write ON with the tables of both columns");
            return Err(at(error, key.span));
        }
        let Some(name) = &relation.name else {
            return Err(Error::query("USING in RIGHT and FULL joins needs tables with names")
                .with_hint("give the subquery an alias: (SELECT …) AS s"));
        };
        Ok(qualified(name, &key.value))
    }
}

pub(super) fn qualified(table: &str, column: &str) -> Expr {
    let ident = |name| Ident::with_quote('"', name);
    Expr::CompoundIdentifier(vec![ident(table), ident(column)])
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

fn unknown_columns(what: &str) -> Error {
    Error::query(format!("{what} needs tables whose columns are known here"))
        .with_hint("name the columns: FROM f() AS t(a, b); or write ON")
}
