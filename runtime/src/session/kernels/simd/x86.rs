//! The vectors of AVX-512, and of AVX2 with FMA.

#![allow(unsafe_code, reason = "intrinsics may only be called where the processor has them")]
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "one reason holds for all of them, and stands in the documentation of the types"
)]

use std::arch::x86_64::*;

use super::vector::{FactorWork, Factors, LANES, Lanes, OfPairs, PairWork, Pairs, Simd, Work};

/// One register a vector.
///
/// A value is made by [`Avx512::detect`] alone, where the processor has these instructions: whoever holds one may call
/// them. Pointers are those of arrays of sixteen numbers, read and written as a whole.
#[derive(Debug, Clone, Copy)]
pub(in crate::session::kernels) struct Avx512(());

/// One register a vector, of numbers or of pairs of bfloat16. [`Avx512Bfloat16::detect`] alone makes a value, as that of [`Avx512`]
/// does.
#[derive(Debug, Clone, Copy)]
pub(in crate::session::kernels) struct Avx512Bfloat16(());

/// Two registers a vector. [`Avx2::detect`] alone makes a value, as that of [`Avx512`] does.
#[derive(Debug, Clone, Copy)]
pub(in crate::session::kernels) struct Avx2(());

impl Avx512 {
    pub(super) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq");
        (has && is_x86_feature_detected!("avx512vl") && Avx2::detect().is_some()).then_some(Self(()))
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx2,fma")]
    #[inline(never)]
    fn compiled(self, work: impl Work) {
        work.run(self);
    }
}

impl Avx512Bfloat16 {
    pub(super) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512bf16") && is_x86_feature_detected!("avx512f");
        has.then_some(Self(()))
    }

    #[target_feature(enable = "avx512f,avx512bf16")]
    #[inline(never)]
    fn compiled(self, work: impl PairWork) {
        work.run(self);
    }
}

impl Avx2 {
    pub(super) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
    }

    #[target_feature(enable = "avx2,fma")]
    #[inline(never)]
    fn compiled(self, work: impl Work) {
        work.run(self);
    }
}

impl Simd for Avx512 {
    const REGISTERS: usize = 24;
    type V = __m512;

    #[inline(always)]
    fn splat(self, number: f32) -> __m512 {
        unsafe { _mm512_set1_ps(number) }
    }

    #[inline(always)]
    fn load(self, lanes: &Lanes) -> __m512 {
        unsafe { _mm512_loadu_ps(lanes.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, vector: __m512, lanes: &mut Lanes) {
        unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), vector) }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn larger(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_max_ps(b, a) }
    }

    #[inline(always)]
    fn zero_below(self, x: __m512, limit: __m512, value: __m512) -> __m512 {
        unsafe { _mm512_maskz_mov_ps(!_mm512_cmp_ps_mask::<_CMP_LT_OQ>(x, limit), value) }
    }

    #[inline(always)]
    fn power_of_two(self, shifted: __m512) -> __m512 {
        unsafe {
            let exponents = _mm512_slli_epi32::<23>(_mm512_castps_si512(shifted));
            _mm512_castsi512_ps(_mm512_add_epi32(exponents, _mm512_castps_si512(_mm512_set1_ps(1.0))))
        }
    }

    #[inline(always)]
    fn sum(self, vector: __m512) -> f32 {
        unsafe { sum_of_eight(_mm256_add_ps(_mm512_castps512_ps256(vector), upper(vector))) }
    }

    #[inline(always)]
    fn most(self, vector: __m512) -> f32 {
        unsafe { most_of_eight(_mm256_max_ps(upper(vector), _mm512_castps512_ps256(vector))) }
    }

    #[inline(always)]
    fn transpose(self, rows: [__m512; LANES]) -> [__m512; LANES] {
        unsafe { transpose(rows) }
    }

    #[inline(always)]
    fn call(self, work: impl Work) {
        unsafe { self.compiled(work) }
    }
}

impl Simd for Avx2 {
    const REGISTERS: usize = 6;
    type V = [__m256; 2];

    #[inline(always)]
    fn splat(self, number: f32) -> [__m256; 2] {
        unsafe { [_mm256_set1_ps(number); 2] }
    }

    #[inline(always)]
    fn load(self, lanes: &Lanes) -> [__m256; 2] {
        unsafe { [_mm256_loadu_ps(lanes.as_ptr()), _mm256_loadu_ps(lanes[LANES / 2..].as_ptr())] }
    }

    #[inline(always)]
    fn store(self, vector: [__m256; 2], lanes: &mut Lanes) {
        unsafe {
            _mm256_storeu_ps(lanes.as_mut_ptr(), vector[0]);
            _mm256_storeu_ps(lanes[LANES / 2..].as_mut_ptr(), vector[1]);
        }
    }

    #[inline(always)]
    fn add(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn sub(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        unsafe { [_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn mul(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn mul_add(self, a: [__m256; 2], b: [__m256; 2], c: [__m256; 2]) -> [__m256; 2] {
        unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
    }

    #[inline(always)]
    fn larger(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        unsafe { [_mm256_max_ps(b[0], a[0]), _mm256_max_ps(b[1], a[1])] }
    }

    #[inline(always)]
    fn zero_below(self, x: [__m256; 2], limit: [__m256; 2], value: [__m256; 2]) -> [__m256; 2] {
        unsafe {
            let is_below =
                [_mm256_cmp_ps::<_CMP_LT_OQ>(x[0], limit[0]), _mm256_cmp_ps::<_CMP_LT_OQ>(x[1], limit[1])];
            [_mm256_andnot_ps(is_below[0], value[0]), _mm256_andnot_ps(is_below[1], value[1])]
        }
    }

    #[inline(always)]
    fn power_of_two(self, shifted: [__m256; 2]) -> [__m256; 2] {
        unsafe { [eight_powers_of_two(shifted[0]), eight_powers_of_two(shifted[1])] }
    }

    #[inline(always)]
    fn sum(self, vector: [__m256; 2]) -> f32 {
        unsafe { sum_of_eight(_mm256_add_ps(vector[0], vector[1])) }
    }

    #[inline(always)]
    fn most(self, vector: [__m256; 2]) -> f32 {
        unsafe { most_of_eight(_mm256_max_ps(vector[1], vector[0])) }
    }

    #[inline(always)]
    fn call(self, work: impl Work) {
        unsafe { self.compiled(work) }
    }
}

impl Factors for Avx512Bfloat16 {
    const REGISTERS: usize = Avx512::REGISTERS;
    type V = __m512;

    #[inline(always)]
    fn splat(self, lane: f32) -> __m512 {
        unsafe { _mm512_set1_ps(lane) }
    }

    #[inline(always)]
    fn load(self, lanes: &Lanes) -> __m512 {
        unsafe { _mm512_loadu_ps(lanes.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, vector: __m512, lanes: &mut Lanes) {
        unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), vector) }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn add_products(self, a: __m512, b: __m512, sum: __m512) -> __m512 {
        unsafe {
            let [a, b] = [a, b].map(|pairs| std::mem::transmute::<__m512, __m512bh>(pairs));
            _mm512_dpbf16_ps(sum, a, b)
        }
    }

    #[inline(always)]
    fn call(self, work: impl FactorWork) {
        self.call_for_pairs(OfPairs(work));
    }
}

impl Pairs for Avx512Bfloat16 {
    #[inline(always)]
    fn paired(self, row: &[f32; 2 * LANES]) -> __m512 {
        unsafe {
            let (first, second) = (_mm512_loadu_ps(row.as_ptr()), _mm512_loadu_ps(row[LANES..].as_ptr()));
            std::mem::transmute::<__m512bh, __m512>(_mm512_cvtne2ps_pbh(second, first))
        }
    }

    #[inline(always)]
    fn interleaved(self, first: &Lanes, second: &Lanes) -> __m512 {
        unsafe {
            let [first, second] = [first, second].map(|lanes| {
                let rounded = _mm512_cvtneps_pbh(_mm512_loadu_ps(lanes.as_ptr()));
                _mm512_cvtepu16_epi32(std::mem::transmute::<__m256bh, __m256i>(rounded))
            });
            _mm512_castsi512_ps(_mm512_or_si512(first, _mm512_slli_epi32::<16>(second)))
        }
    }

    #[inline(always)]
    fn transpose(self, rows: [__m512; LANES]) -> [__m512; LANES] {
        unsafe { transpose(rows) }
    }

    #[inline(always)]
    fn call_for_pairs(self, work: impl PairWork) {
        unsafe { self.compiled(work) }
    }
}

/// The upper eight lanes.
#[target_feature(enable = "avx512f,avx512dq")]
#[inline]
fn upper(vector: __m512) -> __m256 {
    _mm512_extractf32x8_ps::<1>(vector)
}

/// Pairs of rows, then groups of four in each quarter, then quarters.
#[target_feature(enable = "avx512f")]
#[inline]
fn transpose(mut rows: [__m512; LANES]) -> [__m512; LANES] {
    for pair in rows.as_chunks_mut::<2>().0 {
        *pair = [_mm512_unpacklo_ps(pair[0], pair[1]), _mm512_unpackhi_ps(pair[0], pair[1])];
    }
    for four in rows.as_chunks_mut::<4>().0 {
        let (a, b) = (_mm512_castps_pd(four[0]), _mm512_castps_pd(four[1]));
        let (c, d) = (_mm512_castps_pd(four[2]), _mm512_castps_pd(four[3]));
        four[0] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
        four[1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
        four[2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
        four[3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
    }
    let mut columns = rows;
    for column in 0..4 {
        let [a, b, c, d] = [rows[column], rows[4 + column], rows[8 + column], rows[12 + column]];
        let [even, odd] = [_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b)];
        let [last_even, last_odd] = [_mm512_shuffle_f32x4::<0x88>(c, d), _mm512_shuffle_f32x4::<0xdd>(c, d)];
        columns[column] = _mm512_shuffle_f32x4::<0x88>(even, last_even);
        columns[4 + column] = _mm512_shuffle_f32x4::<0x88>(odd, last_odd);
        columns[8 + column] = _mm512_shuffle_f32x4::<0xdd>(even, last_even);
        columns[12 + column] = _mm512_shuffle_f32x4::<0xdd>(odd, last_odd);
    }
    columns
}

#[target_feature(enable = "avx2")]
#[inline]
fn eight_powers_of_two(shifted: __m256) -> __m256 {
    let exponents = _mm256_slli_epi32::<23>(_mm256_castps_si256(shifted));
    _mm256_castsi256_ps(_mm256_add_epi32(exponents, _mm256_castps_si256(_mm256_set1_ps(1.0))))
}

#[target_feature(enable = "avx2")]
#[inline]
fn sum_of_eight(vector: __m256) -> f32 {
    let four = _mm_add_ps(_mm256_castps256_ps128(vector), _mm256_extractf128_ps::<1>(vector));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}

#[target_feature(enable = "avx2")]
#[inline]
fn most_of_eight(vector: __m256) -> f32 {
    let four = _mm_max_ps(_mm256_extractf128_ps::<1>(vector), _mm256_castps256_ps128(vector));
    let two = _mm_max_ps(_mm_movehl_ps(four, four), four);
    _mm_cvtss_f32(_mm_max_ss(_mm_movehdup_ps(two), two))
}
