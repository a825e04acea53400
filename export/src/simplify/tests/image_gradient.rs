//! Convolutions to images, which our kernel computes.

use super::*;
use crate::graph::own_operators::CONV_IMAGE_GRADIENT;
use crate::simplify::image_gradient::use_image_gradients;

/// Rewrites a typed copy, compares its results through ONNX Runtime, and returns its operators.
fn with_kernels(input: &str, op_type: &str, weights: &str, attributes: &str) -> Vec<String> {
    let file = graph(13, input, |graph, x| {
        let small = constant(graph, "#0.001");
        let x = push(graph, "Mul", &[x, small], "");
        let weights = constant(graph, weights);
        push(graph, op_type, &[x, weights], attributes)
    });
    let before = upgrade(&file).unwrap();
    let mut graph = before.clone();
    crate::shape::infer(&mut graph).unwrap();
    use_image_gradients(&mut graph);
    crate::shape::check(&graph).unwrap();
    assert_equal_results(&before, &graph, 1e-4);
    operators(&graph).into_iter().map(str::to_owned).collect()
}

#[test]
fn convolutions_to_one_or_three_channels_are_taken() {
    for (input, op_type, weights, attributes) in [
        ("f32[N,16,10,9]", "Conv", "#[3,16,3,3]", "pads=[1,1,1,1]"),
        ("f32[N,8,10,9]", "Conv", "#[1,8,3,3]", "pads=[2,2,2,2]"),
        ("f32[N,8,10,12]", "Conv", "#[3,8,4,5]", "pads=[0,1,2,0]"),
        ("f32[N,8,5,9]", "ConvTranspose", "#[8,3,3,3]", "strides=[2,2] pads=[1,1,1,1] output_padding=[1,1]"),
        ("f32[N,8,5,9]", "ConvTranspose", "#[8,1,7,7]", "strides=[2,2] pads=[3,3,2,2]"),
        ("f32[N,8,5,9]", "ConvTranspose", "#[8,3,4,3]", "strides=[4,2]"),
    ] {
        let found = with_kernels(input, op_type, weights, attributes);
        assert_eq!(found, ["Mul", CONV_IMAGE_GRADIENT], "{op_type} {weights} {attributes}");
    }
}

#[test]
fn others_stay() {
    for (what, input, op_type, weights, attributes) in [
        ("outputs", "f32[N,8,10,9]", "Conv", "#[2,8,3,3]", ""),
        ("channels", "f32[N,4,10,9]", "Conv", "#[3,4,3,3]", ""),
        ("stride", "f32[N,8,20,20]", "Conv", "#[3,8,3,3]", "strides=[2,2]"),
        ("distance", "f32[N,8,20,20]", "Conv", "#[3,8,3,3]", "dilations=[2,2]"),
        ("groups", "f32[N,24,10,9]", "Conv", "#[3,8,3,3]", "group=3"),
        ("padding", "f32[N,8,10,9]", "Conv", "#[3,8,3,3]", "pads=[3,3,3,3]"),
        ("output shape", "f32[N,8,5,9]", "ConvTranspose", "#[8,3,3,3]", "strides=[2,2] output_shape=[10,18]"),
        ("few neighbours", "f32[N,8,4,4]", "ConvTranspose", "#[8,3,4,4]", "strides=[4,4]"),
    ] {
        assert_eq!(with_kernels(input, op_type, weights, attributes), ["Mul", op_type], "{what}");
    }
}
