//! Some of the rows.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{lit, when};

use super::{DataFrame, col};
use crate::error::{Error, Result};
use crate::relations::pivot::equals;
use crate::relations::sample::{Amount, Sample, any_seed, within};

/// # Samples
///
/// Without a seed the rows are others each time. With one they are the same, for the same rows of the
/// frame, whatever the number of threads; that reads all columns and takes longer, as rows that are
/// alike have to be counted.
impl DataFrame {
    /// So many rows, or all if there are fewer, each as likely as the others, in no order.
    ///
    /// # Errors
    /// Those of the plan below.
    pub fn sample_n(self, rows: usize, seed: Option<u64>) -> Result<Self> {
        self.sampled(Sample { amount: Amount::Rows(rows), seed })
    }

    /// Each row with this probability.
    ///
    /// # Errors
    /// `Query` for a fraction that is not between 0 and 1.
    pub fn sample_fraction(self, fraction: f64, seed: Option<u64>) -> Result<Self> {
        check_fraction(fraction)?;
        self.sampled(Sample { amount: Amount::Fraction(fraction), seed })
    }

    /// Each row with the probability for its value of a column: `[("paid", 0.1), ("open", 1.0)]`. Rows
    /// of other values are left out.
    ///
    /// # Errors
    /// `Query` for a column that is not there and fractions that are not between 0 and 1.
    pub fn sample_by<V: Into<ScalarValue>>(
        self,
        column: &str,
        fractions: impl IntoIterator<Item = (V, f64)>,
        seed: Option<u64>,
    ) -> Result<Self> {
        let column = self.exact(col(column))?;
        let mut fraction = lit(0.0);
        for (value, of_value) in fractions {
            check_fraction(of_value)?;
            let has_value = equals(column.clone(), &value.into());
            fraction = when(has_value, lit(of_value)).otherwise(fraction)?;
        }
        let plan = within(self.logical(), seed, lit(0.0), fraction)?;
        Ok(self.planned(plan))
    }

    /// Splits the rows by chance into as many frames as there are weights, about as large in proportion
    /// as these: `random_split(&[0.8, 0.2], Some(7))`. Every row is in one of them.
    ///
    /// Each of the frames runs the query below. All must see the same rows: where that one is random
    /// itself or reads files that change, [`DataFrame::cache`] it before.
    ///
    /// # Errors
    /// `Query` for weights that are negative or all 0.
    pub fn random_split(self, weights: &[f64], seed: Option<u64>) -> Result<Vec<Self>> {
        let total: f64 = weights.iter().sum();
        let are_weights = weights.iter().all(|weight| *weight >= 0.0);
        if !(are_weights && total > 0.0 && total.is_finite()) {
            return Err(Error::query(format!("a split by the weights {weights:?}"))
                .with_hint("weights are 0 or more, and at least one is above 0"));
        }
        let seed = Some(seed.unwrap_or_else(any_seed));
        let mut low = 0.0;
        let mut sum = 0.0;
        let mut splits = Vec::new();
        for (number, weight) in weights.iter().enumerate() {
            sum += weight;
            // What rounding leaves over belongs to the last one.
            let is_last = number + 1 == weights.len();
            let high = if is_last { 1.0 } else { (sum / total).min(1.0) };
            let plan = within(self.logical(), seed, lit(low), lit(high))?;
            splits.push(self.planned(plan));
            low = high;
        }
        Ok(splits)
    }

    fn sampled(self, sample: Sample) -> Result<Self> {
        let plan = sample.plan(self.logical())?;
        Ok(self.planned(plan))
    }
}

fn check_fraction(fraction: f64) -> Result<()> {
    if (0.0..=1.0).contains(&fraction) {
        return Ok(());
    }
    Err(Error::query(format!("a sample of {fraction} of the rows"))
        .with_hint("a fraction is between 0 and 1"))
}
