//! Aggregates of numbers, by what they keep of them: sums, products and powers.

use std::sync::{Arc, LazyLock};

use datafusion::logical_expr::AggregateUDF;

use super::moments::{MOST_FIELDS, Moments, MomentsFunction};
use super::result::EntropySums;

/// All of this file.
pub(super) static FUNCTIONS: LazyLock<Vec<Arc<AggregateUDF>>> = LazyLock::new(|| {
    vec![
        MomentsFunction::udaf("product", &[], |kept: &Product| {
            (kept.count > 0.0).then_some(kept.product)
        }),
        MomentsFunction::udaf("geomean", &["geometric_mean"], |kept: &Logarithms| {
            (kept.count > 0.0).then(|| (kept.sum / kept.count).exp())
        }),
        MomentsFunction::udaf("kahan_sum", &["fsum", "sumkahan"], |kept: &ExactSum| {
            (kept.count > 0.0).then(|| kept.sum())
        }),
        MomentsFunction::udaf("favg", &[], |kept: &ExactSum| {
            (kept.count > 0.0).then(|| kept.sum() / kept.count)
        }),
        MomentsFunction::udaf("weighted_avg", &["wavg"], |kept: &Weighted| {
            (kept.count > 0.0).then(|| kept.products.sum() / kept.weights.sum())
        }),
        MomentsFunction::udaf("skewness", &["skew"], Powers::skewness),
        MomentsFunction::udaf("kurtosis", &["kurt", "kurtosis_samp"], Powers::kurtosis),
        MomentsFunction::udaf("kurtosis_pop", &[], Powers::kurtosis_pop),
        MomentsFunction::udaf("sem", &[], Powers::error_of_mean),
    ]
});

static ENTROPY_OF_COUNTS: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| {
    MomentsFunction::udaf("entropy_of_counts", &[], |kept: &EntropySums| Some(kept.entropy()))
});

/// `entropy_of_counts(n)`: the entropy of values that are there so often. Only rewritten plans have
/// it.
pub(super) fn entropy_of_counts_udaf() -> Arc<AggregateUDF> {
    Arc::clone(&ENTROPY_OF_COUNTS)
}

#[derive(Debug, Clone, Copy)]
struct Product {
    count: f64,
    product: f64,
}

impl Default for Product {
    fn default() -> Self {
        Product { count: 0.0, product: 1.0 }
    }
}

impl Moments for Product {
    const ARGUMENTS: usize = 1;
    const FIELDS: &'static [&'static str] = &["count", "product"];

    fn add(&mut self, x: f64, _: f64) {
        self.count += 1.0;
        self.product *= x;
    }

    fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.product *= other.product;
    }

    fn to_fields(self) -> [f64; MOST_FIELDS] {
        [self.count, self.product, 0.0, 0.0, 0.0]
    }

    fn from_fields([count, product, ..]: [f64; MOST_FIELDS]) -> Self {
        Product { count, product }
    }
}

/// The logarithms of numbers: that of 0 is negative infinity, of which the mean is 0 again; that of
/// a negative number is NaN.
#[derive(Debug, Clone, Copy, Default)]
struct Logarithms {
    count: f64,
    sum: f64,
}

impl Moments for Logarithms {
    const ARGUMENTS: usize = 1;
    const FIELDS: &'static [&'static str] = &["count", "sum"];

    fn add(&mut self, x: f64, _: f64) {
        self.count += 1.0;
        self.sum += x.ln();
    }

    fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.sum += other.sum;
    }

    fn to_fields(self) -> [f64; MOST_FIELDS] {
        [self.count, self.sum, 0.0, 0.0, 0.0]
    }

    fn from_fields([count, sum, ..]: [f64; MOST_FIELDS]) -> Self {
        Logarithms { count, sum }
    }
}

/// A sum with what rounding has cut off (Neumaier's variant of Kahan's).
#[derive(Debug, Clone, Copy, Default)]
struct ExactSum {
    count: f64,
    sum: f64,
    cut: f64,
}

impl ExactSum {
    fn add_value(&mut self, x: f64) {
        let sum = self.sum + x;
        self.cut +=
            if self.sum.abs() >= x.abs() { (self.sum - sum) + x } else { (x - sum) + self.sum };
        self.sum = sum;
    }

    fn sum(&self) -> f64 {
        // What is cut off from an infinity is not a number.
        if self.sum.is_finite() { self.sum + self.cut } else { self.sum }
    }
}

impl Moments for ExactSum {
    const ARGUMENTS: usize = 1;
    const FIELDS: &'static [&'static str] = &["count", "sum", "cut"];

    fn add(&mut self, x: f64, _: f64) {
        self.count += 1.0;
        self.add_value(x);
    }

    fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.add_value(other.sum);
        self.cut += other.cut;
    }

    fn to_fields(self) -> [f64; MOST_FIELDS] {
        [self.count, self.sum, self.cut, 0.0, 0.0]
    }

    fn from_fields([count, sum, cut, ..]: [f64; MOST_FIELDS]) -> Self {
        ExactSum { count, sum, cut }
    }
}

/// Numbers with weights.
#[derive(Debug, Clone, Copy, Default)]
struct Weighted {
    count: f64,
    products: ExactSum,
    weights: ExactSum,
}

impl Moments for Weighted {
    const ARGUMENTS: usize = 2;
    const FIELDS: &'static [&'static str] =
        &["count", "products", "products_cut", "weights", "weights_cut"];

    fn add(&mut self, x: f64, weight: f64) {
        self.count += 1.0;
        self.products.add_value(x * weight);
        self.weights.add_value(weight);
    }

    fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.products.merge(other.products);
        self.weights.merge(other.weights);
    }

    fn to_fields(self) -> [f64; MOST_FIELDS] {
        let Weighted { count, products, weights } = self;
        [count, products.sum, products.cut, weights.sum, weights.cut]
    }

    fn from_fields(fields: [f64; MOST_FIELDS]) -> Self {
        let [count, sum, cut, weights, weights_cut] = fields;
        Weighted {
            count,
            products: ExactSum { count, sum, cut },
            weights: ExactSum { count, sum: weights, cut: weights_cut },
        }
    }
}

/// The mean, and sums of powers of the distances from it, which do not cancel out as sums of powers
/// of the numbers would. Source: Pébay, *Formulas for Robust, One-Pass Parallel Computation of
/// Covariances and Arbitrary-Order Statistical Moments*, Sandia 2008.
#[derive(Debug, Clone, Copy, Default)]
struct Powers {
    count: f64,
    mean: f64,
    squares: f64,
    cubes: f64,
    fourths: f64,
}

impl Powers {
    /// Of less than three numbers, or of equal ones, there is none.
    fn skewness(&self) -> Option<f64> {
        let n = self.count;
        let variance = self.squares / n;
        (n > 2.0 && variance != 0.0).then(|| {
            let of_all = self.cubes / n / variance.powf(1.5);
            of_all * (n * (n - 1.0)).sqrt() / (n - 2.0)
        })
    }

    /// Of all numbers, less that of a normal distribution.
    fn kurtosis_pop(&self) -> Option<f64> {
        let n = self.count;
        let excess = || n * self.fourths / (self.squares * self.squares) - 3.0;
        (n > 1.0 && self.squares != 0.0).then(excess)
    }

    /// Estimated from a sample.
    fn kurtosis(&self) -> Option<f64> {
        let n = self.count;
        let of_all = self.kurtosis_pop().filter(|_| n > 3.0)?;
        Some((n - 1.0) / ((n - 2.0) * (n - 3.0)) * ((n + 1.0) * of_all + 6.0))
    }

    fn error_of_mean(&self) -> Option<f64> {
        let n = self.count;
        (n > 0.0).then(|| (self.squares / n).sqrt() / n.sqrt())
    }
}

impl Moments for Powers {
    const ARGUMENTS: usize = 1;
    const FIELDS: &'static [&'static str] = &["count", "mean", "squares", "cubes", "fourths"];

    fn add(&mut self, x: f64, _: f64) {
        self.merge(Powers { count: 1.0, mean: x, ..Powers::default() });
    }

    fn merge(&mut self, other: Self) {
        if other.count == 0.0 {
            return;
        }
        if self.count == 0.0 {
            *self = other;
            return;
        }
        let (a, b) = (self.count, other.count);
        let n = a + b;
        let step = (other.mean - self.mean) / n;
        let (step2, product) = (step * step, a * b);
        self.fourths += other.fourths
            + product * step2 * step2 * n * (a * a - product + b * b)
            + 6.0 * step2 * (a * a * other.squares + b * b * self.squares)
            + 4.0 * step * (a * other.cubes - b * self.cubes);
        self.cubes += other.cubes
            + product * step2 * step * n * (a - b)
            + 3.0 * step * (a * other.squares - b * self.squares);
        self.squares += other.squares + product * step2 * n;
        self.mean += step * b;
        self.count = n;
    }

    fn to_fields(self) -> [f64; MOST_FIELDS] {
        [self.count, self.mean, self.squares, self.cubes, self.fourths]
    }

    fn from_fields([count, mean, squares, cubes, fourths]: [f64; MOST_FIELDS]) -> Self {
        Powers { count, mean, squares, cubes, fourths }
    }
}

impl Moments for EntropySums {
    const ARGUMENTS: usize = 1;
    const FIELDS: &'static [&'static str] = &["total", "logarithms"];

    fn add(&mut self, count: f64, _: f64) {
        self.add_count(count);
    }

    fn merge(&mut self, other: Self) {
        self.total += other.total;
        self.logarithms += other.logarithms;
    }

    fn to_fields(self) -> [f64; MOST_FIELDS] {
        [self.total, self.logarithms, 0.0, 0.0, 0.0]
    }

    fn from_fields([total, logarithms, ..]: [f64; MOST_FIELDS]) -> Self {
        EntropySums { total, logarithms }
    }
}

#[cfg(test)]
mod tests {
    use super::{ExactSum, Moments, Powers, Product, Weighted};

    /// What is kept of all rows, in one go and in parts that go through their fields.
    fn whole_and_parts<M: Moments>(rows: &[(f64, f64)], cuts: &[usize]) -> (M, M) {
        let of = |rows: &[(f64, f64)]| {
            let mut kept = M::default();
            rows.iter().for_each(|(x, y)| kept.add(*x, *y));
            kept
        };
        let mut merged = M::default();
        let mut begin = 0;
        for cut in cuts.iter().copied().chain([rows.len()]) {
            merged.merge(M::from_fields(of(&rows[begin..cut]).to_fields()));
            begin = cut;
        }
        (of(rows), merged)
    }

    fn assert_close(a: Option<f64>, b: Option<f64>) {
        let (a, b) = (a.unwrap(), b.unwrap());
        assert!((a - b).abs() <= 1e-12 * a.abs().max(1.0), "{a} and {b}");
    }

    #[test]
    fn parts_make_the_whole() {
        let rows: Vec<_> =
            (0..50).map(|n| (f64::from(n * n % 17) - 4.5, f64::from(n % 3))).collect();
        for cuts in [&[][..], &[0], &[50], &[1, 2, 40], &[7, 7, 7]] {
            let (whole, parts) = whole_and_parts::<Powers>(&rows, cuts);
            for result in [Powers::skewness, Powers::kurtosis, Powers::error_of_mean] {
                assert_close(result(&whole), result(&parts));
            }
            let (whole, parts) = whole_and_parts::<Product>(&rows[..20], &[3, 9]);
            assert_close(Some(whole.product), Some(parts.product));
            let (whole, parts) = whole_and_parts::<Weighted>(&rows, cuts);
            assert_close(Some(whole.products.sum()), Some(parts.products.sum()));
            assert_eq!((whole.count, parts.count), (50.0, 50.0));
        }
    }

    #[test]
    fn moments_far_from_zero_keep_their_digits() {
        // The distances from the mean are those of 1, 2, 4, 8.
        let kept = |shift: f64| {
            let mut kept = Powers::default();
            [1.0, 2.0, 4.0, 8.0].iter().for_each(|x| kept.add(x + shift, 0.0));
            kept
        };
        // The mean itself has seven digits behind the point there.
        for result in [Powers::skewness, Powers::kurtosis] {
            let (near, far) = (result(&kept(0.0)).unwrap(), result(&kept(1e9)).unwrap());
            assert!((near - far).abs() < 1e-6, "{near} and {far}");
        }
    }

    #[test]
    fn exact_sums_lose_nothing_to_larger_numbers() {
        let rows = [(1.0, 0.0), (1e100, 0.0), (1.0, 0.0), (-1e100, 0.0)];
        for cuts in [&[][..], &[1], &[2], &[1, 2, 3]] {
            let (whole, parts) = whole_and_parts::<ExactSum>(&rows, cuts);
            assert_eq!((whole.sum(), parts.sum()), (2.0, 2.0));
        }
        let (infinite, _) = whole_and_parts::<ExactSum>(&[(f64::INFINITY, 0.0), (1.0, 0.0)], &[]);
        assert_eq!(infinite.sum(), f64::INFINITY);
    }
}
