//! Files of every layout, batch and output, evaluated through ONNX Runtime.

mod features;
mod inputs;
mod outputs;
mod random;
mod search_scores;
mod sklearn;

use mimir_bundle::digest::FileDigest;
use mimir_bundle::{
    BatchMode, ChannelOrder, ImageShape, Layout, Loss, Normalisation, OutputKind, WeightUse, tensor_names,
};

use mimir_runtime::session::{Data, Engine, Input, RawSession, SessionOptions};

use super::{ImageClassifier, InputSpec, for_one_image};
use crate::error::{ErrorKind, Result};
use crate::graph::{Graph, ValueId};
use crate::onnx::{Limits, ModelFile, read_model_bytes};
use crate::testing::{add, push, run, run_file};

const IMAGE: ImageShape = ImageShape { channels: 3, height: 4, width: 2 };

/// A graph from one input of that type to what `build` makes of it.
fn graph(opset: u32, input: &str, build: impl FnOnce(&mut Graph, ValueId) -> ValueId) -> Graph {
    let mut graph = Graph::new("test", opset);
    let input = add(&mut graph, input).unwrap();
    let output = build(&mut graph, input);
    graph.add_output(output);
    graph
}

/// `Flatten → Gemm` to five classes.
fn head(graph: &mut Graph, features: ValueId) -> ValueId {
    let flat = push(graph, "Flatten", &[features], "");
    let (weights, bias) = (add(graph, "#[24,5]").unwrap(), add(graph, "#[5]").unwrap());
    push(graph, "Gemm", &[flat, weights, bias], "")
}

fn file(graph: Graph) -> ModelFile {
    let files = vec![FileDigest::new("test.onnx", b"test")];
    ModelFile { graph, open_inputs: Vec::new(), ir_version: 8, producer: "test 1".to_owned(), files }
}

fn classifier(graph: Graph, spec: &InputSpec) -> Result<ImageClassifier> {
    ImageClassifier::new(file(graph), spec)
}

fn with_image() -> InputSpec {
    InputSpec { image: Some(IMAGE), ..InputSpec::default() }
}

fn assert_close(found: &[f32], wanted: &[f32]) {
    assert_eq!(found.len(), wanted.len());
    for (found, wanted) in found.iter().zip(wanted) {
        assert!((found - wanted).abs() <= 1e-5 * wanted.abs().max(1.0), "{found} is not {wanted}");
    }
}

#[test]
fn an_nchw_file_is_itself_under_the_names_of_the_contract() {
    let file = graph(9, "f32[N,3,4,2]", head);
    let classifier = classifier(file.clone(), &InputSpec::default()).unwrap();
    let manifest = classifier.manifest();
    assert_eq!((manifest.image, manifest.layout, manifest.classes), (IMAGE, Layout::Nchw, 5));
    assert_eq!(
        (manifest.batch, manifest.output, manifest.opset),
        (BatchMode::Dynamic, OutputKind::Logits, 9)
    );
    assert_eq!(run_file(&classifier.original_onnx().unwrap(), 3), run(&file, 3));
    let names = |ids: &[ValueId]| classifier.original.value(ids[0]).name.clone();
    assert_eq!(names(classifier.original.inputs()), "images");
    assert_eq!(names(classifier.original.outputs()), "logits");
    assert!(classifier.fixed_batch_onnx().is_none());
}

/// A file has no shapes inside: those of the copy count, or convolutions would be left out.
#[test]
fn each_product_of_a_file_counts_where_weights_meet_an_image() {
    let convolution = graph(13, "f32[N,3,4,2]", |graph, x| {
        let weights = add(graph, "#[3,3,3,3]").unwrap();
        let features = push(graph, "Conv", &[x, weights], "pads=[1,1,1,1]");
        head(graph, features)
    });
    let perceptron = graph(13, "f32[N,3,4,2]", |graph, x| {
        let flat = push(graph, "Flatten", &[x], "");
        let (first, last) = (add(graph, "#[24,40]").unwrap(), add(graph, "#[40,5]").unwrap());
        let hidden = push(graph, "MatMul", &[flat, first], "");
        push(graph, "MatMul", &[hidden, last], "")
    });
    for (graph, wanted) in [
        (convolution, WeightUse { weights: 81 + 120, products: 81 * 8 + 120 }),
        (perceptron, WeightUse { weights: 960 + 200, products: 960 + 200 }),
    ] {
        assert_eq!(classifier(graph, &with_image()).unwrap().weight_use(), wanted);
    }
}

/// From `[N, C, H, W]` to what a file takes.
type Rearrange = fn(&mut Graph, ValueId) -> ValueId;

#[test]
fn normalisation_runs_on_pixels_in_front_of_every_layout() {
    let normalisation = Normalisation::new([0.5, 0.25, 0.125], [0.5, 2.0, 4.0]);
    let normalised = |graph: &mut Graph, x: ValueId| {
        let mean = graph.add_constant("mean", crate::Tensor::from_f32(&[1, 3, 1, 1], &[0.5, 0.25, 0.125]));
        let std = graph.add_constant("std", crate::Tensor::from_f32(&[1, 3, 1, 1], &[0.5, 2.0, 4.0]));
        let centred = push(graph, "Sub", &[x, mean], "");
        push(graph, "Div", &[centred, std], "")
    };
    let by_hand = |rearrange: Rearrange| {
        graph(9, "f32[N,3,4,2]", |graph, x| {
            let x = normalised(graph, x);
            let x = rearrange(graph, x);
            head(graph, x)
        })
    };
    let spec = InputSpec { normalisation: Some(normalisation.clone()), ..with_image() };
    let cases: [(&str, Layout, Rearrange); 3] = [
        ("f32[N,3,4,2]", Layout::Nchw, |_, x| x),
        ("f32[N,4,2,3]", Layout::Nhwc, |graph, x| push(graph, "Transpose", &[x], "perm=[0,2,3,1]")),
        ("f32[N,1,24]", Layout::Flat, |_, x| x),
    ];
    for (input, layout, rearrange) in cases {
        let classifier = classifier(graph(9, input, head), &spec).unwrap();
        assert_eq!(classifier.manifest().layout, layout);
        assert_eq!(classifier.manifest().image, IMAGE);
        let found = run_file(&classifier.original_onnx().unwrap(), 2);
        assert_eq!(found, run(&by_hand(rearrange), 2), "{layout:?}");
    }
}

#[test]
fn a_batch_of_one_is_opened_where_the_graph_allows_it() {
    // Flat, and with a Reshape that spells the batch out.
    let file = graph(9, "f32[1,24,1]", |graph, x| {
        let target = add(graph, "=[1,6,4]").unwrap();
        let x = push(graph, "Reshape", &[x, target], "");
        head(graph, x)
    });
    let mut classifier = classifier(file, &with_image()).unwrap();
    assert_eq!(classifier.manifest().batch, BatchMode::Rebatched);
    let one = run_file(&classifier.fixed_batch_onnx().unwrap().unwrap(), 1);
    assert_eq!(run_file(&classifier.original_onnx().unwrap(), 1), one);
    let (dims, logits) = &run_file(&classifier.original_onnx().unwrap(), 3)[0];
    assert_eq!(dims, &[3, 5]);
    assert_close(&logits[..5], &one[0].1);

    classifier.keep_fixed_batch();
    assert_eq!(classifier.manifest().batch, BatchMode::One);
    assert_eq!(run_file(&classifier.original_onnx().unwrap(), 1), one);
    assert!(classifier.fixed_batch_onnx().is_none());
}

#[test]
fn a_batch_of_one_stays_where_the_graph_needs_it() {
    let file = graph(9, "f32[1,3,4,2]", |graph, x| {
        let token = add(graph, "#[1,3,4,1]").unwrap();
        let x = push(graph, "Concat", &[token, x], "axis=3");
        let flat = push(graph, "Flatten", &[x], "");
        let weights = add(graph, "#[36,5]").unwrap();
        push(graph, "MatMul", &[flat, weights], "")
    });
    let classifier = classifier(file.clone(), &InputSpec::default()).unwrap();
    assert_eq!(classifier.manifest().batch, BatchMode::One);
    assert_eq!(run_file(&classifier.original_onnx().unwrap(), 1), run(&file, 1));
    let outputs = run_file(&classifier.gradient_onnx(Loss::Margin).unwrap(), 1);
    assert_eq!(outputs[1].0, [1, 3, 4, 2]);
}

/// Logits of `head`, and the outputs of the gradient graph of a file that returns `last` of them.
fn logits_and_gradient(
    last: impl Fn(&mut Graph, ValueId) -> ValueId,
    kind: OutputKind,
) -> [Vec<Vec<f32>>; 2] {
    let build = |graph: &mut Graph, x: ValueId| {
        let logits = head(graph, x);
        last(graph, logits)
    };
    let mut with_last = classifier(graph(9, "f32[N,3,4,2]", build), &InputSpec::default()).unwrap();
    with_last.set_output_kind(kind);
    let by_hand = graph(9, "f32[N,3,4,2]", |graph, x| {
        let logits = head(graph, x);
        push(graph, "LogSoftmax", &[logits], "")
    });
    let by_hand = classifier(by_hand, &InputSpec::default()).unwrap();
    [with_last, by_hand].map(|classifier| {
        let outputs = run_file(&classifier.gradient_onnx(Loss::Margin).unwrap(), 2);
        outputs.into_iter().map(|(_, values)| values).collect()
    })
}

#[test]
fn the_gradient_of_probabilities_is_that_of_their_logarithm() {
    let softmax = |graph: &mut Graph, logits: ValueId| {
        let probabilities = push(graph, "Softmax", &[logits], "");
        push(graph, "Identity", &[probabilities], "")
    };
    // Probabilities that no Softmax announces: exp(z) / Σ exp(z).
    let quotient = |graph: &mut Graph, logits: ValueId| {
        let exponentials = push(graph, "Exp", &[logits], "");
        let sum = push(graph, "ReduceSum", &[exponentials], "axes=[1]");
        push(graph, "Div", &[exponentials, sum], "")
    };
    let cases = [
        logits_and_gradient(softmax, OutputKind::Probabilities),
        logits_and_gradient(quotient, OutputKind::Probabilities),
    ];
    for [found, wanted] in cases {
        assert_close(&found[0], &wanted[0]);
        assert_close(&found[1], &wanted[1]);
    }
}

#[test]
fn a_softmax_over_the_classes_is_found() {
    let kind = |build: &dyn Fn(&mut Graph, ValueId) -> ValueId| {
        let file = graph(12, "f32[N,3,4,2]", |graph, x| {
            let logits = head(graph, x);
            build(graph, logits)
        });
        classifier(file, &InputSpec::default()).unwrap().manifest().output
    };
    assert_eq!(kind(&|_, logits| logits), OutputKind::Logits);
    assert_eq!(kind(&|graph, logits| push(graph, "Softmax", &[logits], "")), OutputKind::Probabilities);
    assert_eq!(kind(&|graph, logits| push(graph, "LogSoftmax", &[logits], "")), OutputKind::Logits);
    let inside = |graph: &mut Graph, logits: ValueId| {
        let gate = push(graph, "Softmax", &[logits], "");
        push(graph, "Mul", &[gate, logits], "")
    };
    assert_eq!(kind(&inside), OutputKind::Logits);
    let through_axes = |graph: &mut Graph, logits: ValueId| {
        let images = push(graph, "Unsqueeze", &[logits], "axes=[2,3]");
        let probabilities = push(graph, "Softmax", &[images], "axis=1");
        push(graph, "Flatten", &[probabilities], "")
    };
    assert_eq!(kind(&through_axes), OutputKind::Probabilities);
}

#[test]
fn tensors_of_the_file_give_way_to_the_names_of_the_contract() {
    let mut file = graph(9, "f32[N,3,4,2]", |graph, x| {
        let relu = push(graph, "Relu", &[x], "");
        let bounded = push(graph, "Tanh", &[relu], "");
        head(graph, bounded)
    });
    for (index, name) in ["logits", "images", "loss", "targets"].iter().enumerate() {
        let id = file.nodes()[index].outputs[0].unwrap();
        file.rename(id, name).unwrap();
    }
    let classifier = classifier(file.clone(), &InputSpec::default()).unwrap();
    assert_eq!(run_file(&classifier.original_onnx().unwrap(), 2), run(&file, 2));
    let outputs = run_file(&classifier.gradient_onnx(Loss::Margin).unwrap(), 2);
    assert_close(&outputs[0].1, &run(&file, 2)[0].1);
    assert!(classifier.gradient_onnx(Loss::TargetedDlr).is_ok());
}

#[test]
fn what_is_not_a_classifier_is_refused_with_the_way_out() {
    let plain = |input: &str| graph(9, input, head);
    let to = |last: &'static str, attributes: &'static str| {
        graph(9, "f32[N,3,4,2]", move |graph, x| {
            let logits = head(graph, x);
            push(graph, last, &[logits], attributes)
        })
    };
    let with_second = |second: &'static str| {
        graph(9, "f32[N,3,4,2]", move |graph, x| {
            let second = add(graph, second).unwrap();
            let sum = push(graph, "Add", &[x, second], "");
            head(graph, sum)
        })
    };
    let two_outputs = {
        let mut graph = plain("f32[N,3,4,2]");
        let other = graph.nodes()[0].outputs[0].unwrap();
        graph.add_output(other);
        graph
    };
    let twice = graph(9, "f32[N,3,4,2]", |graph, x| {
        let logits = head(graph, x);
        let logits = push(graph, "Unsqueeze", &[logits], "axes=[1]");
        push(graph, "Concat", &[logits, logits], "axis=1")
    });
    let cases: Vec<(Graph, &str)> = vec![
        (plain("f32[N,3,8,1]"), "give --layout nchw or --layout nhwc"),
        (plain("f32[N,2,4,3,1]"), "--layout flat"),
        (plain("f32[2N,3,4,2]"), "with a batch of 2N: export the model with a dynamic batch"),
        (plain("f32[N,24]"), "--input-shape C,H,W"),
        (plain("f32[N,3,2N,2]"), "export the model with a fixed image size"),
        (
            with_second("f32[N,3,4,2]"),
            "depend on 2 inputs (`input` float32[N, 3, 4, 2], `input_2` float32[N, 3, 4, 2])",
        ),
        (with_second("f32[1,3,1,1]"), "a mean or another tensor that the exporter turned into an input"),
        (two_outputs, "the model has 2 outputs"),
        (twice, "the output is [N, 2, 5], wanted [N, K]"),
        (to("ReduceSum", "axes=[0]"), "the output is [1, 5], wanted [N, K]"),
    ];
    for (file, wanted) in cases {
        let error = classifier(file, &InputSpec::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotAClassifier, "{error}");
        assert!(error.to_string().contains(wanted), "{error}, wanted {wanted}");
    }
}

#[test]
fn one_class_is_an_error_that_says_how_to_export_two() {
    for (input, attributes, shape) in [
        ("f32[N,3,4,2]", "axes=[1]", "[N, 1]"),
        ("f32[N,3,4,2]", "axes=[1] keepdims=0", "[N]"),
        ("f32[1,3,4,2]", "axes=[1]", "[1, 1]"),
    ] {
        let file = graph(9, input, |graph, x| {
            let logits = head(graph, x);
            push(graph, "ReduceSum", &[logits], attributes)
        });
        let error = classifier(file, &InputSpec::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotAClassifier, "{error}");
        let start = format!("tensor `reducesum`: the output is {shape}, which is 1 class, wanted [N, K]");
        assert!(error.to_string().starts_with(&start), "{error}");
        assert!(error.to_string().contains("export the two logits [-z/2, z/2]"), "{error}");
    }
}

/// Logits, loss and gradient of the difference of logits ratio for two images of labels 1 and 3.
fn dlr(classifier: &ImageClassifier) -> Vec<Vec<f32>> {
    let engine = Engine::load(None).unwrap();
    let bytes = classifier.gradient_onnx(Loss::Dlr).unwrap();
    let mut session = RawSession::new(&engine, &bytes, SessionOptions::default()).unwrap();
    let images = Input { name: tensor_names::IMAGES, dims: &[2, 3, 4, 2], data: Data::F32(&waves(48)) };
    let labels = Input { name: tensor_names::LABELS, dims: &[2], data: Data::I64(&[1, 3]) };
    session.run(&[images, labels]).unwrap().into_iter().map(|output| output.data).collect()
}

#[test]
fn a_loss_head_of_probabilities_sees_their_logarithm() {
    let with_last = |last: &str| {
        let file = graph(9, "f32[N,3,4,2]", |graph, x| {
            let logits = head(graph, x);
            push(graph, last, &[logits], "")
        });
        classifier(file, &InputSpec::default()).unwrap()
    };
    let (softmax, log_softmax) = (with_last("Softmax"), with_last("LogSoftmax"));
    assert_eq!(softmax.manifest().output, OutputKind::Probabilities);
    for (found, wanted) in dlr(&softmax).iter().zip(dlr(&log_softmax)) {
        assert_close(found, &wanted);
    }
}

#[test]
fn integer_pixels_and_integer_scores_are_unsupported() {
    let pixels = graph(9, "i64[N,3,4,2]", |graph, x| {
        let x = push(graph, "Cast", &[x], "to=1");
        head(graph, x)
    });
    let places = graph(13, "f32[N,3,4,2]", |graph, x| {
        let logits = head(graph, x);
        push(graph, "ArgMax", &[logits], "axis=1 keepdims=0")
    });
    for (graph, wanted) in [
        (
            pixels,
            "tensor `input`: is i64, wanted floating-point pixels or levels as uint8: export the part of the model after",
        ),
        (places, "tensor `argmax`: is i64[N] and made of no floating-point scores, such as a label is"),
    ] {
        let error = classifier(graph, &InputSpec::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().starts_with(wanted), "{error}");
    }
}

#[test]
fn a_second_output_of_integers_or_booleans_is_dropped() {
    let mut is_nan = graph(20, "f32[N,3,4,2]", head);
    let scores = is_nan.outputs()[0];
    let second = push(&mut is_nan, "IsNaN", &[scores], "");
    is_nan.add_output(second);
    let mut bits = graph(20, "f32[N,3,4,2]", head);
    let scores = bits.outputs()[0];
    let class = push(&mut bits, "ArgMax", &[scores], "axis=1");
    let second = push(&mut bits, "BitwiseAnd", &[class, class], "");
    bits.add_output(second);
    for graph in [is_nan, bits] {
        assert_eq!(classifier(graph, &InputSpec::default()).unwrap().manifest().classes, 5);
    }
}

#[test]
fn normalisations_that_do_not_fit_are_refused() {
    let cases: [(&[f64], &[f64], &str); 4] = [
        (&[0.5, 0.5], &[1.0], "--mean has 2 values, but the images have 3 channels"),
        (&[0.5], &[1.0, 1.0, 0.0], "--std contains 0"),
        (&[f64::NAN], &[1.0], "--mean contains NaN"),
        (&[0.5], &[], "--std has 0 values"),
    ];
    for (mean, std, wanted) in cases {
        let normalisation = Some(Normalisation::new(mean, std));
        let spec = InputSpec { normalisation, ..InputSpec::default() };
        let error = classifier(graph(9, "f32[N,3,4,2]", head), &spec).unwrap_err();
        assert!(error.to_string().contains(wanted), "{error}, wanted {wanted}");
    }
}

#[test]
fn the_channels_are_reversed_for_models_of_blue_green_red() {
    let by_hand = |last: &'static str| {
        graph(9, "f32[N,3,4,2]", move |graph, x| {
            let reversed = add(graph, "=[2,1,0]").unwrap();
            let x = push(graph, "Gather", &[x, reversed], "axis=1");
            let mean = graph.add_constant("mean", crate::Tensor::from_f32(&[1, 3, 1, 1], &[0.1, 0.2, 0.3]));
            let x = push(graph, "Sub", &[x, mean], "");
            let x = if last.is_empty() { x } else { push(graph, "Transpose", &[x], last) };
            head(graph, x)
        })
    };
    let normalisation = Some(Normalisation::new([0.1, 0.2, 0.3], [1.0; 3]));
    let spec = InputSpec { channel_order: ChannelOrder::Bgr, normalisation, ..InputSpec::default() };
    for (input, last) in [("f32[N,3,4,2]", ""), ("f32[N,4,2,3]", "perm=[0,2,3,1]")] {
        let classifier = classifier(graph(9, input, head), &spec).unwrap();
        assert_eq!(classifier.manifest().channel_order, ChannelOrder::Bgr);
        let found = run_file(&classifier.original_onnx().unwrap(), 2);
        assert_eq!(found, run(&by_hand(last), 2), "{input}");
    }
    let grey = InputSpec { channel_order: ChannelOrder::Bgr, ..InputSpec::default() };
    let error = classifier(graph(9, "f32[N,1,12,2]", head), &grey).unwrap_err().to_string();
    assert!(error.contains("the model takes 1, wanted 3"), "{error}");
}

#[test]
fn four_channels_are_recognised_and_images_settle_what_the_shape_leaves_open() {
    let read = |input: &str, pixels: usize, image| {
        let spec = InputSpec { image, ..InputSpec::default() };
        let file = graph(9, input, |graph, features| {
            let flat = push(graph, "Flatten", &[features], "");
            let weights = add(graph, &format!("#[{pixels},5]")).unwrap();
            push(graph, "MatMul", &[flat, weights], "")
        });
        let classifier = classifier(file, &spec);
        classifier.map(|classifier| classifier.manifest().layout).map_err(|error| error.to_string())
    };
    let image = |channels, height, width| Some(ImageShape { channels, height, width });
    assert_eq!(read("f32[N,4,2,12]", 96, None), Ok(Layout::Nchw));
    assert_eq!(read("f32[N,2,12,4]", 96, None), Ok(Layout::Nhwc));
    assert_eq!(read("f32[N,4,2,3]", 24, None), Ok(Layout::Nhwc), "colours before transparency");
    assert_eq!(read("f32[N,4,3,4]", 48, image(4, 3, 4)), Ok(Layout::Nchw));
    assert_eq!(read("f32[N,3,8,1]", 24, image(3, 8, 1)), Ok(Layout::Nchw));
    assert_eq!(read("f32[N,2,6,5]", 60, image(5, 2, 6)), Ok(Layout::Nhwc));
    for (input, pixels, image) in [("f32[N,3,3,3]", 27, image(3, 3, 3)), ("f32[N,2,6,5]", 60, image(3, 2, 6))]
    {
        assert!(read(input, pixels, image).unwrap_err().contains("--layout nchw"), "{input}");
    }
}

#[test]
fn a_told_layout_beats_the_shape() {
    let told = |layout| InputSpec { layout: Some(layout), ..with_image() };
    let image = |input: &str, layout| {
        let classifier = classifier(graph(9, input, head), &told(layout));
        classifier.map(|classifier| classifier.manifest().image).map_err(|error| error.to_string())
    };
    let square = ImageShape { channels: 1, height: 3, width: 8 };
    assert_eq!(image("f32[N,3,8,1]", Layout::Nhwc), Ok(square));
    assert_eq!(image("f32[N,8,3]", Layout::Flat), Ok(IMAGE));
    assert!(image("f32[N,8,3]", Layout::Nchw).unwrap_err().contains("has four axes"));
    let wrong = InputSpec { image: Some(square), ..InputSpec::default() };
    let error = classifier(graph(9, "f32[N,12,1]", head), &wrong).unwrap_err();
    assert!(error.to_string().contains("an image of 1 × 3 × 8 has 24 values"), "{error}");
}

/// Images, and a cotangent of the logits, as `run` feeds them.
fn waves(count: usize) -> Vec<f32> {
    (0..count).map(|index| (index as f32 * 12.9898).sin()).collect()
}

/// `Σ cotangent · logits` of one image, from the original graph.
fn projected(original: &mut RawSession, cotangent: &[f32], image: &[f32]) -> f64 {
    let input = Input { name: tensor_names::IMAGES, dims: &[1, 3, 4, 2], data: Data::F32(image) };
    let logits = &original.run(&[input]).unwrap()[0].data;
    logits.iter().zip(cotangent).map(|(logit, weight)| f64::from(*logit) * f64::from(*weight)).sum()
}

#[test]
fn gradients_are_with_respect_to_pixels_of_the_contract() {
    // Whatever the file's layout and scale, differences of the original's logits per pixel agree with the gradient.
    let spec = InputSpec {
        normalisation: Some(Normalisation::new([0.5, 0.25, 0.125], [0.5, 2.0, 4.0])),
        ..with_image()
    };
    let smooth = |graph: &mut Graph, x: ValueId| {
        let x = push(graph, "Sigmoid", &[x], "");
        head(graph, x)
    };
    for input in ["f32[N,3,4,2]", "f32[N,4,2,3]", "f32[1,24,1]"] {
        let classifier = classifier(graph(9, input, smooth), &spec).unwrap();
        let gradient = &run_file(&classifier.gradient_onnx(Loss::Margin).unwrap(), 1)[1].1;
        let (image, cotangent) = (waves(24), waves(5));
        let engine = Engine::load(None).unwrap();
        let bytes = classifier.original_onnx().unwrap();
        let mut original = RawSession::new(&engine, &bytes, SessionOptions::default()).unwrap();
        for (pixel, found) in gradient.iter().enumerate() {
            let mut at = |step: f32| {
                let mut moved = image.clone();
                moved[pixel] += step;
                projected(&mut original, &cotangent, &moved)
            };
            let wanted = (at(0.01) - at(-0.01)) / 0.02;
            assert!(
                (f64::from(*found) - wanted).abs() < 1e-3,
                "{input}, pixel {pixel}: {found}, wanted {wanted}"
            );
        }
    }
}

/// Models that nobody here made, where the checkout has them.
mod shared {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::onnx::{Limits, read_model};

    fn model(name: &str) -> Option<PathBuf> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/models").join(name);
        let found = path.exists();
        if !found {
            println!("skipped: {} is absent", path.display());
        }
        found.then_some(path)
    }

    fn read(name: &str, spec: &InputSpec) -> Option<ImageClassifier> {
        let file = read_model(&model(name)?, &Limits::default()).unwrap();
        Some(ImageClassifier::new(file, spec).unwrap())
    }

    /// Logits of the gradient graph are those of the original, and one batch of three is three batches.
    fn check(classifier: &ImageClassifier, batch: BatchMode) {
        assert_eq!((classifier.manifest().batch, classifier.manifest().classes), (batch, 10));
        let gradient = classifier.gradient_onnx(Loss::Margin).unwrap();
        let original = run_file(&classifier.original_onnx().unwrap(), 3);
        assert_eq!(original[0].0, [3, 10]);
        assert_close(&run_file(&gradient, 3)[0].1, &original[0].1);
        let first = run_file(&classifier.original_onnx().unwrap(), 1);
        assert_close(&original[0].1[..10], &first[0].1);
    }

    #[test]
    fn vit() {
        let Some(classifier) = read("vit_pgd_2_3_16.onnx", &InputSpec::default()) else { return };
        check(&classifier, BatchMode::Dynamic);
    }

    #[test]
    fn resnet() {
        let Some(classifier) = read("resnet_2b.onnx", &InputSpec::default()) else { return };
        check(&classifier, BatchMode::Rebatched);
    }

    #[test]
    fn fully_connected() {
        let image = Some(ImageShape { channels: 1, height: 28, width: 28 });
        let spec = InputSpec { image, ..InputSpec::default() };
        let Some(classifier) = read("mnist_fc_256x2.onnx", &spec) else { return };
        assert_eq!(classifier.manifest().layout, Layout::Flat);
        check(&classifier, BatchMode::Rebatched);
    }
}

#[test]
fn the_fast_graph_gives_the_logits_of_the_file_or_the_logarithms_of_its_probabilities() {
    let normalisation = Normalisation::new([0.5, 0.25, 0.125], [0.5, 2.0, 4.0]);
    let spec = InputSpec { normalisation: Some(normalisation), ..InputSpec::default() };
    let logits = classifier(graph(9, "f32[N,3,4,2]", head), &spec).unwrap();
    let wanted = &run_file(&logits.original_onnx().unwrap(), 3)[0];
    let found = &run_file(&logits.forward_onnx().unwrap(), 3)[0];
    assert_eq!(found.0, wanted.0);
    assert_close(&found.1, &wanted.1);

    let softmax = graph(13, "f32[N,3,4,2]", |graph, x| {
        let logits = head(graph, x);
        let small = push(graph, "Mul", &[logits, logits], "");
        push(graph, "Softmax", &[small], "axis=1")
    });
    let probabilities = classifier(softmax, &InputSpec::default()).unwrap();
    let wanted: Vec<f32> =
        run_file(&probabilities.original_onnx().unwrap(), 3)[0].1.iter().map(|p| p.ln()).collect();
    let found = &run_file(&probabilities.forward_onnx().unwrap(), 3)[0].1;
    // Below, the logarithm of a probability that was rounded to zero says nothing.
    for (found, wanted) in found.iter().zip(wanted).filter(|(_, wanted)| *wanted > -80.0) {
        assert!((found - wanted).abs() <= 1e-4, "{found} is not {wanted}");
    }
}

#[test]
fn sizes_that_only_the_engine_works_out_come_from_its_copy_for_one_image() {
    let file = file(graph(17, "f32[N,3,4,2]", |graph, x| {
        // 2 · 12 = 24 pixels, counted with an operator that shape inference does not know.
        let matrix = graph.add_constant("matrix", crate::Tensor::from_f32(&[2, 2], &[2.0, 0.0, 0.0, 12.0]));
        let pixels = push(graph, "Det", &[matrix], "");
        let pixels = push(graph, "Cast", &[pixels], "to=7");
        let axes = add(graph, "=[0]").unwrap();
        let pixels = push(graph, "Unsqueeze", &[pixels, axes], "");
        let open = add(graph, "=[-1]").unwrap();
        let target = push(graph, "Concat", &[open, pixels], "axis=0");
        let flat = push(graph, "Reshape", &[x, target], "");
        let squares = push(graph, "Mul", &[flat, flat], "");
        head(graph, squares)
    }));
    let spec = InputSpec::default();
    assert!(ImageClassifier::new(file.clone(), &spec).is_err());
    let engine = Engine::load(None).unwrap();
    let copy = engine.specialise(&for_one_image(&file, &spec).unwrap()).unwrap();
    let copy = read_model_bytes(copy.into(), None, &Limits::default()).unwrap();
    let wanted = run(&file.graph, 1);
    let classifier = ImageClassifier::with_specialised(file, &copy, &spec).unwrap();
    assert_eq!(classifier.manifest().batch, BatchMode::One);
    assert_eq!(run_file(&classifier.original_onnx().unwrap(), 1), wanted);
    assert_close(&run_file(&classifier.forward_onnx().unwrap(), 1)[0].1, &wanted[0].1);
    let gradient = run_file(&classifier.gradient_onnx(Loss::Margin).unwrap(), 1);
    assert_eq!(gradient[1].0, [1, 3, 4, 2]);
    assert_close(&gradient[0].1, &wanted[0].1);
}

#[test]
fn a_model_that_mixes_the_images_of_a_batch_is_evaluated_one_at_a_time() {
    let classifier = classifier(
        graph(17, "f32[N,3,4,2]", |graph, x| {
            let mean = push(graph, "ReduceMean", &[x], "axes=[0]");
            let centred = push(graph, "Sub", &[x, mean], "");
            head(graph, centred)
        }),
        &InputSpec::default(),
    )
    .unwrap();
    assert_eq!(classifier.manifest().batch, BatchMode::One);
    let named: Vec<String> = classifier.scan().mixes_images.iter().map(ToString::to_string).collect();
    assert_eq!(named, ["node \"ReduceMean_0\" (ReduceMean)"]);
    assert_eq!(run_file(&classifier.original_onnx().unwrap(), 1)[0].0, [1, 5]);
}

#[test]
fn what_the_scan_cannot_judge_is_compared_with_one_image_at_a_time() {
    // Overwrites the first row of the batch, whichever image that is.
    let mut classifier = classifier(
        graph(17, "f32[N,3,4,2]", |graph, x| {
            let flat = push(graph, "Flatten", &[x], "");
            let indices = graph.add_constant("indices", crate::Tensor::from_i64(&[1, 24], &[0; 24]));
            let updates = add(graph, "#[1,24]").unwrap();
            let written = push(graph, "ScatterElements", &[flat, indices, updates], "axis=0");
            head(graph, written)
        }),
        &InputSpec::default(),
    )
    .unwrap();
    assert_eq!(classifier.manifest().batch, BatchMode::Dynamic);
    let one = run_file(&classifier.fixed_batch_onnx().unwrap().unwrap(), 1).remove(0).1;
    let many = run_file(&classifier.original_onnx().unwrap(), 3).remove(0).1;
    assert_eq!(one, many[..5]);
    assert_ne!(one, many[5..10]);
    classifier.keep_fixed_batch();
    assert_eq!(classifier.manifest().batch, BatchMode::One);
    assert!(!classifier.has_fixed_batch());
}

/// At length zero the logits are those of the model; elsewhere they are moved by weights alone, the same for the same seed.
#[test]
fn weights_are_moved_along_two_directions() {
    let classifier = classifier(graph(17, "f32[N,3,4,2]", head), &InputSpec::default()).unwrap();
    let moved = classifier.directions_graph(5).unwrap().unwrap();
    assert_eq!(moved.weights, 1);
    let images: Vec<f32> = (0..48).map(|index| index as f32 / 48.0).collect();
    let dims = [2, 3, 4, 2];
    let at = |onnx: &[u8], first: f32, second: f32| {
        let engine = Engine::load(None).unwrap();
        let mut session = RawSession::new(&engine, onnx, SessionOptions::default()).unwrap();
        let (first, second) = ([first], [second]);
        let inputs = [
            Input { name: tensor_names::IMAGES, dims: &dims, data: Data::F32(&images) },
            Input { name: tensor_names::FIRST_DIRECTION, dims: &[1], data: Data::F32(&first) },
            Input { name: tensor_names::SECOND_DIRECTION, dims: &[1], data: Data::F32(&second) },
        ];
        session.run(&inputs).unwrap().remove(0).data
    };
    let engine = Engine::load(None).unwrap();
    let forward = classifier.forward_onnx().unwrap();
    let mut session = RawSession::new(&engine, &forward, SessionOptions::default()).unwrap();
    let inputs = [Input { name: tensor_names::IMAGES, dims: &dims, data: Data::F32(&images) }];
    let unmoved = session.run(&inputs).unwrap().remove(0).data;
    assert_close(&at(&moved.onnx, 0.0, 0.0), &unmoved);
    let (one, two, both) = (at(&moved.onnx, 1.0, 0.0), at(&moved.onnx, 0.0, 1.0), at(&moved.onnx, 1.0, 1.0));
    assert!(one != unmoved && two != unmoved && one != two);
    // A linear model moves by the sum.
    let sum: Vec<f32> = (0..10).map(|index| one[index] + two[index] - unmoved[index]).collect();
    for (found, wanted) in both.iter().zip(&sum) {
        assert!((found - wanted).abs() < 1e-4, "{found} {wanted}");
    }
    assert_eq!(classifier.directions_graph(5).unwrap().unwrap().onnx, moved.onnx);
    let without = graph(17, "f32[N,3,4,2]", |graph, images| push(graph, "Flatten", &[images], ""));
    assert!(self::classifier(without, &InputSpec::default()).unwrap().directions_graph(5).unwrap().is_none());
}
