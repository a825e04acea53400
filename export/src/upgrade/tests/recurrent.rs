//! LSTM, GRU and RNN against ONNX Runtime, and their gradients against central differences.

use crate::autodiff::testing::{Domain, Numbers, check_graph};
use crate::error::ErrorKind;
use crate::graph::{Attribute, Graph, NodeId, ValueId};
use crate::tensor::{DataType, Tensor};
use crate::testing::{add, assert_equal_results, push, push_all};
use crate::upgrade::upgrade;

const STEPS: usize = 5;
const FEATURES: usize = 3;
const HIDDEN: usize = 4;

/// What a case has besides weights.
#[derive(Default, Clone, Copy)]
struct Form {
    bias: bool,
    lengths: Option<i32>,
    initial: bool,
    peepholes: bool,
    outputs: &'static [usize],
    activations: &'static [&'static str],
    alphas: &'static [f32],
}

/// `[5, N, 3]` through one operator, with the outputs that the form lists.
fn model(op_type: &str, attributes: &str, form: Form) -> Graph {
    let mut graph = Graph::new("test", 14);
    let gates = match op_type {
        "LSTM" => 4 * HIDDEN,
        "GRU" => 3 * HIDDEN,
        _ => HIDDEN,
    };
    let directions = if attributes.contains("bidirectional") { 2 } else { 1 };
    let mut numbers = Numbers::new(5);
    let x = add(&mut graph, "f32[5,N,3]");
    let mut constant =
        |graph: &mut Graph, dims: &[usize]| Some(graph.add_constant("w", numbers.tensor(dims)));
    let weights = constant(&mut graph, &[directions, gates, FEATURES]);
    let recurrent = constant(&mut graph, &[directions, gates, HIDDEN]);
    let bias = if form.bias { constant(&mut graph, &[directions, 2 * gates]) } else { None };
    let lengths = form.lengths.map(|length| expanded_length(&mut graph, x.unwrap(), length));
    let state = |graph: &mut Graph| {
        let state = format!("f32[{directions},N,{HIDDEN}]");
        if form.initial { add(graph, &state) } else { None }
    };
    let hidden = state(&mut graph);
    let mut inputs = vec![x, weights, recurrent, bias, lengths, hidden];
    if op_type == "LSTM" {
        inputs.push(state(&mut graph));
        inputs.push(if form.peepholes { constant(&mut graph, &[directions, 3 * HIDDEN]) } else { None });
    }
    while inputs.last() == Some(&None) {
        inputs.pop();
    }
    let count = if op_type == "LSTM" { 3 } else { 2 };
    let outputs = push_all(&mut graph, op_type, &inputs, attributes, count);
    let node = graph.node_mut(NodeId(graph.nodes().len() as u32 - 1));
    if !form.activations.is_empty() {
        let names = form.activations.iter().map(|name| (*name).to_owned()).collect();
        node.attributes.0.insert("activations".to_owned(), Attribute::Texts(names));
        node.attributes.0.insert("activation_alpha".to_owned(), Attribute::Floats(form.alphas.to_vec()));
    }
    let wanted: Vec<ValueId> = form.outputs.iter().map(|index| outputs[*index]).collect();
    graph.set_outputs(wanted);
    graph
}

/// One length for every sequence of the batch, as tf2onnx writes it.
fn expanded_length(graph: &mut Graph, x: ValueId, length: i32) -> ValueId {
    let value = Tensor::new(DataType::Int32, vec![1], length.to_le_bytes().to_vec().into()).unwrap();
    let value = graph.add_constant("length", value);
    let shape = push(graph, "Shape", &[x], "");
    let index = add(graph, "=[1]").unwrap();
    let batch = push(graph, "Gather", &[shape, index], "axis=0");
    push(graph, "Expand", &[value, batch], "")
}

const LSTM: Form = Form {
    bias: true,
    lengths: None,
    initial: false,
    peepholes: false,
    outputs: &[0, 1, 2],
    activations: &[],
    alphas: &[],
};

const GRU: Form = Form { outputs: &[0, 1], ..LSTM };

const CASES: &[(&str, &str, Form)] = &[
    ("LSTM", "hidden_size=4", LSTM),
    ("LSTM", "hidden_size=4 direction=reverse", Form { bias: false, ..LSTM }),
    ("LSTM", "hidden_size=4 direction=bidirectional", LSTM),
    ("LSTM", "hidden_size=4 direction=bidirectional", Form { initial: true, peepholes: true, ..LSTM }),
    ("LSTM", "hidden_size=4", Form { peepholes: true, outputs: &[1], ..LSTM }),
    ("LSTM", "hidden_size=4", Form { lengths: Some(5), outputs: &[0], ..LSTM }),
    ("LSTM", "hidden_size=4", Form { activations: &["HardSigmoid", "Relu", "Tanh"], alphas: &[0.3], ..LSTM }),
    ("GRU", "hidden_size=4", GRU),
    ("GRU", "hidden_size=4 linear_before_reset=1", GRU),
    ("GRU", "hidden_size=4 direction=bidirectional linear_before_reset=1", Form { initial: true, ..GRU }),
    ("GRU", "hidden_size=4 direction=reverse", Form { initial: true, bias: false, ..GRU }),
    ("GRU", "hidden_size=4 linear_before_reset=1", Form { bias: false, outputs: &[1], ..GRU }),
    ("RNN", "hidden_size=4", GRU),
    ("RNN", "hidden_size=4 direction=bidirectional", Form { initial: true, ..GRU }),
    ("RNN", "hidden_size=4", Form { activations: &["LeakyRelu"], alphas: &[0.2], ..GRU }),
];

#[test]
fn steps_compute_what_the_operator_computes() {
    for (op_type, attributes, form) in CASES {
        let graph = model(op_type, attributes, *form);
        let upgraded = upgrade(&graph).unwrap_or_else(|error| panic!("{op_type} {attributes}: {error}"));
        assert!(!upgraded.nodes().iter().any(|node| node.op_type == *op_type));
        eprintln!("{op_type} {attributes}");
        assert_equal_results(&graph, &upgraded, 1e-5);
    }
}

#[test]
fn gradients_pass_the_steps() {
    for (op_type, attributes, form) in
        CASES.iter().filter(|(_, _, form)| !form.initial && form.activations.is_empty())
    {
        let mut graph = upgrade(&model(op_type, attributes, *form)).unwrap();
        let last = graph.outputs()[0];
        graph.set_outputs(vec![last]);
        graph.prune();
        check_graph(&format!("{op_type} {attributes}"), Domain::Real, &graph);
    }
}

#[test]
fn what_cannot_be_written_out_is_refused_by_name() {
    let shorter = model("LSTM", "hidden_size=4", Form { lengths: Some(3), ..LSTM });
    let clipped = model("LSTM", "hidden_size=4 clip=0.5", LSTM);
    let coupled = model("LSTM", "hidden_size=4 input_forget=1", LSTM);
    let unknown = model("RNN", "hidden_size=4", Form { activations: &["ScaledTanh"], ..GRU });
    let narrow = model("GRU", "hidden_size=3", GRU);
    for (graph, kind, wanted) in [
        (shorter, ErrorKind::Unsupported, "have the length 3"),
        (clipped, ErrorKind::Unsupported, "attribute `clip`"),
        (coupled, ErrorKind::Unsupported, "attribute `input_forget`"),
        (unknown, ErrorKind::Unsupported, "activation `ScaledTanh` is not supported"),
        (narrow, ErrorKind::Shape, "hidden_size 3"),
    ] {
        let error = upgrade(&graph).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let text = error.to_string();
        assert!(text.starts_with("node `") && text.contains(wanted), "{text}, wanted {wanted}");
    }
}

#[test]
fn long_sequences_are_refused_before_they_are_written_out() {
    let mut graph = Graph::new("test", 14);
    let inputs = ["f32[100000,N,1]", "#[1,4,1]", "#[1,4,1]"].map(|text| add(&mut graph, text));
    let outputs = push_all(&mut graph, "LSTM", &inputs, "hidden_size=1", 1);
    graph.set_outputs(outputs);
    let error = upgrade(&graph).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert!(error.to_string().contains("100000 steps"), "{error}");
}

/// A constant number of steps, in whatever opset: 5 steps of 3 features.
#[test]
fn the_number_of_steps_is_that_of_the_input() {
    let upgraded = upgrade(&model("RNN", "hidden_size=4", Form { outputs: &[1], ..GRU })).unwrap();
    let steps = upgraded.nodes().iter().filter(|node| node.op_type == "Tanh").count();
    assert_eq!(steps, STEPS);
}
