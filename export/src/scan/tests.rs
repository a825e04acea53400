//! What the scan says of small graphs.

use super::{batch, scan};
use crate::graph::{Graph, ValueId};
use crate::tensor::Tensor;
use crate::testing::{add, push, push_all};
use crate::working_copy::WorkingCopy;

/// Names of the operators that mix images, and whether something was left open.
fn mixing(build: impl FnOnce(&mut Graph, ValueId) -> ValueId) -> (Vec<String>, bool) {
    let mut graph = Graph::new("test", 20);
    let x = add(&mut graph, "f32[N,4,6]").unwrap();
    let output = build(&mut graph, x);
    graph.add_output(output);
    let copy = WorkingCopy::new(&graph).unwrap();
    let batch = batch(&copy.graph).unwrap();
    (batch.mixing.into_iter().map(|node| node.operator).collect(), batch.is_unknown)
}

fn reshape(graph: &mut Graph, x: ValueId, target: &str) -> ValueId {
    let target = add(graph, target).unwrap();
    push(graph, "Reshape", &[x, target], "")
}

fn with(graph: &mut Graph, op_type: &str, x: ValueId, second: &str, attributes: &str) -> ValueId {
    let second = add(graph, second).unwrap();
    push(graph, op_type, &[x, second], attributes)
}

/// `GatherND(x, indices)`
fn by_coordinates(graph: &mut Graph, x: ValueId, dims: [usize; 2], indices: &[i64]) -> ValueId {
    let indices = graph.add_constant("indices", Tensor::from_i64(&dims, indices));
    push(graph, "GatherND", &[x, indices], "")
}

/// `Gather(Reshape(x, [-1]), 24·n + c)` as PyTorch writes some views.
fn strided(graph: &mut Graph, x: ValueId, offsets: &str) -> ValueId {
    let flat = reshape(graph, x, "=[-1]");
    let size = push(graph, "Shape", &[x], "start=0 end=1");
    let batch = push(graph, "Squeeze", &[size], "");
    let [zero, one, factor] = ["=0", "=1", "=24"].map(|number| add(graph, number).unwrap());
    let images = push(graph, "Range", &[zero, batch, one], "");
    let starts = push(graph, "Mul", &[images, factor], "");
    let starts = with(graph, "Unsqueeze", starts, "=[1]", "");
    let indices = with(graph, "Add", starts, offsets, "");
    push(graph, "Gather", &[flat, indices], "axis=0")
}

/// What a file does with its images, and the operators that mix them.
type Case = (&'static str, fn(&mut Graph, ValueId) -> ValueId, &'static [&'static str]);

const APART: &[Case] = &[
    ("rows of a linear layer", |graph, x| with(graph, "MatMul", x, "#[6,3]", ""), &[]),
    ("softmax over pixels", |graph, x| push(graph, "Softmax", &[x], "axis=-1"), &[]),
    ("a sum over pixels", |graph, x| with(graph, "ReduceSum", x, "=[1,2]", "keepdims=0"), &[]),
    (
        "attention whose heads lie in the batch",
        |graph, x| {
            let heads = reshape(graph, x, "=[-1,4,2,3]"); // [N, T, h, d]
            let heads = push(graph, "Transpose", &[heads], "perm=[0,2,1,3]"); // [N, h, T, d]
            let stacked = reshape(graph, heads, "=[-1,4,3]"); // [N·h, T, d]
            let keys = push(graph, "Transpose", &[stacked], "perm=[0,2,1]");
            let scores = push(graph, "MatMul", &[stacked, keys], "");
            let scores = push(graph, "Softmax", &[scores], "axis=2");
            let attended = push(graph, "MatMul", &[scores, stacked], "");
            reshape(graph, attended, "=[-1,24]")
        },
        &[],
    ),
    (
        "heads in front of the batch",
        |graph, x| {
            let heads = reshape(graph, x, "=[-1,4,2,3]");
            let heads = push(graph, "Transpose", &[heads], "perm=[2,0,1,3]"); // [h, N, T, d]
            let stacked = reshape(graph, heads, "=[-1,4,3]"); // [h·N, T, d]
            let back = reshape(graph, stacked, "=[2,-1,4,3]");
            push(graph, "Transpose", &[back], "perm=[1,0,2,3]")
        },
        &[],
    ),
    (
        "an image and its mirror, averaged",
        |graph, x| {
            let both = push(graph, "Concat", &[x, x], "axis=0"); // [2N, …]
            let pairs = reshape(graph, both, "=[2,-1,4,6]");
            with(graph, "ReduceMean", pairs, "=[0]", "keepdims=0")
        },
        &[],
    ),
    (
        "halves of an image and its mirror",
        |graph, x| {
            let both = push(graph, "Concat", &[x, x], "axis=0"); // [2N, …]
            let halves = push_all(graph, "Split", &[Some(both)], "axis=0 num_outputs=2", 2);
            push(graph, "Add", &halves, "")
        },
        &[],
    ),
    (
        "a grid for each",
        |graph, x| {
            let image = reshape(graph, x, "=[-1,1,4,6]");
            let places = reshape(graph, x, "=[-1,4,3,2]");
            push(graph, "GridSample", &[image, places], "")
        },
        &[],
    ),
    (
        "steps of an LSTM",
        |graph, x| {
            let steps = push(graph, "Transpose", &[x], "perm=[1,0,2]"); // [4, N, 6]
            let [weights, recurrent] = ["#[1,8,6]", "#[1,8,2]"].map(|text| add(graph, text).unwrap());
            let states = push(graph, "LSTM", &[steps, weights, recurrent], "hidden_size=2"); // [4, 1, N, 2]
            push(graph, "Transpose", &[states], "perm=[2,0,1,3]")
        },
        &[],
    ),
    ("one token of each", |graph, x| with(graph, "Gather", x, "=0", "axis=1"), &[]),
    ("a strided view of each", |graph, x| strided(graph, x, "=[5,0,23]"), &[]),
    ("an area cosine", |graph, x| push(graph, "Acosh", &[x], ""), &[]),
    ("an area sine", |graph, x| push(graph, "Asinh", &[x], ""), &[]),
    ("an area tangent", |graph, x| push(graph, "Atanh", &[x], ""), &[]),
    (
        "a product of the tokens of each",
        |graph, x| push(graph, "Einsum", &[x, x], "equation=bik,bjk->ibj"),
        &[],
    ),
    ("a linear layer as Einsum", |graph, x| with(graph, "Einsum", x, "#[6,3]", "equation=bik,kj->bij"), &[]),
    (
        "a token of each by coordinates",
        |graph, x| {
            let first = push(graph, "Transpose", &[x], "perm=[1,2,0]"); // [4, 6, N]
            let picked = by_coordinates(graph, first, [3, 2], &[3, 0, 1, 5, 0, 0]); // [3, N]
            push(graph, "Transpose", &[picked], "perm=[1,0]")
        },
        &[],
    ),
    (
        "rows chosen for each",
        |graph, x| {
            let first = push(graph, "Transpose", &[x], "perm=[1,0,2]"); // [4, N, 6]
            let picked = by_coordinates(graph, first, [2, 1], &[3, 1]); // [2, N, 6]
            push(graph, "Transpose", &[picked], "perm=[1,0,2]")
        },
        &[],
    ),
];

const MIXED: &[Case] = &[
    ("a strided view that ends in the next image", |graph, x| strided(graph, x, "=[5,0,24]"), &["Gather"]),
    (
        "centred by the batch",
        |graph, x| {
            let mean = with(graph, "ReduceMean", x, "=[0]", "");
            push(graph, "Sub", &[x, mean], "")
        },
        &["ReduceMean"],
    ),
    ("softmax over the batch", |graph, x| push(graph, "Softmax", &[x], "axis=0"), &["Softmax"]),
    (
        "a sum over the batch as Einsum",
        |graph, x| push(graph, "Einsum", &[x, x], "equation=bik,cik->bc"),
        &["Einsum"],
    ),
    (
        "the average image as Einsum",
        |graph, x| {
            let sum = push(graph, "Einsum", &[x], "equation=bik->ik");
            push(graph, "Sub", &[x, sum], "")
        },
        &["Einsum"],
    ),
    (
        "an image by coordinates",
        |graph, x| {
            let image = by_coordinates(graph, x, [1, 1], &[0]);
            push(graph, "Sub", &[x, image], "")
        },
        &["GatherND"],
    ),
    ("a sum so far", |graph, x| with(graph, "CumSum", x, "=0", ""), &["CumSum"]),
    (
        "attention over the batch",
        |graph, x| {
            let tokens = push(graph, "Transpose", &[x], "perm=[1,0,2]"); // [T, N, d]
            let keys = push(graph, "Transpose", &[x], "perm=[1,2,0]"); // [T, d, N]
            let scores = push(graph, "MatMul", &[tokens, keys], ""); // [T, N, N]
            let attended = push(graph, "MatMul", &[scores, tokens], "");
            push(graph, "Transpose", &[attended], "perm=[1,0,2]")
        },
        &["MatMul"],
    ),
    (
        "images cut and joined anew",
        |graph, x| {
            let first = push(graph, "Transpose", &[x], "perm=[1,0,2]"); // [4, N, 6]
            reshape(graph, first, "=[-1,4,6]")
        },
        &["Reshape"],
    ),
    (
        "one scale for the batch",
        |graph, x| {
            let outputs = push_all(graph, "DynamicQuantizeLinear", &[Some(x)], "", 3);
            push(graph, "DequantizeLinear", &outputs, "")
        },
        &["DynamicQuantizeLinear"],
    ),
    (
        "two neighbours, one behind the other",
        |graph, x| {
            let both = push(graph, "Concat", &[x, x], "axis=0"); // [2N, …]
            let pairs = reshape(graph, both, "=[-1,2,4,6]");
            with(graph, "ReduceMean", pairs, "=[1]", "keepdims=0")
        },
        &["Reshape"],
    ),
    (
        "the first image for all",
        |graph, x| {
            let first = with(graph, "Gather", x, "=[0]", "axis=0");
            push(graph, "Add", &[x, first], "")
        },
        &["Gather"],
    ),
];

#[test]
fn images_that_stay_apart_are_not_said_to_mix() {
    for (case, build, wanted) in APART {
        let (found, unclear) = mixing(build);
        assert_eq!(
            (&found[..], unclear),
            (&wanted.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()[..], false),
            "{case}"
        );
    }
}

#[test]
fn operators_that_mix_images_are_named_once() {
    for (case, build, wanted) in MIXED {
        let (found, _) = mixing(build);
        assert_eq!(found, *wanted, "{case}");
    }
}

#[test]
fn what_the_table_does_not_know_is_left_open() {
    let found = mixing(|graph, x| {
        let indices = graph.add_constant("indices", Tensor::from_i64(&[1, 4, 6], &[0; 24]));
        let updates = add(graph, "#[1,4,6]").unwrap();
        push(graph, "ScatterElements", &[x, indices, updates], "axis=0")
    });
    assert_eq!(found, (Vec::new(), true));
}

/// Names of the nodes that cut, and of those that are straight through.
fn gradient(build: impl FnOnce(&mut Graph, ValueId) -> ValueId) -> [Vec<String>; 2] {
    let mut graph = Graph::new("test", 20);
    let x = add(&mut graph, "f32[N,4]").unwrap();
    let output = build(&mut graph, x);
    graph.add_output(output);
    let copy = WorkingCopy::new(&graph).unwrap();
    let scan = scan(&copy, &copy.graph, &batch(&copy.graph).unwrap()).unwrap();
    [scan.gradient_cuts, scan.straight_through].map(|nodes| nodes.iter().map(ToString::to_string).collect())
}

#[test]
fn operators_without_gradient_on_the_path_are_named() {
    let [cuts, straight] = gradient(|graph, x| {
        let rounded = push(graph, "Round", &[x], "");
        let class = push(graph, "ArgMax", &[x], "axis=1");
        let class = push(graph, "Cast", &[class], "to=1");
        let sum = push(graph, "Add", &[x, rounded], "");
        // Beside the path: nothing needs it.
        push(graph, "Sign", &[x], "");
        push(graph, "Add", &[sum, class], "")
    });
    assert_eq!(cuts, ["node \"ArgMax_1\" (ArgMax)"]);
    assert_eq!(straight, ["node \"Round_0\" (Round)"]);
}

#[test]
fn a_comparison_cuts_where_it_becomes_a_number_and_not_where_it_chooses() {
    let compared = |graph: &mut Graph, x: ValueId| {
        let zero = add(graph, "#0").unwrap();
        push(graph, "Greater", &[x, zero], "")
    };
    let [cuts, _] = gradient(|graph, x| {
        let positive = compared(graph, x);
        let negative = push(graph, "Not", &[positive], "");
        let zero = add(graph, "#0").unwrap();
        push(graph, "Where", &[negative, zero, x], "")
    });
    assert_eq!(cuts, [""; 0]);
    let [cuts, _] = gradient(|graph, x| {
        let step = compared(graph, x);
        let step = push(graph, "Cast", &[step], "to=1");
        push(graph, "Mul", &[x, step], "")
    });
    assert_eq!(cuts, ["node \"Greater_0\" (Greater)"]);
}

/// `-x` instead of `x` where the mean says so, with the condition as it is and repeated beforehand.
#[test]
fn a_comparison_that_chooses_a_branch_cuts() {
    let chosen = |graph: &mut Graph, x: ValueId, repeats: bool| {
        let mean = with(graph, "ReduceMean", x, "=[1]", "keepdims=1");
        let half = add(graph, "#0.5").unwrap();
        let mut condition = push(graph, "Greater", &[mean, half], "");
        if repeats {
            condition = with(graph, "Expand", condition, "=[1,4]", "");
        }
        let opposite = push(graph, "Neg", &[x], "");
        push(graph, "Where", &[condition, opposite, x], "")
    };
    let [cuts, _] = gradient(|graph, x| chosen(graph, x, false));
    assert_eq!(cuts, ["node \"Where_3\" (Where)"]);
    let [cuts, _] = gradient(|graph, x| chosen(graph, x, true));
    assert_eq!(cuts, ["node \"Where_4\" (Where)"]);
    // Each element is compared with the mean: no branch is chosen for all of them.
    let [cuts, _] = gradient(|graph, x| {
        let mean = with(graph, "ReduceMean", x, "=[1]", "keepdims=1");
        let above = push(graph, "Greater", &[x, mean], "");
        push(graph, "Where", &[above, x, mean], "")
    });
    assert_eq!(cuts, [""; 0]);
}

#[test]
fn quantisation_is_straight_through() {
    let [cuts, straight] = gradient(|graph, x| {
        let scale = add(graph, "#0.5").unwrap();
        let codes = push(graph, "QuantizeLinear", &[x, scale], "");
        push(graph, "DequantizeLinear", &[codes, scale], "")
    });
    assert_eq!(cuts, [""; 0]);
    assert_eq!(straight, ["node \"QuantizeLinear_0\" (QuantizeLinear)"]);
}
