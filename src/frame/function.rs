//! Scalar functions of the dataframe's own, which SQL has no name for. A value says what is done;
//! equal values are the same function.

use std::fmt;
use std::hash::Hash;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// What a function does. Its text is the name of the function with what is not a column, such as
/// `slice(-3, 2)`.
pub(super) trait Operation:
    fmt::Debug + fmt::Display + PartialEq + Eq + Hash + Send + Sync + 'static
{
    /// What arguments of these types are cast to.
    fn takes(&self, types: &[DataType]) -> Vec<DataType> {
        types.to_vec()
    }

    /// The type of the result.
    ///
    /// # Errors
    /// `Plan` for arguments that it is not for.
    fn gives(&self, types: &[DataType]) -> Result<DataType>;

    /// The values of a batch.
    ///
    /// # Errors
    /// `Execution` for values that it is not for.
    fn compute(&self, columns: &[ArrayRef], gives: &DataType) -> Result<ArrayRef>;
}

/// What an operation makes of expressions.
pub(super) fn call(operation: impl Operation, args: Vec<Expr>) -> Expr {
    let name = operation.to_string();
    let signature = Signature::user_defined(Volatility::Immutable);
    ScalarUDF::from(Called { operation, name, signature }).call(args)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Called<O> {
    operation: O,
    name: String,
    signature: Signature,
}

impl<O: Operation> ScalarUDFImpl for Called<O> {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(self.operation.takes(types))
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.operation.gives(types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = args.args.iter().map(|column| column.to_array(args.number_rows));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let values = self.operation.compute(&columns, args.return_field.data_type())?;
        Ok(ColumnarValue::Array(values))
    }
}
