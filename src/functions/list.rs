//! Functions of this kind.

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

/// All of this file.
pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    Vec::new()
}
