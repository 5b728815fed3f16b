//! Scalar functions without a name in SQL, as values that say what is done: equal values are the same
//! function, and a value can be written down.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// What a function does. Its text is the name of the function with what is not a column, such as
/// `slice(-3, 2)`.
pub(crate) trait Operation:
    fmt::Debug + fmt::Display + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// The name of all functions of this type where they are written down.
    const KIND: &'static str;

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
pub(crate) fn call(operation: impl Operation, args: Vec<Expr>) -> Expr {
    function(operation, Volatility::Immutable).call(args)
}

/// An operation that is not left out or moved, because it fails for values that must not be.
pub(crate) fn check(operation: impl Operation, args: Vec<Expr>) -> Expr {
    function(operation, Volatility::Volatile).call(args)
}

fn function<O: Operation>(operation: O, volatility: Volatility) -> ScalarUDF {
    let name = operation.to_string();
    // No operation has anything that cannot be written.
    let state = serde_json::to_string(&operation).unwrap_or_default();
    let signature = Signature::user_defined(volatility);
    ScalarUDF::from(Called {
        operation: Arc::new(operation),
        kind: O::KIND,
        state,
        name,
        signature,
    })
}

/// What says which operation a function is, if it is one.
pub(crate) fn written(function: &ScalarUDF) -> Option<Written<'_>> {
    let called = function.inner().downcast_ref::<Called>()?;
    let is_check = called.signature.volatility == Volatility::Volatile;
    Some(Written { kind: called.kind, state: &called.state, is_check })
}

/// An operation as it is written down.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written<'a> {
    pub(crate) kind: &'a str,
    pub(crate) state: &'a str,
    /// Whether it was made by [`check`].
    pub(crate) is_check: bool,
}

impl Written<'_> {
    /// The function, if it is of this type.
    ///
    /// # Errors
    /// `Input` if the state is not that of one.
    pub(crate) fn read<O: Operation>(self) -> Option<crate::Result<ScalarUDF>> {
        if self.kind != O::KIND {
            return None;
        }
        let volatility = if self.is_check { Volatility::Volatile } else { Volatility::Immutable };
        let operation = serde_json::from_str::<O>(self.state);
        let operation = operation.map_err(|err| Error::input(format!("{}: {err}", self.kind)));
        Some(operation.map(|operation| function(operation, volatility)))
    }
}

/// An [`Operation`] of any type.
trait Computes: fmt::Debug + Send + Sync {
    fn takes(&self, types: &[DataType]) -> Vec<DataType>;
    fn gives(&self, types: &[DataType]) -> Result<DataType>;
    fn compute(&self, columns: &[ArrayRef], gives: &DataType) -> Result<ArrayRef>;
}

impl<O: Operation> Computes for O {
    fn takes(&self, types: &[DataType]) -> Vec<DataType> {
        Operation::takes(self, types)
    }

    fn gives(&self, types: &[DataType]) -> Result<DataType> {
        Operation::gives(self, types)
    }

    fn compute(&self, columns: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
        Operation::compute(self, columns, gives)
    }
}

#[derive(Debug)]
struct Called {
    operation: Arc<dyn Computes>,
    kind: &'static str,
    /// The operation as it is written down.
    state: String,
    name: String,
    signature: Signature,
}

impl PartialEq for Called {
    fn eq(&self, other: &Self) -> bool {
        (self.kind, &self.state) == (other.kind, &other.state)
    }
}

impl Eq for Called {}

impl Hash for Called {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.kind, &self.state).hash(state);
    }
}

impl ScalarUDFImpl for Called {
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
