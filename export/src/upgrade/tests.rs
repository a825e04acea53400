//! Each adapter against ONNX Runtime: the file in its own opset and the upgraded copy give the same results.

mod recurrent;

use super::{WORKING_OPSET, upgrade};
use crate::error::ErrorKind;
use crate::graph::{Attribute, Graph, NodeId, ValueId};
use crate::tensor::Tensor;
use crate::testing::{add, assert_equal_results, push, push_all, run};

/// One node of a file at `opset`, all of whose outputs are outputs of the graph.
fn file(opset: u32, op_type: &str, inputs: &[&str], attributes: &str, outputs: usize) -> Graph {
    let mut graph = Graph::new("test", opset);
    let inputs: Vec<_> = inputs.iter().map(|text| add(&mut graph, text)).collect();
    let outputs = push_all(&mut graph, op_type, &inputs, attributes, outputs);
    graph.set_outputs(outputs);
    graph
}

/// (opset, operator, inputs, attributes, number of outputs)
type Case = (u32, &'static str, &'static [&'static str], &'static str, usize);

const CASES: &[Case] = &[
    (11, "Squeeze", &["f32[N,1,4,1]"], "axes=[1,-1]", 1),
    (12, "Unsqueeze", &["f32[N,4]"], "axes=[0,3]", 1),
    (7, "ReduceSum", &["f32[N,3,4]"], "axes=[1] keepdims=0", 1),
    (12, "ReduceMean", &["f32[N,3,4]"], "axes=[-1]", 1),
    (17, "ReduceMax", &["f32[N,3,4]"], "axes=[1,2] keepdims=0", 1),
    (17, "ReduceL2", &["f32[N,3,4]"], "", 1),
    (9, "Slice", &["f32[N,6,5]"], "starts=[1,0] ends=[-1,9223372036854775807] axes=[1,2]", 1),
    (9, "Slice", &["f32[N,6,5]"], "starts=[0,1,2] ends=[2147483647,3,4]", 1),
    (12, "Split", &["f32[N,6]"], "axis=1 split=[2,4]", 2),
    (12, "Split", &["f32[N,6]"], "axis=-1", 3),
    (17, "Split", &["f32[N,6]", "=[5,1]"], "axis=1", 2),
    (17, "Split", &["f32[N,6]"], "axis=1", 2),
    (7, "Clip", &["f32[N,6]"], "min=-0.25 max=0.5", 1),
    (10, "Clip", &["f32[N,6]"], "max=0.5", 1),
    (9, "Pad", &["f32[N,3,4]"], "pads=[0,0,1,0,0,2] value=0.75", 1),
    (9, "Pad", &["f32[N,3,4]"], "pads=[0,0,1,0,0,2] mode=reflect", 1),
    (7, "Dropout", &["f32[N,3]"], "ratio=0.75", 1),
    (7, "BatchNormalization", &["f32[N,3,4,4]", "#[3]", "#[3]", "#[3]", "#[3]"], "epsilon=0.01", 1),
    (9, "BatchNormalization", &["f32[N,3,4,4]", "#[3]", "#[3]", "#[3]", "#[3]"], "", 1),
    (14, "BatchNormalization", &["f32[N,3,4,4]", "#[3]", "#[3]", "#[3]", "#[3]"], "", 1),
    (7, "Softmax", &["f32[N,3]"], "", 1),
    (9, "Softmax", &["f32[N,3,4]"], "axis=2", 1),
    (9, "Softmax", &["f32[N,3,4]"], "", 1),
    (12, "LogSoftmax", &["f32[N,3,4,5]"], "axis=-2", 1),
    (12, "Softmax", &["f32[N,3,4]"], "axis=0", 1),
    (13, "Softmax", &["f32[N,3,4]"], "axis=1", 1),
    (9, "Gemm", &["f32[N,3]", "#[3,4]", "#[4]"], "alpha=0.5", 1),
    (7, "Flatten", &["f32[N,3,4]"], "", 1),
    (7, "LeakyRelu", &["f32[N,3]"], "alpha=0.2", 1),
    (7, "PRelu", &["f32[N,3,4]", "#[3,1]"], "", 1),
    (7, "Elu", &["f32[N,3]"], "alpha=0.5", 1),
    (7, "Selu", &["f32[N,3]"], "", 1),
    (7, "HardSigmoid", &["f32[N,3]"], "", 1),
    (7, "Sum", &["f32[N,3]", "f32[N,3]", "f32[N,3]"], "", 1),
    (7, "Max", &["f32[N,3]", "f32[N,3]"], "", 1),
    (8, "Mean", &["f32[N,3]", "#[3]"], "", 1),
    (8, "Min", &["f32[N,3]", "#[1]"], "", 1),
    (7, "Pow", &["f32[N,3]", "#2.0"], "", 1),
    (7, "InstanceNormalization", &["f32[N,3,4]", "#[3]", "#[3]"], "", 1),
    (7, "LRN", &["f32[N,5,2,2]"], "size=3 alpha=0.5", 1),
    (7, "LpNormalization", &["f32[N,3]"], "axis=1 p=1", 1),
    (7, "GlobalMaxPool", &["f32[N,3,4]"], "", 1),
    (9, "MeanVarianceNormalization", &["f32[N,3,4]"], "axes=[1,2]", 1),
    (10, "ThresholdedRelu", &["f32[N,3]"], "alpha=0.5", 1),
    (10, "Mod", &["f32[N,3]", "#[3]"], "fmod=1", 1),
    (11, "CumSum", &["f32[N,3]", "=1"], "exclusive=1", 1),
    (17, "ReduceProd", &["f32[N,3,4]"], "axes=[-1] keepdims=0", 1),
    (11, "ReduceLogSumExp", &["f32[N,3,4]"], "axes=[-1]", 1),
    (18, "GroupNormalization", &["f32[N,4,3]", "#[2]", "#[2]"], "num_groups=2", 1),
];

#[test]
fn upgraded_graphs_give_the_same_numbers() {
    for (opset, op_type, inputs, attributes, outputs) in CASES {
        println!("{op_type}({inputs:?}) {{{attributes}}} of opset {opset}");
        let file = file(*opset, op_type, inputs, attributes, *outputs);
        let upgraded = upgrade(&file).unwrap();
        assert_eq!(upgraded.opset, WORKING_OPSET);
        assert_equal_results(&file, &upgraded, 1e-6);
    }
}

/// A file that resizes images `[N, 3, 4, 6]` by scales.
fn resized(opset: u32, op_type: &str, scales: &[f32], text: &str) -> Graph {
    let mut graph = Graph::new("test", opset);
    let x = add(&mut graph, "f32[N,3,4,6]");
    let scales = Tensor::from_f32(&[scales.len()], scales);
    let outputs = if opset < 9 {
        let outputs = push_all(&mut graph, op_type, &[x], text, 1);
        graph
            .node_mut(NodeId(0))
            .attributes
            .0
            .insert("scales".to_owned(), Attribute::Floats(scales.to_f32().unwrap()));
        outputs
    } else {
        let scales = graph.add_constant("scales", scales);
        push_all(&mut graph, op_type, &[x, Some(scales)], text, 1)
    };
    graph.set_outputs(outputs);
    graph
}

#[test]
fn upsample_and_the_first_resize_keep_their_coordinates() {
    let cases: [(u32, &str, [f32; 4], &str); 6] = [
        (7, "Upsample", [1.0, 1.0, 2.0, 1.5], "mode=nearest"),
        (9, "Upsample", [1.0, 1.0, 2.0, 3.0], ""),
        (9, "Upsample", [1.0, 1.0, 2.0, 1.5], "mode=linear"),
        (10, "Resize", [1.0, 1.0, 1.0, 2.5], "mode=nearest"),
        (10, "Resize", [1.0, 1.0, 0.7, 0.4], "mode=nearest"),
        (10, "Resize", [1.0, 1.0, 0.7, 2.0], "mode=linear"),
    ];
    for (opset, op_type, scales, text) in cases {
        println!("{op_type} {scales:?} {text} of opset {opset}");
        let file = resized(opset, op_type, &scales, text);
        assert_equal_results(&file, &upgrade(&file).unwrap(), 1e-6);
    }
}

#[test]
fn attention_is_decomposed() {
    let joined: &[&str] = &["f32[N,5,8]", "f32[N,7,8]", "f32[N,7,12]"];
    let heads: &[&str] = &["f32[N,2,5,4]", "f32[N,2,7,4]", "f32[N,2,7,6]"];
    let grouped: &[&str] = &["f32[N,4,5,4]", "f32[N,2,7,4]", "f32[N,2,7,6]"];
    let with = |inputs: &[&'static str], mask: &'static str| [inputs, &[mask]].concat();
    let cases: [(Vec<&str>, &str); 9] = [
        (heads.to_vec(), ""),
        (heads.to_vec(), "scale=0.75"),
        (heads.to_vec(), "is_causal=1"),
        (heads.to_vec(), "softcap=0.5"),
        (with(heads, "#[5,7]"), "softcap=0.5"),
        (with(heads, "#[2,5,7]"), "is_causal=1"),
        (grouped.to_vec(), ""),
        (joined.to_vec(), "q_num_heads=2 kv_num_heads=2"),
        (vec!["f32[N,5,16]", "f32[N,7,8]", "f32[N,7,12]"], "q_num_heads=4 kv_num_heads=2 is_causal=1"),
    ];
    for (inputs, text) in cases {
        println!("Attention({inputs:?}) {{{text}}}");
        let file = file(23, "Attention", &inputs, text, 1);
        assert_equal_results(&file, &upgrade(&file).unwrap(), 1e-5);
    }
    let cached = file(23, "Attention", &[heads, &["", "f32[N,2,3,4]", "f32[N,2,3,6]"]].concat(), "", 1);
    assert!(upgrade(&cached).unwrap_err().to_string().contains("without a cache"));
}

#[test]
fn a_boolean_mask_closes_scores() {
    let mut graph = Graph::new("test", 23);
    let inputs = ["f32[N,2,5,4]", "f32[N,2,5,4]", "f32[N,2,5,4]"].map(|text| add(&mut graph, text).unwrap());
    let (numbers, bound) = (add(&mut graph, "#[5,5]").unwrap(), add(&mut graph, "#1.0").unwrap());
    let mask = push(&mut graph, "Greater", &[numbers, bound], "");
    let y = push(&mut graph, "Attention", &[&inputs[..], &[mask]].concat(), "");
    graph.set_outputs(vec![y]);
    assert_equal_results(&graph, &upgrade(&graph).unwrap(), 1e-5);
}

/// The errata of Attention-23; ONNX Runtime 1.32 does the same.
#[test]
fn a_query_that_may_look_at_no_key_gives_zero() {
    let mut graph = Graph::new("test", 23);
    let inputs = ["f32[N,1,3,2]", "f32[N,1,3,2]", "f32[N,1,3,2]"].map(|text| add(&mut graph, text).unwrap());
    // Query 0 has no key, query 1 only one behind it.
    let numbers = graph.add_constant("mask", Tensor::from_i64(&[3, 3], &[0, 0, 0, 0, 0, 1, 1, 1, 0]));
    let mask = push(&mut graph, "Cast", &[numbers], "to=9");
    let y = push(&mut graph, "Attention", &[&inputs[..], &[mask]].concat(), "is_causal=1");
    graph.set_outputs(vec![y]);
    let (_, values) = &run(&upgrade(&graph).unwrap(), 1)[0];
    assert_eq!(values[..4], [0.0; 4]);
    assert!(values[4..].iter().all(|value| value.is_finite() && *value != 0.0));
}

#[test]
fn rotary_embedding_is_decomposed() {
    let cases: [(&[&str], &str); 5] = [
        (&["f32[N,2,5,8]", "#[9,4]", "#[9,4]", "=[3,1,0,8,5]"], ""),
        (&["f32[N,2,5,8]", "#[9,4]", "#[9,4]", "=[3,1,0,8,5]"], "interleaved=1"),
        (&["f32[N,5,16]", "#[9,4]", "#[9,4]", "=[3,1,0,8,5]"], "num_heads=2"),
        (&["f32[N,2,5,8]", "#[9,2]", "#[9,2]", "=[3,1,0,8,5]"], "rotary_embedding_dim=4"),
        (&["f32[3,2,5,8]", "f32[3,5,4]", "f32[3,5,4]"], ""),
    ];
    for (inputs, text) in cases {
        println!("RotaryEmbedding({inputs:?}) {{{text}}}");
        let mut graph = Graph::new("test", 23);
        let mut ids: Vec<Option<ValueId>> = inputs.iter().map(|text| add(&mut graph, text)).collect();
        if let Some(Some(positions)) = ids.get_mut(3) {
            // One row of positions for each image of a batch whose size is not known.
            let one = add(&mut graph, "=[0]").unwrap();
            let row = push(&mut graph, "Unsqueeze", &[*positions, one], "");
            let x = graph.inputs()[0];
            let shape = push(&mut graph, "Shape", &[x], "end=1");
            let ones = add(&mut graph, "=[1]").unwrap();
            let target = push(&mut graph, "Concat", &[shape, ones], "axis=0");
            *positions = push(&mut graph, "Expand", &[row, target], "");
        }
        let outputs = push_all(&mut graph, "RotaryEmbedding", &ids, text, 1);
        graph.set_outputs(outputs);
        let upgraded = upgrade(&graph).unwrap();
        let batches: &[usize] = if inputs.len() == 3 { &[3] } else { &[1, 3] };
        for batch in batches {
            for ((_, left), (_, right)) in run(&graph, *batch).iter().zip(&run(&upgraded, *batch)) {
                assert!(left.iter().zip(right).all(|(left, right)| (left - right).abs() < 1e-5));
            }
        }
    }
}

#[test]
fn a_norm_over_the_image_is_a_reduction() {
    for text in ["", "p=1", "p=3"] {
        let file = file(20, "GlobalLpPool", &["f32[N,2,3,4]"], text, 1);
        assert_equal_results(&file, &upgrade(&file).unwrap(), 1e-5);
    }
}

#[test]
fn a_centred_part_is_a_pad() {
    for (shape, text) in [("=[2,3,9]", "axes=[1,2,3]"), ("=[5,2]", "axes=[-1,2]"), ("=[6,1]", "axes=[2,1]")] {
        let file = file(18, "CenterCropPad", &["f32[N,2,4,6]", shape], text, 1);
        assert_equal_results(&file, &upgrade(&file).unwrap(), 0.0);
    }
}

#[test]
fn softmax_over_the_last_axis_stays_one_node() {
    let upgraded = upgrade(&file(9, "Softmax", &["f32[N,3,4]"], "axis=2", 1)).unwrap();
    let operators: Vec<&str> = upgraded.nodes().iter().map(|node| node.op_type.as_str()).collect();
    assert_eq!(operators, ["Softmax"]);
}

#[test]
fn the_count_of_the_top_becomes_an_input() {
    // Its second output holds integers, which the session of the tests does not read.
    let upgraded = upgrade(&file(9, "TopK", &["f32[N,9]"], "k=4", 2)).unwrap();
    let shapes: Vec<String> =
        upgraded.outputs().iter().map(|id| upgraded.shape(*id).unwrap().to_string()).collect();
    assert_eq!(shapes, ["[N, 4]", "[N, 4]"]);
}

#[test]
fn group_normalization_keeps_the_form_of_its_opset() {
    // From opset 21 on the parameters are one per channel; a file of that opset is not brought down.
    let file = file(21, "GroupNormalization", &["f32[N,4,3]", "#[4]", "#[4]"], "num_groups=2", 1);
    let upgraded = upgrade(&file).unwrap();
    assert_eq!(upgraded.opset, 21);
    assert_equal_results(&file, &upgraded, 1e-6);
}

#[test]
fn newer_files_keep_their_opset() {
    assert_eq!(upgrade(&file(22, "Relu", &["f32[N,3]"], "", 1)).unwrap().opset, 22);
}

#[test]
fn forms_that_no_longer_exist_are_refused_by_name() {
    let parameters: &[&str] = &["f32[N,3,4,4]", "#[3]", "#[3]", "#[3]", "#[3]"];
    let cases = [
        (file(7, "BatchNormalization", parameters, "spatial=0", 1), "spatial = 0"),
        (file(9, "BatchNormalization", parameters, "", 5), "training mode"),
        (
            resized(10, "Resize", &[1.0, 1.0, 2.0, 0.5], "mode=nearest"),
            "grows along one axis and shrinks along another",
        ),
    ];
    for (file, wanted) in cases {
        let error = upgrade(&file).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains(wanted) && error.to_string().starts_with("node `"), "{error}");
    }
    let error = upgrade(&file(6, "Relu", &["f32[N,3]"], "", 1)).unwrap_err();
    assert!(error.to_string().starts_with("opset 6 is older than 7"), "{error}");
}

/// `x + BatchNormalization(w)` in training mode, for `w` `[1, 3, 4]` a constant, or `x` itself.
fn standardised(opset: u32, weights: bool) -> Graph {
    let mut graph = Graph::new("test", opset);
    let x = add(&mut graph, "f32[1,3,4]");
    let [scale, bias, mean, variance] = [(); 4].map(|()| add(&mut graph, "#[3]"));
    let data = if weights { add(&mut graph, "#[1,3,4]") } else { x };
    let half = add(&mut graph, "#0.5");
    let data = push_all(&mut graph, "Mul", &[data, half], "", 1);
    let (attributes, outputs) = if opset < 14 { ("", 5) } else { ("training_mode=1 epsilon=0.01", 3) };
    let inputs = [Some(data[0]), scale, bias, mean, variance];
    let normal = push_all(&mut graph, "BatchNormalization", &inputs, attributes, outputs);
    let sum = push_all(&mut graph, "Add", &[x, Some(normal[0])], "", 1);
    graph.set_outputs(sum);
    graph
}

#[test]
fn weights_may_be_normalised_by_their_own_statistics() {
    let file = standardised(17, true);
    let upgraded = upgrade(&file).unwrap();
    assert_equal_results(&file, &upgraded, 1e-6);
    let operators: Vec<&str> = upgraded.nodes().iter().map(|node| node.op_type.as_str()).collect();
    assert_eq!(operators, ["Mul", "InstanceNormalization", "Add"]);
    // ONNX Runtime has no training form of an older opset to compare with.
    assert_eq!(upgrade(&standardised(11, true)).unwrap().nodes()[1].op_type, "InstanceNormalization");
}

#[test]
fn images_must_not_be_normalised_by_the_statistics_of_a_batch() {
    for opset in [11, 17] {
        let error = upgrade(&standardised(opset, false)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("statistics of the batch"), "{error}");
    }
}

#[test]
fn attention_within_a_window_is_refused() {
    let inputs = ["f32[N,4,6]", "f32[N,4,6]", "f32[N,4,6]"];
    let heads = "q_num_heads=2 kv_num_heads=2";
    assert!(upgrade(&file(25, "Attention", &inputs, heads, 1)).is_ok());
    let file = file(25, "Attention", &inputs, &format!("{heads} left_window_size=1"), 1);
    let error = upgrade(&file).unwrap_err().to_string();
    assert!(error.contains("(left_window_size)"), "{error}");
}

#[test]
fn affine_grids_are_products() {
    for (theta, rest, attributes) in [
        ("f32[N,2,3]", "=[3,4,5]", ""),
        ("f32[N,2,3]", "=[3,4,5]", "align_corners=1"),
        ("f32[N,3,4]", "=[1,2,3,4]", "align_corners=0"),
    ] {
        let mut graph = Graph::new("test", 20);
        let theta = add(&mut graph, theta).unwrap();
        let batch = push(&mut graph, "Shape", &[theta], "start=0 end=1");
        let rest = add(&mut graph, rest).unwrap();
        let size = push(&mut graph, "Concat", &[batch, rest], "axis=0");
        let grid = push(&mut graph, "AffineGrid", &[theta, size], attributes);
        graph.add_output(grid);
        let upgraded = upgrade(&graph).unwrap();
        assert!(!upgraded.nodes().iter().any(|node| node.op_type == "AffineGrid"));
        assert_equal_results(&graph, &upgraded, 1e-6);
    }
}

#[test]
fn an_operator_that_is_not_known_is_named_with_the_opset_of_the_file() {
    let mut graph = Graph::new("test", 17);
    let x = add(&mut graph, "f32[N,3]").unwrap();
    let y = push(&mut graph, "NoSuchOperator", &[x], "");
    graph.add_output(y);
    let error = upgrade(&graph).unwrap_err().to_string();
    assert!(error.contains("operator NoSuchOperator (opset 17) is not supported"), "{error}");
}
