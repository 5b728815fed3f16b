//! Functions that are another way to write what DataFusion has.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::{ScalarValue, not_impl_err};
use datafusion::error::Result;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::function::{
    AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs,
};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Expr, Signature, Volatility, lit, when,
};

static COUNT_IF: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| {
    Arc::new(AggregateUDF::from(CountIf {
        aliases: vec!["countif".to_string()],
        signature: Signature::exact(vec![DataType::Boolean], Volatility::Immutable),
    }))
});

/// All of this file.
pub(super) fn functions() -> Vec<Arc<AggregateUDF>> {
    vec![Arc::clone(&COUNT_IF)]
}

/// `count_if(condition)`: how often the condition is true.
///
/// Aggregations count a value that is NULL where it is not; only windows use the accumulator.
#[derive(Debug, PartialEq, Eq, Hash)]
struct CountIf {
    aliases: Vec<String>,
    signature: Signature,
}

impl AggregateUDFImpl for CountIf {
    fn name(&self) -> &'static str {
        "count_if"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn is_nullable(&self) -> bool {
        false
    }

    fn default_value(&self, _: &DataType) -> Result<ScalarValue> {
        Ok(ScalarValue::Int64(Some(0)))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        count_udaf().state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return not_impl_err!("count_if takes no DISTINCT as a window; use bool_or");
        }
        Ok(Box::new(CountIfAccumulator::default()))
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        Some(Box::new(|function, _| {
            let AggregateFunction { mut params, .. } = function;
            for condition in &mut params.args {
                *condition = when(condition.clone(), lit(1_i64)).end()?;
            }
            Ok(Expr::AggregateFunction(AggregateFunction { func: count_udaf(), params }))
        }))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// One group.
#[derive(Debug, Default)]
struct CountIfAccumulator {
    count: i64,
}

/// How many values are true.
fn count_true(values: &[ArrayRef]) -> i64 {
    let conditions: &BooleanArray = values[0].as_boolean();
    conditions.true_count() as i64
}

impl Accumulator for CountIfAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.count += count_true(values);
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(self.count.into())
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.count.into()])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let counts = states[0].as_primitive::<Int64Type>();
        self.count += counts.iter().flatten().sum::<i64>();
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.count -= count_true(values);
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }
}
