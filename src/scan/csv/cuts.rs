//! Where records begin after the places at which a file is cut to be read in parallel.
//!
//! Whoever begins to read at a cut has to guess where the next record begins: the first newline may
//! stand inside a quoted field. Whoever reads the part before it knows, because it knows where its
//! own first record begins, and so on back to the beginning of the file. Each reader writes down
//! what it has found at its end, before it makes rows of it, and no reader gives rows before its own
//! beginning is known: if its neighbour is not that far, or is not even running, it finds the
//! beginning itself by looking at nothing but quotes and newlines, from the last known place on.
//! So a wrong guess costs time and nothing else, and no reader waits for another.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use object_store::ObjectMeta;
use object_store::path::Path;

/// The cuts of the files of one scan.
#[derive(Debug, Default)]
pub(crate) struct Cuts {
    files: Mutex<HashMap<Path, (ObjectMeta, Arc<FileCuts>)>>,
}

impl Cuts {
    /// The cuts of a file, as long as it is the same file.
    pub(crate) fn of(&self, file: &ObjectMeta) -> Arc<FileCuts> {
        let mut files = locked(&self.files);
        match files.get(&file.location) {
            Some((known, cuts)) if known == file => Arc::clone(cuts),
            _ => {
                let cuts = Arc::<FileCuts>::default();
                files.insert(file.location.clone(), (file.clone(), Arc::clone(&cuts)));
                cuts
            }
        }
    }
}

/// The cuts of one file: for each, where the first record at or after it begins.
#[derive(Debug, Default)]
pub(crate) struct FileCuts {
    starts: Mutex<BTreeMap<u64, u64>>,
    /// The file as its readers have it open, so that not each of them opens it again.
    handle: Mutex<Weak<File>>,
}

impl FileCuts {
    /// Writes down that the first record at or after byte `cut` begins at byte `start`; the end of
    /// the file if there is none.
    pub(crate) fn know(&self, cut: u64, start: u64) {
        let mut starts = locked(&self.starts);
        starts.insert(cut, start);
    }

    /// Where the first record at or after `cut` begins, if that follows from what is known.
    pub(crate) fn start(&self, cut: u64) -> Option<u64> {
        let (known, start) = self.last_before(cut)?;
        // A record that begins at or after the cut, with none in between.
        (known == cut || start >= cut).then_some(start)
    }

    /// The open file, while anybody has it.
    pub(crate) fn handle(&self) -> Option<Arc<File>> {
        locked(&self.handle).upgrade()
    }

    /// Lets the other readers have the open file.
    pub(crate) fn share_handle(&self, file: &Arc<File>) {
        *locked(&self.handle) = Arc::downgrade(file);
    }

    /// The last known cut at or before `cut`, and where the first record after it begins.
    pub(crate) fn last_before(&self, cut: u64) -> Option<(u64, u64)> {
        let starts = locked(&self.starts);
        starts.range(..=cut).next_back().map(|(cut, start)| (*cut, *start))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_over_several_cuts_settles_them_all() {
        let cuts = FileCuts::default();
        assert_eq!(cuts.start(100), None);
        cuts.know(0, 12);
        assert_eq!(cuts.start(0), Some(12));
        assert_eq!(cuts.start(12), Some(12));
        assert_eq!(cuts.start(13), None);
        cuts.know(100, 350);
        assert_eq!(cuts.start(200), Some(350));
        assert_eq!(cuts.start(400), None);
        assert_eq!(cuts.last_before(400), Some((100, 350)));
    }
}
