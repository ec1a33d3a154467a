//! What a piece of work allocates: an allocator that counts, and the peak over one piece of work.
//!
//! Counted is what threads of the current rayon pool allocate while the work runs, nothing that other threads do beside
//! it (a progress bar allocates too): the same work has the same peak on every run. Blocks below [`LEAST`] are left out:
//! they are plans of matrix products and the pool's own lists, they live for a moment, and which of them meet depends on
//! who was scheduled when. The counts are of bytes asked for; what the system's allocator adds to them, and memory that
//! is mapped past it, shows only in the resident set ([`super::ram`]).
//!
//! A process in which other pools end meanwhile is no place to measure: what their threads leave behind (some KiB in the
//! hands of crossbeam's collector, which is one for all) is freed by whoever comes by, and taken off the peak. Beside a
//! pool that was made and ended again and again 5 of 100 peaks were too low, without it none of 3000.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The system's allocator, counting; a binary that wants figures makes it its global allocator.
#[derive(Debug)]
pub struct Counting;

/// Whether anybody is counting, so that the other allocations of a program cost one load.
static ON: AtomicBool = AtomicBool::new(false);
/// Bytes that counted threads hold more than when the counting began, now and at most.
static HELD: AtomicI64 = AtomicI64::new(0);
static PEAK: AtomicI64 = AtomicI64::new(0);
/// One piece of work is measured at a time.
static MEASURING: Mutex<()> = Mutex::new(());

thread_local! {
    // Set without allocating, and without anything to drop: the allocator itself reads it.
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

/// The smallest block that is counted, in bytes.
pub const LEAST: usize = 1024;

/// What a block of `bytes` counts for.
fn counted(bytes: usize) -> i64 {
    if bytes < LEAST { 0 } else { bytes as i64 }
}

fn add(bytes: i64) {
    if bytes != 0 && ON.load(Ordering::Relaxed) && COUNTED.try_with(Cell::get).unwrap_or(false) {
        let held = HELD.fetch_add(bytes, Ordering::Relaxed) + bytes;
        PEAK.fetch_max(held, Ordering::Relaxed);
    }
}

// SAFETY: every call is handed on to the system's allocator with the arguments that came; counting allocates nothing.
#[allow(unsafe_code)] // a global allocator is unsafe to write; this file is one of the doors that the floors allow
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

/// What `work` returns, and the most bytes that it held at once beyond what was held before: `None` where [`Counting`] is
/// not the program's allocator.
///
/// The work runs on a thread of the current rayon pool. Memory that it leaves behind counts; memory from before that it
/// frees is taken off.
pub fn peak_of<T: Send>(work: impl FnOnce() -> T + Send) -> (T, Option<u64>) {
    let _one_at_a_time = MEASURING.lock().unwrap_or_else(PoisonError::into_inner);
    // On a thread of the pool, so that handing work to its neighbours allocates nothing; and after every thread has had
    // work once, which some libraries answer with buffers that they keep.
    let mut result = None;
    let slot = &mut result;
    rayon::scope(|_| {
        rayon::broadcast(|_| COUNTED.set(true));
        HELD.store(0, Ordering::SeqCst);
        PEAK.store(0, Ordering::SeqCst);
        ON.store(true, Ordering::SeqCst);
        // Asks the allocator itself whether it is there.
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

const PROBE: usize = LEAST;

/// Lets the system's allocator keep what the program frees, for what it takes next.
///
/// For work that takes and frees the same large arrays again and again, as a step of training does: glibc would hand
/// each of them back to the system and fetch it anew, a page at a time, which took a sixth of such a step. Other
/// systems' allocators are left as they are.
pub fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code)] // the C library's own door to its settings
    // SAFETY: two settings of the allocator, by their documented names; it takes or refuses them.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
    }
}
