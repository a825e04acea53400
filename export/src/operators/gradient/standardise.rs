//! The gradient that the normalisations share: centre, then divide by the deviation.
//!
//! For `z = c·r` with `c = x − mean x` and `r = 1/√(mean c² + ε)`, and `h` the cotangent of `z`:
//! `dx = r·(h − mean h − c·r²·mean(h·c))`. Without centring `c` is `x`, and `mean h` is not subtracted.

use super::sums::mean;
use crate::error::Result;
use crate::graph::{Builder, ValueId};

/// Whether the mean is subtracted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Centre {
    /// `c = x − mean x`
    Mean,
    /// `c = x`
    Zero,
}

/// `dx`, from `x` and the cotangent `h` of the standardised values, both of one shape.
pub(super) fn pull_back(
    builder: &mut Builder<'_>,
    x: ValueId,
    h: ValueId,
    axes: &[usize],
    epsilon: f32,
    centre: Centre,
) -> Result<ValueId> {
    let c = centred(builder, x, axes, centre)?;
    let r = inverse_deviation(builder, c, axes, epsilon)?;
    let correlation = builder.op("Mul", &[h, c])?;
    let correlation = mean(builder, correlation, axes)?;
    let r_square = builder.op("Mul", &[r, r])?;
    let along = builder.op("Mul", &[correlation, r_square])?;
    let along_c = builder.op("Mul", &[c, along])?;
    let h_centred = centred(builder, h, axes, centre)?;
    let projected = builder.op("Sub", &[h_centred, along_c])?;
    builder.op("Mul", &[projected, r])
}

fn centred(builder: &mut Builder<'_>, value: ValueId, axes: &[usize], centre: Centre) -> Result<ValueId> {
    match centre {
        Centre::Zero => Ok(value),
        Centre::Mean => {
            let mean = mean(builder, value, axes)?;
            builder.op("Sub", &[value, mean])
        }
    }
}

/// `1/√(mean c² + ε)`.
fn inverse_deviation(builder: &mut Builder<'_>, c: ValueId, axes: &[usize], epsilon: f32) -> Result<ValueId> {
    let square = builder.op("Mul", &[c, c])?;
    let variance = mean(builder, square, axes)?;
    let epsilon = builder.scalar(epsilon);
    let shifted = builder.op("Add", &[variance, epsilon])?;
    let deviation = builder.op("Sqrt", &[shifted])?;
    builder.op("Reciprocal", &[deviation])
}
