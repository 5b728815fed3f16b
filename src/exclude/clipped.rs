//! Aggregates over what a frame has before or after the peers of a row.
//!
//! No frame of SQL can say that: such a part has one end in common with the frame, and the other one
//! with the peers. DataFusion finds the frame, and two more arguments say where the peers are.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{FieldRef, Int64Type, Schema, UInt64Type};
use datafusion::common::{ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::function::{
    AccumulatorArgs, PartitionEvaluatorArgs, WindowUDFFieldArgs,
};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, LimitEffect, PartitionEvaluator, Signature, Volatility, WindowUDF,
    WindowUDFImpl,
};
use datafusion::physical_expr::PhysicalExpr;

/// A part of a frame that is without the peers of the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Side {
    Before,
    After,
}

/// An aggregate over a part of the frame. After its own arguments come the number of the first peer in
/// the partition, from 1, and how many peers there are.
pub(super) fn clipped(aggregate: &Arc<AggregateUDF>, side: Side) -> Arc<WindowUDF> {
    let part = match side {
        Side::Before => "before_peers",
        Side::After => "after_peers",
    };
    Arc::new(WindowUDF::from(Clipped {
        name: format!("__{}_{part}", aggregate.name()),
        signature: Signature::variadic_any(Volatility::Immutable),
        aggregate: Arc::clone(aggregate),
        side,
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Clipped {
    name: String,
    signature: Signature,
    aggregate: Arc<AggregateUDF>,
    side: Side,
}

impl WindowUDFImpl for Clipped {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn partition_evaluator(
        &self,
        args: PartitionEvaluatorArgs,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        let ([exprs @ .., _, _], [fields @ .., _, _]) = (args.input_exprs(), args.input_fields())
        else {
            return internal_err!("{} needs to know the peers", self.name);
        };
        let input = Input {
            aggregate: Arc::clone(&self.aggregate),
            result: self.aggregate.return_field(fields)?,
            exprs: exprs.to_vec(),
            fields: fields.to_vec(),
        };
        let accumulator = input.accumulator()?;
        Ok(Box::new(Evaluator { input, side: self.side, next_row: 0, accumulator, held: 0..0 }))
    }

    fn field(&self, args: WindowUDFFieldArgs) -> Result<FieldRef> {
        let [fields @ .., _, _] = args.input_fields() else {
            return internal_err!("{} needs to know the peers", self.name);
        };
        let field = self.aggregate.return_field(fields)?;
        Ok(Arc::new(field.as_ref().clone().with_name(args.name())))
    }

    fn limit_effect(&self, _: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        LimitEffect::Unknown
    }
}

/// The aggregate and its own arguments.
#[derive(Debug)]
struct Input {
    aggregate: Arc<AggregateUDF>,
    result: FieldRef,
    exprs: Vec<Arc<dyn PhysicalExpr>>,
    fields: Vec<FieldRef>,
}

impl Input {
    fn accumulator(&self) -> Result<Box<dyn Accumulator>> {
        self.aggregate.create_sliding_accumulator(AccumulatorArgs {
            return_field: Arc::clone(&self.result),
            schema: &Schema::empty(),
            ignore_nulls: false,
            order_bys: &[],
            is_reversed: false,
            name: self.aggregate.name(),
            is_distinct: false,
            exprs: &self.exprs,
            expr_fields: &self.fields,
        })
    }
}

/// The rows of a partition, one after the other.
#[derive(Debug)]
struct Evaluator {
    input: Input,
    side: Side,
    next_row: usize,
    accumulator: Box<dyn Accumulator>,
    /// The rows that are in the accumulator.
    held: Range<usize>,
}

impl PartitionEvaluator for Evaluator {
    fn evaluate(&mut self, values: &[ArrayRef], frame: &Range<usize>) -> Result<ScalarValue> {
        let (arguments, others) = values.split_at(self.input.exprs.len());
        // The columns of ORDER BY come last.
        let [first, count, ..] = others else {
            return internal_err!("an aggregate needs to know the peers");
        };
        let row = self.next_row;
        self.next_row += 1;
        let start = first.as_primitive::<UInt64Type>().value(row) as usize - 1;
        let end = start + count.as_primitive::<Int64Type>().value(row) as usize;
        self.value(
            arguments,
            match self.side {
                Side::Before => frame.start..frame.end.min(start),
                Side::After => frame.start.max(end)..frame.end,
            },
        )
    }

    fn uses_window_frame(&self) -> bool {
        true
    }
}

impl Evaluator {
    /// The value for a part, none of whose ends is before that of the last one.
    fn value(&mut self, arguments: &[ArrayRef], part: Range<usize>) -> Result<ScalarValue> {
        if part.start >= self.held.end || part.is_empty() {
            if !self.held.is_empty() {
                self.accumulator = self.input.accumulator()?;
            }
            self.held = part.start..part.start;
        }
        let rows = |range: Range<usize>| -> Vec<ArrayRef> {
            arguments.iter().map(|column| column.slice(range.start, range.len())).collect()
        };
        if part.end > self.held.end {
            self.accumulator.update_batch(&rows(self.held.end..part.end))?;
            self.held.end = part.end;
        }
        if part.start > self.held.start {
            self.accumulator.retract_batch(&rows(self.held.start..part.start))?;
            self.held.start = part.start;
        }
        self.accumulator.evaluate()
    }
}
