//! A function that takes lambdas, as a value: its names, and plain functions for what it takes and
//! gives. [`super::define`] is the same for functions without lambdas.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, HigherOrderFunctionArgs, HigherOrderReturnFieldArgs, HigherOrderSignature,
    HigherOrderUDF, HigherOrderUDFImpl, LambdaArgument, LambdaParametersProgress, ValueOrLambda,
    Volatility,
};

use super::define::Takes;

/// What a lambda gives: nothing is known before its parameters are.
pub(super) type Arguments = [ValueOrLambda<FieldRef, Option<FieldRef>>];
/// The parameters of the lambdas, as far as they are known.
pub(super) type Parameters = fn(&str, &Arguments) -> Result<LambdaParametersProgress>;
/// What values are cast to once the results of the lambdas are known.
pub(super) type Fits = fn(&[ValueOrLambda<DataType, DataType>]) -> Option<Vec<DataType>>;
/// The field of the result.
pub(super) type Gives = fn(&str, &[ValueOrLambda<FieldRef, FieldRef>]) -> Result<FieldRef>;
/// The values of the result, one for each of the rows.
pub(super) type Computes = fn(&str, &HigherOrderFunctionArgs) -> Result<ArrayRef>;

/// What makes a function with lambdas.
pub(super) struct Definition {
    /// Its name.
    pub(super) name: &'static str,
    /// Its other names.
    pub(super) aliases: &'static [&'static str],
    /// What its values are cast to.
    pub(super) takes: Takes,
    /// The parameters of its lambdas.
    pub(super) parameters: Parameters,
    /// What its values are cast to, given the results of the lambdas.
    pub(super) fits: Fits,
    /// The field of its result.
    pub(super) gives: Gives,
    /// Its result.
    pub(super) computes: Computes,
}

impl Definition {
    /// The function.
    pub(super) fn build(self) -> Arc<HigherOrderUDF> {
        let aliases = self.aliases.iter().map(|alias| (*alias).to_string()).collect();
        let signature = HigherOrderSignature::user_defined(Volatility::Immutable);
        Arc::new(HigherOrderUDF::new_from_impl(WithLambdas { aliases, signature, of: self }))
    }
}

/// No values depend on the results of lambdas.
pub(super) fn fits_all(_: &[ValueOrLambda<DataType, DataType>]) -> Option<Vec<DataType>> {
    None
}

/// The value at a place among the arguments.
pub(super) fn value_of(args: &HigherOrderFunctionArgs, at: usize) -> Result<ArrayRef> {
    match args.args.get(at) {
        Some(ValueOrLambda::Value(value)) => value.to_array(args.number_rows),
        _ => plan_err!("expected a value as argument {}", at + 1),
    }
}

/// The lambda at a place among the arguments.
pub(super) fn lambda_of(args: &HigherOrderFunctionArgs, at: usize) -> Result<&LambdaArgument> {
    match args.args.get(at) {
        Some(ValueOrLambda::Lambda(lambda)) => Ok(lambda),
        _ => plan_err!("expected a lambda as argument {}", at + 1),
    }
}

struct WithLambdas {
    aliases: Vec<String>,
    signature: HigherOrderSignature,
    of: Definition,
}

impl std::fmt::Debug for WithLambdas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WithLambdas").field("name", &self.of.name).finish_non_exhaustive()
    }
}

impl PartialEq for WithLambdas {
    fn eq(&self, other: &Self) -> bool {
        self.of.name == other.of.name
    }
}

impl Eq for WithLambdas {}

impl Hash for WithLambdas {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.of.name.hash(state);
    }
}

impl HigherOrderUDFImpl for WithLambdas {
    fn name(&self) -> &str {
        self.of.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &HigherOrderSignature {
        &self.signature
    }

    fn coerce_value_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        (self.of.takes)(self.of.name, types)
    }

    fn lambda_parameters(
        &self,
        _step: usize,
        fields: &[ValueOrLambda<FieldRef, Option<FieldRef>>],
    ) -> Result<LambdaParametersProgress> {
        (self.of.parameters)(self.of.name, fields)
    }

    fn coerce_values_for_lambdas(
        &self,
        fields: &[ValueOrLambda<DataType, DataType>],
    ) -> Result<Option<Vec<DataType>>> {
        Ok((self.of.fits)(fields))
    }

    fn short_circuits(&self) -> bool {
        true
    }

    /// A lambda is called when there is something to call it for.
    fn conditional_arguments<'a>(
        &self,
        args: &'a [Expr],
    ) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        Some(args.iter().partition(|arg| !matches!(arg, Expr::Lambda(_))))
    }

    fn return_field_from_args(&self, args: HigherOrderReturnFieldArgs<'_>) -> Result<FieldRef> {
        (self.of.gives)(self.of.name, args.arg_fields)
    }

    fn invoke_with_args(&self, args: HigherOrderFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Array((self.of.computes)(self.of.name, &args)?))
    }
}
