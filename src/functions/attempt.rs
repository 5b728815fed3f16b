//! `TRY(value)`: NULL for the rows whose value cannot be computed.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, NullArray, new_null_array};
use arrow::compute::concat;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::plan_err;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    HigherOrderFunctionArgs, HigherOrderUDF, LambdaArgument, LambdaParametersProgress,
    ValueOrLambda,
};

use super::define::field;
use super::lambda::{Arguments, Definition, fits_all, lambda_of};

/// The function that `TRY(value)` becomes, with the value as a lambda: arguments would be computed
/// before it is called.
pub(super) const TRY: &str = "try";

pub(super) fn lambda_functions() -> Vec<Arc<HigherOrderUDF>> {
    let takes = |_: &str, types: &[DataType]| Ok(types.to_vec());
    let definition =
        Definition { name: TRY, aliases: &[], takes, parameters, fits: fits_all, gives, computes };
    vec![definition.build()]
}

/// One that nobody uses, by which the lambda knows how many rows there are.
fn parameters(_: &str, args: &Arguments) -> Result<LambdaParametersProgress> {
    match args {
        [ValueOrLambda::Lambda(_)] => {
            Ok(LambdaParametersProgress::Complete(vec![vec![field("row", DataType::Null)]]))
        }
        _ => plan_err!("TRY takes one value"),
    }
}

fn gives(name: &str, args: &[ValueOrLambda<FieldRef, FieldRef>]) -> Result<FieldRef> {
    match args {
        [ValueOrLambda::Lambda(value)] => Ok(field(name, value.data_type().clone())),
        _ => plan_err!("TRY takes one value"),
    }
}

fn computes(_: &str, args: &HigherOrderFunctionArgs) -> Result<ArrayRef> {
    attempt(lambda_of(args, 0)?, 0, args.number_rows, args.return_type())
}

/// The values of some rows: of all of them if that goes well, else of each half.
fn attempt(
    value: &LambdaArgument,
    first: usize,
    rows: usize,
    data_type: &DataType,
) -> Result<ArrayRef> {
    let computed = value
        .evaluate(&[&|| Ok(Arc::new(NullArray::new(rows)))], |captured| {
            Ok(captured.iter().map(|column| column.slice(first, rows)).collect())
        })
        .and_then(|values| values.into_array(rows));
    match computed {
        Ok(values) => Ok(values),
        Err(err) if !is_of_a_value(&err) => Err(err),
        Err(_) if rows <= 1 => Ok(new_null_array(data_type, rows)),
        Err(_) => {
            let half = rows / 2;
            let begin = attempt(value, first, half, data_type)?;
            let end = attempt(value, first + half, rows - half, data_type)?;
            Ok(concat(&[&begin, &end])?)
        }
    }
}

/// Whether an error is about the values it was computed of, and not about the query or the system.
fn is_of_a_value(err: &DataFusionError) -> bool {
    match err.find_root() {
        DataFusionError::ArrowError(..) | DataFusionError::Execution(_) => true,
        DataFusionError::External(err) => err
            .downcast_ref::<crate::Error>()
            .is_some_and(|err| err.kind() == crate::ErrorKind::Query),
        _ => false,
    }
}
