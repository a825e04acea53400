//! Classifiers that are cut open at a tensor: which tensors there are, that they come out as they are, whatever is rewritten, and
//! that the gradient is that of both cotangents.

use mimir_bundle::PreparedGraph;

use super::*;
use crate::classifier::{FeatureCandidate, FeaturePlace};
use crate::vit::{VitConfig, vit};

const VIT: VitConfig = VitConfig {
    image_size: 8,
    patch_size: 4,
    channels: 3,
    dim: 8,
    depth: 2,
    heads: 2,
    mlp_ratio: 2,
    classes: 5,
};

fn small_vit() -> ImageClassifier {
    classifier(vit(VIT, 3).unwrap(), &InputSpec::default()).unwrap()
}

fn bytes(graph: &PreparedGraph) -> &[u8] {
    &graph.model
}

/// `[N, F]` of the graph that returns features, and the logits beside them.
fn cut_open(classifier: &ImageClassifier, tensor: &str, batch: usize) -> [(Vec<usize>, Vec<f32>); 2] {
    let graphs = classifier.feature_graphs_onnx(tensor).unwrap();
    let mut outputs = run_file(bytes(&graphs.forward), batch);
    let features = outputs.pop().unwrap();
    assert_eq!(features.0, [batch, graphs.values], "{tensor}");
    [features, outputs.swap_remove(0)]
}

fn named<'c>(candidates: &'c [FeatureCandidate], name: &str) -> &'c FeatureCandidate {
    candidates.iter().find(|candidate| candidate.name == name).unwrap()
}

#[test]
fn every_tensor_of_a_vit_comes_out_as_the_file_computes_it() {
    let classifier = small_vit();
    let candidates = classifier.feature_candidates().unwrap();
    assert!(candidates.len() > 20, "{candidates:?}");
    let logits = &run_file(&classifier.original_onnx().unwrap(), 3)[0];
    for candidate in &candidates {
        let wanted = &run_file(&classifier.features_onnx(&[&candidate.name]).unwrap(), 3)[0];
        assert_eq!(wanted.0[1..], candidate.shape[..], "{candidate:?}");
        let [features, scores] = cut_open(&classifier, &candidate.name, 3);
        assert_close(&features.1, &wanted.1);
        assert_close(&scores.1, &logits.1);
    }
}

#[test]
fn the_blocks_of_a_vit_and_what_its_head_reads_are_found() {
    let classifier = small_vit();
    let candidates = classifier.feature_candidates().unwrap();
    let blocks: Vec<&FeatureCandidate> =
        candidates.iter().filter(|candidate| candidate.place == FeaturePlace::BlockOutput).collect();
    assert_eq!(blocks.len(), VIT.depth, "{blocks:?}");
    assert!(blocks.iter().all(|block| block.shape == [5, 8] && block.operator == "Add"), "{blocks:?}");
    assert!(blocks[0].depth > 0.2 && blocks[0].depth < blocks[1].depth && blocks[1].depth < 1.0);
    // The tokens before the last normalisation, under the name that our exporter gives them.
    assert_eq!(blocks[1].name, tensor_names::FEATURES);
    let default = classifier.default_feature().unwrap();
    assert_eq!(
        (default.place, &default.shape[..], default.values()),
        (FeaturePlace::Penultimate, &[8][..], 8)
    );
    assert_eq!(candidates.iter().filter(|one| one.place == FeaturePlace::Penultimate).count(), 1);
}

/// `Σ a·z + Σ b·f` of one image, from the graph that returns both, with the cotangents that `run` feeds.
fn weighed(session: &mut RawSession, image: &[f32], dims: &[usize]) -> f64 {
    let input = Input { name: tensor_names::IMAGES, dims, data: Data::F32(image) };
    let outputs = session.run(&[input]).unwrap();
    let product = |values: &[f32]| -> f64 {
        values
            .iter()
            .zip(waves(values.len()))
            .map(|(value, weight)| f64::from(*value) * f64::from(weight))
            .sum()
    };
    outputs.iter().map(|output| product(&output.data)).sum()
}

#[test]
fn the_gradient_is_that_of_both_cotangents() {
    let classifier = small_vit();
    let candidates = classifier.feature_candidates().unwrap();
    let names = [
        classifier.default_feature().unwrap().name,
        tensor_names::FEATURES.to_owned(),
        // Halfway, and the weights of an attention.
        candidates.iter().find(|one| one.place == FeaturePlace::BlockOutput).unwrap().name.clone(),
        candidates.iter().find(|one| one.operator == "Softmax").unwrap().name.clone(),
    ];
    let engine = Engine::load(None).unwrap();
    for name in names {
        let graphs = classifier.feature_graphs_onnx(&name).unwrap();
        let gradient = run_file(bytes(&graphs.gradient), 1).remove(1).1;
        let mut session =
            RawSession::new(&engine, bytes(&graphs.forward), SessionOptions::default()).unwrap();
        let image = waves(3 * 8 * 8);
        let largest = gradient.iter().fold(0.0_f32, |largest, slope| largest.max(slope.abs()));
        for pixel in (0..image.len()).step_by(17) {
            let mut at = |step: f32| {
                let mut moved = image.clone();
                moved[pixel] += step;
                weighed(&mut session, &moved, &[1, 3, 8, 8])
            };
            let wanted = (at(4e-3) - at(-4e-3)) / 8e-3;
            let error = (f64::from(gradient[pixel]) - wanted).abs();
            assert!(
                error < 0.02 * f64::from(largest),
                "{name}, pixel {pixel}: {}, wanted {wanted} ({largest})",
                gradient[pixel]
            );
        }
    }
}

/// `build` between the images and a head, with the tensor `hidden`.
fn with_hidden(
    input: &str,
    build: impl FnOnce(&mut Graph, ValueId) -> (ValueId, ValueId),
) -> ImageClassifier {
    let graph = graph(18, input, |graph, x| {
        let (hidden, end) = build(graph, x);
        graph.rename(hidden, "hidden").unwrap();
        head(graph, end)
    });
    classifier(graph, &with_image()).unwrap()
}

#[test]
fn images_come_to_the_front_from_every_axis() {
    // Behind the first dimension.
    let behind = with_hidden("f32[N,3,4,2]", |graph, x| {
        let turned = push(graph, "Transpose", &[x], "perm=[1,2,0,3]");
        let hidden = push(graph, "Sigmoid", &[turned], "");
        (hidden, push(graph, "Transpose", &[hidden], "perm=[2,0,1,3]"))
    });
    let whole = &run_file(&behind.features_onnx(&["hidden"]).unwrap(), 3)[0];
    assert_eq!(whole.0, [3, 4, 3, 2]);
    let wanted: Vec<f32> = (0..3)
        .flat_map(|image| {
            let of_image = move |row: usize| whole.1[row * 6 + image * 2..row * 6 + image * 2 + 2].to_vec();
            (0..12).flat_map(of_image)
        })
        .collect();
    assert_close(&cut_open(&behind, "hidden", 3)[0].1, &wanted);
    assert_eq!(named(&behind.feature_candidates().unwrap(), "hidden").shape, [3, 4, 2]);

    // Several rows an image, as windows are; and the other way round, as heads before a Transpose are.
    let windows = with_hidden("f32[N,3,4,2]", |graph, x| {
        let target = add(graph, "=[-1,12]").unwrap();
        let parts = push(graph, "Reshape", &[x, target], "");
        let hidden = push(graph, "Sigmoid", &[parts], "");
        let target = add(graph, "=[-1,3,4,2]").unwrap();
        (hidden, push(graph, "Reshape", &[hidden, target], ""))
    });
    let whole = &run_file(&windows.features_onnx(&["hidden"]).unwrap(), 3)[0];
    assert_eq!(whole.0, [6, 12]);
    assert_close(&cut_open(&windows, "hidden", 3)[0].1, &whole.1);
    assert_eq!(named(&windows.feature_candidates().unwrap(), "hidden").shape, [2, 12]);

    let outer = with_hidden("f32[N,3,4,2]", |graph, x| {
        let turned = push(graph, "Transpose", &[x], "perm=[1,0,2,3]");
        let target = add(graph, "=[-1,8]").unwrap();
        let rows = push(graph, "Reshape", &[turned, target], "");
        let hidden = push(graph, "Sigmoid", &[rows], "");
        let target = add(graph, "=[3,-1,4,2]").unwrap();
        let back = push(graph, "Reshape", &[hidden, target], "");
        (hidden, push(graph, "Transpose", &[back], "perm=[1,0,2,3]"))
    });
    let whole = &run_file(&outer.features_onnx(&["hidden"]).unwrap(), 3)[0];
    assert_eq!(whole.0, [9, 8]);
    let row = |index: usize| whole.1[index * 8..index * 8 + 8].to_vec();
    let wanted: Vec<f32> = (0..3)
        .flat_map(|image| (0..3).flat_map(move |channel| [channel * 3 + image]))
        .flat_map(row)
        .collect();
    assert_close(&cut_open(&outer, "hidden", 3)[0].1, &wanted);
}

#[test]
fn a_file_for_one_image_has_features_of_one() {
    let build = |graph: &mut Graph, x: ValueId| {
        let token = add(graph, "#[1,3,4,1]").unwrap();
        let hidden = push(graph, "Sigmoid", &[x], "");
        let end = push(graph, "Concat", &[token, hidden], "axis=3");
        graph.rename(hidden, "hidden").unwrap();
        let flat = push(graph, "Flatten", &[end], "");
        let weights = add(graph, "#[36,5]").unwrap();
        push(graph, "MatMul", &[flat, weights], "")
    };
    let classifier = classifier(graph(9, "f32[1,3,4,2]", build), &InputSpec::default()).unwrap();
    assert_eq!(classifier.manifest().batch, BatchMode::One);
    let wanted = run_file(&classifier.features_onnx(&["hidden"]).unwrap(), 1).remove(0).1;
    assert_close(&cut_open(&classifier, "hidden", 1)[0].1, &wanted);
    assert_eq!(named(&classifier.feature_candidates().unwrap(), "hidden").shape, [3, 4, 2]);
}

#[test]
fn scores_that_searches_use_stay_beside_features() {
    let softmax = |factor: f32| {
        let graph = graph(18, "f32[N,3,4,2]", |graph, x| {
            let hidden = push(graph, "Sigmoid", &[x], "");
            graph.rename(hidden, "hidden").unwrap();
            let logits = head(graph, hidden);
            let factor = graph.add_constant("factor", crate::Tensor::scalar_f32(factor));
            let logits = push(graph, "Mul", &[logits, factor], "");
            let shares = push(graph, "Softmax", &[logits], "axis=1");
            graph.rename(shares, "shares").unwrap();
            let hundred = graph.add_constant("hundred", crate::Tensor::scalar_f32(100.0));
            push(graph, "Mul", &[shares, hundred], "")
        });
        classifier(graph, &InputSpec::default()).unwrap()
    };
    for factor in [0.01, 50.0] {
        let classifier = softmax(factor);
        let [features, scores] = cut_open(&classifier, "hidden", 3);
        assert_close(&features.1, &run_file(&classifier.features_onnx(&["hidden"]).unwrap(), 3)[0].1);
        assert_close(&scores.1, &run_file(&classifier.forward_onnx().unwrap(), 3)[0].1);
    }
    // The scores that are searched stand before it.
    let classifier = softmax(50.0);
    let [features, _] = cut_open(&classifier, "shares", 3);
    assert_close(&features.1, &run_file(&classifier.features_onnx(&["shares"]).unwrap(), 3)[0].1);
}

#[test]
fn what_cannot_be_features_is_refused_by_name() {
    let classifier = with_hidden("f32[N,3,4,2]", |graph, x| {
        let steps = push(graph, "Cast", &[x], "to=7");
        graph.rename(steps, "steps").unwrap();
        let back = push(graph, "Cast", &[steps], "to=1");
        let sum = push(graph, "Add", &[x, back], "");
        (back, sum)
    });
    for (name, wanted) in [
        ("nowhere", "no operator between the images and the scores makes"),
        ("weights", "no operator between"),
        ("images", "no operator between"),
        (&classifier.manifest().output_name, "is the output with the scores"),
    ] {
        let error = classifier.feature_graphs_onnx(name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains(wanted) && error.to_string().contains(name), "{error}");
        assert_eq!(classifier.has_tensor(name), name == classifier.manifest().output_name);
    }
    assert!(!classifier.feature_candidates().unwrap().iter().any(|one| one.name == "steps"));
}

/// One value cannot be features and scores of a graph.
#[test]
fn the_scores_behind_a_view_are_no_features() {
    for view in ["Identity", "Flatten"] {
        let graph = graph(18, "f32[N,3,4,2]", |graph, x| {
            let scores = head(graph, x);
            graph.rename(scores, "before").unwrap();
            push(graph, view, &[scores], "")
        });
        let classifier = classifier(graph, &InputSpec::default()).unwrap();
        let error = classifier.feature_graphs_onnx("before").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains("holds the scores themselves"), "{error}");
        assert!(error.to_string().contains("before"), "{error}");
        // What is refused is not listed, and not chosen where nobody names one.
        assert!(classifier.feature_candidates().unwrap().is_empty(), "{view}");
        assert!(
            classifier.default_feature().unwrap_err().to_string().contains("no tensor between"),
            "{view}"
        );
    }
}

/// Every tensor that is listed can be named, whatever stands behind it: one rule.
#[test]
fn what_is_listed_can_be_named() {
    let behind: [&[(&str, &str)]; 7] = [
        &[],
        &[("Identity", "")],
        &[("Softmax", "axis=1")],
        &[("Flatten", ""), ("Softmax", "axis=1")],
        &[("Softmax", "axis=1"), ("Identity", "")],
        &[("LogSoftmax", "axis=1"), ("Flatten", "")],
        &[("Sigmoid", ""), ("Identity", "")],
    ];
    for nodes in behind {
        let graph = graph(18, "f32[N,3,4,2]", |graph, x| {
            let hidden = push(graph, "Relu", &[x], "");
            graph.rename(hidden, "hidden").unwrap();
            let mut value = head(graph, hidden);
            for (place, (operator, attributes)) in nodes.iter().enumerate() {
                graph.rename(value, &format!("scores{place}")).unwrap();
                value = push(graph, operator, &[value], attributes);
            }
            value
        });
        let classifier = classifier(graph, &InputSpec::default()).unwrap();
        let candidates = classifier.feature_candidates().unwrap();
        assert!(candidates.iter().any(|one| one.name == "hidden"), "{nodes:?}: {candidates:?}");
        assert_eq!(classifier.default_feature().unwrap().name, "hidden", "{nodes:?}");
        for candidate in &candidates {
            let graphs = classifier.feature_graphs_onnx(&candidate.name);
            assert!(graphs.is_ok(), "{nodes:?} {}: {}", candidate.name, graphs.unwrap_err());
        }
        let is_listed = |name: &str| candidates.iter().any(|one| one.name == name);
        for place in 0..nodes.len() {
            let name = format!("scores{place}");
            let refused = classifier.feature_graphs_onnx(&name).is_err();
            assert!(!(refused && is_listed(&name)), "{nodes:?}: {name}");
        }
    }
}

/// The nodes that normalise in front of the file are none of its own, also where it has tensors of their names.
#[test]
fn tensors_of_the_normalisation_are_none_of_the_file() {
    let normalisation = Some(Normalisation::new([0.5], [0.25]));
    let spec = InputSpec { normalisation, ..InputSpec::default() };
    let with_names = |named: Option<&str>| {
        let graph = graph(18, "f32[N,3,4,2]", |graph, x| {
            let hidden = push(graph, "Relu", &[x], "");
            graph.rename(hidden, named.unwrap_or("hidden")).unwrap();
            head(graph, hidden)
        });
        classifier(graph, &spec).unwrap()
    };
    let plain = with_names(None);
    let names: Vec<String> = plain.feature_candidates().unwrap().into_iter().map(|one| one.name).collect();
    assert_eq!(names, ["hidden"]);
    let ours = plain.original.nodes()[0].outputs[0].map(|id| plain.original.value(id).name.clone()).unwrap();
    assert!(ours.starts_with("images/"), "{ours}");
    assert!(!plain.has_tensor(&ours) && plain.feature_graphs_onnx(&ours).is_err());
    let clash = with_names(Some(&ours));
    assert_eq!(clash.default_feature().unwrap().name, ours);
    assert!(clash.has_tensor(&ours) && clash.feature_graphs_onnx(&ours).is_ok());
}

/// A plain stack of layers has no blocks, and its last hidden layer is what the head reads.
#[test]
fn the_last_hidden_layer_is_chosen_through_views() {
    let classifier = with_hidden("f32[N,3,4,2]", |graph, x| {
        let hidden = push(graph, "Sigmoid", &[x], "");
        (hidden, hidden)
    });
    let default = classifier.default_feature().unwrap();
    assert_eq!((default.name.as_str(), default.operator.as_str()), ("hidden", "Sigmoid"));
    let linear = super::classifier(graph(18, "f32[N,3,4,2]", head), &InputSpec::default()).unwrap();
    assert!(linear.feature_candidates().unwrap().is_empty());
    assert!(linear.default_feature().unwrap_err().to_string().contains("no tensor between"));
}

/// Models of others, where the checkout has them.
#[test]
fn every_tensor_of_the_shared_models_comes_out_as_the_file_computes_it() {
    for name in ["vit_pgd_2_3_16.onnx", "resnet_2b.onnx"] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/models").join(name);
        if !path.exists() {
            println!("skipped: {} is absent", path.display());
            continue;
        }
        let file = crate::onnx::read_model(&path, &Limits::default()).unwrap();
        let classifier = ImageClassifier::new(file, &InputSpec::default()).unwrap();
        let candidates = classifier.feature_candidates().unwrap();
        let is_block = |one: &&FeatureCandidate| one.place == FeaturePlace::BlockOutput;
        assert_eq!(candidates.iter().filter(is_block).count(), 2, "{name}");
        for candidate in &candidates {
            let wanted = run_file(&classifier.features_onnx(&[&candidate.name]).unwrap(), 3).remove(0);
            assert_eq!((wanted.0[0], &wanted.0[1..]), (3, &candidate.shape[..]), "{name}: {candidate:?}");
            let [features, _] = cut_open(&classifier, &candidate.name, 3);
            let largest = wanted.1.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            let far = features.1.iter().zip(&wanted.1).map(|(found, wanted)| (found - wanted).abs());
            let far = far.fold(0.0_f32, f32::max);
            assert!(far <= 1e-4 * largest, "{name}: {candidate:?}: {far} of {largest}");
        }
    }
}
