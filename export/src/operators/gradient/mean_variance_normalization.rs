//! MeanVarianceNormalization: `y = c/(s + ε)` with `c = x − mean x`, `s = √(mean c²)` and `ε = 10⁻⁹`.
//!
//! The gradient is that of [`standardise`](super::standardise) with `√(s² + ε²)` for `s + ε`, which differ by less than
//! float32 shows unless `s` is below a hundredth. Operator page: ONNX `MeanVarianceNormalization-13`.

use super::reduction::check_axes;
use super::standardise::{Centre, pull_back};
use super::step::Step;
use crate::error::Result;

/// What the operator adds to the deviation.
const EPSILON: f32 = 1e-9;

/// `dx` of a standardisation without scale.
pub(crate) fn mean_variance_normalization(step: &mut Step<'_, '_>) -> Result<()> {
    let (x, g) = (step.input(0)?, step.cotangent()?);
    let shape = step.shape(x)?;
    let axes = step.node().attributes.ints("axes")?.unwrap_or(&[0, 2, 3]);
    let axes: Vec<usize> = axes.iter().map(|axis| shape.axis(*axis)).collect::<Result<_>>()?;
    check_axes(&shape, &axes)?;
    step.send(0, |builder| pull_back(builder, x, g, &axes, EPSILON * EPSILON, Centre::Mean))
}

#[cfg(test)]
mod tests {
    use crate::autodiff::testing::{Domain, adjoint, batched, check, float, function, run, session};

    #[test]
    fn gradients_match_central_differences() {
        for axes in [vec![2, 3], vec![-1], vec![1, 2, 3], vec![1, 3]] {
            check(&format!("{axes:?}"), Domain::Real, batched(&[2, 3, 3]), |builder, x| {
                builder.op_with("MeanVarianceNormalization", &[x], [("axes", axes.into())])
            });
        }
    }

    #[test]
    fn nothing_is_infinite_where_all_values_are_equal() {
        let graph = function(batched(&[4]), |builder, x| {
            builder.op_with("MeanVarianceNormalization", &[x], [("axes", vec![1].into())])
        });
        let inputs = [float("x", &[1, 4], &[0.5; 4]), float("g", &[1, 4], &[1.0, 2.0, 3.0, 6.0])];
        let found = run(&mut session(&adjoint(&graph.unwrap()).unwrap()), &inputs);
        assert!(found.iter().all(|value| value.is_finite()), "{found:?}");
    }

    #[test]
    fn the_default_axes_mix_the_images() {
        let graph = function(batched(&[2, 3, 3]), |builder, x| builder.op("MeanVarianceNormalization", &[x]));
        let error = adjoint(&graph.unwrap()).unwrap_err().to_string();
        assert!(error.contains("which is the batch: gradients of different images would mix"), "{error}");
    }
}
