//! Dimensions that are integers or multiples of the batch size.
//!
//! In practice only the batch is dynamic in a classifier, so two cases are enough:
//! `3` and `k·N`. Anything else stays unknown and is an error that names the tensor.

use std::fmt;

use crate::error::{Error, Result};

/// One dimension of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dim {
    /// A number known now.
    Fixed(usize),
    /// `k·N`, where `N` is the batch size chosen at run time and `k ≥ 1`.
    Batch(usize),
}

impl Dim {
    /// The batch size itself, `N`.
    pub const N: Dim = Dim::Batch(1);

    /// The number, where it does not depend on the batch.
    pub fn fixed(self) -> Option<usize> {
        match self {
            Dim::Fixed(size) => Some(size),
            Dim::Batch(_) => None,
        }
    }

    /// The product, or `None` when it overflows or would be quadratic in `N`.
    pub fn times(self, other: Dim) -> Option<Dim> {
        match (self, other) {
            (Dim::Fixed(0), _) | (_, Dim::Fixed(0)) => Some(Dim::Fixed(0)),
            (Dim::Fixed(a), Dim::Fixed(b)) => a.checked_mul(b).map(Dim::Fixed),
            (Dim::Fixed(a), Dim::Batch(k)) | (Dim::Batch(k), Dim::Fixed(a)) => {
                a.checked_mul(k).map(Dim::Batch)
            }
            (Dim::Batch(_), Dim::Batch(_)) => None,
        }
    }

    /// The exact quotient, or `None` when it is not one of our two cases.
    pub fn divided_by(self, other: Dim) -> Option<Dim> {
        let exact = |a: usize, b: usize| (b != 0 && a.is_multiple_of(b)).then(|| a / b);
        match (self, other) {
            (Dim::Fixed(a), Dim::Fixed(b)) | (Dim::Batch(a), Dim::Batch(b)) => exact(a, b).map(Dim::Fixed),
            (Dim::Batch(a), Dim::Fixed(b)) => exact(a, b).map(Dim::Batch),
            (Dim::Fixed(_), Dim::Batch(_)) => None,
        }
    }

    /// The number once the batch size is known.
    pub fn at_batch(self, batch: usize) -> usize {
        match self {
            Dim::Fixed(size) => size,
            Dim::Batch(k) => k * batch,
        }
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dim::Fixed(size) => write!(f, "{size}"),
            Dim::Batch(1) => f.write_str("N"),
            Dim::Batch(k) => write!(f, "{k}N"),
        }
    }
}

/// The dimensions of a tensor, outermost first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape(pub Vec<Dim>);

impl Shape {
    /// A shape without the batch.
    pub fn fixed(dims: &[usize]) -> Self {
        Self(dims.iter().copied().map(Dim::Fixed).collect())
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// All dimensions as numbers, where none depends on the batch.
    pub fn to_fixed(&self) -> Option<Vec<usize>> {
        self.0.iter().map(|dim| dim.fixed()).collect()
    }

    /// Number of elements, or `None` on overflow or more than one batch dimension.
    pub fn elements(&self) -> Option<Dim> {
        self.0.iter().try_fold(Dim::Fixed(1), |product, dim| product.times(*dim))
    }

    /// A non-negative axis for an ONNX axis in `[-rank, rank)`.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::ErrorKind::Shape) when it is out of range.
    pub fn axis(&self, axis: i64) -> Result<usize> {
        normalise_axis(axis, self.rank())
    }

    /// Constant `shape` input of a Reshape to this shape: numbers, and `-1` for the one batch dimension.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::ErrorKind::Shape) when more than one dimension depends on the batch.
    pub fn reshape_target(&self) -> Result<Vec<i64>> {
        if self.0.iter().filter(|dim| dim.fixed().is_none()).count() > 1 {
            return Err(Error::shape(format!("{self} depends on the batch in more than one dimension")));
        }
        Ok(self.0.iter().map(|dim| dim.fixed().map_or(-1, |size| size as i64)).collect())
    }
}

/// A non-negative axis for an ONNX axis in `[-rank, rank)`.
///
/// # Errors
/// [`ErrorKind::Shape`](crate::ErrorKind::Shape) when it is out of range.
pub fn normalise_axis(axis: i64, rank: usize) -> Result<usize> {
    let signed_rank = rank as i64;
    if (-signed_rank..signed_rank).contains(&axis) {
        Ok(axis.rem_euclid(signed_rank) as usize)
    } else {
        Err(Error::shape(format!("axis {axis} of a tensor with {rank} dimensions")))
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: Vec<String> = self.0.iter().map(Dim::to_string).collect();
        write!(f, "[{}]", dims.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_and_quotients_stay_linear_in_the_batch() {
        assert_eq!(Dim::Fixed(3).times(Dim::Batch(2)), Some(Dim::Batch(6)));
        assert_eq!(Dim::N.times(Dim::N), None);
        assert_eq!(Dim::Batch(6).divided_by(Dim::Batch(2)), Some(Dim::Fixed(3)));
        assert_eq!(Dim::Batch(6).divided_by(Dim::Fixed(4)), None);
        assert_eq!(Dim::Fixed(usize::MAX).times(Dim::Fixed(2)), None);
    }

    #[test]
    fn reshape_targets_carry_one_batch_dimension() {
        let shape = Shape(vec![Dim::N, Dim::Fixed(5), Dim::Fixed(48)]);
        assert_eq!(shape.reshape_target().unwrap(), vec![-1, 5, 48]);
        assert!(Shape(vec![Dim::N, Dim::Batch(2)]).reshape_target().is_err());
    }

    #[test]
    fn axes_count_from_either_end() {
        let shape = Shape::fixed(&[2, 3, 4]);
        assert_eq!(shape.axis(-1).unwrap(), 2);
        assert!(shape.axis(3).is_err());
        assert!(normalise_axis(0, 0).is_err());
    }
}
