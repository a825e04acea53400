//! The error function to the precision of float64, as rational functions (W. J. Cody, "Rational Chebyshev approximation
//! for the error function", Mathematics of Computation 23, 1969).

#![expect(clippy::excessive_precision, reason = "numbers as they were published")]

use super::number::number;
use crate::error::Result;
use crate::graph::{Builder, ValueId};

/// Below, `erf` is `x` times a rational function of `x²`.
const SMALL: f64 = 0.468_75;
/// Up to here, `erfc` is `exp(-x²)` times a rational function of `x`; above, one of `1/x²`.
const LARGE: f64 = 4.0;

/// Numerator and denominator of each range, by falling powers; the denominators' first is 1.
const A: [f64; 5] = [
    1.857_777_061_846_031_5e-1,
    3.161_123_743_870_565_6,
    1.138_641_541_510_501_6e2,
    3.774_852_376_853_020_2e2,
    3.209_377_589_138_469_5e3,
];
const B: [f64; 5] = [
    1.0,
    2.360_129_095_234_412_1e1,
    2.440_246_379_344_441_7e2,
    1.282_616_526_077_372_3e3,
    2.844_236_833_439_170_6e3,
];
const C: [f64; 9] = [
    2.153_115_354_744_038_5e-8,
    5.641_884_969_886_700_9e-1,
    8.883_149_794_388_375_9,
    6.611_919_063_714_163e1,
    2.986_351_381_974_001_3e2,
    8.819_522_212_417_691e2,
    1.712_047_612_634_070_6e3,
    2.051_078_377_826_071_5e3,
    1.230_339_354_797_997_2e3,
];
const D: [f64; 9] = [
    1.0,
    1.574_492_611_070_983_5e1,
    1.176_939_508_913_124_9e2,
    5.371_811_018_620_098_6e2,
    1.621_389_574_566_690_2e3,
    3.290_799_235_733_459_6e3,
    4.362_619_090_143_247e3,
    3.439_367_674_143_721_6e3,
    1.230_339_354_803_749_4e3,
];
const P: [f64; 6] = [
    1.631_538_713_730_209_8e-2,
    3.053_266_349_612_323_4e-1,
    3.603_448_999_498_044_4e-1,
    1.257_817_261_112_292_5e-1,
    1.608_378_514_874_228e-2,
    6.587_491_615_298_378e-4,
];
const Q: [f64; 6] = [
    1.0,
    2.568_520_192_289_822_4,
    1.872_952_849_923_467_3,
    5.279_051_029_514_284e-1,
    6.051_834_131_244_132e-2,
    2.335_204_976_268_691_9e-3,
];

/// `erf x` of float64 values of any shape.
pub(super) fn erf(builder: &mut Builder<'_>, x: ValueId) -> Result<ValueId> {
    let size = builder.op("Abs", &[x])?;
    let [small, large] = [SMALL, LARGE].map(|value| number(builder, value));
    let near = near_zero(builder, size, small)?;
    let middle = middle(builder, size, small, large)?;
    let far = far(builder, size, large)?;
    let is_near = builder.op("LessOrEqual", &[size, small])?;
    let is_far = builder.op("Greater", &[size, large])?;
    let outside = builder.op("Where", &[is_far, far, middle])?;
    let of_size = builder.op("Where", &[is_near, near, outside])?;
    let sign = builder.op("Sign", &[x])?;
    builder.op("Mul", &[of_size, sign])
}

fn near_zero(builder: &mut Builder<'_>, size: ValueId, most: ValueId) -> Result<ValueId> {
    let y = builder.op("Min", &[size, most])?;
    let square = builder.op("Mul", &[y, y])?;
    let ratio = ratio(builder, square, &A, &B)?;
    builder.op("Mul", &[y, ratio])
}

fn middle(builder: &mut Builder<'_>, size: ValueId, least: ValueId, most: ValueId) -> Result<ValueId> {
    let y = builder.op("Max", &[size, least])?;
    let y = builder.op("Min", &[y, most])?;
    let ratio = ratio(builder, y, &C, &D)?;
    one_less(builder, y, ratio)
}

/// `1 − exp(−y²)·(1/√π − r(1/y²)/y²)/y`
fn far(builder: &mut Builder<'_>, size: ValueId, least: ValueId) -> Result<ValueId> {
    let [one, root] = [1.0, 0.5 * std::f64::consts::FRAC_2_SQRT_PI].map(|value| number(builder, value));
    let y = builder.op("Max", &[size, least])?;
    let square = builder.op("Mul", &[y, y])?;
    let inverse = builder.op("Div", &[one, square])?;
    let ratio = ratio(builder, inverse, &P, &Q)?;
    let ratio = builder.op("Mul", &[ratio, inverse])?;
    let difference = builder.op("Sub", &[root, ratio])?;
    let scaled = builder.op("Div", &[difference, y])?;
    one_less(builder, y, scaled)
}

/// `1 − exp(−y²)·factor`
fn one_less(builder: &mut Builder<'_>, y: ValueId, factor: ValueId) -> Result<ValueId> {
    let one = number(builder, 1.0);
    let square = builder.op("Mul", &[y, y])?;
    let negative = builder.op("Neg", &[square])?;
    let power = builder.op("Exp", &[negative])?;
    let complement = builder.op("Mul", &[power, factor])?;
    builder.op("Sub", &[one, complement])
}

fn ratio(builder: &mut Builder<'_>, x: ValueId, above: &[f64], below: &[f64]) -> Result<ValueId> {
    let (above, below) = (polynomial(builder, x, above)?, polynomial(builder, x, below)?);
    builder.op("Div", &[above, below])
}

/// By Horner's rule, from the highest power.
fn polynomial(builder: &mut Builder<'_>, x: ValueId, coefficients: &[f64]) -> Result<ValueId> {
    let mut sum = number(builder, coefficients[0]);
    for coefficient in &coefficients[1..] {
        let coefficient = number(builder, *coefficient);
        let product = builder.op("Mul", &[sum, x])?;
        sum = builder.op("Add", &[product, coefficient])?;
    }
    Ok(sum)
}
