//! The mean and the inverse deviation of a LayerNormalization, for rten, whose operator has one output.
//!
//! `mean = mean(x)`, `r = 1/√(mean((x − mean)²) + ε)` over the normalised axes, as the operator's page says. A backward
//! pass reads them; what nobody reads rten does not compute.

use std::collections::BTreeMap;

use rten_onnx::onnx::{AttributeProto, AttributeType, DataType, GraphProto, NodeProto, TensorProto};

use super::adapt::{attribute, set};

/// The operator's own.
const EPSILON: f32 = 1e-5;

/// Gives every LayerNormalization one output, and computes the others beside it where the normalised axes are known;
/// `ranks` has the ranks of the constants. Where they are not, rten refuses the node.
pub(super) fn compute(graph: &mut GraphProto, ranks: &BTreeMap<String, usize>) {
    let mut nodes = Vec::with_capacity(graph.node.len());
    for mut node in std::mem::take(&mut graph.node) {
        let others = node.output.iter().skip(1).any(|output| !output.is_empty());
        let axes = axes(&node, ranks);
        match (node.op_type.as_deref(), axes) {
            (Some("LayerNormalization"), Some(axes)) if others => {
                let outputs = node.output.split_off(1);
                let layer = Layer { axes, name: node.output[0].clone() };
                let x = node.input.first().cloned().unwrap_or_default();
                let epsilon = attribute(&node, "epsilon").and_then(|epsilon| epsilon.f).unwrap_or(EPSILON);
                graph.initializer.push(layer.constant("epsilon", epsilon));
                nodes.push(node);
                nodes.extend(layer.statistics(&x, &outputs));
            }
            _ => nodes.push(node),
        }
    }
    graph.node = nodes;
}

/// The normalised axes, counted from the end: from `axis` where it is so counted, else from the scale, which has them.
fn axes(node: &NodeProto, ranks: &BTreeMap<String, usize>) -> Option<Vec<i64>> {
    let scale = || ranks.get(node.input.get(1)?).and_then(|rank| i64::try_from(*rank).ok());
    let first = match attribute(node, "axis").and_then(|axis| axis.i).unwrap_or(-1) {
        axis if axis < 0 => axis,
        _ => -scale()?,
    };
    // No tensor of ours has more axes.
    (-16..0).contains(&first).then(|| (first..0).collect())
}

struct Layer {
    axes: Vec<i64>,
    /// Its first output, after which the values here are named.
    name: String,
}

impl Layer {
    fn value(&self, what: &str) -> String {
        format!("{} for rten: {what}", self.name)
    }

    fn constant(&self, what: &str, value: f32) -> TensorProto {
        TensorProto {
            name: Some(self.value(what)),
            data_type: Some(DataType::FLOAT),
            float_data: vec![value],
            ..TensorProto::default()
        }
    }

    fn node(&self, operator: &str, inputs: &[&str], output: &str) -> NodeProto {
        NodeProto {
            op_type: Some(operator.to_owned()),
            name: Some(self.name.clone()),
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![output.to_owned()],
            ..NodeProto::default()
        }
    }

    fn mean(&self, input: &str, output: &str) -> NodeProto {
        let mut node = self.node("ReduceMean", &[input], output);
        set(&mut node, "axes", self.axes.clone());
        let keep = AttributeProto {
            name: Some("keepdims".to_owned()),
            i: Some(1),
            r#type: Some(AttributeType::INT),
            ..AttributeProto::default()
        };
        node.attribute.push(keep);
        node
    }

    /// `outputs` are the names of the mean and of the inverse deviation; an empty one nobody reads.
    fn statistics(&self, x: &str, outputs: &[String]) -> Vec<NodeProto> {
        let named = |index: usize, what: &str| match outputs.get(index) {
            Some(name) if !name.is_empty() => name.clone(),
            _ => self.value(what),
        };
        let (mean, inverse) = (named(0, "mean"), named(1, "inverse deviation"));
        let [centred, squares, variance, sum, deviation] =
            ["centred", "squares", "variance", "variance and epsilon", "deviation"]
                .map(|what| self.value(what));
        vec![
            self.mean(x, &mean),
            self.node("Sub", &[x, &mean], &centred),
            self.node("Mul", &[&centred, &centred], &squares),
            self.mean(&squares, &variance),
            self.node("Add", &[&variance, &self.value("epsilon")], &sum),
            self.node("Sqrt", &[&sum], &deviation),
            self.node("Reciprocal", &[&deviation], &inverse),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(axis: i64, outputs: &[&str]) -> GraphProto {
        let node = NodeProto {
            op_type: Some("LayerNormalization".into()),
            input: vec!["x".into(), "scale".into()],
            output: outputs.iter().map(|&output| output.into()).collect(),
            attribute: vec![AttributeProto {
                name: Some("axis".into()),
                i: Some(axis),
                ..AttributeProto::default()
            }],
            ..NodeProto::default()
        };
        GraphProto { node: vec![node], ..GraphProto::default() }
    }

    fn computed(mut graph: GraphProto, scale: Option<usize>) -> GraphProto {
        compute(&mut graph, &scale.map(|rank| ("scale".to_owned(), rank)).into_iter().collect());
        graph
    }

    fn axes_of(graph: &GraphProto) -> Option<Vec<i64>> {
        let mean = graph.node.iter().find(|node| node.op_type.as_deref() == Some("ReduceMean"))?;
        attribute(mean, "axes").map(|axes| axes.ints.clone())
    }

    #[test]
    fn statistics_are_computed_beside_the_node_over_its_axes() {
        for (axis, scale, wanted) in [(-1, None, vec![-1]), (-2, None, vec![-2, -1]), (2, Some(1), vec![-1])]
        {
            let graph = computed(layer(axis, &["y", "mean", "r"]), scale);
            assert_eq!(graph.node[0].output, ["y"]);
            assert_eq!(axes_of(&graph), Some(wanted));
            let outputs: Vec<&str> =
                graph.node.iter().flat_map(|node| &node.output).map(String::as_str).collect();
            assert!(outputs.contains(&"mean") && outputs.contains(&"r"), "{outputs:?}");
        }
    }

    #[test]
    fn what_is_not_asked_for_or_not_known_stays_as_it_is() {
        assert_eq!(computed(layer(-1, &["y"]), None).node.len(), 1);
        assert_eq!(computed(layer(-1, &["y", "", ""]), None).node.len(), 1);
        assert_eq!(computed(layer(2, &["y", "mean", "r"]), None).node[0].output.len(), 3);
    }
}
