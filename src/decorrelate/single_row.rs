//! The check that a subquery that stands for one value gives no second row.

use std::sync::{Arc, LazyLock};

use arrow::array::{AsArray, Int64Array};
use arrow::compute::kernels::cmp::gt;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// The value, which is that of one of so many rows; an error if there are several.
pub(super) fn single_row(value: Expr, rows: Expr) -> Expr {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
        Arc::new(ScalarUDF::from(SingleRow(Signature::any(2, Volatility::Stable))))
    });
    FUNCTION.call(vec![value, rows])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SingleRow(Signature);

impl ScalarUDFImpl for SingleRow {
    fn name(&self) -> &'static str {
        "__single_row"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value, rows] = args.args.as_slice() else {
            return exec_err!("a value and the number of its rows are wanted");
        };
        let rows = rows.to_array(args.number_rows)?;
        let one = Int64Array::new_scalar(1);
        if gt(&rows.as_primitive::<Int64Type>(), &one)?.true_count() > 0 {
            return exec_err!("a subquery that stands for one value gave more than one row");
        }
        Ok(value.clone())
    }
}
