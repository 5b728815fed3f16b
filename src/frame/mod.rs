//! The embedded dataframe: lazy, chainable, the same plan as SQL.

mod accessors;
mod bar;
mod checkpoint;
mod cut;
mod ewm;
mod fill;
mod many;
mod map;
mod methods;
mod period;
mod persist;
mod resample;
mod rolling;
mod running;
mod upsample;
mod visualize;
mod window;

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema};
use datafusion::dataframe::DataFrame as Plan;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::logical_expr::{Expr, SortExpr};
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::{JoinType, coalesce};
use futures::TryStreamExt;

use crate::error::{Error, ErrorKind, Result};
use crate::exchange::{compacted, logical_bytes};
use crate::output::{Format, OutputFile, Style};
use crate::session::{ByteSize, QueryMetrics, QueryStream, Session};
use crate::table::{StoredTable, check_names, in_order};

pub use accessors::{DateTime, Json, List, Roll, Text};
pub use ewm::Ewm;
pub(crate) use many::Many;
pub use many::collect_all;
pub(crate) use map::Maps;
pub use methods::ExprMethods;
pub use period::Period;
pub use resample::{DynamicGroups, Label};
pub use rolling::{Closed, Rolling, RollingBy, RollingGroups};
pub use running::{CancelHandle, RunningQuery};
pub use visualize::Picture;
pub use window::{Ties, cume_dist, ntile, percent_rank, row_number};

/// A query that has not run yet: columns and how to get them.
///
/// Every method that changes it takes it and gives a new one; nothing is read until it is
/// collected, streamed, shown or written. Clones are cheap.
///
/// Column names match whatever their case when only one column is meant.
///
/// ```
/// # use brimful::{Session, SessionOptions, col, aggregates::avg};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> brimful::Result<()> {
/// let session = Session::new(SessionOptions::new())?;
/// let trips = session.read_csv("testdata/taxi.csv", Default::default()).await?;
/// let by_payment = trips
///     .group_by([col("payment_type")])
///     .agg([avg(col("total_amount")).alias("mean_total")])?
///     .sort([col("payment_type").sort(true, false)])?;
/// by_payment.show().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct DataFrame {
    session: Session,
    plan: Plan,
}

/// A column by its exact name, or by a name that differs only in case; `table.column` when no
/// column has that name.
pub fn col(name: impl Into<String>) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

/// Which rows a join keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// Rows that match.
    Inner,
    /// Rows that match, and the others of the left side with NULLs.
    Left,
    /// Rows that match, and the others of the right side with NULLs.
    Right,
    /// Rows that match, and the others of both sides with NULLs.
    Full,
    /// Rows of the left side that match, once each.
    Semi,
    /// Rows of the left side that do not match.
    Anti,
}

impl DataFrame {
    pub(crate) fn new(session: Session, plan: Plan) -> Self {
        DataFrame { session, plan }
    }

    fn with(&self, plan: Plan) -> Self {
        DataFrame { session: self.session.clone(), plan }
    }

    /// Names and types of the columns.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(self.plan.schema().inner())
    }

    pub(crate) fn into_table(self) -> Arc<dyn TableProvider> {
        self.plan.into_view()
    }

    /// Keeps these expressions as the columns.
    ///
    /// # Errors
    /// `Query` if an expression names a column that is not there.
    pub fn select(self, exprs: impl IntoIterator<Item = Expr>) -> Result<Self> {
        let exprs = self.exact_all(exprs)?;
        Ok(self.with(self.plan.clone().select(exprs)?))
    }

    /// Keeps the rows for which the condition is true.
    ///
    /// # Errors
    /// As for [`DataFrame::select`].
    pub fn filter(self, condition: Expr) -> Result<Self> {
        let condition = self.exact(condition)?;
        Ok(self.with(self.plan.clone().filter(condition)?))
    }

    /// Adds a column, or replaces the one of this name.
    ///
    /// # Errors
    /// As for [`DataFrame::select`].
    pub fn with_column(self, name: &str, expr: Expr) -> Result<Self> {
        let expr = self.exact(expr)?;
        let replaced = find_column(self.plan.schema(), name)?;
        let name = replaced.map_or_else(|| name.to_string(), |column| column.name);
        Ok(self.with(self.plan.clone().with_column(&name, expr)?))
    }

    /// Groups the rows by the values of these expressions; no expression makes one group.
    pub fn group_by(self, keys: impl IntoIterator<Item = Expr>) -> GroupBy {
        GroupBy { frame: self, keys: keys.into_iter().collect() }
    }

    /// Joins on columns that have the same name on both sides.
    ///
    /// The result has the left columns, then the right ones without the key columns. Keys of rows
    /// that are only on the right are taken from there. A right column whose name the left side has
    /// too gets the suffix `_right`.
    ///
    /// # Errors
    /// As for [`DataFrame::select`].
    pub fn join(self, right: DataFrame, on: &[&str], how: Join) -> Result<Self> {
        self.join_on(right, on, on, how)
    }

    /// Joins where the `left_on` columns equal the `right_on` ones, in order; otherwise as
    /// [`DataFrame::join`].
    ///
    /// # Errors
    /// As for [`DataFrame::select`], and `Query` if the two lists differ in length.
    pub fn join_on(
        self,
        right: DataFrame,
        left_on: &[&str],
        right_on: &[&str],
        how: Join,
    ) -> Result<Self> {
        if left_on.is_empty() || left_on.len() != right_on.len() {
            return Err(Error::query(format!(
                "a join needs as many key columns on each side: {} and {}",
                left_on.len(),
                right_on.len()
            )));
        }
        let left_keys = exact_names(self.plan.schema(), left_on)?;
        let right_keys = exact_names(right.plan.schema(), right_on)?;
        let left_names = names(self.plan.schema());
        let right_names = names(right.plan.schema());
        let left = self.plan.clone().alias("l")?;
        let right = right.plan.alias("r")?;
        let of = |side: &str, name: &str| Expr::Column(Column::new(Some(side), name));
        let conditions = left_keys.iter().zip(&right_keys).map(|(l, r)| of("l", l).eq(of("r", r)));
        let join_type = match how {
            Join::Inner => JoinType::Inner,
            Join::Left => JoinType::Left,
            Join::Right => JoinType::Right,
            Join::Full => JoinType::Full,
            Join::Semi => JoinType::LeftSemi,
            Join::Anti => JoinType::LeftAnti,
        };
        let joined = left.join_on(right, join_type, conditions)?;
        let mut columns = Vec::new();
        for name in &left_names {
            let key = left_keys.iter().position(|key| key == name);
            columns.push(match (key, how) {
                (Some(key), Join::Right | Join::Full) => {
                    coalesce(vec![of("l", name), of("r", &right_keys[key])]).alias(name)
                }
                _ => of("l", name).alias(name),
            });
        }
        if !matches!(how, Join::Semi | Join::Anti) {
            for name in right_names.iter().filter(|name| !right_keys.contains(name)) {
                let taken = left_names.contains(name);
                let alias = if taken { format!("{name}_right") } else { name.clone() };
                columns.push(of("r", name).alias(alias));
            }
        }
        Ok(self.with(joined.select(columns)?))
    }

    /// Orders the rows: `col("a").sort(ascending, nulls_first)`.
    ///
    /// # Errors
    /// As for [`DataFrame::select`].
    pub fn sort(self, by: impl IntoIterator<Item = SortExpr>) -> Result<Self> {
        let by = by
            .into_iter()
            .map(|sort| Ok(SortExpr { expr: self.exact(sort.expr)?, ..sort }))
            .collect::<Result<Vec<_>>>()?;
        Ok(self.with(self.plan.clone().sort(by)?))
    }

    /// Keeps the first `count` rows.
    ///
    /// # Errors
    /// Those of the plan below.
    pub fn limit(self, count: usize) -> Result<Self> {
        Ok(self.with(self.plan.clone().limit(0, Some(count))?))
    }

    /// Keeps one of each set of equal rows.
    ///
    /// # Errors
    /// Those of the plan below.
    pub fn distinct(self) -> Result<Self> {
        Ok(self.with(self.plan.clone().distinct()?))
    }

    /// The rows of both, equal ones as often as they are there. Columns are matched by place.
    ///
    /// # Errors
    /// `Query` if the columns differ in number or have types without a common one.
    pub fn union(self, other: DataFrame) -> Result<Self> {
        Ok(self.with(self.plan.clone().union(other.plan)?))
    }

    /// Runs the query and gives its batches as they come.
    ///
    /// # Errors
    /// Those of planning; the stream gives those of running.
    pub async fn stream(self) -> Result<QueryStream> {
        let context = Arc::new(self.plan.task_ctx());
        let plan = self.plan.clone().create_physical_plan().await?;
        let batches = execute_stream(Arc::clone(&plan), context)?;
        Ok(QueryStream::new(self.session, plan, batches))
    }

    /// Runs the query and gives all of its rows, which must fit in memory.
    ///
    /// They count towards the memory limit until all are there, then they are the caller's.
    ///
    /// # Errors
    /// Those of planning and running, and `Resources` if there is no room for all rows; then
    /// [`DataFrame::stream`], [`DataFrame::cache`] and the methods that write files still work.
    pub async fn collect(self) -> Result<Vec<RecordBatch>> {
        let pool = Arc::clone(&self.session.context().runtime_env().memory_pool);
        let memory = MemoryConsumer::new("collected rows").register(&pool);
        let mut stream = self.stream().await?;
        let mut batches = Vec::new();
        while let Some(batch) = stream.try_next().await? {
            let batch = compacted(batch);
            memory.try_grow(logical_bytes(&batch)).map_err(|err| {
                Error::new(
                    ErrorKind::Resources,
                    format!(
                        "the result needs more memory than it may use: {} of it were collected",
                        ByteSize(memory.size() as u64)
                    ),
                )
                .with_hint("stream it, write it to a file or cache it; or raise the memory limit")
                .with_source(err)
            })?;
            batches.push(batch);
        }
        Ok(batches)
    }

    /// Runs the query and keeps its rows for this session: in memory while there is room, else in
    /// temporary files. The frame it gives reads them, as often as it is used; they are dropped with
    /// the last frame that does. Rows that were sorted stay so.
    ///
    /// # Errors
    /// Those of planning and running, and `Query` if two columns have the same name.
    pub async fn cache(self) -> Result<Self> {
        let schema = self.schema();
        check_names(&schema)?;
        let context = Arc::new(self.plan.task_ctx());
        let plan = self.plan.clone().create_physical_plan().await?;
        let table = StoredTable::of_plan(in_order(plan), schema, context, None).await?;
        let plan = self.session.context().read_table(Arc::new(table))?;
        Ok(self.with(plan))
    }

    /// Runs the query and counts its rows.
    ///
    /// # Errors
    /// Those of planning and running.
    pub async fn count(self) -> Result<u64> {
        Ok(self.plan.count().await? as u64)
    }

    /// Runs the query and prints it as a table on standard output.
    ///
    /// # Errors
    /// Those of planning and running, and `Io` if standard output cannot be written to.
    pub async fn show(self) -> Result<()> {
        let style = Style::for_stdout();
        self.write_to(Format::Table, Box::new(std::io::stdout()), &style).await?;
        Ok(())
    }

    /// Runs the query and writes a CSV file with a header.
    ///
    /// # Errors
    /// Those of planning and running, and of writing; then the file is as it was before.
    pub async fn write_csv(self, path: impl AsRef<std::path::Path>) -> Result<QueryMetrics> {
        self.write_file(path.as_ref(), Format::Csv).await
    }

    /// Runs the query and writes a Parquet file.
    ///
    /// # Errors
    /// As for [`DataFrame::write_csv`].
    pub async fn write_parquet(self, path: impl AsRef<std::path::Path>) -> Result<QueryMetrics> {
        self.write_file(path.as_ref(), Format::Parquet).await
    }

    /// Runs the query and writes a file of one JSON object a line.
    ///
    /// # Errors
    /// As for [`DataFrame::write_csv`].
    pub async fn write_json(self, path: impl AsRef<std::path::Path>) -> Result<QueryMetrics> {
        self.write_file(path.as_ref(), Format::Ndjson).await
    }

    /// Runs the query and writes an Arrow IPC file.
    ///
    /// # Errors
    /// As for [`DataFrame::write_csv`].
    pub async fn write_arrow(self, path: impl AsRef<std::path::Path>) -> Result<QueryMetrics> {
        self.write_file(path.as_ref(), Format::Arrow).await
    }

    async fn write_file(self, path: &std::path::Path, format: Format) -> Result<QueryMetrics> {
        let mut file = OutputFile::create(path)?;
        let metrics = self.write_to(format, Box::new(&mut file), &Style::default()).await?;
        file.commit()?;
        Ok(metrics)
    }

    /// Runs the query and writes its rows in any format, batch by batch.
    async fn write_to(
        self,
        format: Format,
        sink: Box<dyn std::io::Write + Send + '_>,
        style: &Style,
    ) -> Result<QueryMetrics> {
        let mut stream = self.stream().await?;
        stream.write_to(format, sink, style).await?;
        Ok(stream.metrics())
    }

    /// The plan as a text: logical and physical, or with `analyze` the physical one after running
    /// it, with what each operator did.
    ///
    /// # Errors
    /// Those of planning and, with `analyze`, of running.
    pub async fn explain(self, analyze: bool) -> Result<String> {
        self.with(self.plan.clone().explain(false, analyze)?).plan_text().await
    }

    /// Runs an `EXPLAIN` and gives its plans as one text, each under its name.
    ///
    /// # Errors
    /// Those of planning and, with `ANALYZE`, of running.
    pub async fn plan_text(self) -> Result<String> {
        let mut text = String::new();
        for batch in &self.collect().await? {
            let columns = batch.columns().iter().map(|column| cast(column, &DataType::Utf8));
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            let [names, plans] = columns.as_slice() else {
                return Err(Error::internal("a plan is not two columns"));
            };
            let rows = names.as_string::<i32>().iter().zip(plans.as_string::<i32>());
            for (name, plan) in rows {
                let name = name.unwrap_or_default().replace('_', " ");
                text.push_str(&format!("{name}:\n{}\n", plan.unwrap_or_default().trim_end()));
            }
        }
        Ok(text)
    }

    fn exact(&self, expr: Expr) -> Result<Expr> {
        exact_columns(self.plan.schema(), expr)
    }

    fn exact_all(&self, exprs: impl IntoIterator<Item = Expr>) -> Result<Vec<Expr>> {
        exprs.into_iter().map(|expr| self.exact(expr)).collect()
    }
}

/// Rows in groups, waiting for the aggregates.
#[derive(Debug, Clone)]
pub struct GroupBy {
    frame: DataFrame,
    keys: Vec<Expr>,
}

impl GroupBy {
    /// Computes aggregates of each group; the result has the keys, then the aggregates.
    ///
    /// # Errors
    /// As for [`DataFrame::select`].
    pub fn agg(self, aggregates: impl IntoIterator<Item = Expr>) -> Result<DataFrame> {
        let keys = self.frame.exact_all(self.keys)?;
        let aggregates = self.frame.exact_all(aggregates)?;
        Ok(self.frame.with(self.frame.plan.clone().aggregate(keys, aggregates)?))
    }
}

fn names(schema: &DFSchema) -> Vec<String> {
    schema.fields().iter().map(|field| field.name().clone()).collect()
}

fn exact_names(schema: &DFSchema, wanted: &[&str]) -> Result<Vec<String>> {
    wanted
        .iter()
        .map(|name| match find_column(schema, name)? {
            Some(column) => Ok(column.name),
            None => Err(no_column(schema, name)),
        })
        .collect()
}

fn no_column(schema: &DFSchema, name: &str) -> Error {
    let error = Error::query(format!("no column \"{name}\""));
    match crate::error::column_hint(name, &names(schema)) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// Replaces every column name in an expression by the one it stands for.
fn exact_columns(schema: &DFSchema, expr: Expr) -> Result<Expr> {
    let replaced = expr.transform_up(|expr| {
        let Expr::Column(column) = &expr else { return Ok(Transformed::no(expr)) };
        if column.relation.is_some() {
            return Ok(Transformed::no(expr));
        }
        match find_column(schema, &column.name)? {
            Some(found) => Ok(Transformed::yes(Expr::Column(found))),
            None => Err(no_column(schema, &column.name).into()),
        }
    })?;
    Ok(replaced.data)
}

/// The column a name stands for: exactly, by case, or as `table.column`.
///
/// # Errors
/// `Query` if it stands for several.
fn find_column(schema: &DFSchema, name: &str) -> Result<Option<Column>> {
    let all = || schema.iter().map(Column::from);
    let exact: Vec<Column> = all().filter(|column| column.name == name).collect();
    let found = if exact.is_empty() {
        all().filter(|column| column.name.eq_ignore_ascii_case(name)).collect()
    } else {
        exact
    };
    match found.as_slice() {
        [] => {}
        [one] => return Ok(Some(one.clone())),
        several => {
            let list: Vec<String> =
                several.iter().map(|column| format!("\"{}\"", column.flat_name())).collect();
            return Err(Error::query(format!("\"{name}\" is ambiguous: {}", list.join(" or "))));
        }
    }
    let Some((table, column)) = name.split_once('.') else { return Ok(None) };
    Ok(all().find(|candidate| {
        candidate.relation.as_ref().is_some_and(|r| r.table().eq_ignore_ascii_case(table))
            && candidate.name.eq_ignore_ascii_case(column)
    }))
}
