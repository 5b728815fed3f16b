//! Frames whose rows are kept in a file that outlives the program.

use std::any::Any;
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::hash::Hasher;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::reader::FileReader;
use arrow::ipc::writer::FileWriter;
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::{MemTable, source_as_provider};
use datafusion::logical_expr::{
    AggregateUDF, Expr, LogicalPlan, SimpleAggregateUDF, SimpleScalarUDF, SimpleWindowUDF,
    WindowFunctionDefinition,
};
use datafusion::physical_plan::{ExecutionPlan, displayable};
use futures::TryStreamExt;
use twox_hash::XxHash64;

use super::apply::is_applied;
use super::map::MapNode;
use super::persist::Persisted;
use super::{DataFrame, col};
use crate::error::Result;
use crate::output::OutputFile;
use crate::scan::csv::CsvSource;
use crate::session::files_of;
use crate::table::StoredTable;
use crate::udf;

/// The metadata of a file that says which plan it holds the rows of.
const PLAN: &str = "brimful.checkpoint";

impl DataFrame {
    /// Runs the query and keeps its rows in an Arrow file at `path`; the frame it gives reads that.
    /// Where the file is there already, complete, and of the same query of the same files, nothing
    /// is run: after a crash the program goes on from there.
    ///
    /// Queries are the same if their optimized plans are, and the files they read have the same
    /// names, sizes and times of change, and are read in the same way. A query of tables of the
    /// session, or with a closure of the program, is never taken for the same: what these hold
    /// cannot be told from the outside.
    ///
    /// The file appears when everything is written; until then the one before stays.
    ///
    /// # Errors
    /// Those of planning and running, and of writing and reading the file.
    pub async fn checkpoint(self, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let session = self.session.clone();
        let columns: Vec<String> =
            self.schema().fields().iter().map(|field| field.name().clone()).collect();
        let plan = self.fingerprint().await?;
        if plan.is_none() || plan != kept_plan(path) {
            self.write_checkpoint(path, plan.as_deref()).await?;
        }
        session.read_arrow(path).await?.select(columns.iter().map(col))
    }

    async fn write_checkpoint(self, path: &Path, plan: Option<&str>) -> Result<()> {
        let schema = marked(&self.schema(), plan);
        let mut file = OutputFile::create(path)?;
        let mut writer = FileWriter::try_new(&mut file, &schema)?;
        let mut stream = self.stream().await?;
        while let Some(batch) = stream.try_next().await? {
            let columns = batch.columns().to_vec();
            writer.write(&RecordBatch::try_new(Arc::clone(&schema), columns)?)?;
        }
        writer.finish()?;
        drop(writer);
        file.commit()
    }

    /// What tells a query and its files from others; `None` if that cannot be told.
    async fn fingerprint(&self) -> Result<Option<String>> {
        let plan = self.plan.clone().into_optimized_plan()?;
        let Some(text) = text_of(&plan)? else { return Ok(None) };
        let mut hash = XxHash64::with_seed(0);
        hash.write(text.as_bytes());
        let physical = self.plan.clone().create_physical_plan().await?;
        let mut found = BTreeSet::new();
        sources(physical.as_ref(), &mut found);
        for source in found {
            hash.write(source.as_bytes());
            hash.write_u8(0);
        }
        Ok(Some(format!("{:016x}", hash.finish())))
    }
}

/// All that a plan says of itself; `None` if it has rows of the session or closures of the program,
/// which cannot be told from others.
fn text_of(plan: &LogicalPlan) -> Result<Option<String>> {
    let mut text = plan.display_indent_schema().to_string();
    let mut is_known = true;
    plan.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::TableScan(scan) => {
                let table = source_as_provider(&scan.source)?;
                let table = table.as_ref() as &dyn Any;
                let of_session =
                    table.is::<StoredTable>() || table.is::<Persisted>() || table.is::<MemTable>();
                is_known &= !of_session;
            }
            LogicalPlan::Extension(extension) => {
                is_known &= !extension.node.as_any().is::<MapNode>();
                text += &format!("{:?}", extension.node);
            }
            _ => {}
        }
        // The names of functions and joins leave out what they were made with.
        node.apply_expressions(|expr| {
            is_known &= !expr.exists(|part| Ok(is_of_program(part)))?;
            text += &format!("{expr:?}");
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(is_known.then_some(text))
}

/// Whether an expression calls a closure of the program.
fn is_of_program(expr: &Expr) -> bool {
    let of_aggregate = |function: &AggregateUDF| {
        udf::is_aggregate(function) || function.inner().is::<SimpleAggregateUDF>()
    };
    match expr {
        Expr::ScalarFunction(call) => {
            let function = &call.func;
            udf::is_scalar(function)
                || is_applied(function)
                || function.inner().is::<SimpleScalarUDF>()
        }
        Expr::AggregateFunction(call) => of_aggregate(&call.func),
        Expr::WindowFunction(call) => match &call.fun {
            WindowFunctionDefinition::AggregateUDF(function) => of_aggregate(function),
            WindowFunctionDefinition::WindowUDF(function) => {
                udf::is_window(function) || function.inner().is::<SimpleWindowUDF>()
            }
        },
        _ => false,
    }
}

/// What the leaves of a plan read: files by their names, sizes and times of change, and CSV files by
/// their form too; others by what they say of themselves.
fn sources(plan: &dyn ExecutionPlan, found: &mut BTreeSet<String>) {
    let children = plan.children();
    let before = found.len();
    found.extend(files_of(plan).map(|(store, file)| {
        let meta = &file.object_meta;
        format!("{store}{} {} {}", meta.location, meta.size, meta.last_modified.timestamp_micros())
    }));
    found.extend(csv_of(plan).map(|csv| csv.form()));
    if children.is_empty() && found.len() == before {
        found.insert(displayable(plan).one_line().to_string());
    }
    for child in children {
        sources(child.as_ref(), found);
    }
}

/// How a plan reads CSV files itself.
fn csv_of(plan: &dyn ExecutionPlan) -> Option<&CsvSource> {
    let scan = plan.downcast_ref::<DataSourceExec>()?.data_source();
    let files = scan.downcast_ref::<FileScanConfig>()?.file_source();
    (files.as_ref() as &dyn Any).downcast_ref()
}

/// Columns with the plan they are of.
fn marked(schema: &SchemaRef, plan: Option<&str>) -> SchemaRef {
    let metadata = plan.map(|plan| HashMap::from([(PLAN.to_string(), plan.to_string())]));
    Arc::new(Schema::new_with_metadata(schema.fields().clone(), metadata.unwrap_or_default()))
}

/// The plan that a file holds the rows of, if it is a complete one.
fn kept_plan(path: &Path) -> Option<String> {
    let reader = FileReader::try_new(File::open(path).ok()?, None).ok()?;
    reader.schema().metadata().get(PLAN).cloned()
}
