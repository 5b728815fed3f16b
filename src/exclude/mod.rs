//! Window frames without some of their rows: `EXCLUDE CURRENT ROW`, `GROUP` and `TIES`.
//!
//! - this module: [`FrameExclusion`], the rule, which computes an aggregate for the parts that are
//!   left of a frame and puts them together
//! - `parts`: the parts; `clipped`: aggregates over those that no frame can say
//! - `tokens`: how the words get past the parser

mod clipped;
mod parts;
mod tokens;

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult};
use datafusion::common::{Column, ScalarValue, not_impl_err};
use datafusion::error::Result;
use datafusion::functions::core::expr_fn::{greatest, least};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{
    AggregateUDF, Expr, LogicalPlan, Projection, Window, WindowFunctionDefinition, cast, lit, when,
};
use datafusion::optimizer::AnalyzerRule;

use parts::{Part, parts};
pub(crate) use tokens::{as_written, is_mark, with_exclusions};

/// What a frame leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exclusion {
    NoOthers,
    CurrentRow,
    /// The row and its peers.
    Group,
    /// Its peers.
    Ties,
}

impl Exclusion {
    const ALL: [Self; 4] = [Self::NoOthers, Self::CurrentRow, Self::Group, Self::Ties];

    fn words(self) -> &'static [&'static str] {
        match self {
            Exclusion::NoOthers => &["NO", "OTHERS"],
            Exclusion::CurrentRow => &["CURRENT", "ROW"],
            Exclusion::Group => &["GROUP"],
            Exclusion::Ties => &["TIES"],
        }
    }

    fn of(words: &[&str]) -> Option<Self> {
        Self::ALL.into_iter().find(|exclusion| exclusion.words() == words)
    }

    /// The constant that stands for it among the expressions to partition by.
    fn mark(self) -> &'static str {
        match self {
            Exclusion::NoOthers => "EXCLUDE NO OTHERS",
            Exclusion::CurrentRow => "EXCLUDE CURRENT ROW",
            Exclusion::Group => "EXCLUDE GROUP",
            Exclusion::Ties => "EXCLUDE TIES",
        }
    }

    fn of_mark(expr: &Expr) -> Option<Self> {
        let Expr::Cast(cast) = expr else { return None };
        let Expr::Literal(value, _) = cast.expr.as_ref() else { return None };
        let text = value.try_as_str()??;
        Self::ALL.into_iter().find(|exclusion| exclusion.mark() == text)
    }
}

/// Computes aggregates over frames that leave rows out from aggregates over whole frames.
#[derive(Debug)]
pub(crate) struct FrameExclusion;

impl AnalyzerRule for FrameExclusion {
    fn name(&self) -> &'static str {
        "frame_exclusion"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let rewritten = plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::Window(window) if window.window_expr.iter().any(is_marked) => {
                Ok(Transformed::yes(without_marks(&window)?))
            }
            node => Ok(Transformed::no(node)),
        });
        rewritten.data()
    }
}

fn is_marked(expr: &Expr) -> bool {
    let Expr::WindowFunction(function) = expr.clone().unalias() else { return false };
    function.params.partition_by.iter().any(|expr| Exclusion::of_mark(expr).is_some())
}

/// The same columns from windows whose frames are whole.
fn without_marks(window: &Window) -> Result<LogicalPlan> {
    let input = window.input.schema();
    let mut columns: Vec<Expr> = input.columns().into_iter().map(Expr::Column).collect();
    let width = columns.len();
    let mut windows = Windows::default();
    for (place, expr) in window.window_expr.iter().enumerate() {
        let Expr::WindowFunction(mut function) = expr.clone().unalias() else {
            return not_impl_err!("EXCLUDE in {expr}");
        };
        let mark = function.params.partition_by.iter().find_map(Exclusion::of_mark);
        function.params.partition_by.retain(|expr| Exclusion::of_mark(expr).is_none());
        let (qualifier, field) = window.schema.qualified_field(width + place);
        let value = match mark {
            None | Some(Exclusion::NoOthers) => windows.parts.add(Expr::WindowFunction(function)),
            Some(mark) => Pieces { function: &function, windows: &mut windows }
                .value(mark, field.data_type())?,
        };
        columns.push(value.alias_qualified(qualifier.cloned(), field.name()));
    }
    let plan = windows.of(window.input.as_ref().clone())?;
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(plan))?))
}

/// The windows that functions are put together from.
struct Windows {
    /// Where the peers are, which parts may read.
    peers: Columns,
    parts: Columns,
}

impl Default for Windows {
    fn default() -> Self {
        Windows { peers: Columns::new("__peers"), parts: Columns::new("__part") }
    }
}

impl Windows {
    /// The rows of a plan with the columns of all windows.
    fn of(self, mut plan: LogicalPlan) -> Result<LogicalPlan> {
        for exprs in self.peers.by_order().into_iter().chain(self.parts.by_order()) {
            plan = LogicalPlan::Window(Window::try_new(exprs, Arc::new(plan))?);
        }
        Ok(plan)
    }
}

/// Expressions, each once, and the names of their columns.
struct Columns {
    prefix: &'static str,
    exprs: Vec<(Expr, String)>,
}

impl Columns {
    fn new(prefix: &'static str) -> Self {
        Columns { prefix, exprs: Vec::new() }
    }

    /// Computes an expression; its column.
    fn add(&mut self, expr: Expr) -> Expr {
        let known = self.exprs.iter().find(|(known, _)| *known == expr);
        let name = match known {
            Some((_, name)) => name.clone(),
            None => {
                let name = format!("{}_{}", self.prefix, self.exprs.len());
                self.exprs.push((expr, name.clone()));
                name
            }
        };
        Expr::Column(Column::new_unqualified(name))
    }

    /// The expressions with their names. Windows of the same order stand in one node, so that they
    /// see peers in one order.
    fn by_order(self) -> Vec<Vec<Expr>> {
        let mut nodes: Vec<Vec<(Expr, String)>> = Vec::new();
        for column in self.exprs {
            let node = nodes.iter_mut().find(|node| has_same_order(&node[0].0, &column.0));
            match node {
                Some(node) => node.push(column),
                None => nodes.push(vec![column]),
            }
        }
        let aliased = |(expr, name): (Expr, String)| expr.alias(name);
        nodes.into_iter().map(|node| node.into_iter().map(aliased).collect()).collect()
    }
}

/// Whether two windows have the same PARTITION BY and ORDER BY.
fn has_same_order(one: &Expr, other: &Expr) -> bool {
    match (one, other) {
        (Expr::WindowFunction(one), Expr::WindowFunction(other)) => {
            one.params.partition_by == other.params.partition_by
                && one.params.order_by == other.params.order_by
        }
        _ => false,
    }
}

/// A function that is put together from windows.
struct Pieces<'a> {
    function: &'a WindowFunction,
    windows: &'a mut Windows,
}

impl Pieces<'_> {
    fn value(&mut self, mark: Exclusion, data_type: &DataType) -> Result<Expr> {
        let WindowFunctionDefinition::AggregateUDF(aggregate) = &self.function.fun else {
            return not_impl_err!("EXCLUDE with {}", self.function.fun.name());
        };
        if self.function.params.distinct {
            return not_impl_err!("EXCLUDE with DISTINCT");
        }
        match (aggregate.name(), data_type) {
            ("count", _) => self.count(mark),
            ("sum", _) => self.sum(aggregate, data_type, mark),
            ("min", _) => {
                let smaller = |one, other| Ok(least(vec![one, other]));
                self.total(aggregate, data_type, mark, smaller)
            }
            ("max", _) => {
                let greater = |one, other| Ok(greatest(vec![one, other]));
                self.total(aggregate, data_type, mark, greater)
            }
            ("avg", DataType::Float64) => {
                let sum = self.sum(&sum_udaf(), data_type, mark)?;
                let count = self.count(mark)?;
                // Without a value the sum is NULL.
                let count = when(count.clone().gt(lit(0_i64)), count).end()?;
                Ok(sum / cast(count, DataType::Float64))
            }
            (name, data_type) => not_impl_err!("EXCLUDE with {name} of {data_type}"),
        }
    }

    /// The windows of an aggregate over the parts of the frame.
    fn over(&mut self, aggregate: &Arc<AggregateUDF>, parts: &[Part]) -> Result<Vec<Expr>> {
        let Windows { peers, parts: columns } = &mut *self.windows;
        let windows = parts.iter().map(|part| part.window(self.function, aggregate, peers));
        let windows = windows.filter_map(Result::transpose);
        windows.map(|window| Ok(columns.add(window?))).collect()
    }

    fn count(&mut self, mark: Exclusion) -> Result<Expr> {
        let parts = parts(&self.function.params, mark);
        let counts = self.over(&count_udaf(), &parts)?;
        let mut count = counts.into_iter().reduce(|one, other| one + other);
        if parts.contains(&Part::Itself) {
            let known = self.function.params.args.iter().map(|arg| arg.clone().is_not_null());
            let is_counted = conjunction(known.chain(self.filter())).unwrap_or_else(|| lit(true));
            let own = when(is_counted, lit(1_i64)).otherwise(lit(0_i64))?;
            count = Some(match count {
                Some(count) => count + own,
                None => own,
            });
        }
        Ok(count.unwrap_or_else(|| lit(0_i64)))
    }

    fn sum(
        &mut self,
        sum: &Arc<AggregateUDF>,
        data_type: &DataType,
        mark: Exclusion,
    ) -> Result<Expr> {
        self.total(sum, data_type, mark, |one, other| add_known(one, other, data_type))
    }

    /// An aggregate of which two come to one by an operation that leaves out NULL.
    fn total(
        &mut self,
        aggregate: &Arc<AggregateUDF>,
        data_type: &DataType,
        mark: Exclusion,
        both: impl Fn(Expr, Expr) -> Result<Expr>,
    ) -> Result<Expr> {
        let parts = parts(&self.function.params, mark);
        let mut values = self.over(aggregate, &parts)?;
        if parts.contains(&Part::Itself) {
            let own = cast(self.function.params.args[0].clone(), data_type.clone());
            values.push(match self.filter() {
                Some(filter) => when(filter, own).end()?,
                None => own,
            });
        }
        let mut values = values.into_iter();
        let Some(first) = values.next() else {
            return Ok(lit(ScalarValue::try_from(data_type)?));
        };
        values.try_fold(first, both)
    }

    fn filter(&self) -> Option<Expr> {
        self.function.params.filter.as_deref().cloned()
    }
}

/// The sum of two values; of one, if the other is NULL.
fn add_known(one: Expr, other: Expr, data_type: &DataType) -> Result<Expr> {
    // Two decimals make one with more digits.
    let both = cast(one.clone() + other.clone(), data_type.clone());
    when(one.clone().is_null(), other.clone()).when(other.is_null(), one).otherwise(both)
}
