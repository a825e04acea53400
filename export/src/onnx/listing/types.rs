//! Types of values as text: `f32[N, 3]`, `sequence(f32)`.

use super::names::quoted_unless_plain;
use crate::onnx::proto::{DimensionProto, TensorTypeProto, TypeProto};
use crate::tensor::element_name;

/// The text of a type. Names of dimensions that could be mistaken for something else stand in quotes.
pub(super) fn type_text(proto: &TypeProto) -> String {
    let inner = |element: &Option<Box<TypeProto>>| element.as_deref().map_or("?".to_owned(), type_text);
    if let Some(tensor) = &proto.tensor_type {
        tensor_text(tensor)
    } else if let Some(tensor) = &proto.sparse_tensor_type {
        format!("sparse({})", tensor_text(tensor))
    } else if let Some(sequence) = &proto.sequence_type {
        format!("sequence({})", inner(&sequence.elem_type))
    } else if let Some(optional) = &proto.optional_type {
        format!("optional({})", inner(&optional.elem_type))
    } else if let Some(map) = &proto.map_type {
        format!("map({}, {})", element_name(map.key_type.unwrap_or_default()), inner(&map.value_type))
    } else {
        "?".to_owned()
    }
}

/// Without brackets where the file states no shape.
fn tensor_text(tensor: &TensorTypeProto) -> String {
    let element = element_name(tensor.elem_type.unwrap_or_default());
    match &tensor.shape {
        None => element,
        Some(shape) => {
            let dims: Vec<String> = shape.dim.iter().map(dim_text).collect();
            format!("{element}[{}]", dims.join(", "))
        }
    }
}

fn dim_text(dim: &DimensionProto) -> String {
    match (dim.dim_value, dim.dim_param.as_deref()) {
        (_, Some(name)) if !name.is_empty() => quoted_unless_plain(name),
        (Some(size), _) => size.to_string(),
        _ => "?".to_owned(),
    }
}
