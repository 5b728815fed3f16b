//! What DataFusion's encoding of a node leaves to us: tables by their places in a list, nodes and
//! functions of ours.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::{
    AggregateUDF, Extension, HigherOrderUDF, LogicalPlan, ScalarUDF, WindowUDF,
};
use datafusion_proto::logical_plan::LogicalExtensionCodec;
use parking_lot::Mutex;

use super::{custom, functions};
use crate::error::Error;

/// Writes and reads the parts of one plan.
pub(super) struct Codec {
    state: SessionState,
    context: Arc<TaskContext>,
    tables: Vec<Arc<dyn TableProvider>>,
    /// The nodes that have been read, with all below them.
    plans: Mutex<Vec<Arc<LogicalPlan>>>,
    /// What went wrong here: DataFusion keeps no more than the text of an error.
    failed: Mutex<Option<Error>>,
}

impl Codec {
    /// Functions are those of a session; `tables` are all that the plan scans.
    pub(super) fn new(state: SessionState, tables: Vec<Arc<dyn TableProvider>>) -> Self {
        let context = state.task_ctx();
        Codec { state, context, tables, plans: Mutex::default(), failed: Mutex::default() }
    }

    /// The error of what DataFusion has encoded or decoded with this.
    pub(super) fn error(&self, err: DataFusionError) -> Error {
        self.failed.lock().take().unwrap_or_else(|| err.into())
    }

    /// A result whose error is for [`Codec::error`].
    fn kept<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|err| {
            let err = Error::from(err);
            let text = err.to_string();
            *self.failed.lock() = Some(err);
            DataFusionError::Plan(text)
        })
    }

    /// The error of a function that DataFusion has gone on after: it does not hear that one cannot be
    /// written down.
    pub(super) fn unheard(&self) -> Result<(), Error> {
        self.failed.lock().take().map_or(Ok(()), Err)
    }

    pub(super) fn task_context(&self) -> &TaskContext {
        &self.context
    }

    /// The plan of a place.
    ///
    /// # Errors
    /// `Input` if it has not been read.
    pub(super) fn plan(&self, place: usize) -> Result<Arc<LogicalPlan>> {
        let plan = self.plans.lock().get(place).map(Arc::clone);
        plan.ok_or_else(|| damaged("a node is before its input"))
    }

    pub(super) fn add_plan(&self, plan: Arc<LogicalPlan>) {
        self.plans.lock().push(plan);
    }
}

/// As [`Error::damaged`].
pub(super) fn damaged(what: impl fmt::Display) -> DataFusionError {
    Error::damaged(what).into()
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Codec").finish_non_exhaustive()
    }
}

impl LogicalExtensionCodec for Codec {
    fn try_decode(
        &self,
        bytes: &[u8],
        inputs: &[LogicalPlan],
        _: &TaskContext,
    ) -> Result<Extension> {
        self.kept(custom::read(bytes, inputs, self))
    }

    fn try_encode(&self, node: &Extension, bytes: &mut Vec<u8>) -> Result<()> {
        bytes.extend(self.kept(custom::written(node, self))?);
        Ok(())
    }

    fn try_decode_table_provider(
        &self,
        bytes: &[u8],
        _: &TableReference,
        _: SchemaRef,
        _: &TaskContext,
    ) -> Result<Arc<dyn TableProvider>> {
        let place = <[u8; 4]>::try_from(bytes).ok().map(u32::from_le_bytes);
        let table = place.and_then(|place| self.tables.get(place as usize));
        let table = table.map(Arc::clone);
        self.kept(table.ok_or_else(|| damaged("a table that is scanned is not in it")))
    }

    fn try_encode_table_provider(
        &self,
        name: &TableReference,
        table: Arc<dyn TableProvider>,
        bytes: &mut Vec<u8>,
    ) -> Result<()> {
        let place = self.tables.iter().position(|known| Arc::ptr_eq(known, &table));
        let place = place.ok_or_else(|| Error::internal(format!("no table {name}")))?;
        bytes.extend((place as u32).to_le_bytes());
        Ok(())
    }

    fn try_decode_udf(&self, name: &str, bytes: &[u8]) -> Result<Arc<ScalarUDF>> {
        self.kept(functions::read_scalar(name, bytes))
    }

    fn try_encode_udf(&self, function: &ScalarUDF, bytes: &mut Vec<u8>) -> Result<()> {
        bytes.extend(self.kept(functions::scalar(&self.state, function))?);
        Ok(())
    }

    fn try_decode_higher_order_function(
        &self,
        name: &str,
        _: &[u8],
    ) -> Result<Arc<HigherOrderUDF>> {
        self.kept(Err(functions::unknown(name)))
    }

    fn try_encode_higher_order_function(
        &self,
        function: &HigherOrderUDF,
        _: &mut Vec<u8>,
    ) -> Result<()> {
        self.kept(functions::higher_order(&self.state, function))
    }

    fn try_decode_udaf(&self, name: &str, bytes: &[u8]) -> Result<Arc<AggregateUDF>> {
        self.kept(functions::read_aggregate(name, bytes))
    }

    fn try_encode_udaf(&self, function: &AggregateUDF, bytes: &mut Vec<u8>) -> Result<()> {
        bytes.extend(self.kept(functions::aggregate(&self.state, function))?);
        Ok(())
    }

    fn try_decode_udwf(&self, name: &str, bytes: &[u8]) -> Result<Arc<WindowUDF>> {
        self.kept(functions::read_window(name, bytes))
    }

    fn try_encode_udwf(&self, function: &WindowUDF, bytes: &mut Vec<u8>) -> Result<()> {
        bytes.extend(self.kept(functions::window(&self.state, function))?);
        Ok(())
    }
}
