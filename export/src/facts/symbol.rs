//! Integers that may be multiples of the batch size.

use crate::graph::Dim;

/// One element of an integer tensor, as far as it is known before the batch size is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Symbol {
    /// A number.
    Int(i64),
    /// `k·N`, with `k ≠ 0`.
    Batch(i64),
    /// Anything else, e.g. `N + 1` or a value that depends on pixels.
    Unknown,
}

impl Symbol {
    /// The number, where it is one.
    pub(crate) fn int(self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(value),
            Self::Batch(_) | Self::Unknown => None,
        }
    }

    /// The dimension of that size, where it is one: not negative and not unknown.
    pub(crate) fn dim(self) -> Option<Dim> {
        match self {
            Self::Int(size) => usize::try_from(size).ok().map(Dim::Fixed),
            Self::Batch(k) => usize::try_from(k).ok().map(Dim::Batch),
            Self::Unknown => None,
        }
    }

    /// The sum; unknown on overflow or where it leaves our two cases.
    pub(crate) fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a.checked_add(b).map_or(Self::Unknown, Self::Int),
            (Self::Batch(a), Self::Batch(b)) => Self::multiple(a.checked_add(b)),
            (Self::Int(0), known) | (known, Self::Int(0)) => known,
            _ => Self::Unknown,
        }
    }

    /// The negative.
    pub(crate) fn negated(self) -> Self {
        self.times(Self::Int(-1))
    }

    /// The product; unknown on overflow or where it would be quadratic in `N`.
    pub(crate) fn times(self, other: Self) -> Self {
        match (self, other) {
            (Self::Int(0), Self::Int(_) | Self::Batch(_)) | (Self::Batch(_), Self::Int(0)) => Self::Int(0),
            (Self::Int(a), Self::Int(b)) => a.checked_mul(b).map_or(Self::Unknown, Self::Int),
            (Self::Int(a), Self::Batch(k)) | (Self::Batch(k), Self::Int(a)) => {
                Self::multiple(a.checked_mul(k))
            }
            _ => Self::Unknown,
        }
    }

    /// ONNX's integer division, which truncates; for multiples of `N` only where it is exact.
    pub(crate) fn divided_by(self, other: Self) -> Self {
        let exact =
            |a: i64, b: i64| a.checked_rem(b).filter(|rest| *rest == 0).and_then(|_| a.checked_div(b));
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a.checked_div(b).map_or(Self::Unknown, Self::Int),
            (Self::Batch(a), Self::Int(b)) => Self::multiple(exact(a, b)),
            (Self::Batch(a), Self::Batch(b)) => exact(a, b).map_or(Self::Unknown, Self::Int),
            _ => Self::Unknown,
        }
    }

    fn multiple(k: Option<i64>) -> Self {
        match k {
            Some(0) => Self::Int(0),
            Some(k) => Self::Batch(k),
            None => Self::Unknown,
        }
    }
}

impl From<Dim> for Symbol {
    fn from(dim: Dim) -> Self {
        let symbol = |size: usize, make: fn(i64) -> Self| i64::try_from(size).map_or(Self::Unknown, make);
        match dim {
            Dim::Fixed(size) => symbol(size, Self::Int),
            Dim::Batch(k) => symbol(k, Self::Batch),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Symbol::{Batch, Int, Unknown};

    #[test]
    fn arithmetic_stays_linear_in_the_batch() {
        let cases = [
            (Int(3).plus(Int(4)), Int(7)),
            (Batch(3).plus(Batch(-3)), Int(0)),
            (Int(1).plus(Batch(1)), Unknown),
            (Int(i64::MAX).plus(Int(1)), Unknown),
            (Int(65).times(Batch(1)), Batch(65)),
            (Batch(1).times(Batch(1)), Unknown),
            (Batch(65).divided_by(Int(5)), Batch(13)),
            (Batch(65).divided_by(Int(4)), Unknown),
            (Batch(65).divided_by(Batch(1)), Int(65)),
            (Int(7).divided_by(Int(0)), Unknown),
            (Int(-7).divided_by(Int(2)), Int(-3)),
            (Batch(2).negated(), Batch(-2)),
        ];
        for (index, (found, wanted)) in cases.into_iter().enumerate() {
            assert_eq!(found, wanted, "case {index}");
        }
    }
}
