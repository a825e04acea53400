//! Which output of a file counts, of what shape it may be, and which outputs are no scores of classes.

use super::*;
use crate::testing::push_all;

/// A linear model of five classes, and what `last` makes of its logits: the outputs of the file.
fn ending(last: impl FnOnce(&mut Graph, ValueId) -> Vec<ValueId>) -> Graph {
    let mut graph = Graph::new("test", 12);
    let images = add(&mut graph, "f32[N,3,4,2]").unwrap();
    let logits = head(&mut graph, images);
    for output in last(&mut graph, logits) {
        graph.add_output(output);
    }
    graph
}

fn named(name: &str) -> InputSpec {
    InputSpec { output: Some(name.to_owned()), ..InputSpec::default() }
}

fn refusal(graph: Graph, spec: &InputSpec) -> String {
    let error = classifier(graph, spec).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotAClassifier, "{error}");
    error.to_string()
}

fn constant(graph: &mut Graph, values: &[i64]) -> ValueId {
    graph.add_constant("constant", crate::Tensor::vector_i64(values))
}

/// The five largest of the logits, and where they are.
fn top(graph: &mut Graph, logits: ValueId) -> Vec<ValueId> {
    let count = constant(graph, &[5]);
    push_all(graph, "TopK", &[Some(logits), Some(count)], "axis=1", 2)
}

#[test]
fn axes_of_length_one_are_removed_behind_the_file() {
    let plain = classifier(ending(|_, logits| vec![logits]), &InputSpec::default()).unwrap();
    let wanted = run_file(&plain.original_onnx().unwrap(), 3);
    let gradient = run_file(&plain.gradient_onnx(Loss::Margin).unwrap(), 3);
    for shape in [&[-1, 5, 1, 1][..], &[-1, 5, 1], &[-1, 1, 1, 5], &[-1, 1, 5], &[-1, 1, 5, 1]] {
        let nested = ending(|graph, logits| {
            let target = constant(graph, shape);
            vec![push(graph, "Reshape", &[logits, target], "")]
        });
        let nested = classifier(nested, &InputSpec::default()).unwrap();
        assert_eq!(
            (nested.manifest().classes, nested.manifest().batch),
            (5, BatchMode::Dynamic),
            "{shape:?}"
        );
        assert_eq!(run_file(&nested.original_onnx().unwrap(), 3), wanted, "{shape:?}");
        assert_eq!(run_file(&nested.forward_onnx().unwrap(), 3)[0].0, [3, 5]);
        assert_close(&run_file(&nested.gradient_onnx(Loss::Margin).unwrap(), 3)[1].1, &gradient[1].1);
    }
}

#[test]
fn axes_of_length_one_are_removed_for_every_batch_and_precision() {
    let last = |graph: &mut Graph, logits: ValueId| {
        let images = push(graph, "Unsqueeze", &[logits], "axes=[2,3]");
        push(graph, "Cast", &[images], "to=10")
    };
    for (input, batch) in [("f32[N,3,4,2]", BatchMode::Dynamic), ("f32[1,3,4,2]", BatchMode::Rebatched)] {
        let file = graph(11, input, |graph, x| {
            let logits = head(graph, x);
            last(graph, logits)
        });
        let mut classifier = classifier(file, &InputSpec::default()).unwrap();
        assert_eq!(classifier.manifest().batch, batch);
        assert_eq!(run_file(&classifier.original_onnx().unwrap(), 2)[0].0, [2, 5]);
        classifier.keep_fixed_batch();
        assert_eq!(run_file(&classifier.original_onnx().unwrap(), 1)[0].0, [1, 5]);
    }
}

#[test]
fn several_outputs_are_listed_and_one_is_told_by_name() {
    let file = ending(|graph, logits| {
        let features = graph.nodes()[0].outputs[0].unwrap();
        graph.rename(logits, "scores").unwrap();
        graph.rename(features, "features").unwrap();
        vec![features, logits]
    });
    let message = refusal(file.clone(), &InputSpec::default());
    for part in ["`features` [N, 24], `scores` [N, 5]", "choose it with --output NAME"] {
        assert!(message.contains(part), "{message}");
    }
    let chosen = classifier(file.clone(), &named("scores")).unwrap();
    assert_eq!((chosen.manifest().classes, chosen.manifest().output_name.as_str()), (5, "scores"));
    assert_eq!(classifier(file.clone(), &named("features")).unwrap().manifest().classes, 24);
    let message = refusal(file.clone(), &named("score"));
    assert!(message.starts_with("tensor `score`: is no output of the model; its outputs are"), "{message}");
    let message = refusal(file, &named("input"));
    assert!(message.contains("is a tensor inside the model"), "{message}");
}

#[test]
fn of_logits_and_their_own_softmax_the_logits_count() {
    let file = ending(|graph, logits| {
        graph.rename(logits, "scores").unwrap();
        let probabilities = push(graph, "Softmax", &[logits], "axis=1");
        let hundred = add(graph, "#100").unwrap();
        let percentages = push(graph, "Mul", &[probabilities, hundred], "");
        let label = push(graph, "ArgMax", &[logits], "axis=1 keepdims=0");
        vec![percentages, label, logits, probabilities]
    });
    assert_eq!(classifier(file, &InputSpec::default()).unwrap().manifest().output_name, "scores");
    let turned = ending(|graph, logits| {
        let negative = push(graph, "Neg", &[logits], "");
        vec![negative, logits]
    });
    assert!(refusal(turned, &InputSpec::default()).contains("the model has 2 outputs"));
}

#[test]
fn two_heads_are_not_chosen_between() {
    let file = ending(|graph, logits| {
        let (weights, flat) = (add(graph, "#[24,5]").unwrap(), graph.nodes()[0].outputs[0].unwrap());
        let auxiliary = push(graph, "MatMul", &[flat, weights], "");
        vec![logits, auxiliary]
    });
    assert!(refusal(file, &InputSpec::default()).contains("the model has 2 outputs"));
}

#[test]
fn sorted_scores_are_refused_whatever_follows() {
    type Last = fn(&mut Graph, ValueId) -> Vec<ValueId>;
    let endings: [(&str, Last); 8] = [
        ("TopK", |graph, logits| {
            let sorted = top(graph, logits);
            vec![sorted[1], sorted[0]]
        }),
        ("TopK", |graph, logits| vec![top(graph, logits)[0]]),
        ("TopK", |graph, logits| {
            let sorted = top(graph, logits)[0];
            let probabilities = push(graph, "Softmax", &[sorted], "axis=1");
            vec![push(graph, "Unsqueeze", &[probabilities], "axes=[2]")]
        }),
        ("GatherElements", |graph, logits| {
            let places = top(graph, logits)[1];
            vec![push(graph, "GatherElements", &[logits, places], "axis=1")]
        }),
        ("Gather", |graph, logits| {
            let best = push(graph, "ArgMax", &[logits], "axis=0 keepdims=0");
            vec![push(graph, "Gather", &[logits, best], "axis=1")]
        }),
        ("ScatterElements", |graph, logits| {
            let sorted = top(graph, logits);
            let empty = push(graph, "Sub", &[logits, logits], "");
            vec![push(graph, "ScatterElements", &[empty, sorted[1], sorted[0]], "axis=1")]
        }),
        // A matrix of ones where the places are: Sort without an operator for it.
        ("TopK", |graph, logits| {
            let places = top(graph, logits)[1];
            let places = push(graph, "Unsqueeze", &[places], "axes=[2]");
            let every = constant(graph, &[0, 1, 2, 3, 4]);
            let ones = push(graph, "Equal", &[places, every], "");
            let ones = push(graph, "Cast", &[ones], "to=1");
            let column = push(graph, "Unsqueeze", &[logits], "axes=[2]");
            vec![push(graph, "MatMul", &[ones, column], "")]
        }),
        ("TopK", |graph, logits| {
            let turned = push(graph, "Transpose", &[logits], "perm=[1,0]");
            let count = constant(graph, &[5]);
            let sorted = push_all(graph, "TopK", &[Some(turned), Some(count)], "axis=0", 2)[0];
            let turned = push(graph, "Transpose", &[sorted], "perm=[1,0]");
            let half = add(graph, "#0.5").unwrap();
            vec![push(graph, "Mul", &[turned, half], "")]
        }),
    ];
    for (number, (op_type, last)) in endings.into_iter().enumerate() {
        let message = refusal(ending(last), &InputSpec::default());
        let named =
            message.starts_with("node `") && message.contains(&format!("({op_type}): sorts or selects"));
        assert!(named && message.contains("--output NAME"), "{number}: {message}");
    }
}

#[test]
fn selections_that_keep_every_class_at_its_place_are_allowed() {
    // A constant order of the classes, and TopK along another axis.
    let permuted = ending(|graph, logits| {
        let order = constant(graph, &[4, 3, 2, 1, 0]);
        vec![push(graph, "Gather", &[logits, order], "axis=1")]
    });
    let pooled = graph(13, "f32[N,3,4,2]", |graph, x| {
        let target = constant(graph, &[-1, 3, 8]);
        let places = push(graph, "Reshape", &[x, target], "");
        let count = constant(graph, &[4]);
        let largest = push_all(graph, "TopK", &[Some(places), Some(count)], "axis=2", 2)[0];
        push(graph, "ReduceMean", &[largest], "axes=[2] keepdims=0")
    });
    // Scores below the third largest become zero.
    let filtered = ending(|graph, logits| {
        let sorted = top(graph, logits)[0];
        let third = constant(graph, &[2]);
        let least = push(graph, "Gather", &[sorted, third], "axis=1");
        let keeps = push(graph, "GreaterOrEqual", &[logits, least], "");
        let zero = add(graph, "#0.0").unwrap();
        vec![push(graph, "Where", &[keeps, logits, zero], "")]
    });
    for (file, classes) in [(permuted, 5), (pooled, 3), (filtered, 5)] {
        assert_eq!(classifier(file, &InputSpec::default()).unwrap().manifest().classes, classes);
    }
}

#[test]
fn as_many_integers_as_scores_are_not_dropped_in_silence() {
    let file = ending(|graph, logits| {
        let ranks = top(graph, logits)[1];
        vec![logits, ranks]
    });
    let message = refusal(file.clone(), &InputSpec::default());
    assert!(message.contains("as many integers (`topk_2` [N, 5]) as scores"), "{message}");
    assert!(message.contains("--output gemm"), "{message}");
    assert_eq!(classifier(file, &named("gemm")).unwrap().manifest().classes, 5);
}

#[test]
fn scores_of_one_image_may_lack_the_axis_of_the_batch() {
    let plain = classifier(graph(13, "f32[1,3,4,2]", head), &InputSpec::default()).unwrap();
    let wanted = run_file(&plain.original_onnx().unwrap(), 1);
    type Last = fn(&mut Graph, ValueId) -> ValueId;
    let endings: [(&str, Last); 4] = [
        ("Squeeze", |graph, logits| {
            let axes = constant(graph, &[0]);
            push(graph, "Squeeze", &[logits, axes], "")
        }),
        ("Gather", |graph, logits| {
            let first = add(graph, "=0").unwrap();
            push(graph, "Gather", &[logits, first], "axis=0")
        }),
        ("Reshape", |graph, logits| {
            let target = constant(graph, &[5]);
            push(graph, "Reshape", &[logits, target], "")
        }),
        ("Reshape to a column", |graph, logits| {
            let target = constant(graph, &[-1, 1]);
            push(graph, "Reshape", &[logits, target], "")
        }),
    ];
    for (name, last) in endings {
        let file = graph(13, "f32[1,3,4,2]", |graph, x| {
            let logits = head(graph, x);
            last(graph, logits)
        });
        let found = classifier(file, &InputSpec::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((found.manifest().classes, found.manifest().batch), (5, BatchMode::One), "{name}");
        assert_eq!(run_file(&found.original_onnx().unwrap(), 1), wanted, "{name}");
        assert_eq!(run_file(&found.forward_onnx().unwrap(), 1)[0].0, [1, 5], "{name}");
        assert_eq!(run_file(&found.gradient_onnx(Loss::Margin).unwrap(), 1)[1].0, [1, 3, 4, 2], "{name}");
    }
}

#[test]
fn quantised_scores_become_numbers() {
    type Last = fn(&mut Graph, ValueId) -> ValueId;
    let endings: [(&str, Last); 3] = [
        ("8-bit codes", |graph, logits| {
            let scale = add(graph, "#0.5").unwrap();
            let zero = graph.add_constant(
                "zero",
                crate::Tensor::new(crate::DataType::Uint8, vec![], vec![128].into()).unwrap(),
            );
            push(graph, "QuantizeLinear", &[logits, scale, zero], "")
        }),
        ("whole numbers", |graph, logits| {
            let thousand = add(graph, "#1000").unwrap();
            let scaled = push(graph, "Mul", &[logits, thousand], "");
            push(graph, "Cast", &[scaled], "to=6")
        }),
        ("whole numbers in another shape", |graph, logits| {
            let whole = push(graph, "Cast", &[logits], "to=7");
            let target = constant(graph, &[-1, 5, 1]);
            push(graph, "Reshape", &[whole, target], "")
        }),
    ];
    let plain = classifier(ending(|_, logits| vec![logits]), &InputSpec::default()).unwrap();
    let gradient = run_file(&plain.gradient_onnx(Loss::Margin).unwrap(), 3).remove(1).1;
    for (name, last) in endings {
        let file = ending(|graph, logits| vec![last(graph, logits)]);
        let found = classifier(file, &InputSpec::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(found.manifest().classes, 5, "{name}");
        let scores = run_file(&found.original_onnx().unwrap(), 3).remove(0);
        assert_eq!(scores.0, [3, 5], "{name}");
        assert!(scores.1.iter().all(|score| score.fract() == 0.0), "{name}: {scores:?}");
        assert!(scores.1.iter().any(|score| *score != 0.0), "{name}");
        // The scores before, and what the file returns: codes are often equal.
        let forward = run_file(&found.forward_onnx().unwrap(), 3);
        assert_eq!((forward.len(), &forward[1]), (2, &scores), "{name}");
        let found = run_file(&found.gradient_onnx(Loss::Margin).unwrap(), 3).remove(1).1;
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let cosine = dot(&found, &gradient) / (dot(&found, &found) * dot(&gradient, &gradient)).sqrt();
        assert!(cosine > 0.999, "{name}: {cosine}");
    }
}
