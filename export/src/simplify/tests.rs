//! Rewrites of small graphs: what remains, and that the numbers stay.

mod attention_kernel;
mod fuse;
mod image_gradient;
mod lookalikes;
mod products;
mod winograd;

use super::simplify;
use crate::graph::{Graph, ValueId};
use crate::testing::{add, assert_equal_results, push, push_all};
use crate::upgrade::upgrade;

/// The graph that `build` makes of an input of that type.
fn graph(opset: u32, input: &str, build: impl FnOnce(&mut Graph, ValueId) -> ValueId) -> Graph {
    let mut graph = Graph::new("test", opset);
    let input = add(&mut graph, input).unwrap();
    let output = build(&mut graph, input);
    graph.add_output(output);
    graph
}

/// Simplifies a copy, compares its results with the original's through ONNX Runtime, and returns it.
fn simplified(file: &Graph) -> Graph {
    simplified_within(file, 1e-5)
}

/// The same where results are larger than a few units.
fn simplified_within(file: &Graph, tolerance: f32) -> Graph {
    let mut graph = upgrade(file).unwrap();
    simplify(&mut graph).unwrap();
    assert_equal_results(file, &graph, tolerance);
    graph
}

fn operators(graph: &Graph) -> Vec<&str> {
    graph.nodes().iter().map(|node| node.op_type.as_str()).collect()
}

fn constant(graph: &mut Graph, text: &str) -> ValueId {
    add(graph, text).unwrap()
}

#[test]
fn shape_arithmetic_becomes_a_constant_target() {
    let file = graph(13, "f32[N,6,4,4]", |graph, x| {
        let shape = push(graph, "Shape", &[x], "");
        let (zero, one) = (constant(graph, "=[0]"), constant(graph, "=[1]"));
        let batch = push(graph, "Slice", &[shape, zero, one], "");
        let rest = constant(graph, "=[96]");
        let target = push(graph, "Concat", &[batch, rest], "axis=0");
        push(graph, "Reshape", &[x, target], "")
    });
    let simple = simplified(&file);
    assert_eq!(operators(&simple), ["Reshape"]);
    let target = simple.nodes()[0].inputs[1].unwrap();
    assert_eq!(simple.constant(target).unwrap().to_i64().unwrap(), [-1, 96]);
}

#[test]
fn the_attention_scale_that_is_computed_from_shapes_becomes_a_constant() {
    let file = graph(14, "f32[N,3,16]", |graph, x| {
        let shape = push(graph, "Shape", &[x], "");
        let last = constant(graph, "=-1");
        let width = push(graph, "Gather", &[shape, last], "");
        let width = push(graph, "Cast", &[width], "to=1");
        let scale = push(graph, "Sqrt", &[width], "");
        push(graph, "Div", &[x, scale], "")
    });
    assert_eq!(operators(&simplified(&file)), ["Div"]);
}

#[test]
fn what_needs_the_batch_stays_and_is_right_for_every_batch() {
    // A class token: zeros of [N, 1, 4] plus a constant, joined to the patches.
    let file = graph(9, "f32[N,2,4]", |graph, x| {
        let shape = push(graph, "Shape", &[x], "");
        let zero = constant(graph, "=0");
        let batch = push(graph, "Gather", &[shape, zero], "");
        let batch = push(graph, "Unsqueeze", &[batch], "axes=[0]");
        let sizes = constant(graph, "=[1,4]");
        let target = push(graph, "Concat", &[batch, sizes], "axis=0");
        let zeros = push(graph, "ConstantOfShape", &[target], "");
        let token = constant(graph, "#[1,1,4]");
        let token = push(graph, "Add", &[zeros, token], "");
        push(graph, "Concat", &[token, x], "axis=1")
    });
    let simple = simplified(&file);
    assert_eq!(
        operators(&simple),
        ["Shape", "Gather", "Unsqueeze", "Concat", "ConstantOfShape", "Add", "Concat"]
    );
}

#[test]
fn expansions_that_only_broadcast_vanish() {
    let file = graph(13, "f32[N,2,4]", |graph, x| {
        let shape = push(graph, "Shape", &[x], "");
        let position = constant(graph, "#[1,2,4]");
        let expanded = push(graph, "Expand", &[position, shape], "");
        let zeros = push(graph, "ConstantOfShape", &[shape], "");
        let sum = push(graph, "Add", &[x, expanded], "");
        push(graph, "Add", &[sum, zeros], "")
    });
    assert_eq!(operators(&simplified(&file)), ["Add", "Add"]);
}

#[test]
fn nodes_that_return_their_input_vanish() {
    let file = graph(13, "f32[N,2,4]", |graph, x| {
        let same = push(graph, "Identity", &[x], "");
        let dropped = push(graph, "Dropout", &[same], "");
        let cast = push(graph, "Cast", &[dropped], "to=1");
        let target = constant(graph, "=[0,2,4]");
        let reshaped = push(graph, "Reshape", &[cast, target], "");
        let there = push(graph, "Transpose", &[reshaped], "perm=[2,0,1]");
        let back = push(graph, "Transpose", &[there], "perm=[1,2,0]");
        let (start, end) = (constant(graph, "=[0]"), constant(graph, "=[2]"));
        let axes = constant(graph, "=[1]");
        let all = push(graph, "Slice", &[back, start, end, axes], "");
        let relu = push(graph, "Relu", &[all], "");
        push(graph, "Identity", &[relu], "")
    });
    assert_eq!(operators(&simplified(&file)), ["Relu"]);
}

#[test]
fn a_reversal_of_the_same_shape_stays() {
    let file = graph(13, "f32[N,5]", |graph, x| {
        let (start, end) = (constant(graph, "=[-1]"), constant(graph, "=[-9]"));
        let (axes, steps) = (constant(graph, "=[1]"), constant(graph, "=[-1]"));
        push(graph, "Slice", &[x, start, end, axes, steps], "")
    });
    assert_eq!(operators(&simplified(&file)), ["Slice"]);
}

#[test]
fn a_graph_that_returns_its_input_keeps_one_node() {
    let file = graph(13, "f32[N,5]", |graph, x| push(graph, "Identity", &[x], ""));
    assert_eq!(operators(&simplified(&file)), ["Identity"]);
}

#[test]
fn changes_of_shape_in_a_row_become_one() {
    let file = graph(12, "f32[N,2,4]", |graph, x| {
        let target = constant(graph, "=[-1,4,2,1]");
        let reshaped = push(graph, "Reshape", &[x, target], "");
        let squeezed = push(graph, "Squeeze", &[reshaped], "axes=[3]");
        push(graph, "Flatten", &[squeezed], "")
    });
    let simple = simplified(&file);
    assert_eq!(operators(&simple), ["Reshape"]);
}

/// `Mul` of the three factors of Gelu in one of the orders that exporters write.
fn gelu(graph: &mut Graph, x: ValueId, order: &str) -> ValueId {
    let (half, one) = (constant(graph, "#0.5"), constant(graph, "#1"));
    let scaled = if order.contains("mul") {
        let constant = constant(graph, "#0.70710678");
        push(graph, "Mul", &[constant, x], "")
    } else {
        let constant = constant(graph, "#1.4142135");
        push(graph, "Div", &[x, constant], "")
    };
    let erf = push(graph, "Erf", &[scaled], "");
    let sum = push(graph, "Add", &[erf, one], "");
    let (a, b, c) = match &order[..3] {
        "x s" => (x, sum, half),
        "x h" => (x, half, sum),
        _ => (sum, half, x),
    };
    let inner = push(graph, "Mul", &[a, b], "");
    push(graph, "Mul", &[c, inner], "")
}

#[test]
fn gelu_is_recognised_in_every_order() {
    for order in ["x s h", "x h s", "s h x", "x s h mul"] {
        let file = graph(13, "f32[N,5]", |graph, x| gelu(graph, x, order));
        assert_eq!(operators(&simplified(&file)), ["Gelu"], "{order}");
    }
}

#[test]
fn what_looks_like_gelu_but_is_not_stays() {
    let file = graph(13, "f32[N,5]", |graph, x| {
        let (third, one) = (constant(graph, "#0.3"), constant(graph, "#1"));
        let root = constant(graph, "#1.4142135");
        let scaled = push(graph, "Div", &[x, root], "");
        let erf = push(graph, "Erf", &[scaled], "");
        let sum = push(graph, "Add", &[erf, one], "");
        let product = push(graph, "Mul", &[x, sum], "");
        push(graph, "Mul", &[product, third], "")
    });
    assert_eq!(operators(&simplified(&file)), ["Div", "Erf", "Add", "Mul", "Mul"]);
}

/// `Shape(x)[axis]` as a vector of one element.
fn dimension(graph: &mut Graph, x: ValueId, axis: &str) -> ValueId {
    let shape = push(graph, "Shape", &[x], "");
    let axis = constant(graph, axis);
    let dimension = push(graph, "Gather", &[shape, axis], "");
    push(graph, "Unsqueeze", &[dimension], "axes=[0]")
}

/// Reshape to `[N, rest…]`, the target computed as TorchScript does.
fn reshape_behind_batch(graph: &mut Graph, x: ValueId, rest: &str) -> ValueId {
    let (batch, rest) = (dimension(graph, x, "=0"), constant(graph, rest));
    let target = push(graph, "Concat", &[batch, rest], "axis=0");
    push(graph, "Reshape", &[x, target], "")
}

/// LayerNormalization before it was an operator.
fn layer_normalisation(graph: &mut Graph, x: ValueId) -> ValueId {
    let mean = push(graph, "ReduceMean", &[x], "axes=[-1]");
    let centred = push(graph, "Sub", &[x, mean], "");
    let two = constant(graph, "#2");
    let squared = push(graph, "Pow", &[centred, two], "");
    let variance = push(graph, "ReduceMean", &[squared], "axes=[-1]");
    let epsilon = constant(graph, "#0.001");
    let variance = push(graph, "Add", &[variance, epsilon], "");
    let deviation = push(graph, "Sqrt", &[variance], "");
    let normalised = push(graph, "Div", &[centred, deviation], "");
    let (scale, bias) = (constant(graph, "#[8]"), constant(graph, "#[8]"));
    let scaled = push(graph, "Mul", &[normalised, scale], "");
    push(graph, "Add", &[scaled, bias], "")
}

/// Two heads of four, with a scale that is computed from the width of a head.
fn attention(graph: &mut Graph, x: ValueId) -> ValueId {
    let [query, key, value] = ["perm=[0,2,1,3]", "perm=[0,2,3,1]", "perm=[0,2,1,3]"].map(|perm| {
        let weights = constant(graph, "#[8,8]");
        let projected = push(graph, "MatMul", &[x, weights], "");
        let heads = reshape_behind_batch(graph, projected, "=[5,2,4]");
        push(graph, "Transpose", &[heads], perm)
    });
    let scores = push(graph, "MatMul", &[query, key], "");
    let width = dimension(graph, query, "=3");
    let width = push(graph, "Cast", &[width], "to=1");
    let scale = push(graph, "Sqrt", &[width], "");
    let scores = push(graph, "Div", &[scores, scale], "");
    let weights = push(graph, "Softmax", &[scores], "axis=3");
    let mixed = push(graph, "MatMul", &[weights, value], "");
    let tokens = push(graph, "Transpose", &[mixed], "perm=[0,2,1,3]");
    reshape_behind_batch(graph, tokens, "=[5,8]")
}

/// One block of a Vision Transformer as TorchScript wrote it for opset 9.
fn vision_transformer() -> Graph {
    graph(9, "f32[N,3,4,4]", |graph, images| {
        let weights = constant(graph, "#[8,3,2,2]");
        let patches = push(graph, "Conv", &[images, weights], "kernel_shape=[2,2] strides=[2,2]");
        let patches = reshape_behind_batch(graph, patches, "=[8,4]");
        let patches = push(graph, "Transpose", &[patches], "perm=[0,2,1]");
        let (batch, rest) = (dimension(graph, images, "=0"), constant(graph, "=[1,8]"));
        let sizes = push(graph, "Concat", &[batch, rest], "axis=0");
        let token = constant(graph, "#[1,1,8]");
        let token = push(graph, "Expand", &[token, sizes], "");
        let tokens = push(graph, "Concat", &[token, patches], "axis=1");
        let positions = constant(graph, "#[1,5,8]");
        let tokens = push(graph, "Add", &[tokens, positions], "");
        let normalised = layer_normalisation(graph, tokens);
        let attended = attention(graph, normalised);
        let tokens = push(graph, "Add", &[tokens, attended], "");
        let weights = constant(graph, "#[8,8]");
        let hidden = push(graph, "MatMul", &[tokens, weights], "");
        let hidden = gelu(graph, hidden, "x s h");
        let tokens = push(graph, "Add", &[tokens, hidden], "");
        let first = constant(graph, "=0");
        let class_token = push(graph, "Gather", &[tokens, first], "axis=1");
        let (weights, bias) = (constant(graph, "#[8,3]"), constant(graph, "#[3]"));
        push(graph, "Gemm", &[class_token, weights, bias], "")
    })
}

#[test]
fn a_vision_transformer_of_opset_9() {
    let file = vision_transformer();
    insta::assert_snapshot!("vision_transformer_before", file);
    insta::assert_snapshot!("vision_transformer_after", simplified(&file));
}

/// `Transpose → BatchNormalization → Transpose` over five tokens of eight channels.
fn normalised_tokens(graph: &mut Graph, x: ValueId, perm: &str) -> ValueId {
    let there = push(graph, "Transpose", &[x], perm);
    let parameters: Vec<ValueId> = (0..4).map(|_| constant(graph, "#[8]")).collect();
    let normalised = push(graph, "BatchNormalization", &[&[there], &parameters[..]].concat(), "epsilon=0.5");
    push(graph, "Transpose", &[normalised], perm)
}

#[test]
fn a_normalisation_moves_into_the_weights_that_read_it() {
    let file = graph(9, "f32[N,5,8]", |graph, x| {
        let normalised = normalised_tokens(graph, x, "perm=[0,2,1]");
        let (weights, bias) = (constant(graph, "#[8,3]"), constant(graph, "#[3]"));
        let product = push(graph, "MatMul", &[normalised, weights], "");
        push(graph, "Add", &[bias, product], "")
    });
    assert_eq!(operators(&simplified(&file)), ["Reshape", "Gemm", "Reshape"]);
}

#[test]
fn a_normalisation_that_others_read_loses_its_transpositions() {
    let file = graph(9, "f32[N,5,8]", |graph, x| {
        let normalised = normalised_tokens(graph, x, "perm=[0,2,1]");
        push(graph, "Relu", &[normalised], "")
    });
    assert_eq!(operators(&simplified(&file)), ["Mul", "Add", "Relu"]);
}

#[test]
fn a_normalisation_over_another_axis_stays() {
    let file = graph(9, "f32[N,8,5,2]", |graph, x| normalised_tokens(graph, x, "perm=[0,1,3,2]"));
    assert_eq!(operators(&simplified(&file)), ["Transpose", "BatchNormalization", "Transpose"]);
}

/// Subtraction and division by one number for each of two channels.
fn normalised_pixels(graph: &mut Graph, x: ValueId) -> ValueId {
    let (mean, deviation) = (constant(graph, "#[1,2,1,1]"), constant(graph, "#[2,1,1]"));
    let centred = push(graph, "Sub", &[x, mean], "");
    push(graph, "Div", &[centred, deviation], "")
}

/// A Conv from two channels with weights of that shape, and a bias.
fn convolved(graph: &mut Graph, x: ValueId, weights: &str, bias: &str, attributes: &str) -> ValueId {
    let (weights, bias) = (constant(graph, weights), constant(graph, bias));
    push(graph, "Conv", &[x, weights, bias], attributes)
}

#[test]
fn the_normalisation_of_pixels_moves_into_the_first_convolution() {
    let cases = [
        ("#[3,2,3,3]", "#[3]", ""),
        ("#[3,2,2,2]", "#[3]", "strides=[2,2] pads=[0,0,0,0]"),
        ("#[3,2,2,2]", "#[3]", "auto_pad=VALID dilations=[2,1]"),
        ("#[4,1,3,3]", "#[4]", "group=2"),
    ];
    for (weights, bias, attributes) in cases {
        let file = graph(13, "f32[N,2,6,6]", |graph, x| {
            let pixels = normalised_pixels(graph, x);
            convolved(graph, pixels, weights, bias, attributes)
        });
        assert_eq!(operators(&simplified(&file)), ["Conv"], "{weights} {attributes}");
    }
}

#[test]
fn a_convolution_that_pads_takes_in_the_deviation_alone() {
    for attributes in ["pads=[1,1,1,1]", "pads=[0,0,0,1]", "auto_pad=SAME_UPPER"] {
        let file = graph(13, "f32[N,2,6,6]", |graph, x| {
            let pixels = normalised_pixels(graph, x);
            convolved(graph, pixels, "#[3,2,3,3]", "#[3]", attributes)
        });
        assert_eq!(operators(&simplified(&file)), ["Add", "Conv"], "{attributes}");
    }
}

#[test]
fn what_others_read_too_is_not_computed_twice() {
    let file = graph(13, "f32[N,2,6,6]", |graph, x| {
        let pixels = normalised_pixels(graph, x);
        let edges = convolved(graph, pixels, "#[2,2,3,3]", "#[2]", "pads=[1,1,1,1]");
        push(graph, "Add", &[edges, pixels], "")
    });
    assert_eq!(operators(&simplified(&file)), ["Sub", "Div", "Conv", "Add"]);
}

#[test]
fn the_normalisation_of_flat_pixels_moves_into_the_first_product() {
    for (op_type, weights, attributes) in
        [("Gemm", "#[8,3]", "alpha=0.5 beta=2.0"), ("Gemm", "#[3,8]", "transB=1"), ("MatMul", "#[8,3]", "")]
    {
        let file = graph(13, "f32[N,2,2,2]", |graph, x| {
            let pixels = normalised_pixels(graph, x);
            let flat = push(graph, "Flatten", &[pixels], "");
            let (weights, bias) = (constant(graph, weights), constant(graph, "#[3]"));
            match op_type {
                "Gemm" => push(graph, "Gemm", &[flat, weights, bias], attributes),
                _ => push(graph, "MatMul", &[flat, weights], attributes),
            }
        });
        let wanted: &[&str] =
            if op_type == "Gemm" { &["Flatten", "Gemm"] } else { &["Flatten", "MatMul", "Add"] };
        assert_eq!(operators(&simplified(&file)), wanted, "{attributes}");
    }
}

#[test]
fn a_normalisation_behind_a_layer_moves_into_its_weights() {
    let parameters =
        |graph: &mut Graph| -> Vec<ValueId> { (0..4).map(|_| constant(graph, "#[4]")).collect() };
    let convolution = graph(13, "f32[N,2,5,5]", |graph, x| {
        let features = convolved(graph, x, "#[4,1,3,3]", "#[4]", "group=2 pads=[1,1,1,1]");
        let parameters = parameters(graph);
        push(graph, "BatchNormalization", &[&[features], &parameters[..]].concat(), "epsilon=0.5")
    });
    assert_eq!(operators(&simplified(&convolution)), ["Conv"]);
    let product = graph(13, "f32[N,3]", |graph, x| {
        let (weights, bias) = (constant(graph, "#[3,4]"), constant(graph, "#[1,4]"));
        let features = push(graph, "Gemm", &[x, weights, bias], "alpha=0.5 beta=2.0");
        let parameters = parameters(graph);
        push(graph, "BatchNormalization", &[&[features], &parameters[..]].concat(), "")
    });
    assert_eq!(operators(&simplified(&product)), ["Gemm"]);
}

#[test]
fn a_normalisation_of_what_others_read_stays() {
    let file = graph(13, "f32[N,2,5,5]", |graph, x| {
        let features = convolved(graph, x, "#[4,2,3,3]", "#[4]", "");
        let parameters: Vec<ValueId> = (0..4).map(|_| constant(graph, "#[4]")).collect();
        let normalised =
            push(graph, "BatchNormalization", &[&[features], &parameters[..]].concat(), "epsilon=0.5");
        push(graph, "Add", &[features, normalised], "")
    });
    assert_eq!(operators(&simplified(&file)), ["Conv", "BatchNormalization", "Add"]);
}

#[test]
fn values_of_a_column_are_not_taken_for_values_of_a_channel() {
    let file = graph(13, "f32[N,2,4,2]", |graph, x| {
        let columns = constant(graph, "#[2]");
        let scaled = push(graph, "Mul", &[x, columns], "");
        convolved(graph, scaled, "#[3,2,3,1]", "#[3]", "")
    });
    assert_eq!(operators(&simplified(&file)), ["Mul", "Conv"]);
}

#[test]
fn linear_layers_over_tokens_become_products_of_rows() {
    let file = graph(13, "f32[N,5,4]", |graph, x| {
        let hidden = [("#[4,6]", "#[6]"), ("#[6,4]", "#[4]")].into_iter().fold(x, |x, (weights, bias)| {
            let (weights, bias) = (constant(graph, weights), constant(graph, bias));
            let product = push(graph, "MatMul", &[x, weights], "");
            let sum = push(graph, "Add", &[bias, product], "");
            push(graph, "Relu", &[sum], "")
        });
        push(graph, "Add", &[x, hidden], "")
    });
    let simple = simplified(&file);
    assert_eq!(operators(&simple), ["Reshape", "Gemm", "Relu", "Gemm", "Relu", "Reshape", "Add"]);
}

#[test]
fn the_size_of_a_batch_is_read_where_it_comes_in() {
    let file = graph(13, "f32[N,2]", |graph, x| {
        let positive = push(graph, "Relu", &[x], "");
        let doubled = push(graph, "Add", &[positive, positive], "");
        let shape = push(graph, "Shape", &[doubled], "");
        push(graph, "ConstantOfShape", &[shape], "")
    });
    assert_eq!(operators(&simplified(&file)), ["Shape", "ConstantOfShape"]);
}

/// How exporters write the projections and the scale of attention.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Projections {
    /// One each, the scores being divided.
    Apart,
    /// One for all three, the query being multiplied before it is cut into heads, the key after.
    Joint,
    /// One each, without biases, the query reading other tokens.
    OtherQuery,
}

/// `x·weights + bias` from 8 channels.
fn linear(graph: &mut Graph, x: ValueId, weights: &str, bias: &str) -> ValueId {
    let (weights, bias) = (constant(graph, weights), constant(graph, bias));
    let product = push(graph, "MatMul", &[x, weights], "");
    push(graph, "Add", &[product, bias], "")
}

fn query_key_value(graph: &mut Graph, x: ValueId, projections: Projections) -> [ValueId; 3] {
    match projections {
        Projections::Apart => ["#[8,8]"; 3].map(|weights| linear(graph, x, weights, "#[8]")),
        Projections::Joint => {
            let joint = linear(graph, x, "#[8,24]", "#[24]");
            let sizes = constant(graph, "=[8,8,8]");
            let parts = push_all(graph, "Split", &[Some(joint), Some(sizes)], "axis=2", 3);
            [parts[0], parts[1], parts[2]]
        }
        Projections::OtherQuery => {
            let other = push(graph, "Relu", &[x], "");
            [other, x, x].map(|x| {
                let weights = constant(graph, "#[8,8]");
                push(graph, "MatMul", &[x, weights], "")
            })
        }
    }
}

/// Shares and averages of attention by two heads of four over five tokens. The scale is small, so that shares differ
/// from token to token without one taking all.
fn shares_and_averages(graph: &mut Graph, x: ValueId, projections: Projections) -> [ValueId; 2] {
    let [mut query, key, value] = query_key_value(graph, x, projections);
    let (joint, scale, divisor) =
        (projections == Projections::Joint, constant(graph, "#0.005"), constant(graph, "#200"));
    if joint {
        query = push(graph, "Mul", &[scale, query], "");
    }
    let heads = constant(graph, "=[0,5,2,4]");
    let [query, key, value] = [(query, "perm=[0,2,1,3]"), (key, "perm=[0,2,3,1]"), (value, "perm=[0,2,1,3]")]
        .map(|(projected, perm)| {
            let heads = push(graph, "Reshape", &[projected, heads], "");
            push(graph, "Transpose", &[heads], perm)
        });
    let mut scores = push(graph, "MatMul", &[query, key], "");
    if !joint {
        scores = push(graph, "Div", &[scores, divisor], "");
    }
    let shares = push(graph, "Softmax", &[scores], "axis=-1");
    let mixed = push(graph, "MatMul", &[shares, value], "");
    let tokens = push(graph, "Transpose", &[mixed], "perm=[0,2,1,3]");
    let target = constant(graph, "=[0,5,8]");
    [shares, push(graph, "Reshape", &[tokens, target], "")]
}

/// Averages of eight values below 16, projected by eight weights below 2: some 100, of which 24 bits are kept.
const ATTENTION_TOLERANCE: f32 = 1e-4;

#[test]
fn attention_has_its_heads_in_front() {
    let stack =
        ["Reshape", "MatMul", "Split", "Reshape", "Add", "Reshape", "Reshape", "Reshape", "Transpose"];
    let rest = ["MatMul", "Softmax", "MatMul", "Transpose", "Reshape", "Gemm", "Reshape"];
    for projections in [Projections::Apart, Projections::Joint] {
        let file = graph(14, "f32[N,5,8]", |graph, x| {
            let [_, averages] = shares_and_averages(graph, x, projections);
            linear(graph, averages, "#[8,3]", "#[3]")
        });
        let simple = simplified_within(&file, ATTENTION_TOLERANCE);
        let mut found = operators(&simple);
        let mut wanted = [&stack[..], &rest[..]].concat();
        found.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(found, wanted, "{projections:?}\n{simple}");
    }
}

#[test]
fn a_bias_of_the_values_is_added_to_their_averages() {
    let file = graph(14, "f32[N,5,8]", |graph, x| shares_and_averages(graph, x, Projections::Apart)[1]);
    let simple = simplified_within(&file, ATTENTION_TOLERANCE);
    assert_eq!(operators(&simple).last(), Some(&"Add"));
    assert_eq!(operators(&simple).iter().filter(|op_type| **op_type == "Transpose").count(), 2);
}

#[test]
fn tokens_of_their_own_are_projected_apart() {
    let file = graph(14, "f32[N,5,8]", |graph, x| shares_and_averages(graph, x, Projections::OtherQuery)[1]);
    let simple = simplified_within(&file, ATTENTION_TOLERANCE);
    assert_eq!(operators(&simple).iter().filter(|op_type| **op_type == "Split").count(), 1);
    assert!(!operators(&simple).contains(&"Add"));
}

#[test]
fn attention_whose_shares_others_read_stays() {
    let read = graph(14, "f32[N,5,8]", |graph, x| {
        let [shares, averages] = shares_and_averages(graph, x, Projections::Apart);
        let axes = constant(graph, "=[1,2,3]");
        let sum = push(graph, "ReduceSum", &[shares, axes], "keepdims=0");
        let target = constant(graph, "=[-1,1,1]");
        let sum = push(graph, "Reshape", &[sum, target], "");
        push(graph, "Add", &[averages, sum], "")
    });
    let simple = simplified_within(&read, ATTENTION_TOLERANCE);
    assert!(!operators(&simple).contains(&"Split"), "{simple}");
}

/// The shapes of what nodes of that operator compute.
fn shapes_of(graph: &Graph, op_type: &str) -> Vec<String> {
    let nodes = graph.nodes().iter().filter(|node| node.op_type == op_type);
    nodes.map(|node| graph.shape(node.outputs[0].unwrap()).unwrap().to_string()).collect()
}

/// `x + W₂·gelu(W₁·norm(x))` over five tokens of eight channels.
fn perceptron(graph: &mut Graph, x: ValueId) -> ValueId {
    let (scale, bias) = (constant(graph, "#[8]"), constant(graph, "#[8]"));
    let normalised = push(graph, "LayerNormalization", &[x, scale, bias], "epsilon=0.01");
    let hidden = linear(graph, normalised, "#[8,6]", "#[6]");
    let hidden = push(graph, "Sigmoid", &[hidden], "");
    let output = linear(graph, hidden, "#[6,8]", "#[8]");
    push(graph, "Add", &[x, output], "")
}

fn token(graph: &mut Graph, x: ValueId, index: &str) -> ValueId {
    let index = constant(graph, index);
    push(graph, "Gather", &[x, index], "axis=1")
}

#[test]
fn what_acts_on_each_token_is_computed_for_the_chosen_one() {
    for index in ["=0", "=[-2]"] {
        let file = graph(17, "f32[N,5,8]", |graph, x| {
            let tokens = perceptron(graph, x);
            let positions = constant(graph, "#[1,5,8]");
            let tokens = push(graph, "Mul", &[tokens, positions], "");
            token(graph, tokens, index)
        });
        let simple = simplified_within(&file, ATTENTION_TOLERANCE);
        assert_eq!(shapes_of(&simple, "Gemm"), ["[N, 6]", "[N, 8]"]);
        assert_eq!(shapes_of(&simple, "LayerNormalization"), ["[N, 1, 8]"]);
    }
}

#[test]
fn attention_for_one_token_still_sees_all_keys_and_values() {
    let file = graph(17, "f32[N,5,8]", |graph, x| {
        let [_, averages] = shares_and_averages(graph, x, Projections::Joint);
        let tokens = linear(graph, averages, "#[8,8]", "#[8]");
        let tokens = push(graph, "Add", &[x, tokens], "");
        token(graph, tokens, "=3")
    });
    let simple = simplified_within(&file, ATTENTION_TOLERANCE);
    assert_eq!(shapes_of(&simple, "Softmax"), ["[2, N, 1, 5]"]);
    assert_eq!(shapes_of(&simple, "Split"), ["[2, 5N, 4]"]);
    assert_eq!(shapes_of(&simple, "Gemm"), ["[N, 8]"]);
}

#[test]
fn a_mean_comes_before_the_layer_whose_result_it_is_of() {
    let file = graph(17, "f32[N,5,8]", |graph, x| {
        let tokens = perceptron(graph, x);
        push(graph, "ReduceMean", &[tokens], "axes=[1] keepdims=0")
    });
    let simple = simplified_within(&file, ATTENTION_TOLERANCE);
    assert_eq!(shapes_of(&simple, "Gemm"), ["[5N, 6]", "[N, 8]"]);
    assert_eq!(shapes_of(&simple, "ReduceMean"), ["[N, 1, 6]", "[N, 1, 8]"]);
}

#[test]
fn tokens_of_which_others_are_read_are_all_computed() {
    let two = graph(17, "f32[N,5,8]", |graph, x| {
        let tokens = perceptron(graph, x);
        let (first, second) = (token(graph, tokens, "=0"), token(graph, tokens, "=1"));
        push(graph, "Sub", &[first, second], "")
    });
    let all = graph(17, "f32[N,5,8]", |graph, x| {
        let tokens = perceptron(graph, x);
        let first = token(graph, tokens, "=[0]");
        push(graph, "Sub", &[tokens, first], "")
    });
    for file in [two, all] {
        let simple = simplified_within(&file, ATTENTION_TOLERANCE);
        assert_eq!(shapes_of(&simple, "Gemm"), ["[5N, 6]", "[5N, 8]"]);
    }
}

#[test]
fn what_mixes_tokens_is_computed_for_all() {
    for (op_type, attributes) in [("Softmax", "axis=1"), ("LayerNormalization", "axis=1")] {
        let file = graph(17, "f32[N,5,8]", |graph, x| {
            let tokens = linear(graph, x, "#[8,8]", "#[8]");
            let mixed = match op_type {
                "Softmax" => push(graph, op_type, &[tokens], attributes),
                _ => {
                    let (scale, bias) = (constant(graph, "#[5,8]"), constant(graph, "#[5,8]"));
                    push(graph, op_type, &[tokens, scale, bias], attributes)
                }
            };
            token(graph, mixed, "=2")
        });
        let simple = simplified_within(&file, ATTENTION_TOLERANCE);
        assert_eq!(shapes_of(&simple, "Gemm"), ["[5N, 8]"], "{op_type}");
    }
}

#[test]
fn channels_are_brought_last_before_rows_are_joined() {
    let file = graph(13, "f32[N,2,4,6]", |graph, x| {
        let patches = convolved(graph, x, "#[3,2,2,2]", "#[3]", "strides=[2,2]");
        let target = constant(graph, "=[0,3,-1]");
        let flat = push(graph, "Reshape", &[patches, target], "");
        push(graph, "Transpose", &[flat], "perm=[0,2,1]")
    });
    let simple = simplified(&file);
    assert_eq!(operators(&simple), ["Conv", "Transpose", "Reshape"]);
    assert_eq!(shapes_of(&simple, "Transpose"), ["[N, 2, 3, 3]"]);
}

#[test]
fn joined_channels_are_not_brought_last() {
    let file = graph(13, "f32[N,2,4,6]", |graph, x| {
        let target = constant(graph, "=[0,8,6]");
        let flat = push(graph, "Reshape", &[x, target], "");
        push(graph, "Transpose", &[flat], "perm=[0,2,1]")
    });
    assert_eq!(operators(&simplified(&file)), ["Reshape", "Transpose"]);
}

/// Attention as timm writes it: query, key and value on an axis of their own, picked by that operator.
fn unbound_attention(graph: &mut Graph, x: ValueId, picked_by: &str) -> ValueId {
    let projected = linear(graph, x, "#[8,24]", "#[24]");
    let target = constant(graph, "=[0,5,3,2,4]");
    let cut = push(graph, "Reshape", &[projected, target], "");
    let whole = push(graph, "Transpose", &[cut], "perm=[2,0,3,1,4]");
    let axis = constant(graph, "=[0]");
    let [query, key, value]: [ValueId; 3] = match picked_by {
        "Split" => {
            let parts = push_all(graph, "Split", &[Some(whole)], "axis=0 num_outputs=3", 3);
            [0, 1, 2].map(|index| push(graph, "Squeeze", &[parts[index], axis], ""))
        }
        "Slice" => ["=[0]", "=[1]", "=[2]", "=[3]"]
            .windows(2)
            .map(|bounds| {
                let (start, end) = (constant(graph, bounds[0]), constant(graph, bounds[1]));
                let part = push(graph, "Slice", &[whole, start, end, axis], "");
                push(graph, "Squeeze", &[part, axis], "")
            })
            .collect::<Vec<_>>()
            .try_into()
            .unwrap(),
        _ => ["=0", "=1", "=2"].map(|index| {
            let index = constant(graph, index);
            push(graph, "Gather", &[whole, index], "axis=0")
        }),
    };
    // The key transposed as PyTorch's dynamo exporter does it.
    let (joined, apart) = (constant(graph, "=[-1,5,4]"), constant(graph, "=[-1,2,4,5]"));
    let key = push(graph, "Reshape", &[key, joined], "");
    let key = push(graph, "Transpose", &[key], "perm=[0,2,1]");
    let key = push(graph, "Reshape", &[key, apart], "");
    let scale = constant(graph, "#0.07");
    let (query, key) = (push(graph, "Mul", &[query, scale], ""), push(graph, "Mul", &[key, scale], ""));
    let scores = push(graph, "MatMul", &[query, key], "");
    let shares = push(graph, "Softmax", &[scores], "axis=-1");
    let mixed = push(graph, "MatMul", &[shares, value], "");
    let tokens = push(graph, "Transpose", &[mixed], "perm=[0,2,1,3]");
    let target = constant(graph, "=[0,5,8]");
    push(graph, "Reshape", &[tokens, target], "")
}

#[test]
fn projections_on_an_axis_of_their_own_are_projections_all_the_same() {
    for picked_by in ["Split", "Slice", "Gather"] {
        let file = graph(18, "f32[N,5,8]", |graph, x| unbound_attention(graph, x, picked_by));
        let simple = simplified_within(&file, ATTENTION_TOLERANCE);
        assert_eq!(shapes_of(&simple, "Split"), ["[2, 5N, 4]"], "{picked_by}");
        assert_eq!(shapes_of(&simple, "Transpose"), ["[2, N, 4, 5]", "[N, 5, 2, 4]"], "{picked_by}");
    }
}

/// Width of the normalised axis in the tests of LayerNormalization.
fn normalised(graph: &mut Graph, x: ValueId) -> ValueId {
    let (scale, shift) = (constant(graph, "#[8]"), constant(graph, "#[8]"));
    push(graph, "LayerNormalization", &[x, scale, shift], "epsilon=0.001")
}

/// The constant that is input `index` of the first node with that operator.
fn constant_input(graph: &Graph, op_type: &str, index: usize) -> Option<Vec<f32>> {
    let node = graph.nodes().iter().find(|node| node.op_type == op_type)?;
    graph.constant(node.optional_input(index)?)?.to_f32()
}

#[test]
fn the_affine_part_and_the_centring_of_a_layer_norm_go_into_every_matrix_that_reads_it() {
    let file = graph(17, "f32[N,5,8]", |graph, x| {
        let normal = normalised(graph, x);
        let (left, right) = (constant(graph, "#[8,3]"), constant(graph, "#[8,3]"));
        let (left, right) =
            (push(graph, "MatMul", &[normal, left], ""), push(graph, "MatMul", &[normal, right], ""));
        push(graph, "Mul", &[left, right], "")
    });
    let simple = simplified_within(&file, 1e-3);
    assert_eq!(constant_input(&simple, "LayerNormalization", 1), Some(vec![1.0; 8]));
    assert_eq!(constant_input(&simple, "LayerNormalization", 2), None);
    for node in simple.nodes().iter().filter(|node| node.op_type == "Gemm") {
        let weights = simple.constant(node.inputs[1].unwrap()).unwrap().to_f32().unwrap();
        for column in 0..3 {
            let sum: f32 = weights[column..].iter().step_by(3).sum();
            assert!(sum.abs() < 1e-6, "{weights:?}");
        }
    }
    assert_eq!(operators(&simple).iter().filter(|op_type| **op_type == "Gemm").count(), 2);
}

#[test]
fn a_layer_norm_that_others_read_too_keeps_its_affine_part() {
    let file = graph(17, "f32[N,5,8]", |graph, x| {
        let normal = normalised(graph, x);
        let weights = constant(graph, "#[8,8]");
        let product = push(graph, "MatMul", &[normal, weights], "");
        push(graph, "Add", &[product, normal], "")
    });
    let simple = simplified_within(&file, 1e-4);
    assert_eq!(constant_input(&simple, "LayerNormalization", 1).unwrap()[1], 0.5 + 37.0 / 64.0);
    assert!(constant_input(&simple, "LayerNormalization", 2).is_some());
}

#[test]
fn a_gelu_written_out_leaves_its_factors_in_the_layers_around() {
    let file = graph(20, "f32[N,8]", |graph, x| {
        let (inner, outer) = (constant(graph, "#[8,3]"), constant(graph, "#[3,8]"));
        let hidden = push(graph, "Gemm", &[x, inner], "");
        let active = push(graph, "Gelu", &[hidden], "");
        push(graph, "Gemm", &[active, outer], "")
    });
    let mut simple = simplified(&file);
    assert_eq!(operators(&simple), ["Gemm", "Gelu", "Gemm"]);
    super::expand_gelu(&mut simple).unwrap();
    assert_eq!(operators(&simple), ["Gemm", "Erf", "Add", "Mul", "Gemm"]);
    assert_equal_results(&file, &simple, 1e-5);
}

#[test]
fn a_gelu_without_layers_around_keeps_its_factors_and_the_tanh_form_stays() {
    let mut exact = simplified(&graph(20, "f32[N,8]", |graph, x| push(graph, "Gelu", &[x], "")));
    super::expand_gelu(&mut exact).unwrap();
    assert_eq!(operators(&exact), ["Mul", "Erf", "Add", "Mul", "Mul"]);
    assert_equal_results(&graph(20, "f32[N,8]", |graph, x| push(graph, "Gelu", &[x], "")), &exact, 1e-6);
    let mut tanh =
        simplified(&graph(20, "f32[N,8]", |graph, x| push(graph, "Gelu", &[x], "approximate=tanh")));
    super::expand_gelu(&mut tanh).unwrap();
    assert_eq!(operators(&tanh), ["Gelu"]);
}

/// `x·sin x + x·y·z` of `x`, `y = x + 1`, `z = exp x`, simplified but for the common factor.
fn sum_of_products(read_twice: bool) -> Graph {
    graph(20, "f32[N,4]", |graph, x| {
        let one = constant(graph, "#1");
        let (sine, y, z) =
            (push(graph, "Sin", &[x], ""), push(graph, "Add", &[x, one], ""), push(graph, "Exp", &[x], ""));
        let left = push(graph, "Mul", &[sine, x], "");
        let right = push(graph, "Mul", &[x, y], "");
        let right = push(graph, "Mul", &[right, z], "");
        let sum = push(graph, "Add", &[left, right], "");
        if read_twice { push(graph, "Sub", &[sum, right], "") } else { sum }
    })
}

#[test]
fn a_common_factor_of_two_products_is_taken_out() {
    let count = |graph: &Graph| operators(graph).iter().filter(|op_type| **op_type == "Mul").count();
    for (read_twice, before, after) in [(false, 3, 2), (true, 3, 3)] {
        let file = sum_of_products(read_twice);
        let mut graph = upgrade(&file).unwrap();
        super::factor_out_common(&mut graph);
        assert_eq!((count(&file), count(&graph)), (before, after), "read twice: {read_twice}");
        assert_equal_results(&file, &graph, 1e-5);
    }
}

#[test]
fn a_factor_that_is_the_whole_of_one_side_leaves_a_one() {
    let file = graph(20, "f32[N,4]", |graph, x| {
        let sine = push(graph, "Sin", &[x], "");
        let product = push(graph, "Mul", &[x, sine], "");
        push(graph, "Add", &[x, product], "")
    });
    let mut graph = upgrade(&file).unwrap();
    super::factor_out_common(&mut graph);
    assert_eq!(operators(&graph), ["Sin", "Add", "Mul"]);
    assert_equal_results(&file, &graph, 1e-6);
}

/// `Gather(Reshape(x, [-1]), k·n + c)` as the dynamo exporter writes it, for `x` `[N, 2, 3]`.
fn strided(factor: &str, offsets: &str) -> Graph {
    graph(18, "f32[N,2,3]", |graph, x| {
        let all = constant(graph, "=[-1]");
        let flat = push(graph, "Reshape", &[x, all], "");
        let size = push(graph, "Shape", &[x], "start=0 end=1");
        let batch = push(graph, "Squeeze", &[size], "");
        let (zero, one) = (constant(graph, "=0"), constant(graph, "=1"));
        let images = push(graph, "Range", &[zero, batch, one], "");
        let factor = constant(graph, factor);
        let starts = push(graph, "Mul", &[images, factor], "");
        let axes = constant(graph, "=[1]");
        let starts = push(graph, "Unsqueeze", &[starts, axes], "");
        let offsets = constant(graph, offsets);
        let indices = push(graph, "Add", &[starts, offsets], "");
        push(graph, "Gather", &[flat, indices], "axis=0")
    })
}

#[test]
fn a_strided_view_picks_from_each_image_by_itself() {
    let simple = simplified(&strided("=6", "=[5,0,0,2]"));
    assert_eq!(operators(&simple), ["Reshape", "Gather"]);
    assert_eq!(simple.shape(simple.outputs()[0]).unwrap().to_string(), "[N, 4]");
    let indices = simple.nodes()[1].inputs[1].unwrap();
    assert_eq!(simple.constant(indices).unwrap().to_i64().unwrap(), [5, 0, 0, 2]);
}

#[test]
fn a_view_that_leaves_its_image_stays_as_it_is() {
    // Overlapping images, a stride that is not an image, an offset into the next image.
    for (factor, offsets) in [("=3", "=[0,1]"), ("=5", "=[0,1]"), ("=6", "=[0,6]")] {
        let mut graph = upgrade(&strided(factor, offsets)).unwrap();
        simplify(&mut graph).unwrap();
        assert!(operators(&graph).contains(&"Range"), "{factor}, {offsets}: {graph}");
    }
}

/// A residual block and its mean over pixels as logits, and behind them what a backward pass has: an Expand that a
/// product and a convolution read.
fn expand_behind_logits(channels: usize) -> (Graph, ValueId) {
    let mut logits = None;
    let file = graph(20, &format!("f32[N,{channels},4,4]"), |graph, x| {
        let pooled = push(graph, "GlobalAveragePool", &[x], "");
        logits = Some(push(graph, "Flatten", &[pooled], ""));
        let (target, weights) = (
            constant(graph, &format!("=[1,{channels},4,4]")),
            constant(graph, &format!("#[{channels},{channels},1,1]")),
        );
        let expanded = push(graph, "Expand", &[pooled, target], "");
        let masked = push(graph, "Mul", &[expanded, x], "");
        push(graph, "Conv", &[masked, weights], "")
    });
    (upgrade(&file).unwrap(), logits.unwrap())
}

#[test]
fn what_a_backward_pass_expands_enters_the_blocks_of_convolutions() {
    let (before, logits) = expand_behind_logits(16);
    let mut after = before.clone();
    super::enter_blocked_layout(&mut after, logits);
    assert_eq!(operators(&after), ["GlobalAveragePool", "Flatten", "Expand", "AveragePool", "Mul", "Conv"]);
    assert_equal_results(&before, &after, 1e-6);
}

#[test]
fn channels_that_make_no_blocks_stay_in_rows() {
    let (mut graph, logits) = expand_behind_logits(12);
    super::enter_blocked_layout(&mut graph, logits);
    assert!(!operators(&graph).contains(&"AveragePool"));
}
