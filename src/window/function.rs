//! Window functions over a partition of any size.
//!
//! Each [`Function`] gives its results block by block, in order, and reads the rows it needs through
//! cursors of its own. What it holds besides them does not grow with the partition, but for
//! aggregates that keep their values and functions we know nothing of; they say how much they hold.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_expr::PhysicalSortExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_expr::window::{
    PlainAggregateWindowExpr, SlidingAggregateWindowExpr, StandardWindowExpr, WindowExpr,
};
use datafusion::physical_plan::windows::WindowUDFExpr;

use super::aggregate::Aggregate;
use super::buffered::Buffered;
use super::frame::{Frames, Grain, Part};
use super::ranking::{Number, NumberKind};
use super::rows::{Exprs, Rows};
use super::running::Running;
use super::values::{Pick, Target};

/// A window function over the rows of one partition.
pub(super) enum Function {
    Number(Number),
    Pick(Box<Pick>),
    Running(Box<Running>),
    Aggregate(Box<Aggregate>),
    Buffered(Box<Buffered>),
}

impl Function {
    /// The function of an expression, for a new partition.
    ///
    /// # Errors
    /// If the expression cannot be evaluated at all.
    pub(super) fn of(
        expr: &Arc<dyn WindowExpr>,
        schema: &SchemaRef,
        memory: &MemoryReservation,
    ) -> Result<Self> {
        let any = expr.as_any();
        if let Some(plain) = any.downcast_ref::<PlainAggregateWindowExpr>()
            && !has_filter(expr)
        {
            if let Some(running) = Running::of(expr, schema)? {
                return Ok(Function::Running(Box::new(running)));
            }
            let aggregate = Aggregate::new(expr, plain.get_aggregate_expr(), false, memory)?;
            return Ok(Function::Aggregate(Box::new(aggregate)));
        }
        if let Some(sliding) = any.downcast_ref::<SlidingAggregateWindowExpr>()
            && !has_filter(expr)
        {
            let aggregate = Aggregate::new(expr, sliding.get_aggregate_expr(), true, memory)?;
            return Ok(Function::Aggregate(Box::new(aggregate)));
        }
        if let Some(standard) = any.downcast_ref::<StandardWindowExpr>()
            && let Some(function) = standard.get_standard_func_expr().as_any().downcast_ref()
            && let Some(known) = Function::known(expr, function)?
        {
            return Ok(known);
        }
        Ok(Function::Buffered(Box::new(Buffered::new(expr, memory))))
    }

    fn known(expr: &Arc<dyn WindowExpr>, function: &WindowUDFExpr) -> Result<Option<Self>> {
        let fun = function.fun();
        if let Some(kind) = NumberKind::of_function(function) {
            return Ok(Some(Function::Number(Number::new(kind, expr))));
        }
        let Some(target) = Target::of(fun, function) else { return Ok(None) };
        Ok(Some(Function::Pick(Box::new(Pick::new(target, expr, function)?))))
    }

    /// The results for the next block.
    ///
    /// # Errors
    /// Those of reading on and of the function.
    pub(super) async fn column(&mut self, rows: &mut Rows, part: &Part) -> Result<ArrayRef> {
        match self {
            Function::Number(number) => number.column(rows, part).await,
            Function::Pick(pick) => pick.column(rows, part).await,
            Function::Running(running) => running.column(rows, part).await,
            Function::Aggregate(aggregate) => aggregate.column(rows, part).await,
            Function::Buffered(buffered) => buffered.column(rows, part).await,
        }
    }

    /// The first row whose block it may still ask for.
    pub(super) fn needs(&self) -> usize {
        match self {
            Function::Number(number) => number.needs(),
            Function::Pick(pick) => pick.needs(),
            Function::Running(running) => running.needs(),
            Function::Aggregate(aggregate) => aggregate.needs(),
            Function::Buffered(buffered) => buffered.needs(),
        }
    }
}

/// The aggregate of an expression that has one value for each partition, where DataFusion can
/// compute it for many of them at once.
pub(super) fn aggregate_of_partitions(
    expr: &Arc<dyn WindowExpr>,
) -> Option<&AggregateFunctionExpr> {
    let plain = expr.as_any().downcast_ref::<PlainAggregateWindowExpr>()?;
    let frames = Frames::new(expr.get_window_frame(), expr.order_by()).ok()?;
    let aggregate = plain.get_aggregate_expr();
    let is_one = frames.grain == Grain::Partition && !has_filter(expr);
    (is_one && aggregate.groups_accumulator_supported()).then_some(aggregate)
}

/// Whether an aggregate has a FILTER. DataFusion 55 does not give it but in what it prints, where
/// it is the last field.
pub(super) fn has_filter(expr: &Arc<dyn WindowExpr>) -> bool {
    !format!("{expr:?}").ends_with("filter: None }")
}

/// A flag of a function that DataFusion 55 does not give but in what it prints.
pub(super) fn has_flag(function: &WindowUDFExpr, flag: &str) -> bool {
    format!("{function:?}").contains(&format!("{flag}: true"))
}

/// An argument that must be a whole number; NULL is 0.
pub(super) fn literal(function: &WindowUDFExpr, argument: usize) -> Option<i64> {
    let value = function.args().get(argument)?.downcast_ref::<Literal>()?.value();
    if value.is_null() {
        return Some(0);
    }
    if !value.data_type().is_integer() {
        return None;
    }
    value.cast_to(&arrow::datatypes::DataType::Int64).ok()?.try_into().ok()
}

/// The expressions of ORDER BY.
pub(super) fn order_exprs(order_by: &[PhysicalSortExpr]) -> Exprs {
    order_by.iter().map(|order| Arc::clone(&order.expr)).collect()
}
