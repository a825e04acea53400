//! One table per family: operator, inputs, attributes, and the types or the error that must come out.

use super::{infer, infer_node};
use crate::graph::{Graph, Node, TensorType, ValueId};
use crate::testing::{add, attributes, push};

/// Types of all outputs joined by `; `, or the text of the error.
fn inferred(op_type: &str, inputs: &[&str], attributes_text: &str, outputs: usize) -> String {
    let mut graph = Graph::new("test", 20);
    let inputs = inputs.iter().map(|text| add(&mut graph, text)).collect();
    let outputs: Vec<ValueId> = (0..outputs).map(|_| graph.add_fresh_value("output", None)).collect();
    let id = graph.push_node(Node {
        name: "node".to_owned(),
        op_type: op_type.to_owned(),
        inputs,
        outputs: outputs.iter().copied().map(Some).collect(),
        attributes: attributes(attributes_text),
    });
    match infer_node(&mut graph, id) {
        Err(error) => error.to_string(),
        Ok(()) => {
            let shown = |id: &ValueId| {
                let TensorType { dtype, shape } = graph.tensor_type(*id).unwrap();
                format!("{dtype}{shape}")
            };
            outputs.iter().map(shown).collect::<Vec<_>>().join("; ")
        }
    }
}

/// (operator, inputs, attributes, wanted: types, or a part of the error)
type Case = (&'static str, &'static [&'static str], &'static str, &'static str);

fn check(cases: &[Case]) {
    let mut failures = Vec::new();
    for (op_type, inputs, attributes, wanted) in cases {
        let outputs = if wanted.starts_with("error") { 1 } else { wanted.split("; ").count() };
        let found = inferred(op_type, inputs, attributes, outputs);
        let holds = match wanted.strip_prefix("error: ") {
            Some(part) => {
                found.contains(part) && (found.starts_with("node `node`") || found.starts_with("tensor `"))
            }
            None => found == *wanted,
        };
        if !holds {
            failures.push(format!("{op_type}({inputs:?}) {{{attributes}}}: {found}, wanted {wanted}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn random() {
    check(&[
        ("RandomNormal", &[], "shape=[2,3]", "f32[2, 3]"),
        ("RandomUniform", &[], "shape=[2] dtype=11", "f64[2]"),
        ("RandomNormal", &[], "", "error: attribute `shape` is missing"),
        ("RandomUniform", &[], "shape=[2,-1]", "error: holds a negative number"),
        ("RandomNormalLike", &["f32[N,3]"], "", "f32[N, 3]"),
        ("RandomUniformLike", &["i64[N,3]"], "dtype=1", "f32[N, 3]"),
        ("RandomNormalLike", &["f32[N,3]"], "dtype=8", "error: element type string"),
        ("Bernoulli", &["f32[N,3]"], "", "f32[N, 3]"),
        ("Bernoulli", &["f32[N,3]"], "dtype=9", "bool[N, 3]"),
        ("Multinomial", &["f32[N,3]"], "", "i32[N, 1]"),
        ("Multinomial", &["f32[N,3]"], "sample_size=4 dtype=7", "i64[N, 4]"),
        ("Multinomial", &["f32[N,3]"], "sample_size=-1", "error: attribute `sample_size` is -1"),
        ("Multinomial", &["f32[N,3,2]"], "", "error: wanted 2 dimensions"),
    ]);
}

#[test]
fn elementwise() {
    check(&[
        ("Relu", &["f32[N,3]"], "", "f32[N, 3]"),
        ("Softmax", &["f32[N,3]"], "axis=1", "f32[N, 3]"),
        ("Softmax", &["f32[N,3]"], "axis=2", "error: axis 2 of a tensor with 2 dimensions"),
        ("Cast", &["f32[N,3]"], "to=7", "i64[N, 3]"),
        ("Cast", &["f32[N,3]"], "to=8", "error: element type string"),
        ("Clip", &["f32[N,3]", "", "f32[]"], "", "f32[N, 3]"),
        ("Clip", &["f32[N,3]", "f32[3]"], "", "error: input 1 is [3], wanted a scalar"),
        ("IsNaN", &["f32[N,3]"], "", "bool[N, 3]"),
        ("Dropout", &["f32[N,3]"], "", "f32[N, 3]; bool[N, 3]"),
        ("CastLike", &["f32[N,3]", "i64[]"], "", "i64[N, 3]"),
        ("BitwiseNot", &["i64[N]"], "", "i64[N]"),
        ("BitShift", &["i64[N]", "=[3]"], "direction=LEFT", "i64[N]"),
        ("Trilu", &["f32[N,3,3]", "=1"], "upper=0", "f32[N, 3, 3]"),
        ("Trilu", &["f32[N]"], "", "error: the input is [N], wanted two dimensions or more"),
        ("LpNormalization", &["f32[N,3]"], "axis=2", "error: axis 2 of a tensor with 2 dimensions"),
        ("NonZero", &["=[3,0,5]"], "", "i64[1, 2]"),
        (
            "NonZero",
            &["f32[N,3]"],
            "",
            "error: its values determine the output shape of node `node` (NonZero)",
        ),
        ("NoSuchOperator", &["f32[N,3]"], "", "error: operator NoSuchOperator (opset 20) is not supported"),
        ("Relu", &["f32[N,3]"], "", "f32[N, 3]"),
        ("Relu", &[""], "", "error: input 0 is missing"),
    ]);
}

#[test]
fn broadcasting() {
    check(&[
        ("Add", &["f32[N,65,48]", "f32[1,65,48]"], "", "f32[N, 65, 48]"),
        ("Mul", &["f32[3,1,1]", "f32[N,1,8,8]"], "", "f32[N, 3, 8, 8]"),
        ("Add", &["f32[2N,3]", "f32[N,3]"], "", "error: shapes [2N, 3] and [N, 3] do not broadcast"),
        ("Add", &["f32[N,3]", "f32[5,3]"], "", "error: shapes [N, 3] and [5, 3] do not broadcast"),
        ("Add", &["f32[N,3]", "i64[3]"], "", "error: an input is i64, wanted f32"),
        ("Equal", &["i64[N]", "=3"], "", "bool[N]"),
        ("Where", &["bool[N,1]", "f32[5]", "f32[]"], "", "f32[N, 5]"),
        ("Where", &["f32[N,1]", "f32[5]", "f32[]"], "", "error: an input is f32, wanted bool"),
        ("Pow", &["f32[N,1]", "i64[]"], "", "f32[N, 1]"),
        ("Min", &["f32[N,1]", "f32[4]", "f32[]"], "", "f32[N, 4]"),
    ]);
}

#[test]
fn convolutions() {
    check(&[
        ("Conv", &["f32[N,3,32,32]", "f32[8,3,3,3]"], "strides=[2,2] pads=[1,1,1,1]", "f32[N, 8, 16, 16]"),
        ("Conv", &["f32[N,8,32,32]", "f32[8,1,7,7]"], "group=8 pads=[3,3,3,3]", "f32[N, 8, 32, 32]"),
        ("Conv", &["f32[N,3,9,9]", "f32[8,3,3,3]"], "auto_pad=SAME_UPPER strides=[2,2]", "f32[N, 8, 5, 5]"),
        ("Conv", &["f32[N,3,9,9]", "f32[8,3,3,3]"], "dilations=[2,3]", "f32[N, 8, 5, 3]"),
        (
            "Conv",
            &["f32[N,3,2,2]", "f32[8,3,3,3]"],
            "",
            "error: the window [3, 3] does not fit into 2 elements",
        ),
        (
            "Conv",
            &["f32[N,4,9,9]", "f32[8,3,3,3]"],
            "",
            "error: input [N, 4, 9, 9] and weights [8, 3, 3, 3] disagree",
        ),
        ("Conv", &["f32[N,3,9,9]", "f32[8,3,3,3]", "f32[7]"], "", "error: the bias is [7], wanted [8]"),
        ("Conv", &["f32[N,3,9,9]", "f32[8,3,3,3]"], "strides=[0,1]", "error: attribute `strides` is [0, 1]"),
        (
            "Conv",
            &["f32[N,3,9,9]", "f32[8,3,3,3]"],
            "pads=[1]",
            "error: attribute `pads` has 1 entries, wanted 4",
        ),
        ("Conv", &["f32[N,3,9,9]", "f32[8,3,3,3]"], "group=0", "error: attribute `group` is 0"),
        (
            "ConvTranspose",
            &["f32[N,8,16,16]", "f32[8,3,3,3]"],
            "strides=[2,2] pads=[1,1,1,1] output_padding=[1,1]",
            "f32[N, 3, 32, 32]",
        ),
        (
            "Conv",
            &["f32[N,3,9,9]", "f32[8,3,3,3]"],
            "pads=[0,0,0,9223372036854775807]",
            "error: attribute `pads` has 9223",
        ),
        (
            "Conv",
            &["f32[N,3,9,4611686018427387904]", "f32[8,3,3,3]"],
            "",
            "error: does not fit into 4611686018427387904",
        ),
        ("ConvTranspose", &["f32[N,8,4,4]", "f32[8,2,2,2]"], "group=4 strides=[2,2]", "f32[N, 8, 8, 8]"),
        (
            "MaxPool",
            &["f32[N,8,7,7]"],
            "kernel_shape=[2,2] strides=[2,2]",
            "f32[N, 8, 3, 3]; i64[N, 8, 3, 3]",
        ),
    ]);
}

#[test]
fn pools() {
    check(&[
        ("MaxPool", &["f32[N,8,7,7]"], "kernel_shape=[2,2] strides=[2,2] ceil_mode=1", "f32[N, 8, 4, 4]"),
        // The last window would start in the padding.
        (
            "AveragePool",
            &["f32[N,8,4,4]"],
            "kernel_shape=[1,1] strides=[2,2] pads=[0,0,1,1] ceil_mode=1",
            "f32[N, 8, 3, 3]",
        ),
        ("AveragePool", &["f32[N,8,7,7]"], "", "error: attribute `kernel_shape` is missing"),
        ("GlobalAveragePool", &["f32[N,8,7,7]"], "", "f32[N, 8, 1, 1]"),
    ]);
}

#[test]
fn einsums() {
    check(&[
        ("Einsum", &["f32[N,2,3,4]", "f32[N,2,5,4]"], "equation=bhid,bhjd->bhij", "f32[N, 2, 3, 5]"),
        ("Einsum", &["f32[N,2,3]", "f32[3,4]"], "equation=...j,jk->...k", "f32[N, 2, 4]"),
        ("Einsum", &["f32[2,N,3]"], "equation=jbi", "f32[N, 3, 2]"),
        ("Einsum", &["f32[N,2,3]", "f32[3,4]"], "equation=...j,jk", "f32[N, 2, 4]"),
        ("Einsum", &["f32[N,2,3]", "f32[1,2,3]"], "equation=bij,bij->b", "f32[N]"),
        (
            "Einsum",
            &["f32[N,2,3]", "f32[4,3]"],
            "equation=bij,ij->b",
            "error: does not fit [N, 2, 3], [4, 3]",
        ),
        ("Einsum", &["f32[N,2,3]"], "equation=bi->b", "error: does not fit [N, 2, 3]"),
        ("Einsum", &["f32[N,2,3]"], "equation=bij,j->b", "error: for 1 operands"),
        ("Einsum", &["f32[N,2,3]"], "equation=bij->bk", "error: an index in its result that no operand has"),
        ("Einsum", &["f32[N,2,2]"], "equation=bii->b", "error: takes a diagonal"),
        ("Einsum", &["f32[N,2,2]"], "equation=b?i->b", "error: has `?` where a letter was wanted"),
    ]);
}

#[test]
fn resizing() {
    check(&[
        (
            "Resize",
            &["f32[N,3,4,5]", "", "", "=[1,3,8,10]"],
            "",
            "error: resizes axis 0 of [N, 3, 4, 5] from N to 1",
        ),
        ("Resize", &["f32[2,3,4,5]", "", "", "=[2,3,8,10]"], "mode=linear", "f32[2, 3, 8, 10]"),
        ("Resize", &["f32[N,3,4,5]", "", "", "=[8,10]"], "axes=[2,-1]", "f32[N, 3, 8, 10]"),
        ("Resize", &["f32[N,3,4,5]", "", "#0.5"], "axes=[2]", "f32[N, 3, 2, 5]"),
        ("Resize", &["f32[N,3,4,5]", "", "#0.1"], "axes=[2]", "error: by 0.1, which gives no size"),
        ("Resize", &["f32[N,3,4,5]", "", "#0.5"], "axes=[0]", "error: by 0.5, which gives no size"),
        (
            "Resize",
            &["f32[N,3,4,5]", "", "", "=[7,6]"],
            "axes=[2,3] keep_aspect_ratio_policy=not_larger",
            "f32[N, 3, 5, 6]",
        ),
        (
            "Resize",
            &["f32[N,3,4,5]", "", "", "=[7,6]"],
            "axes=[2,3] keep_aspect_ratio_policy=not_smaller",
            "f32[N, 3, 7, 9]",
        ),
        ("Resize", &["f32[N,3,4,5]", "", "", "=[8]"], "axes=[2,3]", "error: 1 sizes for 2 axes"),
        ("Resize", &["f32[N,3,4,5]", "", "#[4]", "=[8]"], "", "error: has both scales and sizes"),
        (
            "Resize",
            &["f32[N,3,4,5]", "", "", "=[8]"],
            "axes=[2] coordinate_transformation_mode=tf_crop_and_resize",
            "error: crops while it resizes",
        ),
    ]);
}

#[test]
fn products_and_batch_normalisation() {
    check(&[
        ("MatMul", &["f32[N,65,48]", "f32[48,96]"], "", "f32[N, 65, 96]"),
        ("MatMul", &["f32[N,3,65,16]", "f32[N,3,16,65]"], "", "f32[N, 3, 65, 65]"),
        ("MatMul", &["f32[48]", "f32[48,96]"], "", "f32[96]"),
        ("MatMul", &["f32[N,48]", "f32[48]"], "", "f32[N]"),
        ("MatMul", &["f32[N,48]", "f32[47,5]"], "", "error: shapes [N, 48] and [47, 5] do not multiply"),
        ("Gemm", &["f32[N,48]", "f32[10,48]", "f32[10]"], "transB=1", "f32[N, 10]"),
        ("Gemm", &["f32[N,48]", "f32[10,48]"], "", "error: shapes [N, 48] and [10, 48] do not multiply"),
        ("Gemm", &["f32[N,48]", "f32[48,10]", "f32[2,1,1]"], "", "error: shape [2, 1, 1] does not broadcast"),
        (
            "BatchNormalization",
            &["f32[N,8,4,4]", "f32[8]", "f32[8]", "f32[8]", "f32[8]"],
            "",
            "f32[N, 8, 4, 4]",
        ),
        (
            "BatchNormalization",
            &["f32[N,8,4,4]", "f32[8]", "f32[8]", "f32[8]", "f32[8]"],
            "training_mode=1",
            "error: normalises with the statistics of the batch",
        ),
    ]);
}

#[test]
fn normalisations() {
    check(&[
        (
            "InstanceNormalization",
            &["f32[N,8,4]", "f32[8]", "f32[7]"],
            "",
            "error: input 2 is [7], wanted [8]",
        ),
        (
            "LayerNormalization",
            &["f32[N,65,48]", "f32[48]", "f32[48]"],
            "axis=-1",
            "f32[N, 65, 48]; f32[N, 65, 1]; f32[N, 65, 1]",
        ),
        (
            "LayerNormalization",
            &["f32[N,65,48]", "f32[47]"],
            "",
            "error: input 1 is [47], which does not broadcast",
        ),
        ("RMSNormalization", &["f32[N,65,48]", "f32[48]"], "axis=-1", "f32[N, 65, 48]"),
        ("RMSNormalization", &["f32[N,65,48]", "f32[65,1]"], "axis=1", "f32[N, 65, 48]"),
        (
            "RMSNormalization",
            &["f32[N,48]", "f32[47]"],
            "",
            "error: input 1 is [47], which does not broadcast",
        ),
        ("GroupNormalization", &["f32[N,8,4]", "f32[8]", "f32[8]"], "num_groups=2", "f32[N, 8, 4]"),
        ("GroupNormalization", &["f32[N,8,4]", "f32[2]", "f32[2]"], "num_groups=2", "f32[N, 8, 4]"),
        (
            "GroupNormalization",
            &["f32[N,8,4]", "f32[4]", "f32[4]"],
            "num_groups=2",
            "error: input 1 is [4], wanted [8] or [2]",
        ),
        (
            "GroupNormalization",
            &["f32[N,8,4]", "f32[3]", "f32[3]"],
            "num_groups=3",
            "error: attribute `num_groups` does not divide the 8 channels",
        ),
        ("LRN", &["f32[N,8,4,4]"], "size=5", "f32[N, 8, 4, 4]"),
        ("LRN", &["f32[N]"], "size=5", "error: the input is [N], wanted [N, C, …]"),
        ("MeanVarianceNormalization", &["f32[N,8,4,4]"], "", "f32[N, 8, 4, 4]"),
        ("MeanVarianceNormalization", &["f32[N,8]"], "", "error: axis 2 of a tensor with 2 dimensions"),
    ]);
}

#[test]
fn reductions_and_selections() {
    check(&[
        ("ReduceMean", &["f32[N,65,48]", "=[1]"], "keepdims=0", "f32[N, 48]"),
        ("ReduceSum", &["f32[N,65,48]", "=[-1,-2]"], "", "f32[N, 1, 1]"),
        ("ReduceMax", &["f32[N,65]"], "keepdims=0", "f32[]"),
        ("ReduceSum", &["f32[N,65]"], "noop_with_empty_axes=1", "f32[N, 65]"),
        ("ReduceSum", &["f32[N,65]", "=[2]"], "", "error: axis 2 of a tensor with 2 dimensions"),
        ("ReduceSum", &["f32[N,65]", "i64[1]"], "", "error: its values determine the output shape"),
        ("ReduceSum", &["f32[N,65]"], "keepdims=2", "error: attribute `keepdims` is 2, wanted 0 or 1"),
        ("ArgMax", &["f32[N,10]"], "axis=1 keepdims=0", "i64[N]"),
        ("TopK", &["f32[N,10]", "=[3]"], "", "f32[N, 3]; i64[N, 3]"),
        ("TopK", &["f32[N,10]", "=[11]"], "", "error: takes the top [11] of axis 1 of [N, 10]"),
        ("OneHot", &["i64[N]", "=10", "f32[2]"], "", "f32[N, 10]"),
        ("OneHot", &["i64[N]", "#10.0", "f32[2]"], "", "f32[N, 10]"),
        (
            "OneHot",
            &["i64[N]", "#-1.0", "f32[2]"],
            "",
            "error: the depth is [-1], wanted one positive number",
        ),
        ("CumSum", &["f32[N,10]", "=1"], "", "f32[N, 10]"),
    ]);
}

#[test]
fn reshapes() {
    check(&[
        ("Reshape", &["f32[N,65,48]", "=[-1,48]"], "", "f32[65N, 48]"),
        ("Reshape", &["f32[65N,48]", "=[-1,65,3,16]"], "", "f32[N, 65, 3, 16]"),
        ("Reshape", &["f32[N,65,48]", "=[0,0,3,16]"], "", "f32[N, 65, 3, 16]"),
        ("Reshape", &["f32[N,65,48]", "=[0,-1]"], "", "f32[N, 3120]"),
        ("Reshape", &["f32[N,3]", "=[1,3]"], "", "error: input [N, 3] does not fill the target [1, 3]"),
        ("Reshape", &["f32[N,3]", "=[-1,2]"], "", "error: input [N, 3] does not fill the target [-1, 2]"),
        ("Reshape", &["f32[N,3]", "=[-1,-1]"], "", "error: its values determine the output shape"),
        ("Reshape", &["f32[0,3]", "=[0,3]"], "allowzero=1", "f32[0, 3]"),
        ("Reshape", &["f32[2,3]", "=[0,6]"], "allowzero=1", "error: does not fill the target [0, 6]"),
        ("Reshape", &["f32[6]", "=[2,0]"], "", "error: the target copies axis 1, but the input is [6]"),
        ("Flatten", &["f32[N,8,4,4]"], "", "f32[N, 128]"),
        ("Flatten", &["f32[N,8,4,4]"], "axis=0", "f32[1, 128N]"),
        ("Flatten", &["f32[N,8,4,4]"], "axis=4", "f32[128N, 1]"),
        ("Squeeze", &["f32[N,1,4,1]", "=[1,-1]"], "", "f32[N, 4]"),
        ("Squeeze", &["f32[N,1,4,1]"], "", "f32[N, 4]"),
        ("Squeeze", &["f32[N,4]", "=[0]"], "", "error: axis 0 of [N, 4] is not 1"),
        ("Unsqueeze", &["f32[N,4]", "=[0,-1]"], "", "f32[1, N, 4, 1]"),
        ("Unsqueeze", &["f32[N,4]", "=[1,1]"], "", "error: axes [1, 1] repeat"),
    ]);
}

#[test]
fn moves() {
    check(&[
        ("Transpose", &["f32[N,65,3]"], "perm=[0,2,1]", "f32[N, 3, 65]"),
        ("Transpose", &["f32[N,65,3]"], "", "f32[3, 65, N]"),
        ("Transpose", &["f32[N,65,3]"], "perm=[0,1,1]", "error: wanted a permutation of 3 axes"),
        ("Expand", &["f32[1,1,48]", "=[4,1,48]"], "", "f32[4, 1, 48]"),
        (
            "Expand",
            &["f32[1,1,48]", "=[4,1,47]"],
            "",
            "error: shapes [1, 1, 48] and [4, 1, 47] do not broadcast",
        ),
        ("Tile", &["f32[N,2]", "=[1,3]"], "", "f32[N, 6]"),
        ("Pad", &["f32[N,3,4,4]", "=[0,0,1,1,0,0,1,1]"], "", "f32[N, 3, 6, 6]"),
        ("Pad", &["f32[N,3,4,4]", "=[1,-2]", "", "=[3]"], "", "f32[N, 3, 4, 3]"),
        ("Pad", &["f32[N,3]", "=[1,0,0,0]"], "", "error: pads 1 and 0 do not fit axis 0 of [N, 3]"),
        ("Pad", &["f32[N,3]", "=[-3,2]", "", "=[1]"], "", "f32[N, 2]"),
        ("Pad", &["f32[N,3]", "=[-4,2]", "", "=[1]"], "", "error: pads -4 and 2 do not fit axis 1 of [N, 3]"),
        (
            "Pad",
            &["f32[N,3]", "=[-3,2]", "", "=[1]"],
            "mode=edge",
            "error: pads -3 and 2 do not fit axis 1 of [N, 3]",
        ),
        ("Pad", &["f32[N,3]", "=[1,1,1,1]", "", "=[1,-1]"], "", "error: axis 1 stands twice in `axes`"),
        ("DepthToSpace", &["f32[N,8,4,4]"], "blocksize=2", "f32[N, 2, 8, 8]"),
        ("SpaceToDepth", &["f32[N,2,8,7]"], "blocksize=2", "error: blocks of 2 do not divide [N, 2, 8, 7]"),
        ("Concat", &["f32[N,1,48]", "f32[N,64,48]"], "axis=1", "f32[N, 65, 48]"),
        ("Concat", &["f32[N,2]", "f32[2N,2]"], "axis=0", "f32[3N, 2]"),
        ("Concat", &["f32[N,2]", "f32[1,2]"], "axis=0", "error: shapes [N, 2] and [1, 2] do not join"),
        ("Split", &["f32[N,6]", "=[2,4]"], "axis=1", "f32[N, 2]; f32[N, 4]"),
        ("Split", &["f32[N,7]"], "axis=1 num_outputs=3", "f32[N, 3]; f32[N, 3]; f32[N, 1]"),
        (
            "Split",
            &["f32[N,4611686018427387904]"],
            "axis=1 num_outputs=4611686018427387904",
            "error: do not make",
        ),
        ("Split", &["f32[N,7]", "=[2]"], "axis=1", "error: 1 parts of sizes [2] for axis 1 of [N, 7]"),
    ]);
}

#[test]
fn slices_and_gathers() {
    check(&[
        ("Slice", &["f32[N,65,48]", "=[0]", "=[1]", "=[1]"], "", "f32[N, 1, 48]"),
        ("Slice", &["f32[N,65]", "=[-1]", "=[-9223372036854775807]", "=[1]", "=[-2]"], "", "f32[N, 33]"),
        ("Slice", &["f32[N,65]", "=[0,3]", "=[9223372036854775807,7]"], "", "f32[N, 4]"),
        ("Slice", &["f32[N,65]", "=[70]", "=[80]", "=[1]"], "", "f32[N, 0]"),
        (
            "Slice",
            &["f32[N,65]", "=[0]", "=[1]", "=[0]"],
            "",
            "error: of axis 0 of [N, 65], whose length is known only at run time",
        ),
        ("Slice", &["f32[N,65]", "=[0]", "=[1]", "=[1]", "=[0]"], "", "error: in steps of 0"),
        ("Slice", &["f32[N,65]", "=[0]", "=[1,2]"], "", "error: 1 starts, 2 ends"),
        ("Gather", &["f32[N,65,48]", "=0"], "axis=1", "f32[N, 48]"),
        ("Gather", &["f32[10,48]", "i64[N,3]"], "", "f32[N, 3, 48]"),
        ("Gather", &["f32[10,48]", "f32[N,3]"], "", "error: indices are f32, wanted i32 or i64"),
        ("GatherElements", &["f32[N,10]", "i64[N,1]"], "axis=1", "f32[N, 1]"),
        ("GridSample", &["f32[N,3,8,6]", "f32[N,4,5,2]"], "", "f32[N, 3, 4, 5]"),
        ("GridSample", &["f32[N,3,2,8,6]", "f32[N,4,5,7,3]"], "", "f32[N, 3, 4, 5, 7]"),
        (
            "GridSample",
            &["f32[N,3,8,6]", "f32[N,4,5,3]"],
            "",
            "error: a grid [N, 4, 5, 3] of places in [N, 3, 8, 6]",
        ),
        ("GridSample", &["f32[N,3,8,6]", "f32[1,4,5,2]"], "", "error: a grid [1, 4, 5, 2]"),
        (
            "GatherElements",
            &["f32[N,10]", "i64[3,1]"],
            "axis=1",
            "error: indices [3, 1] reach beyond [N, 10]",
        ),
        ("GatherND", &["f32[4,5,6]", "i64[N,2]"], "", "f32[N, 6]"),
        ("ScatterElements", &["f32[N,10]", "i64[N,1]", "f32[N,1]"], "axis=1", "f32[N, 10]"),
        (
            "ScatterElements",
            &["f32[N,10]", "i64[N,1]", "f32[N,2]"],
            "",
            "error: updates [N, 2] for indices [N, 1]",
        ),
        ("ScatterND", &["f32[4,5]", "i64[3,1]", "f32[3,5]"], "", "f32[4, 5]"),
        ("ScatterND", &["f32[4,5]", "i64[3,1]", "f32[3,4]"], "", "error: do not fit [4, 5]"),
    ]);
}

#[test]
fn creation() {
    check(&[
        ("Shape", &["f32[N,3,8,8]"], "", "i64[4]"),
        ("Shape", &["f32[N,3,8,8]"], "start=-2", "i64[2]"),
        ("Size", &["f32[N,3]"], "", "i64[]"),
        ("ConstantOfShape", &["=[2,3]"], "", "f32[2, 3]"),
        ("ConstantOfShape", &["=[-2]"], "", "error: its values determine the output shape"),
        ("NonZero", &["=[3,0,5]"], "", "i64[1, 2]"),
        ("NonZero", &["f32[N,3]"], "", "error: are known only at run time"),
        ("Range", &["=2", "=9", "=3"], "", "i64[3]"),
        ("Range", &["=9", "=2", "=-3"], "", "i64[3]"),
        ("Range", &["=9", "=2", "=3"], "", "i64[0]"),
        ("Range", &["=9", "=2", "=0"], "", "error: its values determine the output shape"),
        ("EyeLike", &["f32[3,4]"], "dtype=7", "i64[3, 4]"),
        ("Constant", &[], "value_ints=[1,2,3]", "i64[3]"),
        ("Constant", &[], "", "error: has no dense numeric value"),
    ]);
}

/// `Reshape(x [N, 48, 8, 8], Concat(Shape(x)[0], 48, Shape(x)[2]·Shape(x)[3]))` and the ids of its parts.
fn shape_arithmetic() -> (Graph, ValueId) {
    let mut graph = Graph::new("test", 20);
    let x = add(&mut graph, "f32[N,48,8,8]").unwrap();
    let shape = push(&mut graph, "Shape", &[x], "");
    let axis = |graph: &mut Graph, index: &str| {
        let index = add(graph, index).unwrap();
        push(graph, "Gather", &[shape, index], "")
    };
    let batch = axis(&mut graph, "=[0]");
    let (height, width) = (axis(&mut graph, "=[2]"), axis(&mut graph, "=[-1]"));
    let area = push(&mut graph, "Mul", &[height, width], "");
    let channels = add(&mut graph, "=[48]").unwrap();
    let target = push(&mut graph, "Concat", &[batch, channels, area], "axis=0");
    let reshaped = push(&mut graph, "Reshape", &[x, target], "");
    graph.add_output(reshaped);
    (graph, reshaped)
}

#[test]
fn shape_arithmetic_reaches_the_reshape() {
    let (mut graph, reshaped) = shape_arithmetic();
    infer(&mut graph).unwrap();
    assert_eq!(graph.shape(reshaped).unwrap().to_string(), "[N, 48, 64]");
}

#[test]
fn single_nodes_look_back_through_the_shape_arithmetic() {
    let (mut graph, reshaped) = shape_arithmetic();
    for index in 0..graph.nodes().len() {
        infer_node(&mut graph, crate::graph::NodeId(index as u32)).unwrap();
    }
    assert_eq!(graph.shape(reshaped).unwrap().to_string(), "[N, 48, 64]");
}

#[test]
fn a_node_looks_back_a_bounded_way() {
    // Each sum has two paths to the one before: going back along all of them would never end.
    let mut graph = Graph::new("test", 20);
    let labels = add(&mut graph, "i64[N]").unwrap();
    let mut sum = labels;
    for index in 0..400 {
        sum = push(&mut graph, "Add", &[sum, sum], "");
        infer_node(&mut graph, crate::graph::NodeId(index)).unwrap();
    }
    assert_eq!(graph.shape(sum).unwrap().to_string(), "[N]");
}

#[test]
fn torchscript_expand_keeps_the_batch() {
    // `expand(-1, -1, 48)` in TorchScript: sizes of -1 are replaced by ones through Equal and Where.
    let mut graph = Graph::new("test", 20);
    let x = add(&mut graph, "f32[N,3,8,8]").unwrap();
    let token = add(&mut graph, "f32[1,1,48]").unwrap();
    let shape = push(&mut graph, "Shape", &[x], "");
    let first = add(&mut graph, "=[0]").unwrap();
    let batch = push(&mut graph, "Gather", &[shape, first], "");
    let minus_one = add(&mut graph, "=[-1]").unwrap();
    let sizes = push(&mut graph, "Concat", &[batch, minus_one, minus_one], "axis=0");
    let ones = add(&mut graph, "=[1,1,1]").unwrap();
    let minus_ones = push(&mut graph, "Mul", &[ones, minus_one], "");
    let open = push(&mut graph, "Equal", &[sizes, minus_ones], "");
    let target = push(&mut graph, "Where", &[open, ones, sizes], "");
    let expanded = push(&mut graph, "Expand", &[token, target], "");
    infer(&mut graph).unwrap();
    assert_eq!(graph.shape(expanded).unwrap().to_string(), "[N, 1, 48]");
}

#[test]
fn quantisation() {
    check(&[
        ("QuantizeLinear", &["f32[N,3]", "#0.5"], "", "u8[N, 3]"),
        ("QuantizeLinear", &["f32[N,3]", "#[3]"], "output_dtype=3", "i8[N, 3]"),
        (
            "QuantizeLinear",
            &["f32[N,3]", "#[4]"],
            "",
            "error: its scale is [4], wanted one number, or one for each of the 3",
        ),
        ("QuantizeLinear", &["f32[N,3]", "#[3]"], "axis=0", "error: its scale is [3], wanted one number"),
        (
            "QuantizeLinear",
            &["f32[N,4]", "#[2]"],
            "block_size=2",
            "error: has blockwise scales for activations",
        ),
        (
            "QuantizeLinear",
            &["f32[N,3]", "#0.5"],
            "output_dtype=7",
            "error: quantises to i64; supported are 8- and 16-bit",
        ),
        ("DequantizeLinear", &["f32[N,3]", "#0.5"], "", "error: quantises to f32"),
        ("DynamicQuantizeLinear", &["f32[N,3]"], "", "u8[N, 3]; f32[]; u8[]"),
    ]);
}
