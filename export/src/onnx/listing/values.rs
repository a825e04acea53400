//! Elements of tensors, and numbers and strings of attributes, as text.

use crate::tensor::DataType;

/// The shortest text that reads back as the same number.
pub(super) fn float_text(value: f32) -> String {
    format!("{value:?}")
}

/// The text of bytes: UTF-8 as it is, anything else as `\xNN`.
pub(super) fn bytes_text(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text
}

/// The elements of a tensor of a type that graphs hold.
pub(super) fn elements(dtype: DataType, data: &[u8]) -> Vec<String> {
    use DataType::*;
    match dtype {
        Float32 => words(data, |word| format!("{:?}", f32::from_le_bytes(word))),
        Float64 => words(data, |word| format!("{:?}", f64::from_le_bytes(word))),
        Float16 => words(data, |word| format!("{:?}", half::f16::from_le_bytes(word).to_f32())),
        Bfloat16 => words(data, |word| format!("{:?}", half::bf16::from_le_bytes(word).to_f32())),
        Uint8 => words(data, |word| u8::from_le_bytes(word).to_string()),
        Int8 => words(data, |word| i8::from_le_bytes(word).to_string()),
        Uint16 => words(data, |word| u16::from_le_bytes(word).to_string()),
        Int16 => words(data, |word| i16::from_le_bytes(word).to_string()),
        Int32 => words(data, |word| i32::from_le_bytes(word).to_string()),
        Uint32 => words(data, |word| u32::from_le_bytes(word).to_string()),
        Int64 => words(data, |word| i64::from_le_bytes(word).to_string()),
        Uint64 => words(data, |word| u64::from_le_bytes(word).to_string()),
        Bool => data.iter().map(|byte| bool_text(*byte)).collect(),
    }
}

/// A byte that is neither is shown as it is: engines disagree about it.
fn bool_text(byte: u8) -> String {
    match byte {
        0 => "false".to_owned(),
        1 => "true".to_owned(),
        other => other.to_string(),
    }
}

fn words<const SIZE: usize>(data: &[u8], text: impl Fn([u8; SIZE]) -> String) -> Vec<String> {
    data.as_chunks::<SIZE>().0.iter().map(|word| text(*word)).collect()
}
