//! Sums, means and variances over windows whose first rows leave again.
//!
//! DataFusion's take back what was added: a NaN or an infinity that has left stays in the result, and
//! so does what a large number has cut off. These take nothing back. A window is kept as two stacks:
//! in one each value that will leave has the summary of it and those that came after it; when it is
//! used up, the values of the other are summed up into it, from the last to the first.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, FieldRef, Float64Type};
use datafusion::common::{ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::functions_aggregate::average::avg_udaf;
use datafusion::functions_aggregate::stddev::{stddev_pop_udaf, stddev_udaf};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::functions_aggregate::variance::{var_pop_udaf, var_samp_udaf};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ReversedUDAF, Signature,
};

/// The same function for windows, with exact accumulators if it is one that takes values back.
pub(crate) fn sliding(function: &Arc<AggregateUDF>) -> Arc<AggregateUDF> {
    sliding_of(|known| known == function.as_ref()).unwrap_or_else(|| Arc::clone(function))
}

/// The function of a name that [`sliding`] has made.
pub(crate) fn sliding_named(name: &str) -> Option<Arc<AggregateUDF>> {
    sliding_of(|known| known.name() == name)
}

fn sliding_of(is_it: impl Fn(&AggregateUDF) -> bool) -> Option<Arc<AggregateUDF>> {
    let known = [
        (sum_udaf(), Kind::Sum),
        (avg_udaf(), Kind::Mean),
        (var_samp_udaf(), Kind::Variance),
        (var_pop_udaf(), Kind::VarianceOfAll),
        (stddev_udaf(), Kind::Deviation),
        (stddev_pop_udaf(), Kind::DeviationOfAll),
    ];
    let (inner, kind) = known.into_iter().find(|(known, _)| is_it(known))?;
    Some(Arc::new(AggregateUDF::from(Sliding { inner, kind })))
}

/// Whether a function is one that [`sliding`] has made.
pub(crate) fn is_sliding(function: &AggregateUDF) -> bool {
    function.inner().is::<Sliding>()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Sum,
    Mean,
    Variance,
    VarianceOfAll,
    Deviation,
    DeviationOfAll,
}

impl Kind {
    fn accumulator(self) -> Box<dyn Accumulator> {
        match self {
            Kind::Sum => of_window(|kept: &Sum| Some(kept.sum)),
            Kind::Mean => of_window(|kept: &Sum| Some(kept.sum / kept.count)),
            Kind::Variance => of_window(Spread::variance),
            Kind::VarianceOfAll => of_window(Spread::variance_of_all),
            Kind::Deviation => of_window(|kept: &Spread| kept.variance().map(f64::sqrt)),
            Kind::DeviationOfAll => {
                of_window(|kept: &Spread| kept.variance_of_all().map(f64::sqrt))
            }
        }
    }
}

/// A function of DataFusion's, but for its accumulator of floats in a window.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Sliding {
    inner: Arc<AggregateUDF>,
    kind: Kind,
}

impl AggregateUDFImpl for Sliding {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field(&self, fields: &[FieldRef]) -> Result<FieldRef> {
        self.inner.return_field(fields)
    }

    fn is_nullable(&self) -> bool {
        self.inner.is_nullable()
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        self.inner.default_value(data_type)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        self.inner.accumulator(args)
    }

    fn create_sliding_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn Accumulator>> {
        match args.expr_fields {
            [values] if values.data_type() == &DataType::Float64 && !args.is_distinct => {
                Ok(self.kind.accumulator())
            }
            _ => self.inner.create_sliding_accumulator(args),
        }
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.inner.order_sensitivity()
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.inner.reverse_udf()
    }
}

/// What is known of some values. The default is that of none.
trait Summary: Copy + Default + fmt::Debug + Send + Sync + 'static {
    fn of(value: f64) -> Self;

    /// Of these values and others after them.
    fn and(self, others: Self) -> Self;

    fn is_empty(&self) -> bool;
}

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    count: f64,
    sum: f64,
}

impl Summary for Sum {
    fn of(value: f64) -> Self {
        Sum { count: 1.0, sum: value }
    }

    fn and(self, others: Self) -> Self {
        Sum { count: self.count + others.count, sum: self.sum + others.sum }
    }

    fn is_empty(&self) -> bool {
        self.count == 0.0
    }
}

/// The mean, and the sum of the squares of the distances from it. Source: Chan, Golub and LeVeque,
/// *Updating Formulae and a Pairwise Algorithm for Computing Sample Variances*, 1979.
#[derive(Debug, Clone, Copy, Default)]
struct Spread {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Spread {
    /// Of a sample; one value has none.
    fn variance(&self) -> Option<f64> {
        (self.count > 1.0).then(|| self.squares / (self.count - 1.0))
    }

    fn variance_of_all(&self) -> Option<f64> {
        Some(self.squares / self.count)
    }
}

impl Summary for Spread {
    fn of(value: f64) -> Self {
        // The distance of a NaN or an infinity from itself is not a number.
        let squares = if value.is_finite() { 0.0 } else { f64::NAN };
        Spread { count: 1.0, mean: value, squares }
    }

    fn and(self, others: Self) -> Self {
        if self.is_empty() || others.is_empty() {
            return if self.is_empty() { others } else { self };
        }
        let count = self.count + others.count;
        let distance = others.mean - self.mean;
        Spread {
            count,
            mean: self.mean + distance * (others.count / count),
            squares: self.squares
                + others.squares
                + distance * distance * (self.count * others.count / count),
        }
    }

    fn is_empty(&self) -> bool {
        self.count == 0.0
    }
}

/// The values of a window, none of which is NULL.
#[derive(Debug)]
struct Window<S> {
    /// Of each value that leaves next, the last one first, the summary of it and those after it, up
    /// to where `arrived` begins.
    leaving: Vec<S>,
    arrived: Vec<f64>,
    /// The summary of `arrived`.
    of_arrived: S,
    result: fn(&S) -> Option<f64>,
}

fn of_window<S: Summary>(result: fn(&S) -> Option<f64>) -> Box<dyn Accumulator> {
    let (leaving, arrived, of_arrived) = (Vec::new(), Vec::new(), S::default());
    Box::new(Window { leaving, arrived, of_arrived, result })
}

impl<S: Summary> Window<S> {
    fn add(&mut self, value: f64) {
        self.arrived.push(value);
        self.of_arrived = self.of_arrived.and(S::of(value));
    }

    /// Drops the value that came first.
    fn remove(&mut self) {
        if self.leaving.is_empty() {
            let mut after = S::default();
            while let Some(value) = self.arrived.pop() {
                after = S::of(value).and(after);
                self.leaving.push(after);
            }
            self.of_arrived = S::default();
        }
        self.leaving.pop();
    }
}

impl<S: Summary> Accumulator for Window<S> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        values[0].as_primitive::<Float64Type>().iter().flatten().for_each(|value| self.add(value));
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        // Rows leave in the order in which they came.
        let count = values[0].len() - values[0].null_count();
        (0..count).for_each(|_| self.remove());
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let first = self.leaving.last().copied().unwrap_or_default();
        let all = first.and(self.of_arrived);
        let value = if all.is_empty() { None } else { (self.result)(&all) };
        Ok(ScalarValue::Float64(value))
    }

    fn size(&self) -> usize {
        size_of_val(self)
            + self.leaving.capacity() * size_of::<S>()
            + self.arrived.capacity() * size_of::<f64>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        internal_err!("windows have no states")
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        internal_err!("windows merge no states")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array};
    use datafusion::common::ScalarValue;

    use super::Kind;

    /// The results over the last `width` values, for each value.
    fn rolled(kind: Kind, width: usize, values: &[Option<f64>]) -> Vec<Option<f64>> {
        let mut window = kind.accumulator();
        let one = |value: Option<f64>| [Arc::new(Float64Array::from(vec![value])) as ArrayRef];
        let results = values.iter().enumerate().map(|(place, value)| {
            window.update_batch(&one(*value)).unwrap();
            if let Some(left) = place.checked_sub(width) {
                window.retract_batch(&one(values[left])).unwrap();
            }
            match window.evaluate().unwrap() {
                ScalarValue::Float64(result) => result,
                other => panic!("{other}"),
            }
        });
        results.collect()
    }

    #[test]
    fn what_has_left_leaves_nothing_behind() {
        let values = [1.0, f64::NAN, 3.0, f64::INFINITY, 5.0, 7.0, 1e300, 1.0, 2.0].map(Some);
        let sums = rolled(Kind::Sum, 2, &values).into_iter().map(Option::unwrap);
        let sums: Vec<String> = sums.map(|sum| sum.to_string()).collect();
        let huge = 1e300.to_string();
        let expected = ["1", "NaN", "NaN", "inf", "inf", "12", &huge, &huge, "3"];
        assert_eq!(sums, expected);
        let variances = rolled(Kind::Variance, 2, &values);
        let expected = [None, Some(true), Some(true), Some(true), Some(true), Some(false)];
        let is_nan = variances[..6].iter().map(|variance| variance.map(f64::is_nan));
        assert_eq!(is_nan.collect::<Vec<_>>(), expected);
        assert_eq!((variances[5], variances[8]), (Some(2.0), Some(0.5)));
    }

    #[test]
    fn windows_of_any_width_and_nulls() {
        let values: Vec<Option<f64>> =
            (0..40).map(|n: i32| (n % 7 != 3).then(|| f64::from(n * n % 23))).collect();
        for width in [1, 2, 5, 39, 50] {
            for (place, (mean, variance)) in rolled(Kind::Mean, width, &values)
                .into_iter()
                .zip(rolled(Kind::VarianceOfAll, width, &values))
                .enumerate()
            {
                let window = &values[(place + 1).saturating_sub(width)..=place];
                let inside: Vec<f64> = window.iter().copied().flatten().collect();
                let count = inside.len() as f64;
                if inside.is_empty() {
                    assert_eq!((mean, variance), (None, None));
                    continue;
                }
                let expected = inside.iter().sum::<f64>() / count;
                let squares: f64 = inside.iter().map(|x| (x - expected).powi(2)).sum();
                assert!((mean.unwrap() - expected).abs() < 1e-12);
                assert!((variance.unwrap() - squares / count).abs() < 1e-11);
            }
        }
    }

    #[test]
    fn one_value_is_no_sample() {
        let values = [Some(4.0), None, Some(4.0), Some(4.0)];
        assert_eq!(rolled(Kind::Deviation, 2, &values), [None, None, None, Some(0.0)]);
        let of_all = rolled(Kind::DeviationOfAll, 2, &values);
        assert_eq!(of_all, [Some(0.0); 4]);
    }
}
