//! What is known of a tensor's elements before the graph is run.

use super::{Array, Symbol};
use crate::tensor::{DataType, Tensor};

/// The elements of a tensor. Floating point is held as `f64` and rounded to the tensor's own type after each
/// operation, which for `+ - * / sqrt` gives the same bits as working in that type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    /// `int32` or `int64`
    Int(Array<Symbol>),
    /// `float` or `double`
    Float(Array<f64>),
    /// `bool`
    Bool(Array<bool>),
}

impl Content {
    /// The elements of a constant; `None` for types that nothing is computed in.
    pub(crate) fn from_tensor(tensor: &Tensor) -> Option<Self> {
        let (dims, bytes) = (tensor.dims().to_vec(), tensor.data());
        match tensor.dtype() {
            DataType::Int64 => Array::new(dims, words(bytes, |word| Symbol::Int(i64::from_le_bytes(word)))),
            DataType::Int32 => {
                Array::new(dims, words(bytes, |word| Symbol::Int(i32::from_le_bytes(word).into())))
            }
            DataType::Float32 => {
                return Array::new(dims, words(bytes, |word| f32::from_le_bytes(word).into()))
                    .map(Self::Float);
            }
            DataType::Float64 => return Array::new(dims, words(bytes, f64::from_le_bytes)).map(Self::Float),
            DataType::Bool => {
                return Array::new(dims, bytes.iter().map(|byte| *byte != 0).collect()).map(Self::Bool);
            }
            _ => None,
        }
        .map(Self::Int)
    }

    /// The constant of type `dtype`, where every element is known and representable.
    pub(crate) fn to_tensor(&self, dtype: DataType) -> Option<Tensor> {
        let bytes: Vec<u8> = match (self, dtype) {
            (Self::Int(array), DataType::Int64) => join(array, |symbol| symbol.int().map(i64::to_le_bytes))?,
            (Self::Int(array), DataType::Int32) => join(array, |symbol| {
                symbol.int().and_then(|value| i32::try_from(value).ok()).map(i32::to_le_bytes)
            })?,
            (Self::Float(array), DataType::Float32) => {
                join(array, |value| Some((*value as f32).to_le_bytes()))?
            }
            (Self::Float(array), DataType::Float64) => join(array, |value| Some(value.to_le_bytes()))?,
            (Self::Bool(array), DataType::Bool) => join(array, |value| Some([u8::from(*value)]))?,
            _ => return None,
        };
        Tensor::new(dtype, self.dims().to_vec(), bytes.into()).ok()
    }

    /// The dimensions, outermost first.
    pub(crate) fn dims(&self) -> &[usize] {
        match self {
            Self::Int(array) => array.dims(),
            Self::Float(array) => array.dims(),
            Self::Bool(array) => array.dims(),
        }
    }

    /// The elements of an integer tensor.
    pub(crate) fn symbols(&self) -> Option<&[Symbol]> {
        match self {
            Self::Int(array) => Some(array.elements()),
            Self::Float(_) | Self::Bool(_) => None,
        }
    }

    /// Positions of the elements that are not zero, row-major; `None` where an element is not known.
    pub(crate) fn non_zero(&self) -> Option<Vec<usize>> {
        let holds: Vec<bool> = match self {
            Self::Int(array) => {
                array.elements().iter().map(|symbol| Some(symbol.int()? != 0)).collect::<Option<_>>()?
            }
            Self::Float(array) => array.elements().iter().map(|value| *value != 0.0).collect(),
            Self::Bool(array) => array.elements().to_vec(),
        };
        Some(holds.iter().enumerate().filter(|(_, holds)| **holds).map(|(place, _)| place).collect())
    }

    /// Rounds floating point to the precision of `dtype`.
    pub(crate) fn rounded(self, dtype: DataType) -> Self {
        match self {
            Self::Float(array) if dtype == DataType::Float32 => {
                Self::Float(array.map(|value| f64::from(*value as f32)))
            }
            other => other,
        }
    }
}

fn words<const SIZE: usize, T>(bytes: &[u8], from: impl Fn([u8; SIZE]) -> T) -> Vec<T> {
    bytes.as_chunks::<SIZE>().0.iter().map(|word| from(*word)).collect()
}

fn join<T: Clone, const SIZE: usize>(
    array: &Array<T>,
    to: impl Fn(&T) -> Option<[u8; SIZE]>,
) -> Option<Vec<u8>> {
    let words: Option<Vec<[u8; SIZE]>> = array.elements().iter().map(to).collect();
    Some(words?.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_round_trip() {
        for tensor in
            [Tensor::from_i64(&[2, 1], &[-1, 7]), Tensor::from_f32(&[3], &[0.1, -2.0, f32::INFINITY])]
        {
            let content = Content::from_tensor(&tensor).unwrap();
            assert_eq!(content.to_tensor(tensor.dtype()), Some(tensor));
        }
    }

    #[test]
    fn a_batch_dependent_element_is_not_a_constant() {
        let content = Content::Int(Array::new(vec![2], vec![Symbol::Batch(1), Symbol::Int(48)]).unwrap());
        assert_eq!(content.to_tensor(DataType::Int64), None);
    }
}
