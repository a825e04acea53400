//! Weights of any floating-point type as float32.

use safetensors::Dtype;

use crate::error::{Error, Result};

/// The same numbers as little-endian float32; none for types that weights do not have.
///
/// # Errors
/// A number that is not finite: no such network has a use for one, and every answer of it would be NaN.
pub(super) fn to_float32(dtype: Dtype, bytes: Vec<u8>) -> Result<Option<Vec<u8>>> {
    let floats = match dtype {
        Dtype::F32 => bytes,
        Dtype::F16 => widen(&bytes, from_float16),
        Dtype::BF16 => widen(&bytes, |bits| u32::from(bits) << 16),
        _ => return Ok(None),
    };
    const EXPONENT: u32 = 0x7f80_0000;
    let (numbers, _) = floats.as_chunks::<4>();
    match numbers.iter().position(|number| u32::from_le_bytes(*number) & EXPONENT == EXPONENT) {
        None => Ok(Some(floats)),
        Some(index) => {
            let number = f32::from_le_bytes(numbers[index]);
            Err(Error::format(format!("element {index} is {number}; wanted finite numbers")))
        }
    }
}

fn widen(bytes: &[u8], bits: fn(u16) -> u32) -> Vec<u8> {
    let (halves, _) = bytes.as_chunks::<2>();
    let wide: Vec<[u8; 4]> =
        halves.iter().map(|half| bits(u16::from_le_bytes(*half)).to_le_bytes()).collect();
    wide.into_flattened()
}

/// The bits of the float32 that equals a float16 (IEEE 754 binary16).
fn from_float16(half: u16) -> u32 {
    let half = u32::from(half);
    let (sign, exponent, fraction) = ((half & 0x8000) << 16, (half >> 10) & 0x1f, half & 0x3ff);
    match exponent {
        0 => sign | (fraction as f32 / (1 << 24) as f32).to_bits(), // exact: at most 10 bits
        0x1f => sign | 0x7f80_0000 | (fraction << 13),
        _ => sign | ((exponent + 112) << 23) | (fraction << 13),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(dtype: Dtype, bits: &[u16]) -> Vec<f32> {
        let bytes = bits.iter().flat_map(|bits| bits.to_le_bytes()).collect();
        let bytes = to_float32(dtype, bytes).unwrap().unwrap();
        bytes.as_chunks::<4>().0.iter().map(|number| f32::from_le_bytes(*number)).collect()
    }

    #[test]
    fn halves_keep_their_value() {
        // From numpy: np.array([...], np.float16).view(np.uint16).
        let bits = [0x3c00, 0xc000, 0x3555, 0x0001, 0x83ff, 0x0400, 0x7bff, 0x8000];
        let wanted = [1.0, -2.0, 0.333_251_95, 5.960_464_5e-8, -6.097_555e-5, 6.103_515_6e-5, 65504.0, -0.0];
        assert_eq!(floats(Dtype::F16, &bits), wanted);
        assert_eq!(floats(Dtype::BF16, &[0x3f80, 0xc049]), [1.0, -3.140_625]);
    }

    #[test]
    fn numbers_that_are_not_finite_are_refused() {
        let nan = [1f32, f32::NAN].iter().flat_map(|number| number.to_le_bytes()).collect();
        let error = to_float32(Dtype::F32, nan).unwrap_err().to_string();
        assert_eq!(error, "element 1 is NaN; wanted finite numbers");
        assert!(to_float32(Dtype::F16, vec![0x00, 0x7c]).is_err());
    }
}
