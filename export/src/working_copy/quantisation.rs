//! QuantizeLinear and DequantizeLinear of constants: affine quantisation.
//!
//! `q = saturate(round(x / s) + z)`, rounded half to even, and `x = (q − z)·s`. Scale and zero point are one for the
//! whole tensor, one for each index of an axis, or one for each block of an axis. Operator pages: ONNX
//! `QuantizeLinear-21`, `DequantizeLinear-21`.

use crate::error::{Error, Result};
use crate::graph::normalise_axis;
use crate::tensor::quantised::{integers, range, unknown_codes};
use crate::tensor::{DataType, Tensor, checked_elements};

/// Scale and zero point of a tensor, and their granularity.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameters<'t> {
    pub(super) scale: &'t Tensor,
    pub(super) zero_point: Option<&'t Tensor>,
    /// The axis of the tensor along which scales differ; ignored for one scale.
    pub(super) axis: i64,
    /// Elements of the axis that share a scale; 0 for one scale an index.
    pub(super) block: i64,
}

/// `(q − z)·s` of integers.
///
/// # Errors
/// For types and forms that we do not know.
pub(super) fn dequantised(codes: &Tensor, parameters: &Parameters<'_>) -> Result<Tensor> {
    let elements = ElementParameters::new(codes.dims(), parameters)?;
    let values: Vec<f32> = integers(codes)?
        .into_iter()
        .enumerate()
        .map(|(index, code)| {
            let (scale, zero_point) = elements.at(index);
            // The difference is exact, and one rounding is left: what ONNX Runtime computes.
            (code - zero_point) as f32 * scale
        })
        .collect();
    Ok(Tensor::from_f32(codes.dims(), &values))
}

/// `saturate(round(x / s) + z)` of numbers, in the type of the zero point, or `uint8`.
///
/// # Errors
/// For types and forms that we do not know.
pub(super) fn quantised(values: &Tensor, parameters: &Parameters<'_>) -> Result<Tensor> {
    let dtype = parameters.zero_point.map_or(DataType::Uint8, Tensor::dtype);
    let (low, high) = range(dtype).ok_or_else(|| unknown_codes(dtype))?;
    let elements = ElementParameters::new(values.dims(), parameters)?;
    let floats = values.to_f32().ok_or_else(|| unknown_codes(values.dtype()))?;
    let mut bytes = Vec::with_capacity(values.elements() * dtype.size());
    for (index, value) in floats.into_iter().enumerate() {
        let (scale, zero_point) = elements.at(index);
        let code =
            ((value / scale).round_ties_even() + zero_point as f32).clamp(low as f32, high as f32) as i64;
        bytes.extend_from_slice(&code.to_le_bytes()[..dtype.size()]);
    }
    Tensor::new(dtype, values.dims().to_vec(), bytes.into())
}

/// Scale and zero point of each element, by its flat index.
struct ElementParameters {
    scales: Vec<f32>,
    zero_points: Vec<i64>,
    granularity: Granularity,
}

/// Which elements share a scale. `inner` is the product of the dimensions after the axis, `length` the size of the
/// axis.
enum Granularity {
    PerTensor,
    PerAxis { inner: usize, length: usize },
    Blocked { inner: usize, length: usize, block: usize },
}

impl ElementParameters {
    fn new(dims: &[usize], parameters: &Parameters<'_>) -> Result<Self> {
        let floats =
            || Error::unsupported(format!("its scale is {}, wanted float32", parameters.scale.dtype()));
        let scales = parameters.scale.to_f32().ok_or_else(floats)?;
        let zero_points = match parameters.zero_point {
            Some(zero_point) => integers(zero_point)?,
            None => vec![0; scales.len()],
        };
        if zero_points.len() != scales.len() {
            let (points, scales) = (zero_points.len(), scales.len());
            return Err(Error::format(format!("has {scales} scales but {points} zero points")));
        }
        let granularity = Granularity::new(dims, parameters)?;
        Ok(Self { scales, zero_points, granularity })
    }

    fn at(&self, index: usize) -> (f32, i64) {
        let at = match self.granularity {
            Granularity::PerTensor => 0,
            Granularity::PerAxis { inner, length } => index / inner % length,
            Granularity::Blocked { inner, length, block } => {
                let (outer, along) = (index / inner / length, index / inner % length);
                (outer * length.div_ceil(block) + along / block) * inner + index % inner
            }
        };
        (self.scales[at], self.zero_points[at])
    }
}

impl Granularity {
    fn new(dims: &[usize], parameters: &Parameters<'_>) -> Result<Self> {
        let found = parameters.scale.dims();
        if parameters.scale.elements() == 1 {
            return Ok(Self::PerTensor);
        }
        let axis = normalise_axis(parameters.axis, dims.len())?;
        let inner = checked_elements(&dims[axis + 1..]).unwrap_or_default();
        let length = dims[axis];
        let (wanted, granularity) = match usize::try_from(parameters.block) {
            Ok(0) => (vec![length], Self::PerAxis { inner, length }),
            Ok(block) => {
                let mut wanted = dims.to_vec();
                wanted[axis] = length.div_ceil(block);
                (wanted, Self::Blocked { inner, length, block })
            }
            Err(_) => return Err(Error::format("its block size is negative")),
        };
        if found != wanted {
            return Err(Error::shape(format!(
                "its scale has dimensions {found:?}, wanted {wanted:?} or one number"
            )));
        }
        Ok(granularity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(dtype: DataType, dims: &[usize], data: &[u8]) -> Tensor {
        Tensor::new(dtype, dims.to_vec(), data.to_vec().into()).unwrap()
    }

    #[test]
    fn one_scale_one_an_index_and_one_a_block() {
        let codes = bytes(DataType::Uint8, &[2, 3], &[0, 128, 255, 10, 20, 30]);
        let one = (Tensor::scalar_f32(0.5), bytes(DataType::Uint8, &[], &[128]));
        let rows = (Tensor::from_f32(&[2], &[0.5, 2.0]), bytes(DataType::Uint8, &[2], &[0, 10]));
        let columns = (Tensor::from_f32(&[3], &[1.0, 0.5, 2.0]), bytes(DataType::Uint8, &[3], &[0, 0, 30]));
        let blocks =
            (Tensor::from_f32(&[2, 2], &[1.0, 2.0, 3.0, 4.0]), bytes(DataType::Uint8, &[2, 2], &[0; 4]));
        let cases = [
            (&one, 1, 0, [-64.0, 0.0, 63.5, -59.0, -54.0, -49.0]),
            (&rows, 0, 0, [0.0, 64.0, 127.5, 0.0, 20.0, 40.0]),
            (&columns, -1, 0, [0.0, 64.0, 450.0, 10.0, 10.0, 0.0]),
            (&blocks, 1, 2, [0.0, 128.0, 510.0, 30.0, 60.0, 120.0]),
        ];
        for (index, ((scale, zero_point), axis, block, wanted)) in cases.into_iter().enumerate() {
            let parameters = Parameters { scale, zero_point: Some(zero_point), axis, block };
            assert_eq!(dequantised(&codes, &parameters).unwrap().to_f32().unwrap(), wanted, "case {index}");
        }
    }

    #[test]
    fn numbers_are_rounded_half_to_even_and_saturate() {
        let values = Tensor::from_f32(&[6], &[-100.0, -0.75, -0.25, 0.25, 0.75, 100.0]);
        let (scale, zero_point) = (Tensor::scalar_f32(0.5), bytes(DataType::Int8, &[], &[1]));
        let parameters = Parameters { scale: &scale, zero_point: Some(&zero_point), axis: 1, block: 0 };
        let codes = quantised(&values, &parameters).unwrap();
        // -1.5, -0.5, 0.5 and 1.5 go to -2, 0, 0 and 2.
        let wanted: Vec<u8> = [-128_i8, -1, 1, 1, 3, 127].iter().map(|code| *code as u8).collect();
        assert_eq!((codes.dtype(), codes.data().as_ref()), (DataType::Int8, &wanted[..]));
    }

    #[test]
    fn scales_that_do_not_fit_are_an_error() {
        let codes = bytes(DataType::Int8, &[2, 3], &[0; 6]);
        let scale = Tensor::from_f32(&[2], &[1.0, 1.0]);
        let parameters = Parameters { scale: &scale, zero_point: None, axis: 1, block: 0 };
        let error = dequantised(&codes, &parameters).unwrap_err();
        assert_eq!(error.to_string(), "its scale has dimensions [2], wanted [3] or one number");
        let double = Tensor::new(DataType::Float64, vec![], vec![0; 8].into()).unwrap();
        let parameters = Parameters { scale: &double, ..parameters };
        assert_eq!(
            dequantised(&codes, &parameters).unwrap_err().to_string(),
            "its scale is f64, wanted float32"
        );
    }
}
