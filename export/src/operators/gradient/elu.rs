//! Elu, Selu and Celu: a line above zero, an exponential below.
//!
//! Below zero the output is an affine function of the exponential, so the slope is one of the output:
//! `Elu: y + α`; `Selu: y + γα`; `Celu: y/α + 1`. Above zero it is `1`, `γ` and `1`. At zero the slope below counts, as
//! in PyTorch. Operator pages: ONNX `Elu-6`, `Selu-6`, `Celu-12`; Clevert et al. 2016, Klambauer et al. 2017, Barron
//! 2017.
//!
//! Where the two slopes meet at one (Celu, and Elu with `α = 1`), the slope is `min(1, y/α + 1)`: no comparison.

use super::step::Step;
use crate::error::Result;

/// `dx = g` where `x > 0`, else `g·(y + α)`.
pub(crate) fn elu(step: &mut Step<'_, '_>) -> Result<()> {
    let alpha = step.node().attributes.float("alpha", 1.0)?;
    pull_back(step, Slope { above: 1.0, factor: 1.0, offset: alpha })
}

/// `dx = γ·g` where `x > 0`, else `g·(y + γα)`.
pub(crate) fn selu(step: &mut Step<'_, '_>) -> Result<()> {
    let attributes = &step.node().attributes;
    let alpha = attributes.float("alpha", 1.673_263_2)?;
    let gamma = attributes.float("gamma", 1.050_701)?;
    pull_back(step, Slope { above: gamma, factor: 1.0, offset: gamma * alpha })
}

/// `dx = g` where `x > 0`, else `g·(y/α + 1)`.
pub(crate) fn celu(step: &mut Step<'_, '_>) -> Result<()> {
    let alpha = step.node().attributes.float("alpha", 1.0)?;
    pull_back(step, Slope { above: 1.0, factor: 1.0 / alpha, offset: 1.0 })
}

/// The slope of one of these functions.
#[derive(Clone, Copy)]
struct Slope {
    /// For `x > 0`.
    above: f32,
    /// Elsewhere the slope is `factor·y + offset`.
    factor: f32,
    offset: f32,
}

impl Slope {
    /// Whether the slope below, taken for all `x`, exceeds the slope above exactly where `x > 0`.
    fn is_smooth(self) -> bool {
        self.offset == self.above && self.factor > 0.0
    }
}

fn pull_back(step: &mut Step<'_, '_>, slope: Slope) -> Result<()> {
    let (x, y, g) = (step.input(0)?, step.output()?, step.cotangent()?);
    step.send(0, |builder| {
        let scaled = if slope.factor == 1.0 {
            y
        } else {
            let factor = builder.scalar(slope.factor);
            builder.op("Mul", &[y, factor])?
        };
        let offset = builder.scalar(slope.offset);
        let below = builder.op("Add", &[scaled, offset])?;
        let above = builder.scalar(slope.above);
        let slope = if slope.is_smooth() {
            builder.op("Min", &[below, above])?
        } else {
            let zero = builder.scalar(0.0);
            let is_above = builder.op("Greater", &[x, zero])?;
            builder.op("Where", &[is_above, above, below])?
        };
        builder.op("Mul", &[g, slope])
    })
}

#[cfg(test)]
mod tests {
    use crate::autodiff::testing::{
        Domain, adjoint, backward_text, batched, check, float, function, run, session,
    };
    use crate::graph::{Attribute, Attributes, Graph, Shape};

    fn graph(op_type: &str, attributes: &[(&str, f32)], shape: Shape) -> Graph {
        function(shape, |builder, x| {
            let pairs = attributes.iter().map(|(name, value)| ((*name).to_owned(), Attribute::Float(*value)));
            Ok(builder.node(op_type, vec![Some(x)], Attributes(pairs.collect()), 1)?[0])
        })
        .unwrap()
    }

    const CASES: [(&str, &[(&str, f32)]); 8] = [
        ("Elu", &[]),
        ("Elu", &[("alpha", 0.5)]),
        ("Elu", &[("alpha", 2.0)]),
        ("Selu", &[]),
        ("Selu", &[("alpha", 0.5), ("gamma", 2.0)]),
        ("Celu", &[]),
        ("Celu", &[("alpha", 0.5)]),
        ("Celu", &[("alpha", -2.0)]),
    ];

    #[test]
    fn gradients_match_central_differences() {
        for (op_type, attributes) in CASES {
            let graph = graph(op_type, attributes, batched(&[2, 3]));
            crate::autodiff::testing::check_graph(
                &format!("{op_type} {attributes:?}"),
                Domain::AwayFromZero,
                &graph,
            );
        }
        check("Celu is smooth at zero", Domain::Real, batched(&[4]), |builder, x| builder.op("Celu", &[x]));
    }

    #[test]
    fn at_zero_the_slope_below_counts() {
        let wanted = [3.0, 1.5, 6.0, 5.274_298, 3.0, 3.0, 3.0, 3.0];
        for ((op_type, attributes), wanted) in CASES.into_iter().zip(wanted) {
            let adjoint = adjoint(&graph(op_type, attributes, batched(&[1]))).unwrap();
            let found =
                run(&mut session(&adjoint), &[float("x", &[1, 1], &[0.0]), float("g", &[1, 1], &[3.0])]);
            assert!(
                (found[0] - wanted).abs() <= 1e-5,
                "{op_type} {attributes:?}: {found:?}, wanted {wanted}"
            );
        }
    }

    #[test]
    fn the_slope_is_written_in_the_output() {
        insta::assert_snapshot!(backward_text(&graph("Celu", &[("alpha", 0.5)], batched(&[3]))), @r"
            const %gradient/f/Celu/constant: f32[] = [2.0]
            const %gradient/f/Celu/constant_2: f32[] = [1.0]
            const %gradient/f/Celu/constant_3: f32[] = [1.0]
            %gradient/f/Celu/Mul: f32[N, 3] = Mul(%f/Celu, %gradient/f/Celu/constant)
            %gradient/f/Celu/Add: f32[N, 3] = Add(%gradient/f/Celu/Mul, %gradient/f/Celu/constant_2)
            %gradient/f/Celu/Min: f32[N, 3] = Min(%gradient/f/Celu/Add, %gradient/f/Celu/constant_3)
            %gradient/f/Celu/Mul_2: f32[N, 3] = Mul(%g, %gradient/f/Celu/Min)
            %dx/Identity: f32[N, 3] = Identity(%gradient/f/Celu/Mul_2)
        ");
        insta::assert_snapshot!(backward_text(&graph("Selu", &[], batched(&[3]))), @r"
            const %gradient/f/Selu/constant: f32[] = [1.7580993]
            const %gradient/f/Selu/constant_2: f32[] = [1.050701]
            const %gradient/f/Selu/constant_3: f32[] = [0.0]
            %gradient/f/Selu/Add: f32[N, 3] = Add(%f/Selu, %gradient/f/Selu/constant)
            %gradient/f/Selu/Greater: bool[N, 3] = Greater(%x, %gradient/f/Selu/constant_3)
            %gradient/f/Selu/Where: f32[N, 3] = Where(%gradient/f/Selu/Greater, %gradient/f/Selu/constant_2, %gradient/f/Selu/Add)
            %gradient/f/Selu/Mul: f32[N, 3] = Mul(%g, %gradient/f/Selu/Where)
            %dx/Identity: f32[N, 3] = Identity(%gradient/f/Selu/Mul)
        ");
    }
}
