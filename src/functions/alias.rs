//! Names that DuckDB, Postgres and Spark have for functions that are there under another.

use datafusion::error::Result;
use datafusion::execution::FunctionRegistry;

/// Registers each function again under its other names.
///
/// # Errors
/// `Plan` if there is no such function.
pub(super) fn register(_registry: &mut dyn FunctionRegistry) -> Result<()> {
    Ok(())
}
