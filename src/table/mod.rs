//! Tables whose rows Brimful keeps: those of `CREATE TABLE`, and frames that are cached.
//!
//! - this module: [`StoredTable`], the table as DataFusion sees it, and how one is made
//! - `rows`: where the rows are: in memory while there is room, else in a temporary file
//! - `bounds`: exact counts, sizes, minima and maxima
//! - `scan`: how they are read
//! - `change`: INSERT, UPDATE, DELETE and MERGE; `plan`: the last three in logical plans
//!
//! A table has versions. Whoever reads it reads the version there was when the query was planned;
//! whoever changes it makes the next one, which is there at once and whole, or not at all.

mod bounds;
mod change;
mod plan;
mod rows;
mod scan;

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Statistics, not_impl_err};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::context::SessionContext;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{CreateMemoryTable, Expr, TableType};
use datafusion::physical_plan::metrics::SpillMetrics;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{
    ExecutionPlan, ExecutionPlanProperties, execute_stream_partitioned,
};
use futures::TryStreamExt;
use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::kernel::in_tasks;
use crate::session::Resources;
use bounds::Bounds;
pub(crate) use change::ChangeKind;
pub(crate) use plan::{COUNT_COLUMN, Changes, Numbered, changed};
pub use rows::Storage;
use rows::{BLOCK_BYTES, Block, Rows, Written, read};
pub(crate) use scan::TableScansInParts;
use scan::{TableScan, parts};

/// A table whose rows are kept by us. Clones are the same table.
///
/// PRIMARY KEY and UNIQUE are taken as comments: nothing enforces them, so no plan may rely on them.
#[derive(Clone)]
pub(crate) struct StoredTable {
    rows: Rows,
    version: Arc<Mutex<Arc<Version>>>,
    defaults: Arc<HashMap<String, Expr>>,
}

/// The rows of a table between two changes.
#[derive(Debug)]
struct Version {
    blocks: Vec<Arc<Block>>,
    bounds: Bounds,
}

impl StoredTable {
    /// Runs a plan and keeps its rows. They stay in the order of a plan with one partition. What goes
    /// to disk is counted by `spills`.
    ///
    /// # Errors
    /// Those of running the plan and of writing temporary files. Then nothing is kept.
    pub(crate) async fn of_plan(
        plan: Arc<dyn ExecutionPlan>,
        schema: SchemaRef,
        context: Arc<TaskContext>,
        spills: Option<SpillMetrics>,
    ) -> Result<Self> {
        StoredTable::of_plan_in(Storage::Both, plan, schema, context, spills).await
    }

    /// As [`StoredTable::of_plan`], with the rows in one place.
    ///
    /// # Errors
    /// As for [`StoredTable::of_plan`], and `Resources` if there is no room in that place.
    pub(crate) async fn of_plan_in(
        storage: Storage,
        plan: Arc<dyn ExecutionPlan>,
        schema: SchemaRef,
        context: Arc<TaskContext>,
        spills: Option<SpillMetrics>,
    ) -> Result<Self> {
        let resources = Resources::of(&context)?;
        let rows = Rows::new(schema, &resources, context.memory_pool(), storage, spills);
        let streams = execute_stream_partitioned(plan, context)?.into_iter();
        let parts = streams.map(|mut stream| {
            let mut writer = rows.writer();
            async move {
                while let Some(batch) = stream.try_next().await? {
                    writer.add(&batch).await?;
                }
                writer.finish().await
            }
        });
        let mut all = Written { blocks: Vec::new(), bounds: Bounds::of_no_rows(rows.schema()) };
        for part in in_tasks(parts).await? {
            all.blocks.extend(part.blocks);
            all.bounds.merge(&part.bounds);
        }
        let version = Version { blocks: all.blocks, bounds: all.bounds };
        Ok(StoredTable {
            rows,
            version: Arc::new(Mutex::new(Arc::new(version))),
            defaults: Arc::default(),
        })
    }

    /// The rows of one of `count` parts, which may be empty.
    pub(crate) fn part(&self, part: usize, count: usize) -> SendableRecordBatchStream {
        let mut parts = parts(&self.version().blocks, count);
        let blocks = if part < parts.len() { parts.swap_remove(part) } else { Vec::new() };
        read(self.schema(), blocks)
    }

    fn version(&self) -> Arc<Version> {
        Arc::clone(&self.version.lock())
    }

    /// Adds rows after the others.
    fn append(&self, written: Written) {
        let mut version = self.version.lock();
        let mut blocks = version.blocks.clone();
        let mut bounds = version.bounds.clone();
        bounds.merge(&written.bounds);
        for block in written.blocks {
            blocks.push(block);
            self.join_last(&mut blocks);
        }
        *version = Arc::new(Version { blocks, bounds });
    }

    /// Puts the last blocks together while they are small and of about the same size, so that many
    /// small inserts make few blocks, and each row is copied a few times only.
    fn join_last(&self, blocks: &mut Vec<Arc<Block>>) {
        while let [.., first, second] = blocks.as_slice()
            && first.bytes <= 2 * second.bytes
            && first.bytes + second.bytes <= BLOCK_BYTES
            && let Some(joined) = self.rows.joined(first, second)
        {
            blocks.truncate(blocks.len() - 2);
            blocks.push(joined);
        }
    }

    /// Puts other rows in place of those of a version, if it is still the latest.
    fn replace(&self, base: &Arc<Version>, written: Written) -> Result<()> {
        let mut version = self.version.lock();
        if !Arc::ptr_eq(&version, base) {
            return Err(Error::query("the table was changed by another statement meanwhile")
                .with_hint("run the statement again"));
        }
        *version = Arc::new(Version { blocks: written.blocks, bounds: written.bounds });
        Ok(())
    }
}

/// The same plan with one partition, if its rows come in an order.
pub(crate) fn in_order(plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    match plan.output_ordering() {
        Some(order) if plan.output_partitioning().partition_count() > 1 => {
            Arc::new(SortPreservingMergeExec::new(order.clone(), plan))
        }
        _ => plan,
    }
}

/// Carries out a `CREATE TABLE`. If it fails, the catalog is as it was.
///
/// # Errors
/// `Query` if there is such a table already, or columns have the same name; those of the query.
pub(crate) async fn create(context: &SessionContext, create: CreateMemoryTable) -> Result<()> {
    let CreateMemoryTable { name, input, if_not_exists, or_replace, .. } = create;
    if create.temporary {
        return Err(Error::query("not supported: temporary tables")
            .with_hint("every table ends with its session; leave TEMPORARY out"));
    }
    let exists = context.table_provider(name.clone()).await.is_ok();
    match (exists, if_not_exists, or_replace) {
        (true, true, true) => {
            return Err(Error::query("IF NOT EXISTS and OR REPLACE exclude each other"));
        }
        (true, true, false) => return Ok(()),
        (true, false, false) => {
            return Err(Error::query(format!("table '{name}' already exists")));
        }
        _ => {}
    }
    let state = context.state();
    let plan = state.optimize(&input)?;
    let schema = Arc::clone(plan.schema().inner());
    check_names(&schema)?;
    let plan = state.create_physical_plan(&plan).await?;
    let mut table = StoredTable::of_plan(in_order(plan), schema, context.task_ctx(), None).await?;
    table.defaults = Arc::new(create.column_defaults.into_iter().collect());
    let old = if exists { context.deregister_table(name.clone())? } else { None };
    if let Err(err) = context.register_table(name.clone(), Arc::new(table)) {
        if let Some(old) = old {
            context.register_table(name, old)?;
        }
        return Err(err.into());
    }
    Ok(())
}

/// A table's columns have names of their own.
pub(crate) fn check_names(schema: &SchemaRef) -> Result<()> {
    let mut seen = HashSet::new();
    match schema.fields().iter().find(|field| !seen.insert(field.name())) {
        None => Ok(()),
        Some(field) => {
            Err(Error::query(format!("the table would have two columns \"{}\"", field.name()))
                .with_hint("give one of them another name with AS"))
        }
    }
}

#[async_trait]
impl TableProvider for StoredTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.rows.schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn get_column_default(&self, column: &str) -> Option<&Expr> {
        self.defaults.get(column)
    }

    fn statistics(&self) -> Option<Statistics> {
        let all: Vec<usize> = (0..self.schema().fields().len()).collect();
        Some(self.version().bounds.statistics(&all))
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let scan = TableScan::new(self.version(), self.schema(), projection, limit)?;
        Ok(DataSourceExec::from_data_source(scan))
    }

    async fn insert_into(
        &self,
        _: &dyn Session,
        input: Arc<dyn ExecutionPlan>,
        operation: InsertOp,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        match operation {
            InsertOp::Append => change::insert(self, input),
            other => not_impl_err!("{other} into a table"),
        }
    }
}

impl std::fmt::Debug for StoredTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a table of {} rows", self.version().bounds.rows)
    }
}

/// Clones are the same table.
impl PartialEq for StoredTable {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.version, &other.version)
    }
}

impl Eq for StoredTable {}

impl Hash for StoredTable {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.version).hash(state);
    }
}

impl PartialOrd for StoredTable {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Arc::as_ptr(&self.version).partial_cmp(&Arc::as_ptr(&other.version))
    }
}
