//! What instructions can do, and what is computed with them.

/// Lanes of a vector.
pub(in crate::session::kernels) const LANES: usize = 16;

/// A vector in memory.
pub(in crate::session::kernels) type Lanes = [f32; LANES];

/// What is computed, for any instructions.
pub(in crate::session::kernels) trait Work {
    /// Computes it. `#[inline(always)]`, so that it is compiled for the instructions of its caller.
    fn run<S: Simd>(self, simd: S);
}

/// Instructions that the machine has: who holds a value may call them.
pub(in crate::session::kernels) trait Simd: Copy {
    /// Vectors that a loop can keep in registers, beside two that it reads.
    const REGISTERS: usize;
    /// A vector in registers.
    type V: Copy;
    /// All lanes.
    fn splat(self, number: f32) -> Self::V;
    fn load(self, lanes: &Lanes) -> Self::V;
    fn store(self, vector: Self::V, lanes: &mut Lanes);
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a·b + c`, rounded once.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `b` where it is greater, `a` elsewhere.
    fn larger(self, a: Self::V, b: Self::V) -> Self::V;
    /// Zero where `x` is below `limit`, `value` elsewhere.
    fn zero_below(self, x: Self::V, limit: Self::V, value: Self::V) -> Self::V;
    /// `2ⁿ`, for the integer in the low bits of the lanes ([`exponential`](super::exponential)).
    fn power_of_two(self, shifted: Self::V) -> Self::V;
    /// The sum of the lanes, halving them.
    fn sum(self, vector: Self::V) -> f32;
    /// The largest lane; any, where a lane is not a number.
    fn most(self, vector: Self::V) -> f32;
    /// Row `i` of the result holds lane `i` of each of the rows.
    #[inline(always)]
    fn transpose(self, rows: [Self::V; LANES]) -> [Self::V; LANES] {
        let mut before = [[0.0; LANES]; LANES];
        for (vector, lanes) in rows.into_iter().zip(&mut before) {
            self.store(vector, lanes);
        }
        let mut after = rows;
        for (column, vector) in after.iter_mut().enumerate() {
            let mut lanes = [0.0; LANES];
            for row in 0..LANES {
                lanes[row] = before[row][column];
            }
            *vector = self.load(&lanes);
        }
        after
    }
    /// Runs a part of the work as a function of its own, compiled once.
    fn call(self, work: impl Work);
}

/// What is computed with factors of either kind, for any instructions.
pub(in crate::session::kernels) trait FactorWork {
    /// Computes it. `#[inline(always)]`, as [`Work::run`].
    fn run<S: Factors>(self, simd: S);
}

/// Instructions for sums of products, of numbers or of pairs of bfloat16: a lane is either.
pub(in crate::session::kernels) trait Factors: Copy {
    /// As [`Simd::REGISTERS`].
    const REGISTERS: usize;
    /// Factors or sums in registers.
    type V: Copy;
    /// All lanes.
    fn splat(self, lane: f32) -> Self::V;
    fn load(self, lanes: &Lanes) -> Self::V;
    fn store(self, vector: Self::V, lanes: &mut Lanes);
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// The products of two factors and a sum.
    fn add_products(self, a: Self::V, b: Self::V, sum: Self::V) -> Self::V;
    /// Runs a part of the work as a function of its own, compiled once.
    fn call(self, work: impl FactorWork);
}

/// Factors that are numbers of 32 bits.
#[derive(Clone, Copy)]
pub(in crate::session::kernels) struct Numbers<S>(S);

/// Work with factors that are numbers.
pub(in crate::session::kernels) struct OfNumbers<W>(pub(in crate::session::kernels) W);

impl<W: FactorWork> Work for OfNumbers<W> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.0.run(Numbers(simd));
    }
}

impl<S: Simd> Factors for Numbers<S> {
    const REGISTERS: usize = S::REGISTERS;
    type V = S::V;

    #[inline(always)]
    fn splat(self, lane: f32) -> S::V {
        self.0.splat(lane)
    }

    #[inline(always)]
    fn load(self, lanes: &Lanes) -> S::V {
        self.0.load(lanes)
    }

    #[inline(always)]
    fn store(self, vector: S::V, lanes: &mut Lanes) {
        self.0.store(vector, lanes);
    }

    #[inline(always)]
    fn add(self, a: S::V, b: S::V) -> S::V {
        self.0.add(a, b)
    }

    /// `a·b + sum`, rounded once.
    #[inline(always)]
    fn add_products(self, a: S::V, b: S::V, sum: S::V) -> S::V {
        self.0.mul_add(a, b, sum)
    }

    #[inline(always)]
    fn call(self, work: impl FactorWork) {
        self.0.call(OfNumbers(work));
    }
}

/// What is computed with pairs of bfloat16, for any instructions.
pub(in crate::session::kernels) trait PairWork {
    /// Computes it. `#[inline(always)]`, as [`Work::run`].
    fn run<S: Pairs>(self, simd: S);
}

/// Work with factors that are pairs.
pub(in crate::session::kernels) struct OfPairs<W>(pub(in crate::session::kernels) W);

impl<W: FactorWork> PairWork for OfPairs<W> {
    #[inline(always)]
    fn run<S: Pairs>(self, simd: S) {
        self.0.run(simd);
    }
}

/// Instructions for pairs of bfloat16, which are the 32 bits of a lane ([`mimir_bundle::kernels::bfloat16_pair`]).
///
/// [`Factors::add_products`] is `a₀·b₀ + (a₁·b₁ + sum)` for the halves of each pair, the upper ones first. Both sums are rounded to
/// 32 bits; denormal numbers are zeros (`VDPBF16PS`, Intel's manual, volume 2).
pub(in crate::session::kernels) trait Pairs: Factors {
    /// Neighbours of a row, in pairs.
    fn paired(self, row: &[f32; 2 * LANES]) -> Self::V;
    /// The same places of two rows, in pairs.
    fn interleaved(self, first: &Lanes, second: &Lanes) -> Self::V;
    /// Row `i` of the result holds lane `i` of each of the rows.
    fn transpose(self, rows: [Self::V; LANES]) -> [Self::V; LANES];
    /// As [`Factors::call`].
    fn call_for_pairs(self, work: impl PairWork);
}
