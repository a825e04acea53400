//! Sums and means over axes that are kept with one element, without regard to where a row lies in memory.
//!
//! ONNX Runtime's ReduceSum and ReduceMean add a row of, say, 49 or 65 values in an order that follows from the row's
//! memory address, so that the gradient of an image would depend, in the last bit, on its place in the batch. A
//! product with a column of ones adds every row alike. Rows whose length is a multiple of four are not affected, and
//! the reductions are the faster there.

use super::broadcast::reshape;
use crate::error::Result;
use crate::graph::{Builder, Dim, Shape, ValueId};
use crate::tensor::Tensor;

/// Rows of a multiple of this length are added alike by ONNX Runtime's reductions.
const VECTOR: usize = 4;

/// What the sum is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Divisor {
    One,
    Count,
}

/// `Σ value` over `axes`, which must not be the batch; they stay with one element.
///
/// # Errors
/// When the axes do not exist.
pub(super) fn sum(builder: &mut Builder<'_>, value: ValueId, axes: &[usize]) -> Result<ValueId> {
    reduce(builder, value, axes, Divisor::One)
}

/// The mean of `value` over `axes`, which must not be the batch; they stay with one element.
///
/// # Errors
/// As [`sum`].
pub(super) fn mean(builder: &mut Builder<'_>, value: ValueId, axes: &[usize]) -> Result<ValueId> {
    reduce(builder, value, axes, Divisor::Count)
}

fn reduce(builder: &mut Builder<'_>, value: ValueId, axes: &[usize], divisor: Divisor) -> Result<ValueId> {
    let shape = builder.graph().shape(value)?.clone();
    if let Some(length) = uneven_row(&shape, axes) {
        return by_product(builder, value, &shape, axes.len(), length, divisor);
    }
    let op_type = match divisor {
        Divisor::One => "ReduceSum",
        Divisor::Count => "ReduceMean",
    };
    let axes: Vec<i64> = axes.iter().map(|axis| *axis as i64).collect();
    let axes = builder.ints(&axes);
    builder.op_with(op_type, &[value, axes], [("keepdims", 1.into())])
}

/// Number of elements of the last axes, where these are what is summed and a sum depends on the place of the row.
fn uneven_row(shape: &Shape, axes: &[usize]) -> Option<usize> {
    let rest = shape.rank().checked_sub(axes.len())?;
    let mut sorted = axes.to_vec();
    sorted.sort_unstable();
    let are_last = !sorted.is_empty() && sorted.iter().copied().eq(rest..shape.rank());
    let length = Shape(shape.0.get(rest..)?.to_vec()).elements().and_then(Dim::fixed)?;
    (are_last && length > 1 && !length.is_multiple_of(VECTOR)).then_some(length)
}

/// The sum over the last `count` axes, `length` elements, as a product with a column.
fn by_product(
    builder: &mut Builder<'_>,
    value: ValueId,
    shape: &Shape,
    count: usize,
    length: usize,
    divisor: Divisor,
) -> Result<ValueId> {
    let weight = match divisor {
        Divisor::One => 1.0,
        Divisor::Count => 1.0 / length as f32,
    };
    let column = builder.constant(Tensor::from_f32(&[length, 1], &vec![weight; length]));
    let outer = &shape.0[..shape.rank() - count];
    let outer = if outer.is_empty() { &[Dim::Fixed(1)] } else { outer };
    let rows = reshape(builder, value, &Shape([outer, &[Dim::Fixed(length)]].concat()))?;
    let summed = builder.op("MatMul", &[rows, column])?;
    let mut kept = shape.clone();
    kept.0[shape.rank() - count..].fill(Dim::Fixed(1));
    reshape(builder, summed, &kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff::testing::{Domain, Numbers, batched, float, function, run, session};

    type Reduce = fn(&mut Builder<'_>, ValueId, &[usize]) -> Result<ValueId>;

    /// The reduction of `x` `[2, …]` through ONNX Runtime.
    fn reduced(reduce: Reduce, dims: &[usize], axes: &[usize], x: &[f32]) -> Vec<f32> {
        let graph = function(batched(&dims[1..]), |builder, x| {
            let y = reduce(builder, x, axes)?;
            assert_eq!(builder.graph().shape(y)?.rank(), dims.len(), "axes are kept");
            builder.op("Identity", &[y])
        });
        run(&mut session(&graph.unwrap()), &[float("x", dims, x)])
    }

    #[test]
    fn whole_numbers_are_added_exactly() {
        // 0 … 29 as [2, 3, 5], whose sums have no rounding.
        let x: Vec<f32> = (0_u8..30).map(f32::from).collect();
        assert_eq!(reduced(sum, &[2, 3, 5], &[2], &x), [10.0, 35.0, 60.0, 85.0, 110.0, 135.0]);
        assert_eq!(reduced(sum, &[2, 3, 5], &[2, 1], &x), [105.0, 330.0]);
        assert_eq!(reduced(sum, &[2, 3, 5], &[1], &x)[..5], [15.0, 18.0, 21.0, 24.0, 27.0]);
        let means = reduced(mean, &[2, 3, 5], &[1, 2], &x);
        assert!((means[0] - 7.0).abs() < 1e-5 && (means[1] - 22.0).abs() < 1e-5, "{means:?}");
    }

    #[test]
    fn equal_rows_have_equal_sums_wherever_they_lie() {
        for (length, reduce) in [(7, sum as Reduce), (49, mean), (65, sum), (197, mean)] {
            let row = Numbers::new(3).draw(Domain::Real, length);
            let sums = reduced(reduce, &[2, 8, length], &[2], &row.repeat(16));
            assert!(sums.iter().all(|sum| *sum == sums[0]), "{length}: {sums:?}");
        }
    }
}
