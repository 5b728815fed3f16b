//! Exponentially weighted means and variances, and running products: window functions that hold
//! nothing but their state.

use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type};
use datafusion::common::{ScalarValue, exec_err, plan_err};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{
    Expr, LimitEffect, PartitionEvaluator, Signature, Volatility, WindowUDF, WindowUDFImpl, cast,
};
use datafusion::physical_expr::PhysicalExpr;
use serde::{Deserialize, Serialize};

use super::window::{rows, window};
use crate::error::{Error, Result};

/// How fast values lose weight with each row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ewm {
    alpha: f64,
    adjust: bool,
    ignore_nulls: bool,
    bias: bool,
    min_periods: usize,
}

impl Ewm {
    /// By this factor, above 0 and up to 1, of what is new.
    ///
    /// # Errors
    /// `Query` if it is out of range.
    pub fn alpha(alpha: f64) -> Result<Self> {
        if alpha > 0.0 && alpha <= 1.0 {
            let (adjust, ignore_nulls, bias, min_periods) = (true, false, false, 1);
            return Ok(Ewm { alpha, adjust, ignore_nulls, bias, min_periods });
        }
        Err(Error::query(format!("alpha is above 0 and up to 1, not {alpha}")))
    }

    /// By `2 / (span + 1)`, for a span of 1 or more.
    ///
    /// # Errors
    /// `Query` if it is out of range.
    pub fn span(span: f64) -> Result<Self> {
        if span >= 1.0 {
            return Ewm::alpha(2.0 / (span + 1.0));
        }
        Err(Error::query(format!("a span is 1 or more, not {span}")))
    }

    /// By a half within so many rows.
    ///
    /// # Errors
    /// `Query` if it is not above 0.
    pub fn half_life(rows: f64) -> Result<Self> {
        if rows > 0.0 {
            return Ewm::alpha(1.0 - (-std::f64::consts::LN_2 / rows).exp());
        }
        Err(Error::query(format!("a half-life is above 0, not {rows}")))
    }

    /// By `1 / (com + 1)`, the center of mass.
    ///
    /// # Errors
    /// `Query` if it is below 0.
    pub fn com(com: f64) -> Result<Self> {
        if com >= 0.0 {
            return Ewm::alpha(1.0 / (com + 1.0));
        }
        Err(Error::query(format!("a center of mass is 0 or more, not {com}")))
    }

    /// Whether weights are divided by their sum, so that the first values do not weigh too much
    /// (as it is unless it is said), or the mean is updated by a step of `alpha`.
    #[must_use]
    pub fn adjust(self, adjust: bool) -> Self {
        Ewm { adjust, ..self }
    }

    /// Whether rows that are NULL do not count as a step. They do unless it is said.
    #[must_use]
    pub fn ignore_nulls(self, ignore_nulls: bool) -> Self {
        Ewm { ignore_nulls, ..self }
    }

    /// Whether a variance is that of the values alone, not an estimate of where they come from.
    #[must_use]
    pub fn bias(self, bias: bool) -> Self {
        Ewm { bias, ..self }
    }

    /// How many values there must be for a result; 1 unless it is said.
    #[must_use]
    pub fn min_periods(self, values: usize) -> Self {
        Ewm { min_periods: values, ..self }
    }

    fn bits(&self) -> (u64, bool, bool, bool, usize) {
        (self.alpha.to_bits(), self.adjust, self.ignore_nulls, self.bias, self.min_periods)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Moment {
    Mean,
    Variance,
    Deviation,
}

/// The mean, variance or deviation up to each row; NULL where the value is.
pub(super) fn ewm(expr: Expr, moment: Moment, ewm: Ewm) -> Expr {
    let function = EwmFunction::new(moment, ewm);
    let argument = cast(expr, DataType::Float64);
    window(Arc::new(WindowUDF::from(function)), vec![argument], rows(None, None))
}

/// A window function of ours as it is written down.
#[derive(Serialize, Deserialize)]
enum Written {
    Ewm(Moment, Ewm),
    CumProd,
}

/// What makes a window function again, as JSON, if it is one of ours.
pub(crate) fn written_window(function: &WindowUDF) -> Option<String> {
    let inner = function.inner();
    let written = match inner.downcast_ref::<EwmFunction>() {
        Some(EwmFunction { moment, ewm, .. }) => Written::Ewm(*moment, *ewm),
        None => inner.is::<CumProd>().then_some(Written::CumProd)?,
    };
    serde_json::to_string(&written).ok()
}

/// The window function that [`written_window`] has written.
///
/// # Errors
/// If it is none.
pub(crate) fn read_window(written: &[u8]) -> serde_json::Result<Arc<WindowUDF>> {
    Ok(Arc::new(match serde_json::from_slice(written)? {
        Written::Ewm(moment, ewm) => WindowUDF::from(EwmFunction::new(moment, ewm)),
        Written::CumProd => WindowUDF::from(CumProd::new()),
    }))
}

#[derive(Debug)]
struct EwmFunction {
    moment: Moment,
    ewm: Ewm,
    signature: Signature,
}

impl EwmFunction {
    fn new(moment: Moment, ewm: Ewm) -> Self {
        EwmFunction { moment, ewm, signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl PartialEq for EwmFunction {
    fn eq(&self, other: &Self) -> bool {
        self.moment == other.moment && self.ewm.bits() == other.ewm.bits()
    }
}

impl Eq for EwmFunction {}

impl Hash for EwmFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.moment, self.ewm.bits()).hash(state);
    }
}

impl WindowUDFImpl for EwmFunction {
    fn name(&self) -> &str {
        match self.moment {
            Moment::Mean => "ewm_mean",
            Moment::Variance => "ewm_var",
            Moment::Deviation => "ewm_std",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn partition_evaluator(
        &self,
        _: PartitionEvaluatorArgs,
    ) -> DataFusionResult<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(Weights::new(self.moment, self.ewm)))
    }

    fn field(&self, args: WindowUDFFieldArgs) -> DataFusionResult<FieldRef> {
        Ok(Field::new(args.name(), DataType::Float64, true).into())
    }

    fn limit_effect(&self, _: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        LimitEffect::None
    }
}

/// The state of a moment: the weighted mean and sum of squares of what came, and the sums of the
/// weights and of their squares, in units of the weight of the newest value.
#[derive(Debug)]
struct Weights {
    moment: Moment,
    ewm: Ewm,
    values: usize,
    mean: f64,
    variance: f64,
    weight: f64,
    weights: f64,
    squares: f64,
}

impl Weights {
    fn new(moment: Moment, ewm: Ewm) -> Self {
        let (mean, variance) = (0.0, 0.0);
        Weights { moment, ewm, values: 0, mean, variance, weight: 1.0, weights: 1.0, squares: 1.0 }
    }

    fn next(&mut self, value: Option<f64>) -> Option<f64> {
        if self.values > 0 && (value.is_some() || !self.ewm.ignore_nulls) {
            let factor = 1.0 - self.ewm.alpha;
            self.weight *= factor;
            self.weights *= factor;
            self.squares *= factor * factor;
        }
        let value = value?;
        self.values += 1;
        if self.values == 1 {
            self.mean = value;
        } else {
            self.add(value);
        }
        if self.values < self.ewm.min_periods {
            return None;
        }
        match self.moment {
            Moment::Mean => Some(self.mean),
            Moment::Variance => self.variance(),
            Moment::Deviation => self.variance().map(f64::sqrt),
        }
    }

    fn add(&mut self, value: f64) {
        let new = if self.ewm.adjust { 1.0 } else { self.ewm.alpha };
        let (old, total) = (self.weight, self.weight + new);
        let before = self.mean;
        self.mean = before + (value - before) * (new / total);
        let (moved, off) = (before - self.mean, value - self.mean);
        self.variance = (old * (self.variance + moved * moved) + new * off * off) / total;
        self.weights += new;
        self.squares += new * new;
        self.weight = total;
        if !self.ewm.adjust {
            self.weights /= total;
            self.squares /= total * total;
            self.weight = 1.0;
        }
    }

    fn variance(&self) -> Option<f64> {
        if self.ewm.bias {
            return Some(self.variance);
        }
        let all = self.weights * self.weights;
        let rest = all - self.squares;
        (self.values > 1 && rest > 0.0).then(|| all / rest * self.variance)
    }
}

impl PartitionEvaluator for Weights {
    fn is_causal(&self) -> bool {
        true
    }

    fn supports_bounded_execution(&self) -> bool {
        true
    }

    fn evaluate(
        &mut self,
        values: &[ArrayRef],
        range: &Range<usize>,
    ) -> DataFusionResult<ScalarValue> {
        let Some(values) = values[0].as_primitive_opt::<Float64Type>() else {
            return exec_err!("an exponentially weighted value of {}", values[0].data_type());
        };
        let value = values.is_valid(range.start).then(|| values.value(range.start));
        Ok(ScalarValue::Float64(self.next(value)))
    }

    fn evaluate_all(&mut self, values: &[ArrayRef], _: usize) -> DataFusionResult<ArrayRef> {
        let Some(values) = values[0].as_primitive_opt::<Float64Type>() else {
            return exec_err!("an exponentially weighted value of {}", values[0].data_type());
        };
        let results: Float64Array = values.iter().map(|value| self.next(value)).collect();
        Ok(Arc::new(results))
    }
}

/// The product of all values up to each row; NULL where the value is.
pub(super) fn cum_prod(expr: Expr) -> Expr {
    window(Arc::new(WindowUDF::from(CumProd::new())), vec![expr], rows(None, None))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CumProd {
    signature: Signature,
}

impl CumProd {
    fn new() -> Self {
        CumProd { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl WindowUDFImpl for CumProd {
    fn name(&self) -> &'static str {
        "cum_prod"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        match types {
            [one] if one.is_integer() => Ok(vec![DataType::Int64]),
            [one] if one.is_numeric() || one.is_null() => Ok(vec![DataType::Float64]),
            _ => plan_err!("a product is of numbers"),
        }
    }

    fn partition_evaluator(
        &self,
        args: PartitionEvaluatorArgs,
    ) -> DataFusionResult<Box<dyn PartitionEvaluator>> {
        let is_whole = match args.input_fields() {
            [field, ..] => field.data_type() == &DataType::Int64,
            [] => false,
        };
        Ok(Box::new(Product { whole: is_whole.then_some(1), product: 1.0 }))
    }

    fn field(&self, args: WindowUDFFieldArgs) -> DataFusionResult<FieldRef> {
        let data_type = match args.get_input_field(0) {
            Some(field) if field.data_type().is_integer() => DataType::Int64,
            _ => DataType::Float64,
        };
        Ok(Field::new(args.name(), data_type, true).into())
    }

    fn limit_effect(&self, _: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        LimitEffect::None
    }
}

/// A product of whole numbers, or of others.
#[derive(Debug)]
struct Product {
    whole: Option<i64>,
    product: f64,
}

impl Product {
    fn whole(&mut self, value: i64) -> DataFusionResult<i64> {
        let product = self.whole.unwrap_or(1);
        let Some(product) = product.checked_mul(value) else {
            return exec_err!("the product {product} * {value} is out of range of 64 bits");
        };
        self.whole = Some(product);
        Ok(product)
    }

    fn real(&mut self, value: f64) -> f64 {
        self.product *= value;
        self.product
    }
}

impl PartitionEvaluator for Product {
    fn is_causal(&self) -> bool {
        true
    }

    fn supports_bounded_execution(&self) -> bool {
        true
    }

    fn evaluate(
        &mut self,
        values: &[ArrayRef],
        range: &Range<usize>,
    ) -> DataFusionResult<ScalarValue> {
        let results = self.evaluate_all(&[values[0].slice(range.start, 1)], 1)?;
        ScalarValue::try_from_array(&results, 0)
    }

    fn evaluate_all(&mut self, values: &[ArrayRef], _: usize) -> DataFusionResult<ArrayRef> {
        if let Some(values) = values[0].as_primitive_opt::<Int64Type>() {
            let results =
                values.iter().map(|value| value.map(|value| self.whole(value)).transpose());
            return Ok(Arc::new(results.collect::<DataFusionResult<Int64Array>>()?));
        }
        let Some(values) = values[0].as_primitive_opt::<Float64Type>() else {
            return exec_err!("a product of {}", values[0].data_type());
        };
        let results = values.iter().map(|value| value.map(|value| self.real(value)));
        Ok(Arc::new(results.collect::<Float64Array>()))
    }
}
