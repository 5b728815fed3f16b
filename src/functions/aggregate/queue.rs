//! What is merged of rows of which the first leave again, as those of a window's frame do.

use datafusion::error::Result;

/// Rows that leave in the order in which they came, each as what is kept of it.
///
/// Nothing is taken back of what was merged: that would leave rounding errors behind, and
/// infinities. Instead, the first rows are merged from the last of them to the first, and each is
/// dropped with what was merged of it and those after it. So a row is merged twice, and once more
/// for each result.
#[derive(Debug)]
pub(crate) struct Queue<S> {
    /// What is merged of each of the first rows and those after it, the next row to leave last.
    leaving: Vec<S>,
    /// The other rows.
    coming: Vec<S>,
    /// What is merged of these.
    of_coming: Option<S>,
}

impl<S> Default for Queue<S> {
    fn default() -> Self {
        Queue { leaving: Vec::new(), coming: Vec::new(), of_coming: None }
    }
}

impl<S: Clone> Queue<S> {
    /// Adds a row.
    ///
    /// # Errors
    /// Those of `merge`, as for the others.
    pub(crate) fn push(
        &mut self,
        row: S,
        merge: impl FnOnce(&mut S, S) -> Result<()>,
    ) -> Result<()> {
        self.coming.push(row.clone());
        match &mut self.of_coming {
            Some(all) => merge(all, row)?,
            None => self.of_coming = Some(row),
        }
        Ok(())
    }

    /// Drops the row that came first.
    pub(crate) fn pop(&mut self, merge: impl Fn(&mut S, S) -> Result<()>) -> Result<()> {
        if self.leaving.is_empty() {
            self.of_coming = None;
            while let Some(mut row) = self.coming.pop() {
                if let Some(after) = self.leaving.last() {
                    merge(&mut row, after.clone())?;
                }
                self.leaving.push(row);
            }
        }
        self.leaving.pop();
        Ok(())
    }

    /// What is merged of all rows; `None` of none.
    pub(crate) fn whole(&self, merge: impl FnOnce(&mut S, S) -> Result<()>) -> Result<Option<S>> {
        let (first, rest) = (self.leaving.last(), self.of_coming.as_ref());
        let mut whole = first.or(rest).cloned();
        if let (Some(whole), Some(_), Some(rest)) = (&mut whole, first, rest) {
            merge(whole, rest.clone())?;
        }
        Ok(whole)
    }

    /// Bytes on the heap, without those of the rows' own.
    pub(crate) fn size(&self) -> usize {
        (self.leaving.capacity() + self.coming.capacity()) * size_of::<S>()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::Queue;

    #[test]
    fn rows_are_merged_in_their_order_and_each_a_few_times() {
        let merges = Cell::new(0);
        let merge = |all: &mut String, row: String| {
            merges.set(merges.get() + 1);
            all.push_str(&row);
            Ok(())
        };
        let mut queue = Queue::default();
        assert_eq!(queue.whole(merge).unwrap(), None);
        let letters: String = ('a'..='z').cycle().take(1000).collect();
        for end in 0..letters.len() {
            queue.push(letters[end..=end].to_string(), merge).unwrap();
            if end >= 100 {
                queue.pop(merge).unwrap();
            }
            let begin = (end + 1).saturating_sub(100);
            assert_eq!(queue.whole(merge).unwrap().as_deref(), Some(&letters[begin..=end]));
        }
        assert!(merges.get() <= 3 * letters.len(), "{}", merges.get());
        (0..100).for_each(|_| queue.pop(merge).unwrap());
        assert_eq!(queue.whole(merge).unwrap(), None);
    }
}
