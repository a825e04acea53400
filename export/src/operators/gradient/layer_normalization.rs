//! LayerNormalization over the axes from `axis` on.
//!
//! `y = γ·x̂ + β` with `x̂ = r·(x − mean x)` and `r = 1/√(var x + ε)`. With `h = g·γ`:
//! `dx = r·(h − mean h − x̂·mean(h·x̂))`. Operator page: ONNX `LayerNormalization-17`; Ba, Kiros and Hinton 2016.
//!
//! The operator hands out `mean x` and `r` where [`add_statistics`] asks for them. What
//! [`simplify`](crate::simplify) leaves of most layers is the bare `x̂`, read by matrices that are centred: then `y` is
//! `x̂`, `h` is `g`, its mean is zero, and five passes over the activations are left of twelve.

use mimir_bundle::kernels::CENTRED;

use super::step::Step;
use crate::error::Result;
use crate::graph::own_operators::LAYER_NORMALIZATION_GRADIENT;
use crate::graph::{Builder, Dim, Graph, Node, NodeId, TensorType, ValueId};
use crate::tensor::{DataType, Tensor};

/// Outputs of the operator after the first.
const MEAN: usize = 1;
const INVERSE_DEVIATION: usize = 2;

/// Columns of a matrix sum to zero when their sum is at most this part of the sum of magnitudes: what rounding to 32
/// bits leaves of it.
const ZERO_SUM: f64 = 1e-6;

/// Lets a LayerNormalization hand out its statistics.
pub(crate) fn add_statistics(graph: &mut Graph, id: NodeId) {
    let node = graph.node(id);
    let Some(statistics) = statistics_type(graph, node) else { return };
    let (name, mut outputs) = (node.name.clone(), node.outputs.clone());
    outputs.resize(INVERSE_DEVIATION + 1, None);
    for (place, what) in [(MEAN, "mean"), (INVERSE_DEVIATION, "inverse_deviation")] {
        outputs[place].get_or_insert_with(|| {
            graph.add_fresh_value(&format!("{name}/{what}"), Some(statistics.clone()))
        });
    }
    graph.node_mut(id).outputs = outputs;
}

fn statistics_type(graph: &Graph, node: &Node) -> Option<TensorType> {
    let mut shape = graph.shape(node.optional_input(0)?).ok()?.clone();
    let axis = shape.axis(node.attributes.int("axis", -1).ok()?).ok()?;
    shape.0[axis..].fill(Dim::Fixed(1));
    Some(TensorType { dtype: DataType::Float32, shape })
}

/// `dx = r·(h − mean h − x̂·mean(h·x̂))`.
pub(crate) fn layer_normalization(step: &mut Step<'_, '_>) -> Result<()> {
    let node = step.node();
    let (x, scale, g) = (step.input(0)?, step.input(1)?, step.cotangent()?);
    step.refuse(1, "scale")?;
    step.refuse(2, "bias")?;
    let (mean, r) = (node.output(MEAN)?, node.output(INVERSE_DEVIATION)?);
    let is_bare = node.optional_input(2).is_none() && is_one(step, scale);
    let y = node.output(0)?;
    step.send(0, |builder| {
        let normalised = if is_bare { y } else { normalised(builder, x, mean, r)? };
        let h = if is_bare { g } else { builder.op("Mul", &[g, scale])? };
        let centred = is_bare && reads_centred_weights(builder.graph(), y);
        let attributes = [(CENTRED, i64::from(centred).into())];
        builder.op_with(LAYER_NORMALIZATION_GRADIENT, &[h, normalised, r], attributes)
    })
}

/// The gradient in standard operators.
pub(crate) fn lower(builder: &mut Builder<'_>, node: &Node) -> Result<ValueId> {
    let (h, normalised, r) = (node.input(0)?, node.input(1)?, node.input(2)?);
    let axes = normalised_axes(builder.graph(), h, r)?;
    let centred = if node.attributes.int(CENTRED, 0)? == 1 {
        h
    } else {
        let h_mean = mean_over(builder, h, &axes)?;
        builder.op("Sub", &[h, h_mean])?
    };
    let correlation = builder.op("Mul", &[h, normalised])?;
    let correlation = mean_over(builder, correlation, &axes)?;
    let along = builder.op("Mul", &[normalised, correlation])?;
    let projected = builder.op("Sub", &[centred, along])?;
    builder.op("Mul", &[projected, r])
}

/// The trailing axes along which `r` has one element and `h` has a row: the longest such run.
fn normalised_axes(graph: &Graph, h: ValueId, r: ValueId) -> Result<Vec<i64>> {
    let (rows, inverse) = (graph.shape(h)?, graph.shape(r)?);
    let first = (0..rows.rank()).rev().take_while(|axis| inverse.0[*axis] == Dim::Fixed(1)).last();
    Ok((first.unwrap_or(rows.rank()) as i64..rows.rank() as i64).collect())
}

/// The statistics in standard operators, in the order of the outputs.
pub(crate) fn lower_statistics(builder: &mut Builder<'_>, node: &Node) -> Result<Vec<ValueId>> {
    let x = node.input(0)?;
    let shape = builder.graph().shape(x)?;
    let axes: Vec<i64> =
        (shape.axis(node.attributes.int("axis", -1)?)? as i64..shape.rank() as i64).collect();
    let epsilon = node.attributes.float("epsilon", 1e-5)?;
    builder.set_prefix(format!("{}/statistics", node.name));
    let mean = mean_over(builder, x, &axes)?;
    let centred = builder.op("Sub", &[x, mean])?;
    let square = builder.op("Mul", &[centred, centred])?;
    let variance = mean_over(builder, square, &axes)?;
    let epsilon = builder.scalar(epsilon);
    let shifted = builder.op("Add", &[variance, epsilon])?;
    let deviation = builder.op("Sqrt", &[shifted])?;
    let inverse = builder.op("Reciprocal", &[deviation])?;
    Ok(vec![mean, inverse])
}

/// `x̂ = r·(x − mean x)`.
fn normalised(builder: &mut Builder<'_>, x: ValueId, mean: ValueId, r: ValueId) -> Result<ValueId> {
    let centred = builder.op("Sub", &[x, mean])?;
    builder.op("Mul", &[centred, r])
}

fn is_one(step: &Step<'_, '_>, value: ValueId) -> bool {
    let values = step.constant(value).and_then(Tensor::to_f32);
    values.is_some_and(|values| values.iter().all(|value| *value == 1.0))
}

/// Whether everything that reads `x̂` multiplies it by matrices whose columns sum to zero, so that its cotangent does
/// too.
fn reads_centred_weights(graph: &Graph, normalised: ValueId) -> bool {
    let mut open = vec![normalised];
    while let Some(value) = open.pop() {
        for node in graph.nodes().iter().filter(|node| node.inputs.contains(&Some(value))) {
            match node.optional_output(0) {
                Some(output) if keeps_last_axis(graph, node) => open.push(output),
                _ if multiplies_by_centred(graph, node) == Some(true) => {}
                _ => return false,
            }
        }
        if graph.outputs().contains(&value) {
            return false;
        }
    }
    true
}

/// Whether the node is a Reshape of whole rows.
fn keeps_last_axis(graph: &Graph, node: &Node) -> bool {
    let width = |id: Option<ValueId>| graph.shape(id?).ok()?.0.last().copied();
    node.op_type == "Reshape"
        && width(node.optional_input(0)).is_some_and(|from| width(node.optional_output(0)) == Some(from))
}

/// Whether the node is a product `rows · W` with a constant `W` whose columns sum to zero.
fn multiplies_by_centred(graph: &Graph, node: &Node) -> Option<bool> {
    let is_product = match &*node.op_type {
        "MatMul" => true,
        "Gemm" => ["transA", "transB"].iter().all(|flag| node.attributes.int(flag, 0) == Ok(0)),
        _ => false,
    };
    let weights = graph.constant(node.optional_input(1).filter(|_| is_product)?)?;
    let &[.., rows, columns] = weights.dims() else { return None };
    let values = weights.to_f32()?;
    if rows == 0 || columns == 0 {
        return None;
    }
    let centred = |matrix: &[f32]| {
        (0..columns).all(|column| {
            let column = || matrix[column..].iter().step_by(columns).map(|weight| f64::from(*weight));
            column().sum::<f64>().abs() <= ZERO_SUM * column().map(f64::abs).sum::<f64>()
        })
    };
    Some(values.chunks_exact(rows * columns).all(centred))
}

fn mean_over(builder: &mut Builder<'_>, value: ValueId, axes: &[i64]) -> Result<ValueId> {
    let axes = builder.ints(axes);
    builder.op_with("ReduceMean", &[value, axes], [("keepdims", 1.into())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff::testing::{
        Domain, Numbers, adjoint, backward_text, batched, check, check_graph, function, kernel_text,
    };
    use crate::error::Result;
    use crate::graph::{Attribute, Attributes, Shape};

    fn normalised(builder: &mut Builder<'_>, x: ValueId, axis: i64, dims: &[usize]) -> Result<ValueId> {
        let mut numbers = Numbers::new(1);
        let [scale, bias] = [(); 2].map(|()| builder.constant(numbers.tensor(dims)));
        let attributes = [("axis", axis.into()), ("epsilon", Attribute::Float(1e-3))];
        builder.op_with("LayerNormalization", &[x, scale, bias], attributes)
    }

    #[test]
    fn gradients_match_central_differences() {
        for (axis, dims) in [(-1, &[6][..]), (2, &[6]), (1, &[3, 6]), (-2, &[3, 6]), (-2, &[3, 1]), (1, &[])]
        {
            check(&format!("axis {axis}"), Domain::Real, batched(&[3, 6]), |builder, x| {
                normalised(builder, x, axis, dims)
            });
        }
        check("without a bias", Domain::Real, batched(&[8]), |builder, x| {
            let scale = builder.constant(Numbers::new(1).tensor(&[8]));
            builder.op("LayerNormalization", &[x, scale])
        });
    }

    #[test]
    fn the_statistics_may_be_outputs_but_not_on_the_way() {
        for outputs in [2, 3] {
            let with_statistics = |used: usize| {
                function(batched(&[6]), |builder, x| {
                    let scale = builder.constant(Numbers::new(1).tensor(&[6]));
                    let inputs = vec![Some(x), Some(scale)];
                    let outputs =
                        builder.node("LayerNormalization", inputs, Attributes::default(), outputs)?;
                    builder.op("Tanh", &[outputs[used]])
                })
                .unwrap()
            };
            check_graph("mean and deviation unused", Domain::Real, &with_statistics(0));
            let error = adjoint(&with_statistics(outputs - 1)).unwrap_err().to_string();
            assert!(error.contains("the logits depend on an output of it other than the first"), "{error}");
        }
    }

    #[test]
    fn the_subgraph_takes_the_statistics_of_the_operator() {
        let graph = function(batched(&[6]), |builder, x| normalised(builder, x, -1, &[6]));
        insta::assert_snapshot!(backward_text(&graph.unwrap()), @r"
            const %gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient/constant: i64[1] = [1]
            const %gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient/constant_2: i64[1] = [1]
            %gradient/f/LayerNormalization/Sub: f32[N, 6] = Sub(%x, %f/LayerNormalization/mean)
            %gradient/f/LayerNormalization/Mul: f32[N, 6] = Mul(%gradient/f/LayerNormalization/Sub, %f/LayerNormalization/inverse_deviation)
            %gradient/f/LayerNormalization/Mul_2: f32[N, 6] = Mul(%g, %f/constant)
            %gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient/ReduceMean: f32[N, 1] = ReduceMean(%gradient/f/LayerNormalization/Mul_2, %gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient/constant) {keepdims = 1}
            %gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient/Sub: f32[N, 6] = Sub(%gradient/f/LayerNormalization/Mul_2, %gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient/ReduceMean)
            %gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient/Mul: f32[N, 6] = Mul(%gradient/f/LayerNormalization/Mul_2, %gradient/f/LayerNormalization/Mul)
            %gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient/ReduceMean_2: f32[N, 1] = ReduceMean(%gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient/Mul, %gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient/constant_2) {keepdims = 1}
            %gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient/Mul_2: f32[N, 6] = Mul(%gradient/f/LayerNormalization/Mul, %gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient/ReduceMean_2)
            %gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient/Sub_2: f32[N, 6] = Sub(%gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient/Sub, %gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient/Mul_2)
            %gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient/Mul_3: f32[N, 6] = Mul(%gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient/Sub_2, %f/LayerNormalization/inverse_deviation)
            %gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient: f32[N, 6] = Identity(%gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient/Mul_3)
            %dx/Identity: f32[N, 6] = Identity(%gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient)
        ");
    }

    /// `x̂` times a matrix, of which each column sums to `sum`.
    fn bare_and_matrix(sum: f32) -> Graph {
        let graph = function(batched(&[4]), |builder, x| {
            let ones = builder.constant(Tensor::from_f32(&[4], &[1.0; 4]));
            let bare = builder.op("LayerNormalization", &[x, ones])?;
            let weights = [0.5, -2.0, 1.5, 1.0, -2.0, 0.25, sum, sum + 0.75];
            let weights = builder.constant(Tensor::from_f32(&[4, 2], &weights));
            builder.op("MatMul", &[bare, weights])
        });
        graph.unwrap()
    }

    #[test]
    fn in_front_of_centred_weights_five_passes_are_left() {
        check_graph("centred", Domain::Real, &bare_and_matrix(0.0));
        insta::assert_snapshot!(backward_text(&bare_and_matrix(0.0)), @r"
            const %gradient/f/MatMul/constant: f32[2, 4] = [0.5, 1.5, -2.0, 0.0, -2.0, 1.0, 0.25, 0.75]
            const %gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient/constant: i64[1] = [1]
            %gradient/f/MatMul/MatMul: f32[N, 4] = MatMul(%g, %gradient/f/MatMul/constant)
            %gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient/Mul: f32[N, 4] = Mul(%gradient/f/MatMul/MatMul, %f/LayerNormalization)
            %gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient/ReduceMean: f32[N, 1] = ReduceMean(%gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient/Mul, %gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient/constant) {keepdims = 1}
            %gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient/Mul_2: f32[N, 4] = Mul(%f/LayerNormalization, %gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient/ReduceMean)
            %gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient/Sub: f32[N, 4] = Sub(%gradient/f/MatMul/MatMul, %gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient/Mul_2)
            %gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient/Mul_3: f32[N, 4] = Mul(%gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient/Sub, %f/LayerNormalization/inverse_deviation)
            %gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient: f32[N, 4] = Identity(%gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient/Mul_3)
            %dx/Identity: f32[N, 4] = Identity(%gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient)
        ");
    }

    #[test]
    fn the_mean_is_taken_where_weights_are_not_centred() {
        check_graph("not centred", Domain::Real, &bare_and_matrix(0.1));
        let operators = |graph: &Graph| backward_text(graph).matches("ReduceMean(").count();
        assert_eq!((operators(&bare_and_matrix(0.0)), operators(&bare_and_matrix(0.1))), (1, 2));
    }

    #[test]
    fn the_kernel_takes_the_bare_output_and_the_deviation() {
        let graph = bare_and_matrix(0.0);
        insta::assert_snapshot!(kernel_text(&graph), @r"
            const %gradient/f/MatMul/constant: f32[2, 4] = [0.5, 1.5, -2.0, 0.0, -2.0, 1.0, 0.25, 0.75]
            %gradient/f/MatMul/MatMul: f32[N, 4] = MatMul(%g, %gradient/f/MatMul/constant)
            %gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient: f32[N, 4] = ai.mimir::LayerNormalizationGradient(%gradient/f/MatMul/MatMul, %f/LayerNormalization, %f/LayerNormalization/inverse_deviation) {centred = 1}
            %dx/Identity: f32[N, 4] = Identity(%gradient/f/LayerNormalization/ai.mimir::LayerNormalizationGradient)
        ");
    }

    /// LayerNormalization with a scale of ones and no bias.
    fn bare(builder: &mut Builder<'_>, x: ValueId, width: usize) -> Result<ValueId> {
        let ones = builder.constant(Tensor::from_f32(&[width], &vec![1.0; width]));
        builder.op("LayerNormalization", &[x, ones])
    }

    /// A matrix `[rows, 2]` whose columns sum to zero.
    fn centred_matrix(builder: &mut Builder<'_>, rows: usize) -> ValueId {
        let half = |place: usize| [1.0 + place as f32, 2.0 - 3.0 * place as f32];
        let upper: Vec<f32> = (0..rows / 2).flat_map(half).collect();
        let lower = upper.iter().map(|weight| -weight);
        let weights: Vec<f32> = upper.iter().copied().chain(lower).collect();
        builder.constant(Tensor::from_f32(&[rows, 2], &weights))
    }

    #[test]
    fn a_bias_alone_is_not_taken_for_a_normalised_value() {
        check("scale of ones, and a bias", Domain::Real, batched(&[4]), |builder, x| {
            let ones = builder.constant(Tensor::from_f32(&[4], &[1.0; 4]));
            let bias = builder.constant(Numbers::new(1).tensor(&[4]));
            builder.op("LayerNormalization", &[x, ones, bias])
        });
    }

    #[test]
    fn only_products_with_centred_matrices_spare_the_mean() {
        check("a result of its own", Domain::Real, batched(&[4]), |builder, x| bare(builder, x, 4));
        check("a function before the matrix", Domain::Real, batched(&[4]), |builder, x| {
            let x = bare(builder, x, 4)?;
            let (x, weights) = (builder.op("Tanh", &[x])?, centred_matrix(builder, 4));
            builder.op("MatMul", &[x, weights])
        });
        check("rows that are joined", Domain::Real, batched(&[2, 4]), |builder, x| {
            let (x, target) = (bare(builder, x, 4)?, builder.ints(&[-1, 8]));
            let (x, weights) = (builder.op("Reshape", &[x, target])?, centred_matrix(builder, 8));
            builder.op("MatMul", &[x, weights])
        });
        check("a stack, of which one is centred", Domain::Real, batched(&[2]), |builder, x| {
            let weights = builder.constant(Tensor::from_f32(&[2, 4, 1], &[1., -1., 2., -2., 1., 2., 3., 4.]));
            let wide = builder.constant(Numbers::new(1).tensor(&[2, 4]));
            let x = builder.op("MatMul", &[x, wide])?;
            let x = bare(builder, x, 4)?;
            builder.op("MatMul", &[x, weights])
        });
        check("a matrix that is transposed", Domain::Real, batched(&[4]), |builder, x| {
            let x = bare(builder, x, 4)?;
            let weights = [1.0, 2.0, 3.0, 5.0, -1.0, -2.0, -3.0, -5.0];
            let weights = builder.constant(Tensor::from_f32(&[2, 4], &weights));
            builder.op_with("Gemm", &[x, weights], [("transB", 1.into())])
        });
        check("rows that are transposed", Domain::Real, Shape::fixed(&[4, 4]), |builder, x| {
            let (x, weights) = (bare(builder, x, 4)?, centred_matrix(builder, 4));
            builder.op_with("Gemm", &[x, weights], [("transA", 1.into())])
        });
    }

    #[test]
    fn parameters_that_depend_on_the_images_are_refused() {
        for (place, what) in [(1, "scale"), (2, "bias")] {
            let graph = function(Shape::fixed(&[3]), |builder, x| {
                let mut inputs = vec![x, builder.constant(Numbers::new(1).tensor(&[3])), x];
                inputs.truncate(place);
                inputs.push(x);
                builder.op_with("LayerNormalization", &inputs, [("axis", 0.into())])
            });
            let error = adjoint(&graph.unwrap()).unwrap_err().to_string();
            assert!(error.contains(&format!("its {what} depends on the images")), "{error}");
        }
    }
}
