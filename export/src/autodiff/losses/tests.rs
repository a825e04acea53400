//! Losses and cotangents through ONNX Runtime, against their definitions in double precision.

use mimir_runtime::session::{Data, Input, RawSession};

use crate::autodiff::testing::{Domain, Numbers, batched, dot, float, function, session};
use crate::autodiff::{Kernels, differentiate};
use crate::error::{Error, ErrorKind};
use crate::graph::{Graph, Shape};
use crate::tensor::Tensor;
use crate::vit::{VitConfig, vit};
use mimir_bundle::{Loss, LossInput, tensor_names};

/// Classes of the tables.
const CLASSES: usize = 5;

/// Some 80 roundings of a `float`; the graphs have ten, of numbers at most three times as large as their result.
const TOLERANCE: f64 = 1e-5;

/// Logits, label and target of one image.
type Case = ([f32; CLASSES], i64, i64);

/// Labels and targets at every rank.
const CASES: [Case; 7] = [
    // Of a label of rank 3 the untargeted ratio is 1, whatever the logits: no slope.
    ([2.0, 0.5, -1.0, 1.25, 0.75], 4, 1),
    ([2.0, 0.5, -1.0, 1.25, 0.75], 0, 3),
    ([2.0, 0.5, -1.0, 1.25, 0.75], 3, 0),
    ([2.0, 0.5, -1.0, 1.25, 0.75], 1, 4),
    ([2.0, 0.5, -1.0, 1.25, 0.75], 2, 0),
    ([-3.0, -0.5, -1.0, -0.25, -4.0], 3, 4),
    ([0.125, 0.25, 0.375, 0.75, 3.0], 4, 0),
];

/// Those with a slope.
const SLOPED: &[Case] = CASES.split_at(1).1;

/// The images are the logits, so that the gradient of the images is the cotangent of the logits.
fn logits_are_images(classes: usize) -> Graph {
    function(batched(&[classes]), |builder, x| builder.op("Identity", &[x])).unwrap()
}

/// Logits, loss and gradient of a loss, for images of those dimensions.
fn outputs(
    session: &mut RawSession,
    loss: Loss,
    (dims, images): (&[usize], &[f32]),
    labels: &[i64],
    targets: &[i64],
) -> [Vec<f32>; 3] {
    let count = [labels.len()];
    let classes = |name, values| Input { name, dims: &count, data: Data::I64(values) };
    let mut inputs = vec![float(tensor_names::IMAGES, dims, images), classes(tensor_names::LABELS, labels)];
    if loss.inputs().contains(&LossInput::Targets) {
        inputs.push(classes(tensor_names::TARGETS, targets));
    }
    let outputs = session.run(&inputs).unwrap();
    let names: Vec<&str> = outputs.iter().map(|output| output.name.as_str()).collect();
    assert_eq!(names, [tensor_names::LOGITS, tensor_names::LOSS, tensor_names::IMAGES_GRADIENT]);
    assert_eq!(outputs[1].dims, count);
    let data: Vec<Vec<f32>> = outputs.into_iter().map(|output| output.data).collect();
    data.try_into().unwrap()
}

/// Loss and cotangent of each case, its logits times `scale`.
fn at_logits(loss: Loss, cases: &[Case], scale: f32) -> Vec<(f32, Vec<f32>)> {
    let mut session = session(&differentiate(&logits_are_images(CLASSES), loss, Kernels::Standard).unwrap());
    let images: Vec<f32> = cases.iter().flat_map(|case| case.0).map(|logit| scale * logit).collect();
    let labels: Vec<i64> = cases.iter().map(|case| case.1).collect();
    let targets: Vec<i64> = cases.iter().map(|case| case.2).collect();
    let dims = [cases.len(), CLASSES];
    let [_, value, cotangent] = outputs(&mut session, loss, (&dims, &images), &labels, &targets);
    value.into_iter().zip(cotangent.chunks(CLASSES).map(<[f32]>::to_vec)).collect()
}

/// The definition, by sorting.
fn wanted_loss(loss: Loss, logits: &[f64], label: i64, target: i64) -> f64 {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
    let ranked = |rank: usize| logits[order[rank - 1]];
    let label = label as usize;
    let denominator = |compared: f64| if compared == 0.0 { 1.0 } else { compared };
    match loss {
        Loss::Dlr => {
            let other = if order[0] == label { ranked(2) } else { ranked(1) };
            -(logits[label] - other) / denominator(ranked(1) - ranked(3))
        }
        Loss::TargetedDlr => {
            let difference = logits[label] - logits[target as usize];
            -difference / denominator(ranked(1) - 0.5 * (ranked(3) + ranked(4)))
        }
        Loss::Margin | Loss::RelaxedMargin | Loss::CrossEntropy => unreachable!("not a ratio"),
    }
}

/// Central differences of the definition.
fn wanted_cotangent(loss: Loss, logits: &[f64], label: i64, target: i64) -> Vec<f64> {
    let largest = logits.iter().fold(0.0_f64, |largest, logit| largest.max(logit.abs()));
    let step = 1e-5 * largest;
    let moved = |class: usize, step: f64| {
        let mut logits = logits.to_vec();
        logits[class] += step;
        wanted_loss(loss, &logits, label, target)
    };
    (0..logits.len()).map(|class| (moved(class, step) - moved(class, -step)) / (2.0 * step)).collect()
}

/// `size` is the one that a wanted value of zero is small beside.
#[track_caller]
fn assert_near(case: &str, found: &[f32], wanted: &[f64], size: f64) {
    let norm = wanted.iter().map(|value| value * value).sum::<f64>().sqrt();
    let distance = found.iter().zip(wanted).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum::<f64>().sqrt();
    assert!(distance <= TOLERANCE * norm.max(size), "{case}: {found:?}, wanted {wanted:?}");
}

#[test]
fn ratios_and_their_cotangents_match_the_definition_at_every_scale() {
    for loss in [Loss::Dlr, Loss::TargetedDlr] {
        for scale in [1.0_f32, 1e6, 1e-6, 1e30, 1e-30] {
            for ((value, cotangent), case) in at_logits(loss, &CASES, scale).into_iter().zip(CASES) {
                let logits: Vec<f64> = case.0.iter().map(|logit| f64::from(scale * logit)).collect();
                let name = format!("{loss:?} of {case:?} times {scale}");
                assert_near(&name, &[value], &[wanted_loss(loss, &logits, case.1, case.2)], 0.0);
                let wanted = wanted_cotangent(loss, &logits, case.1, case.2);
                assert_near(&name, &cotangent, &wanted, 0.1 / f64::from(scale));
            }
        }
    }
}

#[test]
fn the_direction_does_not_depend_on_the_scale_of_the_logits() {
    for loss in [Loss::Dlr, Loss::TargetedDlr] {
        let plain = at_logits(loss, SLOPED, 1.0);
        for scale in [1e6, 1e-6, 1e30, 1e-30] {
            for ((_, wanted), (_, found)) in plain.iter().zip(at_logits(loss, SLOPED, scale)) {
                let cosine = dot(wanted, &found) / (dot(wanted, wanted) * dot(&found, &found)).sqrt();
                assert!((cosine - 1.0).abs() < TOLERANCE, "{loss:?}, scale {scale}: {wanted:?}, {found:?}");
            }
        }
    }
}

/// Between logits that are equal the first class ranks first, as TopK says.
#[test]
fn ties_give_the_cotangent_of_one_order_of_the_ranks() {
    let top = [2.0, 2.0, 1.0, 0.0, -1.0];
    let second = [3.0, 1.0, 1.0, 0.0, 0.0];
    let cases = [(top, 0, 1), (top, 1, 0), (second, 0, 2)];
    let dlr = [
        (0.0, [-1.0, 1.0, 0.0, 0.0, 0.0]),
        (0.0, [1.0, -1.0, 0.0, 0.0, 0.0]),
        // (d − L·s)/D for d = (−1, 1, 0, 0, 0), L = −1, s = (1, 0, −1, 0, 0), D = 2.
        (-1.0, [0.0, 0.5, -0.5, 0.0, 0.0]),
    ];
    // D = 1.5, 1.5 and 2.5; the last: L = −0.8, d = (−1, 0, 1, 0, 0), s = (1, 0, −½, −½, 0).
    let third = 1.0 / 1.5;
    let targeted = [
        (0.0, [-third, third, 0.0, 0.0, 0.0]),
        (0.0, [third, -third, 0.0, 0.0, 0.0]),
        (-0.8, [-0.08, 0.0, 0.24, -0.16, 0.0]),
    ];
    for (loss, wanted) in [(Loss::Dlr, dlr), (Loss::TargetedDlr, targeted)] {
        for ((value, cotangent), (wanted_loss, wanted)) in at_logits(loss, &cases, 1.0).iter().zip(wanted) {
            assert!((value - wanted_loss).abs() <= 1e-6, "{loss:?}: {value}, wanted {wanted_loss}");
            assert_near(&format!("{loss:?}"), cotangent, &wanted, 0.0);
        }
    }
}

#[test]
fn equal_logits_and_a_target_that_is_the_label_stay_finite() {
    let equal = ([1.0; CLASSES], 2, 0);
    for loss in [Loss::Dlr, Loss::TargetedDlr] {
        let (value, cotangent) = &at_logits(loss, &[equal], 1.0)[0];
        assert_eq!(*value, 0.0);
        assert_near(&format!("{loss:?}"), cotangent, &[1.0, 0.0, -1.0, 0.0, 0.0], 0.0);
    }
    let itself = (CASES[0].0, 3, 3);
    let (value, cotangent) = &at_logits(Loss::TargetedDlr, &[itself], 1.0)[0];
    assert_eq!((*value, cotangent.as_slice()), (0.0, &[0.0; CLASSES][..]));
}

#[test]
fn the_gradient_is_that_of_the_cotangent_head_fed_with_the_definition() {
    let network = VitConfig {
        image_size: 6,
        patch_size: 3,
        channels: 2,
        dim: 8,
        depth: 1,
        heads: 2,
        mlp_ratio: 2,
        classes: CLASSES,
    };
    let network = vit(network, 11).unwrap();
    let images = Numbers::new(4).draw(Domain::Real, 3 * 72);
    let (dims, labels, targets) = ([3, 2, 6, 6], [2, 0, 4], [1, 3, 0]);
    let mut free = session(&differentiate(&network, Loss::Margin, Kernels::Standard).unwrap());
    for loss in [Loss::Dlr, Loss::TargetedDlr] {
        let mut fused = session(&differentiate(&network, loss, Kernels::Standard).unwrap());
        let [logits, _, gradient] = outputs(&mut fused, loss, (&dims, &images), &labels, &targets);
        let cotangent: Vec<f32> = logits
            .chunks(CLASSES)
            .zip(labels.iter().zip(&targets))
            .flat_map(|(row, (label, target))| {
                let row: Vec<f64> = row.iter().map(|logit| f64::from(*logit)).collect();
                wanted_cotangent(loss, &row, *label, *target)
            })
            .map(|value| value as f32)
            .collect();
        let inputs = [
            float(tensor_names::IMAGES, &dims, &images),
            float(tensor_names::COTANGENT, &[3, CLASSES], &cotangent),
        ];
        let wanted: Vec<f64> =
            free.run(&inputs).unwrap()[1].data.iter().map(|value| f64::from(*value)).collect();
        assert_near(&format!("{loss:?}"), &gradient, &wanted, 0.0);
    }
}

#[test]
fn too_few_classes_are_an_error_that_names_the_margin() {
    let refused =
        |classes, loss| differentiate(&logits_are_images(classes), loss, Kernels::Standard).unwrap_err();
    let check = |error: Error, start: &str| {
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().starts_with(start), "{error}");
        assert!(error.to_string().contains("use the loss Margin in its place"), "{error}");
    };
    let dlr = "tensor `logits`: 2 classes, and the loss Dlr compares 3:";
    check(refused(2, Loss::Dlr), dlr);
    let targeted = "tensor `logits`: 3 classes, and the loss TargetedDlr compares 4:";
    check(refused(3, Loss::TargetedDlr), targeted);
    assert!(differentiate(&logits_are_images(3), Loss::Dlr, Kernels::Standard).is_ok());
    assert!(differentiate(&logits_are_images(4), Loss::TargetedDlr, Kernels::Standard).is_ok());
}

#[test]
fn a_batch_fixed_at_one_works_too() {
    let fixed = function(Shape::fixed(&[1, CLASSES]), |builder, x| builder.op("Identity", &[x])).unwrap();
    let (logits, label, target) = CASES[2];
    for loss in [Loss::Dlr, Loss::TargetedDlr] {
        let mut session = session(&differentiate(&fixed, loss, Kernels::Standard).unwrap());
        let images = (&[1, CLASSES][..], &logits[..]);
        let [_, value, gradient] = outputs(&mut session, loss, images, &[label], &[target]);
        assert_eq!((value[0], gradient), at_logits(loss, &CASES[2..3], 1.0)[0].clone());
    }
}

#[test]
fn the_untargeted_ratio_is_fifteen_nodes() {
    insta::assert_snapshot!(differentiate(&logits_are_images(CLASSES), Loss::Dlr, Kernels::Standard).unwrap(), @r#"
        graph (opset 20)
        input %images: f32[N, 5]
        input %labels: i64[N]
        const %loss/constant: i64[1] = [3]
        const %loss/constant_2: i64[1] = [5]
        const %loss/constant_3: f32[2] = [0.0, -1.0]
        const %loss/constant_4: f32[3] = [1.0, 0.0, 0.0]
        const %loss/constant_5: f32[3, 3] = sha256:cc8f1034c5fb2a537b1c4113c3e4e09791b7ccdc602fbb03265f3f967ddb0d27
        const %loss/constant_6: i64[1] = [1]
        const %loss/constant_7: f32[3, 1] = [1.0, 0.0, -1.0]
        const %loss/constant_8: f32[] = [0.0]
        const %loss/constant_9: f32[] = [1.0]
        const %loss/constant_10: f32[3] = [-1.0, -0.0, 1.0]
        %logits: f32[N, 5] = Identity(%images)  # f/Identity
        %loss/TopK: f32[N, 3], %loss/TopK_2: i64[N, 3] = TopK(%logits, %loss/constant)
        %loss/OneHot: f32[N, 5] = OneHot(%labels, %loss/constant_2, %loss/constant_3)
        %loss/GatherElements: f32[N, 3] = GatherElements(%loss/OneHot, %loss/TopK_2) {axis = 1}
        %loss/Gemm: f32[N, 3] = Gemm(%loss/GatherElements, %loss/constant_5, %loss/constant_4)
        %loss/ScatterElements: f32[N, 5] = ScatterElements(%loss/OneHot, %loss/TopK_2, %loss/Gemm) {axis = 1, reduction = "add"}
        %loss/Mul: f32[N, 5] = Mul(%logits, %loss/ScatterElements)
        %loss/ReduceSum: f32[N, 1] = ReduceSum(%loss/Mul, %loss/constant_6) {keepdims = 1}
        %loss/Gemm_2: f32[N, 1] = Gemm(%loss/TopK, %loss/constant_7)
        %loss/Equal: bool[N, 1] = Equal(%loss/Gemm_2, %loss/constant_8)
        %loss/Where: f32[N, 1] = Where(%loss/Equal, %loss/constant_9, %loss/Gemm_2)
        %loss/Div: f32[N, 1] = Div(%loss/ReduceSum, %loss/Where)
        %loss: f32[N] = Squeeze(%loss/Div, %loss/constant_6)  # loss/Squeeze
        %loss/Mul_2: f32[N, 3] = Mul(%loss/Div, %loss/constant_10)
        %loss/ScatterElements_2: f32[N, 5] = ScatterElements(%loss/ScatterElements, %loss/TopK_2, %loss/Mul_2) {axis = 1, reduction = "add"}
        %loss/Div_2: f32[N, 5] = Div(%loss/ScatterElements_2, %loss/Where)
        %images_gradient: f32[N, 5] = Identity(%loss/Div_2)  # gradient/Identity
        output %logits
        output %loss
        output %images_gradient
    "#);
}

#[test]
fn the_targeted_ratio_is_fourteen_nodes() {
    insta::assert_snapshot!(differentiate(&logits_are_images(CLASSES), Loss::TargetedDlr, Kernels::Standard).unwrap(), @r#"
        graph (opset 20)
        input %images: f32[N, 5]
        input %labels: i64[N]
        input %targets: i64[N]
        const %loss/constant: i64[1] = [4]
        const %loss/constant_2: i64[1] = [5]
        const %loss/constant_3: f32[2] = [0.0, -1.0]
        const %loss/constant_4: i64[1] = [5]
        const %loss/constant_5: f32[2] = [0.0, 1.0]
        const %loss/constant_6: i64[1] = [1]
        const %loss/constant_7: f32[4, 1] = [1.0, 0.0, -0.5, -0.5]
        const %loss/constant_8: f32[] = [0.0]
        const %loss/constant_9: f32[] = [1.0]
        const %loss/constant_10: f32[4] = [-1.0, -0.0, 0.5, 0.5]
        %logits: f32[N, 5] = Identity(%images)  # f/Identity
        %loss/TopK: f32[N, 4], %loss/TopK_2: i64[N, 4] = TopK(%logits, %loss/constant)
        %loss/OneHot: f32[N, 5] = OneHot(%labels, %loss/constant_2, %loss/constant_3)
        %loss/OneHot_2: f32[N, 5] = OneHot(%targets, %loss/constant_4, %loss/constant_5)
        %loss/Add: f32[N, 5] = Add(%loss/OneHot_2, %loss/OneHot)
        %loss/Mul: f32[N, 5] = Mul(%logits, %loss/Add)
        %loss/ReduceSum: f32[N, 1] = ReduceSum(%loss/Mul, %loss/constant_6) {keepdims = 1}
        %loss/Gemm: f32[N, 1] = Gemm(%loss/TopK, %loss/constant_7)
        %loss/Equal: bool[N, 1] = Equal(%loss/Gemm, %loss/constant_8)
        %loss/Where: f32[N, 1] = Where(%loss/Equal, %loss/constant_9, %loss/Gemm)
        %loss/Div: f32[N, 1] = Div(%loss/ReduceSum, %loss/Where)
        %loss: f32[N] = Squeeze(%loss/Div, %loss/constant_6)  # loss/Squeeze
        %loss/Mul_2: f32[N, 4] = Mul(%loss/Div, %loss/constant_10)
        %loss/ScatterElements: f32[N, 5] = ScatterElements(%loss/Add, %loss/TopK_2, %loss/Mul_2) {axis = 1, reduction = "add"}
        %loss/Div_2: f32[N, 5] = Div(%loss/ScatterElements, %loss/Where)
        %images_gradient: f32[N, 5] = Identity(%loss/Div_2)  # gradient/Identity
        output %logits
        output %loss
        output %images_gradient
    "#);
}

/// A class whose score is -∞ takes no part.
#[test]
fn a_lost_class_leaves_losses_and_cotangents_finite() {
    const LOST: f32 = f32::NEG_INFINITY;
    let masked = function(batched(&[CLASSES]), |builder, x| {
        let mask = builder.constant(Tensor::from_f32(&[CLASSES], &[0.0, 0.0, 0.0, 0.0, LOST]));
        builder.op("Add", &[x, mask])
    });
    let (masked, images) = (masked.unwrap(), [2.0, 0.5, -1.0, 1.25, 7.0]);
    let answer = |graph: &Graph, loss, images: &[f32], label, target| {
        let mut session = session(&differentiate(graph, loss, Kernels::Standard).unwrap());
        let [_, value, cotangent] =
            outputs(&mut session, loss, (&[1, images.len()], images), &[label], &[target]);
        (value[0], cotangent)
    };
    for loss in [Loss::CrossEntropy, Loss::Dlr] {
        let (value, cotangent) = answer(&masked, loss, &images, 3, 0);
        let (wanted, wanted_cotangent) = answer(&logits_are_images(4), loss, &images[..4], 3, 0);
        assert!((value - wanted).abs() < 1e-5, "{loss:?}: {value}, wanted {wanted}");
        for (found, wanted) in cotangent.iter().zip(wanted_cotangent) {
            assert!((found - wanted).abs() < 1e-5, "{loss:?}: {cotangent:?}");
        }
    }
    for loss in [Loss::CrossEntropy, Loss::Dlr, Loss::TargetedDlr] {
        // The label or the target itself.
        for (label, target) in [(4, 0), (0, 4)] {
            let (value, cotangent) = answer(&masked, loss, &images, label, target);
            assert!(value.is_finite() && cotangent.iter().all(|slope| slope.is_finite()), "{loss:?}");
        }
    }
}
