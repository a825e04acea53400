//! Small models, made on the spot by changing the demo's.

use std::path::Path;

use mimir_export::graph::{Attribute, Builder, Dim, Graph, Shape, TensorType};
use mimir_export::onnx::{Limits, read_model, write_model};
use mimir_export::shape::infer;
use mimir_export::{DataType, Tensor};

/// Puts a softmax behind the logits.
pub(super) fn with_softmax(path: &Path) {
    change(path, |graph| {
        let logits = graph.outputs()[0];
        let probabilities = Builder::new(graph, "softmax").op("Softmax", &[logits]).unwrap();
        graph.set_outputs(vec![probabilities]);
    });
}

/// Multiplies the logits by NaN: a weight that training left behind.
pub(super) fn with_nan(path: &Path) {
    scaled(path, f32::NAN);
}

/// Multiplies the logits by infinity, which no reader can refuse: attention masks hold it.
pub(super) fn with_infinite_logits(path: &Path) {
    scaled(path, f32::INFINITY);
}

/// Multiplies the logits.
pub(super) fn scaled(path: &Path, factor: f32) {
    change(path, |graph| {
        let logits = graph.outputs()[0];
        let mut builder = Builder::new(graph, "scaled");
        let factor = builder.scalar(factor);
        let scaled = builder.op("Mul", &[logits, factor]).unwrap();
        graph.set_outputs(vec![scaled]);
    });
}

/// Adds noise to the logits, which hardly changes what they say.
pub(super) fn with_noise(path: &Path) {
    change(path, |graph| {
        let logits = graph.outputs()[0];
        let mut builder = Builder::new(graph, "noisy");
        let noise = builder.op_with("RandomNormalLike", &[logits], [("scale", 0.01_f32.into())]).unwrap();
        let noisy = builder.op("Add", &[logits, noise]).unwrap();
        graph.set_outputs(vec![noisy]);
    });
}

/// Sums the logits to the score of one class, `[N, 1]`.
pub(super) fn with_one_class(path: &Path) {
    change(path, |graph| {
        let logits = graph.outputs()[0];
        let mut builder = Builder::new(graph, "sum");
        let axis = builder.ints(&[1]);
        let sum = builder.op("ReduceSum", &[logits, axis]).unwrap();
        graph.set_outputs(vec![sum]);
    });
}

/// Keeps the logits of the first classes.
pub(super) fn with_first_classes(path: &Path, classes: u8) {
    change(path, |graph| {
        let logits = graph.outputs()[0];
        let mut builder = Builder::new(graph, "first");
        let [start, end, axis] = [0, i64::from(classes), 1].map(|value| builder.ints(&[value]));
        let first = builder.op("Slice", &[logits, start, end, axis]).unwrap();
        graph.set_outputs(vec![first]);
    });
}

/// Always says the first class.
pub(super) fn with_constant_logits(path: &Path) {
    change(path, |graph| {
        let logits = graph.outputs()[0];
        let mut builder = Builder::new(graph, "constant");
        let zero = builder.scalar(0.0);
        let zeros = builder.op("Mul", &[logits, zero]).unwrap();
        let first = builder.constant(Tensor::from_f32(&[1, 6], &[1.0, 0.0, 0.0, 0.0, 0.0, 0.0]));
        let constant = builder.op("Add", &[zeros, first]).unwrap();
        graph.set_outputs(vec![constant]);
    });
}

/// NaN for an image whose every value is `black`, as the model sees it, and the same logits for all others.
pub(super) fn with_nan_for_black(path: &Path, black: f32) {
    change(path, |graph| {
        let (images, logits) = (graph.inputs()[0], graph.outputs()[0]);
        let mut builder = Builder::new(graph, "nan");
        let axes = builder.ints(&[1, 2, 3]);
        let keepdims = [("keepdims", 0_i64.into())];
        let black = builder.scalar(black);
        let above = builder.op("Sub", &[images, black]).unwrap();
        let sum = builder.op_with("ReduceSum", &[above, axes], keepdims).unwrap();
        let logarithm = builder.op("Log", &[sum]).unwrap();
        let zero = builder.scalar(0.0);
        let nothing = builder.op("Mul", &[logarithm, zero]).unwrap();
        let axis = builder.ints(&[1]);
        let column = builder.op("Unsqueeze", &[nothing, axis]).unwrap();
        let sum = builder.op("Add", &[logits, column]).unwrap();
        graph.set_outputs(vec![sum]);
    });
}

/// A part of a model that adds zero to the logits, with a slope that is not finite.
#[derive(Debug, Clone, Copy)]
pub(super) enum DeadBranch {
    /// `√max(-10⁴ - Σx, 0)`
    Root,
    /// `√Σ max(x - 10⁴, 0)²`
    Norm,
    /// `eˣ` where it overflows, not chosen.
    Exponential,
    /// `√(-10⁴ - x²)`, not a number, not chosen.
    Undefined,
}

impl DeadBranch {
    pub(super) const ALL: [Self; 4] = [Self::Root, Self::Norm, Self::Exponential, Self::Undefined];
}

/// Adds such a part.
pub(super) fn with_dead_branch(path: &Path, branch: DeadBranch) {
    change(path, |graph| {
        let (images, logits) = (graph.inputs()[0], graph.outputs()[0]);
        let mut builder = Builder::new(graph, "dead");
        let (axes, axis) = (builder.ints(&[1, 2, 3]), builder.ints(&[1]));
        let [zero, far, minus_far] = [0.0, 1e4, -1e4].map(|value| builder.scalar(value));
        let total = builder.op_with("ReduceSum", &[images, axes], [("keepdims", 0_i64.into())]).unwrap();
        let chosen = |builder: &mut Builder<'_>, value| {
            let never = builder.op("Less", &[total, minus_far]).unwrap();
            builder.op("Where", &[never, value, zero]).unwrap()
        };
        let number = match branch {
            DeadBranch::Root => {
                let below = builder.op("Sub", &[minus_far, total]).unwrap();
                let below = builder.op("Relu", &[below]).unwrap();
                builder.op("Sqrt", &[below]).unwrap()
            }
            DeadBranch::Norm => {
                let above = builder.op("Sub", &[images, far]).unwrap();
                let above = builder.op("Relu", &[above]).unwrap();
                let square = builder.op("Mul", &[above, above]).unwrap();
                let keepdims = [("keepdims", 0_i64.into())];
                let sum = builder.op_with("ReduceSum", &[square, axes], keepdims).unwrap();
                builder.op("Sqrt", &[sum]).unwrap()
            }
            DeadBranch::Exponential => {
                let raised = builder.op("Add", &[total, far]).unwrap();
                let exponential = builder.op("Exp", &[raised]).unwrap();
                chosen(&mut builder, exponential)
            }
            DeadBranch::Undefined => {
                let square = builder.op("Mul", &[total, total]).unwrap();
                let negative = builder.op("Sub", &[minus_far, square]).unwrap();
                let root = builder.op("Sqrt", &[negative]).unwrap();
                chosen(&mut builder, root)
            }
        };
        let column = builder.op("Unsqueeze", &[number, axis]).unwrap();
        let sum = builder.op("Add", &[logits, column]).unwrap();
        graph.set_outputs(vec![sum]);
    });
}

/// A class more, whose score is the logarithm of zero.
pub(super) fn with_lost_class(path: &Path) {
    change(path, |graph| {
        let logits = graph.outputs()[0];
        let mut builder = Builder::new(graph, "lost");
        let (axis, zero) = (builder.ints(&[1]), builder.scalar(0.0));
        let sum = builder.op_with("ReduceSum", &[logits, axis], [("keepdims", 1_i64.into())]).unwrap();
        let nothing = builder.op("Mul", &[sum, zero]).unwrap();
        let nothing = builder.op("Abs", &[nothing]).unwrap();
        let lost = builder.op("Log", &[nothing]).unwrap();
        let more = builder.op_with("Concat", &[logits, lost], [("axis", 1_i64.into())]).unwrap();
        graph.set_outputs(vec![more]);
    });
}

/// Cuts the logits to 64ths by way of integers.
pub(super) fn with_logits_in_integers(path: &Path) {
    change(path, |graph| {
        let logits = graph.outputs()[0];
        let mut builder = Builder::new(graph, "integers");
        let levels = builder.scalar(64.0);
        let scaled = builder.op("Mul", &[logits, levels]).unwrap();
        let whole = builder.op_with("Cast", &[scaled], [("to", 7_i64.into())]).unwrap();
        let number = builder.op_with("Cast", &[whole], [("to", 1_i64.into())]).unwrap();
        let logits = builder.op("Div", &[number, levels]).unwrap();
        graph.set_outputs(vec![logits]);
    });
}

/// One for the predicted class and zero for all others: no gradient is left.
pub(super) fn with_one_hot_class(path: &Path) {
    change(path, |graph| {
        let logits = graph.outputs()[0];
        let mut builder = Builder::new(graph, "one_hot");
        let keepdims = [("axis", 1_i64.into()), ("keepdims", 0_i64.into())];
        let class = builder.op_with("ArgMax", &[logits], keepdims).unwrap();
        let depth = builder.ints(&[6]);
        let values = builder.constant(Tensor::from_f32(&[2], &[0.0, 1.0]));
        let scores = builder.op("OneHot", &[class, depth, values]).unwrap();
        graph.set_outputs(vec![scores]);
    });
}

/// Sums the logits to one number an image, `[N]`.
pub(super) fn with_one_number_an_image(path: &Path) {
    change(path, |graph| {
        let logits = graph.outputs()[0];
        let mut builder = Builder::new(graph, "sum");
        let axis = builder.ints(&[1]);
        let sum = builder.op_with("ReduceSum", &[logits, axis], [("keepdims", 0_i64.into())]).unwrap();
        graph.set_outputs(vec![sum]);
    });
}

/// A model `[N, C, H, W]` that tells the mean of an image: class `k` of `K` is nearest to `k / K`.
pub(super) fn telling_brightness(path: &Path, [channels, height, width]: [u32; 3], classes: usize) {
    let mut graph = Graph::new("brightness", 17);
    let sizes = [channels, height, width].map(|size| Dim::Fixed(size as usize));
    let shape = Shape([&[Dim::N], &sizes[..]].concat());
    let images = graph.add_fresh_value("images", Some(TensorType { dtype: DataType::Float32, shape }));
    graph.add_input(images);
    let pixels = (channels * height * width) as usize;
    let level = |class: usize| class as f32 / classes as f32;
    let weights: Vec<f32> =
        (0..pixels * classes).map(|place| 200.0 * level(place % classes) / pixels as f32).collect();
    let bias: Vec<f32> = (0..classes).map(|class| -100.0 * level(class) * level(class)).collect();
    let mut builder = Builder::new(&mut graph, "head");
    let flat = builder.op("Flatten", &[images]).unwrap();
    let weights = builder.constant(Tensor::from_f32(&[pixels, classes], &weights));
    let bias = builder.constant(Tensor::from_f32(&[classes], &bias));
    let logits = builder.op("Gemm", &[flat, weights, bias]).unwrap();
    graph.add_output(logits);
    std::fs::write(path, write_model(&graph).unwrap()).unwrap();
}

/// Scales the logits by a mean of so many pixels that ONNX Runtime rounds it by the place of the image in a batch.
pub(super) fn with_mean_of_odd_length(path: &Path) {
    change(path, |graph| {
        let (images, logits) = (graph.inputs()[0], graph.outputs()[0]);
        let mut builder = Builder::new(graph, "odd");
        let flat = builder.op("Flatten", &[images]).unwrap();
        let [start, end, axis] = [0, 99, 1].map(|number| builder.ints(&[number]));
        let part = builder.op("Slice", &[flat, start, end, axis]).unwrap();
        let mean = builder.op_with("ReduceMean", &[part], [("axes", Attribute::Ints(vec![1]))]).unwrap();
        let one = builder.scalar(1.0);
        let scale = builder.op("Add", &[mean, one]).unwrap();
        let scaled = builder.op("Mul", &[logits, scale]).unwrap();
        graph.set_outputs(vec![scaled]);
    });
}

/// Writes a network that tells which of three colours of an image is brightest.
pub(super) fn telling_colours(path: &Path, side: usize) {
    let mut graph = Graph::new("colours", 17);
    let shape = Shape([&[Dim::N], &Shape::fixed(&[3, side, side]).0[..]].concat());
    let images = graph.add_fresh_value("images", Some(TensorType { dtype: DataType::Float32, shape }));
    graph.add_input(images);
    let mut builder = Builder::new(&mut graph, "head");
    let mean = builder.op("GlobalAveragePool", &[images]).unwrap();
    let scores = builder.op("Flatten", &[mean]).unwrap();
    graph.add_output(scores);
    std::fs::write(path, write_model(&graph).unwrap()).unwrap();
}

/// Gives the first tensor that the file computes that name.
pub(super) fn with_tensor_named(path: &Path, name: &str) {
    change(path, |graph| {
        let first = graph.nodes()[0].outputs[0].unwrap();
        graph.rename(first, name).unwrap();
    });
}

/// Gives the first node that name.
pub(super) fn with_node_named(path: &Path, name: &str) {
    change(path, |graph| {
        let first = graph.nodes()[0].outputs[0].unwrap();
        let id = graph.producers()[&first];
        graph.node_mut(id).name = name.to_owned();
    });
}

/// Gives the output that name.
pub(super) fn with_output_named(path: &Path, name: &str) {
    change(path, |graph| {
        let output = graph.outputs()[0];
        graph.rename(output, name).unwrap();
    });
}

/// Puts a view, `viewed`, behind the logits, which become `scores`, and adds a tensor to these whose gradient is zero, `flat`.
pub(super) fn with_view_behind_and_constant_beside(path: &Path) {
    change(path, |graph| {
        let logits = graph.outputs()[0];
        let mut builder = Builder::new(graph, "beside");
        let zero = builder.scalar(0.0);
        let is_above = builder.op("Greater", &[logits, zero]).unwrap();
        let flat = builder.op_with("Cast", &[is_above], [("to", 1_i64.into())]).unwrap();
        let nothing = builder.op("Mul", &[flat, zero]).unwrap();
        let scores = builder.op("Add", &[logits, nothing]).unwrap();
        let viewed = builder.op("Identity", &[scores]).unwrap();
        for (id, name) in [(flat, "flat"), (scores, "scores"), (viewed, "viewed")] {
            graph.rename(id, name).unwrap();
        }
        graph.set_outputs(vec![viewed]);
    });
}

/// Lets the images of a batch influence each other: subtracts a part of the sum of their logits.
pub(super) fn mixing_images(path: &Path) {
    change(path, |graph| {
        let logits = graph.outputs()[0];
        let mut builder = Builder::new(graph, "mixing");
        let (axis, part) = (builder.ints(&[0]), builder.scalar(0.1));
        let sum = builder.op("ReduceSum", &[logits, axis]).unwrap();
        let part = builder.op("Mul", &[sum, part]).unwrap();
        let mixed = builder.op("Sub", &[logits, part]).unwrap();
        graph.set_outputs(vec![mixed]);
    });
}

/// Keeps of the demo's model what it takes: the scores are a linear map of the pixels, seen through a view.
pub(super) fn of_one_layer(path: &Path) {
    change(path, |graph| {
        let images = graph.inputs()[0];
        let mut builder = Builder::new(graph, "linear");
        let rows = builder.op("Flatten", &[images]).unwrap();
        let weights: Vec<f32> = (0..3 * 24 * 24 * 6).map(|index| (index % 7) as f32 * 0.01).collect();
        let weights = builder.constant(Tensor::from_f32(&[3 * 24 * 24, 6], &weights));
        let scores = builder.op("MatMul", &[rows, weights]).unwrap();
        let viewed = builder.op("Identity", &[scores]).unwrap();
        graph.set_outputs(vec![viewed]);
        graph.prune();
    });
}

fn change(path: &Path, change: impl FnOnce(&mut Graph)) {
    let mut graph = read_model(path, &Limits::default()).unwrap().graph;
    infer(&mut graph).unwrap();
    change(&mut graph);
    std::fs::write(path, write_model(&graph).unwrap()).unwrap();
}

/// Adds the signs of the logits to them: Sign is an operator that not every engine computes as ONNX says.
pub(super) fn with_sign(path: &Path) {
    change(path, |graph| {
        let logits = graph.outputs()[0];
        let mut builder = Builder::new(graph, "signed");
        let sign = builder.op("Sign", &[logits]).unwrap();
        let signed = builder.op("Add", &[logits, sign]).unwrap();
        graph.set_outputs(vec![signed]);
    });
}

/// Takes levels as uint8 and normalises them itself, as `--mean 0.5 --std 0.25` does.
pub(super) fn with_uint8_input(path: &Path) {
    change(path, |graph| {
        let images = graph.inputs()[0];
        let shape = graph.tensor_type(images).unwrap().shape.clone();
        let levels = graph.add_fresh_value("levels", Some(TensorType { dtype: DataType::Uint8, shape }));
        let mut builder = Builder::new(graph, "inside");
        let floats = builder.op_with("Cast", &[levels], [("to", 1_i64.into())]).unwrap();
        let [scale, mean, std] = [255.0, 0.5, 0.25].map(|value| builder.scalar(value));
        let pixels = builder.op("Div", &[floats, scale]).unwrap();
        let centred = builder.op("Sub", &[pixels, mean]).unwrap();
        let normalised = builder.op("Div", &[centred, std]).unwrap();
        graph.replace_uses(images, normalised);
        graph.set_inputs(vec![levels]);
        graph.sort().unwrap();
    });
}

/// Takes its channels in the other order.
pub(super) fn with_reversed_channels(path: &Path) {
    change(path, |graph| {
        let images = graph.inputs()[0];
        let input_type = graph.tensor_type(images).unwrap().clone();
        let reversed = graph.add_fresh_value("reversed", Some(input_type));
        let mut builder = Builder::new(graph, "colours");
        let order = builder.ints(&[2, 1, 0]);
        let images_again = builder.op_with("Gather", &[reversed, order], [("axis", 1_i64.into())]).unwrap();
        graph.replace_uses(images, images_again);
        graph.set_inputs(vec![reversed]);
        graph.sort().unwrap();
    });
}
