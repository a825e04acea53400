//! Models that give another answer each time.

use super::*;
use crate::testing::push_all;
use crate::{DataType, Tensor};

/// One image of `IMAGE`.
const PIXELS: usize = 24;

/// Classes of `head`.
const CLASSES: usize = 5;

fn noisy(input: &str, noise: impl FnOnce(&mut Graph, ValueId) -> ValueId) -> Graph {
    graph(20, input, |graph, x| {
        let noise = noise(graph, x);
        let x = push(graph, "Add", &[x, noise], "");
        head(graph, x)
    })
}

fn prepared(graph: Graph) -> ImageClassifier {
    classifier(graph, &InputSpec::default()).unwrap()
}

fn mode(graph: &mut Graph, trains: bool) -> Option<ValueId> {
    let mode = Tensor::new(DataType::Bool, vec![], vec![u8::from(trains)].into()).unwrap();
    Some(graph.add_constant("mode", mode))
}

fn dropout(graph: &mut Graph, x: ValueId, ratio: &str, trains: bool) -> ValueId {
    let inputs = [Some(x), add(graph, ratio), mode(graph, trains)];
    push_all(graph, "Dropout", &inputs, "", 1)[0]
}

fn session(bytes: &[u8]) -> RawSession {
    RawSession::new(&Engine::load(None).unwrap(), bytes, SessionOptions::default()).unwrap()
}

/// All outputs for one image and, where the graph takes one, a cotangent.
fn outputs(session: &mut RawSession, image: &[f32], cotangent: Option<&[f32]>) -> Vec<Vec<f32>> {
    let mut inputs = vec![Input { name: tensor_names::IMAGES, dims: &[1, 3, 4, 2], data: Data::F32(image) }];
    if let Some(cotangent) = cotangent {
        inputs.push(Input { name: tensor_names::COTANGENT, dims: &[1, CLASSES], data: Data::F32(cotangent) });
    }
    session.run(&inputs).unwrap().into_iter().map(|output| output.data).collect()
}

/// Logits and gradient of two runs of one session.
fn two_runs(classifier: &ImageClassifier) -> [Vec<Vec<f32>>; 2] {
    let mut session = session(&classifier.gradient_onnx(Loss::Margin).unwrap());
    [(); 2].map(|()| outputs(&mut session, &waves(PIXELS), Some(&waves(CLASSES))))
}

/// `x + noise → head` has the gradient of `x → head`, whatever was drawn.
#[track_caller]
fn assert_noise_has_no_gradient(noise: impl FnOnce(&mut Graph, ValueId) -> ValueId) {
    let classifier = prepared(noisy("f32[N,3,4,2]", noise));
    let mut original = session(&classifier.original_onnx().unwrap());
    let logits = [(); 2].map(|()| outputs(&mut original, &waves(PIXELS), None));
    assert_ne!(logits[0], logits[1], "the model as the file computes it");
    let quiet = &two_runs(&prepared(graph(20, "f32[N,3,4,2]", head)))[0];
    let [first, second] = two_runs(&classifier);
    assert_ne!(first[0], second[0], "the logits of the gradient graph");
    assert_close(&first[1], &quiet[1]);
    assert_close(&second[1], &quiet[1]);
}

#[test]
fn every_draw_is_new_and_carries_no_gradient() {
    let scaled = |graph: &mut Graph, noise| {
        let scale = add(graph, "#0.1").unwrap();
        push(graph, "Mul", &[noise, scale], "")
    };
    for op_type in ["RandomNormalLike", "RandomUniformLike"] {
        assert_noise_has_no_gradient(|graph, x| {
            let noise = push(graph, op_type, &[x], "");
            scaled(graph, noise)
        });
    }
    for op_type in ["RandomNormal", "RandomUniform"] {
        assert_noise_has_no_gradient(|graph, _| {
            let noise = push(graph, op_type, &[], "shape=[1,3,4,2]");
            scaled(graph, noise)
        });
    }
    assert_noise_has_no_gradient(|graph, x| {
        let probability = push(graph, "Sigmoid", &[x], "");
        push(graph, "Bernoulli", &[probability], "")
    });
    assert_noise_has_no_gradient(|graph, x| {
        let flat = push(graph, "Flatten", &[x], "");
        let drawn = push(graph, "Multinomial", &[flat], "sample_size=24");
        let drawn = push(graph, "Cast", &[drawn], "to=1");
        let target = add(graph, "=[-1,3,4,2]").unwrap();
        push(graph, "Reshape", &[drawn, target], "")
    });
}

#[test]
fn a_draw_as_the_only_path_is_an_error_that_names_it() {
    let file = graph(20, "f32[N,3,4,2]", |graph, x| {
        let probability = push(graph, "Sigmoid", &[x], "");
        let drawn = push(graph, "Bernoulli", &[probability], "");
        head(graph, drawn)
    });
    let error = prepared(file).gradient_onnx(Loss::Margin).unwrap_err().to_string();
    assert!(error.contains("no gradient reaches the images"), "{error}");
    assert!(error.contains("`Bernoulli_1` (Bernoulli)"), "{error}");
}

#[test]
fn logits_and_gradient_of_a_run_share_the_mask_of_dropout() {
    let classifier = prepared(graph(20, "f32[N,3,4,2]", |graph, x| {
        let kept = dropout(graph, x, "#0.5", true);
        head(graph, kept)
    }));
    let mut bias = Graph::new("bias", 20);
    let bias = add(&mut bias, "#[5]").and_then(|id| bias.constant(id)?.to_f32()).unwrap();
    let dot = |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    let (image, cotangent) = (waves(PIXELS), waves(CLASSES));
    let runs = two_runs(&classifier);
    assert_ne!(runs[0], runs[1]);
    for run in runs {
        assert!(run[1].contains(&0.0), "some pixels are dropped: {:?}", run[1]);
        // The model is affine in what the mask lets through: `c·z = c·bias + ⟨gradient, x⟩`.
        assert_close(&[dot(&cotangent, &run[0])], &[dot(&cotangent, &bias) + dot(&run[1], &image)]);
    }
}

/// Appends what is added to the images.
type Noise<'a> = &'a dyn Fn(&mut Graph) -> ValueId;

#[test]
fn draws_that_do_not_depend_on_the_images_are_neither_folded_nor_merged() {
    // The same operator twice is zero when merged, and a constant when folded.
    let twice = |op_type: &'static str, attributes: &'static str, input: &'static str| {
        move |graph: &mut Graph| {
            let mut draw = || {
                let inputs: Vec<ValueId> = add(graph, input).into_iter().collect();
                push(graph, op_type, &inputs, attributes)
            };
            let draws = [draw(), draw()];
            push(graph, "Sub", &draws, "")
        }
    };
    let dropped = |graph: &mut Graph| {
        let ones = add(graph, "#[1,3,4,2]").unwrap();
        let draws = [(); 2].map(|()| dropout(graph, ones, "#0.5", true));
        push(graph, "Sub", &draws, "")
    };
    let cases: [(&str, Noise<'_>); 4] = [
        ("RandomNormal", &twice("RandomNormal", "shape=[1,3,4,2]", "")),
        ("RandomUniformLike", &twice("RandomUniformLike", "", "#[1,3,4,2]")),
        ("Bernoulli", &|graph| {
            // Of one tensor, ONNX Runtime 1.32 takes both for the same value.
            let draws = [(); 2].map(|()| {
                let half = graph.add_constant("half", Tensor::from_f32(&[1, 3, 4, 2], &[0.5; PIXELS]));
                push(graph, "Bernoulli", &[half], "")
            });
            push(graph, "Sub", &draws, "")
        }),
        ("Dropout", &dropped),
    ];
    for (name, noise) in cases {
        let classifier = prepared(noisy("f32[N,3,4,2]", |graph, _| noise(graph)));
        let quiet = &two_runs(&prepared(graph(20, "f32[N,3,4,2]", head)))[0];
        let [first, second] = two_runs(&classifier);
        assert_ne!(first[0], second[0], "{name}: folded");
        assert_ne!(first[0], quiet[0], "{name}: merged");
    }
}

#[test]
fn a_seed_stays_as_the_file_has_it() {
    let seeded =
        |seed| prepared(noisy("f32[N,3,4,2]", |graph, x| push(graph, "RandomNormalLike", &[x], seed)));
    let first_logits = |classifier: &ImageClassifier| {
        let original = outputs(&mut session(&classifier.original_onnx().unwrap()), &waves(PIXELS), None);
        (original[0].clone(), two_runs(classifier)[0][0].clone())
    };
    let (original, gradient) = first_logits(&seeded("seed=7.5"));
    assert_close(&gradient, &original);
    let (again, _) = first_logits(&seeded("seed=7.5"));
    assert_eq!(again, original);
    let (other, _) = first_logits(&seeded("seed=8.5"));
    assert_ne!(other, original);
}

#[test]
fn the_random_operators_that_matter_are_listed_in_words() {
    let listed = |build: &dyn Fn(&mut Graph, ValueId) -> ValueId| {
        let file = graph(20, "f32[N,3,4,2]", |graph, x| {
            let x = build(graph, x);
            head(graph, x)
        });
        prepared(file).random_operators().to_vec()
    };
    assert!(listed(&|_, x| x).is_empty());
    let noise = |graph: &mut Graph, x: ValueId| push(graph, "RandomNormalLike", &[x], "");
    assert_eq!(listed(&noise), ["node \"RandomNormalLike_0\" (RandomNormalLike)"]);
    let unused = |graph: &mut Graph, x: ValueId| {
        noise(graph, x);
        x
    };
    assert!(listed(&unused).is_empty());
    assert_eq!(listed(&|graph, x| dropout(graph, x, "#0.5", true)), ["node \"Dropout_0\" (Dropout)"]);
    assert!(listed(&|graph, x| dropout(graph, x, "#0.5", false)).is_empty());
    assert!(listed(&|graph, x| dropout(graph, x, "#0", true)).is_empty());
    let computed_mode = |graph: &mut Graph, x: ValueId| {
        let total = push(graph, "ReduceSum", &[x], "keepdims=0");
        let mode = push(graph, "Cast", &[total], "to=9");
        let ratio = add(graph, "#0.5");
        push_all(graph, "Dropout", &[Some(x), ratio, Some(mode)], "", 1)[0]
    };
    assert_eq!(listed(&computed_mode), ["node \"Dropout_2\" (Dropout)"]);
}

#[test]
fn a_batch_of_one_is_opened_only_where_every_image_gets_its_own_draw() {
    let batch = |noise: &dyn Fn(&mut Graph, ValueId) -> ValueId| {
        let classifier = prepared(noisy("f32[1,3,4,2]", noise));
        assert_eq!(classifier.random_operators().len(), 1);
        classifier.manifest().batch
    };
    let of_images = |graph: &mut Graph, x: ValueId| push(graph, "RandomNormalLike", &[x], "");
    assert_eq!(batch(&of_images), BatchMode::Rebatched);
    let of_shape = |graph: &mut Graph, _: ValueId| push(graph, "RandomNormal", &[], "shape=[1,3,4,2]");
    assert_eq!(batch(&of_shape), BatchMode::One);
    let of_constant = |graph: &mut Graph, _: ValueId| {
        let like = add(graph, "#[1,3,4,2]").unwrap();
        push(graph, "RandomUniformLike", &[like], "")
    };
    assert_eq!(batch(&of_constant), BatchMode::One);
}
