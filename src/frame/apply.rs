//! Functions of the program, on columns.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::common::{Result as PlanResult, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::map::guarded;
use crate::error::Result;

/// Calls a function of the program for the rows of each batch: it is given the values of `columns`,
/// which are of equal length, and gives as many of the type `output`. A panic of the function is an
/// error of the query.
///
/// ```
/// # use std::sync::Arc;
/// # use arrow::array::{ArrayRef, AsArray, Int64Array};
/// # use arrow::datatypes::{DataType, Int64Type};
/// # use brimful::{Session, SessionOptions, apply, col};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> brimful::Result<()> {
/// let session = Session::new(SessionOptions::new())?;
/// let squares = apply([col("value")], DataType::Int64, |columns| {
///     let values = columns[0].as_primitive::<Int64Type>();
///     let squares: Int64Array = values.unary(|value| value * value);
///     Ok(Arc::new(squares) as ArrayRef)
/// });
/// let frame = session.range(0, 4, 1)?.with_column("square", squares)?;
/// # frame.collect().await?;
/// # Ok(())
/// # }
/// ```
pub fn apply(
    columns: impl IntoIterator<Item = Expr>,
    output: DataType,
    function: impl Fn(&[ArrayRef]) -> Result<ArrayRef> + Send + Sync + 'static,
) -> Expr {
    let applied = Applied {
        function: Arc::new(function),
        output,
        signature: Signature::variadic_any(Volatility::Volatile),
    };
    ScalarUDF::new_from_impl(applied).call(columns.into_iter().collect())
}

/// Whether a function is one that [`apply`] has made.
pub(super) fn is_applied(function: &ScalarUDF) -> bool {
    function.inner().is::<Applied>()
}

type Function = dyn Fn(&[ArrayRef]) -> Result<ArrayRef> + Send + Sync;

/// The function as DataFusion sees it.
struct Applied {
    function: Arc<Function>,
    output: DataType,
    signature: Signature,
}

impl Applied {
    /// Different functions have different ones.
    fn address(&self) -> *const () {
        Arc::as_ptr(&self.function).cast()
    }
}

impl fmt::Debug for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Applied").field("output", &self.output).finish_non_exhaustive()
    }
}

impl PartialEq for Applied {
    fn eq(&self, other: &Self) -> bool {
        self.address() == other.address() && self.output == other.output
    }
}

impl Eq for Applied {}

impl Hash for Applied {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.address().hash(state);
    }
}

impl ScalarUDFImpl for Applied {
    fn name(&self) -> &str {
        "apply"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> PlanResult<DataType> {
        Ok(self.output.clone())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        let rows = arguments.number_rows;
        let columns = arguments.args.iter().map(|column| column.to_array(rows));
        let columns = columns.collect::<PlanResult<Vec<_>>>()?;
        let values = guarded("apply", || (self.function)(&columns))?;
        if values.len() != rows {
            return exec_err!("a function gave {} values for {rows} rows", values.len());
        }
        if *values.data_type() != self.output {
            return exec_err!(
                "a function gave values of type {} where {} was said",
                values.data_type(),
                self.output
            );
        }
        Ok(ColumnarValue::Array(values))
    }
}
