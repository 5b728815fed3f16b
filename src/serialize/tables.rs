//! What a plan scans.

use std::any::Any;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use datafusion::catalog::TableProvider;
use datafusion::catalog::cte_worktable::CteWorkTable;
use datafusion::common::TableReference;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::{MemTable, source_as_provider};
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::{LogicalPlan, TableScan};
use datafusion::physical_plan::execute_stream;
use datafusion_proto::protobuf;
use futures::TryStreamExt;
use prost::{Message, Oneof};

use crate::error::{Error, Result};
use crate::frame::{in_place_of_scan, origin_of_persisted};
use crate::scan::Recipe;

/// The most bytes that the rows of all tables without a name may take.
const MOST_ROW_BYTES: usize = 16 << 20;

/// A table that is scanned.
#[derive(Clone, PartialEq, Message)]
pub(super) struct WrittenTable {
    #[prost(message, optional, tag = "1")]
    schema: Option<protobuf::Schema>,
    #[prost(oneof = "Place", tags = "2, 3, 4")]
    place: Option<Place>,
}

/// Where its rows are.
#[derive(Clone, PartialEq, Oneof)]
enum Place {
    /// In files; this is a [`Recipe`] as JSON.
    #[prost(string, tag = "2")]
    Files(String),
    /// In a table that the session knows by this name.
    #[prost(string, tag = "3")]
    Named(String),
    /// Here, as an Arrow IPC stream.
    #[prost(bytes = "vec", tag = "4")]
    Rows(Vec<u8>),
}

/// The plan with the plans of views, and those that persisted rows came from, in place of scans of
/// them.
pub(super) fn inlined(plan: LogicalPlan) -> Result<LogicalPlan> {
    let inlined = plan.transform_down_with_subqueries(|node| {
        let LogicalPlan::TableScan(scan) = &node else { return Ok(Transformed::no(node)) };
        let provider = source_as_provider(&scan.source)?;
        let plan = match origin_of_persisted(provider.as_ref()) {
            Some(origin) => Some(origin.clone()),
            None => provider.get_logical_plan().map(|plan| plan.into_owned()),
        };
        match plan {
            Some(plan) => Ok(Transformed::yes(in_place_of_scan(scan, plan)?)),
            None => Ok(Transformed::no(node)),
        }
    });
    Ok(inlined?.data)
}

/// The tables that a plan scans, each once.
pub(super) struct Tables {
    tables: Vec<(Arc<dyn TableProvider>, Option<TableReference>)>,
}

impl Tables {
    /// Those that DataFusion does not encode itself, with their names if the session has one for
    /// them.
    pub(super) async fn of(state: &SessionState, plan: &LogicalPlan) -> Result<Self> {
        let mut scans: Vec<(Arc<dyn TableProvider>, TableReference)> = Vec::new();
        plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(TableScan { source, table_name, .. }) = node {
                let provider = source_as_provider(source)?;
                let known = scans.iter().any(|(known, _)| Arc::ptr_eq(known, &provider));
                let table = provider.as_ref() as &dyn Any;
                if !known && !table.is::<CteWorkTable>() && !table.is::<EmptyTable>() {
                    scans.push((provider, table_name.clone()));
                }
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        let mut tables = Vec::with_capacity(scans.len());
        for (provider, name) in scans {
            let known = named(state, &name).await?;
            let is_named = known.is_some_and(|known| Arc::ptr_eq(&known, &provider));
            tables.push((provider, is_named.then_some(name)));
        }
        Ok(Tables { tables })
    }

    pub(super) async fn written(&self, state: &SessionState) -> Result<Vec<WrittenTable>> {
        let mut written = Vec::with_capacity(self.tables.len());
        let mut room = MOST_ROW_BYTES;
        for (provider, name) in &self.tables {
            let place = if let Some(recipe) = Recipe::of(provider.as_ref())? {
                let recipe = serde_json::to_string(&recipe);
                Place::Files(recipe.map_err(|err| Error::internal(err.to_string()))?)
            } else if let Some(name) = name {
                Place::Named(name.to_quoted_string())
            } else {
                let rows = rows(state, provider.as_ref(), room).await?;
                room -= rows.len().min(room);
                Place::Rows(rows)
            };
            let schema = Some(encoded_schema(&provider.schema())?);
            written.push(WrittenTable { schema, place: Some(place) });
        }
        Ok(written)
    }

    pub(super) fn providers(&self) -> Vec<Arc<dyn TableProvider>> {
        self.tables.iter().map(|(provider, _)| Arc::clone(provider)).collect()
    }
}

/// The table of a name.
async fn named(
    state: &SessionState,
    name: &TableReference,
) -> Result<Option<Arc<dyn TableProvider>>> {
    match state.schema_for_ref(name.clone()) {
        // What is no table could be taken for a file.
        Ok(schema) if schema.table_exist(name.table()) => Ok(schema.table(name.table()).await?),
        _ => Ok(None),
    }
}

/// All rows of a table.
async fn rows(state: &SessionState, table: &dyn TableProvider, most: usize) -> Result<Vec<u8>> {
    let plan = table.scan(state, None, &[], None).await?;
    let mut writer = StreamWriter::try_new(Vec::new(), &table.schema())?;
    let mut batches = execute_stream(plan, state.task_ctx())?;
    while let Some(batch) = batches.try_next().await? {
        writer.write(&batch)?;
        if writer.get_ref().len() > most {
            return Err(Error::query(format!(
                "the query has rows of its own of more than {} MiB",
                MOST_ROW_BYTES >> 20
            ))
            .with_hint("write them to a file first, and make the query from that"));
        }
    }
    Ok(writer.into_inner()?)
}

impl WrittenTable {
    /// The table.
    ///
    /// # Errors
    /// `Query` if the session lacks it, or has another one of that name; `Input` if it is damaged.
    pub(super) async fn provider(&self, state: &SessionState) -> Result<Arc<dyn TableProvider>> {
        let schema = decoded_schema(self.schema.as_ref())?;
        match &self.place {
            Some(Place::Files(recipe)) => {
                let recipe = serde_json::from_str::<Recipe>(recipe);
                recipe.map_err(Error::damaged)?.table(state, &schema)
            }
            Some(Place::Named(name)) => {
                let table = named(state, &TableReference::parse_str(name)).await?;
                let table = table.ok_or_else(|| {
                    Error::query(format!("this session has no table {name}, which the query reads"))
                })?;
                match table.schema() == schema {
                    true => Ok(table),
                    false => Err(Error::query(format!(
                        "the table {name} of this session has other columns than the one that the \
                         query reads"
                    ))),
                }
            }
            Some(Place::Rows(bytes)) => {
                let rows = StreamReader::try_new(bytes.as_slice(), None);
                let rows = rows.and_then(Iterator::collect::<Result<Vec<_>, _>>);
                let rows = rows.map_err(Error::damaged)?;
                Ok(Arc::new(MemTable::try_new(schema, vec![rows])?))
            }
            None => Err(Error::damaged("a table says not where its rows are")),
        }
    }
}

/// A schema as a message of DataFusion.
pub(super) fn encoded_schema(schema: &Schema) -> Result<protobuf::Schema> {
    let schema = protobuf::Schema::try_from(schema);
    schema.map_err(|err| Error::query(format!("cannot serialize columns: {err}")))
}

/// What [`encoded_schema`] has encoded.
pub(super) fn decoded_schema(schema: Option<&protobuf::Schema>) -> Result<SchemaRef> {
    let schema = schema.ok_or_else(|| Error::damaged("columns are missing"))?;
    Ok(Arc::new(Schema::try_from(schema).map_err(Error::damaged)?))
}
