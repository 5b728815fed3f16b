//! Arithmetic that gives NULL where the operators overflow or divide by zero.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Datum, new_null_array};
use arrow::compute::kernels::numeric;
use arrow::compute::{cast, concat, nullif};
use arrow::datatypes::{DataType, Float64Type};
use arrow::error::ArrowError;
use datafusion::common::{ScalarValue, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::binary::BinaryTypeCoercer;
use datafusion::logical_expr::{
    ColumnarValue, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// `try_add` and the like.
#[derive(Debug)]
pub(super) struct Attempt {
    name: &'static str,
    operator: Operator,
    signature: Signature,
}

impl Attempt {
    pub(super) fn udf(name: &'static str, operator: Operator) -> Arc<ScalarUDF> {
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(ScalarUDF::new_from_impl(Attempt { name, operator, signature }))
    }

    fn apply(&self, left: &dyn Datum, right: &dyn Datum) -> Result<ArrayRef, ArrowError> {
        match self.operator {
            Operator::Plus => numeric::add(left, right),
            Operator::Minus => numeric::sub(left, right),
            Operator::Multiply => numeric::mul(left, right),
            _ => numeric::div(left, right),
        }
    }

    /// The results, or NULL where there is none: those of all rows if that goes well, else of each
    /// half.
    fn attempt(
        &self,
        left: &ArrayRef,
        right: &ArrayRef,
        returned: &DataType,
    ) -> Result<ArrayRef, ArrowError> {
        match self.apply(left, right) {
            Ok(values) => Ok(values),
            Err(ArrowError::ArithmeticOverflow(_) | ArrowError::DivideByZero)
                if left.len() == 1 =>
            {
                Ok(new_null_array(returned, 1))
            }
            Err(ArrowError::ArithmeticOverflow(_) | ArrowError::DivideByZero) => {
                let half = left.len() / 2;
                let part = |begin: usize, length: usize| {
                    let (left, right) = (left.slice(begin, length), right.slice(begin, length));
                    self.attempt(&left, &right, returned)
                };
                let (first, second) = (part(0, half)?, part(half, left.len() - half)?);
                concat(&[&first, &second])
            }
            Err(error) => Err(error),
        }
    }

    /// The types of two arguments that the operator can take.
    fn cast_to(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [left, right] = types else {
            return plan_err!("{} takes 2 arguments, not {}", self.name, types.len());
        };
        // What is divided is no integer: 3 / 2 is 1.5.
        let whole = |data_type: &DataType| data_type.is_integer() || data_type.is_null();
        if self.operator == Operator::Divide && whole(left) && whole(right) {
            return Ok(vec![DataType::Float64; 2]);
        }
        if left.is_null() && right.is_null() {
            return Ok(vec![DataType::Int64; 2]);
        }
        let (left, right) =
            BinaryTypeCoercer::new(left, &self.operator, right).get_input_types()?;
        Ok(vec![left, right])
    }
}

/// There is one function of a name.
impl PartialEq for Attempt {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Attempt {}

impl Hash for Attempt {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Attempt {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        // What does not fit is refused where the type of the result is asked for: there, a message
        // reaches the user as it is.
        Ok(self.cast_to(types).unwrap_or_else(|_| types.to_vec()))
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let types = self.cast_to(types)?;
        BinaryTypeCoercer::new(&types[0], &self.operator, &types[1]).get_result_type()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let returned = args.return_type();
        let arrays = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<Vec<_>>>()?;
        let (left, right) = (&arrays[0], zeros_as_null(self.operator, &arrays[1])?);
        let result = self.attempt(left, &right, returned)?;
        Ok(if constant {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?)
        } else {
            ColumnarValue::Array(result)
        })
    }
}

/// Floats can be divided by zero, but nothing comes of it.
fn zeros_as_null(operator: Operator, divisor: &ArrayRef) -> Result<ArrayRef> {
    if operator != Operator::Divide || !divisor.data_type().is_floating() {
        return Ok(Arc::clone(divisor));
    }
    let floats = cast(divisor, &DataType::Float64)?;
    let zeros = BooleanArray::from_unary(floats.as_primitive::<Float64Type>(), |x| x == 0.0);
    Ok(nullif(divisor, &zeros)?)
}
