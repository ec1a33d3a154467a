//! What a pass of layers both ways allocates at its worst moment, in closed form.
//!
//! The blocks of [`super::layer`] are gone through with sizes in the place of arrays: what each takes, keeps for the way
//! back and lets go, in its order. Left out is what [`crate::model::encoder`] leaves out of its forward passes, and what
//! cuts of a batch take whose sequences differ in length. Where threads have work space of their own, all are taken to be
//! at work at once: with several the form is a bound, which a machine that has other work may stay below.

mod back;

use crate::attention::fused;
use crate::attention::luna_causal::WeightedHeads;
use crate::cost::Shape;
use crate::linalg::affine;
use crate::model::encoder::{EncoderConfig, Mechanism};

const F32: usize = size_of::<f32>();

impl EncoderConfig {
    /// Bytes that [`super::Layers::pass`] has allocated at its worst moment, on b sequences of n tokens each and that many
    /// threads: what is kept between the passes, work space, and the two results. The input x counts as given, and as
    /// given back where the pass lets it go. P is carried from layer to layer, as [`super::Layers`] wants it.
    pub fn train_extra_bytes(&self, b: usize, n: usize, threads: usize) -> usize {
        let p_rows = match self.mechanism {
            Mechanism::Luna { l, .. } => b * l.min(n),
            Mechanism::LunaCausal { l, .. } => l,
            _ => 0,
        };
        Plan { config: self, b, n, threads, p_rows, held: Held::default() }.pass()
    }
}

/// Bytes that are there beyond those at the start, and the most that ever were.
#[derive(Debug, Default)]
struct Held {
    now: i64,
    most: i64,
}

impl Held {
    fn bytes(count: usize, numbers: usize) -> i64 {
        (F32 * count * numbers) as i64
    }

    /// So many arrays of so many numbers each.
    fn take(&mut self, count: usize, numbers: usize) {
        self.now += Self::bytes(count, numbers);
        self.most = self.most.max(self.now);
    }

    fn free(&mut self, count: usize, numbers: usize) {
        self.now -= Self::bytes(count, numbers);
    }

    /// Taken and let go before anything else is.
    fn over(&mut self, count: usize, numbers: usize) {
        self.take(count, numbers);
        self.free(count, numbers);
    }
}

/// A pass, in sizes.
struct Plan<'a> {
    config: &'a EncoderConfig,
    b: usize,
    n: usize,
    threads: usize,
    /// Rows of P: of all sequences, or of the one that they share.
    p_rows: usize,
    held: Held,
}

/// Which attention: X over X, P over X (Luna packs), or X over the packed P.
#[derive(Clone, Copy)]
enum Step {
    Own,
    Pack,
    Unpack,
}

impl Plan<'_> {
    fn pass(mut self) -> usize {
        match self.config.mechanism {
            Mechanism::Luna { l, .. } => {
                self.held.take(1, l * self.config.d);
                self.held.take(1, self.p());
                self.held.free(1, l * self.config.d);
            }
            Mechanism::LunaCausal { .. } => self.held.take(1, self.p()),
            _ => {}
        }
        for _ in 0..self.config.layers {
            self.forward();
        }
        self.held.take(1, self.x());
        for layer in (0..self.config.layers).rev() {
            self.backward(layer + 1 == self.config.layers);
        }
        self.held.most.max(0) as usize
    }

    fn rows(&self) -> usize {
        self.b * self.n
    }

    /// Numbers of X.
    fn x(&self) -> usize {
        self.rows() * self.config.d
    }

    /// Numbers of P.
    fn p(&self) -> usize {
        self.p_rows * self.config.d
    }

    /// Numbers inside the feed-forward network.
    fn inner(&self) -> usize {
        self.rows() * self.config.ffn
    }

    /// Weights of causal Luna's keys.
    fn weights(&self) -> usize {
        self.config.heads * self.rows() * self.p_rows
    }

    /// Projections of keys and values.
    fn pairs(&self) -> usize {
        match self.config.mechanism {
            Mechanism::Luna { tied, .. } | Mechanism::LunaCausal { tied, .. } => 2 - usize::from(tied),
            _ => 2,
        }
    }

    fn pre_norm(&self) -> bool {
        self.config.pre_norm
    }

    fn forward(&mut self) {
        let (x, p, inner) = (self.x(), self.p(), self.inner());
        let own_p = matches!(self.config.mechanism, Mechanism::Luna { .. });
        self.open(self.rows());
        match self.config.mechanism {
            Mechanism::Luna { .. } => self.luna(),
            Mechanism::LunaCausal { .. } => self.luna_causal(),
            _ => self.transformer(),
        }
        if self.pre_norm() {
            self.held.free(1, x);
            if own_p {
                self.held.free(1, p);
            }
        }
        self.close(self.rows());
        self.open(self.rows());
        self.held.take(2, inner);
        self.held.take(1, x);
        self.held.free(1, inner);
        if self.pre_norm() {
            self.held.free(1, x);
        }
        self.close(self.rows());
    }

    /// The norm before a block: its unit rows, what it gives, one number a row.
    fn open(&mut self, rows: usize) {
        if self.pre_norm() {
            self.held.take(2, rows * self.config.d);
            self.held.take(1, rows);
        }
    }

    /// The norm behind a block, whose rows become its unit rows.
    fn close(&mut self, rows: usize) {
        if !self.pre_norm() {
            self.held.take(1, rows * self.config.d);
            self.held.take(1, rows);
        }
    }

    /// A projection to heads.
    fn heads(&mut self, rows: usize) {
        let d = self.config.d;
        self.held.take(1, rows * d);
        let (count, numbers) = affine::heads_space(rows, d, self.threads);
        self.held.over(count, numbers);
    }

    /// Behind the heads: joined, projected.
    fn project(&mut self) {
        let x = self.x();
        self.held.take(2, x);
        self.held.free(1, x);
    }

    fn transformer(&mut self) {
        for _ in 0..3 {
            self.heads(self.rows());
        }
        self.read(Step::Own);
        self.project();
    }

    fn luna(&mut self) {
        let (rows, p_rows) = (self.rows(), self.p_rows);
        self.open(p_rows);
        self.heads(p_rows);
        for _ in 0..self.pairs() {
            self.heads(rows);
        }
        self.read(Step::Pack);
        self.held.take(1, self.p());
        self.heads(rows);
        for _ in 0..self.pairs() {
            self.heads(p_rows);
        }
        self.read(Step::Unpack);
        self.project();
        self.close(p_rows);
    }

    fn luna_causal(&mut self) {
        let (x, w) = (self.x(), self.weights());
        self.heads(self.p_rows);
        for _ in 0..2 + self.pairs() {
            self.heads(self.rows());
        }
        self.held.take(1, w);
        self.held.take(1, x);
        let ([forward, _], kept) = self.weighted();
        self.held.take(1, kept);
        self.held.over(1, forward);
        self.project();
        self.held.free(1, w);
        self.held.take(1, self.p());
    }

    /// What heads read, and what stays for the way back.
    fn read(&mut self, step: Step) {
        let ([forward, _], kept) = self.core(step);
        self.held.take(1, self.queries(step));
        self.held.take(1, kept);
        self.held.over(1, forward);
    }

    fn queries(&self, step: Step) -> usize {
        if matches!(step, Step::Pack) { self.p() } else { self.x() }
    }

    fn keys(&self, step: Step) -> usize {
        if matches!(step, Step::Unpack) { self.p() } else { self.x() }
    }

    /// Numbers of work space forwards and backwards, and of what stays between them.
    fn core(&self, step: Step) -> ([usize; 2], usize) {
        let config = self.config;
        let (n, heads, p_rows) = (self.n, config.heads * self.b, self.p_rows / self.b.max(1));
        if config.mechanism == Mechanism::Materialised {
            let all = heads * n * n;
            return ([0, all], all);
        }
        let shape = Shape { causal: config.causal, ..Shape::square(n, config.head_width()) };
        let (name, shape) = match step {
            Step::Own => (config.mechanism.name(), shape),
            Step::Pack => ("softmax", Shape { n: p_rows, ..shape }),
            Step::Unpack => ("softmax", Shape { m: p_rows, ..shape }),
        };
        let l = config.mechanism.l().filter(|_| matches!(step, Step::Own));
        let Ok(form) = fused(name, l) else { return ([0; 2], 0) };
        let space = form.train_extra_bytes(&shape, heads, self.threads);
        (space.map(|bytes| bytes / F32), form.saved_bytes(&shape, heads) / F32)
    }

    /// The same of causal Luna from its weights on.
    fn weighted(&self) -> ([usize; 2], usize) {
        let config = self.config;
        let shape = Shape { causal: true, ..Shape::square(self.n, config.head_width()) };
        WeightedHeads::numbers(&shape, config.heads * self.b, self.p_rows, self.threads)
    }
}
