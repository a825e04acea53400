//! Sixteen numbers at once, with the widest instructions of the machine.
//!
//! A kernel is a [`Work`], written once over [`Simd`]. [`Instructions::best`] chooses the instructions at run time, so that one
//! program runs on every processor. All of them compute with sixteen lanes and fuse the same products with the same
//! sums: the results are the same to the last bit.
//!
//! Plain loops over arrays, as the other kernels have them, depend on what the compiler makes of them. It turned the
//! products of an attention into gathers, twenty times as slow.

mod vector;
#[cfg(target_arch = "x86_64")]
mod x86;

use mimir_bundle::kernels::bfloat16_pair;

use super::exponential::LEAST;

use vector::OfPairs;
pub(super) use vector::{FactorWork, Factors, LANES, Lanes, OfNumbers, PairWork, Pairs, Simd, Work};

/// The instructions that a machine may have.
#[derive(Debug, Clone, Copy)]
pub(super) enum Instructions {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2(x86::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(x86::Avx512),
}

impl Instructions {
    /// The widest that this machine has.
    pub(super) fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(avx512) = x86::Avx512::detect() {
            return Self::Avx512(avx512);
        } else if let Some(avx2) = x86::Avx2::detect() {
            return Self::Avx2(avx2);
        }
        Self::Portable
    }

    /// All that this machine has.
    #[cfg(test)]
    pub(super) fn all() -> Vec<Self> {
        let mut all = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            all.extend(x86::Avx2::detect().map(Self::Avx2));
            all.extend(x86::Avx512::detect().map(Self::Avx512));
        }
        all
    }

    pub(super) fn run(self, work: impl Work) {
        match self {
            Self::Portable => Simd::call(Portable, work),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(avx2) => avx2.call(work),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(avx512) => avx512.call(work),
        }
    }
}

/// The instructions for bfloat16 that a machine may have.
#[derive(Debug, Clone, Copy)]
pub(super) enum PairInstructions {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx512(x86::Avx512Bfloat16),
}

impl PairInstructions {
    /// The widest that this machine has.
    pub(super) fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(avx512) = x86::Avx512Bfloat16::detect() {
            return Self::Avx512(avx512);
        }
        Self::Portable
    }

    /// All that this machine has.
    #[cfg(test)]
    pub(super) fn all() -> Vec<Self> {
        let mut all = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        all.extend(x86::Avx512Bfloat16::detect().map(Self::Avx512));
        all
    }

    pub(super) fn run(self, work: impl PairWork) {
        match self {
            Self::Portable => Portable.call_for_pairs(work),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(avx512) => avx512.call_for_pairs(work),
        }
    }
}

/// Loops that the compiler makes vectors of, as far as the processor that it compiles for has them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Portable;

impl Portable {
    #[inline(always)]
    fn each(a: Lanes, b: Lanes, of: impl Fn(f32, f32) -> f32) -> Lanes {
        let mut result = [0.0; LANES];
        for lane in 0..LANES {
            result[lane] = of(a[lane], b[lane]);
        }
        result
    }

    #[inline(always)]
    fn halved(mut vector: Lanes, of: impl Fn(f32, f32) -> f32) -> f32 {
        let mut half = LANES / 2;
        while half > 0 {
            for lane in 0..half {
                vector[lane] = of(vector[lane], vector[lane + half]);
            }
            half /= 2;
        }
        vector[0]
    }
}

impl Simd for Portable {
    const REGISTERS: usize = 4;
    type V = Lanes;

    #[inline(always)]
    fn splat(self, number: f32) -> Lanes {
        [number; LANES]
    }

    #[inline(always)]
    fn load(self, lanes: &Lanes) -> Lanes {
        *lanes
    }

    #[inline(always)]
    fn store(self, vector: Lanes, lanes: &mut Lanes) {
        *lanes = vector;
    }

    #[inline(always)]
    fn add(self, a: Lanes, b: Lanes) -> Lanes {
        Self::each(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, a: Lanes, b: Lanes) -> Lanes {
        Self::each(a, b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, a: Lanes, b: Lanes) -> Lanes {
        Self::each(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn mul_add(self, a: Lanes, b: Lanes, mut c: Lanes) -> Lanes {
        for lane in 0..LANES {
            c[lane] = a[lane].mul_add(b[lane], c[lane]);
        }
        c
    }

    #[inline(always)]
    fn larger(self, a: Lanes, b: Lanes) -> Lanes {
        Self::each(a, b, |a, b| if b > a { b } else { a })
    }

    #[inline(always)]
    fn zero_below(self, x: Lanes, limit: Lanes, mut value: Lanes) -> Lanes {
        for lane in 0..LANES {
            value[lane] = if x[lane] < limit[lane] { 0.0 } else { value[lane] };
        }
        value
    }

    #[inline(always)]
    fn power_of_two(self, shifted: Lanes) -> Lanes {
        shifted.map(|number| f32::from_bits((number.to_bits() << 23).wrapping_add(1.0_f32.to_bits())))
    }

    #[inline(always)]
    fn sum(self, vector: Lanes) -> f32 {
        Self::halved(vector, |a, b| a + b)
    }

    #[inline(always)]
    fn most(self, vector: Lanes) -> f32 {
        Self::halved(vector, |a, b| if b > a { b } else { a })
    }

    #[inline(never)]
    fn call(self, work: impl Work) {
        work.run(self);
    }
}

impl Factors for Portable {
    const REGISTERS: usize = <Self as Simd>::REGISTERS;
    type V = Lanes;

    #[inline(always)]
    fn splat(self, lane: f32) -> Lanes {
        [lane; LANES]
    }

    #[inline(always)]
    fn load(self, lanes: &Lanes) -> Lanes {
        *lanes
    }

    #[inline(always)]
    fn store(self, vector: Lanes, lanes: &mut Lanes) {
        *lanes = vector;
    }

    #[inline(always)]
    fn add(self, a: Lanes, b: Lanes) -> Lanes {
        Self::each(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn add_products(self, a: Lanes, b: Lanes, mut sum: Lanes) -> Lanes {
        let halves = |pair: f32| [pair.to_bits() << 16, pair.to_bits() & 0xffff_0000].map(f32::from_bits);
        for lane in 0..LANES {
            let ([a0, a1], [b0, b1]) = (halves(a[lane]), halves(b[lane]));
            sum[lane] = flushed(a0.mul_add(b0, flushed(a1.mul_add(b1, flushed(sum[lane])))));
        }
        sum
    }

    #[inline(always)]
    fn call(self, work: impl FactorWork) {
        self.call_for_pairs(OfPairs(work));
    }
}

impl Pairs for Portable {
    #[inline(always)]
    fn paired(self, row: &[f32; 2 * LANES]) -> Lanes {
        let mut pairs = [0.0; LANES];
        for lane in 0..LANES {
            pairs[lane] = bfloat16_pair(row[2 * lane], row[2 * lane + 1]);
        }
        pairs
    }

    #[inline(always)]
    fn interleaved(self, first: &Lanes, second: &Lanes) -> Lanes {
        Self::each(*first, *second, bfloat16_pair)
    }

    #[inline(always)]
    fn transpose(self, rows: [Lanes; LANES]) -> [Lanes; LANES] {
        let mut columns = rows;
        for (row, lanes) in rows.iter().enumerate() {
            for (lane, number) in lanes.iter().enumerate() {
                columns[lane][row] = *number;
            }
        }
        columns
    }

    #[inline(never)]
    fn call_for_pairs(self, work: impl PairWork) {
        work.run(self);
    }
}

/// Zero, with its sign, for a denormal number.
#[inline(always)]
fn flushed(number: f32) -> f32 {
    if number.is_subnormal() { 0.0_f32.copysign(number) } else { number }
}

/// `eˣ` for `x ≤ 0`, as [`exp_nonpositive`](super::exponential::exp_nonpositive) computes it; zero for `x` below
/// [`LEAST`].
#[inline(always)]
pub(super) fn exponential<S: Simd>(simd: S, x: S::V) -> S::V {
    use super::exponential::{COEFFICIENTS, FIRST_COEFFICIENT, LN_2_HIGH, LN_2_LOW, ROUNDER};
    let least = simd.splat(LEAST);
    let clamped = simd.larger(x, least);
    let shifted = simd.mul_add(clamped, simd.splat(std::f32::consts::LOG2_E), simd.splat(ROUNDER));
    let n = simd.sub(shifted, simd.splat(ROUNDER));
    let rest = simd.mul_add(n, simd.splat(-LN_2_HIGH), clamped);
    let rest = simd.mul_add(n, simd.splat(-LN_2_LOW), rest);
    let mut value = simd.splat(FIRST_COEFFICIENT);
    for coefficient in COEFFICIENTS {
        value = simd.mul_add(value, rest, simd.splat(coefficient));
    }
    simd.zero_below(x, least, simd.mul(value, simd.power_of_two(shifted)))
}

/// The first of the rest of a row, padded with zeros.
#[inline(always)]
pub(super) fn padded(rest: &[f32]) -> Lanes {
    let mut lanes = [0.0; LANES];
    lanes[..rest.len()].copy_from_slice(rest);
    lanes
}

#[cfg(test)]
mod tests {
    use super::super::exponential::exp_nonpositive;
    use super::*;

    /// Every operation of some vectors.
    struct All<'a> {
        numbers: [Lanes; 3],
        results: &'a mut Vec<Lanes>,
    }

    impl Work for All<'_> {
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            let [a, b, c] = self.numbers.map(|lanes| simd.load(&lanes));
            let vectors = [
                simd.splat(0.3),
                simd.add(a, b),
                simd.sub(a, b),
                simd.mul(a, b),
                simd.mul_add(a, b, c),
                simd.larger(a, b),
                simd.zero_below(a, b, c),
                exponential(simd, simd.mul(simd.mul(a, a), simd.splat(-9.0))),
                simd.splat(simd.sum(c)),
                simd.splat(simd.most(c)),
            ];
            for vector in vectors {
                let mut lanes = [0.0; LANES];
                simd.store(vector, &mut lanes);
                self.results.push(lanes);
            }
        }
    }
    #[test]
    fn all_instructions_give_the_same_bits() {
        let row = |step: f32| std::array::from_fn(|lane| (lane as f32 * step).sin());
        let mut special = row(0.3);
        (special[2], special[5], special[7]) = (f32::INFINITY, f32::NEG_INFINITY, 0.0);
        for numbers in [[row(0.7), row(1.3), row(2.1)], [special, row(1.3), row(0.9)]] {
            let mut found = Vec::new();
            for instructions in Instructions::all() {
                let mut results = Vec::new();
                instructions.run(All { numbers, results: &mut results });
                found.push((
                    instructions,
                    results.into_iter().map(|lanes| lanes.map(f32::to_bits)).collect::<Vec<_>>(),
                ));
            }
            let (_, first) = &found[0];
            for (instructions, results) in &found {
                assert_eq!(results, first, "{instructions:?}");
            }
        }
    }

    /// Sums of products of some pairs, and the pairs themselves.
    struct AllOfPairs<'a> {
        rows: [[f32; 2 * LANES]; 2],
        sum: Lanes,
        results: &'a mut Vec<Lanes>,
    }

    impl PairWork for AllOfPairs<'_> {
        #[inline(always)]
        fn run<S: Pairs>(self, simd: S) {
            let [a, b] = self.rows.map(|row| simd.paired(&row));
            let sum = simd.load(&self.sum);
            let [first, second] = [&self.rows[0], &self.rows[1]].map(|row| row.first_chunk().unwrap());
            let vectors = [a, simd.add_products(a, b, sum), simd.add_products(simd.splat(2.0), b, sum)];
            let others = [simd.add(sum, sum), simd.interleaved(first, second)];
            let mut square = [sum; LANES];
            (square[0], square[5]) = (a, b);
            for vector in vectors.into_iter().chain(others).chain(simd.transpose(square)) {
                let mut lanes = [0.0; LANES];
                simd.store(vector, &mut lanes);
                self.results.push(lanes);
            }
        }
    }

    #[test]
    fn all_instructions_for_pairs_give_the_same_bits() {
        let row = |step: f32, size: f32| std::array::from_fn(|lane| (lane as f32 * step).sin() * size);
        let mut special: [f32; 2 * LANES] = row(0.3, 1.0);
        special[..7].copy_from_slice(&[f32::INFINITY, 1e-39, 1e-38, -1e-38, f32::MAX, f32::MIN, 1e-20]);
        let sum = std::array::from_fn(|lane| (lane as f32 * 2.1).sin());
        for (rows, sum) in [
            ([row(0.7, 1.0), row(1.3, 9.0)], sum),
            ([special, row(1.1, 1.0)], sum),
            ([row(0.7, 1e-19), row(1.3, 1e-19)], [-1e-38; LANES]),
        ] {
            let found = PairInstructions::all().into_iter().map(|instructions| {
                let mut results = Vec::new();
                instructions.run(AllOfPairs { rows, sum, results: &mut results });
                results.into_iter().map(|lanes| lanes.map(f32::to_bits)).collect::<Vec<_>>()
            });
            let found: Vec<_> = found.collect();
            assert!(found.iter().all(|results| *results == found[0]), "{rows:?}");
        }
    }

    #[test]
    fn sums_of_pairs_are_rounded_after_each_product() {
        let rows = [std::array::from_fn(|at| [-1.0, 1.0][at % 2]), [1.0; 2 * LANES]];
        for instructions in PairInstructions::all() {
            let mut results = Vec::new();
            instructions.run(AllOfPairs { rows, sum: [16_777_216.0; LANES], results: &mut results });
            // 1 is lost in the sum, and then −1 is not.
            assert_eq!(results[1], [16_777_215.0; LANES], "{instructions:?}");
            assert_eq!(results[0][0].to_bits(), bfloat16_pair(rows[0][0], rows[0][1]).to_bits());
        }
    }

    #[test]
    fn operations_are_what_their_names_say() {
        let (a, b, c) = ([2.0; LANES], [3.0; LANES], std::array::from_fn(|lane| lane as f32));
        for instructions in Instructions::all() {
            let mut results = Vec::new();
            instructions.run(All { numbers: [a, b, c], results: &mut results });
            let first: Vec<f32> = results.iter().map(|lanes| lanes[15]).collect();
            let wanted = [0.3, 5.0, -1.0, 6.0, 21.0, 3.0, 0.0, exp_nonpositive(-36.0), 120.0, 15.0];
            assert_eq!(first, wanted, "{instructions:?}");
        }
    }
}
