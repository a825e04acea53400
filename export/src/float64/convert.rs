//! Makes every float32 value of a graph float64, but for the images.

use crate::error::{Error, Result};
use crate::graph::{Attribute, Attributes, Graph, Node};
use crate::shape;
use crate::tensor::{DataType, Tensor};

/// Attributes that name an element type.
const TYPE_ATTRIBUTES: [&str; 3] = ["dtype", "output_dtype", "to"];

/// Converts constants and attributes, casts the images, and infers the types anew.
pub(super) fn to_float64(graph: &mut Graph) -> Result<()> {
    let &[images] = graph.inputs() else {
        return Err(Error::format(format!("the graph has {} inputs, wanted images", graph.inputs().len())));
    };
    let constants: Vec<_> = graph.constants().map(|(id, tensor)| (id, as_float64(tensor))).collect();
    for (id, tensor) in constants {
        graph.set_constant(id, tensor);
    }
    let mut nodes = graph.nodes().to_vec();
    nodes.iter_mut().for_each(convert_attributes);
    graph.set_nodes(nodes);
    let wide = graph.add_fresh_value("images/float64", None);
    graph.replace_uses(images, wide);
    let cast = Node {
        name: graph.value(wide).name.clone(),
        op_type: "Cast".to_owned(),
        inputs: vec![Some(images)],
        outputs: vec![Some(wide)],
        attributes: Attributes::from_pairs([("to", Attribute::Int(DataType::Float64 as i64))]),
    };
    let nodes = std::iter::once(cast).chain(graph.nodes().iter().cloned()).collect();
    graph.set_nodes(nodes);
    graph.clear_types();
    shape::infer(graph)
}

fn convert_attributes(node: &mut Node) {
    for (name, attribute) in &mut node.attributes.0 {
        match attribute {
            Attribute::Int(number)
                if TYPE_ATTRIBUTES.contains(&name.as_str()) && *number == DataType::Float32 as i64 =>
            {
                *number = DataType::Float64 as i64;
            }
            Attribute::Tensor(tensor) => *tensor = as_float64(tensor),
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

/// Exact: every float32 is a float64.
fn as_float64(tensor: &Tensor) -> Tensor {
    match tensor.to_f32() {
        None => tensor.clone(),
        Some(values) => {
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            Tensor::from_f64(tensor.dims(), &values)
        }
    }
}
