//! No attack may depend on the scale of the logits or of the gradient: a confident image has a small gradient, not a
//! robust one.

use mimir_bundle::{AttackSpec, ImageShape, Norm};
use ndarray::{Array1, Array2, ArrayView2};

use super::testing::{SearchTrace, clean_image, run};
use super::{Query, attack, attacks_named};
use crate::linear::LinearClassifier;
use crate::model::{
    Classifier, Differentiable, GradientBatch, LabelAndTarget, Loss, ModelError, ModelSource,
};
use crate::testing::{NORMS, attack_context, key, linear_around_grey, noise};

const SHAPE: ImageShape = ImageShape { channels: 1, height: 3, width: 4 };
const CLASSES: usize = 5;

/// About 10⁻³⁰, 1 and 10³⁰: powers of two, so that the points must be the same to the last bit.
const SCALES: [i32; 2] = [-100, 100];

/// A model whose gradients are multiplied, whatever its logits are.
#[derive(Clone)]
struct ScaledGradient {
    source: LinearClassifier,
    factor: f32,
}

struct ScaledGraph {
    graph: Box<dyn Differentiable>,
    factor: f32,
    answers: GradientBatch,
}

impl ModelSource for ScaledGradient {
    fn classifier(&self) -> Result<Box<dyn Classifier>, ModelError> {
        self.source.classifier()
    }

    fn search_classifier(&self) -> Result<Box<dyn Classifier>, ModelError> {
        self.source.search_classifier()
    }

    fn differentiable(&self, loss: Loss) -> Result<Box<dyn Differentiable>, ModelError> {
        let answers = GradientBatch::zeros(1, CLASSES, SHAPE.pixels());
        Ok(Box::new(ScaledGraph { graph: self.source.differentiable(loss)?, factor: self.factor, answers }))
    }
}

impl Differentiable for ScaledGraph {
    fn batch(&self) -> usize {
        1
    }

    fn loss_gradient(
        &mut self,
        images: ArrayView2<f32>,
        pairs: &[LabelAndTarget],
    ) -> Result<&GradientBatch, ModelError> {
        let found = self.graph.loss_gradient(images, pairs)?;
        self.answers.logits.assign(&found.logits);
        self.answers.loss.assign(&found.loss);
        self.answers.gradient.assign(&(&found.gradient * self.factor));
        Ok(&self.answers)
    }
}

/// Linear, with logits near each other around the grey image, multiplied by `factor`.
fn linear(factor: f32) -> LinearClassifier {
    let weights = noise(key(7, 0, "weights"), CLASSES, SHAPE.pixels()) * 0.5 * factor;
    let logits: Array1<f32> = noise(key(7, 1, "logits"), 1, CLASSES).row(0).to_owned() * (0.3 * factor);
    linear_around_grey(weights, &logits, SHAPE, 1)
}

/// Traces of the first unit of an attack on a few images; those of the cross entropy keep their logits, because a
/// softmax of larger logits is another function.
fn traces(name: &str, norm: Norm, exponent: i32) -> Vec<SearchTrace> {
    let epsilon = if norm == Norm::L1 { 1.0 } else { 0.1 };
    let context = attack_context(norm, epsilon, SHAPE, CLASSES);
    let attack = attack(&attacks_named(name, norm).unwrap()[0], &context).unwrap();
    let factor = 2.0_f32.powi(exponent);
    let asked = [attack.queries(), attack.surrogate_queries()].concat();
    let source: Box<dyn ModelSource> = match asked.contains(&Query::Gradient(Loss::CrossEntropy)) {
        true => Box::new(ScaledGradient { source: linear(1.0), factor }),
        false => Box::new(linear(factor)),
    };
    let images: Array2<f32> = noise(key(7, 2, "images"), 4, SHAPE.pixels()) * 0.2 + 0.5;
    let trace = |(image, pixels): (usize, &[f32])| {
        let clean = clean_image(source.classifier().unwrap().as_mut(), image, pixels);
        run(source.as_ref(), attack.as_ref(), &context, &clean, 0)
    };
    images.rows().into_iter().map(|row| row.to_slice().unwrap()).enumerate().map(trace).collect()
}

/// Their losses are made of the logits themselves, and a cross entropy of larger logits is another function.
const OF_THE_SCALE: [&str; 2] = ["pgd-mi", "feature-ce"];

#[test]
fn no_attack_depends_on_the_scale_of_logits_and_gradients() {
    for norm in NORMS {
        let fits = |name: &&&str| AttackSpec::named(name).is_some_and(|spec| spec.check_norm(norm).is_ok());
        let names = AttackSpec::NAMES.iter().filter(fits).filter(|name| !OF_THE_SCALE.contains(name));
        for name in names {
            let plain = traces(name, norm, 0);
            for exponent in SCALES {
                let scaled = traces(name, norm, exponent);
                for (image, (scaled, plain)) in scaled.iter().zip(&plain).enumerate() {
                    let case = format!("{name}, {norm:?}, 2^{exponent}, image {image}");
                    assert_eq!(scaled.broken, plain.broken, "{case}");
                    assert_eq!(scaled.proposals, plain.proposals, "{case}");
                }
            }
        }
    }
}
