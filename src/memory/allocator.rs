//! The global allocator: mimalloc, with a count of the bytes that are allocated.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::atomic::{AtomicIsize, Ordering};

use mimalloc::MiMalloc;

/// A thread adds to the count of all threads when its own has changed by this much.
const FLUSH_BYTES: isize = 64 << 10;

/// Bytes that are allocated, but for what threads have not added yet.
static LIVE_BYTES: AtomicIsize = AtomicIsize::new(0);

thread_local! {
    /// What this thread has allocated or freed and not added to [`LIVE_BYTES`].
    static PENDING_BYTES: Cell<isize> = const { Cell::new(0) };
}

/// mimalloc, counting the bytes that are allocated, which keeps the resident set of the process
/// within the memory limit. A program that embeds Brimful makes it its own:
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: brimful::CountingAllocator = brimful::CountingAllocator;
/// # fn main() {}
/// ```
///
/// Without it the resident set is sampled instead, which notices growth later.
#[derive(Debug, Clone, Copy, Default)]
pub struct CountingAllocator;

#[inline]
fn count(bytes: isize) {
    // A thread that is ending counts no more; it is off by less than `FLUSH_BYTES`.
    let _ = PENDING_BYTES.try_with(|pending| {
        let total = pending.get() + bytes;
        if total.abs() < FLUSH_BYTES {
            pending.set(total);
        } else {
            pending.set(0);
            LIVE_BYTES.fetch_add(total, Ordering::Relaxed);
        }
    });
}

// SAFETY: every call is mimalloc's, with the arguments it was given; counting does not allocate.
unsafe impl GlobalAlloc for CountingAllocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`.
        unsafe { MiMalloc.alloc(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller keeps the contract of `GlobalAlloc::dealloc`.
        unsafe { MiMalloc.dealloc(pointer, layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc_zeroed`.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size as isize - layout.size() as isize);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::realloc`.
        unsafe { MiMalloc.realloc(pointer, layout, new_size) }
    }
}

/// Bytes that are allocated, within 64 KiB a thread; `None` where another allocator is in use.
pub(super) fn live_bytes() -> Option<usize> {
    let live = LIVE_BYTES.load(Ordering::Relaxed);
    (live > 0).then_some(live as usize)
}

/// Whether freed memory goes back to the system at once instead of a little later. At once costs a
/// system call and new page faults, which is only worth it near the limit.
pub(super) fn purge_at_once(at_once: bool) {
    /// `mi_option_purge_delay` of mimalloc 3, in milliseconds, and its default.
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    const DEFAULT_MILLISECONDS: std::ffi::c_long = 10;
    // SAFETY: a known option of the linked mimalloc; options may change at any time.
    unsafe {
        libmimalloc_sys::mi_option_set(PURGE_DELAY, if at_once { 0 } else { DEFAULT_MILLISECONDS });
        if at_once {
            libmimalloc_sys::mi_collect(true);
        }
    }
}
