//! What searches use where the output of a file saturates: scores in which the classes have the same order.

use super::*;
use crate::testing::push_all;

type Last = fn(&mut Graph, ValueId) -> ValueId;

/// A linear model with small logits of both signs, and `last` behind them.
fn ending(last: Last) -> ImageClassifier {
    let file = graph(18, "f32[N,3,4,2]", |graph, x| {
        let flat = push(graph, "Flatten", &[x], "");
        let weights: Vec<f32> = (0..120).map(|index: usize| (index * 37 % 101) as f32 / 50.0 - 1.0).collect();
        let weights = graph.add_constant("weights", crate::Tensor::from_f32(&[24, 5], &weights));
        let logits = push(graph, "MatMul", &[flat, weights], "");
        last(graph, logits)
    });
    classifier(file, &InputSpec::default()).unwrap()
}

fn times(graph: &mut Graph, value: ValueId, factor: f32) -> ValueId {
    let factor = graph.add_constant("factor", crate::Tensor::scalar_f32(factor));
    push(graph, "Mul", &[value, factor], "")
}

fn softmax(graph: &mut Graph, logits: ValueId, factor: f32) -> ValueId {
    let logits = times(graph, logits, factor);
    push(graph, "Softmax", &[logits], "axis=1")
}

/// Classes by falling score, of each of three images.
fn ranks(scores: &[f32]) -> Vec<Vec<usize>> {
    let rank = |row: &[f32]| {
        let mut classes: Vec<usize> = (0..row.len()).collect();
        classes.sort_by(|left, right| row[*right].total_cmp(&row[*left]));
        classes
    };
    scores.chunks(5).map(rank).collect()
}

fn forward(classifier: &ImageClassifier) -> Vec<f32> {
    run_file(&classifier.forward_onnx().unwrap(), 3).remove(0).1
}

/// The gradients of two ratios, which do not depend on the scale of the logits, point the same way.
fn assert_same_direction(found: &[f32], wanted: &[f32], what: &str) {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let cosine = dot(found, wanted) / (dot(found, found) * dot(wanted, wanted)).sqrt();
    assert!(cosine > 0.9999, "{what}: {cosine}");
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn saturated_scores_are_searched_by_what_is_before_them() {
    let tails: [(&str, Last); 14] = [
        ("100 · Softmax(100 z)", |graph, z| {
            let p = softmax(graph, z, 100.0);
            times(graph, p, 100.0)
        }),
        ("Clip(Softmax)", |graph, z| {
            let p = softmax(graph, z, 100.0);
            let (low, high) = (add(graph, "#0.0000001").unwrap(), add(graph, "#0.9999999").unwrap());
            push(graph, "Clip", &[p, low, high], "")
        }),
        ("Softmax(Softmax)", |graph, z| {
            let p = softmax(graph, z, 100.0);
            push(graph, "Softmax", &[p], "axis=1")
        }),
        ("Sigmoid", |graph, z| {
            let z = times(graph, z, 40.0);
            push(graph, "Sigmoid", &[z], "")
        }),
        ("1/(1 + exp(-z))", |graph, z| {
            let z = times(graph, z, -40.0);
            let power = push(graph, "Exp", &[z], "");
            let one = add(graph, "#1").unwrap();
            let sum = push(graph, "Add", &[one, power], "");
            push(graph, "Reciprocal", &[sum], "")
        }),
        ("exp(z)/(1 + exp(z))", |graph, z| {
            let z = times(graph, z, 20.0);
            let power = push(graph, "Exp", &[z], "");
            let one = add(graph, "#1").unwrap();
            let sum = push(graph, "Add", &[power, one], "");
            push(graph, "Div", &[power, sum], "")
        }),
        ("Softmax(-Tanh(-z))", |graph, z| {
            let z = times(graph, z, -40.0);
            let bounded = push(graph, "Tanh", &[z], "");
            let turned = push(graph, "Neg", &[bounded], "");
            push(graph, "Softmax", &[turned], "axis=1")
        }),
        ("one minus a Softmax of the negative, squared", |graph, z| {
            let p = times(graph, z, -40.0);
            let p = push(graph, "Sigmoid", &[p], "");
            let one = add(graph, "#1.0").unwrap();
            let rest = push(graph, "Sub", &[one, p], "");
            let positive = push(graph, "Relu", &[rest], "");
            push(graph, "Mul", &[positive, positive], "")
        }),
        ("rounded percentages", |graph, z| {
            let p = softmax(graph, z, 10.0);
            let p = times(graph, p, 100.0);
            push(graph, "Round", &[p], "")
        }),
        ("float16 probabilities", |graph, z| {
            let half = push(graph, "Cast", &[z], "to=10");
            let p = push(graph, "Softmax", &[half], "axis=1");
            let ten = graph.add_constant("ten", crate::Tensor::scalar_f32(10.0));
            let ten = push(graph, "Cast", &[ten], "to=10");
            push(graph, "Mul", &[p, ten], "")
        }),
        ("mean of two", |graph, z| {
            let (p, q) = (softmax(graph, z, 100.0), softmax(graph, z, 70.0));
            let sum = push(graph, "Add", &[p, q], "");
            times(graph, sum, 0.5)
        }),
        ("product of two", |graph, z| {
            let (p, q) = (softmax(graph, z, 100.0), softmax(graph, z, 70.0));
            push(graph, "Mul", &[p, q], "")
        }),
        ("matrix of subclasses", |graph, z| {
            let p = softmax(graph, z, 100.0);
            let ones: Vec<f32> = (0..25).map(|index| f32::from(u8::from(index % 6 == 0))).collect();
            let ones = graph.add_constant("ones", crate::Tensor::from_f32(&[5, 5], &ones));
            push(graph, "MatMul", &[p, ones], "")
        }),
        ("threshold at the largest", |graph, z| {
            let three = add(graph, "=[1]").unwrap();
            let most = push_all(graph, "TopK", &[Some(z), Some(three)], "axis=1", 2)[0];
            let below = push(graph, "Sub", &[z, most], "");
            push(graph, "Exp", &[below], "")
        }),
    ];
    let plain = ending(|_, z| z);
    let (wanted, gradient) = (ranks(&forward(&plain)), dlr(&plain).remove(2));
    for (name, last) in tails {
        let classifier = ending(last);
        assert_ne!(classifier.manifest().output, OutputKind::Logits, "{name}");
        assert_eq!(ranks(&forward(&classifier)), wanted, "{name}");
        assert!(classifier.scan().gradient_cuts.is_empty(), "{name}");
        let outputs = dlr(&classifier);
        assert_same_direction(&outputs[2], &gradient, name);
    }
}

#[test]
fn what_is_no_function_of_one_score_stays_as_it_is() {
    let tails: [(&str, Last); 4] = [
        ("Swish", |graph, z| {
            let gate = push(graph, "Sigmoid", &[z], "");
            push(graph, "Mul", &[z, gate], "")
        }),
        ("squares of both signs", |graph, z| push(graph, "Mul", &[z, z], "")),
        ("weights of both signs", |graph, z| {
            let weights = graph.add_constant("w", crate::Tensor::from_f32(&[5], &[1.0, -1.0, 1.0, 2.0, 1.0]));
            push(graph, "Mul", &[z, weights], "")
        }),
        ("random numbers", |graph, z| {
            let noise = push(graph, "RandomNormalLike", &[z], "scale=0.1");
            push(graph, "Add", &[z, noise], "")
        }),
    ];
    for (name, last) in tails {
        assert_eq!(ending(last).manifest().output, OutputKind::Logits, "{name}");
    }
}

#[test]
fn weights_of_classes_are_part_of_the_logarithm() {
    let weighted = ending(|graph, z| {
        let p = push(graph, "Softmax", &[z], "axis=1");
        let weights = graph.add_constant("w", crate::Tensor::from_f32(&[5], &[0.1, 0.2, 0.3, 0.4, 0.5]));
        push(graph, "Mul", &[p, weights], "")
    });
    let original = run_file(&weighted.original_onnx().unwrap(), 3).remove(0).1;
    let wanted: Vec<f32> = original.iter().map(|weight| weight.ln()).collect();
    assert_close(&forward(&weighted), &wanted);
}

#[test]
fn equal_scores_of_a_flat_part_are_returned_beside() {
    let clipped = ending(|graph, z| {
        let (low, high) = (add(graph, "#-0.1").unwrap(), add(graph, "#0.1").unwrap());
        push(graph, "Clip", &[z, low, high], "")
    });
    let original = run_file(&clipped.original_onnx().unwrap(), 3).remove(0);
    let searched = run_file(&clipped.forward_onnx().unwrap(), 3);
    assert_eq!((searched.len(), &searched[1]), (2, &original));
    assert_ne!(searched[0].1, original.1);
    let gradient = run_file(&clipped.gradient_onnx(Loss::Margin).unwrap(), 3);
    assert_eq!(gradient.last(), Some(&original));
    assert_eq!(run_file(&ending(|_, z| z).forward_onnx().unwrap(), 3).len(), 1);
}

#[test]
fn what_a_sum_rounds_to_one_is_returned_beside_too() {
    let tails: [(&str, Last); 3] = [
        ("1/(1 + exp(-z))", |graph, z| {
            let negative = push(graph, "Neg", &[z], "");
            let power = push(graph, "Exp", &[negative], "");
            let one = add(graph, "#1").unwrap();
            let sum = push(graph, "Add", &[power, one], "");
            push(graph, "Div", &[one, sum], "")
        }),
        ("1 + exp(z)", |graph, z| {
            let power = push(graph, "Exp", &[z], "");
            let one = add(graph, "#1").unwrap();
            push(graph, "Add", &[one, power], "")
        }),
        ("(tanh(z/2) + 1)/2", |graph, z| {
            let halved = times(graph, z, 0.5);
            let bounded = push(graph, "Tanh", &[halved], "");
            let one = add(graph, "#1").unwrap();
            let raised = push(graph, "Add", &[bounded, one], "");
            times(graph, raised, 0.5)
        }),
    ];
    for (name, last) in tails {
        let ending = ending(last);
        let (original, searched) =
            (run_file(&ending.original_onnx().unwrap(), 3), run_file(&ending.forward_onnx().unwrap(), 3));
        assert_eq!(searched.len(), 2, "{name}");
        assert_close(&searched[1].1, &original[0].1);
        assert_eq!(ranks(&searched[0].1), ranks(&original[0].1), "{name}");
    }
}

/// Of scores at a bound the first class wins; those that are not equal keep their order.
#[test]
fn scores_beyond_a_bound_are_ranked_as_the_file_ranks_them() {
    // Whether the bound is an upper one.
    let tails: [(&str, bool, Last); 5] = [
        ("Clip", true, |graph, z| {
            let (low, high) = (add(graph, "#-0.1").unwrap(), add(graph, "#0.1").unwrap());
            push(graph, "Clip", &[z, low, high], "")
        }),
        ("HardSigmoid", true, |graph, z| push(graph, "HardSigmoid", &[z], "alpha=5.0 beta=0.5")),
        ("Min(Max)", true, |graph, z| {
            let (low, high) = (add(graph, "#-0.1").unwrap(), add(graph, "#0.1").unwrap());
            let bounded = push(graph, "Max", &[z, low], "");
            push(graph, "Min", &[bounded, high], "")
        }),
        ("-Relu(-z)", true, |graph, z| {
            let negative = push(graph, "Neg", &[z], "");
            let below = push(graph, "Relu", &[negative], "");
            push(graph, "Neg", &[below], "")
        }),
        ("Relu", false, |graph, z| push(graph, "Relu", &[z], "")),
    ];
    let plain = forward(&ending(|_, z| z));
    for (name, is_upper, last) in tails {
        let ending = ending(last);
        let searched = run_file(&ending.forward_onnx().unwrap(), 3);
        let (scores, returned) = (&searched[0].1, &searched[1].1);
        let bound = returned.iter().copied().fold(
            if is_upper { f32::NEG_INFINITY } else { f32::INFINITY },
            if is_upper { f32::max } else { f32::min },
        );
        let rows = scores.chunks(5).zip(returned.chunks(5)).zip(plain.chunks(5));
        let mut beyond = Vec::new();
        for ((scores, returned), plain) in rows {
            for (one, other) in (0..5).flat_map(|one| (0..5).map(move |other| (one, other))) {
                if returned[one] > returned[other] {
                    assert!(scores[one] > scores[other], "{name}: {scores:?} for {returned:?}");
                }
            }
            let at_bound = (0..5).filter(|class| returned[*class] == bound);
            beyond.extend(at_bound.map(|class| {
                let change = (scores[class] - bound).abs();
                (class, change / if name == "HardSigmoid" { 5.0 } else { 1.0 } / plain[class].abs())
            }));
        }
        assert!(beyond.len() >= 4, "{name}: {beyond:?}");
        // Each is less than its distance from the bound, which is less than from zero, times its slope.
        let slope = |class: usize| 2_f32.powf(-1.0 - 3.0 * if is_upper { class } else { 4 - class } as f32);
        assert!(beyond.iter().all(|(class, change)| *change <= slope(*class)), "{name}: {beyond:?}");
        assert!(beyond.iter().any(|(class, change)| *change > 0.1 * slope(*class)), "{name}: {beyond:?}");
    }
}
