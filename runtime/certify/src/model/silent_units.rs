//! How many units of the model pass no gradient, measured on a sample of the images.

use mimir_bundle::{ThreatModel, tensor_names};
use mimir_export::{CountedActivation, UnitsGraph};
use mimir_runtime::evaluate::EvaluationSet;
use mimir_runtime::report::Warning;
use mimir_runtime::session::{Data, Input, Output, RawSession, SessionOptions};

use super::CalibratedModel;
use crate::error::{Error, ErrorKind, Result};

/// Images of the sample, at most: evenly spaced over the set.
const SAMPLE: usize = 64;

/// Share of an activation's units without gradient from which the gradient of an image is held to miss too much. Of
/// ResNet-2B (`shared/models`) no activation had more than 0.86 on 300 images of CIFAR-10, at radii of 2/255 and
/// 1/1000; the first activation of a network of 2 × 256 units on which gradients find nothing had 0.98.
/// Single units do not count: in four of its six activations 2 % to 12 % of the units were off at each of 64 images, so that a
/// network whose gradients do work would be searched again. How many of these bounds rule out was not measured.
const TOO_MANY: f32 = 0.9;

/// The same share for gates: activations that tend to limits on both sides, which honest networks shut and open too. Of a
/// network of ours with HardSigmoid in its squeeze-and-excitation blocks, 7 % of 500 images of CIFAR-10 had 0.90 to 0.96 of the
/// units of one block at a limit; of Softmax, Sigmoid and Erf (four vision transformers, one with its scores multiplied by 16,
/// four networks with such blocks, a mixture of experts) none had more than 0.11 for 5 % of its images. Where a network chooses
/// between branches by such a gate it is 1 for nearly every image.
const TOO_MANY_OF_A_GATE: f32 = 0.98;

/// Share of the sample from which such images call for a warning and another attack.
const CONCERNED: f64 = 0.05;

impl CalibratedModel {
    /// Counts units without gradient within the threat model, and warns where they are so many that attacks along
    /// gradients may miss what is behind them. Costs about four forward passes for each image of the sample.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] when an image cannot be read.
    pub fn with_silent_units_counted(
        mut self,
        set: &EvaluationSet,
        threat_model: &ThreatModel,
    ) -> Result<Self> {
        // A model whose units cannot be counted, by us or by the engine, is attacked as one that has none.
        if let Ok(Some(graph)) = self.classifier.units_graph() {
            let options = SessionOptions { threads: self.plan.threads, ..SessionOptions::default() };
            if let Ok(mut session) = RawSession::new(&self.engine, &graph.onnx, options) {
                let worst = self.worst_activations(&mut session, &graph, set, threat_model)?;
                self.silent_units = warning(&graph, &worst);
            }
        }
        self.warnings.extend(self.silent_units.clone());
        Ok(self)
    }

    /// Whether so many units pass no gradient that a search along relaxed gradients is called for.
    pub fn needs_relaxed_search(&self) -> bool {
        self.silent_units.is_some()
    }

    /// Of each image of the sample, the activation with most silent units; none once the engine fails.
    fn worst_activations(
        &self,
        session: &mut RawSession,
        graph: &UnitsGraph,
        set: &EvaluationSet,
        threat_model: &ThreatModel,
    ) -> Result<Vec<Silence>> {
        let rows = self.manifest().batch.rows().unwrap_or(self.plan.batch.max(1));
        let sample = sampled(set.count());
        let mut worst = Vec::with_capacity(sample.len());
        for images in sample.chunks(rows) {
            match self.shares(session, images, set, threat_model)? {
                Some([inactive, silent]) => {
                    worst.extend(by_image(&graph.activations, &inactive, &silent));
                }
                None => return Ok(Vec::new()),
            }
        }
        Ok(worst)
    }

    /// Shares of inactive and of silent units of those images, `[R, A]` each; `None` where the engine fails. Where the model
    /// takes a fixed number of images, copies fill it up.
    fn shares(
        &self,
        session: &mut RawSession,
        images: &[usize],
        set: &EvaluationSet,
        threat_model: &ThreatModel,
    ) -> Result<Option<[Vec<f32>; 2]>> {
        let size = set.pixels_per_image();
        let rows = self.manifest().batch.rows().unwrap_or(images.len());
        let mut pixels = vec![0.0; rows * size];
        let filled = images.iter().chain(images.iter().rev().cycle());
        for (image, row) in filled.zip(pixels.chunks_mut(size)) {
            set.read(*image, row).map_err(|error| Error::new(ErrorKind::Data, error.to_string()))?;
        }
        // The box that holds the ball of any norm.
        let radii = vec![threat_model.epsilon.min(1.0) as f32; rows];
        let shape = self.manifest().image;
        let dims = [rows, shape.channels, shape.height, shape.width];
        let inputs = [
            Input { name: tensor_names::IMAGES, dims: &dims, data: Data::F32(&pixels) },
            Input { name: tensor_names::RADIUS, dims: &dims[..1], data: Data::F32(&radii) },
        ];
        let outputs: Option<[Output; 2]> =
            session.run(&inputs).ok().and_then(|outputs| outputs.try_into().ok());
        let of_images = |output: Output| {
            let activations = output.data.len() / rows;
            output.data.into_iter().take(images.len() * activations).collect()
        };
        Ok(outputs.map(|outputs| outputs.map(of_images)))
    }
}

/// The activation of an image with most silent units, as a share of what is too many.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Silence {
    activation: usize,
    inactive: f32,
    silent: f32,
    too_many: f32,
}

impl Silence {
    fn of_too_many(&self) -> f32 {
        self.silent / self.too_many
    }
}

/// Positions of the sample in a set of `count` images.
fn sampled(count: usize) -> Vec<usize> {
    let most = count.min(SAMPLE);
    (0..most).map(|index| index * count / most).collect()
}

fn by_image(activations: &[CountedActivation], inactive: &[f32], silent: &[f32]) -> Vec<Silence> {
    let rows = inactive.chunks(activations.len()).zip(silent.chunks(activations.len()));
    let worst = |(inactive, silent): (&[f32], &[f32])| {
        let all = activations.iter().zip(inactive.iter().zip(silent)).enumerate();
        let all = all.map(|(activation, (counted, (&inactive, &silent)))| Silence {
            activation,
            inactive,
            silent,
            too_many: if counted.is_gate { TOO_MANY_OF_A_GATE } else { TOO_MANY },
        });
        all.max_by(|left, right| left.of_too_many().total_cmp(&right.of_too_many()))
    };
    rows.filter_map(worst).collect()
}

/// The warning that the worst activations of the sample call for, about the worst of them all.
fn warning(graph: &UnitsGraph, worst: &[Silence]) -> Option<Warning> {
    let images = worst.iter().filter(|silence| silence.silent >= silence.too_many).count();
    if images == 0 || (images as f64) < CONCERNED * worst.len() as f64 {
        return None;
    }
    let most = worst.iter().max_by(|left, right| left.of_too_many().total_cmp(&right.of_too_many()))?;
    Some(Warning::SilentUnits {
        activation: graph.activations.get(most.activation)?.node.to_string(),
        inactive: f64::from(most.inactive),
        silent: f64::from(most.silent),
        images,
        sampled: worst.len(),
    })
}

#[cfg(test)]
mod tests {
    use mimir_bundle::ScannedNode;

    use super::*;

    fn graph() -> UnitsGraph {
        let counted = |name: &str, operator: &str, is_gate| CountedActivation {
            node: ScannedNode { name: name.into(), operator: operator.into() },
            is_gate,
        };
        let activations = vec![counted("first", "Sigmoid", true), counted("second", "Relu", false)];
        UnitsGraph { onnx: Vec::new(), activations }
    }

    #[test]
    fn the_sample_is_spread_over_the_set() {
        assert_eq!(sampled(3), [0, 1, 2]);
        let sample = sampled(6400);
        assert_eq!((sample.len(), sample[1], sample[63]), (64, 100, 6300));
    }

    #[test]
    fn the_worst_activation_is_named_where_enough_images_are_concerned() {
        let activations = graph().activations;
        let worst = by_image(&activations, &[0.1, 0.5, 0.0, 0.0], &[0.2, 0.95, 0.3, 0.3]);
        assert_eq!(worst[0], Silence { activation: 1, inactive: 0.5, silent: 0.95, too_many: TOO_MANY });
        assert_eq!(worst[1].silent, 0.3);
        let Some(Warning::SilentUnits { activation, images, sampled, .. }) = warning(&graph(), &worst) else {
            panic!("no warning")
        };
        assert_eq!((activation.as_str(), images, sampled), ("node \"second\" (Relu)", 1, 2));
        let many = [&worst[..1], &vec![worst[1]; 20]].concat();
        assert_eq!(warning(&graph(), &many), None, "one image of 21");
        assert_eq!(warning(&graph(), &worst[1..]), None);
        assert_eq!(warning(&graph(), &[]), None);
    }

    /// What honest networks have of their gates at a limit is no sign; a choice that is made for good is one.
    #[test]
    fn gates_may_have_more_at_their_limits() {
        let activations = graph().activations;
        let warned = |silent: [f32; 2]| warning(&graph(), &by_image(&activations, &[0.0; 2], &silent));
        assert_eq!(warned([0.96, 0.0]), None);
        let Some(Warning::SilentUnits { activation, .. }) = warned([1.0, 0.91]) else { panic!("no warning") };
        assert_eq!(activation, "node \"first\" (Sigmoid)");
        let Some(Warning::SilentUnits { activation, .. }) = warned([0.96, 0.91]) else {
            panic!("no warning")
        };
        assert_eq!(activation, "node \"second\" (Relu)");
    }
}
