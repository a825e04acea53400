//! How often an image meets the weights.

use mimir_bundle::WeightUse;

use crate::graph::{Dim, Graph, Node};

/// Of a typed graph; nodes whose shapes are not known are left out.
pub(super) fn weight_use(graph: &Graph) -> WeightUse {
    graph.nodes().iter().filter_map(|node| of_node(graph, node)).fold(WeightUse::default(), |sum, node| {
        WeightUse {
            weights: sum.weights.saturating_add(node.weights),
            products: sum.products.saturating_add(node.products),
        }
    })
}

fn of_node(graph: &Graph, node: &Node) -> Option<WeightUse> {
    let weights = node.inputs.iter().take(2).flatten().find_map(|input| graph.constant(*input))?;
    let [x, y] = [node.optional_input(0)?, node.outputs.first().copied()??];
    let an_image = |value| match graph.shape(value).ok()?.elements()? {
        Dim::Fixed(count) | Dim::Batch(count) => Some(count as u64),
    };
    let dims = weights.dims();
    let (elements, rank) = (dims.iter().product::<usize>() as u64, dims.len());
    // Each weight meets every place of the axis that is not its own.
    let places = match &*node.op_type {
        "Conv" => an_image(y)?.checked_div(*dims.first()? as u64)?,
        "ConvTranspose" => an_image(x)?.checked_div(*dims.first()? as u64)?,
        "Gemm" => 1,
        "MatMul" if graph.constant(x).is_some() => {
            an_image(y)?.checked_div(*dims.get(rank.checked_sub(2)?)? as u64)?
        }
        "MatMul" => an_image(y)?.checked_div(*dims.last()? as u64)?,
        _ => return None,
    };
    Some(WeightUse { weights: elements, products: elements.saturating_mul(places) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Attributes;
    use crate::testing::{add, parse};

    /// A node of inputs and an output in the notation of [`crate::testing`].
    fn used_by(op_type: &str, inputs: &[&str], output: &str) -> WeightUse {
        let mut graph = Graph::new("one node", 17);
        let inputs = inputs.iter().map(|input| add(&mut graph, input)).collect();
        let output = graph.add_fresh_value("output", Some(parse(output)));
        graph.push_node(Node {
            name: String::new(),
            op_type: op_type.to_owned(),
            inputs,
            outputs: vec![Some(output)],
            attributes: Attributes::default(),
        });
        weight_use(&graph)
    }

    #[test]
    fn an_image_meets_each_weight_at_every_place() {
        for (op_type, inputs, output, weights, places) in [
            ("Gemm", ["f32[N,24]", "#[24,40]"], "f32[N,40]", 960, 1),
            ("MatMul", ["f32[N,24]", "#[24,40]"], "f32[N,40]", 960, 1),
            ("MatMul", ["f32[N,5,24]", "#[24,40]"], "f32[N,5,40]", 960, 5),
            ("MatMul", ["f32[5N,24]", "#[24,40]"], "f32[5N,40]", 960, 5),
            ("MatMul", ["#[40,24]", "f32[N,24,7]"], "f32[N,40,7]", 960, 7),
            ("Conv", ["f32[N,4,10,10]", "#[6,4,3,3]"], "f32[N,6,8,8]", 216, 64),
            // Two groups.
            ("Conv", ["f32[N,4,10,10]", "#[6,2,3,3]"], "f32[N,6,8,8]", 108, 64),
            ("ConvTranspose", ["f32[N,6,4,4]", "#[6,4,2,2]"], "f32[N,4,8,8]", 96, 16),
        ] {
            let wanted = WeightUse { weights, products: weights * places };
            assert_eq!(used_by(op_type, &inputs, output), wanted, "{op_type} {inputs:?}");
        }
    }

    #[test]
    fn what_has_no_matrix_has_no_weights() {
        assert_eq!(used_by("Add", &["f32[N,24]", "#[24,24]"], "f32[N,24,24]"), WeightUse::default());
        assert_eq!(used_by("MatMul", &["f32[N,3,4]", "f32[N,4,5]"], "f32[N,3,5]"), WeightUse::default());
    }
}
