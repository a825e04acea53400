//! The elements of two tensors, number by number.

use super::document::ElementDifferences;
use crate::onnx::listing::TensorListing;
use crate::tensor::DataType;

/// How the elements differ; nothing where the dimensions differ or the elements are no numbers of whole bytes.
pub(super) fn element_differences(
    before: &TensorListing,
    after: &TensorListing,
) -> Option<ElementDifferences> {
    if before.dims != after.dims || before.sparse || after.sparse {
        return None;
    }
    let mut found = ElementDifferences::default();
    let mut sum = 0.0;
    for (before, after) in numbers(before)?.zip(numbers(after)?) {
        found.elements += 1;
        if before == after || before.is_nan() && after.is_nan() {
            continue;
        }
        found.different += 1;
        let difference = (before - after).abs();
        if difference.is_finite() {
            found.largest = found.largest.max(difference);
            sum += difference;
        } else {
            found.not_finite += 1;
        }
    }
    found.mean = if found.elements == 0 { 0.0 } else { sum / found.elements as f64 };
    Some(found)
}

/// Every element as a number; 64-bit integers are rounded.
fn numbers(tensor: &TensorListing) -> Option<Box<dyn Iterator<Item = f64> + '_>> {
    use DataType::*;
    let data = &tensor.data[..];
    Some(match DataType::from_onnx(tensor.number).ok()? {
        Float32 => words(data, |word| f32::from_le_bytes(word).into()),
        Float64 => words(data, f64::from_le_bytes),
        Float16 => words(data, |word| half::f16::from_le_bytes(word).to_f64()),
        Bfloat16 => words(data, |word| half::bf16::from_le_bytes(word).to_f64()),
        Uint8 | Bool => words(data, |word| u8::from_le_bytes(word).into()),
        Int8 => words(data, |word| i8::from_le_bytes(word).into()),
        Uint16 => words(data, |word| u16::from_le_bytes(word).into()),
        Int16 => words(data, |word| i16::from_le_bytes(word).into()),
        Int32 => words(data, |word| i32::from_le_bytes(word).into()),
        Uint32 => words(data, |word| u32::from_le_bytes(word).into()),
        Int64 => words(data, |word| i64::from_le_bytes(word) as f64),
        Uint64 => words(data, |word| u64::from_le_bytes(word) as f64),
    })
}

fn words<'d, const SIZE: usize>(
    data: &'d [u8],
    number: impl Fn([u8; SIZE]) -> f64 + 'd,
) -> Box<dyn Iterator<Item = f64> + 'd> {
    Box::new(data.as_chunks::<SIZE>().0.iter().map(move |word| number(*word)))
}
