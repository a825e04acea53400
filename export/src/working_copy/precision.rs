//! Converts values of float16, bfloat16 and double to float32.
//!
//! Only values that depend on the pixels are converted: double-precision arithmetic on sizes decides shapes, and
//! float32 would round it differently. Operators need equal types, so that with a value all others of its type at the
//! same node are converted, except at a Cast.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::error::Result;
use crate::graph::{Attribute, Graph, Node, NodeId, ValueId};
use crate::tensor::{DataType, Tensor};

/// Attributes that name an element type.
const TYPE_ATTRIBUTES: [&str; 5] = ["dtype", "output_dtype", "softmax_precision", "stash_type", "to"];

/// Converts such values of a typed graph, and returns the types that they had. Afterwards the types of computed values
/// must be inferred again.
pub(super) fn convert_to_float32(graph: &mut Graph) -> Result<Vec<DataType>> {
    let converted = values_to_convert(graph)?;
    let mut types = BTreeSet::new();
    for id in converted.iter().copied() {
        types.insert(graph.tensor_type(id)?.dtype as i32);
        let tensor = graph.constant(id).map(as_float32);
        if let Some(tensor) = tensor {
            graph.set_constant(id, tensor);
        }
    }
    for index in 0..graph.nodes().len() {
        let id = NodeId(index as u32);
        if graph.node(id).outputs.iter().flatten().any(|output| converted.contains(output)) {
            convert_attributes(graph.node_mut(id));
        }
    }
    for input in graph.inputs().to_vec().into_iter().filter(|input| converted.contains(input)) {
        let mut tensor_type = graph.tensor_type(input)?.clone();
        tensor_type.dtype = DataType::Float32;
        graph.set_type(input, tensor_type);
    }
    types.into_iter().map(DataType::from_onnx).collect()
}

fn is_other_float(dtype: DataType) -> bool {
    dtype.is_float() && dtype != DataType::Float32
}

/// The values to convert: those that depend on the images, and all that share a node and a type with one.
fn values_to_convert(graph: &Graph) -> Result<HashSet<ValueId>> {
    let other = |id: ValueId| graph.tensor_type(id).map(|tensor_type| is_other_float(tensor_type.dtype));
    let mut worklist = Vec::new();
    for id in image_dependent(graph) {
        if other(id)? {
            worklist.push(id);
        }
    }
    sharing_a_type(graph, worklist)
}

/// Those values, and all that share a node and a type with one of them, except at a Cast.
pub(super) fn sharing_a_type(graph: &Graph, mut worklist: Vec<ValueId>) -> Result<HashSet<ValueId>> {
    let mut users: HashMap<ValueId, Vec<usize>> = HashMap::new();
    for (index, node) in graph.nodes().iter().enumerate() {
        for id in node.inputs.iter().chain(&node.outputs).flatten() {
            users.entry(*id).or_default().push(index);
        }
    }
    let mut converted: HashSet<ValueId> = worklist.iter().copied().collect();
    while let Some(id) = worklist.pop() {
        let dtype = graph.tensor_type(id)?.dtype;
        for index in users.get(&id).into_iter().flatten() {
            let node = &graph.nodes()[*index];
            for neighbour in node.inputs.iter().chain(&node.outputs).flatten() {
                let same = node.op_type != "Cast" && graph.tensor_type(*neighbour)?.dtype == dtype;
                if same && converted.insert(*neighbour) {
                    worklist.push(*neighbour);
                }
            }
        }
    }
    Ok(converted)
}

/// All values that depend on the pixels of the images, not only on their sizes.
pub(super) fn image_dependent(graph: &Graph) -> Vec<ValueId> {
    let mut order: Vec<ValueId> = graph.inputs().to_vec();
    let mut reached: HashSet<ValueId> = order.iter().copied().collect();
    // Not all that read sizes only: the others make tensors that may have the type of the images, such as random
    // numbers, and these are converted too.
    for node in graph.nodes().iter().filter(|node| !matches!(node.op_type.as_str(), "Shape" | "Size")) {
        if node.inputs.iter().flatten().any(|id| reached.contains(id)) {
            for output in node.outputs.iter().flatten() {
                reached.insert(*output);
                order.push(*output);
            }
        }
    }
    order
}

fn convert_attributes(node: &mut Node) {
    for (name, attribute) in &mut node.attributes.0 {
        match attribute {
            Attribute::Int(number) if TYPE_ATTRIBUTES.contains(&name.as_str()) => {
                let dtype = i32::try_from(*number).ok().and_then(|number| DataType::from_onnx(number).ok());
                if dtype.is_some_and(is_other_float) {
                    *number = DataType::Float32 as i64;
                }
            }
            Attribute::Tensor(tensor) => *tensor = as_float32(tensor),
            Attribute::Int(_)
            | Attribute::Float(_)
            | Attribute::Text(_)
            | Attribute::Ints(_)
            | Attribute::Floats(_)
            | Attribute::Texts(_)
            | Attribute::Graph(_) => {}
        }
    }
}

/// The tensor in float32, if it has another floating-point type; finite numbers out of range saturate.
fn as_float32(tensor: &Tensor) -> Tensor {
    let data = tensor.data();
    let values: Vec<f32> = match tensor.dtype() {
        DataType::Float16 => {
            data.as_chunks().0.iter().map(|word| f16_to_f32(u16::from_le_bytes(*word))).collect()
        }
        DataType::Bfloat16 => data
            .as_chunks()
            .0
            .iter()
            .map(|word| f32::from_bits(u32::from(u16::from_le_bytes(*word)) << 16))
            .collect(),
        DataType::Float64 => {
            data.as_chunks().0.iter().map(|word| saturate(f64::from_le_bytes(*word))).collect()
        }
        _ => return tensor.clone(),
    };
    Tensor::from_f32(tensor.dims(), &values)
}

fn saturate(value: f64) -> f32 {
    if value.is_finite() {
        value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
    } else {
        value as f32
    }
}

/// IEEE 754 binary16: one bit of sign, five of exponent, ten of fraction. Exact.
fn f16_to_f32(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let (exponent, fraction) = (u32::from(bits >> 10 & 0x1f), u32::from(bits & 0x3ff));
    match exponent {
        // Zero, or a subnormal number: fraction · 2⁻²⁴.
        0 => f32::from_bits(sign | (fraction as f32 / (1 << 24) as f32).to_bits()),
        0x1f => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 127 - 15) << 23 | fraction << 13),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_exact() {
        let cases = [
            (0x0000, 0.0),
            (0x8001, -5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x3c00, 1.0),
            (0xc248, -3.140_625),
            (0x7bff, 65504.0),
            (0xfc00, f32::NEG_INFINITY),
        ];
        for (bits, wanted) in cases {
            assert_eq!(f16_to_f32(bits).to_bits(), f32::to_bits(wanted), "{bits:#06x}");
        }
    }

    #[test]
    fn doubles_out_of_range_saturate() {
        assert_eq!(saturate(-1e300), f32::MIN);
        assert_eq!(saturate(f64::NEG_INFINITY), f32::NEG_INFINITY);
        assert_eq!(saturate(0.1), 0.1);
    }
}
