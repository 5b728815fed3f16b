//! The global allocator: jemalloc, with a count of the bytes that are allocated.
//!
//! jemalloc, because it keeps the least memory that nobody uses: where many threads allocate and free
//! buffers of all sizes its resident set is a sixth smaller than mimalloc's at the same speed.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::ffi::{CStr, c_char};
use std::sync::atomic::{AtomicIsize, Ordering};

use tikv_jemallocator::Jemalloc;

/// A thread adds to the count of all threads when its own has changed by this much.
const FLUSH_BYTES: isize = 64 << 10;

/// Bytes that are allocated, but for what threads have not added yet.
static LIVE_BYTES: AtomicIsize = AtomicIsize::new(0);

thread_local! {
    /// What this thread has allocated or freed and not added to [`LIVE_BYTES`].
    static PENDING_BYTES: Cell<isize> = const { Cell::new(0) };
}

/// jemalloc, counting the bytes that are allocated, which keeps the resident set of the process
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

// SAFETY: every call is jemalloc's, with the arguments it was given; counting does not allocate.
unsafe impl GlobalAlloc for CountingAllocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`.
        unsafe { Jemalloc.alloc(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller keeps the contract of `GlobalAlloc::dealloc`.
        unsafe { Jemalloc.dealloc(pointer, layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc_zeroed`.
        unsafe { Jemalloc.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size as isize - layout.size() as isize);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::realloc`.
        unsafe { Jemalloc.realloc(pointer, layout, new_size) }
    }
}

/// Bytes that are allocated, within 64 KiB a thread; `None` where another allocator is in use.
pub(super) fn live_bytes() -> Option<usize> {
    let live = LIVE_BYTES.load(Ordering::Relaxed);
    (live > 0).then_some(live as usize)
}

/// Gives freed memory back to the system now instead of a little later.
pub(super) fn purge() {
    /// All arenas, which are numbered from 0.
    const PURGE_ALL: &CStr = c"arena.4096.purge";
    // SAFETY: a known name, for which nothing is read or written.
    unsafe {
        tikv_jemalloc_sys::mallctl(
            PURGE_ALL.as_ptr(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            0,
        );
    }
}

/// Settings that jemalloc reads when it starts.
#[repr(transparent)]
struct Settings(*const c_char);

// SAFETY: it points to a constant.
unsafe impl Sync for Settings {}

/// An arena for each core; freed memory goes back within five seconds, on a thread of its own. That
/// holds for large pieces too, which by default go back at once and are faulted in again page by page.
// SAFETY: the name and type that jemalloc documents for its settings.
#[unsafe(export_name = "_rjem_malloc_conf")]
static SETTINGS: Settings = Settings(
    c"percpu_arena:percpu,background_thread:true,dirty_decay_ms:5000,muzzy_decay_ms:0,\
      oversize_threshold:0"
        .as_ptr(),
);
