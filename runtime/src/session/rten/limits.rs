//! What rten 0.27 would compute otherwise than ONNX says, without an error: found here, before it sees the model.
//!
//! Found by running the onnx package's own node tests (`docs/engines.md` has the list). What rten has no kernel for, it
//! says itself.

use std::collections::BTreeSet;

use rten_onnx::onnx::{DataType, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};

use super::adapt::{attribute, node_name};
use super::failure::{VERSION, failed};
use crate::session::EngineError;

/// Operators whose outputs are booleans of 0 and 1.
const BOOLEAN: [&str; 10] =
    ["And", "Equal", "Greater", "GreaterOrEqual", "IsInf", "IsNaN", "Less", "LessOrEqual", "Not", "Or"];

/// Subgraphs in subgraphs, at most: our own files have fewer.
const DEEPEST: usize = 16;

/// Looks at every node of a model.
///
/// # Errors
/// [`EngineError::Unsupported`] for the first one that rten would compute otherwise than ONNX says.
pub(super) fn check(model: &ModelProto) -> Result<(), EngineError> {
    let Some(graph) = &model.graph else { return Err(failed(&"the bytes have no graph")) };
    let opset = model
        .opset_import
        .iter()
        .find(|opset| matches!(opset.domain.as_deref(), None | Some("" | "ai.onnx")));
    let opset = opset.and_then(|opset| opset.version).unwrap_or(i64::MAX);
    Checker { opset }.graph(graph, &BTreeSet::new(), 0)
}

struct Checker {
    opset: i64,
}

impl Checker {
    /// `outer` has the names of the booleans of the graphs around this one.
    fn graph(&self, graph: &GraphProto, outer: &BTreeSet<String>, depth: usize) -> Result<(), EngineError> {
        if depth > DEEPEST {
            return Err(failed(&format!("more than {DEEPEST} nested graphs")));
        }
        let mut booleans = outer.clone();
        for tensor in &graph.initializer {
            let name = tensor.name.as_deref().unwrap_or_default();
            check_type(tensor.data_type).map_err(|what| refused(name, "constant", &what))?;
            if tensor.data_type == Some(DataType::BOOL) {
                booleans.insert(name.to_owned());
            }
        }
        for value in graph.input.iter().chain(&graph.output) {
            let name = value.name.as_deref().unwrap_or_default();
            check_type(element_type(value)).map_err(|what| refused(name, "value", &what))?;
        }
        for node in &graph.node {
            self.node(graph, node, &booleans, depth)?;
            if makes_booleans(node) {
                booleans.extend(node.output.iter().cloned());
            }
        }
        Ok(())
    }

    fn node(
        &self,
        graph: &GraphProto,
        node: &NodeProto,
        booleans: &BTreeSet<String>,
        depth: usize,
    ) -> Result<(), EngineError> {
        let operator = node.op_type.as_deref().unwrap_or_default();
        let name = node_name(node);
        let what = match operator {
            "Cast" => cast(node, booleans),
            "Resize" | "Upsample" => resize(node),
            "Softmax" | "LogSoftmax" if self.opset < 13 => old_softmax(graph, node),
            "MatMul" => vector_product(graph, node),
            "Conv" | "ConvTranspose" | "MaxPool" | "AveragePool" => padding(node),
            "GRU" | "LSTM" => recurrent(node),
            "Sign" => Err("rten computes the sign of 0 as 1, not 0".to_owned()),
            "ArgMax" | "ArgMin" => Err("among equal values rten selects the last, ONNX the first".to_owned()),
            _ => Ok(()),
        };
        what.map_err(|what| refused(name, operator, &what))?;
        for attribute in &node.attribute {
            if let Some(tensor) = &attribute.t {
                check_type(tensor.data_type).map_err(|what| refused(name, operator, &what))?;
            }
            if let Some(graph) = &attribute.g {
                self.graph(graph, booleans, depth + 1)?;
            }
        }
        Ok(())
    }
}

fn refused(node: &str, operator: &str, what: &str) -> EngineError {
    EngineError::Unsupported { version: VERSION, node: node.to_owned(), what: format!("{operator}: {what}") }
}

/// rten turns 64-bit and 16-bit floats into 32-bit ones: other numbers than the file's.
fn check_type(element: Option<DataType>) -> Result<(), String> {
    match element {
        Some(element @ (DataType::DOUBLE | DataType::FLOAT16 | DataType::BFLOAT16)) => {
            Err(format!("rten computes {element} in 32-bit floats"))
        }
        _ => Ok(()),
    }
}

fn element_type(value: &ValueInfoProto) -> Option<DataType> {
    value.r#type.as_ref()?.tensor_type.as_ref()?.elem_type
}

fn makes_booleans(node: &NodeProto) -> bool {
    let operator = node.op_type.as_deref().unwrap_or_default();
    BOOLEAN.contains(&operator) || operator == "Cast" && target(node) == Some(DataType::BOOL)
}

fn target(node: &NodeProto) -> Option<DataType> {
    let number = attribute(node, "to")?.i?;
    i32::try_from(number).ok().map(DataType)
}

/// A boolean is an integer to rten: it neither rounds 0.5 up nor 2 down to 1.
fn cast(node: &NodeProto, booleans: &BTreeSet<String>) -> Result<(), String> {
    check_type(target(node))?;
    let of_booleans = node.input.first().is_some_and(|input| booleans.contains(input));
    match target(node) {
        Some(DataType::BOOL) if !of_booleans => {
            Err("rten truncates numbers when it casts them to BOOL".to_owned())
        }
        _ => Ok(()),
    }
}

fn resize(node: &NodeProto) -> Result<(), String> {
    match attribute(node, "mode").and_then(|mode| mode.s.as_deref()) {
        Some("cubic") => Err("rten interpolates linearly although the mode is cubic".to_owned()),
        _ => Ok(()),
    }
}

fn padding(node: &NodeProto) -> Result<(), String> {
    match attribute(node, "auto_pad").and_then(|pad| pad.s.as_deref()) {
        Some("SAME_LOWER") => Err("rten pads SAME_LOWER as SAME_UPPER".to_owned()),
        _ => Ok(()),
    }
}

/// rten does not read these attributes.
fn recurrent(node: &NodeProto) -> Result<(), String> {
    if attribute(node, "layout").and_then(|layout| layout.i).is_some_and(|layout| layout != 0) {
        return Err("rten takes the batch for the sequence although the layout is 1".to_owned());
    }
    match attribute(node, "clip") {
        Some(_) => Err("rten does not clip the gates".to_owned()),
        None => Ok(()),
    }
}

/// Before opset 13 the product ran over `axis` and all that follow it, and `axis` was 1 where nothing was said.
fn old_softmax(graph: &GraphProto, node: &NodeProto) -> Result<(), String> {
    let axis = attribute(node, "axis").and_then(|axis| axis.i).unwrap_or(1);
    let written = |name: &String| graph.output.iter().find(|value| value.name.as_ref() == Some(name));
    let value = node.output.first().and_then(written);
    let rank =
        value.and_then(|value| Some(value.r#type.as_ref()?.tensor_type.as_ref()?.shape.as_ref()?.dim.len()));
    let is_last =
        axis == -1 || rank.is_some_and(|rank| i64::try_from(rank).is_ok_and(|rank| rank == axis + 1));
    match is_last && (attribute(node, "axis").is_some() || axis == 1) {
        true => Ok(()),
        false => Err(format!(
            "before opset 13 it normalises over axis {axis} and all following axes, but rten over one axis; export \
             with opset 13 or newer"
        )),
    }
}

/// The product with a vector has one dimension less; rten leaves it there.
fn vector_product(graph: &GraphProto, node: &NodeProto) -> Result<(), String> {
    let is_vector = |name: &String| {
        let is_it = |tensor: &&TensorProto| tensor.name.as_ref() == Some(name) && tensor.dims.len() == 1;
        graph.initializer.iter().any(|tensor| is_it(&tensor))
    };
    match node.input.iter().any(is_vector) {
        true => Err("rten keeps a dimension of 1 in a product with a vector".to_owned()),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use rten_onnx::onnx::{AttributeProto, OperatorSetIdProto};

    use super::*;

    fn node(operator: &str, input: &str, attribute: Option<AttributeProto>) -> NodeProto {
        NodeProto {
            op_type: Some(operator.into()),
            name: Some(format!("the_{operator}")),
            input: vec![input.into()],
            output: vec![format!("{operator}_out")],
            attribute: attribute.into_iter().collect(),
            ..NodeProto::default()
        }
    }

    fn int(name: &str, value: i64) -> Option<AttributeProto> {
        Some(AttributeProto { name: Some(name.into()), i: Some(value), ..AttributeProto::default() })
    }

    fn text(name: &str, value: &str) -> Option<AttributeProto> {
        Some(AttributeProto { name: Some(name.into()), s: Some(value.into()), ..AttributeProto::default() })
    }

    fn to(target: DataType) -> Option<AttributeProto> {
        int("to", target.0.into())
    }

    fn constant(name: &str, element: DataType, dims: &[i64]) -> TensorProto {
        TensorProto {
            name: Some(name.into()),
            data_type: Some(element),
            dims: dims.to_vec(),
            ..TensorProto::default()
        }
    }

    fn found(opset: i64, nodes: Vec<NodeProto>) -> Result<(), String> {
        let initializer =
            vec![constant("vector", DataType::FLOAT, &[3]), constant("mask", DataType::BOOL, &[3])];
        let graph = GraphProto { node: nodes, initializer, ..GraphProto::default() };
        let import = OperatorSetIdProto { domain: None, version: Some(opset) };
        let model = ModelProto { graph: Some(graph), opset_import: vec![import], ..ModelProto::default() };
        check(&model).map_err(|error| error.to_string())
    }

    #[test]
    fn what_rten_computes_otherwise_is_refused_by_node_and_operator() {
        let cases = [
            (17, node("Sign", "x", None), "sign of 0"),
            (17, node("ArgMax", "x", None), "selects the last"),
            (17, node("Resize", "x", text("mode", "cubic")), "mode is cubic"),
            (17, node("MaxPool", "x", text("auto_pad", "SAME_LOWER")), "as SAME_UPPER"),
            (17, node("Cast", "x", to(DataType::BOOL)), "truncates"),
            (17, node("Cast", "x", to(DataType::DOUBLE)), "DOUBLE in 32-bit"),
            (17, node("MatMul", "vector", None), "product with a vector"),
            (17, node("LSTM", "x", int("layout", 1)), "although the layout is 1"),
            (17, node("GRU", "x", int("clip", 1)), "does not clip"),
            (11, node("Softmax", "x", int("axis", 2)), "opset 13"),
            (11, node("LogSoftmax", "x", None), "opset 13"),
        ];
        for (opset, node, expected) in cases {
            let operator = node.op_type.clone().unwrap();
            let error = found(opset, vec![node]).unwrap_err();
            let parts =
                [&format!("`the_{operator}`: {operator}: "), expected, "make setup", "MIMIR_ORT_DYLIB"];
            for part in parts {
                assert!(error.contains(part), "{part} is not in: {error}");
            }
        }
    }

    #[test]
    fn what_rten_computes_as_onnx_says_passes() {
        let nodes = vec![
            node("Equal", "x", None),
            node("Cast", "Equal_out", to(DataType::BOOL)),
            node("Cast", "mask", to(DataType::BOOL)),
            node("Cast", "x", to(DataType::FLOAT)),
            node("Resize", "x", text("mode", "linear")),
            node("MatMul", "x", None),
            node("LSTM", "x", int("layout", 0)),
            node("Softmax", "x", int("axis", 2)),
        ];
        found(13, nodes).unwrap();
        found(11, vec![node("Softmax", "x", int("axis", -1))]).unwrap();
    }

    #[test]
    fn floats_of_other_widths_are_refused_wherever_they_stand() {
        let inner = GraphProto {
            initializer: vec![constant("half", DataType::FLOAT16, &[1])],
            ..GraphProto::default()
        };
        let branch =
            AttributeProto { name: Some("then_branch".into()), g: Some(inner), ..AttributeProto::default() };
        let error = found(17, vec![node("If", "mask", Some(branch))]).unwrap_err();
        assert!(error.contains("`half`") && error.contains("FLOAT16 in 32-bit"), "{error}");
    }

    #[test]
    fn graphs_without_end_are_refused() {
        let mut graph = GraphProto::default();
        for _ in 0..=DEEPEST + 1 {
            let branch =
                AttributeProto { name: Some("body".into()), g: Some(graph), ..AttributeProto::default() };
            graph = GraphProto { node: vec![node("Loop", "x", Some(branch))], ..GraphProto::default() };
        }
        let model = ModelProto { graph: Some(graph), ..ModelProto::default() };
        let error = check(&model).unwrap_err().to_string();
        assert!(error.contains("nested"), "{error}");
    }
}
