//! Groups of rows and their aggregates.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::logical_plan::Aggregate;
use datafusion::logical_expr::utils::find_aggregate_exprs;
use datafusion::logical_expr::{
    Expr, LogicalPlanBuilder, SortExpr, cube, grouping_set, lit, rollup,
};

use super::names::{check_distinct, columns, columns_of, distinctly_named, free_name, output_name};
use super::order::{aggregated_in_order, row_numbers};
use super::window::window_of;
use super::{DataFrame, col};
use crate::aggregates::{self, count, len, max, median, min, sum};
use crate::error::{Error, Result};

/// Rows in groups, waiting for the aggregates.
#[derive(Debug, Clone)]
pub struct GroupBy {
    frame: DataFrame,
    keys: Keys,
}

#[derive(Debug, Clone)]
enum Keys {
    One(Vec<Expr>),
    Rollup(Vec<Expr>),
    Cube(Vec<Expr>),
    Sets(Vec<Vec<Expr>>),
}

impl DataFrame {
    /// Groups the rows by the values of these expressions; no expression makes one group.
    pub fn group_by(self, keys: impl IntoIterator<Item = Expr>) -> GroupBy {
        GroupBy { frame: self, keys: Keys::One(keys.into_iter().collect()) }
    }

    /// Groups the rows by all of these expressions, then by all but the last, and so on down to one
    /// group of all rows; what a group is not made by is NULL in it.
    pub fn rollup(self, keys: impl IntoIterator<Item = Expr>) -> GroupBy {
        GroupBy { frame: self, keys: Keys::Rollup(keys.into_iter().collect()) }
    }

    /// Groups the rows by every subset of these expressions; what a group is not made by is NULL in
    /// it.
    pub fn cube(self, keys: impl IntoIterator<Item = Expr>) -> GroupBy {
        GroupBy { frame: self, keys: Keys::Cube(keys.into_iter().collect()) }
    }

    /// Groups the rows by each of these sets of expressions; what a group is not made by is NULL in
    /// it.
    pub fn grouping_sets<S>(self, sets: impl IntoIterator<Item = S>) -> GroupBy
    where
        S: IntoIterator<Item = Expr>,
    {
        let sets = sets.into_iter().map(|set| set.into_iter().collect()).collect();
        GroupBy { frame: self, keys: Keys::Sets(sets) }
    }

    /// How often each combination of values of these columns is there: the columns and `count`, the
    /// most frequent first, and equally frequent ones in the order of their values.
    ///
    /// # Errors
    /// As for [`DataFrame::select`], and `Query` if one of them is called `count`.
    pub fn value_counts(self, columns: &[&str]) -> Result<Self> {
        let keys = columns_of(self.plan.schema(), columns)?;
        let sizes = self.group_by(keys.clone()).agg([len().alias("count")])?;
        let by_value = columns.iter().map(|name| col(*name).sort(true, false));
        let by_size = [col("count").sort(false, false)];
        sizes.sort(by_size.into_iter().chain(by_value))
    }

    /// Aggregates of all rows, as one row.
    ///
    /// # Errors
    /// As for [`GroupBy::agg`].
    pub fn agg(self, aggregates: impl IntoIterator<Item = Expr>) -> Result<Self> {
        self.group_by([]).agg(aggregates)
    }
}

/// Methods of groups, and of a frame as one group.
macro_rules! aggregates_of_columns {
    ($($(#[$doc:meta])+ $name:ident($($argument:ident: $kind:ty)?): $which:expr => $make:expr;)+) => {
        impl GroupBy {
            $($(#[$doc])+
            ///
            /// # Errors
            /// As for [`GroupBy::agg`].
            pub fn $name(self $(, $argument: $kind)?) -> Result<DataFrame> {
                self.each($which, $make)
            })+
        }

        impl DataFrame {
            $($(#[$doc])+
            /// All rows are one group.
            ///
            /// # Errors
            /// As for [`GroupBy::agg`].
            pub fn $name(self $(, $argument: $kind)?) -> Result<Self> {
                self.group_by([]).$name($($argument)?)
            })+
        }
    };
}

aggregates_of_columns! {
    /// The sum of every numeric column.
    sum(): DataType::is_numeric => sum;
    /// The mean of every numeric column.
    mean(): DataType::is_numeric => aggregates::mean;
    /// The median of every numeric column.
    median(): DataType::is_numeric => median;
    /// The exact quantile, from 0 to 1, of every numeric column.
    quantile(quantile: f64): DataType::is_numeric => |values| aggregates::quantile(values, quantile);
    /// The standard deviation of every numeric column, as of a sample.
    std(): DataType::is_numeric => aggregates::std;
    /// The variance of every numeric column, as of a sample.
    var(): DataType::is_numeric => aggregates::var;
    /// The least value of every column that has an order.
    min(): has_order => min;
    /// The greatest value of every column that has an order.
    max(): has_order => max;
    /// The number of different values of every column; NULL counts as one.
    n_unique(): |_| true => aggregates::n_unique;
    /// The value of the first row for every column; of any row if the rows have no order.
    first(): |_| true => aggregates::first;
    /// The value of the last row for every column; of any row if the rows have no order.
    last(): |_| true => aggregates::last;
}

fn has_order(data_type: &DataType) -> bool {
    !matches!(data_type, DataType::Map(..) | DataType::Union(..) | DataType::Struct(_))
        && !data_type.is_list()
}

impl GroupBy {
    /// Computes aggregates of each group; the result has the keys, then the aggregates. An aggregate
    /// may be part of an expression: `sum(col("paid")) / sum(col("price"))`. One without an alias has
    /// the name of its first column. First and last values, lists and joined texts follow the order of
    /// the rows, if they have one.
    ///
    /// # Errors
    /// As for [`DataFrame::select`], and `Query` for an expression without an aggregate, or with a
    /// column that is neither a key nor inside of one.
    pub fn agg(self, aggregates: impl IntoIterator<Item = Expr>) -> Result<DataFrame> {
        let order = self.frame.order().unwrap_or_default();
        self.agg_in_order(aggregates, &order)
    }

    /// As [`GroupBy::agg`], of rows that are in an order.
    pub(super) fn agg_in_order(
        self,
        aggregates: impl IntoIterator<Item = Expr>,
        order: &[SortExpr],
    ) -> Result<DataFrame> {
        let frame = self.frame;
        let keys = self.keys.exact(&frame)?;
        let wanted = frame.exact_all(aggregates)?;
        if let Some(plain) = wanted.iter().find(|expr| find_aggregate_exprs([*expr]).is_empty()) {
            let what = match plain {
                Expr::Column(column) => column.name.clone(),
                plain => plain.human_display().to_string(),
            };
            let what = format!("{what} is no aggregate");
            return Err(Error::query(what).with_hint("say which of the values: sum, first, list …"));
        }
        let wanted = wanted.into_iter().map(|expr| aggregated_in_order(expr, order));
        let wanted = wanted.collect::<Result<Vec<_>>>()?;
        let parts = find_aggregate_exprs(&wanted);
        let names = keys.distinct().iter().map(|key| key.schema_name().to_string()).collect();
        let plan = LogicalPlanBuilder::from(frame.logical());
        let named = distinctly_named(names, parts.clone());
        let plan = plan.aggregate(keys.grouping(), named)?.build()?;
        let of_groups = columns(plan.schema());
        let (key_columns, part_columns) = of_groups.split_at(of_groups.len() - parts.len());
        let key_columns: Vec<_> = key_columns
            .iter()
            .filter(|(name, _)| name != Aggregate::INTERNAL_GROUPING_ID)
            .collect();
        let key_columns = key_columns.into_iter().map(|(_, column)| column.clone());
        let key_columns: Vec<Expr> = key_columns.collect();
        let mut known: Vec<(Expr, Expr)> =
            keys.distinct().into_iter().zip(key_columns.clone()).collect();
        known.extend(parts.into_iter().zip(part_columns.iter().map(|(_, column)| column.clone())));
        let frame = frame.planned(plan);
        let results = wanted.into_iter().map(|expr| of_known(&known, expr));
        let results = results.collect::<Result<Vec<_>>>()?;
        let names: Vec<String> = key_columns.iter().chain(&results).map(output_name).collect();
        check_distinct(&names)?;
        frame.project(key_columns.into_iter().chain(results))
    }

    /// The number of rows of each group, as `len`.
    ///
    /// # Errors
    /// As for [`GroupBy::agg`].
    pub fn len(self) -> Result<DataFrame> {
        self.agg([len().alias("len")])
    }

    /// The number of values of every column that are not NULL.
    ///
    /// # Errors
    /// As for [`GroupBy::agg`].
    pub fn count(self) -> Result<DataFrame> {
        self.each(|_| true, count)
    }

    /// Adds columns to the rows, or replaces those of their names: the aggregates of the group of
    /// each row, which may be in an expression with its own values:
    /// `(col("paid") / sum(col("paid"))).alias("share")`.
    ///
    /// # Errors
    /// As for [`DataFrame::select`], and `Query` for groups of several sets of keys.
    pub fn transform(self, exprs: impl IntoIterator<Item = Expr>) -> Result<DataFrame> {
        let keys = self.plain_keys()?;
        let exprs = self.frame.exact_all(exprs)?.into_iter();
        let exprs = exprs.map(|expr| over(&keys, expr)).collect::<Result<Vec<_>>>()?;
        self.frame.with_columns(exprs)
    }

    /// Keeps the rows of the groups for which a condition on aggregates is true.
    ///
    /// # Errors
    /// As for [`GroupBy::transform`].
    pub fn filter(self, condition: Expr) -> Result<DataFrame> {
        let mark = free_name(self.frame.plan.schema(), "kept");
        let marked = self.transform([condition.alias(&mark)])?;
        marked.filter(col(&mark))?.drop(mark.as_str())
    }

    /// The first `count` rows of each group in this order, or if it is empty, in that of the frame.
    ///
    /// # Errors
    /// As for [`GroupBy::transform`].
    pub fn head(
        self,
        count: usize,
        order: impl IntoIterator<Item = SortExpr>,
    ) -> Result<DataFrame> {
        let (keys, frame) = (self.plain_keys()?, self.frame);
        let order =
            order.into_iter().map(|sort| Ok(SortExpr { expr: frame.exact(sort.expr)?, ..sort }));
        let order = order.collect::<Result<Vec<_>>>()?;
        let mark = free_name(frame.plan.schema(), "place");
        let place = row_numbers(keys, order)?;
        let all = columns(frame.plan.schema()).into_iter().map(|(_, column)| column);
        let placed = frame.project(all.chain([place.alias(&mark)]))?;
        placed.filter(col(&mark).lt_eq(lit(count as u64)))?.drop(mark.as_str())
    }

    /// The `count` rows of each group with the greatest values of these columns; NULLs come after
    /// all values.
    ///
    /// # Errors
    /// As for [`GroupBy::transform`].
    pub fn top_k(self, count: usize, by: &[&str]) -> Result<DataFrame> {
        self.head(count, by.iter().map(|name| col(*name).sort(false, false)))
    }

    /// An aggregate of each column that is no key and whose type is fit for it.
    fn each(
        self,
        is_fit: impl Fn(&DataType) -> bool,
        aggregate: impl Fn(Expr) -> Expr,
    ) -> Result<DataFrame> {
        let schema = self.frame.plan.schema();
        let keys = self.keys.exact(&self.frame)?.distinct();
        let fields = columns(schema).into_iter().zip(schema.fields());
        let values = fields
            .filter(|((_, column), field)| !keys.contains(column) && is_fit(field.data_type()));
        let values: Vec<_> =
            values.map(|((name, column), _)| aggregate(column).alias(name)).collect();
        self.agg(values)
    }

    fn plain_keys(&self) -> Result<Vec<Expr>> {
        match self.keys.exact(&self.frame)? {
            Keys::One(keys) => Ok(keys.into_iter().map(Expr::unalias).collect()),
            _ => Err(Error::query("a row is in several groups of a rollup or a cube")
                .with_hint("use group_by")),
        }
    }
}

impl Keys {
    fn exact(&self, frame: &DataFrame) -> Result<Keys> {
        let all = |keys: &[Expr]| frame.exact_all(keys.iter().cloned());
        Ok(match self {
            Keys::One(keys) => Keys::One(all(keys)?),
            Keys::Rollup(keys) => Keys::Rollup(all(keys)?),
            Keys::Cube(keys) => Keys::Cube(all(keys)?),
            Keys::Sets(sets) => {
                Keys::Sets(sets.iter().map(|set| all(set)).collect::<Result<Vec<_>>>()?)
            }
        })
    }

    fn grouping(&self) -> Vec<Expr> {
        match self {
            Keys::One(keys) => keys.clone(),
            Keys::Rollup(keys) => vec![rollup(keys.clone())],
            Keys::Cube(keys) => vec![cube(keys.clone())],
            Keys::Sets(sets) => vec![grouping_set(sets.clone())],
        }
    }

    /// Every key once, in the order in which the groups have them.
    fn distinct(&self) -> Vec<Expr> {
        let all = match self {
            Keys::One(keys) | Keys::Rollup(keys) | Keys::Cube(keys) => keys.clone(),
            Keys::Sets(sets) => sets.concat(),
        };
        let mut distinct: Vec<Expr> = Vec::new();
        for key in all {
            if !distinct.contains(&key) {
                distinct.push(key);
            }
        }
        distinct
    }
}

/// The expression in terms of the columns of the groups.
fn of_known(known: &[(Expr, Expr)], expr: Expr) -> Result<Expr> {
    let name = output_name(&expr);
    let rewritten = expr.transform_down(|expr| {
        let same = |key: &Expr| *key == expr || key.clone().unalias() == expr;
        if let Some((_, column)) = known.iter().find(|(key, _)| same(key)) {
            return Ok(Transformed::new(column.clone(), true, TreeNodeRecursion::Jump));
        }
        match &expr {
            Expr::Column(column) => {
                let what = format!("\"{}\" is neither a key nor aggregated", column.name);
                Err(Error::query(what)
                    .with_hint("group by it, or take first, min or list of it")
                    .into())
            }
            _ => Ok(Transformed::no(expr)),
        }
    })?;
    Ok(match rewritten.data {
        alias @ Expr::Alias(_) => alias,
        expr => expr.alias(name),
    })
}

/// The expression with each aggregate taken of all rows with the same keys.
pub(super) fn over(keys: &[Expr], expr: Expr) -> Result<Expr> {
    let name = expr.schema_name().to_string();
    let rewritten = expr.transform_up(|expr| {
        let Expr::AggregateFunction(aggregate) = expr else { return Ok(Transformed::no(expr)) };
        let mut window = window_of(aggregate);
        window.params.partition_by = keys.to_vec();
        Ok(Transformed::yes(Expr::from(window)))
    })?;
    Ok(match rewritten.data {
        alias @ Expr::Alias(_) => alias,
        expr => expr.alias(name),
    })
}
