//! Windows in expressions: each becomes a column before what it is part of is evaluated.
//!
//! Windows inside of others come first, so that they nest. One that depends on the order of the rows
//! and names none has that of the frame, and the rows keep theirs, whatever order a window needs.

use std::cmp::Ordering;

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::utils::{
    compare_sort_expr, find_window_exprs, group_window_expr_by_sort_keys,
};
use datafusion::logical_expr::{
    Expr, LogicalPlanBuilder, SortExpr, WindowFrameUnits, WindowFunctionDefinition,
};

use super::DataFrame;
use super::names::{distinctly_named, free_of, names, under_its_name};
use super::order::is_of_order;
use super::window::row_number;
use crate::error::{Error, Result};
use crate::udf;

impl DataFrame {
    /// The frame with a column for each window of some expressions, and the expressions in terms of
    /// its columns, under the names they had. Names in them are exact.
    pub(super) fn windowed(&self, mut exprs: Vec<Expr>) -> Result<(Self, Vec<Expr>)> {
        let windows = windows_of(&exprs)?;
        if windows.is_empty() {
            return Ok((self.clone(), exprs));
        }
        let mut frame = self.clone();
        let known = self.order();
        let order = match &known {
            Some(order) => order.clone(),
            // Others may need an order of their own, in which these must not find the rows.
            None if windows.iter().any(is_as_they_come) && !windows.iter().all(is_as_they_come) => {
                let numbers = frame.add_windows(vec![row_number()])?;
                numbers.into_iter().map(|(_, number)| number.sort(true, false)).collect()
            }
            None => Vec::new(),
        };
        exprs = exprs
            .into_iter()
            .map(|expr| in_order(expr, &order, known.is_some()))
            .collect::<Result<_>>()?;
        while !find_window_exprs(&exprs).is_empty() {
            let columns = frame.set_apart(self.plan.schema().fields().len())?;
            exprs = in_terms_of(&columns, exprs)?;
            let innermost = windows_of(&exprs)?.into_iter().filter(|window| !has_inner(window));
            let columns = frame.add_windows(innermost.collect())?;
            exprs = in_terms_of(&columns, exprs)?;
        }
        if let Some(order) = known {
            frame = frame.in_order(order)?;
        }
        Ok((frame, exprs))
    }

    /// Gives the columns from a place on other names, and both with each other. DataFusion evaluates
    /// what windows above each other have in common below all of them, where their columns are not
    /// there yet; a projection between them keeps it from that.
    fn set_apart(&mut self, place: usize) -> Result<Vec<(Expr, Expr)>> {
        let mut taken = self.names();
        let mut all: Vec<Expr> =
            self.plan.schema().columns().into_iter().map(Expr::Column).collect();
        let added = all.split_off(place);
        let mut columns = Vec::new();
        for column in added {
            let name = free_of(&taken, "window");
            columns.push((column.clone(), Expr::Column(Column::new_unqualified(&name))));
            all.push(column.alias(&name));
            taken.push(name);
        }
        if !columns.is_empty() {
            *self = self.with(self.plan.clone().select(all)?);
        }
        Ok(columns)
    }

    /// Adds a column for each of these windows, and gives the windows with their columns.
    fn add_windows(&mut self, windows: Vec<Expr>) -> Result<Vec<(Expr, Expr)>> {
        let mut plan = self.plan.logical_plan().clone();
        let mut groups = group_window_expr_by_sort_keys(windows)?;
        // Rows that are sorted by more keys are sorted by less of them too.
        groups.sort_by(|(one, _), (other, _)| {
            let keys = one.iter().zip(other);
            let keys =
                keys.map(|((one, _), (other, _))| compare_sort_expr(one, other, plan.schema()));
            keys.fold(Ordering::Equal, Ordering::then).then(other.len().cmp(&one.len()))
        });
        let mut columns = Vec::new();
        for (_, windows) in groups {
            let named = distinctly_named(names(plan.schema()), windows.clone());
            let width = plan.schema().fields().len();
            plan = LogicalPlanBuilder::from(plan).window(named)?.build()?;
            let added = plan.schema().columns().into_iter().skip(width).map(Expr::Column);
            columns.extend(windows.into_iter().zip(added));
        }
        *self = self.planned(plan);
        Ok(columns)
    }
}

/// All windows of expressions, those inside of others too.
fn windows_of(exprs: &[Expr]) -> Result<Vec<Expr>> {
    let mut windows = Vec::new();
    for expr in exprs {
        expr.apply(|expr| {
            if matches!(expr, Expr::WindowFunction(_)) && !windows.contains(expr) {
                windows.push(expr.clone());
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    Ok(windows)
}

/// Whether there is a window inside of a window.
fn has_inner(window: &Expr) -> bool {
    let mut has_inner = false;
    let looked = window.apply_children(|part| {
        has_inner |= !find_window_exprs([part]).is_empty();
        Ok(TreeNodeRecursion::Continue)
    });
    looked.is_ok() && has_inner
}

/// Whether a window takes all rows in the order in which they come.
fn is_as_they_come(expr: &Expr) -> bool {
    match expr {
        Expr::WindowFunction(window) => {
            lacks_order(window) && window.params.partition_by.is_empty()
        }
        _ => false,
    }
}

/// Whether the values of a window depend on the order of the rows, and it does not say which.
fn lacks_order(window: &WindowFunction) -> bool {
    let frame = &window.params.window_frame;
    let is_whole = frame.start_bound.is_unbounded() && frame.end_bound.is_unbounded();
    window.params.order_by.is_empty()
        && match &window.fun {
            WindowFunctionDefinition::WindowUDF(_) => true,
            WindowFunctionDefinition::AggregateUDF(function) => {
                is_of_order(function) || (!is_whole && frame.units == WindowFrameUnits::Rows)
            }
        }
}

/// Whether a function makes sense for rows in any order: it numbers or divides them, takes any of
/// them, or it is one of the program, of which nothing is known.
fn takes_any_order(window: &WindowFunction) -> bool {
    match &window.fun {
        WindowFunctionDefinition::WindowUDF(function) => {
            matches!(function.name(), "row_number" | "ntile") || udf::is_window(function)
        }
        WindowFunctionDefinition::AggregateUDF(function) => is_of_order(function),
    }
}

/// An expression whose windows have an order where they depend on one. If it `is_known`, it is that
/// of the frame.
fn in_order(expr: Expr, order: &[SortExpr], is_known: bool) -> Result<Expr> {
    let name = expr.schema_name().to_string();
    let changed = expr.transform_up(|expr| {
        let Expr::WindowFunction(mut window) = expr else { return Ok(Transformed::no(expr)) };
        if !lacks_order(&window) {
            return Ok(Transformed::no(Expr::WindowFunction(window)));
        }
        if !is_known && !window.params.partition_by.is_empty() {
            if !takes_any_order(&window) {
                return Err(unordered(&window).into());
            }
            return Ok(Transformed::no(Expr::WindowFunction(window)));
        }
        window.params.order_by = order.to_vec();
        Ok(Transformed::yes(Expr::WindowFunction(window)))
    })?;
    Ok(under_its_name(changed, &name))
}

fn unordered(window: &WindowFunction) -> Error {
    let name = window.fun.name();
    Error::query(format!(
        "\"{name}\" within groups depends on the order of the rows, which have none"
    ))
    .with_hint("sort the frame first, or name the order: .ordered(&[\"day\"])")
}

/// Expressions with other columns in the place of parts of them, under the names they had.
fn in_terms_of(columns: &[(Expr, Expr)], exprs: Vec<Expr>) -> Result<Vec<Expr>> {
    let replaced = exprs.into_iter().map(|expr| {
        let name = expr.schema_name().to_string();
        let changed = expr.transform_down(|expr| {
            Ok(match columns.iter().find(|(part, _)| *part == expr) {
                Some((_, column)) => {
                    Transformed::new(column.clone(), true, TreeNodeRecursion::Jump)
                }
                None => Transformed::no(expr),
            })
        })?;
        Ok(under_its_name(changed, &name))
    });
    replaced.collect()
}
