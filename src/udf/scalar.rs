//! Closures over the values of a row.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::types::{Output, Param, Value, converted, typed};
use super::{Same, guarded};

/// A closure of one to four [`Param`]s that gives an [`Output`]. `M` says which.
pub trait ScalarClosure<M>: Send + Sync + 'static {
    /// What it takes and what it gives.
    #[doc(hidden)]
    fn types() -> (Vec<DataType>, DataType);

    /// The result for each row, or what went wrong.
    #[doc(hidden)]
    fn column(&self, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef, String>;
}

/// Closures of these parameters.
macro_rules! closures {
    ($(($($param:ident $column:ident $place:literal),+))*) => {$(
        impl<F, O, $($param),+> ScalarClosure<fn($($param),+) -> O> for F
        where
            $($param: Param,)+
            O: Output,
            F: Fn($($param),+) -> O + for<'a> Fn($($param::Item<'a>),+) -> O + Send + Sync + 'static,
        {
            fn types() -> (Vec<DataType>, DataType) {
                (vec![$($param::DATA_TYPE),+], O::Value::DATA_TYPE)
            }

            fn column(&self, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef, String> {
                fn call<O, $($param),+>(
                    closure: impl Fn($($param),+) -> O,
                    $($column: $param),+
                ) -> O {
                    closure($($column),+)
                }
                $(
                    let $column = typed::<$param::Column>(&arguments[$place])
                        .map_err(|error| error.to_string())?;
                )+
                let results = (0..rows).map(|row| {
                    $(let Some($column) = $param::at($column, row) else { return Ok(None) };)+
                    call::<O, $($param::Item<'_>),+>(self, $($column),+).outcome()
                });
                let column: <O::Value as Value>::Column = results.collect::<Result<_, _>>()?;
                Ok(std::sync::Arc::new(column))
            }
        }
    )*};
}

closures! {
    (A a 0)
    (A a 0, B b 1)
    (A a 0, B b 1, C c 2)
    (A a 0, B b 1, C c 2, D d 3)
}

pub(super) fn function<M: 'static>(name: String, closure: impl ScalarClosure<M>) -> ScalarUDF {
    fn types_of<M, F: ScalarClosure<M>>(_: &F) -> (Vec<DataType>, DataType) {
        F::types()
    }
    let (arguments, result) = types_of(&closure);
    ScalarUDF::from(Function {
        name,
        signature: Signature::user_defined(Volatility::Immutable),
        arguments,
        result,
        closure: Same(std::sync::Arc::new(move |arguments: &[ArrayRef], rows| {
            closure.column(arguments, rows)
        })),
    })
}

type Columns = dyn Fn(&[ArrayRef], usize) -> Result<ArrayRef, String> + Send + Sync;

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Function {
    name: String,
    signature: Signature,
    arguments: Vec<DataType>,
    result: DataType,
    closure: Same<Columns>,
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        converted(&self.name, &self.arguments, given)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.result.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        // Constants are asked about once.
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = columns.first().map_or(args.number_rows, |column| column.len());
        let result = guarded(&self.name, || (self.closure.0)(&columns, rows))?;
        if constant {
            let value = datafusion::common::ScalarValue::try_from_array(&result, 0)?;
            return Ok(ColumnarValue::Scalar(value));
        }
        Ok(ColumnarValue::Array(result))
    }
}
