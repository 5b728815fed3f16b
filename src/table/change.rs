//! INSERT, UPDATE and DELETE as plans. Each writes what is new beside what is there, and makes a
//! version of it when all went well.

use std::fmt;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::{filter_record_batch, not};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, plan_err};
use datafusion::datasource::sink::{DataSink, DataSinkExec};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, ExprSchemable, cast, ident, is_true, lit, when};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan};
use futures::TryStreamExt;

use super::{StoredTable, TableScan, Version};

/// A plan that adds the rows of `input` to a table and gives their number.
pub(super) fn insert(
    table: &StoredTable,
    input: Arc<dyn ExecutionPlan>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = Arc::clone(table.rows.schema());
    datafusion::common::SchemaExt::logically_equivalent_names_and_types(
        schema.as_ref(),
        &input.schema(),
    )?;
    let sink = Change { table: table.clone(), schema, kind: Kind::Insert };
    Ok(Arc::new(DataSinkExec::new(input, Arc::new(sink), None)))
}

/// A plan that takes the rows that all `filters` are true for out of a table and gives their number.
pub(super) fn delete(
    table: &StoredTable,
    state: &dyn Session,
    filters: Vec<Expr>,
) -> Result<Arc<dyn ExecutionPlan>> {
    replaced(table, state, Vec::new(), filters, |base| Kind::Delete { base })
}

/// A plan that computes columns anew where all `filters` are true, and gives the number of such rows.
pub(super) fn update(
    table: &StoredTable,
    state: &dyn Session,
    assignments: Vec<(String, Expr)>,
    filters: Vec<Expr>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = table.rows.schema();
    for (name, _) in &assignments {
        if schema.column_with_name(name).is_none() {
            return plan_err!("no column \"{name}\" to update");
        }
    }
    replaced(table, state, assignments, filters, |base| Kind::Update { base })
}

/// A plan that writes all rows of a table again. Beside its columns the sink gets one that says which
/// rows are meant; it is computed once, because the filters may be random.
fn replaced(
    table: &StoredTable,
    state: &dyn Session,
    assignments: Vec<(String, Expr)>,
    filters: Vec<Expr>,
    kind: impl FnOnce(Arc<Version>) -> Kind,
) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = table.rows.schema();
    let version = table.version();
    let scan = TableScan::new(Arc::clone(&version), Arc::clone(schema), None, None)?;
    let scan: Arc<dyn ExecutionPlan> = DataSourceExec::from_data_source(scan);

    let meant = meant_name(schema);
    let columns = |name: &String| (name.clone(), ident(name.as_str()));
    let mut expressions: Vec<(String, Expr)> =
        schema.fields().iter().map(|field| columns(field.name())).collect();
    let condition = conjunction(filters).map_or_else(|| lit(true), is_true);
    expressions.push((meant.clone(), condition));
    let marked = projected(scan, state, &expressions)?;

    let marked_schema = DFSchema::try_from(marked.schema())?;
    for (name, value) in assignments {
        let index = schema.index_of(&name)?;
        let data_type = schema.field(index).data_type();
        let value = if value.get_type(&marked_schema)? == *data_type {
            value
        } else {
            cast(value, data_type.clone())
        };
        expressions[index].1 =
            when(ident(meant.as_str()), value).otherwise(ident(name.as_str()))?;
    }
    let last = expressions.len() - 1;
    expressions[last].1 = ident(meant.as_str());
    let computed = projected(marked, state, &expressions)?;

    let sink = Change { table: table.clone(), schema: computed.schema(), kind: kind(version) };
    Ok(Arc::new(DataSinkExec::new(computed, Arc::new(sink), None)))
}

/// A name that no column has.
fn meant_name(schema: &SchemaRef) -> String {
    let mut name = "meant".to_string();
    while schema.column_with_name(&name).is_some() {
        name.push('_');
    }
    name
}

fn projected(
    input: Arc<dyn ExecutionPlan>,
    state: &dyn Session,
    expressions: &[(String, Expr)],
) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = DFSchema::try_from(input.schema())?;
    let expressions = expressions
        .iter()
        .map(|(alias, expr)| {
            let expr = state.create_physical_expr(expr.clone(), &schema)?;
            Ok(ProjectionExpr { expr, alias: alias.clone() })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(ProjectionExec::try_new(expressions, input)?))
}

/// Where the rows of a change go.
#[derive(Debug)]
struct Change {
    table: StoredTable,
    /// Of what comes in.
    schema: SchemaRef,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Insert,
    /// Of this version the rows that are meant are taken out.
    Delete {
        base: Arc<Version>,
    },
    /// Of this version all rows come back, some of them changed.
    Update {
        base: Arc<Version>,
    },
}

impl DisplayAs for Change {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        match self.kind {
            Kind::Insert => write!(f, "insert"),
            Kind::Delete { .. } => write!(f, "delete"),
            Kind::Update { .. } => write!(f, "update"),
        }
    }
}

/// A batch without its last column, which says which rows are meant, and that column.
fn unmarked(batch: &RecordBatch) -> Result<(RecordBatch, BooleanArray)> {
    let last = batch.num_columns() - 1;
    let rows = batch.project(&(0..last).collect::<Vec<_>>())?;
    Ok((rows, batch.column(last).as_boolean().clone()))
}

#[async_trait]
impl DataSink for Change {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    async fn write_all(
        &self,
        mut data: SendableRecordBatchStream,
        _: &Arc<TaskContext>,
    ) -> Result<u64> {
        let mut writer = self.table.rows.writer();
        let mut count = 0;
        while let Some(batch) = data.try_next().await? {
            match &self.kind {
                Kind::Insert => {
                    count += batch.num_rows();
                    writer.add(&batch).await?;
                }
                Kind::Delete { .. } => {
                    let (rows, meant) = unmarked(&batch)?;
                    count += meant.true_count();
                    writer.add(&filter_record_batch(&rows, &not(&meant)?)?).await?;
                }
                Kind::Update { .. } => {
                    let (rows, meant) = unmarked(&batch)?;
                    count += meant.true_count();
                    writer.add(&rows).await?;
                }
            }
        }
        let written = writer.finish().await?;
        match &self.kind {
            Kind::Insert => self.table.append(written),
            Kind::Delete { base } | Kind::Update { base } => self.table.replace(base, written)?,
        }
        Ok(count as u64)
    }
}
