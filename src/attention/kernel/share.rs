//! Work shared among threads, each with a work space of its own that is taken before the work begins.

use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

/// Numbers in a cache line; every piece of a work space begins at one.
const LINE: usize = 16;

/// A length in whole cache lines.
pub(in crate::attention) const fn whole_lines(len: usize) -> usize {
    len.next_multiple_of(LINE)
}

/// How many numbers [`Space::new`] takes for so many, for its first one to begin at a cache line.
pub(in crate::attention) const fn aligned(len: usize) -> usize {
    len + LINE
}

/// A zeroed work space that begins at a cache line.
pub(in crate::attention) struct Space(Vec<f32>);

impl Space {
    pub(in crate::attention) fn new(len: usize) -> Self {
        Self(vec![0.0; aligned(len)])
    }

    pub(in crate::attention) fn all(&mut self) -> &mut [f32] {
        // Where a machine cannot say, unaligned is right as well.
        let skip = self.0.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
        let len = self.0.len() - LINE;
        &mut self.0[skip..skip + len]
    }
}

/// The first `len` numbers of `rest`, which goes on at the next cache line.
#[allow(clippy::mut_mut)] // the slice itself is moved on
pub(in crate::attention) fn carve<'a>(rest: &mut &'a mut [f32], len: usize) -> &'a mut [f32] {
    let (piece, others) = std::mem::take(rest).split_at_mut(whole_lines(len));
    *rest = others;
    &mut piece[..len]
}

/// Runs every task once: `spaces` is cut into one work space of `each` numbers for every worker.
///
/// Workers take the next task when they are done with one; what a task computes must not depend on what was in its
/// work space.
pub(in crate::attention) fn in_parallel<T: Send>(
    tasks: impl Iterator<Item = T> + Send,
    spaces: &mut [f32],
    each: usize,
    run: impl Fn(T, &mut [f32]) + Sync,
) {
    let queue = Mutex::new(tasks);
    spaces.par_chunks_exact_mut(each).with_max_len(1).for_each(|space| {
        loop {
            let task = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(task) = task else { break };
            run(task, space);
        }
    });
}

/// Chunks of so many numbers, and empty ones after the last.
pub(in crate::attention) fn chunks_or_empty(
    x: &mut [f32],
    len: usize,
) -> impl Iterator<Item = &mut [f32]> + Send {
    x.chunks_mut(len.max(1)).chain(std::iter::repeat_with(Default::default))
}
