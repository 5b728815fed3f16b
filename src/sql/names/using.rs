//! Joins: their conditions, and which columns they leave in sight.

use std::ops::Range;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Ident, Join, JoinConstraint, JoinOperator,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::exact::{at, last_ident, one_spelling, same, set_exact};
use super::tables::Column;
use super::{Merged, Relation, Resolver, Scope};
use crate::error::{Error, Result};
use crate::sql::dialect::{and, binary, call};

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

/// The places of the relations of a join in their scope: one side, and from `middle` on the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sides {
    pub(super) start: usize,
    pub(super) middle: usize,
    pub(super) end: usize,
}

impl Sides {
    pub(super) fn left(self) -> Range<usize> {
        self.start..self.middle
    }

    pub(super) fn right(self) -> Range<usize> {
        self.middle..self.end
    }

    pub(super) fn both(self) -> Range<usize> {
        self.start..self.end
    }
}

impl Resolver<'_> {
    pub(super) fn join(&mut self, join: &mut Join, sides: Sides) -> Result<()> {
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
                    self.using(ident, sides)?;
                    keys.push(ident.clone());
                }
                if !is_asof {
                    self.keys(constraint, keys, kind, sides)?;
                }
            }
            JoinConstraint::Natural if is_asof => {}
            JoinConstraint::Natural => match self.common(sides)? {
                Some(keys) => self.keys(constraint, keys, kind, sides)?,
                None if kind == Kind::Left || kind == Kind::LeftOnly => {}
                None => return Err(unknown_columns("NATURAL")),
            },
            JoinConstraint::None => {}
        }
        if is_asof {
            self.asof(join, sides)?;
        }
        let scope = self.scope_mut();
        match kind {
            Kind::LeftOnly => scope.leave_out(sides.right()),
            Kind::RightOnly => scope.leave_out(sides.left()),
            _ => {}
        }
        Ok(())
    }

    /// `USING (id)`: both sides must spell the column the same.
    fn using(&mut self, ident: &mut Ident, sides: Sides) -> Result<()> {
        let relations = &self.scope().relations;
        let side = |side: Range<usize>| {
            let columns = relations[side].iter().filter_map(|r| r.columns.as_ref()).flatten();
            one_spelling(ident, columns.map(|c| c.name.clone()).filter(|name| same(ident, name)))
        };
        let (left, right) = (side(sides.left())?, side(sides.right())?);
        match (left, right) {
            (Some(left), Some(right)) if left != right => {
                Err(two_spellings(&format!("USING ({})", ident.value), &left, &right, ident.span))
            }
            (Some(exact), _) | (_, Some(exact)) => {
                set_exact(ident, &exact);
                Ok(())
            }
            (None, None) => Ok(()),
        }
    }

    /// The columns that both sides have, in the order of the left one.
    fn common(&self, sides: Sides) -> Result<Option<Vec<Ident>>> {
        let relations = &self.scope().relations;
        let columns = |side: Range<usize>| {
            let columns: Option<Vec<&Vec<Column>>> =
                relations[side].iter().map(|relation| relation.columns.as_ref()).collect();
            columns.map(|columns| columns.into_iter().flatten().map(|column| &column.name))
        };
        let (Some(left), Some(right)) = (columns(sides.left()), columns(sides.right())) else {
            return Ok(None);
        };
        let right: Vec<&String> = right.collect();
        let mut keys: Vec<Ident> = Vec::new();
        for name in left {
            if keys.iter().any(|key| key.value == *name) {
                continue;
            }
            if right.contains(&name) {
                keys.push(Ident::with_quote('"', name));
                continue;
            }
            let any_case = Ident::new(name);
            if let Some(other) = right.iter().find(|other| same(&any_case, other)) {
                return Err(two_spellings("NATURAL", name, other, Span::empty()));
            }
        }
        if keys.is_empty() {
            return Err(Error::query("a NATURAL join of sides that have no column in common")
                .with_hint("write ON with a condition, or CROSS JOIN for every pair of rows"));
        }
        Ok(Some(keys))
    }

    /// Keys of USING and NATURAL: `*` gives them once. Where DataFusion would give the key of the
    /// left side, which is NULL for rows that are only on the right, they become conditions, and
    /// the name an expression of both.
    fn keys(
        &mut self,
        constraint: &mut JoinConstraint,
        keys: Vec<Ident>,
        kind: Kind,
        sides: Sides,
    ) -> Result<()> {
        let merged = &self.scope().merged;
        let is_merged = |key: &Ident| merged.iter().any(|m| m.is(&key.value, &sides.both()));
        if matches!(kind, Kind::Right | Kind::Full) || keys.iter().any(is_merged) {
            let mut condition: Option<Expr> = None;
            for key in &keys {
                let left = self.key_of(key, sides.left())?;
                let right = self.key_of(key, sides.right())?;
                condition =
                    Some(and(condition, binary(left.clone(), BinaryOperator::Eq, right.clone())));
                let expr = match kind {
                    Kind::Full => call("coalesce", vec![left, right]),
                    Kind::Right => right,
                    Kind::Left => left,
                    Kind::LeftOnly | Kind::RightOnly => continue,
                };
                self.scope_mut().merge(&key.value, expr, sides.both());
            }
            *constraint = condition.map_or(JoinConstraint::None, JoinConstraint::On);
        }
        // A side that is alone gives all of its columns.
        if !matches!(kind, Kind::LeftOnly | Kind::RightOnly) {
            for relation in &mut self.scope_mut().relations[sides.right()] {
                relation.hidden.extend(keys.iter().map(|key| key.value.clone()));
            }
        }
        Ok(())
    }

    /// The key of this name on one side: a column, or what a join has made of several.
    fn key_of(&self, key: &Ident, side: Range<usize>) -> Result<Expr> {
        let scope = self.scope();
        let merged: Vec<&Merged> =
            scope.merged.iter().filter(|merged| merged.is(&key.value, &side)).collect();
        let relations = &scope.relations[side.clone()];
        let has = |(place, relation): &(usize, &Relation)| {
            let columns = relation.columns.iter().flatten();
            !merged.iter().any(|merged| merged.of.contains(place))
                && !relation.hidden.contains(&key.value)
                && columns.into_iter().any(|column| column.name == key.value)
        };
        let plain: Vec<_> = side.zip(relations).filter(has).collect();
        match (merged.as_slice(), plain.as_slice()) {
            ([merged], []) => Ok(merged.expr.clone()),
            ([], [(_, relation)]) => match &relation.name {
                Some(name) => Ok(qualified(name, &key.value)),
                None => Err(Error::query("USING in RIGHT and FULL joins needs tables with names")
                    .with_hint("give the subquery an alias: (SELECT …) AS s")),
            },
            ([], []) if relations.iter().any(|relation| relation.columns.is_none()) => {
                Err(unknown_columns("USING"))
            }
            ([], []) => {
                let error = Error::query(format!("USING: no column \"{}\" on one side", key.value));
                Err(at(error, key.span))
            }
            _ => {
                let error = Error::query(format!("\"{}\" is ambiguous in USING", key.value))
                    .with_hint("write ON with the tables of both columns");
                Err(at(error, key.span))
            }
        }
    }
}

impl Scope {
    /// Remembers what the key of a join of these relations is.
    pub(super) fn merge(&mut self, name: &str, expr: Expr, of: Range<usize>) {
        self.merged.retain(|merged| !merged.is(name, &of));
        self.merged.push(Merged { name: name.to_string(), expr, of });
    }

    /// Forgets relations that a join gives no columns of.
    fn leave_out(&mut self, places: Range<usize>) {
        self.relations.drain(places.clone());
        let moved = |place: usize| match place < places.end {
            true => place.min(places.start),
            false => place - places.len(),
        };
        for merged in &mut self.merged {
            merged.of = moved(merged.of.start)..moved(merged.of.end);
        }
        self.merged.retain(|merged| !merged.of.is_empty());
    }
}

impl Merged {
    /// Whether it is the key of this name of a join within these relations.
    fn is(&self, name: &str, relations: &Range<usize>) -> bool {
        self.name == name && relations.start <= self.of.start && self.of.end <= relations.end
    }
}

pub(super) fn qualified(table: &str, column: &str) -> Expr {
    let ident = |name| Ident::with_quote('"', name);
    Expr::CompoundIdentifier(vec![ident(table), ident(column)])
}

fn two_spellings(what: &str, left: &str, right: &str, span: Span) -> Error {
    let error =
        Error::query(format!("{what} matches \"{left}\" on one side and \"{right}\" on the other"));
    at(error.with_hint(format!("write ON with both names: ON a.\"{left}\" = b.\"{right}\"")), span)
}

fn unknown_columns(what: &str) -> Error {
    Error::query(format!("{what} needs tables whose columns are known here"))
        .with_hint("name the columns: FROM f() AS t(a, b); or write ON")
}
