//! The outputs of an operator whose partitions share their work.

use std::fmt;

use datafusion::common::internal_err;
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use parking_lot::Mutex;

/// The outputs of an operator that has begun, until they are taken.
#[derive(Default)]
pub(crate) struct Outputs(Mutex<Vec<Option<SendableRecordBatchStream>>>);

impl fmt::Debug for Outputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} outputs", self.0.lock().len())
    }
}

impl Outputs {
    /// The output of a partition. The operator is started for the first partition that is read, and
    /// again for one that is read once more.
    ///
    /// # Errors
    /// Those of starting the operator; `Internal` if there is no such partition.
    pub(crate) fn take(
        &self,
        partition: usize,
        start: impl FnOnce() -> Result<Vec<SendableRecordBatchStream>>,
    ) -> Result<SendableRecordBatchStream> {
        let mut outputs = self.0.lock();
        if let Some(output) = outputs.get_mut(partition).and_then(Option::take) {
            return Ok(output);
        }
        *outputs = start()?.into_iter().map(Some).collect();
        match outputs.get_mut(partition).and_then(Option::take) {
            Some(output) => Ok(output),
            None => internal_err!("an operator has no partition {partition}"),
        }
    }
}
