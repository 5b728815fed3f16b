//! Where one partition's records end and the next one's begin, and the proof that both agree.
//!
//! A file is cut at byte offsets. The partition that begins at a cut takes the first newline at or
//! after it for the end of a record, which is a guess: the newline may stand inside a quoted field.
//! The partition before the cut knows the truth when it gets there, because it has read everything
//! since its own start. Each writes down where the first record after the cut begins; if the two
//! differ the query fails instead of returning wrong rows.

use std::collections::HashMap;
use std::sync::Mutex;

use object_store::path::Path;

use crate::error::{Error, Result};

/// The record starts that the partitions of one scan have seen, by file and cut.
#[derive(Debug, Default)]
pub(crate) struct Boundaries {
    seen: Mutex<HashMap<(Path, u64), u64>>,
}

impl Boundaries {
    /// Writes down that the first record at or after `cut` begins at `start`.
    ///
    /// # Errors
    /// `Input` if the partition on the other side of the cut saw it begin elsewhere.
    pub(crate) fn agree(&self, location: &Path, cut: u64, start: u64) -> Result<()> {
        let mut seen = self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let other = *seen.entry((location.clone(), cut)).or_insert(start);
        if other == start {
            return Ok(());
        }
        Err(Error::input(format!(
            "\"/{location}\" has a quoted field with a newline near byte {cut}, where the file was \
             cut to be read in parallel"
        ))
        .with_hint(
            "create the table with OPTIONS (newlines_in_values true), which reads the file from \
             one end to the other",
        ))
    }
}
