//! Names that DuckDB and Spark have for list functions of DataFusion.

use datafusion::error::Result;
use datafusion::execution::FunctionRegistry;

/// Functions and their other names.
const ALIASES: &[(&str, &[&str])] = &[
    ("make_array", &["list_value", "list_pack", "array_value", "unpivot_list"]),
    ("array_length", &["array_size", "list_size"]),
    ("flatten", &["list_flatten", "array_flatten"]),
    ("arrays_zip", &["array_zip"]),
];

/// Registers the functions again under their other names.
///
/// # Errors
/// `Plan` if there is no such function.
pub(in super::super) fn register(registry: &mut dyn FunctionRegistry) -> Result<()> {
    super::super::register_aliases(registry, ALIASES)
}
