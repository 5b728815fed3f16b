//! Folders of files whose path says that a column is NULL.
//!
//! Hive writes NULL as a name of its own, which DataFusion reads as a text. Such folders are read as
//! texts, with that name replaced by NULL, and then as the type that the column has.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::error::Result;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{
    Expr, LogicalPlan, LogicalPlanBuilder, TableProviderFilterPushDown, TableType, cast, ident, lit,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::nullif;

/// What Hive writes for NULL in a path.
pub(crate) const NULL_NAME: &str = "__HIVE_DEFAULT_PARTITION__";

/// A table of files with such names.
#[derive(Debug)]
pub(super) struct NullNames {
    read: ViewTable,
    /// The table without regard to the names, to insert into.
    written: Arc<dyn TableProvider>,
}

impl NullNames {
    /// Reads `texts`, whose path columns are texts, as if these had the types of `path_columns`.
    pub(super) fn new(
        texts: Arc<dyn TableProvider>,
        written: Arc<dyn TableProvider>,
        path_columns: &[(String, DataType)],
    ) -> Result<Self> {
        let schema = texts.schema();
        let columns = schema.fields().iter().map(|field| {
            let name = field.name().as_str();
            match path_columns.iter().find(|(column, _)| column == name) {
                None => ident(name),
                Some((_, data_type)) => {
                    let value = nullif(ident(name), lit(NULL_NAME));
                    cast(value, data_type.clone()).alias(name)
                }
            }
        });
        let plan = LogicalPlanBuilder::scan("files", provider_as_source(texts), None)?
            .project(columns.collect::<Vec<_>>())?
            .build()?;
        Ok(NullNames { read: ViewTable::new(plan, None), written })
    }
}

#[async_trait]
impl TableProvider for NullNames {
    fn schema(&self) -> SchemaRef {
        self.read.schema()
    }

    fn table_type(&self) -> TableType {
        self.written.table_type()
    }

    fn get_logical_plan(&self) -> Option<Cow<'_, LogicalPlan>> {
        self.read.get_logical_plan()
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        self.read.supports_filters_pushdown(filters)
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.read.scan(state, projection, filters, limit).await
    }

    async fn insert_into(
        &self,
        state: &dyn Session,
        input: Arc<dyn ExecutionPlan>,
        operation: InsertOp,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.written.insert_into(state, input, operation).await
    }
}
