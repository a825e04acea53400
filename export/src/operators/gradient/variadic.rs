//! Max, Mean, Min and Sum of any number of inputs, with broadcasting.
//!
//! Sum: `Σ g` to each; Mean of `k`: `Σ g/k`. Max and Min: `Σ g·[xᵢ = y]/c` with `c` the number of inputs that are equal
//! to `y`, so that a tie is split evenly, as in PyTorch. Operator pages: ONNX `Max-13`, `Mean-13`, `Min-13`, `Sum-13`.
//!
//! Of two inputs the one that is larger by `d` gets `min(1, max(0, MAX·d + 1/2))`: one where it wins, a half at a tie,
//! zero where it loses, in two passes.

use super::step::Step;
use crate::error::Result;
use crate::graph::{Builder, ValueId};
use crate::tensor::DataType;

/// `dxᵢ = Σ g`.
pub(crate) fn sum(step: &mut Step<'_, '_>) -> Result<()> {
    let g = step.cotangent()?;
    (0..step.node().inputs.len()).try_for_each(|index| step.send_summed(index, |_| Ok(g)))
}

/// `dxᵢ = Σ g/k`.
pub(crate) fn mean(step: &mut Step<'_, '_>) -> Result<()> {
    let (g, count) = (step.cotangent()?, step.node().inputs.len());
    let builder = step.builder();
    let share = builder.scalar(1.0 / count as f32);
    let shared = builder.op("Mul", &[g, share])?;
    (0..count).try_for_each(|index| step.send_summed(index, |_| Ok(shared)))
}

/// `dxᵢ = Σ g·[xᵢ = y]/c`.
pub(crate) fn max(step: &mut Step<'_, '_>) -> Result<()> {
    extremum(step, |[own, other]| [own, other])
}

/// `dxᵢ = Σ g·[xᵢ = y]/c`.
pub(crate) fn min(step: &mut Step<'_, '_>) -> Result<()> {
    extremum(step, |[own, other]| [other, own])
}

/// `order` puts the input that wins if the difference is positive first.
fn extremum(step: &mut Step<'_, '_>, order: fn([ValueId; 2]) -> [ValueId; 2]) -> Result<()> {
    let g = step.cotangent()?;
    match step.node().inputs.len() {
        1 => step.send(0, |_| Ok(g)),
        2 => {
            let inputs = [step.input(0)?, step.input(1)?];
            step.send_summed(0, |builder| selected_share(builder, g, order(inputs)))?;
            step.send_summed(1, |builder| selected_share(builder, g, order([inputs[1], inputs[0]])))
        }
        _ => split_evenly(step),
    }
}

/// `g` where the first is larger than the second, half of it at a tie.
fn selected_share(builder: &mut Builder<'_>, g: ValueId, [first, second]: [ValueId; 2]) -> Result<ValueId> {
    let lead = builder.op("Sub", &[first, second])?;
    let share =
        builder.op_with("HardSigmoid", &[lead], [("alpha", f32::MAX.into()), ("beta", 0.5_f32.into())])?;
    builder.op("Mul", &[g, share])
}

/// Of more than two inputs each gets its mask's share of `g`.
fn split_evenly(step: &mut Step<'_, '_>) -> Result<()> {
    let (y, g) = (step.output()?, step.cotangent()?);
    let inputs: Vec<ValueId> =
        (0..step.node().inputs.len()).map(|index| step.input(index)).collect::<Result<_>>()?;
    let builder = step.builder();
    let mut masks = Vec::with_capacity(inputs.len());
    for input in inputs {
        let equal = builder.op("Equal", &[input, y])?;
        masks.push(builder.cast(equal, DataType::Float32)?);
    }
    let count = builder.op("Sum", &masks)?;
    let share = builder.op("Div", &[g, count])?;
    masks
        .into_iter()
        .enumerate()
        .try_for_each(|(index, mask)| step.send_summed(index, |builder| builder.op("Mul", &[share, mask])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff::testing::{
        Domain, Numbers, adjoint, backward_text, batched, check, float, function, run, session,
    };
    use crate::tensor::Tensor;

    const OPERATORS: [&str; 4] = ["Max", "Mean", "Min", "Sum"];

    #[test]
    fn one_two_and_three_inputs() {
        for op_type in OPERATORS {
            check(&format!("{op_type} of one"), Domain::Distinct, batched(&[3]), |builder, x| {
                let y = builder.op(op_type, &[x])?;
                builder.op("Mul", &[y, y])
            });
            check(&format!("{op_type} of two"), Domain::Distinct, batched(&[4, 3]), |builder, x| {
                let constant = builder.constant(Tensor::from_f32(&[3], &[0.0, 0.5, -0.25]));
                builder.op(op_type, &[constant, x])
            });
            check(&format!("{op_type} of three"), Domain::Distinct, batched(&[4, 3]), |builder, x| {
                let axes = builder.ints(&[1]);
                let row = builder.op_with("ReduceMean", &[x, axes], [("keepdims", 1.into())])?; // [N, 1, 3]
                let zero = builder.scalar(0.0);
                builder.op(op_type, &[x, row, zero])
            });
        }
    }

    #[test]
    fn an_input_that_is_stretched() {
        for op_type in OPERATORS {
            check(op_type, Domain::Distinct, batched(&[1, 3]), |builder, x| {
                let constant = builder.constant(Numbers::new(1).tensor(&[4, 1]));
                builder.op(op_type, &[x, constant])
            });
        }
    }

    #[test]
    fn a_tie_is_split_evenly() {
        let x = [-1.0, 0.0, 0.5, 1.0];
        let cases = [
            ("Max", vec![0.0], [0.0, 3.0, 6.0, 6.0]),
            ("Min", vec![0.0], [6.0, 3.0, 0.0, 0.0]),
            ("Max", vec![0.0, 0.0], [0.0, 2.0, 6.0, 6.0]),
            ("Min", vec![0.5, 0.0], [6.0, 3.0, 0.0, 0.0]),
            ("Max", vec![0.5, 1.0], [0.0, 0.0, 0.0, 3.0]),
        ];
        for (op_type, others, wanted) in cases {
            let graph = function(batched(&[4]), |builder, x| {
                let others = others.iter().map(|value| builder.scalar(*value));
                let inputs: Vec<ValueId> = [x].into_iter().chain(others).collect();
                builder.op(op_type, &inputs)
            });
            let inputs = [float("x", &[1, 4], &x), float("g", &[1, 4], &[6.0; 4])];
            let found = run(&mut session(&adjoint(&graph.unwrap()).unwrap()), &inputs);
            assert_eq!(found, wanted, "{op_type} with {others:?}");
        }
    }

    #[test]
    fn the_maximum_of_two_needs_no_comparison() {
        let graph = function(batched(&[3]), |builder, x| {
            let zero = builder.scalar(0.0);
            builder.op("Max", &[x, zero])
        });
        insta::assert_snapshot!(backward_text(&graph.unwrap()), @r"
            %gradient/f/Max/Sub: f32[N, 3] = Sub(%x, %f/constant)
            %gradient/f/Max/HardSigmoid: f32[N, 3] = HardSigmoid(%gradient/f/Max/Sub) {alpha = 3.4028235e38, beta = 0.5}
            %gradient/f/Max/Mul: f32[N, 3] = Mul(%g, %gradient/f/Max/HardSigmoid)
            %dx/Identity: f32[N, 3] = Identity(%gradient/f/Max/Mul)
        ");
    }
}
