//! Bounds against values at sampled images, through ONNX Runtime.

use mimir_bundle::tensor_names::RADIUS;
use mimir_bundle::{Loss, tensor_names};
use mimir_runtime::session::{Data, Input};

use super::inactive::inactive_units;
use super::propagate::{add_radius, flat_activations};
use crate::autodiff::testing::{Numbers, batched, float, function, run, session};
use crate::autodiff::{Kernels, differentiate};
use crate::error::Result;
use crate::graph::{Attribute, Builder, Graph, ValueId};
use crate::tensor::Tensor;

/// Half the side of the box.
const WITHIN: f32 = 0.1;

/// The graph with a ReLU behind it, whose bounds are asked for.
fn with_relu(dims: &[usize], build: impl FnOnce(&mut Builder<'_>, ValueId) -> Result<ValueId>) -> Graph {
    let relu = |builder: &mut Builder<'_>, x: ValueId| {
        let y = build(builder, x)?;
        builder.op("Relu", &[y])
    };
    let mut graph = function(batched(dims), relu).unwrap();
    let before = graph.nodes().last().unwrap().input(0).unwrap();
    graph.set_outputs(vec![before]);
    graph
}

/// `[lower, upper]` of what the ReLU takes, as the outputs of a graph.
fn bounds_of(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    let images = graph.inputs()[0];
    let radius = add_radius(&mut graph, images).unwrap();
    let found = flat_activations(&mut graph, images, radius).unwrap();
    let activation = found.last().expect("the ReLU has bounds");
    let before = activation.before.unwrap();
    let ends = [before.lower, before.upper];
    graph.set_outputs(ends.to_vec());
    graph
}

/// Values at images of the box lie between the bounds, and fill a part of what they leave.
#[track_caller]
fn check(case: &str, dims: &[usize], build: impl FnOnce(&mut Builder<'_>, ValueId) -> Result<ValueId>) {
    let graph = with_relu(dims, build);
    let mut numbers = Numbers::new(11);
    let pixels: usize = dims.iter().product();
    let centre: Vec<f32> = (0..pixels).map(|_| numbers.uniform()).collect();
    let shape = [&[1], dims].concat();
    let radius = [WITHIN];
    let inputs = [float("x", &shape, &centre), Input { name: RADIUS, dims: &[1], data: Data::F32(&radius) }];
    let outputs = session(&bounds_of(&graph)).run(&inputs).unwrap();
    let (lower, upper) = (&outputs[0].data, &outputs[1].data);

    let mut forward = session(&graph);
    let (mut least, mut most) = (vec![f32::INFINITY; lower.len()], vec![f32::NEG_INFINITY; lower.len()]);
    for sample in 0..200 {
        // Corners of the box, and its inside.
        let offset = |numbers: &mut Numbers| match (sample % 2, numbers.uniform()) {
            (0, share) => {
                if share < 0.5 {
                    -WITHIN
                } else {
                    WITHIN
                }
            }
            (_, share) => WITHIN * (2.0 * share - 1.0),
        };
        let point: Vec<f32> =
            centre.iter().map(|pixel| (pixel + offset(&mut numbers)).clamp(0.0, 1.0)).collect();
        for (unit, value) in run(&mut forward, &[float("x", &shape, &point)]).into_iter().enumerate() {
            let tolerance = 1e-4 * value.abs().max(1.0);
            let holds = lower[unit] - tolerance <= value && value <= upper[unit] + tolerance;
            assert!(holds, "{case}, unit {unit}: {value} is not in [{}, {}]", lower[unit], upper[unit]);
            (least[unit], most[unit]) = (least[unit].min(value), most[unit].max(value));
        }
    }
    let seen: f32 = least.iter().zip(&most).map(|(least, most)| most - least).sum();
    let allowed: f32 = lower.iter().zip(upper).map(|(lower, upper)| upper - lower).sum();
    assert!(seen > 0.2 * allowed, "{case}: the bounds are {allowed} apart, the values only {seen}");
}

#[test]
fn arithmetic() {
    let weights = |numbers: &mut Numbers, builder: &mut Builder<'_>| builder.constant(numbers.tensor(&[4]));
    for op in ["Add", "Sub", "Mul", "Div", "Min", "Max"] {
        check(op, &[3, 4], |builder, x| {
            let w = weights(&mut Numbers::new(1), builder);
            builder.op(op, &[x, w])
        });
    }
    for op in ["Sub", "Mul"] {
        check(&format!("{op} of two dependent values"), &[3, 4], |builder, x| {
            let w = weights(&mut Numbers::new(2), builder);
            let other = builder.op("Mul", &[x, w])?;
            let other = builder.op("Tanh", &[other])?;
            builder.op(op, &[x, other])
        });
    }
    let centred = |builder: &mut Builder<'_>, x: ValueId| {
        let half = builder.scalar(0.5);
        builder.op("Sub", &[x, half])
    };
    check("Abs", &[6], |builder, x| {
        let x = centred(builder, x)?;
        builder.op("Abs", &[x])
    });
    check("a square", &[6], |builder, x| {
        let x = centred(builder, x)?;
        builder.op("Mul", &[x, x])
    });
    check("Neg", &[6], |builder, x| builder.op("Neg", &[x]));
}

#[test]
fn products() {
    check("MatMul", &[6], |builder, x| {
        let w = builder.constant(Numbers::new(3).tensor(&[6, 5]));
        builder.op("MatMul", &[x, w])
    });
    for (alpha, trans) in [(1.0_f32, 0), (-0.5, 1)] {
        check("Gemm", &[6], |builder, x| {
            let mut numbers = Numbers::new(4);
            let w = builder.constant(numbers.tensor(if trans == 1 { &[5, 6] } else { &[6, 5] }));
            let bias = builder.constant(numbers.tensor(&[5]));
            let attributes = [("alpha", alpha.into()), ("transB", Attribute::Int(trans))];
            builder.op_with("Gemm", &[x, w, bias], attributes)
        });
    }
    for (op, weights) in [("Conv", [2, 3, 2, 2]), ("ConvTranspose", [3, 2, 2, 2])] {
        check(op, &[3, 4, 4], |builder, x| {
            let mut numbers = Numbers::new(5);
            let w = builder.constant(numbers.tensor(&weights));
            let bias = builder.constant(numbers.tensor(&[2]));
            builder.op_with(op, &[x, w, bias], [("strides", Attribute::Ints(vec![2, 2]))])
        });
    }
}

#[test]
fn what_moves_elements_and_what_rises_with_them() {
    check("a network", &[2, 4, 4], |builder, x| {
        let mut numbers = Numbers::new(6);
        let pooled = builder.op_with("MaxPool", &[x], [("kernel_shape", Attribute::Ints(vec![2, 2]))])?;
        let mean =
            builder.op_with("AveragePool", &[pooled], [("kernel_shape", Attribute::Ints(vec![1, 2]))])?;
        let joined = builder.op_with("Concat", &[pooled, mean], [("axis", Attribute::Int(3))])?;
        let swapped =
            builder.op_with("Transpose", &[joined], [("perm", Attribute::Ints(vec![0, 3, 1, 2]))])?;
        let flat = builder.op("Flatten", &[swapped])?;
        let width = builder.graph().shape(flat)?.0[1].fixed().unwrap();
        let scale = builder.constant(numbers.tensor(&[width]));
        let mean = builder.constant(numbers.tensor(&[width]));
        let variance = builder.constant(Tensor::from_f32(&[width], &vec![0.5; width]));
        let normalised = builder.op("BatchNormalization", &[flat, scale, mean, mean, variance])?;
        let leaky = builder.op_with("LeakyRelu", &[normalised], [("alpha", 0.2_f32.into())])?;
        builder.op("Sigmoid", &[leaky])
    });
}

#[test]
fn nothing_is_known_behind_an_operator_without_a_rule() {
    let graph = function(batched(&[4]), |builder, x| {
        let first = builder.op("Relu", &[x])?;
        let softmax = builder.op_with("Softmax", &[first], [("axis", Attribute::Int(1))])?;
        builder.op("Relu", &[softmax])
    });
    let mut graph = graph.unwrap();
    let images = graph.inputs()[0];
    let radius = add_radius(&mut graph, images).unwrap();
    let found = flat_activations(&mut graph, images, radius).unwrap();
    let reached: Vec<bool> = found.iter().map(|found| found.after.is_some()).collect();
    assert_eq!(reached, [true, false], "the first ReLU, and the Softmax, whose limits are known");
    let node = &found[0].node;
    assert_eq!((node.op_type.as_str(), node.input(0).unwrap()), ("Relu", images));
}

/// Three ReLUs at 0.45 ± 0.1: of `x - 2` (inactive), `x - 0.5` (off, and on from 0.5), `x + 2` (active).
fn three_units(builder: &mut Builder<'_>, x: ValueId) -> Result<ValueId> {
    let shifts = builder.constant(Tensor::from_f32(&[3], &[-2.0, -0.5, 2.0]));
    let shifted = builder.op("Add", &[x, shifts])?;
    builder.op("Relu", &[shifted])
}

/// The same, with the ReLU written as that operator with zero.
fn three_units_by(op: &str) -> Graph {
    let forward = function(batched(&[1]), |builder, x| {
        three_units(builder, x)?;
        let shifted = builder.graph().nodes().last().unwrap().input(0)?;
        let zero = builder.scalar(0.0);
        builder.op(op, &[shifted, zero])
    });
    let mut forward = forward.unwrap();
    forward.prune();
    forward
}

#[test]
fn a_relu_may_be_a_maximum_or_a_clip() {
    for op in ["Max", "Clip"] {
        let mut graph = three_units_by(op);
        let images = graph.inputs()[0];
        let activations = inactive_units(&mut graph, images).unwrap();
        assert_eq!(activations.iter().map(|found| found.node.operator.as_str()).collect::<Vec<_>>(), [op]);
        let radii = [WITHIN];
        let inputs =
            [float("x", &[1, 1], &[0.45]), Input { name: RADIUS, dims: &[1], data: Data::F32(&radii) }];
        let inactive = session(&graph).run(&inputs).unwrap().remove(0).data[0];
        assert!((inactive - 1.0 / 3.0).abs() < 1e-6, "{op}: {inactive}");
    }
}

#[test]
fn units_without_gradient_are_counted() {
    let mut graph = function(batched(&[1]), three_units).unwrap();
    let images = graph.inputs()[0];
    let activations = inactive_units(&mut graph, images).unwrap();
    assert_eq!(activations.iter().map(|found| found.node.operator.as_str()).collect::<Vec<_>>(), ["Relu"]);
    let radii = [WITHIN, 0.01];
    let inputs =
        [float("x", &[2, 1], &[0.45, 0.45]), Input { name: RADIUS, dims: &[2], data: Data::F32(&radii) }];
    let outputs = session(&graph).run(&inputs).unwrap();
    let third = 1.0_f32 / 3.0;
    for (output, want) in outputs.iter().zip([[third, 2.0 * third], [2.0 * third; 2]]) {
        assert_eq!(output.dims, [2, 1], "{}", output.name);
        assert!(output.data.iter().zip(want).all(|(found, want)| (found - want).abs() < 1e-6), "{output:?}");
    }
    assert_eq!((outputs[0].name.as_str(), outputs[1].name.as_str()), ("inactive", "silent"));
}

/// Shares of silent and of inactive units at one image of three pixels, by activation.
fn silent_units(
    pixels: [f32; 3],
    build: impl FnOnce(&mut Builder<'_>, ValueId) -> Result<ValueId>,
) -> Vec<(String, [f32; 2])> {
    let mut graph = function(batched(&[3]), build).unwrap();
    let images = graph.inputs()[0];
    let activations = inactive_units(&mut graph, images).unwrap();
    let radii = [0.001];
    let inputs = [float("x", &[1, 3], &pixels), Input { name: RADIUS, dims: &[1], data: Data::F32(&radii) }];
    let outputs = session(&graph).run(&inputs).unwrap();
    let shares = outputs[1].data.iter().zip(&outputs[0].data).map(|(silent, inactive)| [*silent, *inactive]);
    activations.into_iter().map(|found| found.node.operator).zip(shares).collect()
}

/// Scores -`factor`/2, 0 and `factor`/2.
fn scores(builder: &mut Builder<'_>, x: ValueId, factor: f32) -> Result<ValueId> {
    let (factor, half) = (builder.scalar(factor), builder.scalar(0.5));
    let centred = builder.op("Sub", &[x, half])?;
    builder.op("Mul", &[centred, factor])
}

#[test]
fn gates_at_their_limits_are_silent() {
    let pixels = [0.0, 0.5, 1.0];
    for op in ["Sigmoid", "Tanh", "Erf", "HardSigmoid"] {
        let silent = |factor: f32| {
            let found = silent_units(pixels, |builder, x| {
                let scores = scores(builder, x, factor)?;
                builder.op(op, &[scores])
            });
            assert_eq!(found.len(), 1, "{op}");
            found[0].1[0]
        };
        // The middle one never is.
        assert!((silent(40.0) - 2.0 / 3.0).abs() < 1e-6, "{op}: {}", silent(40.0));
        assert_eq!(silent(3.0), 0.0, "{op}");
    }
}

#[test]
fn rows_of_a_softmax_are_silent_where_one_has_all() {
    // Two rows: scores (-s/2, 0) and (0, s/2); behind them, where no bounds reach, a gate.
    let found = |op: &str, factor: f32| {
        silent_units([0.0, 0.5, 1.0], |builder, x| {
            let scores = scores(builder, x, factor)?;
            let indices = builder.ints(&[0, 1, 1, 2]);
            let pairs = builder.op_with("Gather", &[scores, indices], [("axis", Attribute::Int(1))])?;
            let shape = builder.ints(&[-1, 2, 2]);
            let rows = builder.op("Reshape", &[pairs, shape])?;
            let shares = builder.op_with(op, &[rows], [("axis", Attribute::Int(-1))])?;
            let large = builder.scalar(-1000.0);
            let large = builder.op("Mul", &[shares, large])?;
            builder.op("Sigmoid", &[large])
        })
    };
    let [(name, rows), (_, gates)] = &found("Softmax", 40.0)[..] else { panic!("a Softmax and a Sigmoid") };
    assert_eq!((name.as_str(), *rows), ("Softmax", [1.0, 0.0]));
    // A gate of 0 or 1000: half of them saturated, none known to be so all around.
    assert_eq!(*gates, [0.5, 0.0]);
    assert_eq!(found("Softmax", 10.0)[0].1, [0.0, 0.0]);
    // Where one has all, the logarithms of the others still pass their gradients.
    let names: Vec<String> = found("LogSoftmax", 40.0).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["Sigmoid"]);
    // A row of one is always 1.
    let alone = silent_units([0.0, 0.5, 1.0], |builder, x| {
        let shape = builder.ints(&[-1, 3, 1]);
        let rows = builder.op("Reshape", &[x, shape])?;
        let ones = builder.op_with("Softmax", &[rows], [("axis", Attribute::Int(-1))])?;
        builder.op("Tanh", &[ones])
    });
    assert_eq!(alone.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["Tanh"]);
}

#[test]
fn relaxed_gradients_are_the_slopes_of_secants() {
    let forward = function(batched(&[1]), three_units).unwrap();
    let graph = differentiate(&forward, Loss::RelaxedMargin, Kernels::Standard).unwrap();
    let mut session = session(&graph);
    let mut gradient = |cotangent: [f32; 3]| {
        let radius = [WITHIN];
        let inputs = [
            float(tensor_names::IMAGES, &[1, 1], &[0.45]),
            float(tensor_names::COTANGENT, &[1, 3], &cotangent),
            Input { name: RADIUS, dims: &[1], data: Data::F32(&radius) },
        ];
        session.run(&inputs).unwrap()[1].data[0]
    };
    // On [0.35, 0.55] the second unit has the bounds [-0.15, 0.05]: 0.05 / 0.2.
    for (unit, want) in [0.0, 0.25, 1.0].into_iter().enumerate() {
        let mut cotangent = [0.0; 3];
        cotangent[unit] = 1.0;
        let found = gradient(cotangent);
        assert!((found - want).abs() < 1e-5, "unit {unit}: {found}, wanted {want}");
    }
}

/// In a box so small that the results at its ends differ by their rounding the slope is the derivative.
#[test]
fn relaxed_gradients_of_gates_are_derivatives_in_small_boxes() {
    // At 0.3.
    for (op, derivative) in
        [("Sigmoid", 0.244_458_3), ("Tanh", 0.915_137), ("Erf", 1.031_260_9), ("HardSigmoid", 0.2)]
    {
        let forward = function(batched(&[1]), |builder, x| {
            let zero = builder.scalar(0.0);
            let gate = builder.op(op, &[x])?;
            let other = builder.op("Mul", &[x, zero])?;
            builder.op_with("Concat", &[gate, other], [("axis", Attribute::Int(1))])
        })
        .unwrap();
        let graph = differentiate(&forward, Loss::RelaxedMargin, Kernels::Standard).unwrap();
        for radius in [0.0, 1e-7, 1e-4] {
            let radius = [radius];
            let inputs = [
                float(tensor_names::IMAGES, &[1, 1], &[0.3]),
                float(tensor_names::COTANGENT, &[1, 2], &[1.0, 0.0]),
                Input { name: RADIUS, dims: &[1], data: Data::F32(&radius) },
            ];
            let found = session(&graph).run(&inputs).unwrap()[1].data[0];
            assert!(
                (found - derivative).abs() < 2e-4,
                "{op} within {radius:?}: {found}, wanted {derivative}"
            );
        }
    }
}

#[test]
fn functions_with_a_valley() {
    for op in ["HardSwish", "Gelu"] {
        check(op, &[8], |builder, x| {
            let (scale, shift) = (builder.scalar(8.0), builder.scalar(-5.0));
            let wide = builder.op("Mul", &[x, scale])?;
            let wide = builder.op("Add", &[wide, shift])?;
            builder.op(op, &[wide])
        });
    }
}
