//! The one place that assembles DataFusion: configuration, memory, temporary files, formats.
//!
//! SQL and the dataframe meet here in the same logical plan; nothing below knows which one it came
//! from.

mod options;
mod planner;
mod resources;
mod stream;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{ArrayRef, StringArray};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::{CatalogProviderList, DynamicFileCatalog, TableProvider};
use datafusion::common::TableReference;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::context::{SessionContext, SessionState};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::TrackConsumersPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::{DdlStatement, LogicalPlan, Statement as PlanStatement};
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_optimizer::topk_aggregation::TopKAggregation;
use datafusion::prelude::SessionConfig;
use datafusion::sql::parser::Statement;
use object_store::ObjectStore;
use url::Url;

use crate::aggregate::SpillingAggregates;
use crate::decorrelate::Decorrelation;
use crate::error::{Error, Result};
use crate::exclude::FrameExclusion;
use crate::explain::{Explained, explained};
use crate::frame::DataFrame;
use crate::functions::aggregate::Overloads;
use crate::join::SpillingJoins;
use crate::keys::GroupKeys;
use crate::memory::{Gauge, Governor};
use crate::rewrite::BoundedAggregates;
use crate::scan::csv::{CsvFormatFactory, CsvOptions};
use crate::scan::files::{FileKind, FileTable, FileTableFactory, FileTables};
use crate::share::RandomCtes;
use crate::sort::SpillingSorts;
pub use crate::spill::SpillMetrics;
use crate::spill::{SpillStore, StreamFiles};
use crate::sql::{
    self, ChangePlanner, DuckTypes, Macros, SettingStatement, SummaryPlanner, VariableStatement,
    Variables,
};
use crate::stacked::StackedProjections;
use crate::table::{self, TableScansInParts};
use crate::window::{SortedWindows, SpillingWindows};
use crate::write::WritesAsideFactory;

pub use options::{ByteSize, Knobs, SessionOptions, SpillCompression};
use planner::Planner;
pub(crate) use resources::Resources;
pub(crate) use stream::files_of;
pub use stream::{QueryMetrics, QueryStream};

/// Consumers named in the message when memory runs out.
const NAMED_CONSUMERS: usize = 3;

/// Sorted runs that are merged at once: more would hold a buffer each, fewer would write the data
/// again and again.
const MERGE_FAN_IN: usize = 16;

/// Tables, settings and resources of a user. Cheap to clone; clones are the same session.
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
}

struct Inner {
    context: SessionContext,
    files: Arc<FileTables>,
    governor: Governor,
    memory_limit_bytes: AtomicU64,
    /// What the session began with, which RESET goes back to.
    options: SessionOptions,
    rejected_rows: Arc<AtomicU64>,
    macros: Macros,
    variables: Arc<Variables>,
    /// Temporary files, removed when the session is closed or dropped. Held last, so that what
    /// lies there is closed first.
    store: SpillStore,
}

/// What a statement led to.
#[derive(Debug)]
pub enum Outcome {
    /// Rows, which are computed when the frame is collected, streamed or shown.
    Rows(DataFrame),
    /// The plan of a query, for [`DataFrame::plan_text`]; with ANALYZE the query runs first.
    Plan(DataFrame),
    /// Something was created, dropped or set.
    Done,
}

impl Session {
    /// A session with these settings.
    ///
    /// # Errors
    /// `Config` if a setting is out of range; `Io` or `Resources` if a folder for temporary files
    /// cannot be used.
    pub fn new(options: SessionOptions) -> Result<Self> {
        options.check()?;
        let store = SpillStore::new(&options)?;
        let gauge = (!options.knobs.reserved_only).then(Gauge::new);
        let governor = Governor::new(limit_bytes(options.memory_limit_bytes), gauge);
        let named = std::num::NonZeroUsize::new(NAMED_CONSUMERS).expect("a constant above 0");
        let disk = DiskManagerBuilder::default()
            .with_mode(DiskManagerMode::Custom(Arc::new(StreamFiles { store: store.clone() })))
            .with_max_spill_merge_fan_in(MERGE_FAN_IN);
        let rejected_rows = Arc::<AtomicU64>::default();
        let resources = Resources {
            governor: governor.clone(),
            store: store.clone(),
            knobs: options.knobs.clone(),
            rejected_rows: Arc::clone(&rejected_rows),
        };
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(TrackConsumersPool::new(governor.clone(), named)))
            .with_disk_manager_builder(disk)
            // Folders change between queries; a remembered listing would miss new files.
            .with_object_list_cache_limit(0)
            .build_arc()?;

        let mut state = SessionStateBuilder::new()
            .with_default_features()
            .with_config(session_config(&options).with_extension(Arc::new(resources)))
            .with_runtime_env(runtime)
            .with_analyzer_rule(Arc::new(FrameExclusion))
            .with_analyzer_rule(Arc::new(Decorrelation))
            .with_analyzer_rule(Arc::new(RandomCtes))
            .with_analyzer_rule(Arc::new(GroupKeys))
            .with_analyzer_rule(Arc::new(StackedProjections))
            .with_optimizer_rules(logical_rules())
            .with_query_planner(Arc::new(Planner))
            .with_type_planner(Arc::new(DuckTypes))
            .with_physical_optimizer_rules(physical_rules())
            .build();
        let mut factories = state.table_factories().clone();
        for (name, factory) in FileTableFactory::all() {
            factories.insert(name.to_string(), factory);
        }
        *state.table_factories_mut() = factories;
        let meanings = crate::functions::register(&mut state)?;
        state.register_function_rewrite(meanings)?;
        for operators in crate::functions::operators() {
            state.register_expr_planner(operators)?;
        }
        state.register_expr_planner(Arc::new(Overloads))?;
        let variables = Arc::<Variables>::default();
        state.register_udf(Arc::new(variables.reader()))?;
        state.register_relation_planner(Arc::new(sql::relations::TableFunctions))?;
        state.register_relation_planner(Arc::new(SummaryPlanner))?;
        state.register_relation_planner(Arc::new(ChangePlanner))?;
        state.register_file_format(Arc::new(CsvFormatFactory::csv()), true)?;
        state.register_file_format(Arc::new(CsvFormatFactory::tsv()), true)?;

        for extension in ["csv", "tsv", "parquet", "json", "arrow"] {
            if let Some(factory) = state.get_file_format_factory(extension) {
                state.register_file_format(Arc::new(WritesAsideFactory(factory)), true)?;
            }
        }

        let files = Arc::new(FileTables::default());
        let catalogs: Arc<dyn CatalogProviderList> = Arc::new(DynamicFileCatalog::new(
            Arc::clone(state.catalog_list()),
            Arc::clone(&files) as _,
        ));
        state.register_catalog_list(catalogs);
        let context = SessionContext::new_with_state(state);
        context.register_relation_planner(Arc::new(sql::relations::Relations))?;
        files.attach(context.state_weak_ref());
        Ok(Session {
            inner: Arc::new(Inner {
                context,
                files,
                governor,
                memory_limit_bytes: AtomicU64::new(options.memory_limit_bytes),
                options,
                rejected_rows,
                macros: Macros::default(),
                variables,
                store,
            }),
        })
    }

    /// Removes the temporary files although a query may still hold the session: one that waits for
    /// a reader of its output, say, and cannot be dropped. Queries that spill fail from then on.
    pub(crate) fn close(&self) {
        self.inner.store.close();
    }

    /// Whether it is the same session.
    pub(crate) fn is(&self, other: &Session) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    pub(crate) fn context(&self) -> &SessionContext {
        &self.inner.context
    }

    pub(crate) fn state(&self) -> SessionState {
        self.inner.context.state()
    }

    /// Runs one SQL statement. Statements that return rows give a lazy frame; others are carried
    /// out at once and give an empty one.
    ///
    /// # Errors
    /// `Query` for wrong SQL or several statements; the errors of opening the files it names.
    pub async fn sql(&self, sql: &str) -> Result<DataFrame> {
        let mut statements = sql::parse(sql)?.into_iter();
        let (Some(statement), None) = (statements.next(), statements.next()) else {
            return Err(Error::query("expected one SQL statement")
                .with_hint("run them one after another, or use `execute_script`"));
        };
        match self.execute(statement).await? {
            Outcome::Rows(frame) | Outcome::Plan(frame) => Ok(frame),
            Outcome::Done => Ok(DataFrame::new(self.clone(), self.context().read_empty()?)),
        }
    }

    /// Splits a script into statements, for [`Session::execute`].
    ///
    /// # Errors
    /// `Query` with the position of the first syntax error.
    pub fn parse(&self, sql: &str) -> Result<Vec<Statement>> {
        sql::parse(sql)
    }

    /// Carries out one parsed statement.
    ///
    /// # Errors
    /// `Query` for wrong SQL; the errors of opening the files it names and, for statements that
    /// write, of writing.
    pub async fn execute(&self, mut statement: Statement) -> Result<Outcome> {
        if let Some(setting) = sql::setting_statement(&statement)? {
            return self.setting(setting);
        }
        if let Some(variable) = sql::variable_statement(&statement)? {
            return Box::pin(self.variable(variable)).await;
        }
        if let Some(change) = sql::macro_statement(&statement) {
            self.inner.macros.change(change)?;
            return Ok(Outcome::Done);
        }
        if let Some(explained) = explained(&statement)? {
            return Box::pin(self.explain(explained)).await;
        }
        if sql::is_show_tables(&statement) {
            return Box::pin(self.execute(sql::list_of_tables())).await;
        }
        if let Some(description) = sql::shown_table(&statement, &self.table_names())? {
            return Box::pin(self.execute(description)).await;
        }
        self.inner.macros.expand(&mut statement)?;
        self.inner.files.forget();
        let is_plan = matches!(statement, Statement::Explain(_));
        let state = self.state();
        sql::names::resolve(&state, &mut statement).await?;
        let plan = state.statement_to_plan(statement).await?;
        if let LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(create)) = plan {
            Box::pin(table::create(self.context(), create)).await?;
            return Ok(Outcome::Done);
        }
        let returns_rows = match &plan {
            LogicalPlan::Statement(statement) => matches!(statement, PlanStatement::Execute(_)),
            plan => !matches!(plan, LogicalPlan::Ddl(_)),
        };
        let frame = self.context().execute_logical_plan(plan).await?;
        let frame = DataFrame::new(self.clone(), frame);
        Ok(match (is_plan, returns_rows) {
            (true, _) => Outcome::Plan(frame),
            (false, true) => Outcome::Rows(frame),
            (false, false) => Outcome::Done,
        })
    }

    async fn explain(&self, explained: Explained) -> Result<Outcome> {
        let Explained { query, format, analyze } = explained;
        let Outcome::Rows(frame) = self.execute(query).await? else {
            return Err(Error::internal("a query without rows"));
        };
        let text = match analyze {
            true => frame.profile(format).await?,
            false => frame.visualize(format).await?,
        };
        let plan = Arc::new(StringArray::from(vec![text])) as ArrayRef;
        let frame = self.context().read_batch(RecordBatch::try_from_iter([("plan", plan)])?)?;
        Ok(Outcome::Plan(DataFrame::new(self.clone(), frame)))
    }

    async fn variable(&self, statement: VariableStatement) -> Result<Outcome> {
        match statement {
            VariableStatement::Reset { name } => self.inner.variables.reset(&name),
            VariableStatement::Set { name, value } => {
                let Outcome::Rows(frame) = self.execute(value).await? else {
                    return Err(Error::query(format!("SET VARIABLE {name} takes a value")));
                };
                let value = frame.value().await?;
                self.inner.variables.set(name, value);
            }
        }
        Ok(Outcome::Done)
    }

    fn setting(&self, statement: SettingStatement) -> Result<Outcome> {
        match statement {
            SettingStatement::Set { name, value } => {
                self.set(name, &value)?;
                Ok(Outcome::Done)
            }
            SettingStatement::Reset { name } => {
                let SessionOptions { threads, memory_limit_bytes, .. } = &self.inner.options;
                let value = if name == "threads" { *threads as u64 } else { *memory_limit_bytes };
                self.set(name, &value.to_string())?;
                Ok(Outcome::Done)
            }
            SettingStatement::Show { name } => {
                let column = |text: String| Arc::new(StringArray::from(vec![text])) as ArrayRef;
                let batch = RecordBatch::try_from_iter([
                    ("name", column(name.to_string())),
                    ("value", column(self.shown(name))),
                ])?;
                let frame = self.context().read_batch(batch)?;
                Ok(Outcome::Rows(DataFrame::new(self.clone(), frame)))
            }
        }
    }

    fn set(&self, name: &str, value: &str) -> Result<()> {
        match name {
            "threads" => {
                let threads = value.parse().map_err(|_| {
                    Error::config(format!("\"{value}\" is not a number of threads"))
                })?;
                SessionOptions { threads, ..self.limits() }.check()?;
                let state = self.context().state_ref();
                let mut state = state.write();
                let execution = &mut state.config_mut().options_mut().execution;
                execution.target_partitions = threads;
            }
            "memory_limit" => {
                let memory_limit_bytes = value.parse::<ByteSize>()?.0;
                SessionOptions { memory_limit_bytes, ..self.limits() }.check()?;
                self.inner.memory_limit_bytes.store(memory_limit_bytes, Ordering::Relaxed);
                self.inner.governor.set_limit_bytes(limit_bytes(memory_limit_bytes));
            }
            _ => {
                return Err(Error::config(format!("{name} cannot be changed inside a session"))
                    .with_hint("give it when Brimful is started: --max-temp-size"));
            }
        }
        let limits = self.limits();
        let state = self.context().state_ref();
        let mut state = state.write();
        let execution = &mut state.config_mut().options_mut().execution;
        execution.parquet.max_row_group_size = row_group_rows(&limits);
        Ok(())
    }

    /// The settings that can change, as options.
    fn limits(&self) -> SessionOptions {
        SessionOptions {
            memory_limit_bytes: self.inner.memory_limit_bytes.load(Ordering::Relaxed),
            threads: self.state().config_options().execution.target_partitions,
            ..SessionOptions::default()
        }
    }

    fn shown(&self, name: &str) -> String {
        let limits = self.limits();
        match name {
            "threads" => limits.threads.to_string(),
            "memory_limit" => ByteSize(limits.memory_limit_bytes).to_string(),
            _ => ByteSize(self.inner.store.limit_bytes()).to_string(),
        }
    }

    /// What temporary files have cost so far, of all queries.
    pub fn spill_metrics(&self) -> SpillMetrics {
        self.inner.store.metrics()
    }

    /// Records of CSV files that all queries so far have left out because they could not be read,
    /// where `ignore_errors` allows that.
    pub fn rejected_rows(&self) -> u64 {
        self.inner.rejected_rows.load(Ordering::Relaxed)
    }

    /// Lets queries read files of an object store by URL: what is registered for `s3://bucket` is
    /// asked for `FROM 's3://bucket/folder/*.csv'`. The path of `url` is not looked at. A store that was
    /// registered for the same scheme, host and port is replaced.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use brimful::{Session, SessionOptions};
    /// use object_store::{ObjectStoreExt, memory::InMemory, path::Path};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let store = InMemory::new();
    /// store.put(&Path::from("trips/2019.csv"), "id,km\n1,2.5\n".into()).await?;
    /// let session = Session::new(SessionOptions::new())?;
    /// session.register_object_store(&"mem://bucket".parse()?, Arc::new(store));
    /// let trips = session.sql("SELECT * FROM 'mem://bucket/trips/*.csv'").await?;
    /// assert_eq!(trips.collect().await?[0].num_rows(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn register_object_store(&self, url: &Url, store: Arc<dyn ObjectStore>) {
        self.context().register_object_store(url, store);
    }

    /// Names of the tables and views that were created or registered, sorted.
    pub fn table_names(&self) -> Vec<String> {
        let state = self.state();
        let options = &state.config_options().catalog;
        let mut names = state
            .catalog_list()
            .catalog(&options.default_catalog)
            .and_then(|catalog| catalog.schema(&options.default_schema))
            .map(|schema| schema.table_names())
            .unwrap_or_default();
        names.sort();
        names
    }

    /// Gives a frame a name that SQL can use. Nothing is computed now.
    ///
    /// # Errors
    /// `Query` if the name is not a valid table name.
    pub fn register(&self, name: &str, frame: DataFrame) -> Result<()> {
        let reference = TableReference::bare(name);
        self.context().register_table(reference, frame.into_table())?;
        Ok(())
    }

    /// The table or view of this name, or the files at this path.
    ///
    /// # Errors
    /// `Query` if there is none; the errors of opening a file.
    pub async fn table(&self, name: &str) -> Result<DataFrame> {
        let quoted = name.replace('"', "\"\"");
        let exact = self.table_names().into_iter().any(|table| table == name);
        if exact || crate::scan::looks_like_path(name) {
            return self.sql(&format!("SELECT * FROM \"{quoted}\"")).await;
        }
        self.sql(&format!("SELECT * FROM {name}")).await
    }

    /// Reads a CSV file, a glob or a folder of them. Only samples are read now.
    ///
    /// # Errors
    /// `Io` if there is no such file; `Input` if it cannot be understood.
    pub async fn read_csv(&self, path: impl AsRef<Path>, options: CsvOptions) -> Result<DataFrame> {
        let location = path.as_ref().to_string_lossy().into_owned();
        self.read_files(FileTable::csv(vec![location], options)).await
    }

    /// Reads a Parquet file, a glob or a folder of them. Only metadata is read now.
    ///
    /// # Errors
    /// As for [`Session::read_csv`].
    pub async fn read_parquet(&self, path: impl AsRef<Path>) -> Result<DataFrame> {
        self.read_files(file_table(path.as_ref(), FileKind::Parquet)).await
    }

    /// Reads JSON: an object a line, or one array of objects.
    ///
    /// # Errors
    /// As for [`Session::read_csv`].
    pub async fn read_json(&self, path: impl AsRef<Path>) -> Result<DataFrame> {
        self.read_files(file_table(path.as_ref(), FileKind::Json)).await
    }

    /// Reads Arrow IPC files, of the file or the stream kind.
    ///
    /// # Errors
    /// As for [`Session::read_csv`].
    pub async fn read_arrow(&self, path: impl AsRef<Path>) -> Result<DataFrame> {
        self.read_files(file_table(path.as_ref(), FileKind::Arrow)).await
    }

    pub(crate) async fn read_files(&self, table: FileTable) -> Result<DataFrame> {
        // Boxed, as programs may hold many of these futures.
        let provider: Arc<dyn TableProvider> = Box::pin(table.open(&self.state())).await?;
        Ok(DataFrame::new(self.clone(), self.context().read_table(provider)?))
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("tables", &self.table_names()).finish_non_exhaustive()
    }
}

fn file_table(path: &Path, kind: FileKind) -> FileTable {
    FileTable { kind: Some(kind), ..FileTable::at(path.to_string_lossy()) }
}

/// DataFusion's rules for logical plans, with ours where they belong.
fn logical_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules = Optimizer::new().rules;
    let distinct = rules
        .iter()
        .position(|rule| rule.name() == "single_distinct_aggregation_to_group_by")
        .expect("DataFusion rewrites distinct aggregates");
    rules.insert(distinct, Arc::new(BoundedAggregates));
    rules
}

/// DataFusion's rules for physical plans, with ours where they belong.
fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    let place = |rules: &[Arc<dyn PhysicalOptimizerRule + Send + Sync>], name: &str| {
        let found = rules.iter().position(|rule| rule.name() == name);
        found.unwrap_or_else(|| panic!("DataFusion has no rule {name} any more"))
    };
    // Where nothing was repartitioned or sorted yet.
    let early: [Arc<dyn PhysicalOptimizerRule + Send + Sync>; 4] = [
        // Aggregations that stop early stay DataFusion's.
        Arc::new(TopKAggregation::new()),
        Arc::new(SpillingJoins),
        Arc::new(SpillingAggregates),
        Arc::new(SpillingWindows),
    ];
    let at = place(&rules, "LimitedDistinctAggregation") + 1;
    rules.splice(at..at, early);
    let at = place(&rules, "EnsureRequirements") + 1;
    rules.insert(at, Arc::new(TableScansInParts));
    // Where all orders are settled.
    let at = place(&rules, "EnsureCooperative");
    rules.insert(at, Arc::new(SortedWindows));
    let at = place(&rules, "SanityCheckPlan");
    rules.insert(at, Arc::new(SpillingSorts));
    rules
}

fn limit_bytes(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// Rows of a row group of a Parquet file that is written. A whole one is in memory until it is
/// complete, so small limits make small ones; DataFusion's default is the most.
fn row_group_rows(options: &SessionOptions) -> usize {
    const BYTES_OF_LIMIT_A_ROW: usize = 1 << 10;
    (limit_bytes(options.memory_limit_bytes) / BYTES_OF_LIMIT_A_ROW).clamp(64 << 10, 1 << 20)
}

fn session_config(options: &SessionOptions) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(options.threads)
        .with_batch_size(options.batch_rows)
        .with_information_schema(true)
        .with_spill_compression(match options.spill_compression {
            SpillCompression::None => datafusion::config::SpillCompression::Uncompressed,
            SpillCompression::Lz4 => datafusion::config::SpillCompression::Lz4Frame,
            SpillCompression::Zstd => datafusion::config::SpillCompression::Zstd,
        });
    let settings = config.options_mut();
    settings.sql_parser.collect_spans = true;
    settings.execution.listing_table_ignore_subdirectory = false;
    settings.execution.parquet.max_row_group_size = row_group_rows(options);
    // The level that DataFusion takes, 3, costs more time than the few bytes are worth.
    settings.execution.parquet.compression = Some("zstd(1)".to_string());
    // The default of 1 GiB fails queries under a smaller limit instead of helping them.
    settings.execution.sort_pushdown_buffer_capacity = 32 << 20;
    config
}
