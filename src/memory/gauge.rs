//! What the process has in use.

use std::fs::File;
use std::io::Read;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use super::allocator;

/// The resident set is read again when the last reading is older than this.
const SAMPLE_NANOSECONDS: u64 = 2_000_000;

/// Measures memory: allocated bytes by the allocator's count, and the resident set as the system
/// counts it.
///
/// With [`CountingAllocator`](super::CountingAllocator) the measure is absolute: everything in the
/// process counts. Without it, what was resident when the gauge was made belongs to the program
/// around us and does not count.
#[derive(Debug)]
pub(crate) struct Gauge {
    /// What does not count, in bytes.
    origin_bytes: usize,
    /// Resident beyond what is allocated when the gauge was made: code, stacks, page tables.
    overhead_bytes: usize,
    started: Instant,
    sampled_at: AtomicU64,
    resident_bytes: AtomicUsize,
    purged_at: AtomicU64,
}

impl Gauge {
    pub(crate) fn new() -> Self {
        let resident = resident_bytes().unwrap_or(0);
        let (origin_bytes, overhead_bytes) = match allocator::live_bytes() {
            Some(live) => (0, resident.saturating_sub(live)),
            None => (resident, 0),
        };
        Gauge {
            origin_bytes,
            overhead_bytes,
            started: Instant::now(),
            sampled_at: AtomicU64::new(0),
            resident_bytes: AtomicUsize::new(resident),
            purged_at: AtomicU64::new(0),
        }
    }

    /// Bytes in use: what is allocated, with what a process needs besides. Of what the allocator
    /// keeps, which is in pages that are used in part or not given back yet, half counts: some of it
    /// will be used for what is asked for next.
    pub(super) fn used_bytes(&self) -> usize {
        let resident = self.resident_bytes();
        match allocator::live_bytes() {
            Some(live) => {
                let used = live + self.overhead_bytes;
                used + resident.saturating_sub(used) / 2
            }
            None => resident,
        }
    }

    /// The resident set, at most two milliseconds old.
    pub(super) fn resident_bytes(&self) -> usize {
        let now = self.started.elapsed().as_nanos() as u64;
        let last = self.sampled_at.load(Ordering::Relaxed);
        let due = now.saturating_sub(last) > SAMPLE_NANOSECONDS || last == 0;
        if due
            && self
                .sampled_at
                .compare_exchange(last, now.max(1), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            self.sample();
        }
        self.resident_bytes.load(Ordering::Relaxed).saturating_sub(self.origin_bytes)
    }

    fn sample(&self) {
        if let Some(bytes) = resident_bytes() {
            self.resident_bytes.store(bytes, Ordering::Relaxed);
        }
    }

    /// Has the allocator give freed memory back now, unless it just did; reads the resident set again.
    pub(super) fn purge(&self) {
        const EVERY_NANOSECONDS: u64 = 20_000_000;
        let now = self.started.elapsed().as_nanos() as u64;
        let last = self.purged_at.load(Ordering::Relaxed);
        let is_due = now.saturating_sub(last) > EVERY_NANOSECONDS
            && self
                .purged_at
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if is_due && allocator::live_bytes().is_some() {
            allocator::purge();
            self.sample();
        }
    }
}

/// The resident set of this process, in bytes, where the system says.
fn resident_bytes() -> Option<usize> {
    let mut text = [0; 128];
    let length = File::open("/proc/self/statm").ok()?.read(&mut text).ok()?;
    let pages = std::str::from_utf8(&text[..length]).ok()?.split_whitespace().nth(1)?;
    Some(pages.parse::<usize>().ok()? * page_bytes())
}

/// The size of a page, which the system tells each process when it starts.
fn page_bytes() -> usize {
    const PAGE_SIZE_KEY: usize = 6;
    static BYTES: OnceLock<usize> = OnceLock::new();
    *BYTES.get_or_init(|| {
        let vector = std::fs::read("/proc/self/auxv").unwrap_or_default();
        let word = |bytes: &[u8]| bytes.try_into().map_or(0, usize::from_ne_bytes);
        vector
            .chunks_exact(2 * size_of::<usize>())
            .map(|pair| pair.split_at(size_of::<usize>()))
            .find(|(key, _)| word(key) == PAGE_SIZE_KEY)
            .map_or(4096, |(_, value)| word(value))
    })
}

/// The largest resident set of this process so far, in bytes; 0 where the system does not say.
pub(crate) fn peak_resident_bytes() -> u64 {
    // Preferred to `getrusage`, whose maximum is inherited from the process that started this one.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resident_set_is_read() {
        let page = page_bytes();
        assert!(page.is_power_of_two() && page >= 4096, "{page}");
        // Other tests give memory back meanwhile, but not every time.
        let grown = (0..20).any(|_| {
            let before = resident_bytes().unwrap();
            let block = std::hint::black_box(vec![1_u8; 64 << 20]);
            let after = resident_bytes().unwrap();
            assert!(peak_resident_bytes() as usize >= after - (16 << 20));
            after > before + (block.len() / 2)
        });
        assert!(grown);
    }

    #[test]
    fn what_was_there_before_does_not_count() {
        let gauge = Gauge::new();
        assert!(gauge.used_bytes() < 1 << 30);
    }
}
