//! Closures over the values of a partition.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::error::Result;
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{
    LimitEffect, PartitionEvaluator, Signature, Volatility, WindowUDF, WindowUDFImpl,
};
use datafusion::physical_expr::PhysicalExpr;

use super::types::{Output, Value, converted, typed};
use super::{Same, guarded};

pub(super) fn function<V: Value, O: Output + 'static>(
    name: String,
    closure: impl Fn(&[Option<V>]) -> Vec<O> + Send + Sync + 'static,
) -> WindowUDF {
    let whole = move |column: &ArrayRef, rows: usize| -> Result<ArrayRef, String> {
        let column = typed::<V::Column>(column).map_err(|error| error.to_string())?;
        let value = |row| column.is_valid(row).then(|| V::at(column, row));
        let values: Vec<Option<V>> = (0..rows).map(value).collect();
        let results = closure(&values);
        if results.len() != rows {
            return Err(format!("gave {} values for {rows} rows", results.len()));
        }
        let results = results.into_iter().map(Output::outcome);
        let column: <O::Value as Value>::Column = results.collect::<Result<_, _>>()?;
        Ok(Arc::new(column))
    };
    WindowUDF::from(Function {
        name,
        signature: Signature::user_defined(Volatility::Immutable),
        arguments: vec![V::DATA_TYPE],
        result: O::Value::DATA_TYPE,
        whole: Same(Arc::new(whole)),
    })
}

type Whole = dyn Fn(&ArrayRef, usize) -> Result<ArrayRef, String> + Send + Sync;

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Function {
    name: String,
    signature: Signature,
    arguments: Vec<DataType>,
    result: DataType,
    whole: Same<Whole>,
}

impl WindowUDFImpl for Function {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        converted(&self.name, &self.arguments, given)
    }

    fn partition_evaluator(
        &self,
        _: PartitionEvaluatorArgs,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(Evaluator { name: self.name.clone(), whole: self.whole.clone() }))
    }

    fn field(&self, args: WindowUDFFieldArgs) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(args.name(), self.result.clone(), true)))
    }

    fn limit_effect(&self, _: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        LimitEffect::Unknown
    }
}

#[derive(Debug)]
struct Evaluator {
    name: String,
    whole: Same<Whole>,
}

impl PartitionEvaluator for Evaluator {
    fn evaluate_all(&mut self, values: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        guarded(&self.name, || (self.whole.0)(&values[0], rows))
    }
}
