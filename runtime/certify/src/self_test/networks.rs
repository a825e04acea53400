//! The canaries' networks: one linear function of 16 pixels, and what hides it.

use mimir_bundle::tensor_names::{IMAGES, LOGITS};
use mimir_export::graph::{Attribute, Builder, Dim, Graph, Shape, TensorType, ValueId};
use mimir_export::{DataType, Tensor};

use super::plane::{LEVELS, PIXELS, WEIGHTS};

/// Builds a network.
pub(super) type Network = fn() -> mimir_export::Result<Graph>;

const CLASSES: usize = 4;

/// Scores of the classes that no image has: out of reach, and unequal, as ratios of scores need.
const OTHERS: [f32; 2] = [-3.0, -4.0];

/// A builder behind images `[N, 1, 4, 4]`, what `network` makes of them, and logits `[N, 4]`.
fn network(
    build: impl FnOnce(&mut Builder<'_>, ValueId) -> mimir_export::Result<ValueId>,
) -> mimir_export::Result<Graph> {
    let mut graph = Graph::new("canary", 17);
    let shape = Shape(vec![Dim::N, Dim::Fixed(1), Dim::Fixed(4), Dim::Fixed(4)]);
    let images = graph.add_value(IMAGES, Some(TensorType { dtype: DataType::Float32, shape }))?;
    graph.add_input(images);
    let mut builder = Builder::new(&mut graph, "canary");
    let logits = build(&mut builder, images)?;
    let logits = builder.op("Identity", &[logits])?;
    graph.rename(logits, LOGITS)?;
    graph.add_output(logits);
    Ok(graph)
}

/// `[N, 4]`: the linear function around pixels of `middle` for the first class, its negative for the second.
fn linear(b: &mut Builder<'_>, images: ValueId, middle: f32) -> mimir_export::Result<ValueId> {
    let flat = b.op_with("Flatten", &[images], [("axis", Attribute::Int(1))])?;
    let weights: Vec<f32> = WEIGHTS.iter().flat_map(|weight| [*weight, -weight, 0.0, 0.0]).collect();
    let weights = b.constant(Tensor::from_f32(&[PIXELS, CLASSES], &weights));
    let bias = middle * WEIGHTS.iter().sum::<f32>();
    let bias = b.constant(Tensor::from_f32(&[CLASSES], &[-bias, bias, OTHERS[0], OTHERS[1]]));
    let product = b.op("MatMul", &[flat, weights])?;
    b.op("Add", &[product, bias])
}

/// The function itself.
pub(super) fn plain() -> mimir_export::Result<Graph> {
    network(|b, images| linear(b, images, 0.5))
}

/// Of pixels that are rounded first: its derivative is zero everywhere.
pub(super) fn masked() -> mimir_export::Result<Graph> {
    network(|b, images| {
        let levels = b.scalar(LEVELS);
        let scaled = b.op("Mul", &[images, levels])?;
        let rounded = b.op("Round", &[scaled])?;
        let seen = b.op("Div", &[rounded, levels])?;
        linear(b, seen, 0.5)
    })
}

/// Stairs of [`staircase`], over the whole range of a pixel. Half way between two of them lies the middle of the cube.
const STAIRS: usize = 32;
/// How steep they are: one in five hundred pixels stands on a slope.
const STEEPNESS: f32 = 1e4;

/// Of pixels behind a staircase of steep sigmoids: its derivative is not zero, and says nothing of a step.
pub(super) fn staircase() -> mimir_export::Result<Graph> {
    network(|b, images| {
        let stairs: Vec<f32> = (0..STAIRS).map(|stair| stair as f32 / STAIRS as f32).collect();
        let stairs = b.constant(Tensor::from_f32(&[STAIRS, 1, 1], &stairs));
        let steepness = b.scalar(STEEPNESS);
        let above = b.op("Sub", &[images, stairs])?;
        let above = b.op("Mul", &[above, steepness])?;
        let climbed = b.op("Sigmoid", &[above])?;
        let axis = b.constant(Tensor::from_i64(&[1], &[1]));
        let climbed = b.op("ReduceSum", &[climbed, axis])?;
        let share = b.scalar(1.0 / STAIRS as f32);
        let height = b.op("Mul", &[climbed, share])?;
        linear(b, height, (STAIRS as f32 / 2.0 + 0.5) / STAIRS as f32)
    })
}

/// Of pixels in 8 bits, as quantisation makes it.
pub(super) fn quantised() -> mimir_export::Result<Graph> {
    network(|b, images| {
        let (scale, zero) =
            (b.scalar(1.0 / LEVELS), Tensor::new(DataType::Uint8, vec![], vec![0_u8].into())?);
        let zero = b.constant(zero);
        let levels = b.op("QuantizeLinear", &[images, scale, zero])?;
        let seen = b.op("DequantizeLinear", &[levels, scale, zero])?;
        linear(b, seen, 0.5)
    })
}

/// With noise of a tenth of what the radius changes.
pub(super) fn random() -> mimir_export::Result<Graph> {
    network(|b, images| {
        let scores = linear(b, images, 0.5)?;
        let noise = [("scale", Attribute::Float(0.02))];
        let noise = b.op_with("RandomNormalLike", &[scores], noise)?;
        b.op("Add", &[scores, noise])
    })
}

/// Less half of the mean over the batch: what the class of an image is depends on those beside it.
pub(super) fn mixing() -> mimir_export::Result<Graph> {
    network(|b, images| {
        let scores = linear(b, images, 0.5)?;
        let mean = b.op_with("ReduceMean", &[scores], [("axes", Attribute::Ints(vec![0]))])?;
        let half = b.scalar(0.5);
        let part = b.op("Mul", &[mean, half])?;
        b.op("Sub", &[scores, part])
    })
}

/// As probabilities of scores so large that all are 0 or 1 in float32.
pub(super) fn saturated() -> mimir_export::Result<Graph> {
    network(|b, images| {
        let scores = linear(b, images, 0.5)?;
        let factor = b.scalar(1e5);
        let scores = b.op("Mul", &[scores, factor])?;
        b.op_with("Softmax", &[scores], [("axis", Attribute::Int(1))])
    })
}

/// Made for pixels in [-1, 1].
pub(super) fn of_other_pixels() -> mimir_export::Result<Graph> {
    network(|b, images| linear(b, images, 0.0))
}
