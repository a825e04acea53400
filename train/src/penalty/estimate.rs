//! What each estimator computes from two kernel matrices, and the matrix algebra that they share.

use tch::{Kind, Tensor};

/// An estimate and its derivative by the kernel matrix of z, `[m, m]` float64 and symmetric; its diagonal means nothing,
/// because that of a kernel matrix is constant.
pub(super) struct Estimate {
    /// Scalar tensor, float64.
    pub(super) value: Tensor,
    /// `[m, m]` float64.
    pub(super) kernel_gradient: Tensor,
}

/// H M H with H = I − 11ᵀ/m: rows and columns of mean zero.
pub(super) fn centre(matrix: &Tensor) -> Tensor {
    let mean = |of: &Tensor, axis: i64| of.mean_dim(axis, true, Kind::Double);
    let rows = matrix - mean(matrix, 1);
    &rows - mean(&rows, 0)
}

/// tr(A B) of symmetric matrices.
pub(super) fn inner(a: &Tensor, b: &Tensor) -> Tensor {
    (a * b).sum(Kind::Double)
}
