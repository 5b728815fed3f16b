//! What a frame is: its columns, its first rows, its size and its plans.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::physical_plan::displayable;
use futures::TryStreamExt;

use super::DataFrame;
use super::names::columns;
use crate::aggregates::{count, len};
use crate::error::{Error, Result};
use crate::exchange::logical_bytes;
use crate::explain::{PlanFormat, formatted};
use crate::output::sql_type_name;
use crate::session::{ByteSize, QueryStream};

/// Which plan is explained, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Explain {
    /// The logical plan as it was built.
    Logical,
    /// The logical plan after optimization.
    Optimized,
    /// The physical plan: the operators that run.
    Physical,
    /// The physical plan as a drawing.
    Tree,
    /// The logical plan for Graphviz.
    Graphviz,
    /// The physical plan after running it, with what each operator did.
    Analyze,
}

impl DataFrame {
    /// Names and types of the columns.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(self.plan.schema().inner())
    }

    /// The names of the columns.
    pub fn columns(&self) -> Vec<String> {
        self.names()
    }

    /// The types of the columns.
    pub fn dtypes(&self) -> Vec<DataType> {
        self.schema().fields().iter().map(|field| field.data_type().clone()).collect()
    }

    /// The number of columns.
    pub fn width(&self) -> usize {
        self.schema().fields().len()
    }

    /// Runs the query and describes its columns as a text, a line each: name, type and first values.
    ///
    /// # Errors
    /// Those of planning and running.
    pub async fn glimpse(self, rows: usize) -> Result<String> {
        let (schema, width) = (self.schema(), self.width());
        let names = self.names();
        let batches = self.limit(rows)?.collect().await?;
        let shown = concat_batches(&schema, &batches)?;
        let types = type_names(&schema);
        let (name_width, type_width) = (longest(&names), longest(&types));
        let mut text = format!("{width} columns\n");
        for (column, (name, data_type)) in names.iter().zip(&types).enumerate() {
            let values = texts(&shown, column)?.join(", ");
            let _ = writeln!(text, "{name:name_width$}  {data_type:type_width$}  {values}");
        }
        Ok(text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"))
    }

    /// Runs the query and describes it as a text: rows, size, and for each column how many of its
    /// values are not NULL, and its type.
    ///
    /// # Errors
    /// Those of planning and running.
    pub async fn info(self) -> Result<String> {
        let schema = self.schema();
        let names = self.names();
        let types = type_names(&schema);
        let bytes = self.clone().estimated_size().await?;
        let counts = columns(self.plan.schema()).into_iter().map(|(_, column)| column);
        let numbered = counts.enumerate();
        let counts: Vec<_> =
            numbered.map(|(place, column)| count(column).alias(place.to_string())).collect();
        let batches = self.agg([len().alias("len")].into_iter().chain(counts))?.collect().await?;
        let counted =
            batches.first().ok_or_else(|| Error::internal("an aggregate without a row"))?;
        let counts: Vec<String> = (0..counted.num_columns())
            .map(|column| Ok(texts(counted, column)?.concat()))
            .collect::<Result<_>>()?;
        let (rows, counts) = counts.split_first().ok_or_else(|| Error::internal("no count"))?;
        let name_width = longest(&names);
        let count_width = longest(counts);
        let mut text = format!("{rows} rows, {} columns, {}\n", names.len(), ByteSize(bytes));
        for ((name, data_type), count) in names.iter().zip(&types).zip(counts) {
            let _ =
                writeln!(text, "{name:name_width$}  {count:>count_width$} not null  {data_type}");
        }
        Ok(text.trim_end().to_string())
    }

    /// Runs the query and sums the bytes that its rows need in memory; they need not all be there.
    ///
    /// # Errors
    /// Those of planning and running.
    pub async fn estimated_size(self) -> Result<u64> {
        let mut stream = self.stream().await?;
        let mut bytes = 0;
        while let Some(batch) = stream.try_next().await? {
            bytes += logical_bytes(&batch) as u64;
        }
        Ok(bytes)
    }

    /// Runs the query and prints its first rows as a table on standard output.
    ///
    /// # Errors
    /// As for [`DataFrame::show`].
    pub async fn show_rows(self, count: usize) -> Result<()> {
        self.limit(count)?.show().await
    }

    /// Runs both queries and says whether they have the same columns and the same rows in the same
    /// order. NULLs are equal, and so are all NaNs and both zeros; all types of texts are the same.
    ///
    /// # Errors
    /// Those of planning and running.
    pub async fn equals(self, other: DataFrame) -> Result<bool> {
        let Some((one, other)) = self.comparable(&other)? else { return Ok(false) };
        let (mut left, mut right) = (Rows::of(one).await?, Rows::of(other).await?);
        loop {
            let rows = match (left.waiting().await?, right.waiting().await?) {
                (0, 0) => return Ok(true),
                (left, right) => left.min(right),
            };
            if rows == 0 || left.take(rows).columns() != right.take(rows).columns() {
                return Ok(false);
            }
        }
    }

    /// Runs both queries and says whether they have the same columns and the same rows, in any order.
    /// Values are equal as for [`DataFrame::equals`].
    ///
    /// # Errors
    /// Those of planning and running.
    pub async fn equals_unordered(self, other: DataFrame) -> Result<bool> {
        let Some((one, other)) = self.comparable(&other)? else { return Ok(false) };
        let more = one.clone().except_all(other.clone())?;
        let less = other.except_all(one)?;
        Ok(more.is_empty().await? && less.is_empty().await?)
    }

    /// Both with equal values in the same bytes, if they have the same columns.
    fn comparable(&self, other: &DataFrame) -> Result<Option<(Self, Self)>> {
        let (one, other) = (self.canonical()?, other.canonical()?);
        let is_same = one.names() == other.names() && one.dtypes() == other.dtypes();
        Ok(is_same.then_some((one, other)))
    }

    /// The plan of the query, for a program, a browser or a drawing tool. It is planned, and not run.
    ///
    /// # Errors
    /// Those of planning.
    pub async fn visualize(self, format: PlanFormat) -> Result<String> {
        let plan = self.plan.create_physical_plan().await?;
        Ok(formatted(plan.as_ref(), format))
    }

    /// Runs the query, drops its rows, and gives its plan with what each operator did.
    ///
    /// # Errors
    /// Those of planning and running.
    pub async fn profile(self, format: PlanFormat) -> Result<String> {
        let mut stream = self.stream().await?;
        while stream.try_next().await?.is_some() {}
        Ok(formatted(stream.plan(), format))
    }

    /// One plan as a text.
    ///
    /// # Errors
    /// Those of planning and, for [`Explain::Analyze`], of running.
    pub async fn explain_as(self, what: Explain) -> Result<String> {
        Ok(match what {
            Explain::Logical => self.plan.logical_plan().display_indent().to_string(),
            Explain::Graphviz => self.plan.logical_plan().display_graphviz().to_string(),
            Explain::Optimized => self.plan.into_optimized_plan()?.display_indent().to_string(),
            Explain::Physical => {
                let plan = self.plan.create_physical_plan().await?;
                displayable(plan.as_ref()).indent(false).to_string()
            }
            Explain::Tree => {
                let plan = self.plan.create_physical_plan().await?;
                displayable(plan.as_ref()).tree_render().to_string()
            }
            Explain::Analyze => self.explain(true).await?,
        })
    }
}

/// Rows of a stream, in pieces of any size.
struct Rows {
    stream: QueryStream,
    rest: RecordBatch,
}

impl Rows {
    async fn of(frame: DataFrame) -> Result<Self> {
        let rest = RecordBatch::new_empty(frame.schema());
        Ok(Rows { stream: frame.stream().await?, rest })
    }

    /// How many rows are there now; 0 at the end.
    async fn waiting(&mut self) -> Result<usize> {
        while self.rest.num_rows() == 0 {
            match self.stream.try_next().await? {
                Some(batch) => self.rest = batch,
                None => break,
            }
        }
        Ok(self.rest.num_rows())
    }

    /// The first of those that are there.
    fn take(&mut self, rows: usize) -> RecordBatch {
        let taken = self.rest.slice(0, rows);
        self.rest = self.rest.slice(rows, self.rest.num_rows() - rows);
        taken
    }
}

fn type_names(schema: &SchemaRef) -> Vec<String> {
    schema.fields().iter().map(|field| sql_type_name(field.data_type())).collect()
}

fn longest(texts: &[String]) -> usize {
    texts.iter().map(|text| text.chars().count()).max().unwrap_or(0)
}

/// The values of a column as texts.
fn texts(batch: &RecordBatch, column: usize) -> Result<Vec<String>> {
    let options = FormatOptions::default().with_null("NULL");
    let formatter = ArrayFormatter::try_new(batch.column(column), &options)?;
    let texts = (0..batch.num_rows()).map(|row| formatter.value(row).try_to_string());
    Ok(texts.collect::<Result<_, _>>()?)
}
