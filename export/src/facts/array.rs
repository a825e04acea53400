//! Row-major arrays, and the operators that only move elements.

use crate::tensor::checked_elements;

/// Elements in row-major order. The number of elements always equals the product of the dimensions.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Array<T> {
    dims: Vec<usize>,
    elements: Vec<T>,
}

impl<T: Clone> Array<T> {
    /// An array, or `None` where the elements do not fill the dimensions.
    pub(crate) fn new(dims: Vec<usize>, elements: Vec<T>) -> Option<Self> {
        (checked_elements(&dims) == Some(elements.len())).then_some(Self { dims, elements })
    }

    /// The dimensions, outermost first.
    pub(crate) fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// The elements, row-major.
    pub(crate) fn elements(&self) -> &[T] {
        &self.elements
    }

    /// Applies `f` to each element.
    pub(crate) fn map<U: Clone>(&self, f: impl Fn(&T) -> U) -> Array<U> {
        Array { dims: self.dims.clone(), elements: self.elements.iter().map(f).collect() }
    }

    /// The same elements under other dimensions.
    pub(crate) fn reshaped(&self, dims: &[usize]) -> Option<Self> {
        Self::new(dims.to_vec(), self.elements.clone())
    }

    /// An array of `dims` whose element at each index is the one that `source` names, per axis, in this array.
    /// `None` where `source` leaves this array.
    pub(crate) fn picked(&self, dims: &[usize], source: impl Fn(&[usize], &mut [usize])) -> Option<Self> {
        let total = checked_elements(dims)?;
        let strides = strides(&self.dims);
        let (mut index, mut from) = (vec![0; dims.len()], vec![0; self.dims.len()]);
        let mut elements = Vec::with_capacity(total);
        for _ in 0..total {
            source(&index, &mut from);
            let inside = from.iter().zip(&self.dims).all(|(at, dim)| at < dim);
            if !inside {
                return None;
            }
            // Inside, so that no product exceeds the number of elements.
            let offset: usize = from.iter().zip(&strides).map(|(at, stride)| at * stride).sum();
            elements.push(self.elements.get(offset)?.clone());
            advance(&mut index, dims);
        }
        Some(Self { dims: dims.to_vec(), elements })
    }

    /// Repeats dimensions of size one (and missing leading ones) up to `dims`.
    pub(crate) fn broadcast(&self, dims: &[usize]) -> Option<Self> {
        let missing = dims.len().checked_sub(self.dims.len())?;
        self.picked(dims, |index, from| {
            for (axis, at) in from.iter_mut().enumerate() {
                *at = if self.dims[axis] == 1 { 0 } else { index[axis + missing] };
            }
        })
    }

    /// Element by element, after broadcasting both to `dims`.
    pub(crate) fn zip<U: Clone, V: Clone>(
        &self,
        other: &Array<U>,
        dims: &[usize],
        f: impl Fn(&T, &U) -> V,
    ) -> Option<Array<V>> {
        let (left, right) = (self.broadcast(dims)?, other.broadcast(dims)?);
        let elements = left.elements.iter().zip(&right.elements).map(|(a, b)| f(a, b)).collect();
        Array::new(dims.to_vec(), elements)
    }

    /// Joins arrays along `axis` into an array of `dims`.
    pub(crate) fn concatenated(parts: &[Self], axis: usize, dims: &[usize]) -> Option<Self> {
        let outer = checked_elements(dims.get(..axis)?)?;
        let mut elements = Vec::new();
        for row in 0..outer {
            for part in parts {
                let length = checked_elements(part.dims.get(axis..)?)?;
                elements.extend_from_slice(part.elements.get(row * length..(row + 1) * length)?);
            }
        }
        Self::new(dims.to_vec(), elements)
    }
}

fn strides(dims: &[usize]) -> Vec<usize> {
    let mut strides: Vec<usize> = vec![1; dims.len()];
    for axis in (1..dims.len()).rev() {
        // Of an array without elements, whose other dimensions may be anything.
        strides[axis - 1] = strides[axis].saturating_mul(dims[axis]);
    }
    strides
}

fn advance(index: &mut [usize], dims: &[usize]) {
    for (at, dim) in index.iter_mut().zip(dims).rev() {
        *at += 1;
        if *at < *dim {
            return;
        }
        *at = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::Array;

    #[test]
    fn picking_transposes() {
        let array = Array::new(vec![2, 3], vec![0, 1, 2, 3, 4, 5]).unwrap();
        let transposed =
            array.picked(&[3, 2], |index, from| from.copy_from_slice(&[index[1], index[0]])).unwrap();
        assert_eq!(transposed.elements(), [0, 3, 1, 4, 2, 5]);
        assert!(array.picked(&[1], |_, from| from.copy_from_slice(&[0, 3])).is_none(), "outside of a row");
    }

    #[test]
    fn broadcasting_repeats_ones() {
        let array = Array::new(vec![2, 1], vec![7, 8]).unwrap();
        assert_eq!(array.broadcast(&[2, 2, 2]).unwrap().elements(), [7, 7, 8, 8, 7, 7, 8, 8]);
    }

    #[test]
    fn parts_join_along_an_inner_axis() {
        let left = Array::new(vec![2, 1], vec![1, 2]).unwrap();
        let right = Array::new(vec![2, 2], vec![3, 4, 5, 6]).unwrap();
        let joined = Array::concatenated(&[left, right], 1, &[2, 3]).unwrap();
        assert_eq!(joined.elements(), [1, 3, 4, 2, 5, 6]);
    }
}
