//! Constants rearranged once, when the gradient graph is made, so that nothing is transposed at run time.

use bytes::Bytes;

use crate::error::Result;
use crate::graph::{Builder, ValueId};
use crate::tensor::Tensor;

/// The value with its last two axes exchanged: a new constant where it is one, a Transpose node otherwise.
///
/// ONNX Runtime fuses a Transpose of an activation into the MatMul that reads it.
pub(super) fn transpose_last_two(builder: &mut Builder<'_>, value: ValueId) -> Result<ValueId> {
    if let Some(constant) = builder.graph().constant(value) {
        let transposed = transposed(constant)?;
        return Ok(builder.constant(transposed));
    }
    let rank = builder.graph().shape(value)?.rank();
    let mut permutation: Vec<i64> = (0..rank as i64).collect();
    permutation.swap(rank - 2, rank - 1);
    builder.op_with("Transpose", &[value], [("perm", permutation.into())])
}

/// `[…, m, n] → […, n, m]`; the rank is at least two.
fn transposed(tensor: &Tensor) -> Result<Tensor> {
    let mut dims = tensor.dims().to_vec();
    let rank = dims.len();
    let (rows, columns) = (dims[rank - 2], dims[rank - 1]);
    dims.swap(rank - 2, rank - 1);
    let matrix = (rows * columns).max(1);
    let source = (0..tensor.elements()).map(|target| {
        let (batch, within) = (target / matrix, target % matrix);
        batch * matrix + within % rows * columns + within / rows
    });
    gathered(tensor, dims, source)
}

/// The weight of the convolution that is the adjoint of a stride-1 convolution.
///
/// `[C_out, C_in / groups, k…] → [C_in, C_out / groups, k…]`: input and output channels exchanged within each group,
/// every kernel axis reversed.
pub(crate) fn flipped(weight: &Tensor, groups: usize) -> Result<Tensor> {
    let dims = weight.dims();
    let (outputs, inputs) = (dims[0] / groups, dims[1]);
    let kernel: usize = dims[2..].iter().product();
    let flipped_dims = [&[groups * inputs, outputs], &dims[2..]].concat();
    let per_group = inputs * outputs * kernel;
    let source = (0..weight.elements()).map(|target| {
        let (group, within) = (target / per_group, target % per_group);
        let (input, within) = (within / (outputs * kernel), within % (outputs * kernel));
        let (output, position) = (within / kernel, within % kernel);
        group * per_group + (output * inputs + input) * kernel + (kernel - 1 - position)
    });
    gathered(weight, flipped_dims, source)
}

/// A tensor whose elements are those of `tensor` at the given positions.
fn gathered(tensor: &Tensor, dims: Vec<usize>, source: impl Iterator<Item = usize>) -> Result<Tensor> {
    let size = tensor.dtype().size();
    let bytes = tensor.data();
    let data: Vec<u8> =
        source.flat_map(|index| bytes[index * size..(index + 1) * size].iter().copied()).collect();
    Tensor::new(tensor.dtype(), dims, Bytes::from(data))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting(dims: &[usize]) -> Tensor {
        let values: Vec<i64> = (0..dims.iter().product::<usize>() as i64).collect();
        Tensor::from_i64(dims, &values)
    }

    #[test]
    fn matrices_are_transposed_within_their_batch() {
        let tensor = transposed(&counting(&[2, 2, 3])).unwrap();
        assert_eq!(tensor.dims(), [2, 3, 2]);
        assert_eq!(tensor.to_i64().unwrap(), [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]);
    }

    #[test]
    fn kernels_are_reversed_and_channels_exchanged() {
        // One group: [C_out 2, C_in 1, k 3] → [1, 2, 3].
        let tensor = flipped(&counting(&[2, 1, 3]), 1).unwrap();
        assert_eq!(tensor.dims(), [1, 2, 3]);
        assert_eq!(tensor.to_i64().unwrap(), [2, 1, 0, 5, 4, 3]);
    }

    #[test]
    fn groups_keep_their_channels() {
        // Two groups of C_out 1 and C_in 2: [2, 2, 1] → [4, 1, 1], each group by itself.
        let tensor = flipped(&counting(&[2, 2, 1]), 2).unwrap();
        assert_eq!(tensor.dims(), [4, 1, 1]);
        assert_eq!(tensor.to_i64().unwrap(), [0, 1, 2, 3]);
    }
}
