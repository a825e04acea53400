use mimir_runtime::session::{Data, Engine, Input, RawSession, SessionOptions};

use super::*;
use crate::onnx::write_model;
use crate::testing::{add, push, run};

/// The margins of `labels` that the graph says for the images of [`run`].
fn margins(graph: &Graph, labels: &[i64]) -> Vec<f32> {
    let mut typed = graph.clone();
    shape::infer(&mut typed).unwrap();
    let bytes = write_model(&margin_graph(typed).unwrap()).unwrap();
    let engine = Engine::load(None).unwrap();
    let mut session = RawSession::new(&engine, &bytes, SessionOptions::default()).unwrap();
    let input = graph.inputs()[0];
    let dims: Vec<usize> =
        graph.shape(input).unwrap().0.iter().map(|dim| dim.at_batch(labels.len())).collect();
    let pixels: Vec<f32> =
        (0..dims.iter().product()).map(|index: usize| (index as f32 * 12.9898).sin()).collect();
    let inputs = [
        Input { name: &graph.value(input).name, dims: &dims, data: Data::F32(&pixels) },
        Input { name: tensor_names::LABELS, dims: &[labels.len()], data: Data::I64(labels) },
    ];
    session.run(&inputs).unwrap().remove(0).data
}

/// Classes, and nodes from `f32[N, 4, 9, 9]` to logits.
fn network(nodes: impl Fn(&mut Graph, ValueId) -> ValueId) -> Graph {
    let mut graph = Graph::new("test", 20);
    let images = add(&mut graph, "f32[N, 4, 9, 9]").unwrap();
    let features = nodes(&mut graph, images);
    let pooled = push(&mut graph, "GlobalAveragePool", &[features], "");
    let flat = push(&mut graph, "Flatten", &[pooled], "");
    graph.add_output(flat);
    graph
}

#[test]
fn margins_are_those_of_float32_up_to_rounding() {
    type Nodes = fn(&mut Graph, ValueId) -> ValueId;
    fn conv(graph: &mut Graph, x: ValueId, weight: &str, attributes: &str) -> ValueId {
        let (weight, bias) = (add(graph, weight).unwrap(), add(graph, "#[6]").unwrap());
        push(graph, "Conv", &[x, weight, bias], attributes)
    }
    let cases: [(&str, Nodes); 10] = [
        ("conv", |graph, x| conv(graph, x, "#[6, 4, 3, 3]", "")),
        ("strided", |graph, x| conv(graph, x, "#[6, 4, 3, 2]", "strides=[2,3] pads=[1,0,2,1]")),
        ("dilated groups", |graph, x| {
            conv(graph, x, "#[6, 2, 3, 3]", "group=2 dilations=[2,1] pads=[2,1,0,3]")
        }),
        ("same", |graph, x| conv(graph, x, "#[6, 4, 2, 2]", "auto_pad=SAME_UPPER strides=[2,2]")),
        ("average", |graph, x| push(graph, "AveragePool", &[x], "kernel_shape=[3,2] strides=[2,2]")),
        ("padded average", |graph, x| {
            push(graph, "AveragePool", &[x], "kernel_shape=[3,3] pads=[1,1,1,1] count_include_pad=1")
        }),
        ("gelu", |graph, x| push(graph, "Gelu", &[x], "")),
        ("tanh gelu", |graph, x| push(graph, "Gelu", &[x], "approximate=tanh")),
        ("slopes", |graph, x| {
            let slope = push(graph, "LeakyRelu", &[x], "alpha=0.25");
            let elu = push(graph, "Elu", &[slope], "alpha=1.5");
            push(graph, "HardSwish", &[elu], "")
        }),
        ("max pool", |graph, x| {
            let gate = push(graph, "HardSigmoid", &[x], "");
            push(graph, "MaxPool", &[gate], "kernel_shape=[2,2] strides=[2,2]")
        }),
    ];
    for (name, nodes) in cases {
        let graph = network(nodes);
        let logits = run(&graph, 3).remove(0);
        let classes = logits.0[1];
        let labels = [0, 2, 1];
        for ((row, label), found) in logits.1.chunks(classes).zip(labels).zip(margins(&graph, &labels)) {
            let others = row.iter().enumerate().filter(|(class, _)| *class != label as usize);
            let highest = others.map(|(_, score)| *score).fold(f32::NEG_INFINITY, f32::max);
            let wanted = row[label as usize] - highest;
            assert!((found - wanted).abs() < 1e-5 * (1.0 + wanted.abs()), "{name}: {found}, wanted {wanted}");
        }
    }
}

#[test]
fn the_error_function_is_exact_to_float64() {
    let mut graph = Graph::new("erf", 20);
    let x = add(&mut graph, "f32[N, 3000]").unwrap();
    let scale = add(&mut graph, "#6.5").unwrap();
    let scaled = push(&mut graph, "Mul", &[x, scale], "");
    graph.add_output(scaled);
    shape::infer(&mut graph).unwrap();
    convert::to_float64(&mut graph).unwrap();
    let scaled = graph.outputs()[0];
    let mut builder = Builder::new(&mut graph, "erf");
    let erf = erf::erf(&mut builder, scaled).unwrap();
    // Two halves, so that float32 outputs show what float64 has.
    let high = builder.cast(erf, DataType::Float32).unwrap();
    let back = builder.cast(high, DataType::Float64).unwrap();
    let low = builder.op("Sub", &[erf, back]).unwrap();
    let low = builder.cast(low, DataType::Float32).unwrap();
    graph.set_outputs(vec![high, low]);
    let outputs = run(&graph, 1);
    let pixels = (0..3000).map(|index: usize| (index as f32 * 12.9898).sin());
    for ((x, high), low) in pixels.zip(&outputs[0].1).zip(&outputs[1].1) {
        let wanted = libm::erf(f64::from(x) * 6.5);
        let found = f64::from(*high) + f64::from(*low);
        assert!((found - wanted).abs() < 1e-15, "erf({x} * 6.5) is {found}, wanted {wanted}");
    }
}

/// `(mean + 1e8) - 1e8` is 0 in float32.
#[test]
fn what_float32_rounds_away_is_there() {
    let mut graph = network(|graph, x| {
        let large = add(graph, "#100000000").unwrap();
        let weight = add(graph, "#[3, 4, 9, 9]").unwrap();
        let scores = push(graph, "Conv", &[x, weight], "");
        let sum = push(graph, "Add", &[scores, large], "");
        push(graph, "Sub", &[sum, large], "")
    });
    shape::infer(&mut graph).unwrap();
    let float32 = run(&graph, 1).remove(0).1;
    let margin = margins(&graph, &[0])[0];
    assert!(float32.iter().all(|score| score % 8.0 == 0.0), "{float32:?}");
    assert!(margin % 8.0 != 0.0, "{margin}");
}

#[test]
fn an_operator_without_a_kernel_is_left_to_the_engine() {
    let mut graph = network(|graph, x| push(graph, "Softplus", &[x], ""));
    shape::infer(&mut graph).unwrap();
    let bytes = write_model(&margin_graph(graph).unwrap()).unwrap();
    let engine = Engine::load(None).unwrap();
    assert!(RawSession::new(&engine, &bytes, SessionOptions::default()).is_err());
}
