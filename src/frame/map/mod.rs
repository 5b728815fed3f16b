//! Functions of Rust over batches of rows.
//!
//! - this module: the methods of a frame, and what a function may do
//! - `node`: the node of a logical plan
//! - `exec`: the operator for batches as they come; `groups`: for one group after the other

mod exec;
mod groups;
mod node;

use std::error::Error as StdError;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::{Column, DFSchema};
use datafusion::error::Result as DataFusionResult;

use super::DataFrame;
use super::names::exact_column;
use crate::error::{Error, Result};
use crate::table::check_names;
use crate::udf::caught;
use node::Grouping;
pub(crate) use node::MapNode;
pub(crate) use node::Maps;

/// What a function makes of a batch: any number of them, one after the other.
pub(super) type Pieces = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// A function over batches. It may be called by several threads at once.
pub(super) type Function = Arc<dyn Fn(RecordBatch) -> Result<Pieces> + Send + Sync>;

/// A function of a user as one of ours.
fn function<E>(
    function: impl Fn(RecordBatch) -> Result<RecordBatch, E> + Send + Sync + 'static,
) -> Function
where
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    Arc::new(move |batch| {
        let result = function(batch).map_err(|err| ours(err.into()))?;
        Ok(Box::new(std::iter::once(Ok(result))) as Pieces)
    })
}

/// The error of a user's function: its text, unless it is one of ours.
fn ours(err: Box<dyn StdError + Send + Sync>) -> Error {
    match err.downcast::<Error>() {
        Ok(ours) => *ours,
        Err(err) => Error::query(err.to_string()),
    }
}

/// Calls what a user wrote; a panic becomes an error.
pub(super) fn guarded<T>(name: &str, call: impl FnOnce() -> Result<T>) -> DataFusionResult<T> {
    let called = caught(call).map_err(|said| Error::query(format!("{name} panicked: {said}")))?;
    Ok(called?)
}

/// The columns that a function gave under the schema it was said to have.
fn checked(name: &str, batch: &RecordBatch, schema: &SchemaRef) -> DataFusionResult<RecordBatch> {
    let types = |schema: &SchemaRef| {
        schema.fields().iter().map(|field| field.data_type().to_string()).collect::<Vec<_>>()
    };
    let (given, wanted) = (types(&batch.schema()), types(schema));
    if given != wanted {
        return Err(Error::query(format!(
            "{name} gave columns of ({}) instead of ({})",
            given.join(", "),
            wanted.join(", ")
        ))
        .into());
    }
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let columns = batch.columns().to_vec();
    match RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options) {
        Ok(batch) => Ok(batch),
        Err(err) => {
            Err(Error::query(format!("{name} gave other rows than it should: {err}")).into())
        }
    }
}

impl DataFrame {
    /// Gives each batch of rows to a function, whose results are the rows of the new frame; `schema`
    /// says what columns they have. Batches are parts of the rows of any size, in any order, and
    /// several threads may call the function at once, so it must not depend on what was in others.
    ///
    /// A panic of the function is an error of the query.
    ///
    /// # Errors
    /// `Query` if two columns have the same name. The query fails with the text of an error of the
    /// function, or if it gives other columns than it should.
    pub fn map_batches<E>(
        self,
        map: impl Fn(RecordBatch) -> Result<RecordBatch, E> + Send + Sync + 'static,
        schema: SchemaRef,
    ) -> Result<Self>
    where
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        self.mapped("map_batches", function(map), schema, None)
    }

    /// Gives the rows of each group of equal values of `keys`, all in one batch, to a function, whose
    /// results are the rows of the new frame; `schema` says what columns they have. The groups come
    /// in the order of the keys, and the rows of each in that of the frame, if it has one. The rows
    /// are sorted on disk where memory is short; those of one group must fit into memory.
    ///
    /// # Errors
    /// As for [`DataFrame::map_batches`]; `Query` if there is no such column. The query fails with
    /// `Resources` if a group is too big.
    pub fn map_groups<E>(
        self,
        keys: &[&str],
        map: impl Fn(RecordBatch) -> Result<RecordBatch, E> + Send + Sync + 'static,
        schema: SchemaRef,
    ) -> Result<Self>
    where
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let schema_of_rows = self.plan.schema();
        let keys = keys.iter().map(|key| exact_column(schema_of_rows, key));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        self.mapped("map_groups", function(map), schema, Some(keys))
    }

    /// The rows that a function makes of batches, or of groups.
    pub(super) fn mapped(
        self,
        name: &'static str,
        function: Function,
        schema: SchemaRef,
        keys: Option<Vec<Column>>,
    ) -> Result<Self> {
        check_names(&schema)?;
        let order = self.order().unwrap_or_default();
        let (state, input) = self.plan.into_parts();
        let schema = Arc::new(DFSchema::try_from(schema)?);
        let grouping = keys.map(|keys| Grouping { keys, order });
        let plan = MapNode::plan(name, input, schema, function, grouping);
        Ok(DataFrame::new(self.session, super::Plan::new(state, plan)))
    }
}
