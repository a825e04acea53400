//! What only looks like a pattern keeps its numbers.

use super::*;

/// Simplifies the graph and compares the results; the name goes into the failure.
fn check(name: &str, input: &str, build: impl FnOnce(&mut Graph, ValueId) -> ValueId) {
    // Shown with the failure.
    println!("{name}");
    simplified_within(&graph(18, input, build), ATTENTION_TOLERANCE);
}

#[test]
fn normalisations_along_other_axes() {
    check("two axes at once", "f32[N,3,4]", |graph, x| {
        let (scale, weights) = (constant(graph, "#[4]"), constant(graph, "#[4,2]"));
        let normal = push(graph, "LayerNormalization", &[x, scale], "axis=1");
        push(graph, "MatMul", &[normal, weights], "")
    });
    let batch_normalised = |graph: &mut Graph, x, perm: &str| {
        let there = push(graph, "Transpose", &[x], perm);
        let parameters: Vec<ValueId> = (0..4).map(|_| constant(graph, "#[8]")).collect();
        push(graph, "BatchNormalization", &[&[there], &parameters[..]].concat(), "epsilon=0.5")
    };
    check("the way back exchanges rows and columns", "f32[N,4,4,8]", |graph, x| {
        let normal = batch_normalised(graph, x, "perm=[0,3,1,2]");
        push(graph, "Transpose", &[normal], "perm=[0,3,2,1]")
    });
    check("read before the way back", "f32[N,8,8]", |graph, x| {
        let normal = batch_normalised(graph, x, "perm=[0,2,1]");
        let back = push(graph, "Transpose", &[normal], "perm=[0,2,1]");
        push(graph, "Add", &[back, normal], "")
    });
}

#[test]
fn projections_that_are_cut_elsewhere() {
    check("along the tokens", "f32[N,4,8]", |graph, x| {
        let square = linear(graph, x, "#[8,4]", "#[4]");
        let sizes = constant(graph, "=[1,3]");
        let parts = push_all(graph, "Split", &[Some(square), Some(sizes)], "axis=1", 2);
        push(graph, "Add", &[parts[0], parts[1]], "")
    });
    check("into one part and two", "f32[N,5,8]", |graph, x| {
        let projected = linear(graph, x, "#[8,24]", "#[24]");
        let target = constant(graph, "=[0,5,3,2,4]");
        let cut = push(graph, "Reshape", &[projected, target], "");
        let whole = push(graph, "Transpose", &[cut], "perm=[2,0,3,1,4]");
        let (sizes, axis) = (constant(graph, "=[1,2]"), constant(graph, "=[0]"));
        let parts = push_all(graph, "Split", &[Some(whole), Some(sizes)], "axis=0", 2);
        let others = push(graph, "ReduceSum", &[parts[1], axis], "keepdims=0");
        let first = push(graph, "Squeeze", &[parts[0], axis], "");
        push(graph, "Sub", &[first, others], "")
    });
}

#[test]
fn shares_along_the_queries() {
    check("Softmax over axis 2", "f32[N,5,8]", |graph, x| {
        let heads = constant(graph, "=[0,5,2,4]");
        let mut projected = |perm: &str| {
            let weights = constant(graph, "#[8,8]");
            let columns = push(graph, "MatMul", &[x, weights], "");
            let apart = push(graph, "Reshape", &[columns, heads], "");
            push(graph, "Transpose", &[apart], perm)
        };
        let [query, key, value] = ["perm=[0,2,1,3]", "perm=[0,2,3,1]", "perm=[0,2,1,3]"].map(&mut projected);
        let scale = constant(graph, "#0.005");
        let scores = push(graph, "MatMul", &[query, key], "");
        let scores = push(graph, "Mul", &[scores, scale], "");
        let shares = push(graph, "Softmax", &[scores], "axis=2");
        let mixed = push(graph, "MatMul", &[shares, value], "");
        let tokens = push(graph, "Transpose", &[mixed], "perm=[0,2,1,3]");
        let target = constant(graph, "=[0,5,8]");
        push(graph, "Reshape", &[tokens, target], "")
    });
}

#[test]
fn matrices_that_are_not_those_of_the_stack() {
    for (name, joined, apart) in [
        ("joined across the matrices", "=[0,4,6]", "=[0,2,4,3]"),
        ("taken apart as it was", "=[-1,3,4]", "=[-1,2,3,4]"),
    ] {
        check(name, "f32[N,2,3,4]", |graph, x| {
            let (joined, apart) = (constant(graph, joined), constant(graph, apart));
            let matrices = push(graph, "Reshape", &[x, joined], "");
            let exchanged = push(graph, "Transpose", &[matrices], "perm=[0,2,1]");
            push(graph, "Reshape", &[exchanged, apart], "")
        });
    }
}

#[test]
fn tokens_that_are_chosen_from_something_else() {
    check("a row that all tokens share", "f32[N,5,8]", |graph, x| {
        let tokens = linear(graph, x, "#[8,8]", "#[8]");
        let shared = constant(graph, "#[1,1,8]");
        let tokens = push(graph, "Add", &[tokens, shared], "");
        let tokens = push(graph, "Tanh", &[tokens], "");
        token(graph, tokens, "=2")
    });
    check("rows of another length", "f32[N,5,8]", |graph, x| {
        let tokens = linear(graph, x, "#[8,8]", "#[8]");
        let target = constant(graph, "=[0,8,5]");
        let others = push(graph, "Reshape", &[tokens, target], "");
        token(graph, others, "=2")
    });
}

#[test]
fn functions_that_are_not_gelu() {
    let product = |graph: &mut Graph, x, argument, offset: &str| {
        let (half, offset) = (constant(graph, "#0.5"), constant(graph, offset));
        let erf = push(graph, "Erf", &[argument], "");
        let sum = push(graph, "Add", &[erf, offset], "");
        let inner = push(graph, "Mul", &[x, sum], "");
        push(graph, "Mul", &[half, inner], "")
    };
    check("two and the error function", "f32[N,5]", |graph, x| {
        let root = constant(graph, "#1.4142135");
        let argument = push(graph, "Div", &[x, root], "");
        product(graph, x, argument, "#2")
    });
    check("the root divided by x", "f32[N,5]", |graph, x| {
        let root = constant(graph, "#1.4142135");
        let argument = push(graph, "Div", &[root, x], "");
        product(graph, x, argument, "#1")
    });
}

#[test]
fn sums_without_a_common_factor() {
    let difference = graph(20, "f32[N,4]", |graph, x| {
        let (sine, exp) = (push(graph, "Sin", &[x], ""), push(graph, "Exp", &[x], ""));
        let (left, right) = (push(graph, "Mul", &[sine, x], ""), push(graph, "Mul", &[x, exp], ""));
        push(graph, "Sub", &[left, right], "")
    });
    let sum_in_a_factor = graph(20, "f32[N,4]", |graph, x| {
        let exp = push(graph, "Exp", &[x], "");
        let sum = push(graph, "Add", &[x, exp], "");
        let left = push(graph, "Mul", &[sum, x], "");
        let right = push(graph, "Mul", &[exp, x], "");
        push(graph, "Add", &[left, right], "")
    });
    for file in [difference, sum_in_a_factor] {
        let mut graph = upgrade(&file).unwrap();
        crate::simplify::factor_out_common(&mut graph);
        assert_equal_results(&file, &graph, 1e-5);
    }
}

#[test]
fn a_function_of_what_others_read_too() {
    check("a layer and its Relu", "f32[N,5,8]", |graph, x| {
        let tokens = linear(graph, x, "#[8,8]", "#[8]");
        let positive = push(graph, "Relu", &[tokens], "");
        push(graph, "Mul", &[tokens, positive], "")
    });
}
