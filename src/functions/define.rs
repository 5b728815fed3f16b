//! A scalar function as a value: its names, and plain functions for what it takes and gives.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

/// What the arguments are cast to, given the name of the function and the types they have.
pub(super) type Takes = fn(&str, &[DataType]) -> Result<Vec<DataType>>;
/// The type of the result, given the name of the function and what is known of the arguments.
pub(super) type Gives = fn(&str, &ReturnFieldArgs<'_>) -> Result<FieldRef>;
/// The values of the result, one for each of the rows.
pub(super) type Computes = fn(&Call<'_>) -> Result<ArrayRef>;

/// A call with values: the name of the function and its arguments.
pub(super) struct Call<'a> {
    /// The name for messages.
    pub(super) name: &'a str,
    /// The arguments, of the types that the function takes.
    pub(super) args: &'a [ColumnarValue],
    /// The fields of the arguments.
    pub(super) fields: &'a [FieldRef],
    /// How many rows there are, and so how many values to give.
    pub(super) rows: usize,
    /// The type to give.
    pub(super) gives: &'a DataType,
}

impl Call<'_> {
    /// An argument as an array with a value for each row.
    pub(super) fn array(&self, index: usize) -> Result<ArrayRef> {
        self.args[index].to_array(self.rows)
    }

    /// An argument if it is one value for all rows.
    pub(super) fn constant(&self, index: usize) -> Option<&ScalarValue> {
        match self.args.get(index)? {
            ColumnarValue::Scalar(value) => Some(value),
            ColumnarValue::Array(_) => None,
        }
    }
}

/// A function.
#[derive(Debug)]
pub(super) struct Scalar {
    name: &'static str,
    aliases: Vec<String>,
    signature: Signature,
    takes: Takes,
    gives: Gives,
    computes: Computes,
}

/// A function whose result depends on nothing but its arguments.
pub(super) fn scalar(
    name: &'static str,
    aliases: &[&str],
    takes: Takes,
    gives: Gives,
    computes: Computes,
) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(Scalar {
        name,
        aliases: aliases.iter().map(|alias| (*alias).to_string()).collect(),
        signature: Signature::user_defined(Volatility::Immutable),
        takes,
        gives,
        computes,
    }))
}

/// Arguments of any types, as they are.
pub(super) fn takes_any(_: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    Ok(types.to_vec())
}

/// The type of the first argument.
pub(super) fn gives_first(name: &str, args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    Ok(field(name, args.arg_fields[0].data_type().clone()))
}

/// A boolean.
pub(super) fn gives_flag(name: &str, _: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    Ok(field(name, DataType::Boolean))
}

/// A text.
pub(super) fn gives_text(name: &str, _: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    Ok(field(name, DataType::Utf8View))
}

/// A nullable field for the result of a function.
pub(super) fn field(name: &str, data_type: DataType) -> FieldRef {
    Arc::new(Field::new(name, data_type, true))
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Scalar {}

impl Hash for Scalar {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Scalar {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        (self.takes)(self.name, types)
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        internal_err!("the type of {} is asked for with its arguments", self.name)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        (self.gives)(self.name, &args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let values = (self.computes)(&Call {
            name: self.name,
            args: &args.args,
            fields: &args.arg_fields,
            rows: if constant { 1 } else { args.number_rows },
            gives: args.return_field.data_type(),
        })?;
        Ok(if constant {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&values, 0)?)
        } else {
            ColumnarValue::Array(values)
        })
    }
}
