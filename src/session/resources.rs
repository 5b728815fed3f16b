//! What the operators of a session share.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use datafusion::execution::TaskContext;

use super::Knobs;
use crate::error::{Error, Result};
use crate::memory::Governor;
use crate::spill::SpillStore;

/// Memory, temporary files and switches for tests. Operators find it in their task context.
pub(crate) struct Resources {
    pub(crate) governor: Governor,
    pub(crate) store: SpillStore,
    pub(crate) knobs: Knobs,
    /// Records of CSV files that were left out because they could not be read.
    pub(crate) rejected_rows: Arc<AtomicU64>,
}

impl Resources {
    /// The resources of the session that a task belongs to.
    ///
    /// # Errors
    /// `Internal` if the context is not of one of our sessions.
    pub(crate) fn of(context: &TaskContext) -> Result<Arc<Resources>> {
        let found = context.session_config().get_extension::<Resources>();
        found.ok_or_else(|| Error::internal("an operator runs outside of a Brimful session"))
    }
}
