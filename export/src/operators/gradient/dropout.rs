//! Dropout: `y = x` at inference, `y = x·m / (1 − ratio)` for a drawn mask `m` of zeros and ones when it trains.
//!
//! `dx = g`, and `dx = g·m / (1 − ratio)` with the mask that the node itself returns: a mask drawn again would be
//! another one. Operator page: ONNX `Dropout-13`.

use super::step::Step;
use crate::error::{Error, Result};
use crate::graph::{Builder, Graph, Node, NodeId, TensorType, ValueId};
use crate::operators::dropout::{dropout_is_active, dropout_ratio};
use crate::tensor::DataType;

/// Position of the mask among the outputs.
const MASK: usize = 1;

/// Gives a Dropout that drops values the mask as an output, which the gradient needs.
pub(crate) fn add_mask(graph: &mut Graph, id: NodeId) {
    let node = graph.node(id);
    if node.optional_output(MASK).is_some() || dropout_is_active(graph, node) != Some(true) {
        return;
    }
    let name = format!("{}/mask", node.name);
    let Some(Ok(shape)) = node.optional_output(0).map(|output| graph.shape(output).cloned()) else { return };
    let mask = graph.add_fresh_value(&name, Some(TensorType { dtype: DataType::Bool, shape }));
    let outputs = &mut graph.node_mut(id).outputs;
    outputs.truncate(MASK);
    outputs.push(Some(mask));
}

/// `dx = g`, or `g·m / (1 − ratio)`.
pub(crate) fn dropout(step: &mut Step<'_, '_>) -> Result<()> {
    let g = step.cotangent()?;
    let node = step.node();
    match dropout_is_active(step.builder().graph(), node) {
        Some(false) => step.send(0, |_| Ok(g)),
        Some(true) => {
            let mask = node.output(MASK)?;
            step.send(0, |builder| {
                let scaled = scale(builder, node, g)?;
                let zero = builder.scalar(0.0);
                builder.op("Where", &[mask, scaled, zero])
            })
        }
        None => Err(Error::unsupported(
            "whether it drops values at random (training_mode) is computed when the model runs: export the model with \
             a constant mode",
        )),
    }
}

/// `g / (1 − ratio)`
fn scale(builder: &mut Builder<'_>, node: &Node, g: ValueId) -> Result<ValueId> {
    match dropout_ratio(builder.graph(), node) {
        Some(ratio) => {
            let factor = builder.scalar(1.0 / (1.0 - ratio));
            builder.op("Mul", &[g, factor])
        }
        None => {
            let ratio = builder.cast(node.input(1)?, DataType::Float32)?;
            let one = builder.scalar(1.0);
            let kept = builder.op("Sub", &[one, ratio])?;
            builder.op("Div", &[g, kept])
        }
    }
}

#[cfg(test)]
mod tests {
    use mimir_runtime::session::RawSession;

    use super::*;
    use crate::autodiff::testing::{
        Domain, Numbers, adjoint, backward_text, batched, check, float, function, session,
    };
    use crate::graph::Attributes;
    use crate::tensor::Tensor;

    /// Elements of the input.
    const COUNT: usize = 64;

    fn mode(builder: &mut Builder<'_>, trains: bool) -> ValueId {
        builder.constant(Tensor::new(DataType::Bool, vec![], vec![u8::from(trains)].into()).unwrap())
    }

    fn dropout_of(
        builder: &mut Builder<'_>,
        x: ValueId,
        ratio: Option<ValueId>,
        mode: ValueId,
    ) -> Result<ValueId> {
        let inputs = vec![Some(x), ratio, Some(mode)];
        Ok(builder.node("Dropout", inputs, Attributes::default(), 1)?[0])
    }

    /// Drops that part of the values, or half of them where none is given.
    fn dropping(ratio: Option<f32>) -> Graph {
        let build = |builder: &mut Builder<'_>, x| {
            let (ratio, mode) = (ratio.map(|ratio| builder.scalar(ratio)), mode(builder, true));
            dropout_of(builder, x, ratio, mode)
        };
        function(batched(&[COUNT]), build).unwrap()
    }

    /// The adjoint with the output of the function in front of the gradient.
    fn with_output(forward: &Graph) -> Graph {
        let mut graph = adjoint(forward).unwrap();
        let y = graph.find(&forward.value(forward.outputs()[0]).name).unwrap();
        graph.set_outputs(vec![y, graph.outputs()[0]]);
        graph
    }

    /// Output and gradient of one run.
    fn output_and_gradient(session: &mut RawSession, x: &[f32], g: &[f32]) -> [Vec<f32>; 2] {
        let dims = [1, x.len()];
        let outputs = session.run(&[float("x", &dims, x), float("g", &dims, g)]).unwrap();
        let data: Vec<Vec<f32>> = outputs.into_iter().map(|output| output.data).collect();
        data.try_into().unwrap()
    }

    #[test]
    fn the_gradient_passes_where_the_same_run_kept_the_value() {
        for (ratio, factor) in [(Some(0.75), 4.0), (Some(0.2), 1.25), (None, 2.0)] {
            let mut session = session(&with_output(&dropping(ratio)));
            let (x, g) = (
                Numbers::new(1).draw(Domain::AwayFromZero, COUNT),
                Numbers::new(2).draw(Domain::Real, COUNT),
            );
            let runs = [(); 2].map(|()| output_and_gradient(&mut session, &x, &g));
            assert_ne!(runs[0][0], runs[1][0], "ratio {ratio:?}: two runs drop the same values");
            for [output, gradient] in runs {
                let kept = output.iter().filter(|y| **y != 0.0).count();
                assert!((1..COUNT).contains(&kept), "ratio {ratio:?}: kept {kept}");
                for ((y, x), (found, g)) in output.iter().zip(&x).zip(gradient.iter().zip(&g)) {
                    let slope = if *y == 0.0 { 0.0 } else { factor };
                    assert!((y - slope * x).abs() <= 1e-6 * x.abs().max(1.0) * factor, "ratio {ratio:?}");
                    assert!(
                        (found - slope * g).abs() <= 1e-6 * g.abs() * factor,
                        "ratio {ratio:?}: {found}, {g}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_ratio_that_is_computed_scales_as_a_constant_does() {
        let forward = function(batched(&[COUNT]), |builder, x| {
            let (quarter, mode) = (builder.scalar(0.25), mode(builder, true));
            let half = builder.op("Sqrt", &[quarter])?;
            dropout_of(builder, x, Some(half), mode)
        });
        let mut session = session(&with_output(&forward.unwrap()));
        let [output, gradient] = output_and_gradient(&mut session, &[1.0; COUNT], &[3.0; COUNT]);
        assert!(output.contains(&0.0) && output.contains(&2.0), "{output:?}");
        let wanted: Vec<f32> = output.iter().map(|y| 3.0 * y).collect();
        assert_eq!(gradient, wanted);
    }

    #[test]
    fn nothing_changes_at_inference_or_at_a_ratio_of_zero() {
        for (ratio, trains) in [(0.5, false), (0.0, true)] {
            check(&format!("ratio {ratio}, trains {trains}"), Domain::Real, batched(&[3]), |builder, x| {
                let (ratio, mode) = (builder.scalar(ratio), mode(builder, trains));
                let kept = dropout_of(builder, x, Some(ratio), mode)?;
                let weight = builder.constant(Numbers::new(1).tensor(&[3, 2]));
                builder.op("MatMul", &[kept, weight])
            });
        }
    }

    #[test]
    fn a_mode_that_is_computed_is_refused() {
        let forward = function(batched(&[3]), |builder, x| {
            let total = builder.op("ReduceSum", &[x])?;
            let mode = builder.cast(total, DataType::Bool)?;
            dropout_of(builder, x, None, mode)
        });
        let error = adjoint(&forward.unwrap()).unwrap_err().to_string();
        assert!(error.starts_with("node `f/Dropout` (Dropout): whether it drops values"), "{error}");
        assert!(error.contains("export the model with a constant mode"), "{error}");
    }

    #[test]
    fn the_subgraph_reuses_the_mask() {
        insta::assert_snapshot!(backward_text(&dropping(Some(0.75))), @r"
            const %gradient/f/Dropout/constant: f32[] = [4.0]
            const %gradient/f/Dropout/constant_2: f32[] = [0.0]
            %gradient/f/Dropout/Mul: f32[N, 64] = Mul(%g, %gradient/f/Dropout/constant)
            %gradient/f/Dropout/Where: f32[N, 64] = Where(%f/Dropout/mask, %gradient/f/Dropout/Mul, %gradient/f/Dropout/constant_2)
            %dx/Identity: f32[N, 64] = Identity(%gradient/f/Dropout/Where)
        ");
    }
}
