//! The check that a subquery that stands for one value gives no second row.

use std::sync::{Arc, LazyLock};

use arrow::array::{AsArray, UInt64Array};
use arrow::compute::kernels::cmp::gt;
use arrow::datatypes::{DataType, UInt64Type};
use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// The value, which is that of row `number` of its subquery; an error beyond the first row.
pub(super) fn single_row(value: Expr, number: Expr) -> Expr {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
        Arc::new(ScalarUDF::from(SingleRow(Signature::any(2, Volatility::Stable))))
    });
    FUNCTION.call(vec![value, number])
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
        let [value, number] = args.args.as_slice() else {
            return exec_err!("a value and the number of its row are wanted");
        };
        let numbers = number.to_array(args.number_rows)?;
        let one = UInt64Array::new_scalar(1);
        if gt(&numbers.as_primitive::<UInt64Type>(), &one)?.true_count() > 0 {
            return exec_err!("a subquery that stands for one value gave more than one row");
        }
        Ok(value.clone())
    }
}
