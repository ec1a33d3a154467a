//! A counting allocator, and the peak of what one piece of work allocates.
//!
//! Only threads of the current rayon pool are counted while the work runs, not other threads (a progress bar allocates
//! too): the same work has the same peak on every run. Blocks below [`MIN_BLOCK`] are left out: plans of matrix products and
//! the pool's own lists are short-lived, and which of them coexist depends on scheduling. The counts are of requested bytes;
//! the allocator's own overhead, and memory that is mapped directly, show only in the resident set ([`super::ram`]).
//!
//! No other pool may end in the process meanwhile: what its threads leave (some KiB, held by crossbeam's global collector)
//! is freed by any thread, and subtracted from the peak. With a pool that was started and ended repeatedly 5 % of the peaks
//! were too low, without it none of 3000.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The system's allocator, counting; to be set as the global allocator of a binary.
#[derive(Debug)]
pub struct Counting;

/// Whether counting is on; off, an allocation costs one more load.
static ON: AtomicBool = AtomicBool::new(false);
/// Bytes that counted threads hold beyond those at the start: now, and maximum.
static HELD: AtomicI64 = AtomicI64::new(0);
static PEAK: AtomicI64 = AtomicI64::new(0);
/// One piece of work is measured at a time.
static MEASURING: Mutex<()> = Mutex::new(());

thread_local! {
    // Const and without a destructor: the allocator itself reads it.
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

/// The smallest block that is counted, in bytes.
pub const MIN_BLOCK: usize = 1024;

/// What a block of `bytes` counts for.
fn counted(bytes: usize) -> i64 {
    if bytes < MIN_BLOCK { 0 } else { bytes as i64 }
}

fn add(bytes: i64) {
    if bytes != 0 && ON.load(Ordering::Relaxed) && COUNTED.try_with(Cell::get).unwrap_or(false) {
        let held = HELD.fetch_add(bytes, Ordering::Relaxed) + bytes;
        PEAK.fetch_max(held, Ordering::Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator with the same arguments; counting allocates nothing.
#[allow(unsafe_code)] // a global allocator is unsafe to implement
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(counted(layout.size()));
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(counted(layout.size()));
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        add(-counted(layout.size()));
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        add(counted(size) - counted(layout.size()));
        unsafe { System.realloc(memory, layout, size) }
    }
}

/// What `work` returns, and the maximum of bytes that it held at once beyond those held before: `None` where [`Counting`] is
/// not the global allocator.
///
/// The work runs on a thread of the current rayon pool. Memory that it does not free counts; earlier memory that it frees is
/// subtracted.
pub fn peak_of<T: Send>(work: impl FnOnce() -> T + Send) -> (T, Option<u64>) {
    let _one_at_a_time = MEASURING.lock().unwrap_or_else(PoisonError::into_inner);
    // On a thread of the pool, so that distributing work allocates nothing; and after every thread has run once, because
    // some libraries then allocate buffers per thread.
    let mut result = None;
    let slot = &mut result;
    rayon::scope(|_| {
        rayon::broadcast(|_| COUNTED.set(true));
        HELD.store(0, Ordering::SeqCst);
        PEAK.store(0, Ordering::SeqCst);
        ON.store(true, Ordering::SeqCst);
        // Shows whether this is the global allocator.
        drop(std::hint::black_box(Vec::<u8>::with_capacity(PROBE)));
        let there = PEAK.swap(0, Ordering::SeqCst) >= PROBE as i64;
        HELD.store(0, Ordering::SeqCst);
        let value = work();
        ON.store(false, Ordering::SeqCst);
        let peak = there.then(|| u64::try_from(PEAK.load(Ordering::SeqCst)).unwrap_or(0));
        rayon::broadcast(|_| COUNTED.set(false));
        *slot = Some((value, peak));
    });
    result.unwrap_or_else(|| unreachable!("a scope ends when its work is done"))
}

const PROBE: usize = MIN_BLOCK;

/// Makes the system's allocator keep freed memory for later allocations.
///
/// For work that allocates and frees the same large arrays repeatedly, as training steps do: glibc would return each to the
/// system and map it again page by page, which took a sixth of a step. Other allocators are left as they are.
pub fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code)] // settings of the C library
    // SAFETY: two settings of the allocator, by their documented names; it takes or refuses them.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
    }
}
