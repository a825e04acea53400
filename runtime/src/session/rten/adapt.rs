//! Says the same model in the form in which rten reads it.
//!
//! rten keeps nodes and values under one name each, in one table, so that a node named as its output hides it; and it
//! takes the rank of a convolution or a pool from attributes that ONNX lets a file omit.

use std::collections::BTreeMap;

use rten_onnx::onnx::{AttributeProto, AttributeType, GraphProto, ModelProto, NodeProto};

/// A node of the file, by the name that it has for rten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    /// Its name in the file, or that of its first output where it has none.
    pub(super) name: String,
    /// Its operator.
    pub(super) operator: String,
}

/// Changes the model in place, and returns its nodes by their new names.
pub(super) fn adapt(model: &mut ModelProto) -> BTreeMap<String, Named> {
    let mut nodes = BTreeMap::new();
    if let Some(graph) = &mut model.graph {
        adapt_graph(graph, &mut nodes);
    }
    nodes
}

fn adapt_graph(graph: &mut GraphProto, nodes: &mut BTreeMap<String, Named>) {
    let tensors = graph.initializer.iter();
    let ranks: BTreeMap<String, usize> =
        tensors.filter_map(|tensor| Some((tensor.name.clone()?, tensor.dims.len()))).collect();
    for node in &mut graph.node {
        let operator = node.op_type.clone().unwrap_or_default();
        let name = node_name(node).to_owned();
        match operator.as_str() {
            "Conv" | "ConvTranspose" | "ConvInteger" => add_kernel_attributes(node, &ranks),
            "MaxPool" | "AveragePool" => add_pool_strides(node),
            _ => {}
        }
        // No value of ours begins like this, and the number makes it the only one.
        let unique = format!("node {}: {name}", nodes.len());
        node.name = Some(unique.clone());
        nodes.insert(unique, Named { name, operator });
        for attribute in &mut node.attribute {
            if let Some(graph) = &mut attribute.g {
                adapt_graph(graph, nodes);
            }
        }
    }
}

/// A node's name, or that of its first output where it has none.
pub(super) fn node_name(node: &NodeProto) -> &str {
    match node.name.as_deref() {
        None | Some("") => node.output.first().map_or("", String::as_str),
        Some(name) => name,
    }
}

/// The attribute of that name.
pub(super) fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name.as_deref() == Some(name))
}

/// Strides and dilations of 1 where a convolution omits them; the weight `[M, C, k, …]` has the rank.
fn add_kernel_attributes(node: &mut NodeProto, ranks: &BTreeMap<String, usize>) {
    let length = |name: &str| attribute(node, name).map(|attribute| attribute.ints.len());
    let of_weight = node.input.get(1).and_then(|weight| ranks.get(weight)).map(|rank| rank.saturating_sub(2));
    let pads = length("pads").map(|pads| pads / 2);
    let known = length("kernel_shape").or(of_weight).or(length("strides")).or(length("dilations")).or(pads);
    let Some(spatial) = known else { return };
    for name in ["strides", "dilations"] {
        set_ones(node, name, spatial);
    }
    if attribute(node, "pads").is_none() && attribute(node, "auto_pad").is_none() {
        set(node, "pads", vec![0; 2 * spatial]);
    }
}

fn add_pool_strides(node: &mut NodeProto) {
    if let Some(spatial) = attribute(node, "kernel_shape").map(|kernel| kernel.ints.len()) {
        set_ones(node, "strides", spatial);
    }
}

fn set_ones(node: &mut NodeProto, name: &str, count: usize) {
    if attribute(node, name).is_none() {
        set(node, name, vec![1; count]);
    }
}

fn set(node: &mut NodeProto, name: &str, ints: Vec<i64>) {
    let r#type = Some(AttributeType::INTS);
    node.attribute.push(AttributeProto {
        name: Some(name.to_owned()),
        ints,
        r#type,
        ..AttributeProto::default()
    });
}

#[cfg(test)]
mod tests {
    use rten_onnx::onnx::TensorProto;

    use super::*;

    fn node(operator: &str, name: &str, attributes: &[(&str, &[i64])]) -> NodeProto {
        let mut node = NodeProto {
            op_type: Some(operator.into()),
            name: Some(name.into()),
            input: vec!["x".into(), "weight".into()],
            output: vec!["out".into()],
            ..NodeProto::default()
        };
        for (name, ints) in attributes {
            set(&mut node, name, ints.to_vec());
        }
        node
    }

    fn adapted(node: NodeProto) -> (NodeProto, Named) {
        let weight =
            TensorProto { name: Some("weight".into()), dims: vec![8, 3, 2, 2], ..TensorProto::default() };
        let graph = GraphProto { node: vec![node], initializer: vec![weight], ..GraphProto::default() };
        let mut model = ModelProto { graph: Some(graph), ..ModelProto::default() };
        let mut nodes = adapt(&mut model);
        let node = model.graph.unwrap().node.remove(0);
        let named = nodes.remove(node.name.as_ref().unwrap()).unwrap();
        (node, named)
    }

    fn ints(node: &NodeProto, name: &str) -> Option<Vec<i64>> {
        attribute(node, name).map(|attribute| attribute.ints.clone())
    }

    #[test]
    fn omitted_attributes_are_added() {
        let (conv, _) = adapted(node("Conv", "conv", &[("strides", &[4, 4])]));
        assert_eq!(ints(&conv, "strides"), Some(vec![4, 4]));
        assert_eq!((ints(&conv, "dilations"), ints(&conv, "pads")), (Some(vec![1, 1]), Some(vec![0; 4])));
        let (pool, _) = adapted(node("MaxPool", "pool", &[("kernel_shape", &[2, 2])]));
        assert_eq!(ints(&pool, "strides"), Some(vec![1, 1]));
        let (add, _) = adapted(node("Add", "add", &[]));
        assert!(add.attribute.is_empty());
    }

    #[test]
    fn nodes_have_names_that_no_value_has_and_are_found_by_them() {
        for (name, wanted) in [("out", "out"), ("", "out"), ("the node", "the node")] {
            let (node, named) = adapted(node("Relu", name, &[]));
            assert_ne!(node.name.as_deref(), Some("out"));
            assert_eq!(named, Named { name: wanted.into(), operator: "Relu".into() });
        }
    }
}
